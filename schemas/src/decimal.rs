//! An exact decimal number, `mantissa × 10^-scale`.
//!
//! It is not a general-purpose decimal: there is no division and nothing here ever rounds. An
//! operation whose exact result does not fit is an error, because a silently rounded digit is a
//! wrong amount (RATE-1). Decimal libraries that keep 28 digits round a product that needs 29.
//!
//! Wire form: a JSON string such as `"0.000015"`. YAML numbers are read from their source text,
//! so `0.1` is one tenth there too.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::number_text::{plain_number, scan};

/// Longest run of digits accepted in one number, before or after the point, exponent excluded.
pub const NUMBER_DIGITS_MAX: usize = 64;

/// Most digits a [`Decimal`] holds, and the largest scale it can have.
pub const DECIMAL_DIGITS_MAX: u8 = 38;

/// An exact decimal number. Trailing zeros are dropped, so equal numbers are equal values.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decimal {
    mantissa: i128,
    scale: u8,
}

/// Why a text is not a number Tallybook can hold exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// The text does not follow `-digits.digits e exponent`.
    #[error("not a decimal number")]
    NotANumber,
    /// More than [`NUMBER_DIGITS_MAX`] digits.
    #[error("more than {NUMBER_DIGITS_MAX} digits")]
    TooLong,
    /// More decimal places than the place it is meant for keeps.
    #[error("more than {0} decimal places")]
    TooPrecise(u8),
    /// Too large to hold.
    #[error("too large: it needs more than {DECIMAL_DIGITS_MAX} digits")]
    OutOfRange,
}

/// `10^exponent` for exponents 0 to 38.
#[inline]
#[must_use]
pub fn power_of_ten(exponent: u8) -> Option<i128> {
    POWERS_OF_TEN.get(usize::from(exponent)).copied()
}

#[expect(clippy::indexing_slicing, reason = "checked when it is compiled")]
static POWERS_OF_TEN: [i128; DECIMAL_DIGITS_MAX as usize + 1] = {
    let mut powers = [1; DECIMAL_DIGITS_MAX as usize + 1];
    let mut exponent = 1;
    while exponent < powers.len() {
        powers[exponent] = powers[exponent - 1] * 10;
        exponent += 1;
    }
    powers
};

impl Decimal {
    /// Zero.
    pub const ZERO: Self = Self { mantissa: 0, scale: 0 };
    /// One.
    pub const ONE: Self = Self { mantissa: 1, scale: 0 };

    /// `mantissa × 10^-scale`, with trailing zeros dropped.
    #[must_use]
    pub fn new(mantissa: i128, scale: u8) -> Self {
        let (mut mantissa, mut scale) = (mantissa, scale);
        if mantissa == 0 {
            return Self::ZERO;
        }
        while scale > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
        Self { mantissa, scale }
    }

    /// Reads the text of a number.
    ///
    /// # Errors
    /// [`DecimalError`] when the text is no number, or is one that cannot be held exactly.
    pub fn parse(text: &[u8]) -> Result<Self, DecimalError> {
        let parts = scan(text)?;
        if parts.digits == Some(0) {
            return Ok(Self::ZERO);
        }
        let scale = u8::try_from((-parts.exponent).max(0)).ok().filter(|scale| *scale <= DECIMAL_DIGITS_MAX);
        let scale = scale.ok_or(DecimalError::TooPrecise(DECIMAL_DIGITS_MAX))?;
        let magnitude = parts.digits.and_then(|digits| i128::try_from(digits).ok());
        let magnitude = magnitude.ok_or(DecimalError::OutOfRange)?;
        let signed = if parts.negative { -magnitude } else { magnitude };
        let factor = u8::try_from(parts.exponent.max(0)).ok().and_then(power_of_ten);
        let mantissa = factor.and_then(|factor| signed.checked_mul(factor));
        mantissa.map(|mantissa| Self::new(mantissa, scale)).ok_or(DecimalError::OutOfRange)
    }

    /// Reads the text of a number as a count of `10^-scale`.
    ///
    /// # Errors
    /// [`DecimalError`] when the text is no number, has more than `scale` decimal places, or is
    /// too large.
    pub fn parse_scaled(text: &[u8], scale: u8) -> Result<i128, DecimalError> {
        if let Some((digits, places)) = plain_number(text)
            && let Some(factor) = scale.checked_sub(places).and_then(power_of_ten)
            && let Ok(factor) = u64::try_from(factor)
        {
            return Ok(i128::from(digits) * i128::from(factor));
        }
        let parts = scan(text)?;
        if parts.digits == Some(0) {
            return Ok(0);
        }
        let shift = parts.exponent.saturating_add(i64::from(scale));
        if shift < 0 {
            return Err(DecimalError::TooPrecise(scale));
        }
        let factor = u8::try_from(shift).ok().and_then(power_of_ten).ok_or(DecimalError::OutOfRange)?;
        let magnitude = parts.digits.and_then(|digits| i128::try_from(digits).ok());
        let value =
            magnitude.and_then(|magnitude| magnitude.checked_mul(factor)).ok_or(DecimalError::OutOfRange)?;
        Ok(if parts.negative { -value } else { value })
    }

    /// The number as a count of `10^-scale`.
    ///
    /// # Errors
    /// [`DecimalError::TooPrecise`] or [`DecimalError::OutOfRange`] when it is not one exactly.
    pub fn to_scaled(self, scale: u8) -> Result<i128, DecimalError> {
        let shift = scale.checked_sub(self.scale).ok_or(DecimalError::TooPrecise(scale))?;
        let factor = power_of_ten(shift).ok_or(DecimalError::OutOfRange)?;
        self.mantissa.checked_mul(factor).ok_or(DecimalError::OutOfRange)
    }

    /// Decimal places after trailing zeros are dropped.
    #[must_use]
    pub const fn scale(self) -> u8 {
        self.scale
    }

    /// The digits as one integer: the number times `10^scale`.
    #[must_use]
    pub const fn mantissa(self) -> i128 {
        self.mantissa
    }

    /// Below zero?
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.mantissa < 0
    }

    /// Zero?
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// The exact sum.
    ///
    /// # Errors
    /// [`DecimalError::OutOfRange`] when it needs more than 38 digits.
    pub fn checked_add(self, other: Self) -> Result<Self, DecimalError> {
        let scale = self.scale.max(other.scale);
        let sum = self.to_scaled(scale)?.checked_add(other.to_scaled(scale)?);
        sum.map(|mantissa| Self::new(mantissa, scale)).ok_or(DecimalError::OutOfRange)
    }

    /// The exact difference.
    ///
    /// # Errors
    /// [`DecimalError::OutOfRange`] when it needs more than 38 digits.
    pub fn checked_sub(self, other: Self) -> Result<Self, DecimalError> {
        self.checked_add(Self { mantissa: -other.mantissa, scale: other.scale })
    }

    /// The exact product.
    ///
    /// # Errors
    /// [`DecimalError::OutOfRange`] when it needs more than 38 digits.
    pub fn checked_mul(self, other: Self) -> Result<Self, DecimalError> {
        let mantissa = self.mantissa.checked_mul(other.mantissa).ok_or(DecimalError::OutOfRange)?;
        let product = Self::new(mantissa, self.scale.saturating_add(other.scale));
        if product.scale > DECIMAL_DIGITS_MAX { Err(DecimalError::OutOfRange) } else { Ok(product) }
    }
}

impl From<i64> for Decimal {
    fn from(value: i64) -> Self {
        Self { mantissa: i128::from(value), scale: 0 }
    }
}

impl FromStr for Decimal {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text.as_bytes())
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_sign = self.mantissa.signum().cmp(&other.mantissa.signum());
        if by_sign != Ordering::Equal {
            return by_sign;
        }
        let scale = self.scale.max(other.scale);
        match (self.to_scaled(scale), other.to_scaled(scale)) {
            (Ok(left), Ok(right)) => left.cmp(&right),
            // Only one side can overflow at the larger of two scales: the larger magnitude does.
            (Err(_), _) => 0.cmp(&-self.mantissa.signum()),
            (_, Err(_)) => 0.cmp(&self.mantissa.signum()),
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.mantissa.unsigned_abs().to_string();
        let scale = usize::from(self.scale);
        let text = if scale == 0 {
            digits
        } else {
            let padded = format!("{digits:0>width$}", width = scale + 1);
            let (whole, fraction) = padded.split_at(padded.len() - scale);
            format!("{whole}.{fraction}")
        };
        formatter.pad_integral(self.mantissa >= 0, "", &text)
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Decimal({self})")
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Decimal;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a decimal number such as \"0.000015\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Decimal, E> {
                text.parse().map_err(|error| E::custom(format!("\"{text}\" is {error}")))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Decimal, E> {
                Ok(value.into())
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Decimal, E> {
                Ok(Decimal { mantissa: i128::from(value), scale: 0 })
            }
        }
        // Text is asked for first: a source that knows a number's text hands over its digits.
        deserializer.deserialize_str(Visitor)
    }
}

/// The JSON Schema of a type whose wire form is a decimal string.
macro_rules! decimal_schema {
    ($type:ident, $description:literal) => {
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                if generator.contract().is_serialize() {
                    return schemars::json_schema!({
                        "description": $description,
                        "type": "string",
                        "pattern": r"^-?[0-9]+(\.[0-9]+)?$"
                    });
                }
                // Catalog files are read digit for digit, so a number is as exact as text there.
                schemars::json_schema!({
                    "description": $description,
                    "type": ["string", "number"],
                    "pattern": r"^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
                })
            }
        }
    };
}
pub(crate) use decimal_schema;

decimal_schema!(Decimal, "Exact decimal number.");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn texts_and_what_they_mean() {
        let cases: &[(&str, Result<&str, DecimalError>)] = &[
            ("0", Ok("0")),
            ("-0", Ok("0")),
            ("-0.00", Ok("0")),
            ("007", Ok("7")),
            ("+1.50", Ok("1.5")),
            ("100", Ok("100")),
            ("1000.0001000", Ok("1000.0001")),
            ("-12.05", Ok("-12.05")),
            ("0.000000000000000001", Ok("0.000000000000000001")),
            ("1e3", Ok("1000")),
            ("1.5E-3", Ok("0.0015")),
            ("10e-1", Ok("1")),
            ("9007199254740993", Ok("9007199254740993")),
            ("99999999999999999999999999999999999999", Ok("99999999999999999999999999999999999999")),
            ("1e38", Ok("100000000000000000000000000000000000000")),
            ("1e39", Err(DecimalError::OutOfRange)),
            ("1e400", Err(DecimalError::OutOfRange)),
            ("1e99999999999999999999", Err(DecimalError::OutOfRange)),
            ("1e-38", Ok("0.00000000000000000000000000000000000001")),
            ("1e-39", Err(DecimalError::TooPrecise(38))),
            ("0e-99999999999999999999", Ok("0")),
            ("1.0000000000000000000000000000000000000000000000000000", Ok("1")),
            ("", Err(DecimalError::NotANumber)),
            ("-", Err(DecimalError::NotANumber)),
            (".5", Err(DecimalError::NotANumber)),
            ("5.", Err(DecimalError::NotANumber)),
            ("1e", Err(DecimalError::NotANumber)),
            ("1.2.3", Err(DecimalError::NotANumber)),
            ("NaN", Err(DecimalError::NotANumber)),
            ("Infinity", Err(DecimalError::NotANumber)),
            ("12x", Err(DecimalError::NotANumber)),
            ("1 2", Err(DecimalError::NotANumber)),
            ("1_000", Err(DecimalError::NotANumber)),
            ("0x10", Err(DecimalError::NotANumber)),
        ];
        for (text, expected) in cases {
            let got = Decimal::parse(text.as_bytes()).map(|number| number.to_string());
            assert_eq!(got.as_deref(), expected.as_deref(), "{text}");
        }
        assert_eq!(Decimal::parse(&[b'1'; 1000]), Err(DecimalError::TooLong));
        assert_eq!(Decimal::parse(&[b'0'; 65]), Err(DecimalError::TooLong));
    }

    #[test]
    fn scaled_reading_refuses_what_it_cannot_keep() {
        let cases: &[(&str, u8, Result<i128, DecimalError>)] = &[
            ("12", 0, Ok(12)),
            ("12", 3, Ok(12_000)),
            ("1.25", 2, Ok(125)),
            ("1.250", 2, Ok(125)),
            ("1.255", 2, Err(DecimalError::TooPrecise(2))),
            ("-7", 1, Ok(-70)),
            ("1e-7", 6, Err(DecimalError::TooPrecise(6))),
            ("1234567890123456789012", 18, Err(DecimalError::OutOfRange)),
            ("1.234567890123456789012345678901234567890123", 9, Err(DecimalError::TooPrecise(9))),
            ("123456789012345678901234567890123456789012", 9, Err(DecimalError::OutOfRange)),
            ("abc", 2, Err(DecimalError::NotANumber)),
        ];
        for (text, scale, expected) in cases {
            assert_eq!(Decimal::parse_scaled(text.as_bytes(), *scale), *expected, "{text} at {scale}");
        }
    }

    #[test]
    fn overflow_is_an_error() {
        let huge = Decimal::new(i128::MAX, 0);
        assert_eq!(huge.checked_add(Decimal::ONE), Err(DecimalError::OutOfRange));
        assert_eq!(huge.checked_mul(decimal("10")), Err(DecimalError::OutOfRange));
        assert!(huge > decimal("0.1") && decimal("-0.1") > Decimal::new(-i128::MAX, 0));
    }

    proptest! {
        #[test]
        fn text_round_trips(mantissa in any::<i64>(), scale in 0u8..=30) {
            let number = Decimal::new(i128::from(mantissa), scale);
            prop_assert_eq!(decimal(&number.to_string()), number);
        }

        #[test]
        fn scaled_and_general_reading_agree(mantissa in any::<i64>(), scale in 0u8..=12) {
            let number = Decimal::new(i128::from(mantissa), scale);
            let text = number.to_string();
            prop_assert_eq!(Decimal::parse_scaled(text.as_bytes(), 12), number.to_scaled(12));
        }

        #[test]
        fn short_numbers_are_read_as_all_are(text in "-?[0-9]{0,12}(\\.[0-9]{0,9}){0,2}", scale in 0u8..=12) {
            let number = Decimal::parse(text.as_bytes()).and_then(|number| number.to_scaled(scale));
            prop_assert_eq!(Decimal::parse_scaled(text.as_bytes(), scale), number);
        }

        #[test]
        fn sums_and_products_are_exact(a in any::<i32>(), b in any::<i32>(), s in 0u8..9, t in 0u8..9) {
            let (left, right) = (Decimal::new(a.into(), s), Decimal::new(b.into(), t));
            let sum = left.checked_add(right).unwrap();
            prop_assert_eq!(sum.checked_sub(right).unwrap(), left);
            prop_assert_eq!(left.checked_mul(right).unwrap(), Decimal::new(i128::from(a) * i128::from(b), s + t));
            let by_scaled = left.to_scaled(9).unwrap().cmp(&right.to_scaled(9).unwrap());
            prop_assert_eq!(left.cmp(&right), by_scaled);
        }
    }
}
