//! Worked examples of accruals: what is posted as usage of a period grows, shrinks and arrives late.
//!
//! A posting is the difference of two rounded cumulative amounts, so that the postings of a period sum to
//! its price rounded once (ACCR-1). Vendors' figures are named where they are theirs.

use schemas::decimal::Decimal;
use schemas::price_book::RoundingMode;
use schemas::price_book::RoundingMode::{HalfAwayFromZero, HalfEven};
use serde_json::{Value, json};

use crate::charge::{Charge, decimal, difference, rounded_with};

fn per_unit(price: &str) -> Value {
    json!({ "model": "per_unit", "unit_price": price })
}

fn tiers(model: &str, tiers: &[(Option<&str>, &str)]) -> Value {
    let tier = |(up_to, price): &(Option<&str>, &str)| json!({ "up_to": up_to, "unit_price": price });
    json!({ "model": model, "tiers": tiers.iter().map(tier).collect::<Vec<_>>() })
}

/// What it shows, the rate, rounding mode and places, cumulative quantities, and the posting of each.
type Case<'a> = (&'a str, Value, RoundingMode, u8, &'a [&'a str], &'a [&'a str]);

#[test]
fn postings_are_differences_of_rounded_cumulative_amounts() {
    let calls = [(Some("1000000"), "0.0005"), (Some("5000000"), "0.0004"), (None, "0.00035")];
    let cliff = [(Some("100"), "10"), (Some("200"), "9"), (None, "8")];
    let on_demand = [(Some("10"), "2"), (Some("20"), "3"), (None, "5")];
    let packages = json!({ "model": "package", "package_size": "500", "package_price": "0.25" });
    let card = json!({ "model": "basis_points", "basis_points": "290", "per_event_fee": "0.3" });
    let (away, even) = (HalfAwayFromZero, HalfEven);
    let cases: &[Case] = &[
        (
            "a month in three revisions",
            tiers("graduated", &calls),
            away,
            2,
            &["4200000", "7345678", "7350000"],
            &["1780", "1140.99", "1.51"],
        ),
        ("events voided after the close", per_unit("0.25"), away, 2, &["8000", "6800"], &["2000", "-300"]),
        ("a void that raises the bill", tiers("volume", &cliff), away, 2, &["105", "99"], &["945", "45"]),
        ("late usage under a volume price", tiers("volume", &cliff), away, 2, &["90", "110"], &["900", "90"]),
        ("half a cent, away from zero", per_unit("0.015"), away, 2, &["1234567"], &["18518.51"]),
        ("half a cent, to even", per_unit("0.015"), even, 2, &["1234567"], &["18518.5"]),
        ("a currency without cents", per_unit("0.4"), away, 0, &["12346"], &["4938"]),
        (
            "rounding the total, not the lines",
            per_unit("1"),
            away,
            2,
            &["10.005", "30.01", "60.015"],
            &["10.01", "20", "30.01"],
        ),
        ("Stripe, revenue by month", per_unit("1"), away, 2, &["45", "100"], &["45", "55"]),
        ("Zuora, on demand", tiers("graduated", &on_demand), away, 2, &["15", "21"], &["35", "20"]),
        ("m3ter, packages; its page prints 2.45", packages, away, 2, &["48900"], &["24.5"]),
        ("a card fee", card, away, 2, &["1234.56"], &["36.1"]),
    ];
    for (what, rate, mode, places, quantities, postings) in cases {
        let charge = Charge::new(rate.clone(), 3).unwrap();
        let mut posted = Decimal::ZERO;
        for (quantity, posting) in quantities.iter().zip(*postings) {
            let amount = rounded_with(charge.amount_of(decimal(quantity)), *places, *mode);
            assert_eq!(difference(amount, posted), decimal(posting), "{what}: {quantity}");
            posted = amount;
        }
        assert_eq!(quantities.len(), postings.len(), "{what}");
    }
}
