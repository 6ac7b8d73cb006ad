//! Texts as small numbers: each distinct text gets the next number, in order of first appearance.

use crate::keyed_hash::Head;

/// A set of texts numbered from 0.
#[derive(Debug)]
pub struct Interner {
    seed: u64,
    /// Open addressing; the number of slots is a power of two, at least twice that of texts.
    slots: Vec<Slot>,
    /// The first bytes of each text: all that decides about a text of up to sixteen bytes.
    heads: Vec<TextHead>,
    /// Where each text is.
    places: Vec<(usize, usize)>,
    text: Vec<u8>,
}

/// The high half of a text's hash above its number: small, so that the slots of many texts stay in the
/// processor's caches.
type Slot = u64;

/// The first bytes of a text, within one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
struct TextHead(Head);

/// Not a slot of any text.
const FREE: Slot = Slot::MAX;

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
        Self { seed, slots: vec![FREE; 64], heads: Vec::new(), places: Vec::new(), text: Vec::new() }
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
        self.slots.get(self.home(aim.hash)).map_or(NO_NUMBER, |slot| number_of(*slot))
    }

    /// Loads the first bytes of the text with a number that [`Interner::touch`] gave.
    #[inline]
    pub(crate) fn touch_text(&self, number: u32) -> usize {
        self.heads.get(number as usize).map_or(0, |head| head.0.length)
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
            if *slot == FREE {
                return Err(position);
            }
            let number = number_of(*slot);
            if (slot ^ hash) >> 32 == 0
                && self.heads.get(number as usize).is_some_and(|other| other.0 == head)
                && (head.is_whole() || self.text(number) == bytes.get(start..start + head.length))
            {
                return Ok(number);
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
        self.heads.push(TextHead(aim.head));
        if let Some(free) = self.slots.get_mut(slot) {
            *free = slot_of(aim.hash, number);
        }
        if self.places.len() * 2 > self.slots.len() {
            self.grow();
        }
        number
    }

    fn grow(&mut self) {
        self.slots = vec![FREE; self.slots.len() * 2];
        for (number, (head, (start, _))) in (0..).zip(self.heads.iter().zip(&self.places)) {
            let hash = head.0.hash(self.seed, &self.text, *start);
            let mut position = self.home(hash);
            while self.slots.get(position).is_some_and(|other| *other != FREE) {
                position = (position + 1) & (self.slots.len() - 1);
            }
            if let Some(free) = self.slots.get_mut(position) {
                *free = slot_of(hash, number);
            }
        }
    }
}

#[inline]
const fn slot_of(hash: u64, number: u32) -> Slot {
    (hash >> 32 << 32) | number as u64
}

#[expect(clippy::cast_possible_truncation, reason = "the low half")]
#[inline]
const fn number_of(slot: Slot) -> u32 {
    slot as u32
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
