//! Texts as small numbers: each distinct text gets the next number, in order of first appearance.

use crate::keyed_hash::Head;

/// A set of texts numbered from 0.
#[derive(Debug)]
pub struct Interner {
    seed: u64,
    /// Open addressing; the number of slots is a power of two, at least twice that of texts.
    slots: Vec<Slot>,
    /// Where each text is.
    places: Vec<(usize, usize)>,
    text: Vec<u8>,
}

/// The number of a text and its first bytes, which are all that decides about one of up to sixteen bytes:
/// within one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
struct Slot {
    head: Head,
    number: u32,
}

/// Not a slot of any text.
const FREE: Slot = Slot { head: Head::NONE, number: NO_NUMBER };

/// No text has this number.
const NO_NUMBER: u32 = u32::MAX;

/// A text and its hash.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Aim {
    head: Head,
    hash: u64,
}

/// What became of a text that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interned {
    /// It has this number already.
    Known(u32),
    /// It got this number now.
    New(u32),
}

impl Interned {
    /// The text's number.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Known(number) | Self::New(number) => number,
        }
    }
}

impl Interner {
    /// An empty set. A secret seed keeps senders from choosing texts that collide.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, slots: vec![FREE; 64], places: Vec::new(), text: Vec::new() }
    }

    /// Number of texts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Is there no text?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The text of a number.
    #[must_use]
    pub fn text(&self, number: u32) -> Option<&[u8]> {
        let (start, end) = *self.places.get(number as usize)?;
        self.text.get(start..end)
    }

    /// The number of a text, if it has one.
    #[inline]
    #[must_use]
    pub fn find(&self, text: &[u8]) -> Option<u32> {
        self.find_at(text, 0, text.len())
    }

    /// The number of a text in a larger buffer, if it has one.
    #[expect(clippy::inline_always, reason = "five look-ups an event: the calls cost as much as they do")]
    #[inline(always)]
    pub(crate) fn find_at(&self, bytes: &[u8], start: usize, end: usize) -> Option<u32> {
        self.find_aimed(self.aim(bytes, start, end), bytes, start)
    }

    /// A text in a larger buffer, to be found in steps.
    #[inline]
    pub(crate) fn aim(&self, bytes: &[u8], start: usize, end: usize) -> Aim {
        let head = Head::of(bytes, start, end);
        Aim { head, hash: head.hash(self.seed, bytes, start) }
    }

    /// Loads the slot where the text would be; the load does not wait for others.
    #[inline]
    pub(crate) fn touch(&self, aim: Aim) -> u32 {
        self.slots.get(self.home(aim.hash)).map_or(NO_NUMBER, |slot| slot.number)
    }

    /// The number of the text that was aimed at, if it has one.
    #[inline]
    pub(crate) fn find_aimed(&self, aim: Aim, bytes: &[u8], start: usize) -> Option<u32> {
        self.probe(aim, bytes, start).ok()
    }

    /// The number of a text; a new text gets the next one.
    #[inline]
    pub fn intern(&mut self, text: &[u8]) -> Interned {
        let aim = self.aim(text, 0, text.len());
        match self.probe(aim, text, 0) {
            Ok(number) => Interned::Known(number),
            Err(slot) => Interned::New(self.insert(aim, text, slot)),
        }
    }

    /// Where the slot of a hash would be in a table without collisions.
    #[expect(clippy::cast_possible_truncation, reason = "a slot is the low bits of the hash")]
    #[inline]
    const fn home(&self, hash: u64) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    /// The number of the text, or the slot where it belongs.
    #[expect(clippy::inline_always, reason = "five look-ups an event: the calls cost as much as they do")]
    #[inline(always)]
    fn probe(&self, aim: Aim, bytes: &[u8], start: usize) -> Result<u32, usize> {
        let Aim { head, hash } = aim;
        let mut position = self.home(hash);
        loop {
            let Some(slot) = self.slots.get(position) else { return Err(position) };
            if slot.head == head
                && (head.is_whole() || self.text(slot.number) == bytes.get(start..start + head.length))
            {
                return Ok(slot.number);
            }
            if slot.number == NO_NUMBER {
                return Err(position);
            }
            position = (position + 1) & (self.slots.len() - 1);
        }
    }

    #[cold]
    fn insert(&mut self, aim: Aim, text: &[u8], slot: usize) -> u32 {
        let number = u32::try_from(self.places.len()).unwrap_or(NO_NUMBER - 1);
        let start = self.text.len();
        self.text.extend_from_slice(text);
        self.places.push((start, self.text.len()));
        if let Some(free) = self.slots.get_mut(slot) {
            *free = Slot { head: aim.head, number };
        }
        if self.places.len() * 2 > self.slots.len() {
            self.grow();
        }
        number
    }

    fn grow(&mut self) {
        let slots = vec![FREE; self.slots.len() * 2];
        for slot in std::mem::replace(&mut self.slots, slots) {
            let Some((start, _)) = self.places.get(slot.number as usize) else { continue };
            let mut position = self.home(slot.head.hash(self.seed, &self.text, *start));
            while self.slots.get(position).is_some_and(|other| other.number != NO_NUMBER) {
                position = (position + 1) & (self.slots.len() - 1);
            }
            if let Some(free) = self.slots.get_mut(position) {
                *free = slot;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_follow_first_appearance(texts in prop::collection::vec("[a-c]{0,4}", 0..300)) {
            let mut interner = Interner::new(3);
            let mut model: Vec<String> = Vec::new();
            for text in &texts {
                let known = model.iter().position(|other| other == text);
                let expected = known.unwrap_or_else(|| { model.push(text.clone()); model.len() - 1 });
                let got = interner.intern(text.as_bytes());
                let number = u32::try_from(expected).unwrap();
                prop_assert_eq!(got, if known.is_some() { Interned::Known(number) } else { Interned::New(number) });
                prop_assert_eq!(interner.text(number), Some(text.as_bytes()));
                prop_assert_eq!(interner.find(text.as_bytes()), Some(number));
            }
            prop_assert_eq!(interner.len(), model.len());
            prop_assert_eq!(interner.find(b"absent"), None);
        }
    }
}
