//! UUIDs in their one canonical text: 36 characters, lower case.
//!
//! Only that text becomes 16 bytes, so bytes and text stand for each other; any other form of a UUID
//! is an id like any other.

use wide::bytemuck::cast;
use wide::{u8x16, u16x8};

/// The bytes of a canonical UUID.
#[inline]
pub(crate) fn parse_uuid(text: &[u8]) -> Option<[u8; 16]> {
    let text: &[u8; 36] = text.try_into().ok()?;
    let dashes = [text[8], text[13], text[18], text[23]];
    let four = |at: usize| text.get(at..).and_then(<[u8]>::first_chunk).map(|four| u32::from_le_bytes(*four));
    let eight =
        |first: usize, second: usize| Some(u64::from(four(first)?) | (u64::from(four(second)?) << 32));
    let digits = [[eight(0, 4)?, eight(9, 14)?], [eight(19, 24)?, eight(28, 32)?]];
    let [first, second] = digits.map(|digits| hex_values(cast(digits)));
    let largest = first.max(second);
    if !largest.simd_eq(largest.min(u8x16::splat(0x0f))).all() || dashes != *b"----" {
        return None;
    }
    Some(u8x16::narrow_i16x8(cast(pairs(first)), cast(pairs(second))).to_array())
}

/// Values of hexadecimal digits in lower case; 16 and more for other bytes.
#[inline]
fn hex_values(digits: u8x16) -> u8x16 {
    // Digits become the ten largest bytes, so that of all bytes only they are from 0xf0 on, less 6. Letters
    // become the six smallest, so that only they are below 16, plus 10.
    let decimal = (digits + u8x16::splat(0xff - b'9')).saturating_sub(u8x16::splat(6)) - u8x16::splat(0xf0);
    let letter = (digits - u8x16::splat(b'a')).saturating_add(u8x16::splat(10));
    decimal.min(letter)
}

/// Pairs of values below 16 as numbers, the first of a pair the higher half.
#[inline]
fn pairs(values: u8x16) -> u16x8 {
    let pairs: u16x8 = cast(values);
    ((pairs << 4) | (pairs >> 8)) & u16x8::splat(0xff)
}

/// The canonical text of a UUID.
#[must_use]
pub fn uuid_text(uuid: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (position, byte) in uuid.iter().enumerate() {
        if matches!(position, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 0x0f] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or_default());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_canonical_text_is_a_uuid() {
        let uuid = parse_uuid(b"01234567-89ab-cdef-0123-456789abcdef").unwrap();
        assert_eq!(uuid, *b"\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef");
        for text in [
            "01234567-89AB-cdef-0123-456789abcdef",
            "01234567-89ab-cdef-0123-456789abcde",
            "01234567x89ab-cdef-0123-456789abcdef",
            "01234567-89ab-cdef-0123-456789abcdeg",
            "0123456789abcdef0123456789abcdef",
            "",
        ] {
            assert_eq!(parse_uuid(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn no_other_byte_is_a_digit() {
        let text = *b"00000000-0000-0000-0000-000000000000";
        for at in (0..36).filter(|at| ![8, 13, 18, 23].contains(at)) {
            for byte in 0..=u8::MAX {
                let mut text = text;
                text[at] = byte;
                let is_digit = matches!(byte, b'0'..=b'9' | b'a'..=b'f');
                assert_eq!(parse_uuid(&text).is_some(), is_digit, "{byte} at {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn bytes_are_those_of_the_text(bytes in any::<[u8; 16]>()) {
            let hex = format!("{:032x}", u128::from_be_bytes(bytes));
            let text = format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
            prop_assert_eq!(parse_uuid(text.as_bytes()), Some(bytes));
            prop_assert_eq!(uuid_text(&bytes), text);
        }
    }
}
