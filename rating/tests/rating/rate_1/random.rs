//! Random rates that are valid, and random events.

use proptest::prelude::*;
use schemas::decimal::Decimal;
use serde_json::{Value, json};

/// A rate, and the decimal places of the quantity it prices.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) rate: Value,
    pub(crate) decimals: u8,
}

/// A number of zero or more: up to a million, with up to six decimal places.
fn price() -> impl Strategy<Value = String> {
    (0i64..1_000_000_000, 0u8..=6)
        .prop_map(|(mantissa, scale)| Decimal::new(i128::from(mantissa / 1_000), scale).to_string())
}

/// A quantity above zero as the meter counts it: up to 2,000 units.
fn bound(decimals: u8) -> impl Strategy<Value = i64> {
    1..2_000 * 10i64.pow(u32::from(decimals))
}

fn quantity_text(counts: i64, decimals: u8) -> String {
    Decimal::new(i128::from(counts), decimals).to_string()
}

/// Quantities of events, below zero too.
pub(crate) fn events() -> impl Strategy<Value = Vec<i64>> {
    prop::collection::vec(prop_oneof![4 => 0i64..60_000, 1 => -60_000i64..0, 1 => Just(0)], 1..40)
}

/// Quantities of events, none below zero.
pub(crate) fn values() -> impl Strategy<Value = Vec<i64>> {
    prop::collection::vec(0i64..60_000, 1..40)
}

/// A rate with what comes before the model: perhaps a conversion, perhaps a free quantity.
fn with_quantity(rate: impl Strategy<Value = Case>) -> impl Strategy<Value = Case> {
    let convert = prop::option::of((0usize..5, prop::sample::select(vec!["1000", "60", "1.5", "0.25"])));
    (rate, convert, prop::option::of(0i64..300)).prop_map(|(mut case, convert, free)| {
        if let Some((rounding, factor)) = convert {
            let names = ["ceiling", "floor", "half_even", "half_away_from_zero"];
            let mut convert = json!({ "operation": "divide", "factor": factor });
            match names.get(rounding) {
                Some(name) => {
                    convert["rounding"] = (*name).into();
                    convert["decimals"] = case.decimals.into();
                }
                // Exact, and the quantity keeps its decimal places.
                None => convert = json!({ "operation": "multiply", "factor": "3" }),
            }
            case.rate["convert"] = convert;
        }
        if let Some(free) = free {
            case.rate["free_quantity"] = quantity_text(free, case.decimals).into();
        }
        case
    })
}

pub(crate) fn per_unit() -> impl Strategy<Value = Case> {
    let rate = (price(), 0u8..=3).prop_map(|(price, decimals)| Case {
        rate: json!({ "model": "per_unit", "unit_price": price }),
        decimals,
    });
    with_quantity(rate)
}

pub(crate) fn flat() -> impl Strategy<Value = Case> {
    let rate = |price| Case { rate: json!({ "model": "flat", "amount": price }), decimals: 0 };
    price().prop_map(rate)
}

pub(crate) fn package() -> impl Strategy<Value = Case> {
    let rate = (0u8..=3).prop_flat_map(|decimals| (bound(decimals), price(), Just(decimals)));
    with_quantity(rate.prop_map(|(size, price, decimals)| {
        let size = quantity_text(size, decimals);
        let rate = json!({ "model": "package", "package_size": size, "package_price": price });
        Case { rate, decimals }
    }))
}

/// Tiers without flat amounts and with nothing before them.
pub(crate) fn bare_tiers(model: &'static str) -> impl Strategy<Value = Case> {
    tiers(model, false)
}

pub(crate) fn graduated() -> impl Strategy<Value = Case> {
    with_quantity(tiers("graduated", true))
}

pub(crate) fn volume() -> impl Strategy<Value = Case> {
    with_quantity(tiers("volume", true))
}

pub(crate) fn stairstep() -> impl Strategy<Value = Case> {
    with_quantity(tiers("stairstep", true))
}

fn tiers(model: &'static str, have_flat_amounts: bool) -> impl Strategy<Value = Case> {
    let parts = (0u8..=3).prop_flat_map(|decimals| {
        let bounds = prop::collection::btree_set(bound(decimals), 0..5);
        (bounds, prop::collection::vec((price(), price()), 5), any::<bool>(), Just(decimals))
    });
    parts.prop_map(move |(bounds, prices, at_zero, decimals)| {
        let bounds = bounds.into_iter().map(|bound| json!(quantity_text(bound, decimals)));
        let tier = |(up_to, (unit_price, flat_amount)): (Value, (String, String))| {
            let mut tier = json!({ "up_to": up_to });
            if model != "stairstep" {
                tier["unit_price"] = unit_price.into();
            }
            if model == "stairstep" || have_flat_amounts {
                tier["flat_amount"] = flat_amount.into();
            }
            tier
        };
        let tiers: Vec<Value> = bounds.chain([Value::Null]).zip(prices).map(tier).collect();
        Case { rate: json!({ "model": model, "tiers": tiers, "flat_amount_at_zero": at_zero }), decimals }
    })
}

/// `percentage` or `basis_points`, with a fee, and bounds per event where asked for.
pub(crate) fn share(model: &'static str, has_bounds: bool) -> impl Strategy<Value = Case> {
    let field = if model == "percentage" { "percent" } else { "basis_points" };
    let parts = (0i128..100_000, price(), 0i64..500, 0i64..5_000, 0u8..=3, 0..4);
    parts.prop_map(move |(share, fee, minimum, more, decimals, which)| {
        let mut rate = json!({ "model": model, field: Decimal::new(share, 3), "per_event_fee": fee });
        if has_bounds {
            if which != 1 {
                rate["per_event_minimum"] = quantity_text(minimum, 2).into();
            }
            if which != 2 {
                rate["per_event_maximum"] = quantity_text(minimum + more, 2).into();
            }
        }
        Case { rate, decimals }
    })
}

pub(crate) fn matrix() -> impl Strategy<Value = Case> {
    (price(), price(), 0u8..=3).prop_map(|(one, other, decimals)| {
        let rate = json!({ "model": "matrix", "matrix": [
            { "when": { "region": "eu" }, "unit_price": one },
            { "when": { "region": "us" }, "unit_price": other },
        ] });
        Case { rate, decimals }
    })
}

pub(crate) fn dynamic() -> impl Strategy<Value = Case> {
    price().prop_map(|multiplier| Case {
        rate: json!({ "model": "dynamic", "multiplier": multiplier }),
        decimals: 3,
    })
}
