//! Directories that are not what a run expects: exit codes, messages, and nothing that is lost by trying.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use aggregate::clock::SystemClock;
use aggregate::data_directory::{DataDirectory, directory_disk};
use aggregate::partition::{Partition, PartitionOptions};
use ingest::input::find_inputs;
use tallybook::catalog::compile_files;
use tallybook::catalog::files::CatalogFiles;
use tallybook::catalog::store::CatalogStore;
use tallybook::pipeline::{RunPlan, run};
use tallybook::progress::Progress;

use crate::command_line::{good, place};
use crate::support::{Workplace, files};

const RUN: [&str; 5] = ["run", "-q", "-c", "catalog", "good.ndjson"];

/// Runs and queries, which fail with this code and message, and leave everything as it was.
fn refused(place: &Workplace, code: i32, message: &str) {
    let before = files(&place.path("data"));
    for arguments in [&RUN[..], &["query", "SELECT count(*) FROM rated_usage"]] {
        let called = place.call(arguments);
        assert_eq!(called.code, code, "{arguments:?}: {}", called.stderr);
        assert!(called.stderr.contains(message), "{arguments:?}: {}", called.stderr);
    }
    assert!(files(&place.path("data")) == before);
}

fn events(first: u32) -> String {
    (first..first + 20).map(|number| good(&format!("event-{number}")) + "\n").collect()
}

#[test]
fn a_directory_of_something_else_is_not_touched() {
    let place = place();
    place.write("data/notes.txt", "not ours");
    let called = place.call(&RUN);
    assert_eq!(called.code, 5, "{}", called.stderr);
    assert!(called.stderr.contains("the directory is not empty and holds no data of tallybook"));
    assert_eq!(files(&place.path("data")).len(), 1);
    assert_eq!(place.call(&["query", "SELECT 1"]).code, 6);
}

#[test]
fn a_directory_of_another_program_or_format_is_7_and_not_touched() {
    let place = place();
    place.run(&["good.ndjson"]);
    let description = fs::read_to_string(place.path("data/tallybook.json")).unwrap();
    let cases = [
        ("\"tallybook\"", "\"ledgerbook\"", "the directory belongs to the program \"ledgerbook\""),
        ("\"format\": 1", "\"format\": 2", "format 2 of the directory is not known to this program"),
        ("\"ledger_id\"", "\"ledger\"", "tallybook.json: missing field `ledger_id`"),
        ("{", "", "tallybook.json: "),
    ];
    for (from, to, message) in cases {
        let changed = description.replacen(from, to, 1);
        assert_ne!(changed, description);
        place.write("data/tallybook.json", changed);
        refused(&place, 7, message);
    }
    place.write("data/tallybook.json", &description);
    let key = fs::read_to_string(place.path("data/identity.key")).unwrap();
    place.write("data/identity.key", &key[1..]);
    refused(&place, 7, "identity.key: this is no key of 64 digits");
}

/// A ledger of many segments, and tables with all of its epochs.
fn many_segments(place: &Workplace) {
    for number in 0..12 {
        place.write(&format!("usage/{number:02}.ndjson"), events(number * 20));
        let directory = Arc::new(DataDirectory::open(&directory_disk(&place.path("data"))).unwrap());
        let files = CatalogFiles::read(&place.path("catalog")).unwrap();
        let archive = files.archive().unwrap();
        let catalog = Arc::new(compile_files(&files).unwrap());
        let catalogs = CatalogStore::new(directory.disk());
        catalogs.keep(&archive).unwrap();
        let options = PartitionOptions { segment_bytes: 50_000, ..PartitionOptions::default() };
        let in_force = (archive.hash, catalog);
        let opened = Partition::open(directory, &catalogs, in_force, Arc::new(SystemClock), options);
        let mut partition = opened.unwrap().0;
        let usage = place.path("usage").display().to_string();
        let inputs = find_inputs(&[usage], &[], None).unwrap();
        let plan = RunPlan { inputs, decoders: 1, epoch_events: 1 << 20 };
        assert_eq!(run(&plan, &mut partition, &Progress::default()).unwrap().run.counts.rated, 20);
        partition.maintain(aggregate::snapshot::SnapshotLimits::NOTHING).unwrap();
    }
}

fn segments(place: &Workplace) -> Vec<std::path::PathBuf> {
    files(&place.path("data/ledger")).into_iter().map(|(path, _)| path).collect()
}

/// Runs on a copy of the data without a file, which fail with this code and message and change nothing.
fn refused_without(place: &Workplace, lost: &Path, message: &str) {
    let bytes = fs::read(lost).unwrap();
    fs::remove_file(lost).unwrap();
    let before = files(&place.path("data"));
    let called = place.call(&RUN);
    assert_eq!(called.code, 7, "{}: {}", lost.display(), called.stderr);
    assert!(called.stderr.contains(message), "{}: {}", lost.display(), called.stderr);
    let after = files(&place.path("data"));
    assert!(before.iter().all(|file| after.contains(file)), "{}: files are gone", lost.display());
    fs::write(lost, bytes).unwrap();
}

#[test]
fn a_copy_with_a_missing_segment_is_7_and_works_again_when_it_is_there() {
    let place = place();
    many_segments(&place);
    let segments = segments(&place);
    assert!(segments.len() > 3, "{segments:?}");
    refused_without(
        &place,
        &segments[0],
        "the ledger begins with epoch 3: restore a checkpoint, or the segments before it",
    );
    refused_without(&place, &segments[1], "a segment was lost or not copied; restore it from a copy");
    refused_without(&place, &segments[segments.len() - 1], "segments were lost or not copied");
    let report = place.run(&["good.ndjson"]);
    assert_eq!((&report["rated"], &report["data"]["rated"]), (&1.into(), &241.into()));
}

/// Without its ledger, what tables hold must not be taken for what a killed run left behind.
#[test]
fn a_copy_without_its_ledger_is_7_and_keeps_its_tables() {
    let place = place();
    let usage = (0..20_000).map(|number| good(&format!("event-{number}")) + "\n").collect::<String>();
    place.write("usage.ndjson", usage);
    place.run(&["usage.ndjson"]);
    let ledger = segments(&place);
    assert_eq!(ledger.len(), 1);
    refused_without(&place, &ledger[0], "but epoch 1 was committed");
    let identities = files(&place.path("data/identities"));
    refused_without(&place, &identities[0].0, "the file is missing, and what was committed is in it");
    assert_eq!(place.run(&["good.ndjson"])["data"]["rated"], 20_001);
}

#[test]
fn bytes_that_changed_in_the_ledger_are_7() {
    let place = place();
    place.run(&["good.ndjson"]);
    let segment = segments(&place).remove(0);
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&segment, bytes).unwrap();
    refused(&place, 7, "what was committed has changed on disk");
}

#[test]
fn a_directory_that_may_not_be_written_is_5_and_can_be_queried() {
    use std::os::unix::fs::PermissionsExt;
    let place = place();
    place.run(&["good.ndjson"]);
    place.write("more.ndjson", events(0));
    let allow = |mode| {
        for name in ["data", "data/ledger/0", "data/tables", "data/lock"] {
            fs::set_permissions(place.path(name), fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    allow(0o555);
    let is_superuser = fs::File::create(place.path("data/probe")).is_ok();
    let called = place.call(&["run", "-q", "-c", "catalog", "more.ndjson"]);
    let counted = place.query("SELECT count(*) FROM rated_usage");
    allow(0o755);
    if is_superuser {
        eprintln!("skipped: this user may write everywhere");
        return;
    }
    assert_eq!(called.code, 5, "{}", called.stderr);
    assert!(called.stderr.contains("Permission denied"), "{}", called.stderr);
    assert_eq!(counted, [["1"]]);
}

#[test]
fn two_runs_do_not_write_to_one_place() {
    let place = place();
    let mut command = place.command(&["run", "-q", "-c", "catalog", "-"]);
    let mut first = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    first.stdin.as_mut().unwrap().write_all((good("first") + "\n").as_bytes()).unwrap();
    let began = Instant::now();
    while !place.path("data/ledger/0").exists() && began.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(1));
    }
    let second = place.call(&RUN);
    assert_eq!(second.code, 5, "{}", second.stderr);
    assert!(second.stderr.contains("data: another process is writing here"), "{}", second.stderr);
    drop(first.stdin.take());
    assert!(first.wait().unwrap().success());
    let report = place.run(&["good.ndjson"]);
    assert_eq!((&report["rated"], &report["data"]["rated"]), (&1.into(), &2.into()));
}
