//! Rows of the table of settled records, from the documents of epochs.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use super::CommittedEpoch;

/// The rows of epochs.
pub(super) fn batch(schema: &SchemaRef, epochs: &[CommittedEpoch]) -> Result<RecordBatch, ArrowError> {
    let settled =
        || epochs.iter().flat_map(|epoch| epoch.document.settled.iter().map(move |record| (epoch, record)));
    let ids = settled().map(|(_, record)| Some(record.quarantine_id.as_str()));
    let outcomes = settled().map(|(_, record)| Some(record.outcome.name()));
    let numbers = settled().map(|(epoch, _)| i64::try_from(epoch.document.epoch).ok());
    let columns: [ArrayRef; 3] = [
        Arc::new(ids.collect::<StringArray>()),
        Arc::new(outcomes.collect::<StringArray>()),
        Arc::new(numbers.collect::<Int64Array>()),
    ];
    RecordBatch::try_new(Arc::clone(schema), columns.to_vec())
}
