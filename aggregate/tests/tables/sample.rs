//! Epochs with rows that tell where they come from.

use std::io::Write;
use std::sync::Arc;

use aggregate::disk::Disk;
use aggregate::snapshot::{CommittedEpoch, SnapshotTable};
use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Int32Array, Int64Array,
    ListArray, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use schemas::epoch::{ContentHash, ContentKind, Epoch, EpochContent};
use schemas::id::DimensionName;
use schemas::timestamp::Timestamp;
use schemas::{accrual, quarantine, rated_usage};

/// The ledger of the epochs.
pub(crate) const LEDGER: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

/// When epoch 0 would have been, in microseconds.
const BEGIN: i64 = 1_790_000_000_000_000;

/// What an epoch holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    /// Rows of rated usage.
    pub(crate) rated: u64,
    /// Is rated usage a file?
    pub(crate) is_bulk: bool,
    /// Dimensions of the catalog.
    pub(crate) dimensions: Vec<&'static str>,
    /// Rows of quarantine, and of accruals.
    pub(crate) others: u64,
}

/// When an epoch was committed.
pub(crate) fn recorded_at(epoch: u64) -> Timestamp {
    Timestamp::from_micros(BEGIN + i64::try_from(epoch).unwrap() * 1_000_000)
}

/// The epoch of a number; a bulk epoch's file is written.
pub(crate) fn epoch(disk: &dyn Disk, number: u64, content: &Content) -> CommittedEpoch {
    let text = include_str!("../../../schemas/samples/epoch.v1.json");
    let mut document: Epoch = serde_json::from_str(text).unwrap();
    document.epoch = number;
    document.recorded_at = recorded_at(number);
    document.contents.clear();
    let mut inline = Vec::new();
    let others = [(ContentKind::Accruals, content.others), (ContentKind::Quarantine, content.others)];
    let identities = Bytes::from_static(b"no rows of a table");
    document.contents.push(described(ContentKind::Identities, 1, &identities));
    inline.push(identities);
    for (kind, rows) in [(ContentKind::RatedUsage, content.rated)].into_iter().chain(others) {
        let bytes = parquet(&schema(kind, &content.dimensions), number, rows);
        let mut described = described(kind, rows, &bytes);
        if kind == ContentKind::RatedUsage && content.is_bulk {
            let name = bulk_name(number);
            disk.create_directory(&SnapshotTable::RatedUsage.directory()).unwrap();
            disk.create(&name).unwrap().write_all(&bytes).unwrap();
            described.file = Some(name);
        } else {
            inline.push(bytes);
        }
        document.contents.push(described);
    }
    CommittedEpoch { document, hash: ContentHash([7; 32]), inline }
}

/// Where a bulk epoch's rated usage is.
pub(crate) fn bulk_name(epoch: u64) -> String {
    format!("tables/rated_usage/bulk-{epoch}.parquet")
}

/// Epochs 1 to n.
pub(crate) fn epochs(disk: &dyn Disk, contents: &[Content]) -> Vec<CommittedEpoch> {
    (1..).zip(contents).map(|(number, content)| epoch(disk, number, content)).collect()
}

fn described(kind: ContentKind, rows: u64, bytes: &Bytes) -> EpochContent {
    EpochContent {
        kind,
        rows,
        bytes: bytes.len() as u64,
        hash: ContentHash(*blake3::hash(bytes).as_bytes()),
        file: None,
    }
}

/// The columns of a kind of content, ending in its epoch.
fn schema(kind: ContentKind, dimensions: &[&str]) -> SchemaRef {
    let dimensions: Vec<DimensionName> = dimensions.iter().map(|name| name.parse().unwrap()).collect();
    let schema = match kind {
        ContentKind::RatedUsage => rated_usage::arrow_schema(&dimensions),
        ContentKind::Accruals => accrual::arrow_schema(),
        ContentKind::Quarantine => quarantine::arrow_schema(),
        other => panic!("{other:?} has no rows"),
    };
    if schema.field_with_name("epoch").is_ok() {
        return schema;
    }
    let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new("epoch", DataType::Int64, false)));
    Arc::new(Schema::new(fields))
}

fn parquet(schema: &SchemaRef, epoch: u64, rows: u64) -> Bytes {
    let keys: Vec<_> = (0..rows).map(|row| (epoch, row)).collect();
    let batch = RecordBatch::try_new(Arc::clone(schema), columns(schema.fields(), &keys)).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), Arc::clone(schema), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap().into()
}

fn columns(fields: &Fields, keys: &[(u64, u64)]) -> Vec<ArrayRef> {
    fields.iter().map(|field| column(field, keys)).collect()
}

/// The amount of a row, in units of its decimal places: more digits than a float has.
pub(crate) fn units(epoch: u64, row: u64) -> i128 {
    100_000_000_000_000_000_000_000 * i128::from(epoch) + i128::from(row) + 1
}

fn column(field: &Field, keys: &[(u64, u64)]) -> ArrayRef {
    let long = |key: &(u64, u64)| i64::try_from(if field.name() == "epoch" { key.0 } else { key.1 }).unwrap();
    match field.data_type() {
        DataType::Utf8 if field.is_nullable() && field.name() != "event_id" => {
            let text = |(_, row): &(u64, u64)| (row % 2 == 0).then(|| format!("{} {row}", field.name()));
            Arc::new(keys.iter().map(text).collect::<StringArray>())
        }
        DataType::Utf8 => {
            Arc::new(keys.iter().map(|(epoch, row)| Some(format!("{epoch}-{row}"))).collect::<StringArray>())
        }
        DataType::Binary => {
            Arc::new(keys.iter().map(|key| Some(key.0.to_le_bytes())).collect::<arrow::array::BinaryArray>())
        }
        DataType::FixedSizeBinary(16) => {
            let id =
                |(epoch, row): &(u64, u64)| Some((u128::from(*epoch) << 64 | u128::from(*row)).to_be_bytes());
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(keys.iter().map(id), 16).unwrap())
        }
        DataType::Timestamp(..) => {
            let time = |key: &(u64, u64)| recorded_at(key.0).micros() + 1 + long(key);
            let times: TimestampMicrosecondArray = keys.iter().map(|key| Some(time(key))).collect();
            Arc::new(times.with_timezone("UTC"))
        }
        DataType::Date32 => {
            let day = |key: &(u64, u64)| Some(20_000 + i32::try_from(key.0).unwrap());
            Arc::new(keys.iter().map(day).collect::<Date32Array>())
        }
        DataType::Decimal128(..) => {
            let amounts = keys.iter().map(|(epoch, row)| Some(units(*epoch, *row)));
            let amounts: Decimal128Array = amounts.collect();
            Arc::new(amounts.with_data_type(field.data_type().clone()))
        }
        DataType::Int32 => {
            Arc::new(keys.iter().map(|key| i32::try_from(long(key)).ok()).collect::<Int32Array>())
        }
        DataType::Int64 => Arc::new(keys.iter().map(|key| Some(long(key))).collect::<Int64Array>()),
        DataType::Boolean => Arc::new(keys.iter().map(|key| Some(key.1 % 2 == 0)).collect::<BooleanArray>()),
        DataType::Struct(members) => {
            let columns = columns(members, keys);
            Arc::new(StructArray::try_new_with_length(members.clone(), columns, None, keys.len()).unwrap())
        }
        DataType::List(item) => {
            let offsets = OffsetBuffer::from_lengths(keys.iter().map(|_| 1));
            Arc::new(ListArray::try_new(Arc::clone(item), offsets, column(item, keys), None).unwrap())
        }
        other => panic!("no sample of {other}"),
    }
}
