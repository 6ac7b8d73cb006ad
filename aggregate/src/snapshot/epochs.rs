//! Rows of the epochs table, from the documents of epochs.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Builder, Int32Array, Int64Array, ListArray, RecordBatch, StringArray,
    StringBuilder, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, SchemaRef};
use arrow::error::ArrowError;
use schemas::epoch::{ContentHash, ContentKind, Epoch, EpochCause};
use schemas::money::Money;
use schemas::timestamp::Timestamp;

use super::CommittedEpoch;

/// The rows of epochs.
pub(super) fn batch(schema: &SchemaRef, epochs: &[CommittedEpoch]) -> Result<RecordBatch, ArrowError> {
    let columns = schema.fields().iter().map(|field| column(field, epochs));
    RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_, _>>()?)
}

fn column(field: &Field, epochs: &[CommittedEpoch]) -> Result<ArrayRef, ArrowError> {
    let text = |of: fn(&CommittedEpoch) -> &str| -> ArrayRef {
        Arc::new(epochs.iter().map(|epoch| Some(of(epoch))).collect::<StringArray>())
    };
    let hash = |of: fn(&CommittedEpoch) -> ContentHash| -> ArrayRef {
        Arc::new(epochs.iter().map(|epoch| Some(of(epoch).to_string())).collect::<StringArray>())
    };
    let long = |of: fn(&Epoch) -> i64| -> ArrayRef {
        Arc::new(epochs.iter().map(|epoch| of(&epoch.document)).collect::<Int64Array>())
    };
    let time = |of: fn(&Epoch) -> Option<i64>| -> ArrayRef {
        let times = epochs.iter().map(|epoch| of(&epoch.document));
        Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
    };
    Ok(match field.name().as_str() {
        "partition" => {
            let partition = |epoch: &CommittedEpoch| i32::try_from(epoch.document.partition).ok();
            Arc::new(epochs.iter().map(partition).collect::<Int32Array>())
        }
        "epoch" => {
            let number = |epoch: &CommittedEpoch| i64::try_from(epoch.document.epoch).ok();
            Arc::new(epochs.iter().map(number).collect::<Int64Array>())
        }
        "recorded_at" => time(|epoch| Some(epoch.recorded_at.micros())),
        "tallybook_version" => text(|epoch| &epoch.document.tallybook_version),
        "cause" => text(|epoch| match epoch.document.cause {
            EpochCause::Usage => "usage",
            EpochCause::Replay => "replay",
            EpochCause::Catalog => "catalog",
        }),
        "hash" => hash(|epoch| epoch.hash),
        "previous" => hash(|epoch| epoch.document.previous),
        "catalog" => hash(|epoch| epoch.document.catalog),
        "received" => long(|epoch| epoch.counts.received),
        "rated" => long(|epoch| epoch.counts.rated),
        "unrated" => long(|epoch| epoch.counts.unrated),
        "duplicate" => long(|epoch| epoch.counts.duplicate),
        "conflict" => long(|epoch| epoch.counts.conflict),
        "rejected" => long(|epoch| epoch.counts.rejected),
        "voided" => long(|epoch| epoch.counts.voided),
        "settled" => long(|epoch| signed(epoch.settled.len() as u64)),
        "rated_usage_rows" => long(|epoch| rows(epoch, ContentKind::RatedUsage)),
        "accrual_rows" => long(|epoch| rows(epoch, ContentKind::Accruals)),
        "quarantine_rows" => long(|epoch| rows(epoch, ContentKind::Quarantine)),
        "rated_amounts" => sums(field, epochs, |epoch| &epoch.rated)?,
        "accrued_amounts" => sums(field, epochs, |epoch| &epoch.accrued)?,
        "posted_amounts" => sums(field, epochs, |epoch| &epoch.posted)?,
        "is_accrued" => {
            Arc::new(epochs.iter().map(|epoch| Some(epoch.document.is_accrued)).collect::<BooleanArray>())
        }
        "forgets_before" => time(|epoch| epoch.forgets_before.map(Timestamp::micros)),
        other => return Err(ArrowError::SchemaError(format!("an epoch has no {other}"))),
    })
}

fn rows(epoch: &Epoch, kind: ContentKind) -> i64 {
    signed(epoch.contents.iter().filter(|content| content.kind == kind).map(|content| content.rows).sum())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn sums(
    field: &Field,
    epochs: &[CommittedEpoch],
    of: fn(&Epoch) -> &Vec<Money>,
) -> Result<ArrayRef, ArrowError> {
    let DataType::List(item) = field.data_type() else {
        return Err(ArrowError::SchemaError(format!("{} is no list", field.name())));
    };
    let DataType::Struct(members) = item.data_type() else {
        return Err(ArrowError::SchemaError(format!("{} is no list of structs", field.name())));
    };
    let mut currencies = StringBuilder::new();
    let amount_type = members.iter().find(|member| member.name() == "amount");
    let amount_type = amount_type.map_or(DataType::Null, |member| member.data_type().clone());
    let mut amounts = Decimal128Builder::new().with_data_type(amount_type);
    for money in epochs.iter().flat_map(|epoch| of(&epoch.document)) {
        currencies.append_value(money.currency.code());
        amounts.append_value(money.amount.units());
    }
    let columns: Vec<ArrayRef> = vec![Arc::new(currencies.finish()), Arc::new(amounts.finish())];
    let structs = StructArray::try_new(members.clone(), columns, None)?;
    let offsets = OffsetBuffer::from_lengths(epochs.iter().map(|epoch| of(&epoch.document).len()));
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, Arc::new(structs), None)?))
}
