//! Instants in microseconds, and their RFC 3339 text.
//!
//! Digits finer than a microsecond are cut off: an instant never moves to a later day or period.
//! A leap second (`:60`) is held as the last microsecond of its minute. A text without an offset
//! names no instant and is refused.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::date::Date;

/// Microseconds in a second.
pub const MICROS_PER_SECOND: i64 = 1_000_000;
/// Microseconds in a day of 24 hours.
pub const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// An instant, held as microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

/// Why a text is no instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// Not RFC 3339, or no such date or time of day.
    #[error("not an RFC 3339 time")]
    NotATime,
    /// A date and time of day without `Z` or an offset.
    #[error("without an offset")]
    NoOffset,
}

impl TimestampError {
    /// How to mend the text.
    #[must_use]
    pub const fn mend(self) -> &'static str {
        match self {
            Self::NotATime => "write it as 2026-10-31T23:59:59Z",
            Self::NoOffset => "write Z for UTC, or +hh:mm",
        }
    }
}

impl Timestamp {
    /// The earliest instant.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest instant, standing for "no end".
    pub const MAX: Self = Self(i64::MAX);

    /// The instant `micros` microseconds after 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Midnight UTC of a date.
    #[must_use]
    pub const fn from_utc_date(date: Date) -> Self {
        Self(date.days() as i64 * MICROS_PER_DAY)
    }

    /// Reads RFC 3339 text; a space may stand for the `T`.
    ///
    /// # Errors
    /// [`TimestampError`] when the text names no instant.
    pub fn parse(text: &[u8]) -> Result<Self, TimestampError> {
        let (local, rest) = parse_local(text).ok_or(TimestampError::NotATime)?;
        let offset = match rest {
            [b'Z' | b'z'] => 0,
            [sign @ (b'+' | b'-'), hours @ .., b':', tens, units] => {
                let hours = two_digits(hours).filter(|hours| *hours < 24);
                let minutes = two_digits(&[*tens, *units]).filter(|minutes| *minutes < 60);
                let (Some(hours), Some(minutes)) = (hours, minutes) else {
                    return Err(TimestampError::NotATime);
                };
                let seconds = i64::from(hours) * 3_600 + i64::from(minutes) * 60;
                if *sign == b'-' { -seconds } else { seconds }
            }
            [] => return Err(TimestampError::NoOffset),
            _ => return Err(TimestampError::NotATime),
        };
        Ok(Self(local - offset * MICROS_PER_SECOND))
    }

    /// Reads a date and time of day without offset as UTC. For sources that declare their zone.
    ///
    /// # Errors
    /// [`TimestampError::NotATime`].
    pub fn parse_local_as_utc(text: &[u8]) -> Result<Self, TimestampError> {
        match parse_local(text) {
            Some((local, [])) => Ok(Self(local)),
            _ => Err(TimestampError::NotATime),
        }
    }
}

/// Reads `YYYY-MM-DDThh:mm:ss[.fraction]`; the microseconds as if in UTC, and what follows.
fn parse_local(text: &[u8]) -> Option<(i64, &[u8])> {
    let (head, mut rest) = text.split_at_checked(19)?;
    let &[
        y0,
        y1,
        y2,
        y3,
        b'-',
        mo0,
        mo1,
        b'-',
        d0,
        d1,
        b'T' | b't' | b' ',
        h0,
        h1,
        b':',
        mi0,
        mi1,
        b':',
        s0,
        s1,
    ] = head
    else {
        return None;
    };
    let year = i32::from(two_digits(&[y0, y1])?) * 100 + i32::from(two_digits(&[y2, y3])?);
    let date = Date::from_ymd(year, two_digits(&[mo0, mo1])?, two_digits(&[d0, d1])?)?;
    let (hour, minute) = (two_digits(&[h0, h1])?, two_digits(&[mi0, mi1])?);
    let second = two_digits(&[s0, s1])?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut micros = 0;
    if let [b'.', fraction @ ..] = rest {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return None;
        }
        let (fraction, after) = fraction.split_at_checked(digits)?;
        for place in 0..6 {
            micros = micros * 10 + fraction.get(place).map_or(0, |digit| i64::from(digit - b'0'));
        }
        rest = after;
    }
    let (second, micros) = if second == 60 { (59, MICROS_PER_SECOND - 1) } else { (second, micros) };
    let seconds = i64::from(hour) * 3_600 + i64::from(minute) * 60 + i64::from(second);
    let day = i64::from(date.days()) * MICROS_PER_DAY;
    Some((day + seconds * MICROS_PER_SECOND + micros, rest))
}

fn two_digits(text: &[u8]) -> Option<u8> {
    let &[tens, units] = text else { return None };
    let (tens, units) = (tens.wrapping_sub(b'0'), units.wrapping_sub(b'0'));
    (tens < 10 && units < 10).then(|| tens * 10 + units)
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text.as_bytes())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = self.0.div_euclid(MICROS_PER_DAY);
        let in_day = self.0.rem_euclid(MICROS_PER_DAY);
        let date = Date::from_days(i32::try_from(day).map_err(|_| fmt::Error)?);
        let (seconds, micros) = (in_day / MICROS_PER_SECOND, in_day % MICROS_PER_SECOND);
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        write!(formatter, "{date}T{hour:02}:{minute:02}:{second:02}")?;
        if micros == 0 {
            formatter.write_str("Z")
        } else if micros % 1_000 == 0 {
            write!(formatter, ".{:03}Z", micros / 1_000)
        } else {
            write!(formatter, ".{micros:06}Z")
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::MIN => formatter.write_str("-∞"),
            Self::MAX => formatter.write_str("+∞"),
            instant => write!(formatter, "{instant}"),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error: TimestampError| {
            de::Error::custom(format!("\"{text}\" is {error}: {}", error.mend()))
        })
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "RFC 3339 instant with an offset; kept to the microsecond.",
            "type": "string",
            "format": "date-time"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_and_what_they_mean() {
        use TimestampError::{NoOffset, NotATime};
        let cases: &[(&str, Result<&str, TimestampError>)] = &[
            ("1970-01-01T00:00:00Z", Ok("1970-01-01T00:00:00Z")),
            ("2026-10-31T23:59:59.999Z", Ok("2026-10-31T23:59:59.999Z")),
            ("2026-10-31T23:59:59.9999999Z", Ok("2026-10-31T23:59:59.999999Z")),
            ("2026-10-31t23:59:59z", Ok("2026-10-31T23:59:59Z")),
            ("2026-11-01T01:00:00+02:00", Ok("2026-10-31T23:00:00Z")),
            ("2026-10-31T20:30:00-03:30", Ok("2026-11-01T00:00:00Z")),
            ("2016-12-31T23:59:60Z", Ok("2016-12-31T23:59:59.999999Z")),
            ("1969-12-31T23:59:59.5Z", Ok("1969-12-31T23:59:59.500Z")),
            ("2026-10-31T23:59:59", Err(NoOffset)),
            ("2026-10-31 23:59:59.5", Err(NoOffset)),
            ("2026-10-31", Err(NotATime)),
            ("2026-10-31T23:59Z", Err(NotATime)),
            ("2026-10-31T23:59:59.Z", Err(NotATime)),
            ("2026-10-31T24:00:00Z", Err(NotATime)),
            ("2026-13-03T12:34:56.789Z", Err(NotATime)),
            ("2026-10-03T25:61:00.000Z", Err(NotATime)),
            ("2026-02-29T00:00:00Z", Err(NotATime)),
            ("2026-10-31T23:59:59+0200", Err(NotATime)),
            ("2026-10-31T23:59:59+24:00", Err(NotATime)),
            ("2026-10-31T23:59:59Z ", Err(NotATime)),
            ("2026-10-x1T23:59:59Z", Err(NotATime)),
            ("2026-10-31T1:000:00Z", Err(NotATime)),
            ("1793491199", Err(NotATime)),
            ("", Err(NotATime)),
            ("yesterday", Err(NotATime)),
        ];
        for (text, expected) in cases {
            let got = Timestamp::parse(text.as_bytes()).map(|instant| instant.to_string());
            assert_eq!(got.as_deref(), expected.as_deref(), "{text}");
        }
    }

    #[test]
    fn a_document_is_told_how_to_write_a_time() {
        let cases = [
            ("yesterday", "\"yesterday\" is not an RFC 3339 time: write it as 2026-10-31T23:59:59Z"),
            (
                "2026-10-31 23:59:59",
                "\"2026-10-31 23:59:59\" is without an offset: write Z for UTC, or +hh:mm",
            ),
        ];
        for (text, expected) in cases {
            let error = serde_json::from_value::<Timestamp>(text.into()).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn text_round_trips(micros in 0i64..4_102_444_800_000_000) {
            let instant = Timestamp::from_micros(micros);
            prop_assert_eq!(instant.to_string().parse::<Timestamp>().unwrap(), instant);
        }

        #[test]
        fn no_text_panics(text in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = Timestamp::parse(&text);
        }
    }
}
