//! The usage event: a CloudEvents 1.0 event in JSON, whose `data` carries what was used.
//!
//! `(source, id)` is the event's identity (DEDUP-1); `subject` is the account; `time` is when it was
//! used. Every other attribute is content: the same identity with other content is a conflict.
//! The attributes of [`SENDING_CONTEXT`] describe one attempt to send the event, not the event, and
//! are neither.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;

/// Media type, and the type name in catalogs of schemas.
pub const SPECVERSION: &str = "1.0";

/// Attributes that may differ between two attempts to send the same event.
pub const SENDING_CONTEXT: [&str; 5] =
    ["specversion", "datacontenttype", "traceparent", "tracestate", "recordedtime"];

/// Largest event, in bytes of JSON.
pub const EVENT_BYTES_MAX: usize = 1 << 20;

/// Deepest nesting of objects and arrays in an event.
pub const EVENT_DEPTH_MAX: usize = 32;

/// Most object members in an event, at all depths together.
pub const EVENT_KEYS_MAX: usize = 256;

/// First event time accepted: 1970-01-01T00:00:00Z.
pub const EVENT_TIME_MIN: Timestamp = Timestamp::from_micros(0);

/// First event time no longer accepted: 2100-01-01T00:00:00Z.
pub const EVENT_TIME_END: Timestamp = Timestamp::from_micros(4_102_444_800_000_000);

/// A usage event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UsageEvent {
    /// CloudEvents version, `1.0`.
    pub specversion: String,
    /// Identity within the source.
    pub id: String,
    /// Who produced the event.
    pub source: String,
    /// What kind of usage; meters select by it.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The account that used something.
    pub subject: String,
    /// When it was used.
    pub time: Timestamp,
    /// Media type of `data`; JSON only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datacontenttype: Option<String>,
    /// URI of the schema of `data`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataschema: Option<String>,
    /// Share of events that were sent. Anything but 1 is refused: sampled usage is no usage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampledrate: Option<u32>,
    /// What was used: the properties meters read. Quantities are numbers, or numbers as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<BTreeMap<String, Property>>,
}

/// A property of an event's data: any JSON value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Property {
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Text; also the exact form of a decimal number.
    Text(String),
    /// A list.
    List(Vec<Property>),
    /// An object.
    Object(BTreeMap<String, Property>),
}
