//! UUIDs in their one canonical text: 36 characters, lower case.
//!
//! Only that text becomes 16 bytes, so bytes and text stand for each other; any other form of a UUID
//! is an id like any other.

/// A one in every byte.
const ONES: u64 = u64::MAX / 0xff;

/// The bytes of a canonical UUID.
#[inline]
pub(crate) fn parse_uuid(text: &[u8]) -> Option<[u8; 16]> {
    let text: &[u8; 36] = text.try_into().ok()?;
    let dashes = [text[8], text[13], text[18], text[23]];
    let four = |at: usize| text.get(at..).and_then(<[u8]>::first_chunk).map(|four| u32::from_le_bytes(*four));
    let eight =
        |first: usize, second: usize| Some(u64::from(four(first)?) | (u64::from(four(second)?) << 32));
    let digits = [eight(0, 4)?, eight(9, 14)?, eight(19, 24)?, eight(28, 32)?];
    let values = digits.map(hex_values);
    let is_digits = digits.iter().zip(values).all(|(digits, values)| hex_digits(values) == *digits);
    let too_large = values.iter().fold(0, |bits, values| bits | values) & (ONES * 0xf0);
    if !is_digits || too_large != 0 || dashes != *b"----" {
        return None;
    }
    let [a, b, c, d] = values.map(|values| u128::from(pack(values)));
    Some((a | (b << 32) | (c << 64) | (d << 96)).to_le_bytes())
}

/// Values of eight hexadecimal digits; nonsense for other bytes.
#[inline]
const fn hex_values(digits: u64) -> u64 {
    (digits & (ONES * 0x0f)) + ((digits >> 6) & ONES) * 9
}

/// The lower-case digits of eight values. Wrapping, as nonsense may come in.
#[inline]
const fn hex_digits(values: u64) -> u64 {
    let is_letter = (values.wrapping_add(ONES * 6) >> 4) & ONES;
    values.wrapping_add(ONES * 0x30).wrapping_add(is_letter.wrapping_mul(0x27))
}

/// Four bytes of eight values below 16, the first the higher half of its byte.
#[expect(clippy::cast_possible_truncation, reason = "the values are in the low half")]
#[inline]
const fn pack(values: u64) -> u32 {
    let pairs = ((values << 4) | (values >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs | (pairs >> 8)) & 0x0000_ffff_0000_ffff;
    (fours | (fours >> 16)) as u32
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
