//! Texts chosen to collide must cost no more than any others.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::decided::{catalog, decide};

const TEXTS: usize = 20_000;

/// One of the constants of the text hash. If they change, the texts below collide no more, and the test
/// tells nothing.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

fn fold(left: u64, right: u64) -> u64 {
    let product = (u128::from(left) * u128::from(right)).to_le_bytes();
    let half = |at: usize| u64::from_le_bytes(product[at..at + 8].try_into().unwrap());
    half(0) ^ half(8)
}

/// Texts of 24 bytes that all have one hash under the seed 0: the last eight erase what the first sixteen
/// made of it.
fn colliding() -> impl Iterator<Item = String> {
    (0u64..).filter_map(|count| {
        let head = format!("{count:016}");
        let half = |at: usize| u64::from_le_bytes(head.as_bytes()[at..at + 8].try_into().unwrap());
        let state = fold(half(0), half(8) ^ MIX).rotate_left(29);
        let tail = String::from_utf8(state.to_le_bytes().to_vec()).ok()?;
        Some(head + &tail)
    })
}

fn time(texts: impl Iterator<Item = String>) -> Duration {
    let catalog = catalog(&json!({
        "legal_entities": [{ "id": "entity" }],
        "meters": [{ "id": "m", "event_type": "used", "aggregation": "count", "dimensions": { "d": "$.d" } }],
        "price_books": [{ "id": "book", "currencies": ["USD"], "versions": [
            { "version": 1, "rates": [{ "meter": "m", "model": "per_unit", "unit_price": "1" }] },
        ] }],
        "contracts": [{ "id": "c", "accounts": ["a"], "legal_entity": "entity", "currency": "USD",
            "lines": [{ "id": "l", "price_book": "book" }] }],
    }))
    .unwrap();
    let line = |(id, text): (usize, String)| {
        json!({
            "specversion": "1.0", "id": id.to_string(), "source": "s", "type": "used", "subject": "a",
            "time": "2026-10-31T10:00:00Z", "data": { "d": text },
        })
        .to_string()
    };
    let lines: Vec<String> = texts.take(TEXTS).enumerate().map(line).collect();
    let start = Instant::now();
    let (decided, _) = decide(&catalog, &lines);
    assert_eq!((decided.identities, decided.rejected.len()), (TEXTS, 0));
    start.elapsed()
}

#[test]
fn texts_made_to_collide_take_no_longer_than_others() {
    let others = time((0..).map(|count| format!("{count:024}")));
    let colliding = time(colliding());
    assert!(colliding < others * 4 + Duration::from_millis(500), "{colliding:?}, not {others:?}");
}
