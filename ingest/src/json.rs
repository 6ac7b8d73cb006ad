//! JSON texts and numbers: where they end, what they mean, and their one canonical form.

use std::borrow::Cow;

use schemas::decimal::NUMBER_DIGITS_MAX;
use schemas::quarantine::RejectReason;

use crate::scan::{block_at, bytes_in_block, digits_end, digits_in_block, string_stop};

/// A fault in a record: why it is refused and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) reason: RejectReason,
    pub(crate) detail: Cow<'static, str>,
    /// Position in the batch's bytes, where one place is to blame.
    pub(crate) at: Option<usize>,
}

impl Fault {
    #[cold]
    pub(crate) fn at(reason: RejectReason, detail: &'static str, at: usize) -> Box<Self> {
        Box::new(Self { reason, detail: Cow::Borrowed(detail), at: Some(at) })
    }

    #[cold]
    pub(crate) fn malformed(detail: &'static str, at: usize) -> Box<Self> {
        Self::at(RejectReason::MalformedJson, detail, at)
    }

    #[cold]
    pub(crate) fn of(reason: RejectReason, detail: String) -> Box<Self> {
        Box::new(Self { reason, detail: Cow::Owned(detail), at: None })
    }
}

/// The byte at a position; 0 beyond the end, which no JSON text allows outside of escapes.
#[inline]
pub(crate) fn byte_at(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

/// First position at or after `at` that is not JSON white space.
#[inline(never)]
pub(crate) fn skip_space(bytes: &[u8], at: usize) -> usize {
    let mut at = at;
    while matches!(byte_at(bytes, at), b' ' | b'\t' | b'\n' | b'\r') {
        at += 1;
    }
    at
}

/// A JSON string's content.
#[derive(Debug)]
pub(crate) enum JsonText {
    /// Verbatim: from after the opening quote to this position.
    Verbatim(usize),
    /// With escapes, which are resolved; the position is that of the closing quote.
    Unescaped(Vec<u8>, usize),
}

/// Reads the string whose content begins at `at`, after the opening quote.
#[inline]
pub(crate) fn text(bytes: &[u8], at: usize) -> Result<JsonText, Box<Fault>> {
    let stop = string_stop(bytes, at);
    match byte_at(bytes, stop) {
        b'"' => Ok(JsonText::Verbatim(stop)),
        b'\\' => escaped_text(bytes, at, stop),
        _ => Err(unterminated(bytes, stop)),
    }
}

#[cold]
fn unterminated(bytes: &[u8], stop: usize) -> Box<Fault> {
    if matches!(byte_at(bytes, stop), b'\n' | b'\r' | 0) {
        Fault::malformed("a string has no closing quote", stop)
    } else {
        Fault::malformed("a control character in a string must be escaped", stop)
    }
}

#[cold]
fn escaped_text(bytes: &[u8], from: usize, stop: usize) -> Result<JsonText, Box<Fault>> {
    let mut content = bytes.get(from..stop).unwrap_or_default().to_vec();
    let mut at = stop;
    loop {
        match byte_at(bytes, at) {
            b'"' => return Ok(JsonText::Unescaped(content, at)),
            b'\\' => at = unescape(bytes, at + 1, &mut content)?,
            _ => return Err(unterminated(bytes, at)),
        }
        let stop = string_stop(bytes, at);
        content.extend_from_slice(bytes.get(at..stop).unwrap_or_default());
        at = stop;
    }
}

/// Resolves the escape whose letter is at `at`; the position after it.
fn unescape(bytes: &[u8], at: usize, content: &mut Vec<u8>) -> Result<usize, Box<Fault>> {
    let simple = match byte_at(bytes, at) {
        letter @ (b'"' | b'\\' | b'/') => letter,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => return unescape_unicode(bytes, at + 1, content),
        _ => return Err(Fault::malformed("an unknown escape in a string", at)),
    };
    content.push(simple);
    Ok(at + 1)
}

fn unescape_unicode(bytes: &[u8], at: usize, content: &mut Vec<u8>) -> Result<usize, Box<Fault>> {
    let lone = || Fault::malformed("half of a surrogate pair in a string", at);
    let first = four_hex_digits(bytes, at)?;
    let (code, after) = match first {
        0xd800..=0xdbff => {
            if bytes.get(at + 4..at + 6) != Some(b"\\u") {
                return Err(lone());
            }
            let second = four_hex_digits(bytes, at + 6)?;
            if !(0xdc00..=0xdfff).contains(&second) {
                return Err(lone());
            }
            (0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00), at + 10)
        }
        code => (code, at + 4),
    };
    let character = char::from_u32(code).ok_or_else(lone)?;
    content.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(after)
}

fn four_hex_digits(bytes: &[u8], at: usize) -> Result<u32, Box<Fault>> {
    let mut value = 0;
    for position in at..at + 4 {
        let digit = char::from(byte_at(bytes, position)).to_digit(16);
        value = value * 16
            + digit.ok_or_else(|| Fault::malformed("\\u needs four hexadecimal digits", position))?;
    }
    Ok(value)
}

/// A JSON number's end, and whether its text is its canonical form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JsonNumber {
    pub(crate) end: usize,
    pub(crate) is_canonical: bool,
}

/// The end of a number, and that of its canonical form, which is the beginning of its text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShortNumber {
    pub(crate) end: usize,
    pub(crate) canonical_end: usize,
}

/// Reads the number that begins at `at` if it is short, not negative and without an exponent.
#[inline]
pub(crate) fn short_number(bytes: &[u8], at: usize) -> Option<ShortNumber> {
    let block = block_at(bytes, at)?;
    let digits = digits_in_block(block);
    let whole = digits.trailing_ones();
    if whole == 0 || (whole > 1 && block.starts_with(b"0")) {
        return None;
    }
    let (mut end, mut canonical_end) = (whole, whole);
    if *block.get(whole as usize)? == b'.' {
        let fraction = whole + 1;
        end = fraction + (digits >> fraction).trailing_ones();
        if end == fraction {
            return None;
        }
        // Zeros at the end of a fraction mean nothing, nor does a point without a fraction.
        let significant = (digits & !bytes_in_block(block, b'0')) & ((1 << end) - (1 << fraction));
        if significant != 0 {
            canonical_end = u32::BITS - significant.leading_zeros();
        }
    }
    let has_exponent = matches!(block.get(end as usize)?, b'e' | b'E');
    (!has_exponent)
        .then(|| ShortNumber { end: at + end as usize, canonical_end: at + canonical_end as usize })
}

/// Reads the number that begins at `at`.
pub(crate) fn number(bytes: &[u8], at: usize) -> Result<JsonNumber, Box<Fault>> {
    let negative = byte_at(bytes, at) == b'-';
    let start = at + usize::from(negative);
    let mut end = digits_end(bytes, start);
    let whole_digits = end - start;
    let leading_zero = byte_at(bytes, start) == b'0';
    if whole_digits == 0 || (leading_zero && whole_digits > 1) {
        return Err(Fault::malformed("a number begins with a digit, and with 0 only before a point", at));
    }
    let mut digits = whole_digits;
    let mut is_canonical = !(negative && leading_zero);
    if byte_at(bytes, end) == b'.' {
        let fraction = end + 1;
        end = digits_end(bytes, fraction);
        if end == fraction {
            return Err(Fault::malformed("a number has no digit after its point", end));
        }
        digits += end - fraction;
        is_canonical = byte_at(bytes, end - 1) != b'0';
    }
    if matches!(byte_at(bytes, end), b'e' | b'E') {
        let sign = usize::from(matches!(byte_at(bytes, end + 1), b'+' | b'-'));
        let exponent = end + 1 + sign;
        end = digits_end(bytes, exponent);
        if end == exponent {
            return Err(Fault::malformed("a number has no digit in its exponent", end));
        }
        digits += end - exponent;
        is_canonical = false;
    }
    if digits > NUMBER_DIGITS_MAX {
        return Err(Fault::at(RejectReason::NumberTooLong, "a number is too long", at));
    }
    Ok(JsonNumber { end, is_canonical })
}

/// The canonical form of a valid number's text: no exponent, no zeros at either end that mean
/// nothing, no negative zero. Numbers too far from the point keep an exponent.
#[cold]
pub(crate) fn canonical_number(text: &[u8]) -> Vec<u8> {
    let (negative, unsigned) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let split = unsigned.iter().position(|byte| matches!(byte, b'e' | b'E'));
    let (plain, exponent) = split.map_or((unsigned, &b"0"[..]), |at| {
        (unsigned.get(..at).unwrap_or_default(), unsigned.get(at + 1..).unwrap_or_default())
    });
    let exponent = std::str::from_utf8(exponent).unwrap_or_default();
    let limit = if exponent.starts_with('-') { i64::MIN / 2 } else { i64::MAX / 2 };
    let mut exponent: i64 = exponent.parse().unwrap_or(limit);
    let point = plain.iter().position(|byte| *byte == b'.').unwrap_or(plain.len());
    exponent = exponent.saturating_sub_unsigned(plain.len().saturating_sub(point + 1) as u64);
    let mut digits: Vec<u8> =
        plain.iter().copied().filter(u8::is_ascii_digit).skip_while(|digit| *digit == b'0').collect();
    while digits.last() == Some(&b'0') {
        digits.pop();
        exponent = exponent.saturating_add(1);
    }
    if digits.is_empty() {
        return b"0".to_vec();
    }
    let mut canonical = if negative { vec![b'-'] } else { Vec::new() };
    let places = i64::try_from(digits.len()).unwrap_or(0);
    let point = places.saturating_add(exponent);
    let reach = i64::try_from(NUMBER_DIGITS_MAX).unwrap_or(0);
    if exponent >= 0 && point <= reach {
        canonical.extend_from_slice(&digits);
        canonical.extend((0..exponent).map(|_| b'0'));
    } else if exponent < 0 && point > 0 {
        let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or(0));
        canonical.extend_from_slice(whole);
        canonical.push(b'.');
        canonical.extend_from_slice(fraction);
    } else if exponent < 0 && -exponent <= reach {
        canonical.extend_from_slice(b"0.");
        canonical.extend((0..-point).map(|_| b'0'));
        canonical.extend_from_slice(&digits);
    } else {
        canonical.extend_from_slice(&digits);
        canonical.extend_from_slice(format!("e{exponent}").as_bytes());
    }
    canonical
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fmt::Write;

    #[test]
    fn numbers_and_their_canonical_form() {
        let cases: &[(&str, &str)] = &[
            ("0", "0"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("0e5", "0"),
            ("1", "1"),
            ("100", "100"),
            ("1.50", "1.5"),
            ("1.0", "1"),
            ("1e3", "1000"),
            ("1.5e1", "15"),
            ("12.5E-1", "1.25"),
            ("5e-3", "0.005"),
            ("-2.50e+2", "-250"),
            ("1e400", "1e400"),
            ("10e399", "1e400"),
            ("1e-400", "1e-400"),
            ("0.1e-399", "1e-400"),
            ("123456789012345678901234567890.10", "123456789012345678901234567890.1"),
        ];
        for (text, expected) in cases {
            let parsed = number(text.as_bytes(), 0).unwrap();
            assert_eq!(parsed.end, text.len(), "{text}");
            let canonical = String::from_utf8(canonical_number(text.as_bytes())).unwrap();
            assert_eq!(canonical, *expected, "{text}");
            assert!(!parsed.is_canonical || canonical == *text, "{text}");
        }
        for text in ["-", "01", "-01", "1.", "1e", "1e+", ".5", "+1"] {
            assert_eq!(number(text.as_bytes(), 0).unwrap_err().reason, RejectReason::MalformedJson, "{text}");
        }
        assert_eq!(number(&[b'9'; 65], 0).unwrap_err().reason, RejectReason::NumberTooLong);
        assert_eq!(number(&[b'9'; 64], 0).unwrap().end, 64);
    }

    proptest! {
        #[test]
        fn texts_mean_what_serde_json_says(text in any::<String>(), ascii in any::<bool>()) {
            let mut json = serde_json::to_string(&text).unwrap();
            if ascii {
                json = json.chars().fold(String::new(), |mut escaped, character| {
                    if character.is_ascii() { escaped.push(character); } else {
                        for unit in character.encode_utf16(&mut [0; 2]) { write!(escaped, "\\u{unit:04X}").unwrap(); }
                    }
                    escaped
                });
            }
            let bytes = json.as_bytes();
            match super::text(bytes, 1).unwrap() {
                JsonText::Verbatim(end) => prop_assert_eq!(&bytes[1..end], text.as_bytes()),
                JsonText::Unescaped(content, end) => {
                    prop_assert_eq!(content, text.as_bytes());
                    prop_assert_eq!(end, bytes.len() - 1);
                }
            }
        }

        #[test]
        fn short_numbers_are_what_the_general_reader_reads(text in "-?[0-9]{0,9}(\\.[0-9]{0,8})?[-.eE, }]?[0-9]{0,2}") {
            let bytes = [text.as_bytes(), &[0; 16]].concat();
            if let Some(short) = short_number(&bytes, 0) {
                let whole = number(&bytes, 0).unwrap();
                prop_assert_eq!(short.end, whole.end);
                prop_assert_eq!(&bytes[..short.canonical_end], canonical_number(&bytes[..whole.end]));
            }
        }

        #[test]
        fn equal_numbers_have_one_canonical_form(mantissa in any::<i32>(), zeros in 0usize..5, shift in -20i32..20) {
            let plain = format!("{mantissa}{}e{}", "0".repeat(zeros), shift - i32::try_from(zeros).unwrap());
            let other = format!("{mantissa}e{shift}");
            prop_assert_eq!(canonical_number(plain.as_bytes()), canonical_number(other.as_bytes()));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = super::text(&bytes, 0);
            short_number(&bytes, 0);
            if let Ok(parsed) = number(&bytes, 0) { canonical_number(&bytes[..parsed.end]); }
        }
    }
}
