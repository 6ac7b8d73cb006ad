//! DEDUP-1 across runs: a run over files that were counted adds nothing, one over more adds what is new, and a
//! catalog may grow between runs but not change what is rated.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::command_line::{CATALOG, good, place};
use crate::support::{Workplace, event, files, query};

/// Events of these numbers, one to a line.
fn lines(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|number| good(&format!("event-{number}")) + "\n").collect()
}

/// Received, rated, duplicate and conflict.
fn counts(figures: &Value) -> [i64; 4] {
    ["received", "rated", "duplicate", "conflict"].map(|count| figures[count].as_i64().unwrap())
}

fn check_rated(place: &Workplace, events: u32) {
    let cents = events * 5;
    let exact = crate::support::shortest(&format!("{}.{:02}", cents / 100, cents % 100));
    let sums = "SELECT count(*), sum(amount), sum(quantity) FROM rated_usage";
    assert_eq!(place.query(sums), [[events.to_string(), exact.clone(), (events * 5).to_string()]]);
    let accrued = "SELECT sum(delta_amount_exact), sum(delta_event_count) FROM accruals";
    assert_eq!(place.query(accrued), [[exact, events.to_string()]]);
    for view in ["reconciliation", "conservation"] {
        let missing = place.query(&format!("SELECT * FROM {view} WHERE missing <> 0"));
        assert!(missing.is_empty(), "{view}: {missing:?}");
    }
}

#[test]
fn dedup_1_a_second_run_over_the_same_files_adds_no_epoch() {
    let place = place();
    place.write("usage/one.ndjson", lines(0..50));
    place.write("usage/empty.ndjson", "");
    let first = place.run(&["usage"]);
    assert_eq!((counts(&first), &first["epochs"]), ([50, 50, 0, 0], &json!([1, 1])));
    assert_eq!(first["data"]["received"], first["received"]);
    let before = files(&place.path("data"));
    let again = place.run(&["usage"]);
    assert_eq!((counts(&again), &again["epochs"]), ([0; 4], &Value::Null));
    assert_eq!((&again["inputs_known"], &again["data"]["rated"]), (&2.into(), &50.into()));
    assert!(files(&place.path("data")) == before);
    let shown = place.call(&["run", "-q", "-c", "catalog", "usage"]);
    assert!(shown.stdout.contains("Nothing new: data is as it was."), "{}", shown.stdout);
    assert!(shown.stdout.contains("2 inputs were read by earlier runs"), "{}", shown.stdout);
    check_rated(&place, 50);
}

#[test]
fn dedup_1_more_files_add_what_is_new() {
    let place = place();
    place.write("usage/one.ndjson", lines(0..50));
    place.run(&["usage"]);
    // Events that are new, that are counted, and one that contradicts what is counted.
    let other = good("event-3").replace('5', "6") + "\n";
    place.write("usage/two.ndjson", lines(40..70) + &other);
    let second = place.run(&["usage"]);
    assert_eq!((counts(&second), &second["epochs"]), ([31, 20, 10, 1], &json!([2, 2])));
    assert_eq!(counts(&second["data"]), [81, 70, 10, 1]);
    assert_eq!((&second["inputs_known"], &second["quarantine_rows"]), (&1.into(), &1.into()));
    // A copy under another name is all duplicates.
    fs::copy(place.path("usage/one.ndjson"), place.path("usage/three.ndjson")).unwrap();
    let copy = place.run(&["usage"]);
    assert_eq!((counts(&copy), &copy["amounts"]), ([50, 0, 50, 0], &json!([])));
    check_rated(&place, 70);
    let by_epoch = place.query("SELECT epoch, count(*) FROM rated_usage GROUP BY 1 ORDER BY 1");
    assert_eq!(by_epoch, [["1", "50"], ["2", "20"]]);
}

#[test]
fn dedup_1_a_file_that_grew_or_changed_is_read_again_and_its_new_events_count() {
    let place = place();
    let path = place.write("usage.ndjson", lines(0..50));
    place.run(&["usage.ndjson"]);
    place.write("usage.ndjson", lines(0..60));
    let grown = place.run(&["usage.ndjson"]);
    assert_eq!((counts(&grown), &grown["inputs_known"]), ([60, 10, 50, 0], &0.into()));
    // The same size, other events, and the same events at another time.
    place.write("usage.ndjson", lines(10..70));
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(SystemTime::now() + Duration::from_secs(9))
        .unwrap();
    assert_eq!(counts(&place.run(&["usage.ndjson"])), [60, 10, 50, 0]);
    File::options().write(true).open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(counts(&place.run(&["usage.ndjson"])), [60, 0, 60, 0]);
    check_rated(&place, 70);
}

#[test]
fn dedup_1_standard_input_is_read_whenever_it_is_given() {
    use std::io::Write;
    let place = place();
    for expected in [[2, 2, 0, 0], [2, 0, 2, 0]] {
        let mut command = place.command(&["run", "-q", "--json", "-c", "catalog", "-"]);
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(lines(0..2).as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(counts(&serde_json::from_slice(&output.stdout).unwrap()), expected);
    }
    check_rated(&place, 2);
}

/// ACCR-1: usage of a day that was accrued is a further revision of it, and the revisions add up.
#[test]
fn accr_1_late_usage_trues_up_what_was_accrued() {
    let place = place();
    place.write("one.ndjson", lines(0..50));
    place.write("two.ndjson", lines(50..53));
    place.run(&["one.ndjson"]);
    place.run(&["two.ndjson"]);
    let rows = "SELECT revision, net_amount, delta_amount, epoch FROM accruals ORDER BY revision";
    assert_eq!(place.query(rows), [["1", "2.5", "2.5", "1"], ["2", "2.65", "0.15", "2"]]);
    assert_eq!(place.query("SELECT revision, net_amount FROM accruals_current"), [["2", "2.65"]]);
}

/// The catalog with this much of a second meter, and this price.
fn catalog(price: &str, more: &str) -> String {
    CATALOG.replace("'0.01'", price).replace("}]}]", &format!("}}{more}]}}]"))
}

const CALLS: &str = "---\n{kind: meter, id: calls, event_type: call, aggregation: count}\n";

#[test]
fn a_catalog_that_grew_is_accepted_and_counts_from_then_on() {
    let place = place();
    let call = |id: &str| event(id, "call", "a", "2026-10-02T00:00:00Z", "{}") + "\n";
    place.write("one.ndjson", lines(0..10) + &call("early"));
    assert_eq!(place.run(&["one.ndjson"])["unrated"], 1);
    let more = ", {meter: calls, model: per_unit, unit_price: 2}";
    place.write("catalog/catalog.yaml", catalog("'0.01'", more) + CALLS);
    // Nothing new to read: the catalog alone is no epoch.
    assert_eq!(place.run(&["one.ndjson"])["epochs"], Value::Null);
    place.write("two.ndjson", lines(10..12) + &call("late"));
    let second = place.run(&["two.ndjson"]);
    assert_eq!(counts(&second), [3, 3, 0, 0]);
    assert_eq!(second["data"]["amounts"][0]["exact"], "2.6");
    assert_eq!(place.query("SELECT count(DISTINCT catalog) FROM epochs"), [["2"]]);
    assert_eq!(place.query("SELECT sum(amount) FROM rated_usage"), [["2.6"]]);
}

#[test]
fn a_catalog_that_changes_what_is_rated_is_3_and_nothing_is_changed() {
    let place = place();
    place.write("one.ndjson", lines(0..10));
    place.write("two.ndjson", lines(10..20));
    place.run(&["one.ndjson"]);
    let before = files(&place.path("data"));
    let changes = [
        catalog("'0.02'", ""),
        CATALOG.replace("id: line,", "id: line-2,"),
        CATALOG.replace("currency: USD\nlines", "currency: EUR\nlines").replace("[USD]", "[USD, EUR]"),
    ];
    for changed in changes {
        assert_ne!(changed, CATALOG);
        place.write("catalog/catalog.yaml", &changed);
        assert_eq!(place.call(&["check", "catalog"]).code, 0, "{changed}");
        for inputs in ["one.ndjson", "two.ndjson"] {
            let called = place.call(&["run", "-q", "-c", "catalog", inputs]);
            assert_eq!(called.code, 3, "{changed}\n{}", called.stderr);
            let message = "error: the catalog would change what is rated already; nothing is changed:\n";
            assert!(called.stderr.starts_with(message), "{}", called.stderr);
            assert!(called.stderr.contains("contract line line"), "{}", called.stderr);
        }
        assert!(files(&place.path("data")) == before, "{changed}");
    }
    // The price of the past is as it was, that of the future is another.
    let later = "}]}, {version: 2, effective_from: 2026-11-01, rates: [{meter: tokens, model: per_unit, unit_price: 7}]}]";
    place.write("catalog/catalog.yaml", CATALOG.replace("}]}]", later));
    assert_eq!(counts(&place.run(&["two.ndjson"])), [10, 10, 0, 0]);
    check_rated(&place, 20);
}

/// EPOCH-1: a query during a run sees every row of the epochs that are committed once, wherever it is.
#[test]
fn epoch_1_queries_during_a_run_see_every_committed_row_once() {
    use std::io::Write;
    use std::time::Instant;
    let place = place();
    place.write("before.ndjson", lines(0..50));
    place.run(&["before.ndjson"]);
    let mut command = place.command(&["run", "-q", "--json", "-c", "catalog", "--epoch-events", "1000", "-"]);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(lines(0..20_000).as_bytes()).unwrap();
    let sql = "SELECT max(epoch), sum(received), sum(rated) FROM epochs;
               SELECT count(*), count(DISTINCT event_id), max(epoch) FROM rated_usage";
    let began = Instant::now();
    let mut last = 0;
    // The table has one epoch, the others are in the ledger only.
    while last < 4 {
        assert!(began.elapsed() < Duration::from_mins(1), "no epoch was committed");
        let shown = place.call(&["query", "--format", "csv", sql]).stdout;
        let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split(',').collect()).collect();
        last = lines[1][0].parse().unwrap();
        assert_eq!((lines[1][2], lines[3][0]), (lines[3][0], lines[3][1]), "{shown}");
        assert_eq!(lines[1][0], lines[3][2], "{shown}");
    }
    assert_eq!(query(&place.path("data"), "SELECT count(*) FROM accruals"), [["1"]]);
    drop(input);
    assert!(child.wait().unwrap().success());
    check_rated(&place, 20_000);
}
