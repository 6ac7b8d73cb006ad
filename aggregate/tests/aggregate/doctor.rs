//! The doctor over directories that were damaged: every kind of file, changed, cut, gone, of another directory, or
//! older than the rest (F06, F07, F13); and what a repair makes of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use aggregate::checkpoint::{self, Checkpoint};
use aggregate::clock::SystemClock;
use aggregate::data_directory::{DataDirectory, directory_disk};
use aggregate::doctor::{self, Check, Diagnosis, Outcome, Repaired};
use aggregate::error::AggregateError;
use aggregate::ledger::{LedgerReader, SealedEpoch};
use aggregate::partition::PartitionOptions;
use aggregate::readers;
use aggregate::snapshot::{self, CommittedEpoch, SnapshotLimits};
use rating::catalog::Catalog;
use schemas::epoch::ContentKind;
use schemas::timestamp::Timestamp;
use serde_json::json;
use tempfile::TempDir;

use crate::decided::catalog;
use crate::partition::{OneCatalog, Writing, open, state};
use crate::random::Random;
use crate::running_totals::{event, line_of};

/// Events of the epoch whose contents are files.
const BULK_EVENTS: usize = 11_000;

/// Bytes of a marker at the end of a segment: a whole epoch before it is kept without one.
const MARKER_BYTES: usize = 32;

pub(crate) const OPTIONS: PartitionOptions = PartitionOptions {
    partition: 0,
    decoders: 1,
    identity_bytes_max: 1 << 26,
    horizon_months: 1_200,
    segment_bytes: 20_000,
    inline_bytes_max: aggregate::epoch_files::INLINE_BYTES_MAX,
};

/// A directory with two checkpoints, tables and epochs after them; and copies of it from before.
pub(crate) struct Fixture {
    pub(crate) catalog: Arc<Catalog>,
    place: TempDir,
    older: TempDir,
}

/// One whose ledger begins with epoch 1.
pub(crate) static WHOLE: LazyLock<Fixture> = LazyLock::new(|| Fixture::make(false));

/// One whose ledger does not.
static TRIMMED: LazyLock<Fixture> = LazyLock::new(|| Fixture::make(true));

/// Another directory with the same events.
static OTHER: LazyLock<Fixture> = LazyLock::new(|| Fixture::make(false));

impl Fixture {
    fn make(is_trimmed: bool) -> Self {
        let catalog = two_meters();
        let place = tempfile::tempdir().unwrap();
        let older = tempfile::tempdir().unwrap();
        let mut id = 0;
        let mut lines = |count: usize| {
            let random = &mut Random::new(id as u64);
            let lines: Vec<String> = (id..id + count).map(|id| line_of(&event(id, random.next()))).collect();
            id += count;
            lines
        };
        let mut writing = Writing::new(open(place.path(), &catalog, OPTIONS).0);
        for count in [20, 30, BULK_EVENTS] {
            writing.commit(&lines(count), count > 20);
        }
        writing.writer.checkpoint().unwrap();
        writing.commit(&lines(40), false);
        writing.writer.snapshot(SnapshotLimits::NOTHING).unwrap();
        copy(place.path(), older.path());
        for _ in 0..4 {
            writing.commit(&lines(30), true);
        }
        writing.writer.checkpoint().unwrap();
        if is_trimmed {
            writing.commit(&lines(30), true);
            writing.writer.checkpoint().unwrap();
            writing.writer.snapshot(SnapshotLimits::NOTHING).unwrap();
        }
        writing.commit(&lines(10), true);
        let directory = writing.writer.partition().directory();
        // It has seen what no table has yet: nothing can vanish without a trace.
        let last = writing.writer.partition().committer.standing().epoch;
        readers::advance(directory, "billing", last).unwrap();
        Self { catalog, place, older }
    }

    pub(crate) fn copied(&self) -> TempDir {
        let place = tempfile::tempdir().unwrap();
        copy(self.place.path(), place.path());
        place
    }

    fn examine(&self, place: &Path) -> Diagnosis {
        let catalogs = OneCatalog(Arc::clone(&self.catalog));
        doctor::examine(&directory_disk(place), &catalogs, 0, &mut |_, _, _| ()).unwrap()
    }

    fn repair(&self, place: &Path) -> Repaired {
        let catalogs = OneCatalog(Arc::clone(&self.catalog));
        doctor::repair(&directory_disk(place), &catalogs, 0, &SystemClock, &mut |_, _, _| ()).unwrap()
    }
}

/// A sum, and a meter whose values are usage details.
pub(crate) fn two_meters() -> Arc<Catalog> {
    let rate = |meter: &str| json!({ "meter": meter, "model": "per_unit", "unit_price": "0.013" });
    let documents = json!({
        "legal_entities": [{ "id": "entity" }],
        "meters": [
            { "id": "sum", "event_type": "used", "aggregation": "sum", "value": "$.v", "decimals": 2 },
            { "id": "unique", "event_type": "used", "aggregation": "unique", "value": "$.user" },
        ],
        "price_books": [{
            "id": "book",
            "currencies": ["EUR"],
            "versions": [{ "version": 1, "rates": [rate("sum"), rate("unique")] }],
        }],
        "contracts": [{
            "id": "contract",
            "accounts": ["acme", "globex"],
            "legal_entity": "entity",
            "currency": "EUR",
            "lines": [{ "id": "line", "price_book": "book" }],
        }],
    });
    catalog(&documents).unwrap()
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// The files below a directory, by name.
fn files(place: &Path) -> Vec<String> {
    let (mut files, mut directories) = (Vec::new(), vec![place.to_owned()]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                files.push(path.strip_prefix(place).unwrap().display().to_string());
            }
        }
    }
    files.sort();
    files
}

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    Flipped,
    Missing,
    Cut,
    OfAnother,
    Older,
}

/// Does the damage; false where it would change nothing.
fn damage(fixture: &Fixture, place: &Path, name: &str, damage: Damage, random: &mut Random) -> bool {
    let path = place.join(name);
    let bytes = fs::read(&path).unwrap();
    let replace = |from: PathBuf| {
        let other = fs::read(from).unwrap_or_default();
        let is_another = !other.is_empty() && other != bytes;
        if is_another {
            fs::write(&path, other).unwrap();
        }
        is_another
    };
    match damage {
        Damage::Flipped => {
            let mut bytes = bytes.clone();
            let is_segment = name.ends_with(".epochs");
            let end = bytes.len().saturating_sub(if is_segment { MARKER_BYTES } else { 0 });
            if end == 0 {
                return false;
            }
            let (at, bit) = (random.below(end), random.below(8));
            bytes[at] ^= 1 << bit;
            fs::write(&path, bytes).unwrap();
            true
        }
        Damage::Missing => fs::remove_file(&path).is_ok(),
        Damage::Cut => {
            fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
            !bytes.is_empty()
        }
        Damage::OfAnother => replace(OTHER.place.path().join(name)),
        Damage::Older => replace(fixture.older.path().join(name)),
    }
}

/// What nobody can tell from a directory that is as it should be, with figures that are the same.
fn is_harmless(fixture: &Fixture, name: &str, damage: Damage) -> bool {
    let last_version = |name: &str| {
        let directory = Path::new(name).parent().unwrap().to_owned();
        let versions = files(&fixture.place.path().join(&directory));
        versions.last().is_some_and(|last| name.ends_with(last.as_str()))
    };
    match damage {
        // A start takes the other checkpoint. A reader that is gone is nobody's.
        Damage::Missing if name.starts_with("checkpoints/") || name.starts_with("readers/") => true,
        // Its epochs are in the ledger: the next snapshot takes them in again.
        Damage::Missing if name.contains("_delta_log") => last_version(name),
        _ => name == "lock",
    }
}

fn check_damages(fixture: &Fixture, damages: &[Damage], tries: usize) -> BTreeMap<String, usize> {
    let sound = fixture.examine(fixture.place.path());
    assert!(sound.is_healthy(), "{:#?}", sound.findings);
    let random = &mut Random::new(7);
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let is_leftover = |name: &str| {
        let path = fixture.place.path().join(name);
        sound.findings.iter().any(|finding| finding.check == Check::Leftovers && finding.path == path)
    };
    for name in files(fixture.place.path()).into_iter().filter(|name| !is_leftover(name)) {
        for kind in damages {
            for _ in 0..if *kind == Damage::Flipped { tries } else { 1 } {
                let place = fixture.copied();
                if !damage(fixture, place.path(), &name, *kind, random) {
                    continue;
                }
                let found = fixture.examine(place.path());
                // The first segment may go when tables and checkpoints have its epochs: then it looks as if it had.
                let is_first = || {
                    files(fixture.place.path()).iter().find(|name| name.ends_with(".epochs")) == Some(&name)
                };
                let may_go = *kind == Damage::Missing && found.is_healthy() && is_first();
                if may_go || is_harmless(fixture, &name, *kind) {
                    continue;
                }
                assert!(!found.is_healthy(), "{name} {kind:?}: healthy");
                let names = |path: &Path| {
                    let path = path.strip_prefix(place.path()).unwrap();
                    Path::new(&name).starts_with(path) && path != Path::new("")
                };
                // A segment that is gone has no name any more, and a key does not say whose it is.
                let is_named =
                    found.findings.iter().any(|finding| names(&finding.path) || finding.what.contains(&name))
                        || (name.starts_with("ledger/") && *kind != Damage::Flipped);
                assert!(is_named, "{name} {kind:?}: {:#?}", found.findings);
                for finding in &found.findings {
                    let is_told =
                        !finding.what.is_empty() && !finding.means.is_empty() && !finding.remedy.is_empty();
                    assert!(is_told || finding.check == Check::Directory, "{finding:#?}");
                }
                *kinds.entry(name.split('/').next().unwrap().to_owned()).or_default() += 1;
            }
        }
    }
    kinds
}

#[test]
fn f06_f07_a_file_that_is_changed_cut_gone_of_another_directory_or_older_is_named() {
    let all = [Damage::Flipped, Damage::Missing, Damage::Cut, Damage::OfAnother, Damage::Older];
    let kinds = check_damages(&WHOLE, &all, 1);
    for kind in ["ledger", "checkpoints", "identities", "usage_details", "tables", "readers"] {
        assert!(kinds.contains_key(kind), "{kind} was not damaged: {kinds:?}");
    }
    assert!(kinds["identity.key"] >= 2 && kinds["tallybook.json"] >= 2, "{kinds:?}");
}

#[test]
fn f06_damage_is_found_where_the_ledger_does_not_have_all_epochs() {
    let sound = TRIMMED.examine(TRIMMED.place.path());
    let names = files(TRIMMED.place.path());
    assert!(!names.contains(&"ledger/0/00000000000000000001.epochs".to_owned()), "{names:?}");
    assert_eq!(sound.checks.iter().filter(|checked| checked.outcome != Outcome::Sound).count(), 0);
    check_damages(&TRIMMED, &[Damage::Flipped, Damage::Missing, Damage::Cut], 1);
}

#[test]
fn f07_an_older_ledger_under_newer_tables_is_not_healthy_and_is_left_as_it_is() {
    let place = WHOLE.copied();
    fs::remove_dir_all(place.path().join("ledger")).unwrap();
    fs::create_dir(place.path().join("ledger")).unwrap();
    copy(&WHOLE.older.path().join("ledger"), &place.path().join("ledger"));
    let repaired = WHOLE.repair(place.path());
    assert_eq!(repaired.done, Vec::<String>::new());
    let found = repaired.before;
    let ahead = found.damages().find(|finding| finding.what.contains("the ledger ends with epoch 4"));
    assert!(ahead.is_some(), "{:#?}", found.findings);
}

#[test]
fn f06_tables_that_are_gone_with_epochs_that_only_they_had_are_missed() {
    let place = TRIMMED.copied();
    for table in ["rated_usage", "accruals", "quarantine", "epochs", "control_totals"] {
        let place = place.path().join("tables").join(table);
        fs::remove_dir_all(place.join("_delta_log")).unwrap();
        fs::create_dir(place.join("_delta_log")).unwrap();
    }
    let repaired = TRIMMED.repair(place.path());
    let missed = repaired.before.damages().filter(|finding| finding.what.starts_with("there is no table"));
    assert!(missed.count() >= 5, "{:#?}", repaired.before.findings);
    assert!(repaired.done.is_empty() && !repaired.after.is_healthy());
}

#[test]
fn f13_other_formats_are_named_and_nothing_is_repaired() {
    let place = WHOLE.copied();
    let path = place.path().join("tallybook.json");
    let text = fs::read_to_string(&path).unwrap().replace("\"format\": 1", "\"format\": 2");
    fs::write(&path, text).unwrap();
    let found = WHOLE.examine(place.path());
    assert_eq!(found.findings[0].remedy, "use a newer program");
    let place = WHOLE.copied();
    let path = place.path().join("ledger/0/00000000000000000001.epochs");
    let mut bytes = fs::read(&path).unwrap();
    bytes[16] = 2;
    fs::write(&path, bytes).unwrap();
    let repaired = WHOLE.repair(place.path());
    let what = &repaired.before.findings[0].what;
    assert!(what.starts_with("format 2 of the ledger is not known"), "{what}");
    assert!(repaired.done.is_empty() && !repaired.after.is_healthy());
}

#[test]
fn a_directory_is_examined_beside_a_writer() {
    let place = WHOLE.copied();
    let _writer = DataDirectory::open(&directory_disk(place.path())).unwrap();
    let found = WHOLE.examine(place.path());
    assert!(found.is_written && found.is_healthy(), "{:#?}", found.findings);
    assert!(found.findings.iter().any(|finding| finding.what.contains("a process is writing here")));
}

/// The rows of every table.
pub(crate) fn rows(place: &Path) -> Vec<(String, usize)> {
    let directory = DataDirectory::read(&directory_disk(place)).unwrap();
    let (_, views) = snapshot::views(&directory, 0).unwrap();
    let count = |bytes: bytes::Bytes| {
        let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(bytes, 1_024).unwrap();
        reader.map(|batch| batch.unwrap().num_rows()).sum::<usize>()
    };
    let of = |view: &snapshot::TableView| {
        let stored = view.files.iter().map(|file| count(fs::read(place.join(file)).unwrap().into()));
        let inline = view.inline.iter().map(|bytes| count(bytes.clone()));
        let made = view.batches.iter().map(arrow::array::RecordBatch::num_rows);
        (view.table.name().to_owned(), stored.chain(inline).chain(made).sum())
    };
    views.iter().map(of).collect()
}

#[test]
fn a_repair_mends_what_follows_from_the_ledger_and_the_figures_are_as_before() {
    let (expected, _) = open(WHOLE.copied().path(), &WHOLE.catalog, OPTIONS);
    let expected = (state(&expected), rows(WHOLE.place.path()));
    let random = &mut Random::new(11);
    let mut mended = BTreeMap::new();
    for name in files(WHOLE.place.path()) {
        for kind in [Damage::Flipped, Damage::Missing, Damage::OfAnother] {
            let place = WHOLE.copied();
            if !damage(&WHOLE, place.path(), &name, kind, random) {
                continue;
            }
            let repaired = WHOLE.repair(place.path());
            if !repaired.after.is_healthy() {
                // What was refused is as it was.
                assert!(repaired.after.damages().all(|finding| !finding.remedy.contains("--repair")));
                continue;
            }
            *mended.entry(name.split('/').next().unwrap().to_owned()).or_insert(0) += 1;
            assert_eq!(rows(place.path()), expected.1, "{name} {kind:?}");
            let (partition, _) = open(place.path(), &WHOLE.catalog, OPTIONS);
            assert!(state(&partition) == expected.0, "{name} {kind:?}: the state differs");
        }
    }
    assert!(mended["checkpoints"] >= 3 && mended["tables"] >= 20, "{mended:?}");
    for kind in ["identities", "usage_details", "identity.key", "tallybook.json"] {
        assert_eq!(mended.get(kind), None, "{kind}");
    }
}

#[test]
fn a_repair_removes_what_was_never_committed() {
    let place = WHOLE.copied();
    let names = files(place.path());
    let newest = names.iter().rfind(|name| name.ends_with(".epochs")).unwrap();
    let mut torn = fs::read(place.path().join(newest)).unwrap();
    let whole = torn.len();
    torn.extend_from_slice(b"EPOC and no more");
    fs::write(place.path().join(newest), torn).unwrap();
    let leftovers = [
        "checkpoints/0-00000000000000000009.checkpoint.new",
        "identities/0-00000000000000000099-00000.run",
        "tables/rated_usage/0-00000000000000000099-00000.parquet",
        "tables/accruals/0-3-9.parquet",
    ];
    for name in leftovers {
        fs::write(place.path().join(name), "left by a crash").unwrap();
    }
    fs::write(place.path().join("notes.txt"), "mine").unwrap();
    let found = WHOLE.examine(place.path());
    assert!(found.is_healthy(), "{:#?}", found.findings);
    assert_eq!(found.findings.len(), leftovers.len() + 2, "{:#?}", found.findings);
    let repaired = WHOLE.repair(place.path());
    assert_eq!(repaired.done.len(), leftovers.len() + 1, "{:?}", repaired.done);
    assert_eq!(fs::read(place.path().join(newest)).unwrap().len(), whole);
    assert!(leftovers.iter().all(|name| !place.path().join(name).exists()));
    // What is not ours is only mentioned.
    assert!(place.path().join("notes.txt").exists() && repaired.after.findings.len() == 1);
}

/// The checks that found damage.
fn damaged(diagnosis: &Diagnosis) -> Vec<Check> {
    let mut checks: Vec<Check> = diagnosis.damages().map(|finding| finding.check).collect();
    checks.dedup();
    checks
}

#[test]
fn cons_1_dedup_1_a_checkpoint_that_is_whole_but_wrong_is_found() {
    let epochs = {
        let names = files(WHOLE.place.path());
        let names = names.iter().filter_map(|name| name.strip_prefix("checkpoints/0-"));
        let epochs = names.map(|name| name.split('.').next().unwrap().parse().unwrap());
        epochs.collect::<Vec<u64>>()
    };
    let (older, newest) = (epochs[0], epochs[1]);
    let write = |change: &dyn Fn(&mut Checkpoint, Checkpoint)| {
        let place = WHOLE.copied();
        let disk = directory_disk(place.path());
        let read = |epoch| checkpoint::read(&*disk, 0, epoch).unwrap();
        let mut changed = read(newest);
        change(&mut changed, read(older));
        checkpoint::write(&*disk, &changed.standing, &changed.state).unwrap();
        WHOLE.repair(place.path())
    };
    let repaired = write(&|checkpoint, older| checkpoint.state = older.state);
    assert_eq!(damaged(&repaired.before), [Check::Checkpoints]);
    // The ledger proves what is right.
    assert!(repaired.after.is_healthy(), "{:#?}", repaired.after.findings);
    let repaired = write(&|checkpoint, _| checkpoint.standing.books.counts.received += 1);
    assert_eq!(damaged(&repaired.before), [Check::Checkpoints]);
    let repaired = write(&|checkpoint, _| drop(checkpoint.standing.runs.pop()));
    assert_eq!(damaged(&repaired.before), [Check::Identities]);
    // Nobody can tell any more that the run is needed, so it is not removed.
    assert!(repaired.done.is_empty() && !repaired.after.is_healthy(), "{:?}", repaired.done);
}

#[test]
fn epoch_1_tables_that_are_whole_but_say_something_else_are_found_and_mended() {
    let place = WHOLE.copied();
    let disk = directory_disk(place.path());
    let directory = DataDirectory::read(&disk).unwrap();
    let identity = directory.ledger(0);
    let mut epochs: Vec<CommittedEpoch> = Vec::new();
    let reader = LedgerReader::open(&disk, identity.clone()).unwrap();
    reader
        .read(1, |sealed: SealedEpoch| {
            epochs.push(sealed.into());
            Ok::<_, AggregateError>(())
        })
        .unwrap();
    // An epoch without its accruals, its control totals and an event; with a hash of its own.
    let changed = &mut epochs[4];
    let inline = changed.document.contents.iter().filter(|content| content.file.is_none());
    let kinds: Vec<ContentKind> = inline.map(|content| content.kind).collect();
    let accruals = kinds.iter().position(|kind| *kind == ContentKind::Accruals).unwrap();
    changed.inline.remove(accruals);
    changed.document.contents.retain(|content| content.kind != ContentKind::Accruals);
    changed.document.control_totals.pop();
    changed.document.counts.received += 1;
    for name in files(place.path()) {
        let bulk = ["0-00000000000000000003-00000.parquet"];
        if name.starts_with("tables/") && !bulk.iter().any(|bulk| name.ends_with(bulk)) {
            fs::remove_file(place.path().join(name)).unwrap();
        }
    }
    let now = Timestamp::from_micros(1_800_000_000_000_000);
    snapshot::take(&*disk, &identity.ledger_id, &epochs, now).unwrap();
    let repaired = WHOLE.repair(place.path());
    let found: Vec<_> = repaired
        .before
        .damages()
        .map(|finding| (finding.path.file_name().unwrap().to_owned(), finding.epoch))
        .collect();
    assert_eq!(
        found,
        [("accruals".into(), Some(5)), ("control_totals".into(), Some(5)), ("epochs".into(), Some(5))]
    );
    assert!(repaired.after.is_healthy(), "{:#?}", repaired.after.findings);
    assert_eq!(rows(place.path()), rows(WHOLE.place.path()));
}
