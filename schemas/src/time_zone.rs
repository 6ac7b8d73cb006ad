//! IANA time zones, for the day and the billing period an instant falls in.
//!
//! The zone database is compiled in, so that the same build gives the same days everywhere
//! (RATE-2).

use std::fmt;
use std::str::FromStr;

use jiff::tz::TimeZone as Zone;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::date::Date;
use crate::period::Period;
use crate::timestamp::{MICROS_PER_DAY, Timestamp};

/// An IANA time zone. Wire form: its name, `"Europe/Berlin"` or `"UTC"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeZone {
    name: String,
    /// `None` for UTC, whose days need no lookup.
    zone: Option<Zone>,
}

/// A name that is no IANA time zone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not an IANA time zone, such as UTC, Europe/Berlin or America/New_York")]
pub struct UnknownTimeZone(pub String);

impl TimeZone {
    /// Coordinated Universal Time.
    pub const UTC: Self = Self { name: String::new(), zone: None };

    /// The IANA name.
    #[must_use]
    pub fn name(&self) -> &str {
        if self.zone.is_none() { "UTC" } else { &self.name }
    }

    /// The calendar day an instant falls in, and that day's start and end: 23 to 25 hours long
    /// where clocks change.
    #[must_use]
    pub fn day_of(&self, instant: Timestamp) -> (Date, Period) {
        let date = self.date_of(instant);
        let end = self.start_of(Date::from_days(date.days() + 1));
        (date, Period { start: self.start_of(date), end })
    }

    /// The instant a calendar day begins.
    #[must_use]
    pub fn start_of(&self, date: Date) -> Timestamp {
        let start = self.zone.as_ref().and_then(|zone| {
            let (year, month, day) = date.ymd();
            let civil =
                jiff::civil::Date::new(i16::try_from(year).ok()?, month.cast_signed(), day.cast_signed());
            let start = civil.ok()?.to_zoned(zone.clone()).ok()?;
            Some(Timestamp::from_micros(start.timestamp().as_microsecond()))
        });
        start.unwrap_or_else(|| Timestamp::from_utc_date(date))
    }

    /// The instant a local date and time of day names, given as if it were UTC. Where clocks go back
    /// and it names two, the first; where they go forward and it names none, the one as far after
    /// the change.
    #[must_use]
    pub fn from_local(&self, local: Timestamp) -> Timestamp {
        let instant = self.zone.as_ref().and_then(|zone| {
            let civil = jiff::Timestamp::from_microsecond(local.micros()).ok()?;
            let civil = jiff::tz::TimeZone::UTC.to_datetime(civil);
            Some(Timestamp::from_micros(civil.to_zoned(zone.clone()).ok()?.timestamp().as_microsecond()))
        });
        instant.unwrap_or(local)
    }

    fn date_of(&self, instant: Timestamp) -> Date {
        let local = self.zone.as_ref().and_then(|zone| {
            let instant = jiff::Timestamp::from_microsecond(instant.micros()).ok()?;
            let date = zone.to_datetime(instant).date();
            Date::from_ymd(i32::from(date.year()), date.month().cast_unsigned(), date.day().cast_unsigned())
        });
        local.unwrap_or_else(|| {
            let days = instant.micros().div_euclid(MICROS_PER_DAY);
            Date::from_days(i32::try_from(days).unwrap_or(i32::MAX))
        })
    }
}

impl FromStr for TimeZone {
    type Err = UnknownTimeZone;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        if matches!(name, "UTC" | "Etc/UTC" | "Z") {
            return Ok(Self::UTC);
        }
        let zone = Zone::get(name).map_err(|_| UnknownTimeZone(name.to_owned()))?;
        Ok(Self { name: name.to_owned(), zone: Some(zone) })
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Serialize for TimeZone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for TimeZone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(de::Error::custom)
    }
}

impl Default for TimeZone {
    fn default() -> Self {
        Self::UTC
    }
}

impl JsonSchema for TimeZone {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TimeZone".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "IANA time zone name.", "type": "string" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_23_to_25_hours_where_clocks_change() {
        let zone: TimeZone = "America/Los_Angeles".parse().unwrap();
        let cases = [
            ("2025-03-06T18:00:00Z", "2025-03-06", "2025-03-06T08:00:00Z", 24),
            ("2025-03-09T17:00:00Z", "2025-03-09", "2025-03-09T08:00:00Z", 23),
            ("2025-11-02T18:00:00Z", "2025-11-02", "2025-11-02T07:00:00Z", 25),
            ("2025-11-02T06:59:59.999999Z", "2025-11-01", "2025-11-01T07:00:00Z", 24),
        ];
        for (instant, date, start, hours) in cases {
            let (got, day) = zone.day_of(instant.parse().unwrap());
            assert_eq!((got.to_string().as_str(), day.start.to_string().as_str()), (date, start));
            assert_eq!(day.end.micros() - day.start.micros(), hours * 3_600_000_000);
        }
    }

    #[test]
    fn a_day_that_skips_midnight_starts_when_its_clock_does() {
        let zone: TimeZone = "America/Sao_Paulo".parse().unwrap();
        let start = zone.start_of("2018-11-04".parse().unwrap());
        assert_eq!(start.to_string(), "2018-11-04T03:00:00Z");
    }

    #[test]
    fn local_times_name_instants() {
        let zone: TimeZone = "Europe/Berlin".parse().unwrap();
        let cases = [
            ("2026-07-01T12:00:00Z", "2026-07-01T10:00:00Z"),
            ("2026-10-25T02:30:00Z", "2026-10-25T00:30:00Z"),
            ("2026-03-29T02:30:00Z", "2026-03-29T01:30:00Z"),
        ];
        for (local, instant) in cases {
            assert_eq!(zone.from_local(local.parse().unwrap()).to_string(), instant, "{local}");
        }
    }

    #[test]
    fn utc_days() {
        let (date, day) = TimeZone::UTC.day_of("2026-10-31T23:59:59.999999Z".parse().unwrap());
        assert_eq!(date.to_string(), "2026-10-31");
        assert_eq!(day.end.to_string(), "2026-11-01T00:00:00Z");
        assert!("Mars/Olympus".parse::<TimeZone>().is_err());
    }
}
