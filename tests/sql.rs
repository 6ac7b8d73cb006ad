//! SQL over a data directory: exact, checked, and harmless.

use crate::support::{Workplace, event};

const CATALOG: &str = "
kind: legal_entity
id: seller
---
kind: meter
id: calls
event_type: call
aggregation: count
---
kind: price_book
id: book
currencies: [USD]
versions: [{version: 1, rates: [{meter: calls, model: per_unit, unit_price: '0.1'}]}]
---
kind: contract
id: contract
accounts: [a]
legal_entity: seller
currency: USD
lines: [{id: line, price_book: book}]
";

/// Data of three events, one of them with an id that is a UUID.
fn data() -> Workplace {
    let place = Workplace::with_catalog(CATALOG);
    let uuid = "0190f2b4-5c1d-7c3e-8a4b-0123456789ab";
    let events = ["one", uuid, "three"].map(|id| event(id, "call", "a", "2026-10-01T00:00:00Z", "{}"));
    place.write("events.ndjson", events.join("\n"));
    place.run(&["events.ndjson"]);
    place
}

fn one(place: &Workplace, sql: &str) -> String {
    place.query(sql)[0][0].clone()
}

#[test]
fn ids_are_text_whatever_their_form() {
    let place = data();
    assert_eq!(
        place.query("SELECT event_id FROM rated_usage ORDER BY 1"),
        [["0190f2b4-5c1d-7c3e-8a4b-0123456789ab"], ["one"], ["three"]]
    );
    let by_id = "SELECT amount FROM rated_usage WHERE event_id = '0190f2b4-5c1d-7c3e-8a4b-0123456789ab'";
    assert_eq!(one(&place, by_id), "0.1");
}

#[test]
fn numbers_in_a_query_are_exact() {
    assert_eq!(one(&data(), "SELECT 0.1 + 0.2 = 0.3"), "true");
}

#[test]
fn a_sum_that_does_not_fit_is_an_error_in_every_form() {
    let place = data();
    let most = "arrow_cast('99999999999999999999999999999999999999', 'Decimal128(38, 0)')";
    let values = format!("(SELECT {most} AS v, amount AS g FROM rated_usage)");
    let distinct = format!("(SELECT {most} - row_number() OVER () AS v, amount AS g FROM rated_usage)");
    let distinct = format!("(SELECT arrow_cast(v, 'Decimal128(38, 0)') AS v, g FROM {distinct})");
    let forms = [
        format!("SELECT sum(v) FROM {values}"),
        format!("SELECT g, sum(v) FROM {values} GROUP BY g"),
        format!("SELECT sum(v) OVER () FROM {values}"),
        format!("SELECT sum(v) OVER (ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM {values}"),
        format!("SELECT sum(DISTINCT v), sum(v) FROM {distinct}"),
        format!("SELECT sum(v) FILTER (WHERE g > 0) FROM {values}"),
        format!("SELECT avg(v) FROM {values}"),
        format!("SELECT v + v FROM {values}"),
        format!("SELECT v * 2 FROM {values}"),
        "SELECT sum(v) FROM (SELECT 9223372036854775807 AS v FROM rated_usage)".to_owned(),
    ];
    for form in forms {
        let called = place.call(&["query", &form]);
        assert_eq!(called.code, 6, "{form}: {}", called.stdout);
        assert!(called.stderr.to_lowercase().contains("more digits") || called.stderr.contains("verflow"));
    }
}

#[test]
fn sums_that_fit_are_right_in_every_form() {
    let place = data();
    let cases = [
        ("SELECT sum(amount) FROM rated_usage", "0.3"),
        ("SELECT sum(amount) FROM rated_usage WHERE amount > 1", ""),
        ("SELECT sum(amount) FILTER (WHERE event_id = 'one') FROM rated_usage", "0.1"),
        ("SELECT sum(DISTINCT amount) FROM rated_usage", "0.1"),
        ("SELECT sum(DISTINCT amount) + sum(amount) FROM rated_usage", "0.4"),
        ("SELECT max(s) FROM (SELECT sum(amount) OVER (ORDER BY event_id) AS s FROM rated_usage)", "0.3"),
        (
            "SELECT max(s) FROM (SELECT sum(amount) OVER (ORDER BY event_id ROWS 1 PRECEDING) AS s
             FROM rated_usage)",
            "0.2",
        ),
        ("SELECT sum(s) FROM (SELECT event_id, sum(amount) AS s FROM rated_usage GROUP BY event_id)", "0.3"),
        ("SELECT sum(arrow_cast(1.5, 'Float64'))", "1.5"),
    ];
    for (sql, expected) in cases {
        assert_eq!(one(&place, sql), expected, "{sql}");
    }
}

#[test]
fn every_view_answers() {
    let place = data();
    for view in &tallybook::sql::views::VIEWS {
        let rows = place.query(&format!("SELECT * FROM {}", view.name));
        let is_empty =
            ["quarantine", "open_quarantine", "quarantine_reasons", "settled"].contains(&view.name);
        assert_eq!(rows.is_empty(), is_empty, "{}", view.name);
    }
}

#[test]
fn a_query_does_not_change_data() {
    let place = data();
    let before = crate::support::files(&place.path("data"));
    for sql in ["INSERT INTO files.accruals SELECT * FROM files.accruals", "DELETE FROM files.accruals"] {
        let called = place.call(&["query", sql]);
        assert_eq!(called.code, 6, "{sql}: {}", called.stdout);
    }
    assert!(before == crate::support::files(&place.path("data")));
}

#[test]
fn statements_come_from_standard_input() {
    use std::io::Write;
    use std::process::Stdio;
    let place = data();
    let mut command = place.command(&["query", "--format", "ndjson"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"CREATE VIEW v AS SELECT 1 AS a; SELECT a FROM v;").unwrap();
    assert_eq!(String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap(), "{\"a\":1}\n");
}

#[test]
fn what_cannot_be_answered_is_explained() {
    let place = data();
    let cases = [
        (&["query", "SELECT nothing FROM accruals"][..], "nothing"),
        (&["query", "SELEC 1"], "SELEC"),
        (&["query", "SELECT 1", "--data", "elsewhere"], "elsewhere: no data here"),
    ];
    for (arguments, message) in cases {
        let called = place.call(arguments);
        assert_eq!(called.code, 6);
        assert!(called.stderr.contains(message), "{}", called.stderr);
    }
}

#[test]
fn what_events_hold_does_nothing_to_a_terminal() {
    let place = Workplace::with_catalog(CATALOG);
    place.write("events.ndjson", "no event \u{1b}[2J \u{202e}\n");
    place.run(&["events.ndjson"]);
    let called = place.call(&["query", "SELECT record FROM quarantine"]);
    assert!(called.stdout.contains(r"no event \u{1b}[2J \u{202e}"), "{}", called.stdout);
    // Programs get what is there.
    assert_eq!(place.query("SELECT record FROM quarantine"), [["no event \u{1b}[2J \u{202e}"]]);
}

#[test]
fn copies_go_anywhere_but_into_the_data() {
    let place = data();
    let absolute = place.path("data/new.csv");
    let into_data = [
        "data/new.csv",
        "data/../data/new.csv",
        "data/tables/rated_usage/new.parquet",
        absolute.to_str().unwrap(),
    ];
    for target in into_data {
        let called = place.call(&["query", &format!("COPY (SELECT 1) TO '{target}'")]);
        assert_eq!(called.code, 6, "{target}");
        assert!(called.stderr.contains("data is never changed by a query"), "{}", called.stderr);
    }
    assert_eq!(place.call(&["query", "COPY (SELECT 1) TO 'new.csv'"]).code, 0);
    assert!(place.path("new.csv").is_file() && !absolute.exists());
}
