//! When a catalog document takes effect: an instant, or a date that begins at midnight in the time
//! zone of the legal entity concerned.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::date::Date;
use crate::time_zone::TimeZone;
use crate::timestamp::{Timestamp, TimestampError};

/// A date, or an instant. Wire form: `"2026-10-15"` or `"2026-10-15T12:00:00Z"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EffectiveTime {
    /// The start of a day.
    Date(Date),
    /// An instant.
    Instant(Timestamp),
}

impl EffectiveTime {
    /// The instant meant, for an entity in a time zone.
    #[must_use]
    pub fn instant(self, zone: &TimeZone) -> Timestamp {
        match self {
            Self::Date(date) => zone.start_of(date),
            Self::Instant(instant) => instant,
        }
    }
}

impl fmt::Display for EffectiveTime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Date(date) => date.fmt(formatter),
            Self::Instant(instant) => instant.fmt(formatter),
        }
    }
}

impl Serialize for EffectiveTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EffectiveTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if let Ok(date) = text.parse() {
            return Ok(Self::Date(date));
        }
        text.parse().map(Self::Instant).map_err(|error: TimestampError| {
            de::Error::custom(match error {
                TimestampError::NotATime => format!(
                    "\"{text}\" is neither a date such as 2026-10-15 nor an instant such as \
                     2026-10-15T12:00:00Z"
                ),
                TimestampError::NoOffset => format!("\"{text}\" is {error}: {}", error.mend()),
            })
        })
    }
}

impl JsonSchema for EffectiveTime {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "EffectiveTime".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Date (midnight in the legal entity's time zone) or RFC 3339 instant.",
            "type": "string"
        })
    }
}
