//! Exports: the same rows, ids and bytes from the ledger, from the tables, and in parts (RATE-2).

use std::path::Path;

use aggregate::compaction::{CompactionLimits, compact};
use aggregate::data_directory::{DataDirectory, directory_disk};
use aggregate::delta::DeltaTable;
use aggregate::error::AggregateError;
use aggregate::export::{Export, ExportTable, Feed, Position};
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

/// All events of a feed, read some rows at a time.
fn fed(feed: &Feed, rows_max: usize, to: u64) -> String {
    let mut text = String::new();
    let mut position = Position::START;
    loop {
        let chunk = feed.after(position, to, rows_max).unwrap();
        assert!(chunk.rows.len() <= rows_max && (chunk.is_last || chunk.rows.len() == rows_max));
        for row in &chunk.rows {
            text += &serde_json::to_string(&feed.cloud_event(row)).unwrap();
            text.push('\n');
        }
        if chunk.is_last {
            assert_eq!(chunk.next, Position::behind(to));
            return text;
        }
        position = chunk.next;
    }
}

#[test]
fn rate_2_a_feed_gives_every_row_once_as_exported_in_parts_of_any_size_while_tables_follow() {
    let place = WHOLE.copied();
    let directory = DataDirectory::read(&directory_disk(place.path())).unwrap();
    // Some look before the tables have anything: what they know is old from then on.
    let feeds = TABLES.map(|table| Feed::new(&directory, 0, table));
    let expected = TABLES.map(|table| exported(place.path(), table, 0, u64::MAX));
    let check = |what: &str| {
        for ((feed, table), expected) in feeds.iter().zip(TABLES).zip(&expected) {
            for rows_max in [331, 100_000] {
                assert!(fed(feed, rows_max, 9) == *expected, "{table:?} by {rows_max} {what}");
                let new = Feed::new(&directory, 0, table);
                assert!(fed(&new, rows_max, 9) == *expected, "{table:?} by {rows_max} {what}, anew");
            }
            let part = exported(place.path(), table, 0, 5);
            assert!(fed(feed, 331, 5) == part, "{table:?} up to epoch 5 {what}");
        }
    };
    check("from the ledger");
    let (mut partition, _) = open(place.path(), &WHOLE.catalog, OPTIONS);
    partition.snapshot(SnapshotLimits::NOTHING).unwrap();
    drop(partition);
    check("after a snapshot");
    let disk = directory_disk(place.path());
    let limits = CompactionLimits { small_files_min: 2, ..CompactionLimits::default() };
    for table in [SnapshotTable::RatedUsage, SnapshotTable::Accruals, SnapshotTable::Quarantine] {
        let mut delta = DeltaTable::load(&*disk, &table.directory()).unwrap().unwrap();
        let now = Timestamp::from_micros(1_800_000_000_000_000);
        compact(&mut delta, limits, now).unwrap();
    }
    check("from joined files");
}

#[test]
fn a_feed_read_backwards_is_the_same_rows_the_newest_first() {
    let place = WHOLE.copied();
    let directory = DataDirectory::read(&directory_disk(place.path())).unwrap();
    let snapshot = || open(place.path(), &WHOLE.catalog, OPTIONS).0.snapshot(SnapshotLimits::NOTHING);
    for is_in_tables in [false, true] {
        if is_in_tables {
            snapshot().unwrap();
        }
        let feed = Feed::new(&directory, 0, ExportTable::Quarantine);
        let forward = feed.after(Position::START, 9, usize::MAX).unwrap().rows;
        for rows_max in [1, 7, 100_000] {
            let mut backward = Vec::new();
            let mut position = Position::behind(9);
            loop {
                let chunk = feed.before(position, 9, rows_max).unwrap();
                backward.extend(chunk.rows);
                position = chunk.next;
                if chunk.is_last {
                    break;
                }
            }
            let places = |rows: &[aggregate::export::ExportedRow]| {
                rows.iter().map(|row| (row.epoch, row.row)).collect::<Vec<_>>()
            };
            backward.reverse();
            assert_eq!(places(&backward), places(&forward), "by {rows_max}");
        }
    }
}
