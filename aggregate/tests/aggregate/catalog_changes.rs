//! State under another catalog: what is accepted comes to what all events come to under the new catalog,
//! and all else is refused.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use aggregate::error::AggregateError;
use proptest::prelude::*;
use rating::catalog::Catalog;
use serde_json::{Value, json};

use crate::decided::{Accruals, Day, Deciding, KEY, accruals, catalog, try_accruals};
use crate::from_scratch::{Event, expect_of};
use crate::random::Random;
use crate::random_catalog::random_documents;
use crate::random_edits::edit;
use crate::running_totals::{cases, event, line_of};
use crate::state::encode;

/// What became of a random change of a random catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Outcome {
    Accepted,
    Refused,
    NoCatalog,
}

fn account_at(catalog: &Catalog, account: u32) -> Option<u32> {
    let id = ["acme", "globex"][account as usize];
    catalog.accounts().zip(0..).find(|(account, _)| account.as_str() == id).map(|(_, position)| position)
}

/// Accruals by the ids of their contract line and meter.
fn by_names(catalog: &Catalog, accruals: Accruals) -> BTreeMap<(String, String, i32), BTreeMap<i32, Day>> {
    let named = |((line, meter, period), days)| {
        let line = catalog.lines()[line as usize].id.to_string();
        ((line, catalog.meters()[usize::from(meter)].id.to_string(), period), days)
    };
    accruals.into_iter().map(named).collect()
}

/// Changes the catalog between some events and others.
fn change(seed: u64, first: &[u64], second: &[u64]) -> Outcome {
    let random = &mut Random::new(seed);
    let (mut documents, mut before) = random_documents(random);
    for _ in 0..=random.below(3) {
        edit(&mut documents, random);
    }
    let Ok(mut now) = catalog(&documents) else { return Outcome::NoCatalog };
    if random.once_in(2) {
        // Additions become removals.
        std::mem::swap(&mut before, &mut now);
    }
    let first: Vec<Event> = (0..).zip(first).map(|(position, seed)| event(position, *seed)).collect();
    let second: Vec<Event> =
        (first.len()..).zip(second).map(|(position, seed)| event(position, *seed)).collect();
    let lines = |events: &[Event]| events.iter().map(line_of).collect::<Vec<_>>();

    let mut deciding = Deciding::new(&before);
    // Some of it is accrued, the rest is in the round in which the catalog changes.
    let accrued = random.below(first.len() + 1);
    let mut rated: HashSet<(String, String)> = HashSet::new();
    let mut standing = BTreeMap::new();
    let meter_id = |meter: u16| before.meters()[usize::from(meter)].id.to_string();
    for (round, events) in [&first[..accrued], &first[accrued..]].into_iter().enumerate() {
        let decided = deciding.decide(&lines(events));
        rated.extend(decided.dimensions.into_keys().map(|(id, meter)| (id, meter_id(meter))));
        if round == 0 {
            let (made, revisions) = try_accruals(deciding.decider.totals()).unwrap();
            deciding.decider.accrued(&revisions);
            standing = by_names(&before, made);
        }
    }
    let bytes = encode(&deciding.decider);
    match deciding.decider.change_catalog(Arc::clone(&now), &KEY, 1) {
        Ok(()) => {}
        Err(AggregateError::CatalogConflict(conflicts)) => {
            assert!(!conflicts.is_empty() && conflicts.to_string().len() > 20);
            assert!(encode(&deciding.decider) == bytes, "a refused catalog changes the state");
            return Outcome::Refused;
        }
        Err(other) => panic!("{other}"),
    }
    let mut deciding = Deciding::from(&now, deciding.decider);
    let decided = deciding.decide(&lines(&second));
    assert_eq!(decided.conflicts, 0);

    // What was rated then, and all that came since, under the new catalog.
    let later: HashSet<String> = second.iter().map(|event| event.id.clone()).collect();
    let mut events = [first, second].concat();
    for event in &mut events {
        event.account = event.account.and_then(|account| account_at(&now, account));
    }
    let expected = expect_of(&now, &events, |event, meter| {
        let meter = &now.meters()[usize::from(meter)];
        let passes = meter.filter.is_empty() || event.region.as_deref() == Some("eu");
        passes && (later.contains(&event.id) || rated.contains(&(event.id.clone(), meter.id.to_string())))
    });
    let unrated = expected.unrated.iter().filter(|(id, ..)| later.contains(id)).count();
    assert_eq!(decided.unrated.len(), unrated);
    assert_eq!(expected.unrated.len(), unrated, "what was rated has no price any more");
    let totals = deciding.decider.into_totals();
    for (group, days) in by_names(&now, accruals(&totals)) {
        standing.entry(group).or_default().extend(days);
    }
    assert_eq!(standing, by_names(&now, expected.accruals));
    Outcome::Accepted
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(200), max_shrink_time: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rate_1_under_a_catalog_that_is_accepted_all_usage_comes_to_what_it_would_have_from_the_beginning(
        seed in any::<u64>(),
        first in prop::collection::vec(any::<u64>(), 0..30),
        second in prop::collection::vec(any::<u64>(), 0..30),
    ) {
        change(seed, &first, &second);
    }
}

#[test]
fn random_changes_are_accepted_and_refused() {
    let random = &mut Random::new(7);
    let mut outcomes = std::collections::HashMap::new();
    for seed in 0..150 {
        let mut seeds = || (0..12).map(|_| random.below(usize::MAX) as u64).collect::<Vec<u64>>();
        *outcomes.entry(change(seed, &seeds(), &seeds())).or_insert(0) += 1;
    }
    assert!(outcomes[&Outcome::Accepted] > 20 && outcomes[&Outcome::Refused] > 20, "{outcomes:?}");
}

fn documents() -> Value {
    json!({
        "legal_entities": [{ "id": "entity", "timezone": "Europe/Berlin" }],
        "meters": [{ "id": "m", "event_type": "used", "aggregation": "sum", "value": "$.v", "decimals": 2,
            "dimensions": { "region": "$.region" } }],
        "price_books": [{ "id": "book", "currencies": ["EUR"], "versions": [
            { "version": 1, "rates": [{ "meter": "m", "model": "per_unit", "unit_price": "2" }] },
        ] }],
        "contracts": [{ "id": "c", "version": 1, "accounts": ["acme"], "legal_entity": "entity",
            "currency": "EUR", "lines": [{ "id": "l", "price_book": "book" }] }],
    })
}

fn edited(mut documents: Value, edit: impl FnOnce(&mut Value)) -> Value {
    edit(&mut documents);
    documents
}

/// What is said of a change of the documents after usage on 10 and 20 October 2026.
fn said(before: &Value, after: &Value) -> Option<String> {
    let event = |(position, day): (usize, u32)| {
        json!({ "specversion": "1.0", "id": position.to_string(), "source": "s", "type": "used", "subject": "acme",
            "time": format!("2026-10-{day}T10:00:00Z"), "data": { "v": 5 } })
        .to_string()
    };
    let lines: Vec<String> = [20, 10].into_iter().enumerate().map(event).collect();
    let mut deciding = Deciding::new(&catalog(before).unwrap());
    deciding.decide(&lines);
    let now = catalog(after).unwrap();
    deciding.decider.change_catalog(now, &KEY, 1).err().map(|error| error.to_string())
}

const REFUSED: &str = "the catalog would change what is rated already; nothing is changed:\n  ";

#[test]
fn what_changes_rated_usage_is_refused_and_named() {
    let usage = "(account acme, contract line l, from 2026-10-10T10:00:00Z to 2026-10-20T10:00:00Z)";
    let second = |from: &str| {
        json!({ "version": 2, "effective_from": from, "rates": [
            { "meter": "m", "model": "per_unit", "unit_price": "3" },
        ] })
    };
    let prorated = edited(documents(), |documents| {
        documents["price_books"][0]["versions"][0]["rates"][0] =
            json!({ "meter": "m", "model": "flat", "amount": "31", "prorate": true });
    });
    let cases = [
        (
            documents(),
            edited(documents(), |d| {
                d["price_books"][0]["versions"][0]["rates"][0]["unit_price"] = json!("2.5");
            }),
            format!(
                "the price of the meter m in version 1 of the price book book differs from the one that \
                 rated usage {usage}; write it into a new version with a later effective_from"
            ),
        ),
        (
            documents(),
            edited(documents(), |d| {
                d["price_books"][0]["versions"].as_array_mut().unwrap().push(second("2026-10-15"));
            }),
            format!(
                "usage of the meter m under the contract line l is now priced by version 2 of the price book \
                 book, not by version 1 of book {usage}; let the change take effect after this usage"
            ),
        ),
        (
            documents(),
            edited(documents(), |d| d["meters"][0]["value"] = json!("$.w")),
            format!(
                "the value of the meter m differs from what usage was metered by {usage}; give the changed \
                 meter an id of its own"
            ),
        ),
        (
            documents(),
            edited(documents(), |d| d["legal_entities"][0]["timezone"] = json!("Europe/Paris")),
            format!(
                "the time zone of its legal entity of the contract line l differs from what usage was rated \
                 by {usage}; end the line and begin one with an id of its own"
            ),
        ),
        (
            documents(),
            edited(documents(), |d| d["contracts"][0]["accounts"] = json!(["globex"])),
            format!(
                "the account acme is gone, and has usage {usage}; keep it in the catalog; end its contract instead"
            ),
        ),
        (
            documents(),
            edited(documents(), |d| d["contracts"][0]["effective_to"] = json!("2026-10-15")),
            format!(
                "usage of the meter m under the contract line l has no price any more (no_contract_line) \
                 {usage}; let the change take effect after this usage"
            ),
        ),
        (
            documents(),
            edited(documents(), |d| d["contracts"][0]["version"] = json!(2)),
            format!(
                "usage of the meter m under the contract line l is now under version 2 of its contract \
                 {usage}; let the change take effect after this usage"
            ),
        ),
        (
            prorated.clone(),
            edited(prorated, |d| d["contracts"][0]["effective_to"] = json!("2026-10-25")),
            format!(
                "the contract line l is in force on other days of a billing period whose fee for the meter m is \
                 rated {usage}; let it begin or end with another billing period"
            ),
        ),
    ];
    for (before, after, expected) in cases {
        assert_eq!(said(&before, &after), Some(format!("{REFUSED}{expected}")));
    }
}

#[test]
fn what_is_new_or_takes_effect_later_is_accepted() {
    let cases = [
        (
            "a later version",
            edited(documents(), |d| {
                d["price_books"][0]["versions"].as_array_mut().unwrap().push(json!(
                    { "version": 2, "effective_from": "2026-10-21", "rates": [
                        { "meter": "m", "model": "per_unit", "unit_price": "3" } ] }
                ));
            }),
        ),
        ("an earlier end", edited(documents(), |d| d["contracts"][0]["effective_to"] = json!("2026-10-21"))),
        (
            "another dimension",
            edited(documents(), |d| d["meters"][0]["dimensions"]["area"] = json!("$.area")),
        ),
        (
            "another meter",
            edited(documents(), |d| {
                d["meters"].as_array_mut().unwrap().insert(
                    0,
                    json!(
                        { "id": "a", "event_type": "other", "aggregation": "count" }
                    ),
                );
            }),
        ),
        (
            "another contract",
            edited(documents(), |d| {
                let mut contract = d["contracts"][0].clone();
                contract["id"] = json!("a");
                contract["accounts"] = json!(["aaa"]);
                contract["lines"][0]["id"] = json!("a");
                d["contracts"].as_array_mut().unwrap().insert(0, contract);
            }),
        ),
        ("for people", edited(documents(), |d| d["meters"][0]["description"] = json!("what it is"))),
    ];
    for (name, after) in cases {
        assert_eq!(said(&documents(), &after), None, "{name}");
    }
}
