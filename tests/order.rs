//! RATE-2: the same events in another order, or decoded by another number of threads, give the same
//! accruals, byte for byte; and in the same order the same tables, all of them.

use crate::support::{REPEATABLE_TABLES, Workplace, check_same_files, event, sorted_rows, table_files};

const CATALOG: &str = "
kind: legal_entity
id: seller
timezone: Europe/Berlin
---
{kind: meter, id: tokens, event_type: tokens, aggregation: sum, value: $.tokens, decimals: 0, dimensions: {model: $.model}}
---
{kind: meter, id: seats, event_type: seat, aggregation: unique, value: $.user}
---
kind: price_book
id: book
currencies: [EUR]
versions:
  - version: 1
    rates:
      - {meter: tokens, model: volume, tiers: [{up_to: 10000, unit_price: '0.003'}, {up_to: null, unit_price: '0.001'}]}
      - {meter: seats, model: graduated, tiers: [{up_to: 3, unit_price: 0}, {up_to: null, unit_price: 7}]}
---
{kind: contract, id: c, accounts: [a, b, c], legal_entity: seller, currency: EUR, lines: [{id: line, price_book: book}]}
";

/// Events enough for several batches, with duplicates among them.
fn events() -> Vec<String> {
    (0..20_000)
        .map(|number: u32| {
            let account = ["a", "b", "c"][number as usize % 3];
            let number = number % 18_999;
            let time = format!("2026-{:02}-{:02}T{:02}:30:00Z", 9 + number % 3, 1 + number % 28, number % 24);
            let data = format!(
                r#"{{"tokens":{},"model":"m{}","user":"u{}"}}"#,
                number % 97,
                number % 5,
                number % 11
            );
            let event_type = if number.is_multiple_of(4) { "seat" } else { "tokens" };
            event(&format!("{account}-{number}"), event_type, account, &time, &data)
        })
        .collect()
}

/// Another order of the events: by a step that has no divisor in common with their number.
fn reordered(events: &[String]) -> Vec<String> {
    (0..events.len()).map(|position| events[position * 7_919 % events.len()].clone()).collect()
}

#[test]
fn rate_2_another_order_gives_the_same_accruals_byte_for_byte() {
    let place = Workplace::with_catalog(CATALOG);
    let events = events();
    place.write("one.ndjson", events.join("\n"));
    place.write("two.ndjson", reordered(&events).join("\n"));
    let first = place.run_to("first", &["one.ndjson"]);
    let second = place.run_to("second", &["two.ndjson"]);
    assert_eq!(first["amounts"], second["amounts"]);
    assert!(first["duplicate"].as_u64().unwrap() > 0);
    let accruals = ["first", "second"].map(|data| table_files(&place.path(data), "accruals"));
    assert!(!accruals[0].is_empty() && accruals[0] == accruals[1]);
}

#[test]
fn rate_2_the_same_input_gives_the_same_tables_whatever_the_threads() {
    let place = Workplace::with_catalog(CATALOG);
    place.write("usage/one.ndjson", events().join("\n"));
    place.write("usage/two.ndjson", reordered(&events()).join("\n") + "\nnot an event\n");
    for threads in ["1", "2", "7"] {
        let data = format!("data-{threads}");
        let arguments = ["run", "-qc", "catalog", "-d", &data, "--threads", threads, "usage"];
        assert_eq!(place.call(&arguments).code, 0);
    }
    for threads in ["2", "7"] {
        let [one, other] = ["1", threads].map(|threads| place.path(&format!("data-{threads}")));
        check_same_files(&one, &other);
        for table in REPEATABLE_TABLES {
            let rows = [&one, &other].map(|data| sorted_rows(data, table, &[]));
            assert!(rows[0] == rows[1], "{table}");
        }
    }
}

/// RATE-2: how events are split into epochs shows in the column `epoch` alone.
#[test]
fn rate_2_smaller_epochs_give_the_same_rows() {
    let place = Workplace::with_catalog(CATALOG);
    place.write("usage.ndjson", events().join("\n"));
    let [one, many] = ["1048576", "1000"].map(|events| {
        let arguments =
            ["run", "-q", "--json", "-c", "catalog", "-d", events, "--epoch-events", events, "usage.ndjson"];
        let report: serde_json::Value = serde_json::from_str(&place.call(&arguments).stdout).unwrap();
        report["epochs"][1].as_u64().unwrap()
    });
    assert!(one == 1 && many > 5, "{one} and {many}");
    for table in ["rated_usage", "accruals", "quarantine"] {
        let rows = ["1048576", "1000"].map(|data| sorted_rows(&place.path(data), table, &["epoch"]));
        assert!(rows[0] == rows[1], "{table}");
    }
}
