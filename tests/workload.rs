//! The generated reference workload, against its truth.

use serde_json::Value;

use crate::support::{Workplace, check_counts, shortest};

#[test]
fn a_run_over_200_000_generated_events_finds_their_truth() {
    let place = Workplace::new();
    let generated =
        place.call(&["generate", "--events", "200000", "--accounts", "20000", "--output", "workload"]);
    assert_eq!(generated.code, 0, "{}", generated.stderr);
    let truth: Value =
        serde_json::from_slice(&std::fs::read(place.path("workload/truth.json")).unwrap()).unwrap();
    let called = place.call(&["run", "-q", "--json", "-c", "workload/catalog", "workload/usage"]);
    assert_eq!(called.code, 0, "{}", called.stderr);
    let report: Value = serde_json::from_str(&called.stdout).unwrap();
    check_counts(&report, &truth);
    assert_eq!(report["rated_usage_rows"], truth["rated_usage_rows"]);
    for outcome in ["rated", "unrated", "duplicate", "conflict", "rejected"] {
        assert_ne!(truth[outcome], 0, "{outcome}");
    }
    assert_eq!(report["amounts"].as_array().unwrap().len(), truth["amounts"].as_array().unwrap().len());
    let number = |value: &Value| value.as_str().map_or_else(|| value.to_string(), shortest);
    for (amount, truth) in
        report["amounts"].as_array().unwrap().iter().zip(truth["amounts"].as_array().unwrap())
    {
        for field in ["currency", "exact", "posted"] {
            assert_eq!(number(&amount[field]), number(&truth[field]), "{field} {truth}");
        }
    }
    let totals = place.query(
        "SELECT legal_entity_id, currency, meter_id, price_book_id, sum(event_count), sum(metered_quantity),
                sum(net_amount_exact), sum(delta_amount),
                sum(net_amount_exact * arrow_cast(regexp_replace(contract_line_id, '[^0-9]', '', 'g'), 'Int64'))
         FROM accruals GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
    );
    let fields = [
        "legal_entity",
        "currency",
        "meter",
        "price_book",
        "events",
        "quantity",
        "exact",
        "posted",
        "exact_by_line_number",
    ];
    let truth = truth["totals"].as_array().unwrap().iter();
    let mut truth: Vec<Vec<String>> =
        truth.map(|total| fields.iter().map(|field| number(&total[field])).collect()).collect();
    truth.sort();
    assert_eq!(totals, truth);
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let place = Workplace::new();
    for (output, seed) in [("one", "7"), ("same", "7"), ("other", "8")] {
        let arguments =
            ["generate", "--events", "2000", "--accounts", "100", "--seed", seed, "--output", output];
        assert_eq!(place.call(&arguments).code, 0);
    }
    let bytes = |output: &str| -> Vec<Vec<u8>> {
        crate::support::files(&place.path(output)).into_iter().map(|(_, bytes)| bytes).collect()
    };
    assert!(bytes("one") == bytes("same"));
    assert!(bytes("one") != bytes("other"));
    assert_eq!(place.call(&["generate", "--output", "one"]).code, 5);
}
