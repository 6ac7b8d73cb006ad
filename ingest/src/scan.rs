//! Finds where JSON strings and numbers end.
//!
//! Many bytes at a time. Input is padded with [`PADDING`] zero bytes; a zero is a control
//! character, so a scan always stops inside.

use wide::u8x16;

/// Zero bytes that follow every decoded buffer.
pub(crate) const PADDING: usize = 32;

/// The bytes from a position on, if there are so many.
#[inline]
pub(crate) fn block_at<const BYTES: usize>(bytes: &[u8], at: usize) -> Option<&[u8; BYTES]> {
    bytes.get(at..at.wrapping_add(BYTES))?.try_into().ok()
}

/// Position of the first `"`, `\` or byte below 0x20 at or after `from`.
#[inline]
pub(crate) fn string_stop(bytes: &[u8], from: usize) -> usize {
    match block_at(bytes, from).map(stop_in_block) {
        Some(Some(stop)) => from + stop,
        Some(None) => long_string_stop(bytes, from + 16),
        None => long_string_stop(bytes, from),
    }
}

/// The same for a string that is longer than a block; apart, so that short ones take few registers.
#[inline(never)]
fn long_string_stop(bytes: &[u8], from: usize) -> usize {
    let mut position = from;
    while let Some(block) = block_at(bytes, position) {
        if let Some(stop) = stop_in_block(block) {
            return position + stop;
        }
        position += 16;
    }
    let rest = bytes.get(position..).unwrap_or_default();
    position + rest.iter().position(|byte| is_stop(*byte)).unwrap_or(rest.len())
}

/// Number of decimal digits from `from` on.
#[inline]
pub(crate) fn digits_end(bytes: &[u8], from: usize) -> usize {
    let mut position = from;
    while let Some(block) = block_at(bytes, position) {
        let others = non_digits_in(u64::from_le_bytes(*block));
        if others != 0 {
            return position + (others.trailing_zeros() / 8) as usize;
        }
        position += 8;
    }
    let rest = bytes.get(position..).unwrap_or_default();
    position + rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len())
}

/// A bit for every byte of a block that is a decimal digit.
#[inline]
pub(crate) fn digits_in_block(block: &[u8; 16]) -> u32 {
    let above_zero = u8x16::new(*block) ^ u8x16::splat(0x30);
    above_zero.min(u8x16::splat(9)).simd_eq(above_zero).to_bitmask()
}

/// A bit for every byte of a block that is `byte`.
#[inline]
pub(crate) fn bytes_in_block(block: &[u8; 16], byte: u8) -> u32 {
    u8x16::new(*block).simd_eq(u8x16::splat(byte)).to_bitmask()
}

/// Bits in every byte that is no decimal digit; exact for the first such byte.
#[inline]
const fn non_digits_in(block: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    // A digit differs from 0x30 by 0 to 9: no bit of the high half, nor after adding 6.
    let difference = block ^ (ONES * 0x30);
    let above_nine = (difference & (ONES * 0x0f)) + ONES * 6;
    (difference | above_nine) & (ONES * 0xf0)
}

const fn is_stop(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | 0..0x20)
}

/// Position of the first byte of a block that stops a string.
#[inline]
fn stop_in_block(block: &[u8; 16]) -> Option<usize> {
    let block = u8x16::new(*block);
    let quote = block.simd_eq(u8x16::splat(b'"'));
    let backslash = block.simd_eq(u8x16::splat(b'\\'));
    let control = block.min(u8x16::splat(0x1f)).simd_eq(block);
    let stops = (quote | backslash | control).to_bitmask();
    (stops != 0).then(|| stops.trailing_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn finds_the_same_place_as_a_byte_loop(text in prop::collection::vec(any::<u8>(), 0..80), from in 0usize..40) {
            let expected = (from..text.len()).find(|at| is_stop(text[*at])).unwrap_or(text.len().max(from));
            prop_assert_eq!(string_stop(&text, from), expected);
            let expected = (from..text.len()).find(|at| !text[*at].is_ascii_digit()).unwrap_or(text.len().max(from));
            prop_assert_eq!(digits_end(&text, from), expected);
        }

        #[test]
        fn finds_the_end_of_digits(text in "[0-9]{0,40}.{0,20}", from in 0usize..40) {
            let text = text.as_bytes();
            let expected = (from..text.len()).find(|at| !text[*at].is_ascii_digit()).unwrap_or(text.len().max(from));
            prop_assert_eq!(digits_end(text, from), expected);
        }
    }
}
