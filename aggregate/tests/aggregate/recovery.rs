//! Opening a partition: what was forgotten stays forgotten, and a checkpoint counts only where it belongs.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use aggregate::clock::{Clock, SystemClock};
use aggregate::data_directory::{DataDirectory, directory_disk};
use aggregate::partition::{Partition, PartitionOptions};
use rating::catalog::Catalog;
use schemas::epoch::ContentHash;

use crate::from_scratch::Event;
use crate::partition::{OneCatalog, Writing, open};
use crate::random_catalog::random_catalog;
use crate::running_totals::{event, line_of};

const DAY: i64 = 86_400_000_000;

fn options() -> PartitionOptions {
    PartitionOptions { horizon_months: 2, ..PartitionOptions::default() }
}

/// Opens a directory under a catalog of another hash.
fn open_under(place: &Path, catalog: &Arc<Catalog>, hash: ContentHash) -> Partition {
    let directory = Arc::new(DataDirectory::open(&directory_disk(place)).unwrap());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let catalogs = OneCatalog(Arc::clone(catalog));
    Partition::open(directory, &catalogs, (hash, Arc::clone(catalog)), clock, options()).unwrap().0
}

fn lines(ids: std::ops::Range<usize>, days_earlier: i64) -> Vec<String> {
    let earlier = |id: usize| {
        let event = event(id, id as u64);
        Event { time: event.time - days_earlier * DAY, account: Some(0), ..event }
    };
    ids.map(|id| line_of(&earlier(id))).collect()
}

#[test]
fn dedup_1_under_another_catalog_too_old_usage_is_refused_and_texts_keep_their_numbers() {
    let (place, catalog) = (tempfile::tempdir().unwrap(), random_catalog(1));
    let mut writing = Writing::new(open(place.path(), &catalog, options()).0);
    writing.commit(&lines(0..20, 0), true).unwrap();
    drop(writing);
    // The horizon moves with the first epoch after it was opened again.
    let mut writing = Writing::new(open(place.path(), &catalog, options()).0);
    let moved = writing.commit(&lines(20..30, 0), true).unwrap();
    assert!(moved.forgets_before.is_some());
    writing.writer.checkpoint().unwrap();
    drop(writing);
    for hash in [[8; 32], [7; 32]] {
        let mut writing = Writing::new(open_under(place.path(), &catalog, ContentHash(hash)));
        let id = usize::from(hash[0]) * 100;
        let epoch = writing.commit(&lines(id..id + 5, 400), true).unwrap();
        assert_eq!((epoch.counts.rejected, epoch.counts.received), (5, 5), "{:?}", epoch.counts);
        assert_eq!(epoch.rejected_by_reason.get("too_old"), Some(&5));
        assert_eq!(epoch.new_texts, schemas::epoch::EpochTexts::default(), "they are known");
    }
}

/// A directory with an epoch, its checkpoint, and an epoch after.
fn with_checkpoint(key: Option<&Path>, first: usize) -> tempfile::TempDir {
    let (place, catalog) = (tempfile::tempdir().unwrap(), random_catalog(1));
    if let Some(other) = key {
        fs::copy(other.join("identity.key"), place.path().join("identity.key")).unwrap();
    }
    let mut writing = Writing::new(open(place.path(), &catalog, options()).0);
    writing.commit(&lines(first..first + 10, 0), true).unwrap();
    writing.writer.checkpoint().unwrap();
    writing.commit(&lines(first + 10..first + 20, 0), true).unwrap();
    place
}

fn checkpoint_of(place: &Path) -> std::path::PathBuf {
    let mut names = fs::read_dir(place.join("checkpoints")).unwrap();
    names.next().unwrap().unwrap().path()
}

#[test]
fn f07_a_checkpoint_of_another_directory_is_passed_over_and_said() {
    let one = with_checkpoint(None, 0);
    let other = with_checkpoint(Some(one.path()), 0);
    fs::copy(checkpoint_of(other.path()), checkpoint_of(one.path())).unwrap();
    let (partition, recovered) = open(one.path(), &random_catalog(1), options());
    assert_eq!((recovered.checkpoint, recovered.folded), (0, 2));
    assert!(recovered.skipped[0].what.contains("copied here by mistake"), "{:?}", recovered.skipped);
    assert_eq!(partition.committer.standing().books.counts.received, 20);
}

#[test]
fn f07_a_checkpoint_of_another_history_of_the_same_ledger_stops_the_start() {
    let one = with_checkpoint(None, 0);
    let other = tempfile::tempdir().unwrap();
    for name in ["identity.key", "tallybook.json"] {
        fs::copy(one.path().join(name), other.path().join(name)).unwrap();
    }
    let catalog = random_catalog(1);
    let mut writing = Writing::new(open(other.path(), &catalog, options()).0);
    writing.commit(&lines(50..60, 0), true).unwrap();
    writing.writer.checkpoint().unwrap();
    drop(writing);
    fs::copy(checkpoint_of(other.path()), checkpoint_of(one.path())).unwrap();
    let directory = Arc::new(DataDirectory::open(&directory_disk(one.path())).unwrap());
    let catalogs = OneCatalog(Arc::clone(&catalog));
    let in_force = (crate::partition::HASH, catalog);
    let opened = Partition::open(directory, &catalogs, in_force, Arc::new(SystemClock), options());
    let error = opened.err().unwrap().to_string();
    assert!(error.contains("the hash of the epoch that a checkpoint is of"), "{error}");
}
