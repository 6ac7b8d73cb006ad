//! What a table says of each epoch, added up from its rows.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, Decimal128Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Int64Type};
use arrow::error::ArrowError;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use schemas::ROUNDED_AMOUNT_SCALE;
use schemas::currency::Currency;
use schemas::epoch::{ContentHash, EventCounts};
use schemas::money::{AMOUNT_SCALE, Amount, Money};

use super::figures::{EpochFigures, Months, count_month};
use crate::books::CurrencySums;
use crate::delta::{ParquetSource, TableFile};
use crate::disk::Disk;
use crate::error::AggregateError;
use crate::parquet_columns::parquet_error;
use crate::snapshot::SnapshotTable;

/// Rows that are read at once.
const BATCH_ROWS: usize = 1 << 16;

/// Units of an exact amount in one of a rounded amount.
const ROUNDED_UNIT: i128 = 10_i128.pow((AMOUNT_SCALE - ROUNDED_AMOUNT_SCALE) as u32);

/// What a table says of an epoch.
#[derive(Clone, Debug, Default)]
pub(super) struct TableFigures {
    pub(super) rows: u64,
    /// Of rated usage and accruals, exact amounts.
    exact: CurrencySums,
    /// Of accruals, what they post.
    posted: CurrencySums,
    /// Of control totals.
    counts: EventCounts,
    /// Of control totals, counted events by month.
    pub(super) months: Months,
    /// Of epochs.
    pub(super) document: Option<EpochFigures>,
}

impl TableFigures {
    /// How they differ from what the epoch says.
    pub(super) fn difference(&self, table: SnapshotTable, expected: &EpochFigures) -> Option<String> {
        let rows = match table {
            SnapshotTable::RatedUsage => expected.rated_usage_rows,
            SnapshotTable::Accruals => expected.accrual_rows,
            SnapshotTable::Quarantine => expected.quarantine_rows,
            SnapshotTable::Settled => expected.settled,
            SnapshotTable::Epochs => 1,
            SnapshotTable::ControlTotals => self.rows,
        };
        if self.rows != rows {
            return Some(format!("there are {} rows of it, and should be {rows}", self.rows));
        }
        let sums = match table {
            SnapshotTable::RatedUsage => vec![(&self.exact, &expected.rated, "rated")],
            SnapshotTable::Accruals => {
                vec![(&self.exact, &expected.accrued, "accrued"), (&self.posted, &expected.posted, "posted")]
            }
            _ => Vec::new(),
        };
        for (found, expected, what) in sums {
            if found != expected {
                return Some(format!("its rows say that {found} is {what}, the epoch says {expected}"));
            }
        }
        if table == SnapshotTable::ControlTotals && self.counts != expected.counts {
            return Some(format!("its rows count {:?}, the epoch counts {:?}", self.counts, expected.counts));
        }
        let is_other = self.document.as_ref().is_some_and(|document| document != expected);
        is_other.then(|| "its row is not what the epoch says".to_owned())
    }
}

/// Reads the files of a table.
pub(super) fn read(
    disk: &dyn Disk,
    table: SnapshotTable,
    files: &[TableFile],
) -> Result<BTreeMap<u64, TableFigures>, AggregateError> {
    let mut figures = BTreeMap::new();
    for file in files {
        let path = disk.path(&file.name);
        let failed = |error| parquet_error(&path, error);
        let source = ParquetSource::open(disk, &file.name)?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(
            source.bytes().clone(),
            source.metadata.clone(),
        );
        let mask = match columns(table) {
            [] => ProjectionMask::all(),
            columns => ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied()),
        };
        let reader = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build().map_err(failed)?;
        for batch in reader {
            let batch = batch.map_err(|error| failed(error.into()))?;
            add(table, &batch, &mut figures).map_err(|error| failed(error.into()))?;
        }
    }
    Ok(figures)
}

/// The columns that are looked at; none stands for all.
const fn columns(table: SnapshotTable) -> &'static [&'static str] {
    match table {
        SnapshotTable::RatedUsage => &["epoch", "currency", "amount"],
        SnapshotTable::Accruals => &["epoch", "currency", "delta_amount_exact", "delta_amount"],
        SnapshotTable::Quarantine | SnapshotTable::Settled => &["epoch"],
        SnapshotTable::ControlTotals | SnapshotTable::Epochs => &[],
    }
}

fn add(
    table: SnapshotTable,
    batch: &RecordBatch,
    figures: &mut BTreeMap<u64, TableFigures>,
) -> Result<(), ArrowError> {
    let epochs = long(batch, "epoch")?;
    let epochs = epochs.values();
    let mut from = 0;
    // Rows of an epoch follow each other.
    for rows in epochs.chunk_by(|one, other| one == other) {
        let epoch = rows.first().and_then(|epoch| u64::try_from(*epoch).ok()).unwrap_or(0);
        let of_epoch = figures.entry(epoch).or_default();
        of_epoch.rows += rows.len() as u64;
        let batch = batch.slice(from, rows.len());
        from += rows.len();
        match table {
            SnapshotTable::RatedUsage => {
                of_epoch.exact.add(&amounts(&batch, "amount", 1)?).map_err(overflow)?;
            }
            SnapshotTable::Accruals => {
                of_epoch.exact.add(&amounts(&batch, "delta_amount_exact", 1)?).map_err(overflow)?;
                of_epoch.posted.add(&amounts(&batch, "delta_amount", ROUNDED_UNIT)?).map_err(overflow)?;
            }
            SnapshotTable::Quarantine | SnapshotTable::Settled => {}
            SnapshotTable::ControlTotals => add_control_totals(&batch, of_epoch)?,
            SnapshotTable::Epochs => of_epoch.document = Some(document(&batch)?),
        }
    }
    Ok(())
}

/// Sums of a column by currency; one of it is so many units of an exact amount.
fn amounts(batch: &RecordBatch, name: &str, unit: i128) -> Result<Vec<Money>, ArrowError> {
    let currencies = text(batch, "currency")?;
    let column = column(batch, name)?.as_primitive_opt::<Decimal128Type>().cloned();
    let column: Decimal128Array = column.ok_or_else(|| missing(name))?;
    let mut sums: Vec<(&str, i128)> = Vec::new();
    for (currency, units) in currencies.iter().flatten().zip(column.values()) {
        let units = units.checked_mul(unit).ok_or_else(|| overflow(rating::Overflow))?;
        match sums.iter_mut().find(|(known, _)| *known == currency) {
            Some((_, sum)) => *sum = sum.checked_add(units).ok_or_else(|| overflow(rating::Overflow))?,
            None => sums.push((currency, units)),
        }
    }
    let money = sums.into_iter().map(|(code, units)| {
        let currency =
            Currency::from_code(code).map_err(|error| ArrowError::ParseError(error.to_string()))?;
        Ok(Money { amount: Amount::from_units(units), currency })
    });
    money.collect()
}

fn add_control_totals(batch: &RecordBatch, figures: &mut TableFigures) -> Result<(), ArrowError> {
    let months = text(batch, "month")?;
    for row in 0..batch.num_rows() {
        let counts = counts(batch, row)?;
        figures.counts += counts;
        let month = months.is_valid(row).then(|| months.value(row));
        count_month(&mut figures.months, month, &counts);
    }
    Ok(())
}

fn counts(batch: &RecordBatch, row: usize) -> Result<EventCounts, ArrowError> {
    Ok(EventCounts {
        received: number(batch, "received", row)?,
        rated: number(batch, "rated", row)?,
        unrated: number(batch, "unrated", row)?,
        duplicate: number(batch, "duplicate", row)?,
        conflict: number(batch, "conflict", row)?,
        rejected: number(batch, "rejected", row)?,
        voided: number(batch, "voided", row)?,
    })
}

/// The row of an epoch.
fn document(batch: &RecordBatch) -> Result<EpochFigures, ArrowError> {
    let rows = |name| Ok::<_, ArrowError>(u64::try_from(number(batch, name, 0)?).unwrap_or(u64::MAX));
    let hash = |name: &str| {
        let text = text(batch, name)?;
        let hash = serde_json::from_value(serde_json::Value::String(text.value(0).to_owned()));
        hash.map_err(|error| ArrowError::ParseError(error.to_string()))
    };
    let sums = |name: &str| {
        let lists = column(batch, name)?.as_list_opt::<i32>().ok_or_else(|| missing(name))?;
        let members = lists.value(0);
        let members: RecordBatch = members.as_struct_opt().ok_or_else(|| missing(name))?.into();
        let mut sums = CurrencySums::default();
        sums.add(&amounts(&members, "amount", 1)?).map_err(overflow)?;
        Ok::<_, ArrowError>(sums)
    };
    let [hash, previous, catalog]: [ContentHash; 3] = [hash("hash")?, hash("previous")?, hash("catalog")?];
    Ok(EpochFigures {
        hash,
        previous,
        catalog,
        counts: counts(batch, 0)?,
        settled: rows("settled")?,
        rated_usage_rows: rows("rated_usage_rows")?,
        accrual_rows: rows("accrual_rows")?,
        quarantine_rows: rows("quarantine_rows")?,
        rated: sums("rated_amounts")?,
        accrued: sums("accrued_amounts")?,
        posted: sums("posted_amounts")?,
    })
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a dyn Array, ArrowError> {
    batch.column_by_name(name).map(AsRef::as_ref).ok_or_else(|| missing(name))
}

fn long(batch: &RecordBatch, name: &str) -> Result<Int64Array, ArrowError> {
    column(batch, name)?.as_primitive_opt::<Int64Type>().cloned().ok_or_else(|| missing(name))
}

fn number(batch: &RecordBatch, name: &str, row: usize) -> Result<i64, ArrowError> {
    long(batch, name)?.values().get(row).copied().ok_or_else(|| missing(name))
}

fn text(batch: &RecordBatch, name: &str) -> Result<StringArray, ArrowError> {
    let texts = cast(column(batch, name)?, &DataType::Utf8)?;
    texts.as_string_opt::<i32>().cloned().ok_or_else(|| missing(name))
}

fn missing(name: &str) -> ArrowError {
    ArrowError::SchemaError(format!("there is no column {name} as it should be"))
}

fn overflow(_: rating::Overflow) -> ArrowError {
    ArrowError::ArithmeticOverflow("a sum needs more than 38 digits".to_owned())
}
