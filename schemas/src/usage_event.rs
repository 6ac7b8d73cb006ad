//! The usage event: a `CloudEvents` 1.0 event in JSON, whose `data` carries what was used.
//!
//! `(source, id)` is the event's identity (DEDUP-1); `subject` is the account; `time` is when it was
//! used. Every other attribute is content: the same identity with other content is a conflict.
//! The attributes of [`SENDING_CONTEXT`] describe one attempt to send the event, not the event, and
//! are neither.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Number;

use crate::id::ID_BYTES_MAX;
use crate::timestamp::Timestamp;

/// Version of `CloudEvents`; the only one accepted.
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

/// A usage event, as it is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UsageEvent {
    /// Version of `CloudEvents`.
    #[schemars(extend("const" = SPECVERSION))]
    pub specversion: String,
    /// Identity within the source.
    #[schemars(length(min = 1, max = ID_BYTES_MAX))]
    pub id: String,
    /// Who produced the event.
    #[schemars(length(min = 1, max = ID_BYTES_MAX))]
    pub source: String,
    /// What kind of usage; meters select by it.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = ID_BYTES_MAX))]
    pub event_type: String,
    /// The account that used something.
    #[schemars(length(min = 1, max = ID_BYTES_MAX))]
    pub subject: String,
    /// When it was used.
    pub time: Timestamp,
    /// Media type of `data`; JSON only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datacontenttype: Option<String>,
    /// URI of the schema of `data`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataschema: Option<String>,
    /// One in how many events was sent. Anything but 1 is refused: sampled usage is no usage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("const" = 1))]
    pub sampledrate: Option<u32>,
    /// When the sender recorded the event, for senders that keep two times. Tells nothing of the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recordedtime: Option<Timestamp>,
    /// W3C trace the event was sent in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Vendor part of the trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
    /// What was used: the properties meters read. Quantities are numbers, or numbers as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<BTreeMap<String, Property>>,
    /// Other attributes of the event, such as `correlationid`, `sequence` or `partitionkey`. They are
    /// content, and nothing reads them.
    #[serde(flatten)]
    pub extensions: BTreeMap<String, Extension>,
}

/// The value of an extension attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Extension {
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Integer(i32),
    /// Text, also the form of times, URIs and bytes.
    Text(String),
}

/// A property of an event's data: any JSON value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Property {
    /// No value; as if the property were not there.
    Null,
    /// A truth value.
    Bool(bool),
    /// A number. Ingest keeps every digit; other readers may keep 15.
    Number(Number),
    /// Text; also the form of a decimal number that every reader keeps exactly.
    Text(String),
    /// A list.
    List(Vec<Property>),
    /// An object.
    Object(BTreeMap<String, Property>),
}
