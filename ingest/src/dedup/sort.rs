//! Sorts entries by place. Places are even, so a part of the place says nearly where an entry comes.

use super::entry::Entry;

/// Entries that are sorted as they are.
const SMALL: usize = 4_096;

/// Entries of a part, about: as many as are sorted without much ado.
const PART_ENTRIES: usize = 64;

/// Bits of a place that choose a part, at most: more parts than pages at hand cost more than they save.
const PART_BITS_MAX: u32 = 14;

/// Sorts by place.
pub(super) fn sort_by_place(entries: &mut Vec<Entry>) {
    if entries.len() < SMALL {
        entries.sort_unstable_by_key(Entry::place);
        return;
    }
    let bits = (entries.len() / PART_ENTRIES).ilog2().min(PART_BITS_MAX);
    let mut ends = vec![0usize; 1 << bits];
    for entry in entries.iter() {
        if let Some(count) = ends.get_mut(part_of(entry, bits)) {
            *count += 1;
        }
    }
    // Counts become starts; a start that has moved past its entries is an end.
    let mut start = 0;
    for end in &mut ends {
        start += std::mem::replace(end, start);
    }
    let mut parted = vec![Entry::default(); entries.len()];
    for entry in entries.iter() {
        if let Some(next) = ends.get_mut(part_of(entry, bits))
            && let Some(slot) = parted.get_mut(*next)
        {
            *slot = *entry;
            *next += 1;
        }
    }
    let mut rest = parted.as_mut_slice();
    let mut start = 0;
    for end in ends {
        let (part, after) = rest.split_at_mut(end - start);
        part.sort_unstable_by_key(Entry::place);
        (rest, start) = (after, end);
    }
    *entries = parted;
}

#[expect(clippy::cast_possible_truncation, reason = "a few bits")]
#[inline]
const fn part_of(entry: &Entry, bits: u32) -> usize {
    (entry.high >> (64 - bits)) as usize
}

#[cfg(test)]
mod tests {
    use super::super::entry::Placement;
    use super::super::month::Month;
    use super::*;
    use crate::keyed_hash::HashKey;

    #[test]
    fn entries_come_in_order_of_their_places() {
        let placement = Placement::new(&HashKey::fixed(4));
        for count in [0, 1, 4_095, 4_096, 30_000] {
            let mut entries: Vec<Entry> =
                (0..count).map(|number| placement.entry(number, 0, Month::default())).collect();
            let mut expected = entries.clone();
            expected.sort();
            sort_by_place(&mut entries);
            assert_eq!(entries, expected);
        }
    }
}
