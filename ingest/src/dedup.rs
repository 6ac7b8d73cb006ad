//! Admits every event identity once (DEDUP-1).
//!
//! The first event of an identity stays; a later one is a duplicate if its content is the same and a
//! conflict if it is not. Time plays no part: an identity is remembered as long as the table lives.
//! The machine is synchronous and does no IO; verdicts depend only on the order of its input.
//!
//! Identities and contents lie in the order they came, in shards by a keyed hash of the identity. A
//! table of slots, open addressing with linear probing, says where each is: a slot is eight bytes, a part
//! of the hash and the number of the entry, so that a new identity touches one cache line at random and
//! an entry is read only where the part of the hash agrees. Shards grow one at a time, so growing never
//! holds two copies of everything. A probe is a cache miss: [`Dedup::admit_all`] touches the home slots of
//! a run of events before it decides them, so that the misses overlap.

use crate::keyed_hash::{HashKey, fold};

/// Bits of an identity's place that choose its shard.
const SHARD_BITS: u32 = 6;

/// Shards.
const SHARDS: usize = 1 << SHARD_BITS;

/// Slots of an empty shard.
const SHARD_SLOTS_MIN: usize = 64;

/// Events whose slots are touched ahead.
const TOUCH_AHEAD: usize = 32;

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admit {
    /// Its identity is new: it is counted.
    Accept,
    /// It was counted before, with the same content.
    Duplicate,
    /// Its identity was counted before, with other content.
    Conflict,
}

/// The identities counted so far.
#[derive(Debug)]
pub struct Dedup {
    shards: Vec<Shard>,
    /// Secret that places identities, so that nobody can choose ids that crowd one place.
    placement: [u64; 2],
}

#[derive(Debug, Default)]
struct Shard {
    slots: Vec<Slot>,
    entries: Vec<Entry>,
}

/// The low half of an identity's place above the number of its entry, from 1; 0 is an empty slot.
type Slot = u64;

/// An identity and its content.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Low half, high half: a `u128` would take up eight bytes more.
    identity: [u64; 2],
    content: u64,
}

impl Dedup {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(key: &HashKey) -> Self {
        let shard = || Shard { slots: vec![0; SHARD_SLOTS_MIN], entries: Vec::new() };
        Self { shards: std::iter::repeat_with(shard).take(SHARDS).collect(), placement: key.placement() }
    }

    /// Makes room for this many identities in all, so that they come in without growing step by step.
    pub fn reserve(&mut self, identities: usize) {
        // Shards differ by chance; an eighth more covers that.
        let in_shard = identities / SHARDS + identities / SHARDS / 8;
        for shard in &mut self.shards {
            shard.entries.reserve_exact(in_shard.saturating_sub(shard.entries.len()));
            shard.resize(in_shard * 10 / 7 + 1, self.placement);
        }
    }

    /// Identities counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.entries.len()).sum()
    }

    /// Is nothing counted yet?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory the table holds.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let bytes = |shard: &Shard| {
            shard.slots.capacity() * size_of::<Slot>() + shard.entries.capacity() * size_of::<Entry>()
        };
        self.shards.iter().map(bytes).sum()
    }

    /// Decides events in order; verdicts are appended, one per event.
    pub fn admit_all(&mut self, identities: &[u128], contents: &[u64], verdicts: &mut Vec<Admit>) {
        verdicts.reserve(identities.len());
        let mut places = [0; TOUCH_AHEAD];
        for (identities, contents) in identities.chunks(TOUCH_AHEAD).zip(contents.chunks(TOUCH_AHEAD)) {
            for (place, identity) in places.iter_mut().zip(identities) {
                *place = place_of(halves(*identity), self.placement);
            }
            let touched = places.iter().fold(0, |touched, place| touched ^ self.touch(*place));
            std::hint::black_box(touched);
            for ((place, identity), content) in places.iter().zip(identities).zip(contents) {
                verdicts.push(self.admit_at(*place, *identity, *content));
            }
        }
    }

    /// Decides one event.
    #[inline]
    pub fn admit(&mut self, identity: u128, content: u64) -> Admit {
        self.admit_at(place_of(halves(identity), self.placement), identity, content)
    }

    #[inline]
    fn admit_at(&mut self, place: u64, identity: u128, content: u64) -> Admit {
        let Some(shard) = self.shards.get_mut(shard_of(place)) else { return Admit::Accept };
        let verdict = shard.admit(identity, place, content);
        if shard.entries.len() * 10 > shard.slots.len() * 7 {
            shard.resize(shard.slots.len() * 3 / 2, self.placement);
        }
        verdict
    }

    /// Loads the home slot of a place; the load does not wait for others.
    #[inline]
    fn touch(&self, place: u64) -> Slot {
        let slot = self.shards.get(shard_of(place)).and_then(|shard| shard.slots.get(shard.home(place)));
        slot.copied().unwrap_or(0)
    }
}

impl Shard {
    /// Where an identity's slot would be in a table without collisions.
    #[expect(clippy::cast_possible_truncation, reason = "a product's high half is below the slot count")]
    #[inline]
    fn home(&self, place: u64) -> usize {
        ((u128::from(place << SHARD_BITS) * self.slots.len() as u128) >> 64) as usize
    }

    #[inline]
    fn admit(&mut self, identity: u128, place: u64, content: u64) -> Admit {
        let mut position = self.home(place);
        loop {
            let Some(slot) = self.slots.get_mut(position) else {
                position = 0;
                continue;
            };
            if *slot == 0 {
                self.entries.push(Entry { identity: halves(identity), content });
                *slot = slot_of(place, self.entries.len());
                return Admit::Accept;
            }
            if is_tagged(*slot, place)
                && let Some(entry) = self.entries.get(entry_of(*slot))
                && entry.identity == halves(identity)
            {
                return if entry.content == content { Admit::Duplicate } else { Admit::Conflict };
            }
            position += 1;
        }
    }

    /// Moves to a table of this many slots, if it is larger.
    #[cold]
    fn resize(&mut self, length: usize, placement: [u64; 2]) {
        if length <= self.slots.len() {
            return;
        }
        self.slots = vec![0; length];
        for (number, entry) in (1..).zip(&self.entries) {
            let place = place_of(entry.identity, placement);
            let mut position = self.home(place);
            while self.slots.get(position).is_some_and(|slot| *slot != 0) {
                position += 1;
                if position == length {
                    position = 0;
                }
            }
            if let Some(slot) = self.slots.get_mut(position) {
                *slot = slot_of(place, number);
            }
        }
    }
}

/// The slot of an entry, given by its number from 1.
///
/// A shard of more entries than a slot can number would take more than a hundred gigabytes.
#[inline]
const fn slot_of(place: u64, number: usize) -> Slot {
    (place << 32) | (number as u64 & 0xffff_ffff)
}

/// May the slot be that of an identity with this place?
#[inline]
const fn is_tagged(slot: Slot, place: u64) -> bool {
    (slot ^ (place << 32)) >> 32 == 0
}

/// Position of a slot's entry.
#[inline]
const fn entry_of(slot: Slot) -> usize {
    (slot & 0xffff_ffff) as usize - 1
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves")]
#[inline]
const fn halves(identity: u128) -> [u64; 2] {
    [identity as u64, (identity >> 64) as u64]
}

/// A number that only the secret ties to the identity: its top bits choose the shard, the others the
/// slot.
#[inline]
const fn place_of(identity: [u64; 2], placement: [u64; 2]) -> u64 {
    fold(identity[0] ^ placement[0], identity[1] ^ placement[1])
}

#[inline]
const fn shard_of(place: u64) -> usize {
    (place >> (64 - SHARD_BITS)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn model(events: &[(u128, u64)]) -> Vec<Admit> {
        let mut first: HashMap<u128, u64> = HashMap::new();
        let mut verdicts = Vec::new();
        for (identity, content) in events {
            let known = first.get(identity).copied();
            verdicts.push(match known {
                None => Admit::Accept,
                Some(first) if first == *content => Admit::Duplicate,
                Some(_) => Admit::Conflict,
            });
            first.entry(*identity).or_insert(*content);
        }
        verdicts
    }

    #[test]
    fn dedup_1_identities_of_one_place_are_told_apart() {
        let mut dedup = Dedup::new(&HashKey::fixed(3));
        dedup.placement = [0, 0];
        let identities: Vec<u128> = (0..500).chain(0..500).collect();
        let mut verdicts = Vec::new();
        dedup.admit_all(&identities, &vec![7; identities.len()], &mut verdicts);
        assert!(verdicts[..500].iter().all(|verdict| *verdict == Admit::Accept));
        assert!(verdicts[500..].iter().all(|verdict| *verdict == Admit::Duplicate));
    }

    proptest! {
        #[test]
        fn dedup_1_verdicts_are_those_of_a_map(
            events in prop::collection::vec((0u128..400, 0u64..3), 0..2000),
            spread in prop::sample::select(vec![1u128, 0x1_0000_0001, u128::MAX / 401]),
            reserved in 0usize..2000,
        ) {
            // Spread 0 and near values over and into the same shards and slots.
            let events: Vec<(u128, u64)> = events.into_iter().map(|(identity, content)| (identity * spread, content)).collect();
            let (identities, contents): (Vec<_>, Vec<_>) = events.iter().copied().unzip();
            let mut dedup = Dedup::new(&HashKey::fixed(3));
            dedup.reserve(reserved);
            let mut verdicts = Vec::new();
            dedup.admit_all(&identities, &contents, &mut verdicts);
            prop_assert_eq!(&verdicts, &model(&events));
            prop_assert_eq!(dedup.len(), verdicts.iter().filter(|verdict| **verdict == Admit::Accept).count());
        }

        #[test]
        fn dedup_1_a_replay_counts_nothing(identities in prop::collection::vec(any::<u128>(), 0..3000)) {
            let contents = vec![7; identities.len()];
            let mut dedup = Dedup::new(&HashKey::fixed(3));
            dedup.admit_all(&identities, &contents, &mut Vec::new());
            let counted = dedup.len();
            let mut verdicts = Vec::new();
            dedup.admit_all(&identities, &contents, &mut verdicts);
            prop_assert!(verdicts.iter().all(|verdict| *verdict == Admit::Duplicate));
            prop_assert_eq!(dedup.len(), counted);
        }
    }
}
