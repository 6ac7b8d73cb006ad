//! Rows of tables as JSON, with every decimal as text: a number of JSON is a float to many who read it; and instants
//! as our contracts have them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, StringArray, StructArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::json::WriterBuilder;
use arrow::json::writer::LineDelimited;
use schemas::timestamp::Timestamp;
use serde_json::{Map, Value};

/// The rows of a batch, with nulls.
///
/// # Errors
/// What Arrow cannot write.
pub fn rows(batch: &RecordBatch) -> Result<Vec<Map<String, Value>>, ArrowError> {
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let column = textual(column)?;
        fields.push(field_of(field, &column));
        columns.push(column);
    }
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(Vec::new());
    writer.write(&batch)?;
    writer.finish()?;
    let text = writer.into_inner();
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let row = |line| serde_json::from_slice(line).map_err(|error| ArrowError::JsonError(error.to_string()));
    lines.map(row).collect()
}

/// A column whose decimals are texts.
fn textual(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match column.data_type() {
        DataType::Decimal128(..) | DataType::Decimal256(..) => cast(column, &DataType::Utf8),
        // How Arrow writes a time zone depends on what it was built with.
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let times = column.as_primitive::<TimestampMicrosecondType>();
            let times = times.iter().map(|micros| Some(Timestamp::from_micros(micros?).to_string()));
            Ok(Arc::new(times.collect::<StringArray>()))
        }
        DataType::Struct(members) => {
            let rows = column.as_struct();
            let columns = rows.columns().iter().map(textual).collect::<Result<Vec<_>, _>>()?;
            let members: Fields =
                members.iter().zip(&columns).map(|(member, column)| field_of(member, column)).collect();
            let nulls = rows.nulls().cloned();
            Ok(Arc::new(StructArray::try_new_with_length(members, columns, nulls, rows.len())?))
        }
        DataType::List(item) => {
            let lists = column.as_list::<i32>();
            let values = textual(lists.values())?;
            let item = Arc::new(field_of(item, &values));
            let (offsets, nulls) = (lists.offsets().clone(), lists.nulls().cloned());
            Ok(Arc::new(ListArray::try_new(item, offsets, values, nulls)?))
        }
        _ => Ok(Arc::clone(column)),
    }
}

fn field_of(field: &Field, column: &ArrayRef) -> Field {
    Field::new(field.name(), column.data_type().clone(), field.is_nullable())
}
