//! The rows of quarantine, read back as records.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use arrow::error::ArrowError;
use schemas::quarantine::{QuarantineClass, QuarantineRecord};
use schemas::timestamp::Timestamp;

/// The records of rows, whatever form their texts have.
///
/// # Errors
/// A column that is not there, or is not what it should be.
pub fn quarantine_records(rows: &RecordBatch) -> Result<Vec<QuarantineRecord>, ArrowError> {
    let ids = Texts::new(rows, "quarantine_id")?;
    let classes = Texts::new(rows, "class")?;
    let [reasons, details, inputs] = ["reason", "detail", "input"].map(|name| Texts::new(rows, name));
    let (reasons, details, inputs) = (reasons?, details?, inputs?);
    let [mappings, headers] = ["csv_mapping", "csv_header"].map(|name| Texts::new(rows, name));
    let (mappings, headers) = (mappings?, headers?);
    let [sources, event_ids, types] = ["source", "event_id", "event_type"].map(|name| Texts::new(rows, name));
    let (sources, event_ids, types) = (sources?, event_ids?, types?);
    let [accounts, meters] = ["account_id", "meter_id"].map(|name| Texts::new(rows, name));
    let (accounts, meters) = (accounts?, meters?);
    let [lines, offsets, lengths] = ["line", "offset", "length"].map(|name| Longs::new(rows, name));
    let (lines, offsets, lengths) = (lines?, offsets?, lengths?);
    let [times, epochs] = ["event_time", "epoch"].map(|name| Longs::new(rows, name));
    let (times, epochs) = (times?, epochs?);
    let bytes = column(rows, "bytes", &DataType::Binary)?;
    let record = |row: usize| {
        let unsigned = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
        let class = classes.text(row)?;
        let known = QuarantineClass::ALL.into_iter().find(|known| known.name() == class);
        let class =
            known.ok_or_else(|| ArrowError::ParseError(format!("{class:?} is no class of quarantine")))?;
        Ok(QuarantineRecord {
            quarantine_id: ids.text(row)?,
            class,
            reason: reasons.text(row)?,
            detail: details.text(row)?,
            input: inputs.text(row)?,
            line: unsigned(lines.get(row)),
            offset: unsigned(offsets.get(row)).unwrap_or(0),
            length: unsigned(lengths.get(row)).unwrap_or(0),
            bytes: bytes.as_binary::<i32>().value(row).to_vec(),
            csv_mapping: mappings.get(row),
            csv_header: headers.get(row),
            source: sources.get(row),
            event_id: event_ids.get(row),
            event_type: types.get(row),
            account_id: accounts.get(row),
            event_time: times.get(row).map(Timestamp::from_micros),
            meter_id: meters.get(row),
            epoch: epochs.get(row).unwrap_or(0),
        })
    };
    (0..rows.num_rows()).map(record).collect()
}

fn column(rows: &RecordBatch, name: &str, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    let found = rows.column_by_name(name);
    let found = found.ok_or_else(|| ArrowError::SchemaError(format!("quarantine has no column {name}")))?;
    cast(found, data_type)
}

/// A column of texts.
struct Texts {
    name: &'static str,
    column: ArrayRef,
}

impl Texts {
    fn new(rows: &RecordBatch, name: &'static str) -> Result<Self, ArrowError> {
        Ok(Self { name, column: column(rows, name, &DataType::Utf8)? })
    }

    fn get(&self, row: usize) -> Option<String> {
        let texts = self.column.as_string::<i32>();
        texts.is_valid(row).then(|| texts.value(row).to_owned())
    }

    fn text(&self, row: usize) -> Result<String, ArrowError> {
        self.get(row)
            .ok_or_else(|| ArrowError::ParseError(format!("a row of quarantine has no {}", self.name)))
    }
}

/// A column of numbers, or of times in microseconds.
struct Longs(ArrayRef);

impl Longs {
    fn new(rows: &RecordBatch, name: &str) -> Result<Self, ArrowError> {
        column(rows, name, &DataType::Int64).map(Self)
    }

    fn get(&self, row: usize) -> Option<i64> {
        let numbers = self.0.as_primitive::<Int64Type>();
        numbers.is_valid(row).then(|| numbers.value(row))
    }
}
