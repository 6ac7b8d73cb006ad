//! The log over many versions: checkpoints, removal of old versions, and damage.

use aggregate::delta::{CHECKPOINT_VERSIONS, DeltaTable, LOG_RETENTION_MS};
use aggregate::disk::{DirectoryDisk, Disk};
use aggregate::error::AggregateError;
use aggregate::snapshot::{self, SnapshotTable};
use schemas::timestamp::Timestamp;

use crate::failing_disk::FailingDisk;
use crate::rows::{expected, rows};
use crate::sample::{Content, LEDGER, epoch, epochs, recorded_at};

const TABLE: SnapshotTable = SnapshotTable::Quarantine;

/// A data directory with a version per epoch.
fn versions(disk: &dyn Disk, count: u64, now: impl Fn(u64) -> Timestamp) -> Vec<snapshot::CommittedEpoch> {
    let contents = vec![Content { others: 1, ..Content::default() }; usize::try_from(count).unwrap()];
    let epochs = epochs(disk, &contents);
    for last in 1..=epochs.len() {
        snapshot::take(disk, LEDGER, &epochs[last.saturating_sub(2)..last], now(last as u64)).unwrap();
    }
    epochs
}

fn log_names(disk: &dyn Disk) -> Vec<String> {
    disk.list(&format!("{}/_delta_log", TABLE.directory())).unwrap()
}

#[test]
fn a_checkpoint_stands_for_the_versions_before_it() {
    let place = tempfile::tempdir().unwrap();
    let disk = FailingDisk::working(DirectoryDisk::new(place.path()));
    let count = CHECKPOINT_VERSIONS + 2;
    let epochs = versions(&disk, count, recorded_at);
    let log = format!("{}/_delta_log", TABLE.directory());
    assert!(log_names(&disk).contains(&"00000000000000000100.checkpoint.parquet".to_owned()));
    let all = Some((count, expected(TABLE, &epochs)));
    assert_eq!(rows(&disk, TABLE), all);
    let newest = aggregate::disk::read(&disk, &format!("{log}/_last_checkpoint")).unwrap();
    assert!(newest.starts_with(br#"{"version":100,"size":"#));
    // Without what names it.
    disk.remove(&format!("{log}/_last_checkpoint")).unwrap();
    assert_eq!(rows(&disk, TABLE), all);
    // Without the versions before it.
    for version in 0..=100 {
        disk.remove(&format!("{log}/{version:020}.json")).unwrap();
    }
    assert_eq!(rows(&disk, TABLE), all);
    // It is written to.
    let next = epoch(&disk, count + 1, &Content { others: 1, ..Content::default() });
    snapshot::take(&disk, LEDGER, std::slice::from_ref(&next), recorded_at(count + 1)).unwrap();
    let epochs: Vec<_> = epochs.into_iter().chain([next]).collect();
    assert_eq!(rows(&disk, TABLE), Some((count + 1, expected(TABLE, &epochs))));
    // A damaged one is an error, once nothing else says the same.
    disk.cut(&format!("{log}/00000000000000000100.checkpoint.parquet"), 100).unwrap();
    assert!(matches!(DeltaTable::load(&disk, &TABLE.directory()), Err(AggregateError::Parquet { .. })));
}

#[test]
fn a_damaged_checkpoint_is_passed_over_while_the_versions_are_there() {
    let place = tempfile::tempdir().unwrap();
    let disk = FailingDisk::working(DirectoryDisk::new(place.path()));
    let epochs = versions(&disk, CHECKPOINT_VERSIONS + 1, recorded_at);
    disk.cut(&format!("{}/_delta_log/00000000000000000100.checkpoint.parquet", TABLE.directory()), 100)
        .unwrap();
    assert_eq!(rows(&disk, TABLE).unwrap().1, expected(TABLE, &epochs));
}

#[test]
fn versions_are_removed_when_they_are_old_and_a_checkpoint_stands_for_them() {
    let place = tempfile::tempdir().unwrap();
    let disk = FailingDisk::working(DirectoryDisk::new(place.path()));
    // By the clock of version 100, versions up to that of epoch 40 are old.
    let now = |epoch| {
        let late = if epoch == CHECKPOINT_VERSIONS { LOG_RETENTION_MS * 1_000 - 60_000_000 } else { 0 };
        Timestamp::from_micros(recorded_at(epoch).micros() + late)
    };
    let epochs = versions(&disk, CHECKPOINT_VERSIONS + 1, now);
    assert_eq!(log_names(&disk)[0], "00000000000000000041.json");
    assert_eq!(rows(&disk, TABLE).unwrap().1, expected(TABLE, &epochs));
}

#[test]
fn a_version_that_is_missing_or_torn_is_an_error() {
    let place = tempfile::tempdir().unwrap();
    let disk = FailingDisk::working(DirectoryDisk::new(place.path()));
    versions(&disk, 3, recorded_at);
    let table = TABLE.directory();
    let name = format!("{table}/_delta_log/00000000000000000002.json");
    let bytes = aggregate::disk::read(&disk, &name).unwrap();
    for length in [0, bytes.len() as u64 / 2] {
        disk.cut(&name, length).unwrap();
        let error = DeltaTable::load(&disk, &table).unwrap_err();
        assert!(matches!(error, AggregateError::TableLog { .. }), "{error}");
    }
    disk.remove(&name).unwrap();
    let error = DeltaTable::load(&disk, &table).unwrap_err().to_string();
    assert!(error.contains("version 2 is missing, but there is version 3"), "{error}");
}
