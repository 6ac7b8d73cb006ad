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

/// A text and its number: one cache line decides about a text of up to sixteen bytes.
#[derive(Clone, Copy, Debug)]
struct Slot {
    head: Head,
    /// [`FREE`] where there is no text.
    number: u32,
}

const FREE: Slot = Slot { head: Head::EMPTY, number: u32::MAX };

/// A text and where it would be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aim {
    head: Head,
    position: usize,
    pub(crate) loaded: u32,
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
    #[inline]
    pub(crate) fn find_at(&self, bytes: &[u8], start: usize, end: usize) -> Option<u32> {
        let head = Head::of(bytes, start, end);
        self.probe(head, self.home(head, bytes, start), bytes, start).ok()
    }

    /// Where a text in a larger buffer would be, with the slot loaded: the load does not wait for
    /// others.
    #[inline]
    pub(crate) fn aim(&self, bytes: &[u8], start: usize, end: usize) -> Aim {
        let head = Head::of(bytes, start, end);
        let position = self.home(head, bytes, start);
        Aim { head, position, loaded: self.slots.get(position).map_or(0, |slot| slot.number) }
    }

    /// The number of the text that was aimed at, if it has one.
    #[inline]
    pub(crate) fn find_aimed(&self, aim: Aim, bytes: &[u8], start: usize) -> Option<u32> {
        self.probe(aim.head, aim.position, bytes, start).ok()
    }

    /// The number of a text; a new text gets the next one.
    #[inline]
    pub fn intern(&mut self, text: &[u8]) -> Interned {
        let head = Head::of(text, 0, text.len());
        match self.probe(head, self.home(head, text, 0), text, 0) {
            Ok(number) => Interned::Known(number),
            Err(slot) => Interned::New(self.insert(head, text, slot)),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "a slot is the low bits of the hash")]
    #[inline]
    fn home(&self, head: Head, bytes: &[u8], start: usize) -> usize {
        head.hash(self.seed, bytes, start) as usize & (self.slots.len() - 1)
    }

    /// The number of the text, or the slot where it belongs; `home` is where it would be alone.
    #[inline]
    fn probe(&self, head: Head, home: usize, bytes: &[u8], start: usize) -> Result<u32, usize> {
        let mut position = home;
        loop {
            let Some(slot) = self.slots.get(position) else { return Err(position) };
            if slot.number == FREE.number {
                return Err(position);
            }
            if slot.head == head
                && (head.is_whole() || self.text(slot.number) == bytes.get(start..start + head.length))
            {
                return Ok(slot.number);
            }
            position = (position + 1) & (self.slots.len() - 1);
        }
    }

    #[cold]
    fn insert(&mut self, head: Head, text: &[u8], slot: usize) -> u32 {
        let number = u32::try_from(self.places.len()).unwrap_or(FREE.number - 1);
        let start = self.text.len();
        self.text.extend_from_slice(text);
        self.places.push((start, self.text.len()));
        if let Some(free) = self.slots.get_mut(slot) {
            *free = Slot { head, number };
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
            let mut position = self.home(slot.head, &self.text, *start);
            while self.slots.get(position).is_some_and(|other| other.number != FREE.number) {
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
