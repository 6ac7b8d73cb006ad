//! Rows of the control totals table, from the documents of epochs.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use schemas::epoch::{EpochControlTotal, EventCounts};

use super::CommittedEpoch;

/// The rows of epochs.
pub(super) fn batch(schema: &SchemaRef, epochs: &[CommittedEpoch]) -> Result<RecordBatch, ArrowError> {
    let rows: Vec<_> = epochs
        .iter()
        .flat_map(|epoch| epoch.document.control_totals.iter().map(|total| (epoch.document.epoch, total)))
        .collect();
    let columns = schema.fields().iter().map(|field| column(field.name(), &rows));
    RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_, _>>()?)
}

fn column(name: &str, rows: &[(u64, &EpochControlTotal)]) -> Result<ArrayRef, ArrowError> {
    let text = |of: fn(&EpochControlTotal) -> Option<&str>| -> ArrayRef {
        Arc::new(rows.iter().map(|(_, total)| of(total)).collect::<StringArray>())
    };
    let count = |of: fn(&EventCounts) -> i64| -> ArrayRef {
        Arc::new(rows.iter().map(|(_, total)| of(&total.counts)).collect::<Int64Array>())
    };
    Ok(match name {
        "source" => text(|total| total.source.as_deref()),
        "event_type" => text(|total| total.event_type.as_deref()),
        "month" => text(|total| total.month.as_deref()),
        "received" => count(|counts| counts.received),
        "rated" => count(|counts| counts.rated),
        "unrated" => count(|counts| counts.unrated),
        "duplicate" => count(|counts| counts.duplicate),
        "conflict" => count(|counts| counts.conflict),
        "rejected" => count(|counts| counts.rejected),
        "voided" => count(|counts| counts.voided),
        "epoch" => Arc::new(rows.iter().map(|(epoch, _)| i64::try_from(*epoch).ok()).collect::<Int64Array>()),
        other => return Err(ArrowError::SchemaError(format!("a control total has no {other}"))),
    })
}
