//! What the shape of a model promises between and at the bounds of its tiers.

use proptest::prelude::*;
use schemas::decimal::Decimal;
use serde_json::{Value, json};

use super::random::{Case, bare_tiers, graduated, package, stairstep, volume};
use super::reference;
use super::telescoping::{charge, quantity};
use crate::charge::{Charge, decimal, difference};

fn bounds(rate: &Value) -> Vec<Decimal> {
    rate["tiers"].as_array().unwrap().iter().filter_map(|tier| tier["up_to"].as_str()).map(decimal).collect()
}

/// The smallest quantity above zero.
fn count(decimals: u8) -> Decimal {
    Decimal::new(1, decimals)
}

fn plus(left: Decimal, right: Decimal) -> Decimal {
    left.checked_add(right).unwrap()
}

/// A case whose model sees the quantity as it is metered.
fn without_quantity(mut case: Case) -> Case {
    for before_the_model in ["convert", "free_quantity"] {
        case.rate.as_object_mut().unwrap().remove(before_the_model);
    }
    case
}

proptest! {
    #[test]
    fn rate_1_at_and_around_every_bound(
        case in prop_oneof![graduated(), volume(), stairstep()].prop_map(without_quantity)
    ) {
        let charge = charge(&case);
        let count = count(case.decimals);
        for bound in bounds(&case.rate) {
            for quantity in [difference(bound, count), bound, plus(bound, count)] {
                let expected = reference::amount(&case.rate, &[quantity]);
                prop_assert_eq!(charge.amount_of(quantity), expected, "f({})", quantity);
            }
        }
    }

    #[test]
    fn rate_1_graduated_without_flat_amounts_has_no_step_at_a_bound(case in bare_tiers("graduated")) {
        let charge = charge(&case);
        let prices: Vec<Decimal> =
            case.rate["tiers"].as_array().unwrap().iter().map(|tier| decimal(tier["unit_price"].as_str().unwrap())).collect();
        let count = count(case.decimals);
        for (position, bound) in bounds(&case.rate).into_iter().enumerate() {
            let f = |quantity: Decimal| charge.amount_of(quantity);
            let up_to = difference(f(bound), f(difference(bound, count)));
            let beyond = difference(f(plus(bound, count)), f(bound));
            prop_assert_eq!(up_to, prices[position].checked_mul(count).unwrap());
            prop_assert_eq!(beyond, prices[position + 1].checked_mul(count).unwrap());
        }
    }

    #[test]
    fn rate_1_graduated_never_falls(
        case in bare_tiers("graduated"), one in 0i64..3_000_000, other in 0i64..3_000_000
    ) {
        let charge = charge(&case);
        let f = |counts: i64| charge.amount_of(quantity(counts, case.decimals));
        prop_assert!(f(one.min(other)) <= f(one.max(other)));
    }

    #[test]
    fn rate_1_volume_and_graduated_with_one_tier_are_per_unit(
        price in 0i128..1_000_000_000, counts in -1_000_000i64..1_000_000
    ) {
        let price = Decimal::new(price, 6);
        let one_tier = |model: &str| json!({ "model": model, "tiers": [{ "up_to": null, "unit_price": price }] });
        let f = |rate: Value| Charge::new(rate, 2).unwrap().amount_of(quantity(counts, 2));
        let per_unit = f(json!({ "model": "per_unit", "unit_price": price }));
        prop_assert_eq!(f(one_tier("volume")), per_unit);
        if counts >= 0 {
            prop_assert_eq!(f(one_tier("graduated")), per_unit);
        }
    }

    #[test]
    fn rate_1_stairstep_is_constant_within_a_tier(
        case in stairstep().prop_map(without_quantity), share in 0i128..=1_000
    ) {
        let charge = charge(&case);
        let count = count(case.decimals);
        let mut lower = Decimal::ZERO;
        for upper in bounds(&case.rate) {
            let first = plus(lower, count);
            let width = difference(upper, first).to_scaled(case.decimals).unwrap();
            let between = plus(first, Decimal::new(width * share / 1_000, case.decimals));
            let amounts = [first, between, upper].map(|quantity| charge.amount_of(quantity));
            prop_assert_eq!(amounts[0], amounts[1]);
            prop_assert_eq!(amounts[1], amounts[2]);
            lower = upper;
        }
    }

    #[test]
    fn rate_1_packages_cover_the_quantity_and_no_more(
        case in package().prop_map(without_quantity), counts in 0i64..1_000_000
    ) {
        let mut case = case;
        case.rate["package_price"] = "1".into();
        let size = decimal(case.rate["package_size"].as_str().unwrap());
        let quantity = quantity(counts, case.decimals);
        let covered = charge(&case).amount_of(quantity).checked_mul(size).unwrap();
        prop_assert!(covered >= quantity && difference(covered, size) < quantity);
    }

    #[test]
    fn rate_1_a_free_quantity_moves_the_price_to_the_right(
        case in bare_tiers("graduated"), free in 0i64..100_000, counts in 0i64..1_000_000
    ) {
        let mut with = case.clone();
        with.rate["free_quantity"] = quantity(free, case.decimals).to_string().into();
        let beyond = quantity((counts - free).max(0), case.decimals);
        let got = charge(&with).amount_of(quantity(counts, case.decimals));
        prop_assert_eq!(got, charge(&case).amount_of(beyond));
    }

    #[test]
    fn rate_1_an_exact_conversion_is_a_price_of_another_unit(
        thousandths in 0i64..1_000_000_000, counts in -1_000_000i64..1_000_000
    ) {
        let rate = |price: Decimal| json!({ "model": "per_unit", "unit_price": price });
        let mut converted = rate(quantity(thousandths, 3));
        converted["convert"] = json!({ "operation": "divide", "factor": "1000" });
        let f = |rate: Value| Charge::new(rate, 2).unwrap().amount_of(quantity(counts, 2));
        prop_assert_eq!(f(converted), f(rate(quantity(thousandths, 6))));
    }
}
