//! The CSV mapping: how the rows of a CSV file are usage events.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::CsvMappingId;
use crate::time_zone::TimeZone;

/// How rows of CSV files are read as usage events. The first line of a file names its columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CsvMapping {
    /// Identifier, unique among CSV mappings.
    pub id: CsvMappingId,
    /// Names of the files it reads, with `*` and `?`.
    pub files: Vec<String>,
    /// What separates fields; a comma when left out.
    #[serde(default = "comma")]
    pub delimiter: char,
    /// Texts that stand for "no value"; the empty text always does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub null_values: Vec<String>,
    /// Producer of the events.
    pub source: CsvField,
    /// Identity of the event, unique per source.
    pub event_id: CsvEventId,
    /// Type of the events.
    #[serde(rename = "type")]
    pub event_type: CsvField,
    /// Account that used something.
    pub subject: CsvField,
    /// When it was used.
    pub time: CsvTime,
    /// Columns that become properties of the event's data, by property name.
    #[serde(default)]
    pub data: BTreeMap<String, String>,
}

const fn comma() -> char {
    ','
}

/// Where an attribute comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CsvField {
    /// The column of this name.
    Column(String),
    /// This text, in every row.
    Value(String),
}

/// Where an event's identity comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CsvEventId {
    /// The column of this name.
    Column(String),
    /// The file's name and the line: for data without identities, where two equal rows are two
    /// events. The file must keep its name and its lines.
    FileAndLine,
}

/// Where an event's time comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CsvTime {
    /// The column of this name.
    pub column: String,
    /// Time zone of times that carry no offset; without it they are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<TimeZone>,
    /// Unit of times that are numbers counted from 1970-01-01T00:00:00Z.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<EpochUnit>,
}

/// Unit of a time that is a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EpochUnit {
    /// Seconds, with up to six decimal places.
    Seconds,
    /// Milliseconds, with up to three decimal places.
    Milliseconds,
    /// Microseconds.
    Microseconds,
}
