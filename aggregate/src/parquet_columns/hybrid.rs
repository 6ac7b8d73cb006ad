//! Parquet's hybrid of run-length encoding and bit packing, for dictionary numbers and levels.
//!
//! ```text
//! run     = varint(count << 1)       value in whole bytes
//! packed  = varint(groups << 1 | 1)  groups of eight values, each value `width` bits, low bits first
//! ```

/// Values that are packed together; a run is at least this long.
const GROUP: usize = 8;

/// Bits that numbers below `count` need.
pub(crate) const fn width_of(count: usize) -> u8 {
    match count.checked_sub(1) {
        #[expect(clippy::cast_possible_truncation, reason = "at most 64")]
        Some(largest) => (usize::BITS - largest.leading_zeros()) as u8,
        None => 0,
    }
}

/// Appends the encoding of values that fit `width` bits, at most 32.
pub(crate) fn encode(values: &[u32], width: u8, out: &mut Vec<u8>) {
    let mut packed_from = 0;
    let mut at = 0;
    while let Some(group) = values.get(at..at + GROUP) {
        let first = group.first().copied().unwrap_or(0);
        if group.iter().all(|value| *value == first) {
            pack(values.get(packed_from..at).unwrap_or_default(), width, out);
            let rest = values.get(at..).unwrap_or_default();
            let length = rest.iter().take_while(|value| **value == first).count();
            varint((length as u64) << 1, out);
            out.extend_from_slice(
                first.to_le_bytes().get(..usize::from(width.div_ceil(8))).unwrap_or_default(),
            );
            at += length;
            packed_from = at;
        } else {
            at += GROUP;
        }
    }
    pack(values.get(packed_from..).unwrap_or_default(), width, out);
}

/// Appends values bit-packed; the last group is filled up with zeros.
fn pack(values: &[u32], width: u8, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    varint(((values.len().div_ceil(GROUP) as u64) << 1) | 1, out);
    let (groups, rest) = values.as_chunks::<GROUP>();
    for group in groups {
        pack_group(group, width, out);
    }
    if !rest.is_empty() {
        let mut group = [0; GROUP];
        for (place, value) in group.iter_mut().zip(rest) {
            *place = *value;
        }
        pack_group(&group, width, out);
    }
}

#[inline]
fn pack_group(group: &[u32; GROUP], width: u8, out: &mut Vec<u8>) {
    let end = out.len() + usize::from(width);
    // Whole numbers are copied faster than parts of them; what is too much is cut off.
    if width <= 8 {
        let bits = group.iter().rev().fold(0u64, |bits, value| (bits << width) | u64::from(*value));
        out.extend_from_slice(&bits.to_le_bytes());
        out.truncate(end);
        return;
    }
    if width <= 16 {
        let bits = group.iter().rev().fold(0u128, |bits, value| (bits << width) | u128::from(*value));
        out.extend_from_slice(&bits.to_le_bytes());
        out.truncate(end);
        return;
    }
    // Four values fit a number, and the other four begin in what is left of it.
    let (low, high) = group.split_at(GROUP / 2);
    let four =
        |values: &[u32]| values.iter().rev().fold(0u128, |bits, value| (bits << width) | u128::from(*value));
    let (low, high) = (four(low), four(high));
    let low_bits = u32::from(width) * 4;
    let first = low | high.checked_shl(low_bits).unwrap_or(0);
    let second = high >> (u128::BITS - low_bits);
    out.extend_from_slice(&first.to_le_bytes());
    out.extend_from_slice(&second.to_le_bytes());
    out.truncate(end);
}

/// Appends an unsigned number, seven bits a byte, low bits first.
pub(crate) fn varint(value: u64, out: &mut Vec<u8>) {
    let mut value = value;
    while value >= 0x80 {
        #[expect(clippy::cast_possible_truncation, reason = "seven bits and a flag")]
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 0x80")]
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An independent reading of the format.
    fn decode(bytes: &[u8], width: u8, count: usize) -> Vec<u32> {
        let mut values = Vec::new();
        let mut at = 0;
        while values.len() < count {
            let mut header = 0u64;
            for shift in (0..).step_by(7) {
                header |= u64::from(bytes[at] & 0x7f) << shift;
                at += 1;
                if bytes[at - 1] < 0x80 {
                    break;
                }
            }
            if header & 1 == 0 {
                let length = usize::from(width.div_ceil(8));
                let mut value = [0; 4];
                value[..length].copy_from_slice(&bytes[at..at + length]);
                at += length;
                values.extend(std::iter::repeat_n(
                    u32::from_le_bytes(value),
                    usize::try_from(header >> 1).unwrap(),
                ));
            } else {
                for index in 0..usize::try_from(header >> 1).unwrap() * 8 {
                    let bit = |bit: usize| u32::from(bytes[at + bit / 8] >> (bit % 8) & 1);
                    let from = index * usize::from(width);
                    values.push((0..usize::from(width)).map(|b| bit(from + b) << b).sum());
                }
                at += usize::try_from(header >> 1).unwrap() * usize::from(width);
            }
        }
        assert_eq!(at, bytes.len());
        values.truncate(count);
        values
    }

    #[test]
    fn widths() {
        for (count, width) in [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (256, 8), (257, 9)] {
            assert_eq!(width_of(count), width, "{count}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            runs in prop::collection::vec((any::<u32>(), 1usize..40), 0..60),
            width in 0u8..=32,
        ) {
            let mask = if width == 32 { u32::MAX } else { (1u32 << width) - 1 };
            let values: Vec<u32> =
                runs.iter().flat_map(|(value, length)| std::iter::repeat_n(value & mask, *length)).collect();
            let mut bytes = Vec::new();
            encode(&values, width, &mut bytes);
            prop_assert_eq!(decode(&bytes, width, values.len()), values);
        }

        #[test]
        fn values_without_runs_are_decoded(values in prop::collection::vec(0u32..70_000, 0..300)) {
            let mut bytes = Vec::new();
            encode(&values, 17, &mut bytes);
            prop_assert_eq!(decode(&bytes, 17, values.len()), values);
        }
    }
}
