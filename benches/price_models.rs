//! What an event costs, `f(after) - f(before)`, for every price model.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use rating::price::{ActiveDays, Price, Terms, Usage, compile_rate};
use schemas::id::DimensionName;
use schemas::money::Amount;
use schemas::price_book::RoundingMode;
use serde_json::{Value, json};

/// Events of a charge.
const EVENTS: u64 = 10_000;

fn rates() -> Vec<(&'static str, Value)> {
    let tiers = json!([
        {"up_to": "1000", "unit_price": "0.03"},
        {"up_to": "20000", "unit_price": "0.02", "flat_amount": "5"},
        {"up_to": null, "unit_price": "0.01"}
    ]);
    let steps = json!([{"up_to": "1000", "flat_amount": "10"}, {"up_to": null, "flat_amount": "50"}]);
    vec![
        ("flat", json!({"model": "flat", "amount": "49"})),
        ("per_unit", json!({"model": "per_unit", "unit_price": "0.0003"})),
        (
            "per_unit/free_quantity",
            json!({"model": "per_unit", "unit_price": "0.0003", "free_quantity": "500"}),
        ),
        (
            "per_unit/convert",
            json!({"model": "per_unit", "unit_price": "2",
                   "convert": {"operation": "divide", "factor": "60", "rounding": "ceiling"}}),
        ),
        ("graduated", json!({"model": "graduated", "tiers": tiers})),
        ("volume", json!({"model": "volume", "tiers": tiers})),
        ("stairstep", json!({"model": "stairstep", "tiers": steps})),
        ("package", json!({"model": "package", "package_size": "100", "package_price": "1.5"})),
        (
            "percentage",
            json!({"model": "percentage", "percent": "2.9", "per_event_fee": "0.3", "per_event_minimum": "0.5"}),
        ),
        ("basis_points", json!({"model": "basis_points", "basis_points": "50", "per_event_maximum": "0.7"})),
        ("matrix", json!({"model": "matrix", "matrix": [{"when": {"region": "eu"}, "unit_price": "0.11"}]})),
        ("dynamic", json!({"model": "dynamic"})),
    ]
}

pub(crate) fn bench(criterion: &mut Criterion) {
    let meter = json!({"id": "usage", "event_type": "usage", "aggregation": "sum", "value": "$.value",
                       "decimals": 3, "dimensions": {"region": "$.region"},
                       "event_price": {"property": "$.price", "is": "amount", "currency": "USD"}});
    let meter = serde_json::from_value(meter).unwrap();
    let region: DimensionName = "region".parse().unwrap();
    let mut group = criterion.benchmark_group("price");
    group.throughput(Throughput::Elements(EVENTS));
    for (name, mut rate) in rates() {
        rate["meter"] = "usage".into();
        let rate = serde_json::from_value(rate).unwrap();
        let price = compile_rate(&rate, &meter, std::slice::from_ref(&region)).unwrap();
        let currency = "USD".parse().unwrap();
        let days = ActiveDays { active: 31, period: 31, currency, rounding: RoundingMode::HalfEven };
        let terms = price.terms(&[Some("eu")], &days).unwrap();
        group.bench_function(format!("model={name}/events=10k"), |bencher| {
            bencher.iter(|| {
                let (sum, total) = rate_events(&price, terms);
                // RATE-1
                assert_eq!(sum, total);
            });
        });
    }
    group.finish();
}

/// Rates the events of a charge one by one; the sum of their amounts, and the amount of their total.
fn rate_events(price: &Price, terms: Terms) -> (Amount, Amount) {
    let mut usage = Usage::default();
    let (mut before, mut sum) = (Amount::ZERO, Amount::ZERO);
    for event in 0..EVENTS {
        let quantity = i128::from(event * 7_919 % 5_000);
        let event_amount = price.event_amount(quantity, quantity).unwrap();
        usage = Usage {
            quantity: usage.quantity + quantity,
            events: usage.events + 1,
            event_amounts: usage.event_amounts.checked_add(event_amount).unwrap(),
        };
        let after = price.amount(terms, black_box(&usage)).unwrap();
        sum = sum.checked_add(after.checked_sub(before).unwrap()).unwrap();
        before = after;
    }
    (sum, price.amount(terms, &usage).unwrap())
}
