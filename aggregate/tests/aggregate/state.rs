//! The decider's state as bytes: a run that is interrupted goes on as if it had not been.

use std::sync::Arc;

use aggregate::decider::Decider;
use aggregate::error::AggregateError;
use proptest::prelude::*;
use rating::catalog::Catalog;
use serde_json::json;

use crate::decided::{Deciding, KEY, catalog, decide, try_accruals};
use crate::random::Random;
use crate::random_catalog::{random_catalog, random_documents};
use crate::random_edits::reorder;
use crate::running_totals::{cases, event, line_of};

pub(crate) fn encode(decider: &Decider) -> Vec<u8> {
    let mut bytes = Vec::new();
    decider.encode_state(&mut bytes).unwrap();
    bytes
}

fn restore(bytes: &[u8], catalog: &Arc<Catalog>) -> Result<Decider, AggregateError> {
    Decider::restore(bytes, Arc::clone(catalog), None, &KEY, 1)
}

/// Lines of events from seeds; some cannot be priced, some are refused.
fn lines(from: usize, seeds: &[u64]) -> Vec<String> {
    let line = |(position, seed): (usize, &u64)| {
        let mut event = event(position, *seed);
        match seed % 29 {
            0 => event.value = 9_999_999_999_999_999_999_999,
            1 => return "{}".to_owned(),
            _ => {}
        }
        line_of(&event)
    };
    (from..).zip(seeds).map(line).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(96), max_shrink_time: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_decider_goes_on_from_its_state_as_if_nothing_had_been(
        book in any::<u64>(),
        first in prop::collection::vec(any::<u64>(), 0..60),
        second in prop::collection::vec(any::<u64>(), 0..40),
    ) {
        let catalog = random_catalog(book);
        let (first, second) = (lines(0, &first), lines(first.len(), &second));
        let mut undisturbed = Deciding::new(&catalog, 2);
        undisturbed.feed(0, &first);
        let bytes = encode(&undisturbed.decider);
        undisturbed.decided = Default::default();
        undisturbed.feed(1, &second);

        let restored = restore(&bytes, &catalog).unwrap();
        prop_assert!(encode(&restored) == bytes, "the state changes on its way");
        let mut restored = Deciding::from(&catalog, restored);
        restored.feed(0, &second);
        prop_assert_eq!(&restored.decided.rated, &undisturbed.decided.rated);
        prop_assert_eq!(&restored.decided.unrated, &undisturbed.decided.unrated);
        prop_assert_eq!(&restored.decided.dimensions, &undisturbed.decided.dimensions);
        prop_assert!(encode(&restored.decider) == encode(&undisturbed.decider), "the states differ in the end");
        let (restored, undisturbed) = (restored.decider.into_totals(), undisturbed.decider.into_totals());
        prop_assert_eq!(try_accruals(&restored), try_accruals(&undisturbed));
    }

    #[test]
    fn positions_in_the_catalog_do_not_matter(
        book in any::<u64>(),
        seeds in prop::collection::vec(any::<u64>(), 1..60),
    ) {
        let random = &mut Random::new(book);
        let (mut documents, first) = random_documents(random);
        reorder(&mut documents, random);
        let second = catalog(&documents).unwrap();
        let mut deciding = Deciding::new(&first, 1);
        deciding.feed(0, &lines(0, &seeds));
        let bytes = encode(&deciding.decider);
        prop_assert!(encode(&restore(&bytes, &second).unwrap()) == bytes);
        let compared = Decider::restore(&bytes, second, Some(&first), &KEY, 1);
        prop_assert!(encode(&compared.unwrap()) == bytes);
    }

    #[test]
    fn damaged_bytes_are_an_error_or_another_state_but_never_a_panic(
        book in any::<u64>(),
        seeds in prop::collection::vec(any::<u64>(), 1..30),
        damages in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 1..8),
    ) {
        let catalog = random_catalog(book);
        let lines = lines(0, &seeds);
        let mut deciding = Deciding::new(&catalog, 1);
        deciding.feed(0, &lines);
        let bytes = encode(&deciding.decider);
        for (place, ..) in &damages {
            prop_assert!(restore(&bytes[..place.index(bytes.len())], &catalog).is_err());
        }
        let mut damaged = bytes;
        for (place, byte, kind) in damages {
            let place = place.index(damaged.len());
            match kind {
                0 => damaged[place] = byte,
                1 => damaged[place] ^= 1 << (byte % 8),
                2 => damaged.insert(place, byte),
                _ => { damaged.remove(place); }
            }
        }
        if let Ok(decider) = restore(&damaged, &catalog) {
            let mut deciding = Deciding::from(&catalog, decider);
            deciding.feed(0, &lines);
            encode(&deciding.decider);
        }
    }
}

#[test]
fn a_state_of_another_version_is_refused_by_its_version() {
    let catalog = random_catalog(1);
    let mut bytes = encode(&Deciding::new(&catalog, 1).decider);
    bytes[0] = 77;
    let error = restore(&bytes, &catalog).unwrap_err();
    assert!(matches!(error, AggregateError::StateVersion { found: 77, known: 1 }), "{error}");
    bytes[0] = 1;
    bytes.push(0);
    let error = restore(&bytes, &catalog).unwrap_err();
    assert_eq!(error.to_string(), "the state is damaged: there is more than a state");
}

#[test]
fn a_state_needs_the_names_of_its_charges() {
    let named = |line: &str| {
        catalog(&json!({
            "legal_entities": [{ "id": "entity" }],
            "meters": [{ "id": "m", "event_type": "used", "aggregation": "count" }],
            "price_books": [{ "id": "book", "currencies": ["EUR"], "versions": [
                { "version": 1, "rates": [{ "meter": "m", "model": "per_unit", "unit_price": "1" }] },
            ] }],
            "contracts": [{ "id": "c", "accounts": ["acme"], "legal_entity": "entity", "currency": "EUR",
                "lines": [{ "id": line, "price_book": "book" }] }],
        }))
        .unwrap()
    };
    let mut event = event(0, 5);
    event.account = Some(0);
    let mut deciding = Deciding::new(&named("line"), 1);
    deciding.feed(0, &[line_of(&event)]);
    let error = restore(&encode(&deciding.decider), &named("other")).unwrap_err().to_string();
    assert!(error.contains("the contract line line is gone, and has usage"), "{error}");
    let (_, totals) = decide(&named("line"), &[line_of(&event)]);
    assert_eq!(totals.len(), 1);
}
