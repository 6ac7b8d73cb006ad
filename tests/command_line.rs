//! Exit codes and messages for what goes wrong around a run.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use crate::support::{Workplace, called, event};

pub(crate) const CATALOG: &str = "
kind: legal_entity
id: seller
---
kind: meter
id: tokens
event_type: tokens
aggregation: sum
value: $.tokens
---
kind: price_book
id: book
currencies: [USD]
versions: [{version: 1, rates: [{meter: tokens, model: per_unit, unit_price: '0.01'}]}]
---
kind: contract
id: contract
accounts: [a]
legal_entity: seller
currency: USD
lines: [{id: line, price_book: book}]
";

pub(crate) fn place() -> Workplace {
    let place = Workplace::with_catalog(CATALOG);
    place.write("good.ndjson", good("good") + "\n");
    place
}

pub(crate) fn good(id: &str) -> String {
    event(id, "tokens", "a", "2026-10-01T00:00:00Z", r#"{"tokens":5}"#)
}

const RUN: [&str; 4] = ["run", "-q", "-c", "catalog"];

#[test]
fn a_wrong_command_line_is_2() {
    let place = place();
    for arguments in
        [&["rum"][..], &["run"], &["run", "good.ndjson"], &["check"], &["query", "--format", "xml"]]
    {
        assert_eq!(place.call(arguments).code, 2, "{arguments:?}");
    }
    assert_eq!(place.call(&["--help"]).code, 0);
    assert!(place.call(&["--version"]).stdout.starts_with("tallybook "));
}

#[test]
fn inputs_that_cannot_be_read_are_4_and_leave_nothing() {
    let place = place();
    place.write("empty-directory/readme.txt", "");
    place.write("unmapped.csv", "a,b\n1,2\n");
    place.write("unmapped-directory/usage.csv", "a,b\n1,2\n");
    place.write("directory/one.ndjson", good("one"));
    let gzip = compressed(&good("zipped").repeat(1000));
    place.write("cut.ndjson.gz", &gzip[..gzip.len() - 20]);
    place.write("list.json", format!("[{},", good("listed")));
    let cases = [
        (&["missing.ndjson"][..], "missing.ndjson: no such file"),
        (&["*.parquet"], "no file fits"),
        (&["empty-directory"], "holds no .ndjson"),
        (&["unmapped.csv"], "csv_mapping"),
        (&["unmapped-directory"], "csv_mapping"),
        (&["directory", "directory/one.ndjson"], "the same file"),
        (&["directory", "directory/"], "the same file"),
        (&["good.ndjson", "cut.ndjson.gz"], "cut short"),
        (&["list.json"], "cut short"),
        (&["--csv-mapping", "nobody", "good.ndjson"], "no csv_mapping"),
    ];
    for (inputs, message) in cases {
        let called = place.call(&[&RUN, inputs].concat());
        assert_eq!(called.code, 4, "{inputs:?}: {}", called.stderr);
        assert!(called.stderr.contains(message), "{inputs:?}: {}", called.stderr);
        assert!(!place.path("results").exists() && !place.path(".results.partial").exists(), "{inputs:?}");
    }
}

#[test]
fn an_unreadable_input_is_4() {
    use std::os::unix::fs::PermissionsExt;
    let place = place();
    fs::set_permissions(place.path("good.ndjson"), fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(place.path("good.ndjson")).is_ok() {
        eprintln!("skipped: this user may read every file");
        return;
    }
    assert_eq!(place.call(&[&RUN[..], &["good.ndjson"]].concat()).code, 4);
}

#[test]
fn a_place_that_cannot_be_written_is_5() {
    let place = place();
    place.write("used/file", "");
    place.write("file", "");
    for (output, message) in [("used", "not empty"), ("file/inside", "file"), ("/proc/results", "/proc")] {
        let called = place.call(&[&RUN[..], &["-o", output, "good.ndjson"]].concat());
        assert_eq!(called.code, 5, "{output}: {}", called.stderr);
        assert!(called.stderr.contains(message), "{output}: {}", called.stderr);
    }
    assert!(place.path("used/file").exists());
}

/// `/dev/full` takes no byte, like a disk without space.
#[test]
fn a_full_disk_is_5_and_leaves_nothing() {
    let place = place();
    let mut usage = String::new();
    for number in 0..200_000 {
        usage += &good(&format!("event {number} {:x}", number * 0x9e37_79b9_u64));
        usage.push('\n');
    }
    place.write("many.ndjson", usage);
    // A limit on file sizes makes writes fail as a full disk does, without root or a disk to fill.
    let program = env!("CARGO_BIN_EXE_tallybook");
    let script = format!("trap '' XFSZ; ulimit -f 64; exec {program} run -q -c catalog many.ndjson");
    let output =
        std::process::Command::new("bash").args(["-c", &script]).current_dir(place.path("")).output();
    let called = called(&output.unwrap());
    assert_eq!(called.code, 5, "{}", called.stderr);
    assert!(called.stderr.contains("File too large"), "{}", called.stderr);
    assert!(!place.path("results").exists() && !place.path(".results.partial").exists());
}

#[test]
fn results_are_never_written_over() {
    let place = place();
    place.run(&["good.ndjson"]);
    let called = place.call(&[&RUN[..], &["good.ndjson"]].concat());
    assert_eq!(called.code, 5);
    assert!(called.stderr.contains("results: the output directory is not empty"), "{}", called.stderr);
}

#[test]
fn standard_input_is_an_input() {
    let place = place();
    let mut command = place.command(&[&RUN[..], &["--json", "-"]].concat());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(good("one").as_bytes()).unwrap();
    let report: serde_json::Value =
        serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!((&report["rated"], &report["amounts"][0]["exact"]), (&1.into(), &"0.05".into()));
}

#[test]
fn compressed_lists_and_lines_are_read_alike() {
    let place = place();
    place.write("a.ndjson.gz", compressed(&good("a")));
    place.write("b.ndjson.zst", zstd::encode_all(good("b").as_bytes(), 1).unwrap());
    place.write("c.json", format!("[{}, {}]", good("c"), good("d")));
    place.write("e.ndjson", format!("\u{feff}{}\r\n\r\n{}\r\n", good("e"), good("f")));
    let report = place.run(&["a.ndjson.gz", "b.ndjson.zst", "c.json", "e.ndjson"]);
    assert_eq!((&report["received"], &report["rated"]), (&6.into(), &6.into()));
}

#[test]
fn no_event_is_a_result_too() {
    let place = place();
    place.write("empty.ndjson", "");
    let report = place.run(&["empty.ndjson"]);
    assert_eq!((&report["received"], &report["accrual_rows"]), (&0.into(), &0.into()));
    assert_eq!(place.query("SELECT count(*) FROM rated_usage"), [["0"]]);
    assert_eq!(place.query("SELECT count(*) FROM accruals"), [["0"]]);
}

#[test]
fn progress_is_a_line_per_stage_where_there_is_no_terminal() {
    let place = place();
    let called = place.call(&["run", "-c", "catalog", "good.ndjson"]);
    assert_eq!(called.code, 0);
    let stages: Vec<_> = called.stderr.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(stages, ["catalog", "counted", "accrued", "published"], "{}", called.stderr);
    for shown in ["received", "rated", "USD", "0.05", "query --data results"] {
        assert!(called.stdout.contains(shown), "{shown}: {}", called.stdout);
    }
}

#[test]
fn accrual_events_are_cloud_events() {
    let place = place();
    assert_eq!(place.call(&[&RUN[..], &["--accrual-events", "good.ndjson"]].concat()).code, 0);
    let text = fs::read_to_string(place.path("results/accruals.ndjson")).unwrap();
    let event: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["type"], "com.tallybook.usage.accrual.v1");
    assert_eq!(event["data"]["net_amount_exact"], "0.05");
    assert_eq!(event["data"]["accrual_id"], event["id"]);
}

fn compressed(text: &str) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    writer.write_all(text.as_bytes()).unwrap();
    writer.finish().unwrap()
}
