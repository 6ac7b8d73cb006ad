//! Random catalogs: every aggregation, price versions that take over within a period, contract versions
//! and lines that end.

use std::sync::Arc;

use rating::catalog::Catalog;
use serde_json::{Value, json};

use crate::decided::catalog;
use crate::random::Random;

/// Meters, all of which count every event.
pub(crate) const METERS: [&str; 9] =
    ["count", "sum", "max", "min", "latest", "unique", "grouped", "paid", "signed"];

fn meter(name: &str) -> Value {
    let aggregation = match name {
        "grouped" | "paid" | "signed" => "sum",
        other => other,
    };
    let mut meter = json!({ "id": name, "event_type": "used", "aggregation": aggregation, "decimals": 2 });
    if name != "count" {
        meter["value"] = json!(if name == "unique" { "$.user" } else { "$.v" });
    }
    match name {
        "grouped" => meter["dimensions"] = json!({ "region": "$.region", "tier": "$.tier" }),
        "paid" => meter["event_price"] = json!({ "property": "$.price", "is": "amount", "currency": "EUR" }),
        "signed" => {
            meter["value"] = json!("$.signed");
            meter["allow_negative"] = json!(true);
        }
        _ => {}
    }
    meter
}

fn decimal(random: &mut Random, limit: usize) -> String {
    format!("{}.{:02}", random.below(limit), random.below(100))
}

fn tiers(random: &mut Random, unit_prices: bool, flats: bool) -> Value {
    let mut bounds: Vec<usize> = (0..random.below(4)).map(|_| 1 + random.below(60)).collect();
    bounds.sort_unstable();
    bounds.dedup();
    let mut bounds: Vec<Value> = bounds.into_iter().map(|bound| json!(bound.to_string())).collect();
    bounds.push(Value::Null);
    let mut tier = |bound| {
        let mut tier = json!({ "up_to": bound });
        if unit_prices {
            tier["unit_price"] = json!(decimal(random, 5));
        }
        if flats {
            tier["flat_amount"] = json!(decimal(random, 20));
        }
        tier
    };
    bounds.into_iter().map(&mut tier).collect()
}

pub(crate) fn rate(random: &mut Random, meter: &str) -> Value {
    let mut rate = match (meter, random.below(9)) {
        ("paid", _) => json!({ "model": "dynamic", "multiplier": "1.5" }),
        ("grouped", 0..4) => json!({
            "model": "matrix",
            "matrix": [
                { "when": { "region": "eu" }, "unit_price": decimal(random, 5) },
                { "when": { "region": "us", "tier": "gold" }, "unit_price": decimal(random, 5) },
            ],
            "default_unit_price": decimal(random, 5),
        }),
        ("sum" | "grouped", 4) => json!({
            "model": "percentage",
            "percent": "2.9",
            "per_event_fee": "0.30",
            "per_event_minimum": "0.50",
            "per_event_maximum": "3",
        }),
        (_, 0) => json!({ "model": "flat", "amount": decimal(random, 500), "prorate": random.once_in(2) }),
        (_, 1 | 2) => {
            let flats = random.once_in(2);
            json!({ "model": "graduated", "tiers": tiers(random, true, flats) })
        }
        (_, 3 | 4) => {
            let flats = random.once_in(2);
            json!({ "model": "volume", "tiers": tiers(random, true, flats) })
        }
        (_, 5) => json!({ "model": "stairstep", "tiers": tiers(random, false, true) }),
        (_, 6) => json!({ "model": "package", "package_size": "7", "package_price": decimal(random, 9) }),
        _ => json!({ "model": "per_unit", "unit_price": decimal(random, 9) }),
    };
    let model = rate["model"].as_str().unwrap().to_owned();
    if matches!(&*model, "per_unit" | "graduated" | "volume") && random.once_in(3) {
        rate["free_quantity"] = json!(decimal(random, 20));
    }
    if meter == "grouped" && model != "matrix" {
        let groups = [json!(["region"]), json!(["tier"]), json!(["region", "tier"]), json!([])];
        rate["group_by"] = groups[random.below(4)].clone();
    }
    rate["meter"] = json!(meter);
    rate
}

/// An instant in October or November 2026, on the second.
pub(crate) fn instant(random: &mut Random, from_day: usize, to_day: usize) -> String {
    let day = from_day + random.below(to_day - from_day);
    let (month, day) = if day > 31 { (11, day - 31) } else { (10, day) };
    if random.once_in(3) {
        return format!("2026-{month:02}-{day:02}");
    }
    format!("2026-{month:02}-{day:02}T{:02}:{:02}:00Z", random.below(24), random.below(60))
}

pub(crate) fn version(random: &mut Random, number: usize, from: Option<String>) -> Value {
    let mut rates = Vec::new();
    for meter in METERS {
        // A meter may have no rate in some version.
        if number == 1 || !random.once_in(12) {
            rates.push(rate(random, meter));
        }
    }
    let mut version =
        json!({ "version": number, "tier_reset_on_price_change": random.once_in(3), "rates": rates });
    if let Some(from) = from {
        version["effective_from"] = json!(from);
    }
    version
}

fn documents(random: &mut Random) -> Value {
    let mut versions = vec![version(random, 1, None)];
    if !random.once_in(4) {
        let from = instant(random, 3, 28);
        versions.push(version(random, 2, Some(from)));
        if random.once_in(2) {
            let from = instant(random, 29, 50);
            versions.push(version(random, 3, Some(from)));
        }
    }
    let mut first = json!({
        "id": "contract",
        "version": 1,
        "accounts": ["acme", "globex"],
        "legal_entity": "entity",
        "currency": "EUR",
        "billing_anchor": format!("2026-01-{:02}", 1 + random.below(31)),
        "lines": [{ "id": "line", "price_book": "book" }],
    });
    let mut contracts = Vec::new();
    let happens = random.below(4);
    if happens < 2 {
        let change = instant(random, 5, 40);
        let mut second = first.clone();
        first["effective_to"] = json!(change);
        second["version"] = json!(2);
        second["effective_from"] = json!(change);
        if random.once_in(3) {
            // The line's usage of some time has no price.
            second["effective_from"] = json!("2026-11-12");
        }
        contracts.push(second);
    } else if happens == 2 {
        first["lines"][0]["effective_to"] = json!(instant(random, 20, 45));
    }
    contracts.push(first);
    json!({
        "legal_entities": [{
            "id": "entity",
            "timezone": *random.pick(&["UTC", "Europe/Berlin", "America/Los_Angeles", "Asia/Kolkata"]),
            "rounding": *random.pick(&["half_away_from_zero", "half_even", "ceiling", "floor"]),
        }],
        "meters": METERS.map(meter),
        "price_books": [{ "id": "book", "currencies": ["EUR"], "versions": versions }],
        "contracts": contracts,
    })
}

/// A catalog that compiles, from a seed: some combinations of rates and meters do not.
pub(crate) fn random_catalog(seed: u64) -> Arc<Catalog> {
    random_documents(&mut Random::new(seed)).1
}

/// The documents of a catalog that compiles, and the catalog.
pub(crate) fn random_documents(random: &mut Random) -> (Value, Arc<Catalog>) {
    let mut problem = String::new();
    for _ in 0..200 {
        let documents = documents(random);
        match catalog(&documents) {
            Ok(catalog) => return (documents, catalog),
            Err(first) => problem = first,
        }
    }
    panic!("none of many catalogs compiles: {problem}")
}
