//! The quarantine record: an event that was refused or could not be priced, with its bytes.

use std::fmt;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::columns::{epoch, text, timestamp};
use crate::timestamp::Timestamp;

/// Most bytes of an event that are kept: all of any event that could ever be valid. The record states the
/// whole length.
pub const QUARANTINED_BYTES_MAX: usize = crate::usage_event::EVENT_BYTES_MAX;

/// `CloudEvents` type of a quarantined record.
pub const QUARANTINE_EVENT_TYPE: &str = "com.tallybook.usage.quarantined.v1";

/// An event in quarantine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QuarantineRecord {
    /// Number of the epoch that committed it, a hyphen, and its number in that epoch, from 1.
    pub quarantine_id: String,
    /// Why it is here, in one word.
    pub class: QuarantineClass,
    /// Closed code: a [`RejectReason`], `conflict`, or an [`UnratedReason`].
    pub reason: String,
    /// What is wrong with this event and how to mend it.
    pub detail: String,
    /// Name of the input it came from.
    pub input: String,
    /// Line in the input, from 1; absent where lines mean nothing.
    pub line: Option<u64>,
    /// Byte offset in the (decompressed) input.
    pub offset: u64,
    /// Length in bytes.
    pub length: u64,
    /// The bytes, or the first of them where there are too many to keep. Base64 in JSON.
    #[serde(with = "base64_text")]
    #[schemars(with = "String", extend("contentEncoding" = "base64"))]
    pub bytes: Vec<u8>,
    /// Id of the CSV mapping that read it, if it is a row of a CSV file.
    pub csv_mapping: Option<String>,
    /// The first row of its CSV file, with its line end.
    pub csv_header: Option<String>,
    /// `source`, where it could be read.
    pub source: Option<String>,
    /// `id`, where it could be read.
    pub event_id: Option<String>,
    /// `type`, where it could be read.
    pub event_type: Option<String>,
    /// `subject`, where it could be read.
    pub account_id: Option<String>,
    /// `time`, where it could be read.
    pub event_time: Option<Timestamp>,
    /// The meter whose usage could not be priced.
    pub meter_id: Option<String>,
    /// Number of the epoch that committed it.
    pub epoch: i64,
}

/// Bytes as base64 text with padding, so that events in any encoding survive JSON.
mod base64_text {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(&text).map_err(|error| de::Error::custom(format!("bytes are not base64: {error}")))
    }
}

/// The reason of every conflict.
pub const CONFLICT: &str = "conflict";

/// What to do about a conflict.
pub const CONFLICT_MEND: &str = "send corrections under an id of their own";

/// Why an event is in quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QuarantineClass {
    /// It is not a valid usage event.
    Rejected,
    /// Its identity was counted before with other content.
    Conflict,
    /// It was counted but has no price.
    Unrated,
}

impl QuarantineClass {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Rejected, Self::Conflict, Self::Unrated];

    /// Wire name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Conflict => "conflict",
            Self::Unrated => "unrated",
        }
    }
}

/// Defines a closed set of reason codes with their wire names and explanations.
macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $wire:literal: $mend:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// Every reason, in order of precedence.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Wire name.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $wire,)+ }
            }

            /// The reason with a wire name.
            #[must_use]
            pub fn of_code(code: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|reason| reason.code() == code)
            }

            /// What is wrong in general, and how to mend it.
            #[must_use]
            pub const fn mend(self) -> &'static str {
                match self { $(Self::$variant => $mend,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(self.code())
            }
        }
    };
}

reasons! {
    /// Why something is not a usage event. An event with several faults has the first of them.
    RejectReason {
        /// Larger than [`crate::usage_event::EVENT_BYTES_MAX`].
        EventTooLarge = "event_too_large": "send events of at most 1 MiB",
        /// Bytes that are not UTF-8.
        InvalidUtf8 = "invalid_utf8": "encode text as UTF-8",
        /// Not JSON.
        MalformedJson = "malformed_json": "send each event as one JSON object",
        /// Not a row the CSV mapping can read.
        MalformedCsv = "malformed_csv": "give every row as many fields as the header has",
        /// A row whose CSV mapping is gone, or reads columns that its file does not have; only when it is read again.
        NoCsvMapping = "no_csv_mapping": "put the csv_mapping that read the file back into the catalog, and read the record again",
        /// JSON, but not an object.
        NotAnObject = "not_an_object": "send a JSON object",
        /// Nested deeper than [`crate::usage_event::EVENT_DEPTH_MAX`].
        NestingTooDeep = "nesting_too_deep": "nest at most 32 levels",
        /// More members than [`crate::usage_event::EVENT_KEYS_MAX`].
        TooManyKeys = "too_many_keys": "use at most 256 keys",
        /// An object has a key twice.
        DuplicateKey = "duplicate_key": "use every key once",
        /// A number has more than 64 digits.
        NumberTooLong = "number_too_long": "write numbers of at most 64 digits",
        /// `specversion` is missing or not `1.0`.
        UnsupportedSpecversion = "unsupported_specversion": "send specversion \"1.0\"",
        /// `id` is missing.
        MissingId = "missing_id": "give every event an id that is unique for its source",
        /// `source` is missing.
        MissingSource = "missing_source": "name the producer in source",
        /// `type` is missing.
        MissingType = "missing_type": "name the kind of usage in type",
        /// `subject` is missing.
        MissingSubject = "missing_subject": "name the account in subject",
        /// `time` is missing.
        MissingTime = "missing_time": "say in time when the usage happened",
        /// An attribute is empty, too long, not text, or holds control characters.
        InvalidAttribute = "invalid_attribute": "use 1 to 256 bytes of text without control or bidirectional characters",
        /// `time` is not RFC 3339, or has no offset.
        BadTime = "bad_time": "write times as 2026-10-31T23:59:59Z or 2026-10-31T23:59:59+01:00, in CSV as the mapping says",
        /// `time` is before 1970 or after 2099.
        TimeOutOfRange = "time_out_of_range": "send event times from 1970 to 2099",
        /// `sampledrate` says that events were left out.
        SampledTelemetry = "sampled_telemetry": "send every event, as sampled usage cannot be billed",
        /// The property the meter reads is missing.
        MissingQuantity = "missing_quantity": "send the value the meter reads",
        /// The property the meter reads is not a number.
        NonNumericQuantity = "non_numeric_quantity": "send a JSON number, or a number as text",
        /// The quantity is below zero and the meter forbids that.
        NegativeQuantity = "negative_quantity": "send quantities of zero or more, or set allow_negative in the meter",
        /// The quantity has more decimal places than the meter keeps.
        QuantityTooPrecise = "quantity_too_precise": "send fewer decimal places, or raise the meter's decimals",
        /// The quantity has more than 20 digits before the point.
        QuantityOutOfRange = "quantity_out_of_range": "use a larger unit",
        /// A dimension is an object or a list, or longer than an identifier may be.
        InvalidDimension = "invalid_dimension": "use text, numbers or truth values of at most 256 bytes as dimensions",
        /// The price or amount in the event is missing, no number, or too precise.
        InvalidEventPrice = "invalid_event_price": "send the price or amount the meter declares",
        /// Of a month whose identities may be forgotten, so that nobody can tell whether it was counted.
        TooOld = "too_old": "it may have been counted and forgotten since: send usage within the dedup horizon",
    }
}

reasons! {
    /// Why usage that was counted has no price.
    UnratedReason {
        /// No meter counts this type.
        UnknownEventType = "unknown_event_type": "add a meter for the event type to the catalog",
        /// Every meter of the type leaves the event out, by its filter or for want of its value.
        NoMeterApplies = "no_meter_applies": "nothing to do if the meters' filters are meant; else mend them",
        /// No contract names the account.
        UnknownAccount = "unknown_account": "add the account to a contract",
        /// The account's contracts do not cover the meter at that time.
        NoContractLine = "no_contract_line": "add a contract line for the meter and time",
        /// The price book has no version for that time.
        NoPriceBookVersion = "no_price_book_version": "add a version for the time to the price book",
        /// The price book's version has no rate for the meter.
        NoRate = "no_rate": "add a rate for the meter to the price book",
        /// A dimension the price depends on is missing.
        MissingDimension = "missing_dimension": "send the dimension the rate depends on",
        /// No entry of the price matrix fits.
        NoMatrixEntry = "no_matrix_entry": "add an entry, or a default_unit_price, to the matrix",
        /// The exact amount or total needs more than 38 digits.
        AmountOverflow = "amount_overflow": "check the quantity and the price, as the amount is out of range",
    }
}

/// The columns of the quarantine table.
#[must_use]
pub fn arrow_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        text("quarantine_id", false),
        text("class", false),
        text("reason", false),
        text("detail", false),
        text("input", false),
        Field::new("line", DataType::Int64, true),
        Field::new("offset", DataType::Int64, false),
        Field::new("length", DataType::Int64, false),
        Field::new("bytes", DataType::Binary, false),
        text("csv_mapping", true),
        text("csv_header", true),
        text("source", true),
        text("event_id", true),
        text("event_type", true),
        text("account_id", true),
        timestamp("event_time", true),
        text("meter_id", true),
        epoch(),
    ]))
}
