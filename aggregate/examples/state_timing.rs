//! How long a million charges take to become bytes and to come back.
//!
//! `cargo run --release -p aggregate --example state_timing`; the argument is the number of accounts, each
//! with four charges of two days.

#![expect(clippy::unwrap_used, reason = "a measurement fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use aggregate::decider::{DecidedBatch, Decider};
use ingest::decoder::Decoder;
use ingest::event_batch::EventBatch;
use ingest::input::Input;
use ingest::interner::Interner;
use ingest::keyed_hash::HashKey;
use ingest::metering::MeteringPlan;
use ingest::reader::Reader;
use rating::catalog::{Catalog, Documents, Located, Origin, compile};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const METERS: usize = 4;

fn main() {
    let accounts = std::env::args().nth(1).map_or(250_000, |accounts| accounts.parse().unwrap());
    let (before, now) = (catalog(accounts, false), catalog(accounts, true));
    let key = HashKey::fixed(5);
    let decider = decide(&before, &key, accounts);
    let charges = accounts * METERS;
    for _ in 0..3 {
        let mut bytes = Vec::new();
        let start = Instant::now();
        decider.encode_state(&mut bytes).unwrap();
        let per_charge = bytes.len() / charges;
        println!("{charges} charges: {per_charge} bytes each, encoded in {:?}", start.elapsed());
        let start = Instant::now();
        let restored = Decider::restore(&bytes, Arc::clone(&before), None, &key, 1).unwrap();
        println!("  decoded in {:?}", start.elapsed());
        drop(restored);
        let start = Instant::now();
        let restored = Decider::restore(&bytes, Arc::clone(&now), Some(&before), &key, 1).unwrap();
        println!("  decoded under another catalog in {:?}", start.elapsed());
        let mut again = Vec::new();
        restored.encode_state(&mut again).unwrap();
        assert!(again == bytes, "the state changed on its way");
    }
}

/// Every account has a contract of its own; a later catalog has all of them in another order.
fn catalog(accounts: usize, is_later: bool) -> Arc<Catalog> {
    let meter = |meter: usize| json!({ "id": format!("meter-{meter}"), "event_type": "used", "aggregation": "sum", "value": "$.v", "decimals": 2 });
    let rate = |meter: usize| {
        json!({ "meter": format!("meter-{meter}"), "model": "graduated", "tiers": [
            { "up_to": "100", "unit_price": "0.07" }, { "up_to": null, "unit_price": "0.05" } ] })
    };
    let contract = |account: usize| {
        json!({ "id": format!("contract-{account}"), "accounts": [format!("account-{account}")],
            "legal_entity": "entity", "currency": "EUR",
            "lines": [{ "id": format!("line-{account}"), "price_book": "book" }] })
    };
    let rates: Vec<Value> = (0..METERS).map(rate).collect();
    let numbers: Vec<usize> = if is_later { (0..accounts).rev().collect() } else { (0..accounts).collect() };
    let documents = Documents {
        legal_entities: vec![read(json!({ "id": "entity", "timezone": "Europe/Berlin" }))],
        meters: (0..METERS).map(|number| read(meter(number))).collect(),
        price_books: vec![read(
            json!({ "id": "book", "currencies": ["EUR"], "versions": [{ "version": 1, "rates": rates }] }),
        )],
        contracts: numbers.into_iter().map(|number| read(contract(number))).collect(),
        ..Documents::default()
    };
    Arc::new(compile(&documents).unwrap())
}

fn read<T: DeserializeOwned>(document: Value) -> Located<T> {
    let origin = Origin { file: "example".into(), line: 0 };
    Located { document: serde_json::from_value(document).unwrap(), origin }
}

/// Decides two events of every account, on two days, the accounts in no order.
fn decide(catalog: &Arc<Catalog>, key: &HashKey, accounts: usize) -> Decider {
    let mut lines = String::new();
    for day in 1..3 {
        for number in 0..accounts {
            let account = (number * 7_919 + day) % accounts;
            let (hour, minute, second) = (number % 24, number % 59, number % 53);
            let line = format!(
                "{{\"specversion\":\"1.0\",\"id\":\"{day}-{number}\",\"source\":\"s\",\"type\":\"used\",\
                 \"subject\":\"account-{account}\",\"time\":\"2026-10-0{day}T{hour:02}:{minute:02}:{second:02}.123456Z\",\
                 \"data\":{{\"v\":{}.25}}}}\n",
                number % 1_000
            );
            lines.push_str(&line);
        }
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), lines).unwrap();
    let plan = Arc::new(MeteringPlan::new(catalog.meters()));
    let input = Input::file(file.path().to_owned(), None);
    let mut reader =
        Reader::new(vec![(input, None)], Vec::new(), Arc::clone(&plan), Arc::new(AtomicU64::new(0)));
    let mut numbers = Interner::new(3);
    for account in catalog.accounts() {
        numbers.intern(account.as_str().as_bytes());
    }
    let mut decoder = Decoder::new(0, plan, Arc::new(numbers), *key);
    let mut decider = Decider::new(Arc::clone(catalog), key, 1);
    let mut columns = DecidedBatch::default();
    let mut batch = EventBatch::new(0);
    while let Some(records) = reader.next(&mut batch).unwrap() {
        decoder.decode(&mut batch, &records);
        decider.decide(batch, &mut columns).unwrap();
        batch = columns.recycle();
    }
    decider
}
