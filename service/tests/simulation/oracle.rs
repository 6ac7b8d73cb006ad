//! What must be so at the end, worked out from what was sent and what clients were told.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::client::Client;
use crate::reader::Reader;

/// Digits behind the point of an exact amount.
const DIGITS: u32 = 18;

const UNIT: i128 = 10_i128.pow(DIGITS);

/// Tokens at the first price, and the prices of the catalog.
const FIRST_TIER: i128 = 1_000;
const FIRST_PRICE: i128 = UNIT / 100;
const SECOND_PRICE: i128 = UNIT / 250;
const CALL_PRICE: i128 = UNIT * 35 / 10_000;

/// Holds what readers have against what was sent.
pub(crate) fn check(clients: &[Client], rated: &Reader, accruals: &Reader) -> Result<(), String> {
    let sent: BTreeMap<String, Option<u64>> = clients.iter().flat_map(Client::events).collect();
    let mut acknowledged: BTreeMap<&str, u32> = BTreeMap::new();
    for (id, count) in clients.iter().flat_map(|client| &client.acknowledged) {
        *acknowledged.entry(id).or_default() += count;
    }
    if let Some((id, count)) = acknowledged.iter().find(|(_, count)| **count > 1) {
        return Err(format!("{id} was accepted {count} times"));
    }
    let mut ids = BTreeSet::new();
    for (position, event) in rated.events.iter().enumerate() {
        let id = event["data"]["event_id"].as_str().unwrap_or_default();
        if !sent.contains_key(id) || !ids.insert(id) {
            return Err(format!("{id} was read twice, or is of nobody"));
        }
        in_order(event, position)?;
    }
    if let Some(id) = sent.keys().find(|id| !ids.contains(id.as_str())) {
        return Err(format!("{id} was acknowledged, and is not there"));
    }
    let mut accrual_ids = BTreeSet::new();
    for (position, event) in accruals.events.iter().enumerate() {
        in_order(event, position)?;
        if !accrual_ids.insert(event["id"].as_str()) {
            return Err(format!("accrual {} was read twice", event["id"]));
        }
    }
    let calls = sent.values().filter(|tokens| tokens.is_none()).count() as i128;
    let tokens: i128 = sent.values().flatten().map(|tokens| i128::from(*tokens)).sum();
    let of_tokens = tokens.min(FIRST_TIER) * FIRST_PRICE + (tokens - FIRST_TIER).max(0) * SECOND_PRICE;
    for (meter, expected) in [("calls", calls * CALL_PRICE), ("tokens", of_tokens)] {
        for (reader, column) in [(rated, "amount"), (accruals, "delta_amount_exact")] {
            let sum = sum(reader, meter, column)?;
            if sum != expected {
                return Err(format!("{column} of {meter} is {sum}, and {expected} was used"));
            }
        }
    }
    Ok(())
}

/// Numbers are those of the ledger, without a gap.
fn in_order(event: &Value, position: usize) -> Result<(), String> {
    let expected = format!("{:020}", position + 1);
    if event["sequence"] == expected {
        Ok(())
    } else {
        Err(format!("{} is number {expected}", event["sequence"]))
    }
}

fn sum(reader: &Reader, meter: &str, column: &str) -> Result<i128, String> {
    let of_meter = reader.events.iter().filter(|event| event["data"]["meter_id"] == meter);
    of_meter.map(|event| exact(event["data"][column].as_str().ok_or("no amount")?)).sum()
}

/// An amount as a whole number of its last digit.
fn exact(text: &str) -> Result<i128, String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{whole}{fraction:0<18}");
    digits.parse().map_err(|_| format!("{text} is no amount"))
}
