//! Reads the text of a number digit by digit; nothing is lost on the way and no text panics.

use crate::decimal::{DecimalError, NUMBER_DIGITS_MAX};

/// The parts of a number's text: sign, significant digits and decimal exponent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts {
    pub(crate) negative: bool,
    /// `None` where there are more than fit.
    pub(crate) digits: Option<u128>,
    pub(crate) exponent: i64,
}

/// Reads `-digits.digits e exponent`; leading zeros and a leading `+` are allowed.
pub(crate) fn scan(text: &[u8]) -> Result<Parts, DecimalError> {
    let (negative, mut rest) = split_sign(text);
    let mut digits: Option<u128> = Some(0);
    // Zeros are held back until another digit follows, so `1.000…0` needs no room.
    let mut zeros_held: u32 = 0;
    let mut fraction_digits: i64 = 0;
    let mut exponent: i64 = 0;
    let mut in_fraction = false;
    let mut digits_seen = 0usize;
    let mut part_is_empty = true;
    while let [byte, tail @ ..] = rest {
        match byte {
            b'0'..=b'9' => {
                digits_seen += 1;
                if digits_seen > NUMBER_DIGITS_MAX {
                    return Err(too_long(rest));
                }
                part_is_empty = false;
                fraction_digits += i64::from(in_fraction);
                if *byte == b'0' {
                    zeros_held += u32::from(digits != Some(0));
                } else {
                    let factor = 10u128.checked_pow(zeros_held + 1);
                    digits = digits
                        .and_then(|digits| digits.checked_mul(factor?))
                        .and_then(|shifted| shifted.checked_add(u128::from(byte - b'0')));
                    zeros_held = 0;
                }
            }
            b'.' if !in_fraction && !part_is_empty => {
                in_fraction = true;
                part_is_empty = true;
            }
            b'e' | b'E' if !part_is_empty => {
                exponent = scan_exponent(tail)?;
                rest = &[];
                continue;
            }
            _ => return Err(DecimalError::NotANumber),
        }
        rest = tail;
    }
    if part_is_empty {
        return Err(DecimalError::NotANumber);
    }
    Ok(Parts { negative, digits, exponent: exponent - fraction_digits + i64::from(zeros_held) })
}

/// A run of digits over the limit is only "too long" when the rest is a number as well.
fn too_long(rest: &[u8]) -> DecimalError {
    let numeric = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-');
    if rest.iter().all(numeric) { DecimalError::TooLong } else { DecimalError::NotANumber }
}

fn scan_exponent(text: &[u8]) -> Result<i64, DecimalError> {
    let (negative, digits) = split_sign(text);
    if digits.is_empty() {
        return Err(DecimalError::NotANumber);
    }
    let mut value: i64 = 0;
    for byte in digits {
        if !byte.is_ascii_digit() {
            return Err(DecimalError::NotANumber);
        }
        // Saturating keeps `1e99999999999` a number that is out of range, not a parse failure.
        value = value.saturating_mul(10).saturating_add(i64::from(byte - b'0')).min(1 << 40);
    }
    Ok(if negative { -value } else { value })
}

/// Digits with or without a point among them, in up to 18 bytes: what almost every quantity on the hot path
/// is. The digits as one integer, and how many of them follow the point.
pub(crate) fn plain_number(text: &[u8]) -> Option<(u64, u8)> {
    if text.len() > 18 {
        return None;
    }
    let (whole, rest) = read_digits(0, text);
    match rest {
        _ if rest.len() == text.len() => None,
        [] => Some((whole, 0)),
        [b'.', fraction @ ..] if !fraction.is_empty() => {
            let (digits, rest) = read_digits(whole, fraction);
            let places = u8::try_from(fraction.len()).ok()?;
            rest.is_empty().then_some((digits, places))
        }
        _ => None,
    }
}

/// Appends the digits at the beginning of a text to those of a number; what follows them.
fn read_digits(mut number: u64, mut text: &[u8]) -> (u64, &[u8]) {
    while let [digit @ b'0'..=b'9', rest @ ..] = text {
        number = number * 10 + u64::from(digit - b'0');
        text = rest;
    }
    (number, text)
}

/// Is there a minus sign, and what follows the sign.
fn split_sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] | rest => (false, rest),
    }
}
