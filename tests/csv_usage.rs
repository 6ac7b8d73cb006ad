//! Usage in CSV: what is no header is refused, and no row is lost without a word.

use std::fs;

use crate::command_line::CATALOG;
use crate::support::{Called, Workplace};

/// How usage of the account of [`CATALOG`] is read.
const MAPPING: &str = "---
kind: csv_mapping
id: usage
files: ['usage*.csv']
source: {value: usage}
event_id: file_and_line
type: {value: tokens}
subject: {column: customer}
time: {column: at, timezone: UTC}
data: {tokens: tokens}
---
kind: csv_mapping
id: with-ids
files: ['ids*.csv']
source: {value: ids}
event_id: {column: id}
type: {value: tokens}
subject: {column: customer}
time: {column: at, timezone: UTC}
data: {tokens: tokens}
";

const HEADER: &str = "id,customer,at,tokens";
const ROW: &str = "1,a,2026-10-01T00:00:00Z,5";

fn place() -> Workplace {
    Workplace::with_catalog(&format!("{CATALOG}{MAPPING}"))
}

fn usage() -> String {
    format!("{HEADER}\n{ROW}\n")
}

fn run(place: &Workplace, inputs: &[&str]) -> Called {
    place.call(&[&["run", "-q", "--json", "-c", "catalog"], inputs].concat())
}

fn received(called: &Called) -> u64 {
    assert_eq!(called.code, 0, "{}", called.stderr);
    let report: serde_json::Value = serde_json::from_str(&called.stdout).unwrap();
    assert_eq!(report["received"], report["rated"], "{report}");
    report["received"].as_u64().unwrap()
}

fn refused(place: &Workplace, inputs: &[&str], messages: &[&str]) {
    let called = run(place, inputs);
    assert_eq!(called.code, 4, "{inputs:?}: {}", called.stderr);
    assert!(called.stderr.starts_with("error: ") && called.stderr.lines().count() == 1, "{}", called.stderr);
    for message in messages {
        assert!(called.stderr.contains(message), "{inputs:?} {message}: {}", called.stderr);
    }
    assert!(!place.has_epochs(), "{inputs:?}");
}

#[test]
fn a_first_row_that_is_no_header_is_an_input_error() {
    let place = place();
    let utf16: Vec<u8> = format!("\u{feff}{HEADER}\n").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let unclosed = format!("{HEADER},\"note\n{ROW},x\n{ROW},y\n");
    let unclosed_mac = unclosed.replace('\n', "\r");
    let repeated = format!("{HEADER},tokens\n{ROW},6\n");
    let cases: &[(&[u8], &[&str])] = &[
        (b"", &["usage.csv: the file is empty, but has to name the columns"]),
        (b"\n", &["the first line is empty"]),
        (&utf16, &["UTF-16", "save it as UTF-8"]),
        (unclosed.as_bytes(), &["never closed"]),
        (unclosed_mac.as_bytes(), &["never closed"]),
        (repeated.as_bytes(), &["the column \"tokens\"", "twice"]),
        (b"customer;at;tokens\na;b;c\n", &["no column \"customer\"", "the file has customer;at;tokens"]),
        (b"customer,\x1b[2J\n", &["no column \"at\"", "the file has customer, \\u{1b}[2J"]),
    ];
    for (content, messages) in cases {
        place.write("usage.csv", content);
        refused(&place, &["usage.csv"], messages);
    }
    let wide: Vec<String> = (0..5_000).map(|column| format!("column-{column}")).collect();
    place.write("usage.csv", wide.join(",") + "\n");
    refused(&place, &["usage.csv"], &["column-49 and 4950 more"]);
    // A column that no mapping reads may be there twice.
    place.write("usage.csv", format!("{HEADER},note,note\n{ROW},x,y\n"));
    assert_eq!(received(&run(&place, &["usage.csv"])), 1);
}

#[test]
fn lines_that_end_with_carriage_returns_lose_no_row() {
    let place = place();
    place.write("usage.csv", format!("{HEADER}\r{ROW}\r{ROW}\r"));
    assert_eq!(received(&run(&place, &["usage.csv"])), 2);
}

#[test]
fn files_whose_rows_share_their_names_are_refused_before_the_run() {
    let place = place();
    for name in ["a/usage.csv", "b/usage.csv", "a/usage.csv.gz", "b/ids.csv", "a/ids.csv", "b/usage-2.csv"] {
        place.write(name, usage());
    }
    let same = ["file_and_line", "usage.csv", "rename one", "event_id"];
    refused(&place, &["a/usage.csv", "b/usage.csv"], &same);
    refused(&place, &["*/usage.csv"], &same);
    refused(&place, &["a", "b/usage-2.csv"], &["a/usage.csv and a/usage.csv.gz", "rename one"]);
    refused(&place, &["--csv-mapping", "usage", "a/ids.csv", "b/ids.csv"], &["rename one"]);
    // Rows that have ids are known by them.
    fs::write(place.path("b/ids.csv"), usage().replace("1,a", "2,a")).unwrap();
    assert_eq!(received(&run(&place, &["a/ids.csv", "b/ids.csv", "b/usage.csv", "b/usage-2.csv"])), 4);
}
