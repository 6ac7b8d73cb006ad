//! Differences of `f` sum to `f` of the total.

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use rating::price::Usage;
use schemas::decimal::Decimal;
use schemas::money::Amount;
use serde_json::{Value, json};

use super::random::{
    Case, dynamic, events, flat, graduated, matrix, package, per_unit, share, stairstep, values, volume,
};
use super::reference;
use crate::charge::Charge;

/// The charge of a case; of the region eu where the rate looks at regions.
pub(crate) fn charge(case: &Case) -> Charge {
    if case.rate["model"] != "matrix" {
        return Charge::new(case.rate.clone(), case.decimals).unwrap();
    }
    let meter = json!({
        "id": "usage",
        "event_type": "usage",
        "aggregation": "sum",
        "value": "$.value",
        "decimals": case.decimals,
        "dimensions": { "region": "$.region" },
    });
    Charge::of_meter(case.rate.clone(), meter, &[("region", "eu")]).unwrap()
}

/// Quantities, from the counts of the meter.
pub(crate) fn quantity(counts: i64, decimals: u8) -> Decimal {
    Decimal::new(i128::from(counts), decimals)
}

/// Usage with more usage.
pub(crate) fn plus(usage: &Usage, more: &Usage) -> Usage {
    Usage {
        quantity: usage.quantity + more.quantity,
        events: usage.events + more.events,
        event_amounts: usage.event_amounts.checked_add(more.event_amounts).unwrap(),
    }
}

/// Events in an order, cut into batches of these sizes.
#[derive(Clone, Debug)]
struct Arrival {
    events: Vec<i64>,
    batches: Vec<usize>,
}

/// Two arrivals of the same events.
fn arrivals(events: impl Strategy<Value = Vec<i64>>) -> impl Strategy<Value = [Arrival; 2]> {
    events.prop_flat_map(|events| {
        let order = || Just(events.clone()).prop_shuffle();
        let batches = || prop::collection::vec(1usize..8, 40);
        let arrival = |(events, batches)| Arrival { events, batches };
        let one = (order(), batches()).prop_map(arrival);
        let other = (order(), Just(vec![1; 40])).prop_map(arrival);
        [one.boxed(), other.boxed()]
    })
}

/// Adds up `f(after) - f(before)` over the batches of an arrival; also the usage at the end.
fn sum_of_differences(charge: &Charge, arrival: &Arrival, decimals: u8) -> (Amount, Usage) {
    let f = |usage: &Usage| charge.price.amount(charge.terms, usage).unwrap();
    let (mut usage, mut total) = (Usage::default(), Amount::ZERO);
    let mut rest = arrival.events.as_slice();
    for size in &arrival.batches {
        let (batch, after) = rest.split_at(rest.len().min(*size));
        rest = after;
        let before = f(&usage);
        for counts in batch {
            usage = plus(&usage, &charge.event(quantity(*counts, decimals)));
        }
        total = total.checked_add(f(&usage).checked_sub(before).unwrap()).unwrap();
    }
    (total, usage)
}

fn check(case: &Case, arrivals: &[Arrival; 2]) -> TestCaseResult {
    let charge = charge(case);
    let events: Vec<Decimal> =
        arrivals[0].events.iter().map(|counts| quantity(*counts, case.decimals)).collect();
    let expected = reference::amount(&case.rate, &events);
    for arrival in arrivals {
        let (total, usage) = sum_of_differences(&charge, arrival, case.decimals);
        prop_assert_eq!(total.to_decimal(), charge.amount(&usage));
        prop_assert_eq!(total.to_decimal(), expected);
    }
    check_breakdown(&charge, &events)
}

/// The lines of a breakdown sum to the amount, and each is its quantity times its price and its fee.
fn check_breakdown(charge: &Charge, events: &[Decimal]) -> TestCaseResult {
    let usage = events.iter().fold(Usage::default(), |usage, event| plus(&usage, &charge.event(*event)));
    let lines = charge.breakdown(&usage);
    let amount: i128 = lines.iter().map(|line| line.amount).sum();
    prop_assert_eq!(Decimal::new(amount, 18), charge.amount(&usage));
    for line in lines {
        if let Some(unit_price) = line.unit_price {
            let usage = charge.priced(line.quantity).checked_mul(Decimal::new(unit_price, 18)).unwrap();
            let flat = Decimal::new(line.flat_amount, 18);
            prop_assert_eq!(Decimal::new(line.amount, 18), usage.checked_add(flat).unwrap());
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn rate_1_flat(case in flat(), arrivals in arrivals(events())) {
        check(&case, &arrivals)?;
    }

    #[test]
    fn rate_1_per_unit(case in per_unit(), arrivals in arrivals(events())) {
        check(&case, &arrivals)?;
    }

    #[test]
    fn rate_1_graduated(case in graduated(), arrivals in arrivals(events())) {
        check(&case, &arrivals)?;
    }

    #[test]
    fn rate_1_volume(case in volume(), arrivals in arrivals(events())) {
        check(&case, &arrivals)?;
    }

    #[test]
    fn rate_1_stairstep(case in stairstep(), arrivals in arrivals(events())) {
        check(&case, &arrivals)?;
    }

    #[test]
    fn rate_1_package(case in package(), arrivals in arrivals(events())) {
        check(&case, &arrivals)?;
    }

    #[test]
    fn rate_1_percentage(case in share("percentage", false), arrivals in arrivals(events())) {
        check(&case, &arrivals)?;
    }

    #[test]
    fn rate_1_percentage_with_bounds(case in share("percentage", true), arrivals in arrivals(values())) {
        check(&case, &arrivals)?;
    }

    #[test]
    fn rate_1_basis_points(case in share("basis_points", false), arrivals in arrivals(events())) {
        check(&case, &arrivals)?;
    }

    #[test]
    fn rate_1_basis_points_with_bounds(case in share("basis_points", true), arrivals in arrivals(values())) {
        check(&case, &arrivals)?;
    }

    #[test]
    fn rate_1_matrix(case in matrix(), arrivals in arrivals(events())) {
        check(&case, &arrivals)?;
    }

    #[test]
    fn rate_1_dynamic(case in dynamic(), arrivals in arrivals(events())) {
        check(&case, &arrivals)?;
    }
}

/// Voids and corrections are differences too: there and back is nothing.
#[test]
fn rate_1_a_charge_that_returns_to_no_events_costs_nothing() {
    let rate: Value = json!({ "model": "volume", "flat_amount_at_zero": true, "tiers": [
        { "up_to": "100", "unit_price": "10", "flat_amount": "7" },
        { "up_to": null, "unit_price": "9" }
    ] });
    let charge = Charge::new(rate, 0).unwrap();
    let f = |usage: &Usage| charge.price.amount(charge.terms, usage).unwrap();
    let path = [Decimal::from(99), Decimal::from(101)].map(|quantity| charge.event(quantity));
    let [start, end] = [Usage::default(), Usage::default()].map(|usage| f(&usage));
    assert_eq!((start, end), (Amount::ZERO, Amount::ZERO));
    let there = f(&path[0]).checked_sub(start).unwrap();
    let over = f(&path[1]).checked_sub(f(&path[0])).unwrap();
    let back = end.checked_sub(f(&path[1])).unwrap();
    assert_eq!(there.checked_add(over).unwrap().checked_add(back).unwrap(), Amount::ZERO);
}
