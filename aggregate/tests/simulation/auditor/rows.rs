//! Rows of Parquet files, by Parquet's own row reader.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use parquet::data_type::Decimal;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row as ParquetRow};

use super::Audit;

/// A row, by column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    columns: BTreeMap<String, Value>,
    print: u64,
}

#[derive(Clone, Debug, PartialEq, Hash)]
enum Value {
    Absent,
    Text(String),
    /// A number, and how many of its digits are decimal places.
    Number(i128, u32),
    Bytes(Vec<u8>),
    Other(String),
}

impl Row {
    /// A number that stands for its values: a column that is absent is as one that is not there.
    pub(crate) const fn print(&self) -> u64 {
        self.print
    }

    /// A text; none where it is absent.
    pub(crate) fn text_if_any(&self, column: &str) -> Audit<Option<&str>> {
        match self.columns.get(column) {
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(Value::Absent) => Ok(None),
            other => Err(format!("{column} is no text: {other:?}")),
        }
    }

    pub(crate) fn text(&self, column: &str) -> Audit<&str> {
        self.text_if_any(column)?.ok_or_else(|| format!("{column} is absent"))
    }

    /// A whole number; a date counts in days, a time in microseconds.
    pub(crate) fn integer(&self, column: &str) -> Audit<i128> {
        self.decimal(column, 0)
    }

    /// A number as a count of units of so many decimal places.
    pub(crate) fn decimal(&self, column: &str, places: u32) -> Audit<i128> {
        match self.columns.get(column) {
            Some(Value::Number(number, scale)) if *scale <= places => {
                number.checked_mul(10i128.pow(places - scale)).ok_or_else(|| format!("{column} is too large"))
            }
            other => Err(format!("{column} is no number of {places} places: {other:?}")),
        }
    }

    pub(crate) fn bytes(&self, column: &str) -> Audit<&[u8]> {
        match self.columns.get(column) {
            Some(Value::Bytes(bytes)) => Ok(bytes),
            other => Err(format!("{column} is no bytes: {other:?}")),
        }
    }

    /// The id of an event: text, or a UUID of 16 bytes.
    pub(crate) fn event_id(&self) -> Audit<String> {
        match self.columns.get("event_uuid") {
            Some(Value::Bytes(uuid)) => {
                let digits = super::ledger::hex(uuid);
                let parts =
                    [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| digits.get(part).unwrap_or_default());
                Ok(parts.join("-"))
            }
            _ => Ok(self.text("event_id")?.to_owned()),
        }
    }
}

pub(crate) fn read_rows(bytes: Vec<u8>) -> Audit<Vec<Row>> {
    let wrong = |error: parquet::errors::ParquetError| error.to_string();
    let reader = SerializedFileReader::new(Bytes::from(bytes)).map_err(wrong)?;
    reader.get_row_iter(None).map_err(wrong)?.map(|row| Ok(read_row(&row.map_err(wrong)?))).collect()
}

fn read_row(row: &ParquetRow) -> Row {
    let value = |field: &Field| match field {
        Field::Null => Value::Absent,
        Field::Str(text) => Value::Text(text.clone()),
        Field::Int(number) | Field::Date(number) => Value::Number((*number).into(), 0),
        Field::Long(number) | Field::TimestampMicros(number) => Value::Number((*number).into(), 0),
        Field::Decimal(decimal) => decimal_value(decimal),
        Field::Bytes(bytes) => Value::Bytes(bytes.data().to_vec()),
        other => Value::Other(other.to_string()),
    };
    let columns: BTreeMap<String, Value> =
        row.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect();
    let mut hasher = DefaultHasher::new();
    columns.iter().filter(|(_, value)| **value != Value::Absent).for_each(|entry| entry.hash(&mut hasher));
    Row { columns, print: hasher.finish() }
}

fn decimal_value(decimal: &Decimal) -> Value {
    let bytes = decimal.data();
    let sign = if bytes.first().is_some_and(|byte| *byte >= 0x80) { 0xff } else { 0 };
    let mut number = [sign; 16];
    match number.len().checked_sub(bytes.len()) {
        Some(start) => number[start..].copy_from_slice(bytes),
        None => return Value::Other(format!("a decimal of {} bytes", bytes.len())),
    }
    Value::Number(i128::from_be_bytes(number), decimal.scale().unsigned_abs())
}
