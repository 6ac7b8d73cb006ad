//! The examples, against totals that were worked out without the program.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Workplace, called, check_counts, example, query, shortest};

#[test]
fn the_demo_gives_the_exact_totals_of_its_example() {
    let place = Workplace::new();
    let first = place.call(&["demo", "--json", "--quiet"]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    let expected = example("llm-tokens").join("expected.json");
    check(&serde_json::from_str(&first.stdout).unwrap(), &place.path("tallybook-demo/data"), &expected);
    // A second demo replaces the first, and the commands it shows work as they are.
    let again = called(&place.command(&["demo"]).env_remove("CARGO_MANIFEST_DIR").output().unwrap());
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(again.stdout.contains("85.67525422"));
    let commands: Vec<_> = again.stdout.lines().skip_while(|line| *line != "Next:").skip(1).collect();
    assert_eq!(commands.len(), 3);
    // The last one opens a prompt.
    for command in &commands[..2] {
        let output = Command::new("bash").args(["-c", command]).current_dir(place.path("")).output();
        let shown = called(&output.unwrap());
        assert_eq!(shown.code, 0, "{command}: {}", shown.stderr);
        assert!(shown.stdout.contains("8 rows"), "{}", shown.stdout);
    }
}

#[test]
fn a_demo_leaves_the_files_of_others_alone() {
    let place = Workplace::new();
    std::fs::create_dir(place.path("mine")).unwrap();
    std::fs::write(place.path("mine/README.md"), "mine").unwrap();
    let refused = place.call(&["demo", "--quiet", "--directory", "mine"]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("other files than those of the demo"), "{}", refused.stderr);
    assert_eq!(std::fs::read_to_string(place.path("mine/README.md")).unwrap(), "mine");
}

#[test]
fn llm_tokens_have_their_exact_totals() {
    check_example("llm-tokens");
}

#[test]
fn the_cloud_bill_has_its_exact_totals() {
    check_example("cloud-bill");
}

#[test]
fn every_row_of_the_cloud_bill_costs_what_the_bill_says() {
    let place = Workplace::new();
    place.run_example("cloud-bill");
    let mut reader = csv::Reader::from_path(example("cloud-bill").join("list_cost.csv")).unwrap();
    let mut expected: Vec<Vec<String>> =
        reader.records().map(|row| row.unwrap().iter().map(shortest).collect()).collect();
    expected.retain(|row| row[2] != "0");
    assert_eq!(expected.len(), 618);
    let mut rated = place.query(
        "SELECT event_id, meter_id, arrow_cast(amount, 'Decimal128(38, 10)') FROM rated_usage
         WHERE amount <> 0",
    );
    rated.sort();
    expected.sort();
    assert_eq!(rated, expected);
}

#[test]
fn every_price_model_has_its_exact_totals() {
    check_example("price-models");
}

fn check_example(name: &str) {
    let place = Workplace::new();
    let report = place.run_example(name);
    check(&report, &place.path("data"), &example(name).join("expected.json"));
}

/// Holds a report and its tables against the expected totals.
fn check(report: &Value, data: &Path, expected: &Path) {
    let expected: Value = serde_json::from_slice(&std::fs::read(expected).unwrap()).unwrap();
    check_counts(report, &expected);
    let amounts: Vec<_> = report["amounts"].as_array().unwrap().iter().collect();
    let expected_amounts = expected["amounts"].as_object().unwrap();
    assert_eq!(amounts.len(), expected_amounts.len());
    for amount in amounts {
        let of_currency = &expected_amounts[amount["currency"].as_str().unwrap()];
        for kind in ["exact", "posted"] {
            let both = [amount, of_currency].map(|amounts| shortest(amounts[kind].as_str().unwrap()));
            assert_eq!(both[0], both[1], "{kind} {amount}");
        }
    }
    let lines = query(
        data,
        "SELECT contract_line_id, meter_id, sum(metered_quantity), sum(net_amount_exact), sum(delta_amount)
         FROM accruals GROUP BY 1, 2 ORDER BY 1, 2",
    );
    let expected_lines = expected["lines"].as_array().unwrap().iter().map(|line| {
        ["contract_line", "meter", "quantity", "exact", "posted"]
            .map(|field| shortest(line[field].as_str().unwrap()))
            .to_vec()
    });
    assert_eq!(lines, expected_lines.collect::<Vec<_>>());
    assert_eq!(query(data, "SELECT * FROM reconciliation WHERE missing <> 0"), Vec::<Vec<String>>::new());
    assert_eq!(query(data, "SELECT * FROM conservation WHERE missing <> 0"), Vec::<Vec<String>>::new());
}
