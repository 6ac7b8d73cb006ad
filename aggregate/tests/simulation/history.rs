//! What clients sent, and what they were told.

use std::sync::Arc;

use crate::calendar::{DAY, days};
use crate::catalog::{METERS, Meter, meters_of};

/// The only file that is read; other events are pushed.
pub(crate) const FILE: &str = "/data/usage.ndjson";

/// Source and id.
pub(crate) type Identity = (String, String);

/// A usage event.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) identity: Identity,
    /// Its type.
    pub(crate) kind: String,
    pub(crate) account: String,
    /// In microseconds since 1970.
    pub(crate) time: i64,
    /// What its property says, if it has one; no number in an event that is not valid.
    pub(crate) value: Option<String>,
    /// The event as it is sent: a line of JSON.
    pub(crate) bytes: Vec<u8>,
}

impl Event {
    pub(crate) fn new(
        identity: Identity,
        event_type: &str,
        account: &str,
        (year, month, day, micros): (i64, i64, i64, i64),
        value: Option<&str>,
    ) -> Self {
        let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let property =
            METERS.iter().filter(|meter| meter.event_type == event_type).find_map(|meter| meter.property);
        let data = property.zip(value).map(|(property, value)| format!(r#""{property}":{value}"#));
        let bytes = format!(
            r#"{{"specversion":"1.0","id":"{}","source":"{}","type":"{event_type}","subject":"{account}","time":"{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:06}Z","data":{{{}}}}}"#,
            identity.1,
            identity.0,
            data.unwrap_or_default(),
        );
        Self {
            identity,
            kind: event_type.to_owned(),
            account: account.to_owned(),
            time: days(year, month, day) * DAY + micros,
            value: value.map(ToOwned::to_owned),
            bytes: bytes.into_bytes(),
        }
    }

    /// The meters that count it.
    pub(crate) fn meters(&self) -> impl Iterator<Item = &'static Meter> {
        meters_of(&self.kind)
    }

    /// Can its meters read it?
    pub(crate) fn is_valid(&self) -> bool {
        self.value
            .as_ref()
            .is_none_or(|value| value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
    }
}

/// What a client is told of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accepted,
    Duplicate,
    Conflict,
    Rejected,
}

/// What became of an event that was sent, as far as its client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// No answer came.
    None,
    Told(Verdict),
}

/// An event that was sent once.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) event: Arc<Event>,
    /// Where it ends in the file, if it came from there: once epochs are past that, it will not be sent again.
    pub(crate) end: Option<u64>,
    pub(crate) answer: Answer,
}
