//! A data directory of every format that was ever released: it opens, has its figures, and goes on (F13).
//!
//! `UPDATE_GOLDEN=1` freezes one of the format of today, where there is none yet: a frozen one is never replaced.

use std::path::{Path, PathBuf};

use aggregate::clock::SystemClock;
use aggregate::data_directory::{DIRECTORY_FORMAT, directory_disk};
use aggregate::doctor;
use aggregate::partition::{Partition, PartitionOptions};
use aggregate::readers;
use aggregate::snapshot::SnapshotLimits;
use serde_json::{Value, json};

use crate::doctor::{rows, two_meters};
use crate::partition::{OneCatalog, Writing, open};
use crate::running_totals::{event, line_of};

/// Contents are inline in some epochs, and files in others.
const OPTIONS: PartitionOptions =
    PartitionOptions { inline_bytes_max: 4_000, segment_bytes: 15_000, ..crate::doctor::OPTIONS };

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/directories").join(name)
}

/// Lines whose numbers are from one on; the first is no event.
fn lines(ids: std::ops::Range<usize>) -> Vec<String> {
    let events = ids.map(|id| line_of(&event(id, id as u64 * 31)));
    std::iter::once("no event".to_owned()).chain(events).collect()
}

fn figures(partition: &Partition, place: &Path) -> Value {
    let books = &partition.committer.standing().books;
    json!({
        "epochs": partition.committer.standing().epoch,
        "counts": books.counts,
        "rated": books.rated.to_string(),
        "accrued": books.accrued.to_string(),
        "rows": rows(place),
    })
}

fn make(place: &Path) -> Value {
    let catalog = two_meters();
    let mut writing = Writing::new(open(place, &catalog, OPTIONS).0);
    writing.commit(&lines(0..10), false);
    writing.commit(&lines(5..90), true);
    writing.writer.checkpoint().unwrap();
    writing.writer.snapshot(SnapshotLimits::NOTHING).unwrap();
    writing.commit(&lines(90..120), true);
    writing.writer.checkpoint().unwrap();
    writing.commit(&lines(120..125), false);
    let partition = writing.writer.into_partition();
    readers::advance(partition.directory(), "billing", 2).unwrap();
    figures(&partition, place)
}

fn freeze(archive: &Path, expected: &Path) {
    let place = tempfile::tempdir().unwrap();
    let figures = make(place.path());
    let mut files = tar::Builder::new(Vec::new());
    files.append_dir_all("", place.path()).unwrap();
    std::fs::write(archive, zstd::encode_all(&*files.into_inner().unwrap(), 19).unwrap()).unwrap();
    std::fs::write(expected, format!("{figures:#}\n")).unwrap();
}

#[test]
fn f13_a_directory_of_every_format_opens_has_its_figures_and_goes_on() {
    for format in 1..=DIRECTORY_FORMAT {
        let archive = sample(&format!("v{format}.tar.zst"));
        let expected = sample(&format!("v{format}.json"));
        if !archive.exists() && std::env::var_os("UPDATE_GOLDEN").is_some() {
            freeze(&archive, &expected);
        }
        let bytes = zstd::decode_all(&*std::fs::read(&archive).unwrap()).unwrap();
        let place = tempfile::tempdir().unwrap();
        tar::Archive::new(&*bytes).unpack(place.path()).unwrap();
        let expected: Value = serde_json::from_slice(&std::fs::read(expected).unwrap()).unwrap();

        let catalogs = OneCatalog(two_meters());
        let disk = directory_disk(place.path());
        let found = doctor::examine(&disk, &catalogs, 0, &mut |_, _, _| ()).unwrap();
        assert!(found.is_healthy(), "{:#?}", found.findings);
        let (partition, recovered) = open(place.path(), &catalogs.0, OPTIONS);
        assert!(recovered.checkpoint > 0 && recovered.skipped.is_empty(), "{recovered:?}");
        assert_eq!(figures(&partition, place.path()), expected);

        // What it has counted is not counted again; what is new is.
        let mut writing = Writing::new(partition);
        let epoch = writing.commit(&lines(100..130), true).unwrap();
        assert_eq!((epoch.counts.duplicate, epoch.counts.received), (25, 31));
        writing.writer.checkpoint().unwrap();
        writing.writer.snapshot(SnapshotLimits::NOTHING).unwrap();
        drop(writing);
        let repaired = doctor::repair(&disk, &catalogs, 0, &SystemClock, &mut |_, _, _| ()).unwrap();
        assert!(repaired.before.is_healthy() && repaired.after.is_healthy(), "{:#?}", repaired.before);
    }
}
