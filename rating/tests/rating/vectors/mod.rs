//! Published vectors: what other systems' public tests and real bills say usage costs.
//!
//! Every vector either runs or is in [`NOT_APPLICABLE`] with its reason. Systems that have minimum and
//! maximum spend or invoice discounts state the amount before them too; that is the figure compared,
//! because those belong to the account's bill and not to the price of a charge.

mod cumulative;
mod not_applicable;
mod single;
mod to_rate;

use schemas::decimal::Decimal;
use serde_json::Value;

use crate::charge::decimal;
use not_applicable::NOT_APPLICABLE;

const VECTORS: &str = include_str!("../../vectors/rating_vectors.jsonl");

fn vectors() -> Vec<Value> {
    VECTORS.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn id(vector: &Value) -> &str {
    vector["id"].as_str().unwrap()
}

fn is_applicable(vector: &Value) -> bool {
    !NOT_APPLICABLE.iter().any(|(ids, _)| ids.contains(&id(vector)))
}

/// A number, which vectors write as text.
fn number(value: &Value) -> Decimal {
    decimal(value.as_str().unwrap())
}

fn number_or_zero(value: &Value) -> Decimal {
    value.as_str().map_or(Decimal::ZERO, decimal)
}

/// Compares a vector, by its model.
fn run(vector: &Value) {
    match vector["model"].as_str().unwrap() {
        "per_unit" | "package" | "dynamic_multiplier" | "graduated" | "volume" => single::line(vector),
        "flat" => single::flat(vector),
        "package_count" => single::package_count(vector),
        "graduated_range" => single::graduated_range(vector),
        "volume_tier_choice" => single::volume_tier_choice(vector),
        "converted_per_unit" => single::converted_per_unit(vector),
        "unit_conversion" => single::unit_conversion(vector),
        "usage_discount" => cumulative::usage_discount(vector),
        "per_unit_sequence" => cumulative::per_unit_sequence(vector),
        "cumulative_delta" => cumulative::phases(vector),
        "late_event_period_preserving" => cumulative::late_events(vector),
        "block_tiers_all" | "block_tiers_top" => single::block_tiers(vector),
        "block_tiers_all_multi_unit" => single::block_tiers_of_units(vector),
        other => panic!("{}: no way to run the model {other}", id(vector)),
    }
}

#[test]
fn every_applicable_vector_gives_the_published_figure() {
    let mut failed = Vec::new();
    let vectors = vectors();
    for vector in vectors.iter().filter(|vector| is_applicable(vector)) {
        if std::panic::catch_unwind(|| run(vector)).is_err() {
            failed.push(id(vector));
        }
    }
    assert!(failed.is_empty(), "vectors that give another figure: {failed:?}");
}

#[test]
fn every_vector_runs_or_has_a_reason_not_to() {
    let vectors = vectors();
    let mut ids: Vec<&str> = vectors.iter().map(id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), vectors.len(), "an id is there twice");
    let excepted: Vec<&str> = NOT_APPLICABLE.iter().flat_map(|(ids, _)| ids.iter().copied()).collect();
    for id in &excepted {
        assert!(ids.contains(id), "{id} is excepted but is no vector");
        assert_eq!(excepted.iter().filter(|other| *other == id).count(), 1, "{id} is excepted twice");
    }
    let run = vectors.iter().filter(|vector| is_applicable(vector)).count();
    assert_eq!((run, excepted.len(), vectors.len()), (138, 12, 150));
}
