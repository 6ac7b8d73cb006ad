//! Tables as other programs read them: `delta_readers.py` with delta-rs and `DuckDB`, against our own SQL.
//!
//! Needs a Python with `deltalake`, `pyarrow` and `duckdb`, named by `TALLYBOOK_TEST_PYTHON`; without it nothing
//! is tested, and that is said.

use std::env;
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::support::{Workplace, called, example, shortest};

#[test]
fn epoch_1_other_readers_of_delta_lake_see_every_row_once() {
    let Some(python) = env::var_os("TALLYBOOK_TEST_PYTHON") else {
        eprintln!("SKIPPED: TALLYBOOK_TEST_PYTHON names no Python with deltalake, pyarrow and duckdb");
        return;
    };
    let place = Workplace::new();
    place.run_example("llm-tokens");
    // A second run with a few new events: its rows were in the ledger before they were in a table.
    let sample = fs::read_to_string(example("llm-tokens").join("usage/cached-tokens-sample.ndjson")).unwrap();
    let more = sample.replace("\"id\":\"", "\"id\":\"again-");
    place.write("more.ndjson", more);
    let catalog = example("llm-tokens").join("catalog").display().to_string();
    let more = place.call(&["run", "--quiet", "--catalog", &catalog, "more.ndjson"]);
    assert_eq!(more.code, 0, "{}", more.stderr);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/delta_readers.py");
    let read = called(&Command::new(python).arg(script).arg(place.path("data")).output().unwrap());
    assert_eq!(read.code, 0, "{}{}", read.stdout, read.stderr);
    let read: Value = serde_json::from_str(&read.stdout).unwrap();
    for (table, amounts) in [
        ("rated_usage", &["quantity", "amount"][..]),
        ("accruals", &["delta_amount", "delta_amount_exact", "delta_metered_quantity"]),
        ("quarantine", &[]),
        ("control_totals", &[]),
        ("settled", &[]),
        ("epochs", &[]),
    ] {
        let columns =
            ["*"].iter().chain(amounts).zip(std::iter::once("count").chain(std::iter::repeat("sum")));
        let columns: Vec<_> = columns.map(|(column, function)| format!("{function}({column})")).collect();
        let row = &place.query(&format!("SELECT {} FROM {table}", columns.join(", ")))[0];
        assert_eq!(read[table]["rows"].to_string(), row[0], "{table}");
        for (amount, sum) in amounts.iter().zip(&row[1..]) {
            let theirs = read[table]["sums"][amount].as_str().unwrap_or_default();
            assert_eq!(shortest(theirs), *sum, "{table}.{amount}");
        }
    }
}
