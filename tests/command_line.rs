//! Exit codes and messages for what goes wrong around a run.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use crate::support::{Called, Workplace, called, event};

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
fn inputs_that_cannot_be_read_are_4_and_nothing_is_committed() {
    let place = place();
    place.write("empty-directory/readme.txt", "");
    place.write("unmapped.csv", "a,b\n1,2\n");
    place.write("unmapped-directory/usage.csv", "a,b\n1,2\n");
    place.write("directory/one.ndjson", good("one"));
    let gzip = compressed(&(good("zipped") + "\n").repeat(1000));
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
        assert!(!place.has_epochs(), "{inputs:?}");
    }
    // What is mended is read as if nothing had been.
    place.write("cut.ndjson.gz", gzip);
    let report = place.run(&["good.ndjson", "cut.ndjson.gz"]);
    assert_eq!((&report["received"], &report["epochs"]), (&1_001.into(), &serde_json::json!([1, 1])));
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
    for (data, message) in [("used", "not empty"), ("file/inside", "file"), ("/proc/data", "/proc")] {
        let called = place.call(&[&RUN[..], &["-d", data, "good.ndjson"]].concat());
        assert_eq!(called.code, 5, "{data}: {}", called.stderr);
        assert!(called.stderr.contains(message), "{data}: {}", called.stderr);
    }
    assert!(place.path("used/file").exists());
}

#[test]
fn a_full_disk_is_5_and_a_run_with_room_goes_on() {
    let place = place();
    let mut usage = String::new();
    for number in 0..100_000 {
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
    assert!(!place.has_epochs());
    let report = place.run(&["many.ndjson"]);
    assert_eq!((&report["rated"], &report["epochs"]), (&100_000.into(), &serde_json::json!([1, 1])));
    assert_eq!(place.query("SELECT count(*) FROM rated_usage"), [["100000"]]);
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
fn a_directory_is_read_with_those_in_it() {
    let place = place();
    place.write("usage/one.ndjson", good("one"));
    place.write("usage/2026-10/deep/two.ndjson", good("two"));
    place.write("usage/.hidden/three.ndjson", good("three"));
    let report = place.run(&["usage"]);
    assert_eq!(report["rated"], 2);
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
    assert_eq!(stages, ["catalog", "recovered", "counted", "accrued", "committed"], "{}", called.stderr);
    for shown in ["received", "rated", "USD", "0.05", "query --data data"] {
        assert!(called.stdout.contains(shown), "{shown}: {}", called.stdout);
    }
}

/// Calls the program with a shell around it.
fn shell(place: &Workplace, script: &str) -> Called {
    let script = script.replace("tallybook", env!("CARGO_BIN_EXE_tallybook"));
    let output =
        std::process::Command::new("bash").args(["-c", &script]).current_dir(place.path("")).output();
    called(&output.unwrap())
}

#[test]
fn output_that_nobody_takes_is_5_and_a_reader_that_goes_is_no_error() {
    let place = place();
    place.run(&["good.ndjson"]);
    let full = "error: standard output: No space left on device (os error 28)\n";
    for command in [
        "check catalog",
        "run -q -c catalog -d other good.ndjson",
        "query 'SELECT 1'",
        "query --format csv 'SELECT 1'",
        "query --format ndjson 'SELECT 1'",
    ] {
        let called = shell(&place, &format!("tallybook {command} > /dev/full"));
        assert_eq!((called.code, &*called.stderr), (5, full), "{command}");
    }
    for format in ["table", "csv", "ndjson"] {
        let numbers = "SELECT * FROM generate_series(1, 300000)";
        let script =
            format!("tallybook query --format {format} '{numbers}' | head -1; exit ${{PIPESTATUS[0]}}");
        let called = shell(&place, &script);
        assert_eq!((called.code, &*called.stderr), (0, ""), "{format}");
    }
    // What went wrong is in the exit code, where it cannot be said.
    assert_eq!(shell(&place, "tallybook check nowhere 2> /dev/full").code, 3);
    assert_eq!(shell(&place, "tallybook run -c catalog -d third good.ndjson 2> /dev/full").code, 0);
}

#[test]
fn queries_that_are_no_text_are_an_input_error() {
    let place = place();
    place.run(&["good.ndjson"]);
    let called = shell(&place, r"printf '\xff' | tallybook query");
    assert_eq!(called.code, 4);
    assert!(called.stderr.starts_with("error: standard input: "), "{}", called.stderr);
}

#[test]
fn the_data_directory_may_be_anywhere() {
    let place = place();
    for directory in ["empty", "here"] {
        fs::create_dir(place.path(directory)).unwrap();
    }
    std::os::unix::fs::symlink("empty", place.path("link")).unwrap();
    std::os::unix::fs::symlink("nowhere", place.path("dangling")).unwrap();
    let count = "SELECT count(*) FROM rated_usage";
    for data in ["link", "trailing/", "with space/and 'quote'", "a*b?[c", "ü%20#:", "file:"] {
        let called = place.call(&[&RUN[..], &["-d", data, "good.ndjson"]].concat());
        assert_eq!(called.code, 0, "{data}: {}", called.stderr);
        let called = place.call(&["query", "--format", "csv", "--data", data, count]);
        assert_eq!((called.code, &*called.stdout), (0, "count(*)\n1\n"), "{data}: {}", called.stderr);
    }
    assert!(place.path("link").is_symlink() && place.path("empty/tallybook.json").exists());
    let here = shell(&place, "cd here; tallybook run -q -c ../catalog -d . ../good.ndjson");
    assert_eq!((here.code, &*here.stderr), (0, ""));
    assert_eq!(place.call(&[&RUN[..], &["-d", "dangling", "good.ndjson"]].concat()).code, 5);
}

#[test]
fn usage_that_is_there_but_cannot_be_read_is_4() {
    let place = place();
    place.write("usage/good.ndjson", good("one"));
    place.write("upper/GOOD.NDJSON", good("one"));
    place.write("upper/MORE.JSON", format!("[\n{},\n{}]", good("two"), good("three")));
    place.write("upper-csv/USAGE.CSV", "a,b\n");
    std::os::unix::fs::symlink("nowhere", place.path("usage/gone.ndjson")).unwrap();
    for inputs in ["usage", "usage/*.ndjson"] {
        let called = place.call(&[&RUN[..], &[inputs]].concat());
        assert_eq!(called.code, 4, "{inputs}");
        assert!(called.stderr.contains("usage/gone.ndjson: No such file"), "{inputs}: {}", called.stderr);
    }
    let called = place.call(&[&RUN[..], &["upper-csv"]].concat());
    assert!(called.code == 4 && called.stderr.contains("csv_mapping"), "{}", called.stderr);
    assert_eq!(place.run(&["upper"])["rated"], 3);
    let called = place.call(&[&RUN[..], &["gone\u{1b}c\n"]].concat());
    assert_eq!(called.stderr, "error: gone\\u{1b}c\\n: no such file or directory\n");
}

fn compressed(text: &str) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    writer.write_all(text.as_bytes()).unwrap();
    writer.finish().unwrap()
}
