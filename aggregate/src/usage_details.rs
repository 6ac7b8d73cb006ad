//! What a charge depends on and rated usage does not say: the value that a `unique` meter counted, as a hash, and
//! a price that came with the event.
//!
//! An entry is 36 bytes, little-endian: row among the rated usage of the epoch, measure, price of the event.

/// Bytes of an entry.
const BYTES: usize = 36;

/// Of a row of rated usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UsageDetail {
    /// Position of the row in the epoch.
    pub(crate) row: u32,
    /// What the meter measured.
    pub(crate) measure: i128,
    /// Price or amount that came with the event, in `10^-18`.
    pub(crate) event_price: i128,
}

impl UsageDetail {
    /// Appends the entry.
    pub(crate) fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.row.to_le_bytes());
        to.extend_from_slice(&self.measure.to_le_bytes());
        to.extend_from_slice(&self.event_price.to_le_bytes());
    }

    /// How many entries there are in some bytes.
    pub(crate) const fn count(bytes: &[u8]) -> u64 {
        (bytes.len() / BYTES) as u64
    }

    /// Reads entries.
    pub(crate) fn read(bytes: &[u8]) -> Vec<Self> {
        let entry = |bytes: &[u8; BYTES]| {
            let [row, measure @ ..] = bytes.as_chunks::<4>().0 else { return None };
            let wide =
                |words: &[[u8; 4]]| words.as_flattened().first_chunk().map(|word| i128::from_le_bytes(*word));
            Some(Self {
                row: u32::from_le_bytes(*row),
                measure: wide(measure.get(..4)?)?,
                event_price: wide(measure.get(4..)?)?,
            })
        };
        bytes.as_chunks::<BYTES>().0.iter().filter_map(entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(entries in prop::collection::vec(any::<(u32, i128, i128)>(), 0..20)) {
            let entries: Vec<_> = entries
                .into_iter()
                .map(|(row, measure, event_price)| UsageDetail { row, measure, event_price })
                .collect();
            let mut bytes = Vec::new();
            for entry in &entries {
                entry.write(&mut bytes);
            }
            prop_assert_eq!(UsageDetail::read(&bytes), entries);
        }
    }
}
