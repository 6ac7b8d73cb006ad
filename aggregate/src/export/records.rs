//! Rows of tables as their wire contracts.

use arrow::array::{AsArray, BinaryArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ingest::uuid::uuid_text;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{ExportTable, Record};
use crate::json_rows;

/// The rows of a batch.
pub(super) fn of_batch(table: ExportTable, batch: &RecordBatch) -> Result<Vec<Record>, ArrowError> {
    let rows = json_rows::rows(batch)?.into_iter().enumerate();
    rows.map(|(row, members)| record(table, batch, row, members)).collect()
}

fn record(
    table: ExportTable,
    batch: &RecordBatch,
    row: usize,
    mut members: Map<String, Value>,
) -> Result<Record, ArrowError> {
    match table {
        ExportTable::RatedUsage => {
            if let Some(uuid) = uuid(batch, "event_uuid", row) {
                members.insert("event_id".to_owned(), uuid.into());
            }
            // Which of its dimensions an event lacks is not told: others may be added to the table.
            let dimensions = members.remove("dimensions");
            let dimensions = dimensions.as_ref().and_then(Value::as_object).into_iter().flatten();
            let dimensions: Map<String, Value> = dimensions
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            members.insert("dimensions".to_owned(), dimensions.into());
            contract(members).map(|usage| Record::RatedUsage(Box::new(usage)))
        }
        ExportTable::Accruals => {
            let id = uuid(batch, "accrual_id", row);
            members.insert("accrual_id".to_owned(), id.into());
            contract(members).map(|accrual| Record::Accrual(Box::new(accrual)))
        }
        ExportTable::Quarantine => {
            let bytes = batch.column_by_name("bytes").and_then(|column| column.as_binary_opt::<i32>());
            let bytes = bytes.map(|bytes: &BinaryArray| STANDARD.encode(bytes.value(row)));
            members.insert("bytes".to_owned(), bytes.into());
            contract(members).map(|record| Record::Quarantine(Box::new(record)))
        }
    }
}

/// A row that is what its contract says.
fn contract<T: DeserializeOwned>(members: Map<String, Value>) -> Result<T, ArrowError> {
    serde_json::from_value(Value::Object(members)).map_err(|error| ArrowError::JsonError(error.to_string()))
}

/// A UUID of a column as text; `None` where there is none.
pub(super) fn uuid(batch: &RecordBatch, name: &str, row: usize) -> Option<String> {
    let column = batch.column_by_name(name)?;
    if column.is_null(row) {
        return None;
    }
    column.as_fixed_size_binary_opt()?.value(row).first_chunk().map(uuid_text)
}

/// A column of texts.
pub(super) fn texts(batch: &RecordBatch, name: &str) -> Result<StringArray, ArrowError> {
    let missing = || ArrowError::SchemaError(format!("there is no column {name}"));
    let texts = cast(batch.column_by_name(name).ok_or_else(missing)?, &DataType::Utf8)?;
    texts.as_string_opt::<i32>().cloned().ok_or_else(missing)
}
