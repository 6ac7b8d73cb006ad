//! What the index holds of an event: its identity, placed, and a word for its content and month.
//!
//! ```text
//! identity 128 bits --four rounds, keyed--> place 128 bits
//! content hash, upper 53 bits | month of the event time, 11 bits
//! ```
//!
//! Placing is a bijection, so a place stands for its identity exactly (DEDUP-1). It spreads identities
//! evenly, whatever ids look like, and only the secret ties the two, so nobody can choose ids that crowd
//! one place.

use super::month::Month;
use crate::keyed_hash::{HashKey, fold};

/// Bytes of an entry in a run.
pub const ENTRY_BYTES: usize = 24;

/// An identity that is counted, with its content and month. Ordered by place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Upper half of the place.
    pub(super) high: u64,
    /// Lower half of the place.
    pub(super) low: u64,
    pub(super) word: EntryWord,
}

/// Content and month. What agrees in both is the same event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EntryWord(pub(super) u64);

const MONTH_MASK: u64 = (1 << Month::BITS) - 1;

impl EntryWord {
    #[inline]
    fn new(content: u64, month: Month) -> Self {
        Self((content & !MONTH_MASK) | u64::from(month.number()))
    }

    #[inline]
    pub(super) const fn month(self) -> Month {
        Month::since_1970((self.0 & MONTH_MASK) as u16)
    }
}

impl Entry {
    /// The month of its event time.
    #[must_use]
    pub const fn month(&self) -> Month {
        self.word.month()
    }

    /// The place, which stands for the identity.
    #[inline]
    pub(super) const fn place(&self) -> u128 {
        ((self.high as u128) << 64) | self.low as u128
    }

    /// Its bytes in a run.
    #[inline]
    #[must_use]
    pub fn to_bytes(self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        let words = [self.high, self.low, self.word.0];
        for (bytes, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *bytes = word.to_le_bytes();
        }
        bytes
    }

    /// The entry of such bytes.
    #[inline]
    #[must_use]
    pub const fn from_bytes(bytes: &[u8; ENTRY_BYTES]) -> Self {
        let [high, low, word] = match bytes.as_chunks::<8>().0 {
            [high, low, word] => {
                [u64::from_le_bytes(*high), u64::from_le_bytes(*low), u64::from_le_bytes(*word)]
            }
            _ => [0; 3],
        };
        Self { high, low, word: EntryWord(word) }
    }
}

/// The secret that places identities.
#[derive(Clone, Copy, Debug)]
pub struct Placement([[u64; 2]; 4]);

impl Placement {
    /// That of a key.
    #[must_use]
    pub fn new(key: &HashKey) -> Self {
        let mut rounds = [[0; 2]; 4];
        for (number, round) in (0..).zip(&mut rounds) {
            let [mask, factor] = key.placement(number);
            *round = [mask, factor | 1];
        }
        Self(rounds)
    }

    /// What the index holds of an event with this identity, content hash and month.
    #[inline]
    #[must_use]
    pub fn entry(&self, identity: u128, content: u64, month: Month) -> Entry {
        let [mut low, mut high] = halves(identity);
        let [first, second, third, fourth] = self.0;
        low ^= round(high, first);
        high ^= round(low, second);
        low ^= round(high, third);
        high ^= round(low, fourth);
        Entry { high, low, word: EntryWord::new(content, month) }
    }
}

#[inline]
const fn round(half: u64, [mask, factor]: [u64; 2]) -> u64 {
    fold(half ^ mask, factor)
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves")]
#[inline]
const fn halves(number: u128) -> [u64; 2] {
    [number as u64, (number >> 64) as u64]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn identity_of(placement: &Placement, entry: &Entry) -> u128 {
        let (mut low, mut high) = (entry.low, entry.high);
        let [first, second, third, fourth] = placement.0;
        high ^= round(low, fourth);
        low ^= round(high, third);
        high ^= round(low, second);
        low ^= round(high, first);
        (u128::from(high) << 64) | u128::from(low)
    }

    proptest! {
        #[test]
        fn dedup_1_a_place_stands_for_its_identity(identity: u128, content: u64, month in 0u16..2048, seed: u64) {
            let placement = Placement::new(&HashKey::fixed(seed));
            let entry = placement.entry(identity, content, Month::since_1970(month));
            prop_assert_eq!(identity_of(&placement, &entry), identity);
            prop_assert_eq!(entry.month().number(), month);
            prop_assert_eq!(entry.word.0 >> 11, content >> 11);
            prop_assert_eq!(Entry::from_bytes(&entry.to_bytes()), entry);
        }
    }

    #[test]
    fn dedup_1_identities_that_differ_little_are_spread_evenly() {
        let placement = Placement::new(&HashKey::fixed(5));
        for shift in [0, 40, 64, 100] {
            let mut counts = [0usize; 64];
            for number in 0..64_000u128 {
                counts[usize::try_from(placement.entry(number << shift, 0, Month::default()).high >> 58)
                    .unwrap()] += 1;
            }
            assert!(counts.iter().all(|count| (850..1150).contains(count)), "{shift}: {counts:?}");
        }
    }
}
