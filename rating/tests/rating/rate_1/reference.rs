//! The price of a total, worked out from the rate as it is written, the way a person would.

use schemas::decimal::Decimal;
use serde_json::Value;

use crate::charge::{decimal, difference, rounded_with, sum};

fn number(value: &Value) -> Decimal {
    decimal(value.as_str().unwrap())
}

fn times(left: Decimal, right: Decimal) -> Decimal {
    left.checked_mul(right).unwrap()
}

fn number_or(value: &Value, otherwise: Decimal) -> Decimal {
    value.as_str().map_or(otherwise, decimal)
}

/// The amount of events with these quantities, which are also the amounts they state.
pub(crate) fn amount(rate: &Value, events: &[Decimal]) -> Decimal {
    let total = events.iter().copied().fold(Decimal::ZERO, sum);
    let quantity = priced_quantity(rate, total);
    let is_negative = quantity.is_negative();
    match rate["model"].as_str().unwrap() {
        "flat" => number(&rate["amount"]),
        "per_unit" => times(quantity, number(&rate["unit_price"])),
        "package" => packages(quantity, rate),
        // Charges of these tests are of the region eu.
        "matrix" => times(quantity, number(&rate["matrix"][0]["unit_price"])),
        "dynamic" => events.iter().fold(Decimal::ZERO, |amount, stated| {
            sum(amount, times(*stated, number_or(&rate["multiplier"], Decimal::ONE)))
        }),
        "percentage" | "basis_points" => {
            events.iter().fold(Decimal::ZERO, |amount, value| sum(amount, share(rate, *value)))
        }
        "graduated" | "stairstep" if is_negative => Decimal::ZERO,
        "graduated" => graduated(rate, quantity),
        "stairstep" => holding(rate, quantity).map_or(Decimal::ZERO, |tier| number(&tier["flat_amount"])),
        "volume" => match holding(rate, quantity) {
            Some(tier) if !is_negative => sum(
                times(quantity, number(&tier["unit_price"])),
                number_or(&tier["flat_amount"], Decimal::ZERO),
            ),
            _ => times(quantity, number(&rate["tiers"][0]["unit_price"])),
        },
        other => panic!("there is no model {other}"),
    }
}

/// After the conversion and without the free quantity.
fn priced_quantity(rate: &Value, total: Decimal) -> Decimal {
    let mut quantity = total;
    let convert = &rate["convert"];
    if convert["operation"] == "multiply" {
        quantity = times(quantity, number(&convert["factor"]));
    } else if convert["operation"] == "divide" {
        let places = u8::try_from(convert["decimals"].as_u64().unwrap()).unwrap();
        let mode = serde_json::from_value(convert["rounding"].clone()).unwrap();
        quantity = quotient(quantity, number(&convert["factor"]), places, mode);
    }
    match rate["free_quantity"].as_str() {
        Some(free) => difference(quantity, decimal(free)).max(Decimal::ZERO),
        None => quantity,
    }
}

/// A quotient, found by trying: the multiple of the last decimal place that the mode asks for.
fn quotient(
    dividend: Decimal,
    divisor: Decimal,
    places: u8,
    mode: schemas::price_book::RoundingMode,
) -> Decimal {
    // The divisors are 60 and those whose quotient has few decimal places; 18 tell which way 60 goes.
    let scale = 10i128.pow(18);
    let numerator = dividend.to_scaled(6).unwrap() * scale;
    let denominator = divisor.to_scaled(6).unwrap();
    let truncated = numerator.div_euclid(denominator);
    // What is cut off never reaches a half or a whole by itself: it only has to be seen.
    let sticky = i128::from(numerator.rem_euclid(denominator) != 0);
    rounded_with(Decimal::new(truncated * 10 + sticky, 19), places, mode)
}

fn packages(quantity: Decimal, rate: &Value) -> Decimal {
    let (size, price) = (number(&rate["package_size"]), number(&rate["package_price"]));
    let scale = size.scale().max(quantity.scale());
    let (quantity, size) = (quantity.to_scaled(scale).unwrap(), size.to_scaled(scale).unwrap());
    let mut count = quantity / size;
    if count * size < quantity {
        count += 1;
    }
    times(Decimal::new(count, 0), price)
}

fn share(rate: &Value, value: Decimal) -> Decimal {
    let factor = match rate["percent"].as_str() {
        Some(percent) => times(decimal(percent), decimal("0.01")),
        None => times(number(&rate["basis_points"]), decimal("0.0001")),
    };
    let mut amount = sum(times(value, factor), number_or(&rate["per_event_fee"], Decimal::ZERO));
    amount = amount.max(number_or(&rate["per_event_minimum"], amount));
    amount.min(number_or(&rate["per_event_maximum"], amount))
}

fn graduated(rate: &Value, quantity: Decimal) -> Decimal {
    let (mut amount, mut lower) = (Decimal::ZERO, Decimal::ZERO);
    for (position, tier) in rate["tiers"].as_array().unwrap().iter().enumerate() {
        let is_entered =
            quantity > lower || (position == 0 && quantity.is_zero() && rate["flat_amount_at_zero"] == true);
        if !is_entered {
            break;
        }
        let upper = number_or(&tier["up_to"], quantity).min(quantity);
        amount = sum(amount, times(difference(upper, lower), number(&tier["unit_price"])));
        amount = sum(amount, number_or(&tier["flat_amount"], Decimal::ZERO));
        lower = number_or(&tier["up_to"], quantity);
    }
    amount
}

fn holding(rate: &Value, quantity: Decimal) -> Option<&Value> {
    if quantity.is_zero() && rate["flat_amount_at_zero"] != true {
        return None;
    }
    let tiers = rate["tiers"].as_array().unwrap();
    tiers.iter().find(|tier| tier["up_to"].as_str().is_none_or(|up_to| quantity <= decimal(up_to)))
}
