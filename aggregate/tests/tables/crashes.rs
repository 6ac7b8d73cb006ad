//! A crash between any two calls of the disk: what is there is whole, and a second attempt ends it.

use std::collections::BTreeSet;

use aggregate::compaction::compact;
use aggregate::delta::{DeltaTable, RETENTION_MS};
use aggregate::disk::{DirectoryDisk, Disk};
use aggregate::error::AggregateError;
use aggregate::snapshot::{self, CommittedEpoch, SnapshotTable};
use schemas::timestamp::Timestamp;

use crate::failing_disk::FailingDisk;
use crate::random_epochs::JOIN_ALL;
use crate::rows::{expected, rows};
use crate::sample::{Content, LEDGER, bulk_name, epochs, recorded_at};

fn contents() -> Vec<Content> {
    let rows = |rated, others| Content { rated, others, ..Content::default() };
    vec![
        rows(2, 1),
        Content { is_bulk: true, ..rows(3, 0) },
        Content { dimensions: vec!["model"], ..rows(1, 2) },
        rows(0, 0),
        Content { dimensions: vec!["region", "model"], is_bulk: true, ..rows(2, 0) },
        Content { dimensions: vec!["region"], ..rows(1, 1) },
    ]
}

/// Snapshots, then compaction, then vacuum, then another snapshot.
fn maintain(disk: &dyn Disk, epochs: &[CommittedEpoch]) -> Result<(), AggregateError> {
    snapshot::take(disk, LEDGER, &epochs[..2], recorded_at(10))?;
    snapshot::take(disk, LEDGER, &epochs[..5], recorded_at(11))?;
    let later = Timestamp::from_micros(recorded_at(12).micros() + RETENTION_MS * 1_000);
    let keep: BTreeSet<_> = epochs.iter().map(|epoch| bulk_name(epoch.document.epoch)).collect();
    for table in SnapshotTable::ALL {
        let Some(mut table) = DeltaTable::recover(disk, &table.directory())? else { continue };
        compact(&mut table, JOIN_ALL, recorded_at(12))?;
        table.vacuum(later, RETENTION_MS, &keep)?;
    }
    snapshot::take(disk, LEDGER, epochs, later)?;
    Ok(())
}

/// Every table has the rows of the epochs it says it has; are these all?
fn check(disk: &dyn Disk, epochs: &[CommittedEpoch], call: u64) -> bool {
    let mut is_whole = true;
    for table in SnapshotTable::ALL {
        let (last, found) = rows(disk, table).unwrap_or_default();
        let done = &epochs[..usize::try_from(last).unwrap()];
        assert_eq!(found, expected(table, done), "{table:?} after a crash at change {call}");
        is_whole &= done.len() == epochs.len();
    }
    is_whole
}

#[test]
fn epoch_1_a_crash_between_any_two_calls_loses_and_doubles_no_row() {
    let first = tempfile::tempdir().unwrap();
    let first = DirectoryDisk::new(first.path());
    let epochs = epochs(&first, &contents());
    let bulk = |disk: &DirectoryDisk| {
        disk.create_directory(&SnapshotTable::RatedUsage.directory()).unwrap();
        for epoch in &epochs {
            let name = bulk_name(epoch.document.epoch);
            if first.path(&name).exists() {
                std::fs::copy(first.path(&name), disk.path(&name)).unwrap();
            }
        }
    };
    for call in 0.. {
        let place = tempfile::tempdir().unwrap();
        let whole = DirectoryDisk::new(place.path());
        bulk(&whole);
        let ended = maintain(&FailingDisk::new(whole.clone(), call), &epochs);
        let working = FailingDisk::working(whole);
        let is_whole = check(&working, &epochs, call);
        if ended.is_ok() {
            assert!(is_whole && call > 100, "{call}");
            break;
        }
        maintain(&working, &epochs).unwrap();
        assert!(check(&working, &epochs, call), "a second attempt ends it");
        let left = |name: &String| [".tmp", ".new"].iter().any(|end| name.ends_with(end));
        for table in SnapshotTable::ALL {
            let log = working.list(&format!("{}/_delta_log", table.directory())).unwrap();
            assert!(!log.iter().any(left), "{log:?}");
        }
    }
}

#[test]
fn epoch_1_a_gap_between_epochs_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let disk = DirectoryDisk::new(place.path());
    let epochs = epochs(&disk, &contents());
    snapshot::take(&disk, LEDGER, &epochs[..2], recorded_at(10)).unwrap();
    let refused = snapshot::take(&disk, LEDGER, &epochs[3..], recorded_at(11));
    assert!(matches!(refused, Err(AggregateError::SnapshotGap { expected: 3, found: 4, .. })));
    assert_eq!(rows(&disk, SnapshotTable::RatedUsage).unwrap().0, 2);
}

#[test]
fn rate_2_the_same_epochs_make_the_same_files() {
    let made = || {
        let place = tempfile::tempdir().unwrap();
        let disk = DirectoryDisk::new(place.path());
        maintain(&disk, &epochs(&disk, &contents())).unwrap();
        let mut files = Vec::new();
        for table in SnapshotTable::ALL {
            for directory in [table.directory(), format!("{}/_delta_log", table.directory())] {
                let names = disk.list(&directory).unwrap();
                let names = names.into_iter().filter(|name| name.contains('.'));
                files.extend(names.map(|name| {
                    let name = format!("{directory}/{name}");
                    (aggregate::disk::read(&disk, &name).unwrap(), name)
                }));
            }
        }
        files
    };
    assert!(made() == made());
}

#[test]
fn f06_what_is_joined_is_what_the_log_says() {
    let place = tempfile::tempdir().unwrap();
    let disk = DirectoryDisk::new(place.path());
    let epochs = epochs(&disk, &contents());
    snapshot::take(&disk, LEDGER, &epochs[..2], recorded_at(10)).unwrap();
    snapshot::take(&disk, LEDGER, &epochs, recorded_at(11)).unwrap();
    let mut table = DeltaTable::recover(&disk, "tables/rated_usage").unwrap().unwrap();
    let file = table.files()[0].name.clone();
    let mut bytes = aggregate::disk::read(&disk, &file).unwrap();
    bytes[8] ^= 1;
    std::fs::write(disk.path(&file), bytes).unwrap();
    let error = compact(&mut table, JOIN_ALL, recorded_at(12)).unwrap_err().to_string();
    assert!(error.contains("its hash is") && error.contains(&file), "{error}");
    let table = DeltaTable::load(&disk, "tables/rated_usage").unwrap().unwrap();
    assert!(table.files().iter().any(|known| known.name == file), "nothing is replaced");
}

#[test]
fn a_file_that_is_not_what_the_log_says_is_found() {
    let place = tempfile::tempdir().unwrap();
    let disk = DirectoryDisk::new(place.path());
    snapshot::take(&disk, LEDGER, &epochs(&disk, &contents()), recorded_at(10)).unwrap();
    let table = DeltaTable::load(&disk, "tables/rated_usage").unwrap().unwrap();
    assert_eq!(table.verify(), []);
    let files = table.files();
    disk.remove(&files[0].name).unwrap();
    disk.cut(&files[1].name, files[1].bytes - 1).unwrap();
    let mut bytes = aggregate::disk::read(&disk, &files[2].name).unwrap();
    let end = bytes.len();
    bytes[end - 1] = b'?';
    std::fs::write(disk.path(&files[2].name), bytes).unwrap();
    let problems = table.verify();
    let paths: Vec<_> = problems.iter().map(|problem| problem.path.clone()).collect();
    assert_eq!(paths, files.iter().map(|file| disk.path(&file.name)).collect::<Vec<_>>(), "{problems:?}");
}
