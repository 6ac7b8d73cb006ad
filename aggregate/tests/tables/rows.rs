//! The rows of a table, read from the files its log names, and the rows there should be.

use std::fs::File;

use aggregate::delta::DeltaTable;
use aggregate::disk::Disk;
use aggregate::snapshot::{CommittedEpoch, SnapshotTable};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Decimal128Type, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use schemas::epoch::ContentKind;

use crate::sample::{LEDGER, units};

/// A row: epoch, what tells it from others, units of its amount.
pub(crate) type Row = (u64, String, i128);

/// The rows of a table, sorted; none where there is no table.
pub(crate) fn rows(disk: &dyn Disk, table: SnapshotTable) -> Option<(u64, Vec<Row>)> {
    let delta = DeltaTable::load(disk, &table.directory()).unwrap()?;
    assert_eq!(delta.verify(), [], "{table:?}");
    let mut rows = Vec::new();
    for file in delta.files() {
        let before = rows.len();
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(disk.path(&file.name)).unwrap());
        for batch in reader.unwrap().build().unwrap() {
            read(table, &batch.unwrap(), &mut rows);
        }
        assert_eq!(file.rows, Some((rows.len() - before) as u64), "{}", file.name);
        let first = rows[before..].iter().map(|row| row.0).min();
        if table != SnapshotTable::ControlTotals {
            assert_eq!(file.first_epoch, first.map(|epoch| i64::try_from(epoch).unwrap()), "{}", file.name);
        }
    }
    rows.sort();
    Some((delta.last_epoch(LEDGER, 0).unwrap_or_default(), rows))
}

fn read(table: SnapshotTable, batch: &RecordBatch, rows: &mut Vec<Row>) {
    let (key, amount) = match table {
        SnapshotTable::RatedUsage => (Some("event_id"), Some("amount")),
        SnapshotTable::Accruals => (Some("accrual_key"), Some("net_amount_exact")),
        SnapshotTable::Quarantine => (Some("event_id"), None),
        SnapshotTable::ControlTotals => (Some("source"), None),
        SnapshotTable::Settled => (Some("quarantine_id"), None),
        SnapshotTable::Epochs => (None, None),
    };
    let key = key.map(|key| batch.column_by_name(key).unwrap().as_string::<i32>());
    let amount = amount.map(|key| batch.column_by_name(key).unwrap().as_primitive::<Decimal128Type>());
    let epoch = batch.column_by_name("epoch").map(AsArray::as_primitive::<Int64Type>);
    for row in 0..batch.num_rows() {
        let key = key.filter(|key| key.is_valid(row)).map_or("", |key| key.value(row));
        let epoch = epoch.map_or(0, |epoch| u64::try_from(epoch.value(row)).unwrap());
        rows.push((epoch, key.to_owned(), amount.map_or(0, |amount| amount.value(row))));
    }
}

/// The rows that a table should have of epochs.
pub(crate) fn expected(table: SnapshotTable, epochs: &[CommittedEpoch]) -> Vec<Row> {
    let mut rows = Vec::new();
    // The column `epoch` of control totals is there when their schema has it.
    let has_epoch = schemas::control_total::arrow_schema().field_with_name("epoch").is_ok();
    for epoch in epochs {
        let number = epoch.document.epoch;
        let keyed = |kind: ContentKind, has_amount: bool| {
            let content = epoch.document.contents.iter().find(|content| content.kind == kind).unwrap();
            let amount = move |row| if has_amount { units(number, row) } else { 0 };
            (0..content.rows).map(move |row| (number, format!("{number}-{row}"), amount(row)))
        };
        match table {
            SnapshotTable::RatedUsage => rows.extend(keyed(ContentKind::RatedUsage, true)),
            SnapshotTable::Accruals => rows.extend(keyed(ContentKind::Accruals, true)),
            SnapshotTable::Quarantine => rows.extend(keyed(ContentKind::Quarantine, false)),
            SnapshotTable::ControlTotals => rows.extend(epoch.document.control_totals.iter().map(|total| {
                (if has_epoch { number } else { 0 }, total.source.clone().unwrap_or_default(), 0)
            })),
            SnapshotTable::Settled => {
                rows.extend(
                    epoch.document.settled.iter().map(|record| (number, record.quarantine_id.clone(), 0)),
                );
            }
            SnapshotTable::Epochs => rows.push((number, String::new(), 0)),
        }
    }
    rows.sort();
    rows
}
