//! The decider's state as bytes: a run that is interrupted goes on as if it had not been.

use std::sync::Arc;

use aggregate::accrual_round::Revisions;
use aggregate::accruals::AccrualPlan;
use aggregate::decider::Decider;
use aggregate::error::AggregateError;
use proptest::prelude::*;
use rating::Overflow;
use rating::catalog::Catalog;
use serde_json::json;

use crate::decided::{Deciding, KEY, catalog, decide};
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

/// The accruals of a round in full, and their revisions.
fn made(decider: &Decider) -> Result<(Vec<String>, Revisions), Overflow> {
    let plan = AccrualPlan::new(decider.totals());
    let mut groups = Vec::new();
    let revisions = plan.accrue::<Overflow>(decider.totals(), 0..plan.len(), |made| {
        for group in made.iter().filter(|group| !group.days().is_empty()) {
            groups.push(format!("{} {} {} {:?}", group.line, group.meter, group.period_start, group.days()));
        }
        Ok(())
    })?;
    Ok((groups, revisions))
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
    fn rate_2_a_decider_goes_on_from_its_state_as_if_nothing_had_been(
        book in any::<u64>(),
        seeds in prop::collection::vec(any::<u64>(), 0..90),
        order in any::<u64>(),
    ) {
        let catalog = random_catalog(book);
        let random = &mut Random::new(order);
        let lines = lines(0, &seeds);
        let mut undisturbed = Deciding::new(&catalog);
        let mut interrupted = Deciding::new(&catalog);
        for lines in lines.chunks(1 + random.below(30)) {
            if random.once_in(2) {
                let bytes = encode(&interrupted.decider);
                let restored = restore(&bytes, &catalog).unwrap();
                prop_assert!(encode(&restored) == bytes, "the state changes on its way");
                interrupted = Deciding::from(&catalog, restored);
            }
            let (decided, expected) = (interrupted.decide(lines), undisturbed.decide(lines));
            prop_assert_eq!(decided.rated, expected.rated);
            prop_assert_eq!(decided.unrated, expected.unrated);
            prop_assert_eq!(decided.dimensions, expected.dimensions);
            prop_assert!(encode(&interrupted.decider) == encode(&undisturbed.decider), "the states differ");
            if random.once_in(2) {
                let (made, expected) = (made(&interrupted.decider), made(&undisturbed.decider));
                prop_assert_eq!(made.as_ref().map(|made| &made.0), expected.as_ref().map(|made| &made.0));
                // Without accruals the round goes on.
                if let (Ok((_, made)), Ok((_, expected))) = (made, expected) {
                    interrupted.decider.accrued(&made);
                    undisturbed.decider.accrued(&expected);
                }
            }
        }
    }

    #[test]
    fn rate_2_positions_in_the_catalog_do_not_matter(
        book in any::<u64>(),
        seeds in prop::collection::vec(any::<u64>(), 1..60),
    ) {
        let random = &mut Random::new(book);
        let (mut documents, first) = random_documents(random);
        reorder(&mut documents, random);
        let second = catalog(&documents).unwrap();
        let mut deciding = Deciding::new(&first);
        deciding.decide(&lines(0, &seeds));
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
        let mut deciding = Deciding::new(&catalog);
        deciding.decide(&lines);
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
            deciding.decide(&lines);
            // Totals may be too large by then.
            let _ = deciding.decider.encode_state(&mut Vec::new());
        }
    }
}

#[test]
fn a_state_of_another_version_is_refused_by_its_version() {
    let catalog = random_catalog(1);
    let mut bytes = encode(&Deciding::new(&catalog).decider);
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
    let mut deciding = Deciding::new(&named("line"));
    deciding.decide(&[line_of(&event)]);
    let error = restore(&encode(&deciding.decider), &named("other")).unwrap_err().to_string();
    assert!(error.contains("the contract line line is gone, and has usage"), "{error}");
    let (_, totals) = decide(&named("line"), &[line_of(&event)]);
    assert_eq!(totals.len(), 1);
}
