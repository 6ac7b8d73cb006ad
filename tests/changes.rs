//! What changes within a billing period: prices, contracts, and fees for the days a contract is in force.

use crate::support::{Workplace, event};

/// A seller, a meter, and a book with `rates` up to 15 October and `later` from then on.
fn catalog(rates: &str, later: &str, contracts: &str) -> String {
    format!(
        "
kind: legal_entity
id: seller
---
{{kind: meter, id: calls, event_type: call, aggregation: sum, value: $.calls}}
---
kind: price_book
id: book
currencies: [USD]
versions:
  - version: 1
    rates: [{rates}]
  - version: 2
    effective_from: 2026-10-15
    {later}
---
{contracts}"
    )
}

/// One contract for all of October, or two versions of it with a change on a day.
fn contract(change: Option<u32>) -> String {
    let version = |version: u32, times: String| {
        format!(
            "{{kind: contract, id: c, version: {version}, accounts: [a], legal_entity: seller, currency: USD,
              {times} lines: [{{id: line, price_book: book}}]}}\n"
        )
    };
    match change {
        None => version(1, String::new()),
        Some(day) => {
            let end = format!("effective_to: 2026-10-{day:02},");
            let start = format!("effective_from: 2026-10-{day:02},");
            version(1, end) + "---\n" + &version(2, start)
        }
    }
}

/// 10 calls on each of these days of October, the days in an order that is not that of time.
fn amount(catalog: &str, days: &[u32]) -> String {
    let place = Workplace::with_catalog(catalog);
    let events: Vec<_> = days
        .iter()
        .map(|day| {
            event(&day.to_string(), "call", "a", &format!("2026-10-{day:02}T12:00:00Z"), r#"{"calls":10}"#)
        })
        .collect();
    place.write("in-order.ndjson", events.join("\n"));
    let reversed: Vec<_> = events.into_iter().rev().collect();
    place.write("reversed.ndjson", reversed.join("\n"));
    let [one, other] = ["in-order", "reversed"].map(|order| {
        let report = place.run_to(order, &[&format!("{order}.ndjson")]);
        report["amounts"][0]["exact"].as_str().unwrap().to_owned()
    });
    assert_eq!(one, other, "another order of arrival");
    one
}

const TIERS: &str =
    "{meter: calls, model: graduated, tiers: [{up_to: 15, unit_price: 2}, {up_to: null, unit_price: 1}]}";
const DEARER: &str =
    "{meter: calls, model: graduated, tiers: [{up_to: 15, unit_price: 20}, {up_to: null, unit_price: 10}]}";

#[test]
fn tiers_go_on_or_start_over_with_a_price_change_but_never_with_a_contract_change() {
    let go_on = format!("rates: [{DEARER}]");
    let start_over = format!("tier_reset_on_price_change: true\n    rates: [{DEARER}]");
    let days = [1, 5, 16, 20];
    // 15 × 2 + 5 × 1 before; after it 20 × 10, or 15 × 20 + 5 × 10.
    let cases = [
        (&go_on, None, &days[..], "235"),
        (&start_over, None, &days[..], "385"),
        (&go_on, Some(3), &days[..], "235"),
        (&start_over, Some(3), &days[..], "385"),
        (&go_on, Some(18), &days[..], "235"),
        (&start_over, Some(18), &days[..], "385"),
        // No usage between the two changes: the price change still counts from zero.
        (&start_over, Some(18), &[1, 5, 20, 21][..], "385"),
    ];
    for (later, change, days, expected) in cases {
        assert_eq!(
            amount(&catalog(TIERS, later, &contract(change)), days),
            expected,
            "{later} {change:?} {days:?}"
        );
    }
}

#[test]
fn a_prorated_fee_is_due_for_the_days_of_every_version_of_the_contract() {
    let fee = "{meter: calls, model: flat, amount: 31, prorate: true}";
    let same = format!("rates: [{fee}]");
    let cases = [
        (None, &[1, 20][..], "31"),
        // 10 days of the first version, 21 of the second.
        (Some(11), &[1, 20][..], "31"),
        (Some(11), &[1, 2, 12, 20][..], "31"),
        (Some(11), &[1][..], "10"),
        (Some(11), &[20][..], "21"),
    ];
    for (change, days, expected) in cases {
        assert_eq!(amount(&catalog(fee, &same, &contract(change)), days), expected, "{change:?} {days:?}");
    }
}

#[test]
fn a_fee_that_is_not_prorated_is_due_once_a_period() {
    let fee = |amount: u32| format!("{{meter: calls, model: flat, amount: {amount}}}");
    for change in [None, Some(11), Some(18)] {
        let catalog = catalog(&fee(30), &format!("rates: [{}]", fee(40)), &contract(change));
        assert_eq!(amount(&catalog, &[1, 12, 16, 20]), "30", "{change:?}");
        assert_eq!(amount(&catalog, &[16, 20]), "40", "{change:?}");
    }
}
