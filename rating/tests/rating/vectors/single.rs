//! Vectors with one line: usage of a period up to here, and the line's part of it.

use rating::price::TierLine;
use schemas::decimal::Decimal;
use serde_json::{Value, json};

use super::to_rate::{Parameters, block_tiers as block_tiers_charge, conversion_of};
use super::{id, number, number_or_zero};
use crate::charge::{Charge, difference, rounded, sum};

/// `f(before + line) - f(before)`, and how it is shared among tiers.
pub(super) fn line(vector: &Value) {
    let (input, expected) = (&vector["input"], &vector["expected"]);
    let (units, before) = (number(&input["units"]), number_or_zero(&input["pre_line_units"]));
    let decimals = units.scale().max(before.scale());
    let charge = Parameters::new(vector).charge(vector["model"].as_str().unwrap(), decimals);
    let after = sum(before, units);
    let (start, end) = (amount_before(&charge, before), charge.amount_of(after));
    let scale = [&vector["params"], expected].iter().find_map(|place| place["amount_scale"].as_str());
    let got = match scale {
        // What is posted is the rounded total less what was posted before.
        Some(places) => {
            let places = places.parse().unwrap();
            difference(rounded(end, places), rounded(start, places))
        }
        None => difference(end, start),
    };
    assert_eq!(got, figure_before_spend_limits(expected), "{}", id(vector));
    if let Some(exact) = expected["exact_product"].as_str() {
        assert_eq!(difference(end, start), exact.parse().unwrap(), "{}", id(vector));
    }
    if let Some(packages) = expected["packages"].as_str() {
        let price = number(&vector["params"]["package_amount"]);
        assert_eq!(end, price.checked_mul(packages.parse().unwrap()).unwrap(), "{}", id(vector));
    }
    let lines = expected["per_tier"].as_array().or(expected["lines"].as_array());
    if let Some(lines) = lines.filter(|_| vector["model"] == "graduated") {
        // Lines without an amount are not written there.
        let mut parts = tier_parts(&charge, before, after);
        parts.retain(|(_, amount)| !amount.is_zero());
        assert_eq!(parts, expected_parts(lines), "{}", id(vector));
    }
}

/// `f` of what was used before a line; nothing where nothing was.
fn amount_before(charge: &Charge, before: Decimal) -> Decimal {
    if before.is_zero() { Decimal::ZERO } else { charge.amount_of(before) }
}

/// The amount before minimum and maximum spend.
fn figure_before_spend_limits(expected: &Value) -> Decimal {
    if let Some(gross) = expected["gross"].as_str() {
        return gross.parse().unwrap();
    }
    let mut amount = number(&expected["amount"]);
    amount = difference(amount, number_or_zero(&expected["minimum_spend_top_up"]));
    for line in expected["lines"].as_array().into_iter().flatten() {
        if line["kind"] == "minimum_spend" {
            amount = difference(amount, number(&line["amount"]));
        }
    }
    amount
}

/// Units and amount per tier of what lies between two quantities.
fn tier_parts(charge: &Charge, from: Decimal, to: Decimal) -> Vec<(Decimal, Decimal)> {
    let lines = |quantity: Decimal| {
        if quantity.is_zero() { Vec::new() } else { charge.breakdown(&charge.event(quantity)) }
    };
    let (start, end) = (lines(from), lines(to));
    let parts = end.iter().map(|line| {
        let before = start.iter().find(|before| before.tier == line.tier);
        let of = |value: fn(&TierLine) -> i128| value(line) - before.map_or(0, value);
        (charge.priced(of(|line| line.quantity)), Decimal::new(of(|line| line.amount), 18))
    });
    parts.filter(|(units, _)| !units.is_zero()).collect()
}

fn expected_parts(lines: &[Value]) -> Vec<(Decimal, Decimal)> {
    let usage = lines.iter().filter(|line| line["kind"] != "minimum_spend");
    let gross = |line: &Value| line["gross"].as_str().or(line["amount"].as_str()).unwrap().parse().unwrap();
    usage.map(|line| (number(&line["units"]), gross(line))).collect()
}

/// A fee is due once in the period, with the first usage.
pub(super) fn flat(vector: &Value) {
    let charge = Parameters::new(vector).charge("flat", 0);
    let usage = charge.event(Decimal::ONE);
    let before = if vector["input"]["line"] == "single" { Decimal::ZERO } else { charge.amount(&usage) };
    let got = difference(charge.amount(&usage), before);
    assert_eq!(got, number(&vector["expected"]["amount"]), "{}", id(vector));
}

/// With a package price of 1 the amount is the number of packages.
pub(super) fn package_count(vector: &Value) {
    let rate = json!({
        "model": "package",
        "package_size": vector["params"]["package_size"],
        "package_price": "1",
    });
    let charge = Charge::new(rate, 0).unwrap();
    let got = charge.amount_of(number(&vector["input"]["units"]));
    assert_eq!(got, number(&vector["expected"]["packages"]), "{}", id(vector));
}

pub(super) fn graduated_range(vector: &Value) {
    let (input, expected) = (&vector["input"], &vector["expected"]);
    let charge = Parameters::new(vector).charge("graduated", 0);
    let (from, to) = (number(&input["from_units_exclusive"]), number(&input["to_units_inclusive"]));
    assert_eq!(charge.amount_of(to), number(&expected["total_amount_at_to"]), "{}", id(vector));
    let range = difference(charge.amount_of(to), amount_before(&charge, from));
    assert_eq!(range, number(&expected["amount_of_range"]), "{}", id(vector));
    let parts = tier_parts(&charge, from, to).into_iter().map(|(units, _)| units);
    let expected = expected["tier_parts"].as_array().unwrap().iter().map(|part| number(&part["units"]));
    assert!(parts.eq(expected), "{}", id(vector));
}

pub(super) fn volume_tier_choice(vector: &Value) {
    let charge = Parameters::new(vector).charge("volume", 0);
    let lines = charge.breakdown(&charge.event(number(&vector["input"]["units"])));
    let tiers: Vec<String> = lines.iter().map(|line| line.tier.to_string()).collect();
    assert_eq!(tiers, [vector["expected"]["tier"].as_str().unwrap()], "{}", id(vector));
}

pub(super) fn converted_per_unit(vector: &Value) {
    let charge = Parameters::new(vector).charge("per_unit", 0);
    let usage = charge.event(number(&vector["input"]["units"]));
    assert_eq!(charge.amount(&usage), number(&vector["expected"]["amount"]), "{}", id(vector));
    let billed = charge.priced(charge.breakdown(&usage)[0].quantity);
    assert_eq!(billed, number(&vector["expected"]["billed_units"]), "{}", id(vector));
}

/// With a unit price of 1 the amount is the number of units.
pub(super) fn unit_conversion(vector: &Value) {
    let units = number(&vector["input"]["units"]);
    let expected = &vector["expected"];
    let charge = |convert: Value| {
        let rate = json!({ "model": "per_unit", "unit_price": "1", "convert": convert });
        Charge::new(rate, units.scale())
    };
    let convert = conversion_of(&vector["params"]);
    if expected["error"].is_string() {
        let faults = charge(convert).err().unwrap();
        assert_eq!(faults[0].field, "convert.factor", "{}", id(vector));
        return;
    }
    let billed = charge(convert.clone()).unwrap().amount_of(units);
    assert_eq!(billed, number(&expected["billed_units"]), "{}", id(vector));
    if let Some(converted) = expected["converted_units"].as_str() {
        let exact = json!({ "operation": convert["operation"], "factor": convert["factor"] });
        let got = charge(exact).unwrap().amount_of(units);
        assert_eq!(got, converted.parse().unwrap(), "{}", id(vector));
    }
}

pub(super) fn block_tiers(vector: &Value) {
    let (params, expected) = (&vector["params"], &vector["expected"]);
    let top = params["policy"] == "TOP_TIER";
    let charge = block_tiers_charge(&params["tiers"], top);
    let usage = charge.event(number(&vector["input"]["units"]));
    let mut amount = charge.amount(&usage);
    if let Some(exact) = expected["gross_exact"].as_str() {
        assert_eq!(amount, exact.parse().unwrap(), "{}", id(vector));
    }
    if let Some(places) = params["amount_scale"].as_str() {
        let posted = number_or_zero(&vector["input"]["previously_billed"]);
        amount = difference(rounded(amount, places.parse().unwrap()), posted);
    }
    assert_eq!(amount, number(&expected["amount"]), "{}", id(vector));
    if let Some(blocks) = expected["blocks"].as_str() {
        let line = charge.breakdown(&usage)[0];
        assert_eq!(charge.priced(line.quantity), blocks.parse().unwrap(), "{}", id(vector));
        assert_eq!(line.tier.to_string(), expected["tier"].as_str().unwrap(), "{}", id(vector));
    }
}

/// Several units are several meters; their amounts add up.
pub(super) fn block_tiers_of_units(vector: &Value) {
    let (mut total, expected) = (Decimal::ZERO, &vector["expected"]);
    for (unit, tiers) in vector["params"]["units"].as_object().unwrap() {
        let charge = block_tiers_charge(tiers, false);
        let usage = charge.event(number(&vector["input"]["units"][unit]));
        let amount = charge.amount(&usage);
        total = sum(total, amount);
        if let Some(of_unit) = expected["per_unit_type"][unit].as_str() {
            assert_eq!(amount, of_unit.parse().unwrap(), "{} {unit}", id(vector));
        }
        if let Some(of_tiers) = expected["per_tier"][unit].as_array() {
            let amounts = charge.breakdown(&usage).into_iter().map(|line| Decimal::new(line.amount, 18));
            assert!(amounts.eq(of_tiers.iter().map(number)), "{} {unit}", id(vector));
        }
    }
    assert_eq!(total, number(&expected["amount"]), "{}", id(vector));
}
