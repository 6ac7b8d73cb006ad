//! Running totals against recomputation from scratch, in any order of arrival.

use std::sync::Arc;

use proptest::prelude::*;
use rating::catalog::Catalog;
use serde_json::{Value, json};

use crate::decided::{accruals, catalog, decide};
use crate::from_scratch::{Event, expect};
use crate::random::Random;
use crate::random_catalog::random_catalog;
use schemas::timestamp::Timestamp;

/// An event from a seed: times cluster around days, changes of price and each other.
pub(crate) fn event(position: usize, seed: u64) -> Event {
    let random = &mut Random::new(seed);
    let start: Timestamp = "2026-09-28T00:00:00Z".parse().unwrap();
    let hour = i64::try_from(random.below(24 * 60)).unwrap();
    let minute = i64::try_from(random.below(3)).unwrap() * 20;
    let limit = if random.once_in(4) { 5_000 } else { 300 };
    let value = i128::try_from(random.below(limit)).unwrap();
    let accounts = if random.once_in(8) { 5 } else { 4 };
    let signed = i128::try_from(random.below(2_000)).unwrap() - 1_000;
    let text = |random: &mut Random, choices: [&str; 3]| {
        (!random.once_in(6)).then(|| random.pick(&choices).to_owned())
    };
    Event {
        id: format!("event-{position}"),
        source: "source".to_owned(),
        account: [Some(0), Some(0), Some(1), Some(1), None][random.below(accounts)],
        time: start.micros() + (hour * 60 + minute) * 60_000_000,
        value,
        signed,
        user: format!("user-{}", random.below(6)),
        price: i128::try_from(random.below(500)).unwrap() * 10_i128.pow(16),
        region: text(random, ["eu", "us", "ap"]),
        tier: text(random, ["gold", "silver", "gold"]),
    }
}

fn hundredths(value: i128) -> String {
    let sign = if value < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", value.abs() / 100, value.abs() % 100)
}

pub(crate) fn line_of(event: &Event) -> String {
    let accounts = ["acme", "globex"];
    let mut data = json!({
        "v": hundredths(event.value),
        "signed": hundredths(event.signed),
        "user": event.user,
        "price": hundredths(event.price / 10_i128.pow(16)),
    });
    for (name, text) in [("region", &event.region), ("tier", &event.tier)] {
        if let Some(text) = text {
            data[name] = Value::from(text.as_str());
        }
    }
    json!({
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": "used",
        "subject": event.account.map_or("unknown", |account| accounts[account as usize]),
        "time": Timestamp::from_micros(event.time).to_string(),
        "data": data,
    })
    .to_string()
}

pub(crate) fn cases(few: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(few)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(64), max_shrink_time: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rate_1_and_accr_1_totals_are_those_of_all_events_at_once(
        book in any::<u64>(),
        seeds in prop::collection::vec(any::<u64>(), 1..60),
        order in any::<u64>(),
    ) {
        let catalog = random_catalog(book);
        let mut events: Vec<Event> = seeds.iter().enumerate().map(|(position, seed)| event(position, *seed)).collect();
        let random = &mut Random::new(order);
        let mut expected = expect(&catalog, &events);
        expected.unrated.sort();
        for _ in 0..2 {
            random.shuffle(&mut events);
            let mut lines: Vec<String> = events.iter().map(line_of).collect();
            // Some are sent again.
            for _ in 0..random.below(4) {
                let again = lines[random.below(lines.len())].clone();
                lines.push(again);
            }
            let (mut decided, totals) = decide(&catalog, &lines);
            decided.unrated.sort();
            prop_assert_eq!(&decided.rejected, &[]);
            prop_assert_eq!(decided.conflicts, 0);
            prop_assert_eq!(decided.identities, events.len());
            prop_assert_eq!(&decided.unrated, &expected.unrated);
            let accruals = accruals(&totals);
            prop_assert_eq!(&accruals, &expected.accruals);
            for (group, days) in &accruals {
                let accrued: i128 = days.values().map(|day| day.amount).sum();
                prop_assert_eq!(decided.rated.get(group), Some(&accrued), "rated and accrued of {:?}", group);
            }
            prop_assert_eq!(decided.rated.len(), accruals.len());
            let total: i128 = totals.by_currency().unwrap().iter().map(|money| money.amount.units()).sum();
            prop_assert_eq!(total, decided.rated.values().sum::<i128>());
        }
    }
}

/// A catalog and events, the first and the seventh of which are too large to be priced.
pub(crate) fn too_large_to_price(aggregation: &str) -> (Arc<Catalog>, Vec<String>) {
    let catalog = catalog(&json!({
        "legal_entities": [{ "id": "entity" }],
        "meters": [{ "id": "m", "event_type": "used", "aggregation": aggregation, "value": "$.v", "decimals": 0 }],
        "price_books": [{ "id": "book", "currencies": ["USD"], "versions": [
            { "version": 1, "rates": [{ "meter": "m", "model": "per_unit", "unit_price": "100000" }] },
            { "version": 2, "effective_from": "2026-10-15", "rates": [{ "meter": "m", "model": "per_unit", "unit_price": "2" }] },
        ] }],
        "contracts": [{ "id": "c", "accounts": ["a"], "legal_entity": "entity", "currency": "USD",
            "lines": [{ "id": "l", "price_book": "book" }] }],
    }))
    .unwrap();
    let days = [10, 5, 7, 20, 6, 8, 12, 18, 25, 19];
    let line = |(position, day): (usize, &usize)| {
        let value =
            if matches!(position, 0 | 6) { "99999999999999999999".to_owned() } else { day.to_string() };
        json!({
            "specversion": "1.0", "id": position.to_string(), "source": "s", "type": "used", "subject": "a",
            "time": format!("2026-10-{day:02}T10:00:00Z"), "data": { "v": value },
        })
        .to_string()
    };
    let lines = days.iter().enumerate().map(line).collect();
    (catalog, lines)
}

pub(crate) const AGGREGATIONS: [&str; 5] = ["latest", "max", "min", "sum", "unique"];

#[test]
fn accr_1_usage_that_could_not_be_priced_leaves_no_trace() {
    for aggregation in AGGREGATIONS {
        let (catalog, lines) = too_large_to_price(aggregation);
        for count in 1..=lines.len() {
            let (decided, totals) = decide(&catalog, &lines[..count]);
            let accrued: i128 =
                accruals(&totals).values().flat_map(|days| days.values()).map(|day| day.amount).sum();
            let rated: i128 = decided.rated.values().sum();
            assert_eq!(rated, accrued, "{aggregation} of {count} events");
            let total: i128 = totals.by_currency().unwrap().iter().map(|money| money.amount.units()).sum();
            assert_eq!(total, accrued, "{aggregation} of {count} events");
        }
    }
}

#[test]
fn rate_1_groups_by_other_dimensions_are_other_charges() {
    let rate = |price: &str, dimension: &str| {
        json!([{ "meter": "m", "model": "stairstep", "group_by": [dimension],
            "tiers": [{ "up_to": null, "flat_amount": price }] }])
    };
    let catalog = catalog(&json!({
        "legal_entities": [{ "id": "entity" }],
        "meters": [{ "id": "m", "event_type": "used", "aggregation": "sum", "value": "$.v", "decimals": 2,
            "dimensions": { "region": "$.region", "tier": "$.tier" } }],
        "price_books": [{ "id": "book", "currencies": ["EUR"], "versions": [
            { "version": 1, "rates": rate("15", "region") },
            { "version": 2, "effective_from": "2026-10-15", "rates": rate("12", "tier") },
        ] }],
        "contracts": [{ "id": "c", "accounts": ["acme"], "legal_entity": "entity", "currency": "EUR",
            "lines": [{ "id": "l", "price_book": "book" }] }],
    }))
    .unwrap();
    // Neither has a region or a tier.
    let line = |day: u32| {
        json!({ "specversion": "1.0", "id": day.to_string(), "source": "s", "type": "used", "subject": "acme",
            "time": format!("2026-10-{day}T00:00:00Z"), "data": { "v": 1 } })
        .to_string()
    };
    for days in [[10, 14, 20, 21], [21, 20, 14, 10]] {
        let (_, totals) = decide(&catalog, &days.map(line));
        let amounts: Vec<i128> =
            accruals(&totals).values().flat_map(|days| days.values().map(|day| day.amount)).collect();
        assert_eq!(amounts, [15, 0, 12, 0].map(|amount| amount * 10_i128.pow(18)));
    }
}
