//! Vectors with several bookings of one period: each is the difference of two cumulative amounts.

use schemas::decimal::Decimal;
use serde_json::Value;

use super::to_rate::Parameters;
use super::{id, number};
use crate::charge::{Charge, difference, rounded, sum};

/// Units that are priced and units that are free, of a cumulative quantity.
fn priced_and_free(charge: &Charge, quantity: Decimal) -> (Decimal, Decimal) {
    let lines = charge.breakdown(&charge.event(quantity));
    let of_tier = |tier: u32| lines.iter().find(|line| line.tier == tier).map_or(0, |line| line.quantity);
    (charge.priced(of_tier(1)), charge.priced(of_tier(0)))
}

pub(super) fn usage_discount(vector: &Value) {
    let (input, expected) = (&vector["input"], &vector["expected"]);
    let mut vector_with_price = vector.clone();
    vector_with_price["params"]["unit_amount"] = "1".into();
    let charge = Parameters::new(&vector_with_price).charge("per_unit", 0);
    let before = number(&input["pre_line_units"]);
    let (billed_before, free_before) = priced_and_free(&charge, before);
    let (billed, free) = priced_and_free(&charge, sum(before, number(&input["units"])));
    let got = [
        ("billed_units", difference(billed, billed_before)),
        ("billed_pre_line_units", billed_before),
        ("discount_units_line", difference(free, free_before)),
        ("discount_units_before", free_before),
    ];
    for (name, got) in got {
        if let Some(expected) = expected[name].as_str() {
            assert_eq!(got, expected.parse().unwrap(), "{} {name}", id(vector));
        }
    }
}

pub(super) fn per_unit_sequence(vector: &Value) {
    let expected = &vector["expected"];
    let charge = Parameters::new(vector).charge("per_unit", 0);
    let (mut total, mut amount, mut units) = (Decimal::ZERO, Decimal::ZERO, (Decimal::ZERO, Decimal::ZERO));
    for (position, line) in vector["input"]["line_units"].as_array().unwrap().iter().enumerate() {
        total = sum(total, number(line));
        let (amount_after, units_after) = (charge.amount_of(total), priced_and_free(&charge, total));
        let got = [
            ("amounts", difference(amount_after, amount)),
            ("billed_units", difference(units_after.0, units.0)),
            ("discount_units", difference(units_after.1, units.1)),
        ];
        for (name, got) in got {
            assert_eq!(got, number(&expected[name][position]), "{} {name} {position}", id(vector));
        }
        (amount, units) = (amount_after, units_after);
    }
}

/// The charge of a vector that names its price among its parameters, and the places it rounds to.
fn priced(vector: &Value) -> (Charge, Option<u8>) {
    let mut vector = vector.clone();
    let params = vector["params"].as_object_mut().unwrap();
    let model = params.remove("price").unwrap();
    let places = params.get("amount_scale").map(|places| places.as_str().unwrap().parse().unwrap());
    (Parameters::new(&vector).charge(model.as_str().unwrap(), 0), places)
}

/// What was booked, before what acts on the bill: the gross amounts of the lines, top-ups left out.
fn booked_before_spend_limits(booking: &Value) -> Decimal {
    let mut booked = Decimal::ZERO;
    for line in booking["lines"].as_array().unwrap() {
        if line["component"] != "minimum spend" {
            booked = sum(booked, number(&line["gross"]));
        }
    }
    booked
}

/// A sequence of cumulative quantities; each books what is new, or takes back what was too much.
pub(super) fn phases(vector: &Value) {
    let (charge, places) = priced(vector);
    let has_limits =
        vector["params"].get("minimum_spend").or(vector["params"].get("maximum_spend")).is_some();
    let phases = vector["input"]["phases"].as_array().unwrap();
    let expected = vector["expected"]["phases"].as_array().unwrap();
    let mut booked = Decimal::ZERO;
    for (position, (phase, expected)) in phases.iter().zip(expected).enumerate() {
        let mut amount = charge.amount_of(number(&phase["cumulative_units"]));
        if let Some(places) = places {
            amount = rounded(amount, places);
        }
        let delta = difference(amount, booked);
        let what = format!("{} phase {position}", id(vector));
        assert_eq!(delta, booked_before_spend_limits(expected), "{what}");
        if !has_limits {
            assert_eq!(delta, number(&expected["amount"]), "{what}");
            assert_eq!(amount, number(&expected["cumulative_amount"]), "{what}");
        }
        booked = amount;
    }
    assert_eq!(phases.len(), expected.len());
}

/// Runs that know the cumulative quantity at the end of every service period so far; usage that comes
/// late raises an earlier one.
pub(super) fn late_events(vector: &Value) {
    let (charge, _) = priced(vector);
    let params = &vector["params"];
    let has_limits = params.get("maximum_spend").or(params.get("percentage_discount")).is_some();
    let mut by_period: Vec<Decimal> = Vec::new();
    let expected = vector["expected"]["runs"].as_array().unwrap();
    for (position, (run, expected)) in
        vector["input"]["runs"].as_array().unwrap().iter().zip(expected).enumerate()
    {
        let quantities: Vec<Decimal> =
            run["cumulative_units_per_period"].as_array().unwrap().iter().map(number).collect();
        by_period.resize(quantities.len(), Decimal::ZERO);
        let (mut before, mut booked) = (Decimal::ZERO, Decimal::ZERO);
        for (period, quantity) in quantities.into_iter().enumerate() {
            let cumulative = charge.amount_of(quantity);
            let amount = difference(cumulative, before);
            let delta = difference(amount, by_period[period]);
            // A volume price moves all units when a bound is crossed. That system books the move in the
            // period whose units it moves, ours in the period that crossed the bound; the sum is one.
            if params["price"] == "per_unit" {
                let of_period = expected["lines"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter(|line| line["period"].as_str().unwrap() == (period + 1).to_string());
                let gross = of_period.fold(Decimal::ZERO, |total, line| sum(total, number(&line["gross"])));
                assert_eq!(delta, gross, "{} run {position} period {period}", id(vector));
            }
            by_period[period] = amount;
            booked = sum(booked, delta);
            before = cumulative;
        }
        let what = format!("{} run {position}", id(vector));
        assert_eq!(booked, booked_before_spend_limits(expected), "{what}");
        if !has_limits {
            assert_eq!(booked, number(&expected["amount"]), "{what}");
            assert_eq!(before, number(&expected["cumulative_amount"]), "{what}");
        }
    }
}
