//! Exports: the same rows, ids and bytes from the ledger, from the tables, and in parts (RATE-2).

use std::path::Path;

use aggregate::compaction::{CompactionLimits, compact};
use aggregate::data_directory::{DataDirectory, directory_disk};
use aggregate::delta::DeltaTable;
use aggregate::error::AggregateError;
use aggregate::export::{Export, ExportTable};
use aggregate::snapshot::{SnapshotLimits, SnapshotTable};
use schemas::timestamp::Timestamp;

use crate::doctor::{OPTIONS, WHOLE};
use crate::partition::open;

const TABLES: [ExportTable; 3] = [ExportTable::RatedUsage, ExportTable::Accruals, ExportTable::Quarantine];

/// The events of some epochs, a line each.
fn exported(place: &Path, table: ExportTable, after: u64, to: u64) -> String {
    let directory = DataDirectory::read(&directory_disk(place)).unwrap();
    let export = Export::open(&directory, 0, table).unwrap();
    let mut text = String::new();
    let rows = export.rows(after, to, |row| {
        text += &serde_json::to_string(&export.cloud_event(row)).unwrap();
        text.push('\n');
        Ok::<_, AggregateError>(())
    });
    rows.unwrap();
    text
}

#[test]
fn rate_2_rows_are_the_same_events_from_the_ledger_from_tables_and_from_joined_files() {
    let place = WHOLE.copied();
    let all = |place: &Path| TABLES.map(|table| exported(place, table, 0, u64::MAX));
    let before = all(place.path());
    assert!(before.iter().all(|events| events.lines().count() > 100));
    for (table, before) in TABLES.iter().zip(&before) {
        let parts: Vec<String> =
            (0..9).map(|epoch| exported(place.path(), *table, epoch, epoch + 1)).collect();
        assert!(parts.concat() == *before, "{table:?} in parts");
    }
    let (mut partition, _) = open(place.path(), &WHOLE.catalog, OPTIONS);
    assert_eq!(partition.snapshot(SnapshotLimits::NOTHING).unwrap(), 9);
    drop(partition);
    assert!(all(place.path()) == before, "after a snapshot");
    let disk = directory_disk(place.path());
    let limits = CompactionLimits { small_files_min: 2, ..CompactionLimits::default() };
    for table in [SnapshotTable::RatedUsage, SnapshotTable::Accruals, SnapshotTable::Quarantine] {
        let mut delta = DeltaTable::load(&*disk, &table.directory()).unwrap().unwrap();
        compact(&mut delta, limits, Timestamp::from_micros(1_800_000_000_000_000)).unwrap().unwrap();
    }
    assert!(all(place.path()) == before, "after files were joined");
}
