//! Accruals in rounds against accruals of all events at once, however the events are split.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aggregate::accrual_round::Revisions;
use aggregate::accrual_table::{AccrualBuffers, AccrualTable, AccrualTotals};
use aggregate::accrual_wire::accrual_records;
use aggregate::accruals::{AccrualGroup, AccrualPlan};
use aggregate::disk::{DirectoryDisk, Disk};
use aggregate::epoch_files::EpochFiles;
use aggregate::running_totals::RunningTotals;
use proptest::prelude::*;
use rating::Overflow;
use rating::catalog::Catalog;
use schemas::accrual::{Accrual, EntryKind};
use schemas::decimal::Decimal;
use schemas::money::Amount;
use schemas::quantity::Quantity;
use serde_json::json;

use crate::decided::{Deciding, catalog};
use crate::from_scratch::Event;
use crate::random::Random;
use crate::random_catalog::random_catalog;
use crate::running_totals::{AGGREGATIONS, cases, event, line_of, too_large_to_price};

/// The accruals of a plan.
fn records(totals: &RunningTotals, catalog: &Arc<Catalog>, epoch: u64) -> Vec<Accrual> {
    let plan = AccrualPlan::new(totals);
    let mut made = Vec::new();
    let take = |groups: &[AccrualGroup]| {
        made.extend(accrual_records(catalog, groups, epoch)?);
        Ok::<_, Overflow>(())
    };
    plan.accrue(totals, 0..plan.len(), take).unwrap();
    made
}

/// Writes the accruals of a plan as tables, in parts of some groups.
fn write_tables(
    totals: &RunningTotals,
    catalog: &Arc<Catalog>,
    epoch: u64,
    part_groups: usize,
) -> (AccrualTotals, Revisions) {
    let place = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(place.path().join("tables/accruals")).unwrap();
    let disk: Arc<dyn Disk> = Arc::new(DirectoryDisk::new(place.path()));
    let files = EpochFiles::new(&disk, 0, epoch);
    let plan = AccrualPlan::new(totals);
    let (mut sum, mut revisions) = (AccrualTotals::default(), Revisions::default());
    let mut buffers = AccrualBuffers::new().unwrap();
    for (part, from) in (0..plan.len()).step_by(part_groups).enumerate() {
        let mut table = AccrualTable::begin(&files, part, buffers).unwrap();
        let groups = from..plan.len().min(from + part_groups);
        let made = plan.accrue(totals, groups, |groups| table.append(catalog, groups));
        revisions.append(&mut made.unwrap());
        let (_, mut written, recycled) = table.finish().unwrap();
        sum.append(&mut written);
        buffers = recycled;
    }
    (sum, revisions)
}

/// What stands by an accrual, whatever revision it is.
fn standing(accrual: &Accrual) -> Accrual {
    Accrual {
        revision: 0,
        accrual_id: String::new(),
        entry_kind: EntryKind::Accrue,
        previous_net_amount: Decimal::ZERO,
        delta_amount: Decimal::ZERO,
        delta_amount_exact: Amount::ZERO,
        delta_metered_quantity: Quantity::from_units(0),
        delta_event_count: 0,
        epoch: 0,
        ..accrual.clone()
    }
}

/// Accruals by key, as they stand.
fn by_key<'a>(accruals: impl IntoIterator<Item = &'a Accrual>) -> BTreeMap<String, Accrual> {
    accruals.into_iter().map(|accrual| (accrual.accrual_key.clone(), standing(accrual))).collect()
}

/// The accruals of all events in one round.
fn at_once(catalog: &Arc<Catalog>, lines: &[String]) -> BTreeMap<String, Accrual> {
    let mut deciding = Deciding::new(catalog);
    deciding.decide(lines);
    let made = records(deciding.decider.totals(), catalog, 1);
    for accrual in &made {
        assert_eq!((accrual.revision, accrual.entry_kind), (1, EntryKind::Accrue));
        assert_eq!(accrual.previous_net_amount, Decimal::ZERO);
        assert_eq!(accrual.delta_amount, accrual.net_amount);
        assert_eq!(accrual.delta_amount_exact, accrual.net_amount_exact);
        assert_eq!(accrual.delta_metered_quantity, accrual.metered_quantity);
        assert_eq!(accrual.delta_event_count, i64::try_from(accrual.event_count).unwrap());
    }
    by_key(&made)
}

/// Minor units and less, as a count.
fn units(posted: &Decimal) -> i128 {
    posted.to_scaled(schemas::ROUNDED_AMOUNT_SCALE).unwrap()
}

/// A revision after the one before it.
fn check_follows(before: Option<&Accrual>, accrual: &Accrual, epoch: u64) {
    assert_eq!(accrual.epoch, epoch);
    let tiers: i128 = accrual.tier_breakdown.iter().map(|tier| tier.amount.units()).sum();
    assert_eq!(tiers, accrual.net_amount_exact.units(), "tiers of {}", accrual.accrual_key);
    assert_eq!(accrual.revision, before.map_or(0, |before| before.revision) + 1, "{}", accrual.accrual_key);
    let kind = if accrual.revision == 1 { EntryKind::Accrue } else { EntryKind::TrueUp };
    assert_eq!(accrual.entry_kind, kind);
    assert_ne!(before.map(standing), Some(standing(accrual)), "a revision says something new");
    let posted = before.map_or(0, |before| units(&before.net_amount));
    assert_eq!(units(&accrual.previous_net_amount), posted);
    assert_eq!(units(&accrual.delta_amount), units(&accrual.net_amount) - posted);
    let exact = before.map_or(0, |before| before.net_amount_exact.units());
    assert_eq!(accrual.delta_amount_exact.units(), accrual.net_amount_exact.units() - exact);
    let quantity = before.map_or(0, |before| before.metered_quantity.units());
    assert_eq!(accrual.delta_metered_quantity.units(), accrual.metered_quantity.units() - quantity);
    let events = before.map_or(0, |before| i64::try_from(before.event_count).unwrap());
    assert_eq!(accrual.delta_event_count, i64::try_from(accrual.event_count).unwrap() - events);
}

/// Runs rounds of lines; every accrual of them, in order.
fn run_rounds(catalog: &Arc<Catalog>, rounds: &[&[String]], part_groups: usize) -> Vec<Accrual> {
    let mut deciding = Deciding::new(catalog);
    let mut latest: BTreeMap<String, Accrual> = BTreeMap::new();
    let (mut all, mut so_far) = (Vec::new(), Vec::new());
    for (epoch, lines) in (1u64..).zip(rounds) {
        let decided = deciding.decide(lines);
        so_far.extend_from_slice(lines);
        let made = records(deciding.decider.totals(), catalog, epoch);
        let (written, revisions) = write_tables(deciding.decider.totals(), catalog, epoch, part_groups);
        deciding.decider.accrued(&revisions);
        assert!(made.is_empty() || decided.usages > 0, "a round without usage has no accruals");
        let keys: BTreeSet<_> = made.iter().map(|accrual| &accrual.accrual_key).collect();
        assert_eq!(keys.len(), made.len(), "a round has one revision of a key");
        for accrual in &made {
            check_follows(latest.get(&accrual.accrual_key), accrual, epoch);
            latest.insert(accrual.accrual_key.clone(), accrual.clone());
        }
        assert_eq!(written.rows, made.len() as u64);
        assert_eq!(written.events, decided.usages, "rated and accrued in the round");
        let exact: i128 =
            written.exact_by_currency(catalog).unwrap().iter().map(|sum| sum.amount.units()).sum();
        assert_eq!(exact, decided.rated.values().sum::<i128>(), "rated and accrued in the round");
        let posted: i128 = made.iter().map(|accrual| units(&accrual.delta_amount)).sum();
        let added: i128 =
            written.posted_by_currency(catalog).unwrap().iter().map(|sum| sum.amount.units()).sum();
        assert_eq!(added, posted * 10_i128.pow(14), "rows and their totals");
        assert_eq!(by_key(latest.values()), at_once(catalog, &so_far), "after round {epoch}");
        all.extend(made);
    }
    all
}

/// Cuts lines into rounds, some of them empty.
fn cut<'a>(lines: &'a [String], random: &mut Random) -> Vec<&'a [String]> {
    let mut cuts: Vec<usize> = (0..random.below(5)).map(|_| random.below(lines.len() + 1)).collect();
    cuts.extend([0, lines.len(), lines.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|ends| &lines[ends[0]..ends[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(16), max_shrink_time: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn accr_1_revisions_add_up_however_events_are_split_into_rounds(
        book in any::<u64>(),
        seeds in prop::collection::vec(any::<u64>(), 1..60),
        order in any::<u64>(),
    ) {
        let catalog = random_catalog(book);
        let mut events: Vec<Event> = seeds.iter().enumerate().map(|(position, seed)| event(position, *seed)).collect();
        let random = &mut Random::new(order);
        let lines = |events: &[Event]| -> Vec<String> { events.iter().map(line_of).collect() };
        let expected = at_once(&catalog, &lines(&events));
        for _ in 0..2 {
            random.shuffle(&mut events);
            let lines = lines(&events);
            let rounds = cut(&lines, random);
            let part_groups = 1 + random.below(40);
            let all = run_rounds(&catalog, &rounds, part_groups);
            let mut sums: BTreeMap<&str, [i128; 4]> = BTreeMap::new();
            for accrual in &all {
                let sum = sums.entry(&accrual.accrual_key).or_default();
                sum[0] += units(&accrual.delta_amount);
                sum[1] += accrual.delta_amount_exact.units();
                sum[2] += accrual.delta_metered_quantity.units();
                sum[3] += i128::from(accrual.delta_event_count);
            }
            for (key, accrual) in &expected {
                let standing = [
                    units(&accrual.net_amount),
                    accrual.net_amount_exact.units(),
                    accrual.metered_quantity.units(),
                    accrual.event_count.into(),
                ];
                prop_assert_eq!(sums.get(key.as_str()), Some(&standing), "deltas of {}", key);
            }
            prop_assert_eq!(sums.len(), expected.len());
            prop_assert_eq!(by_key(&all), expected.clone(), "the latest revisions");
        }
    }

    #[test]
    fn rate_2_the_same_rounds_give_the_same_accruals(
        book in any::<u64>(),
        seeds in prop::collection::vec(any::<u64>(), 1..40),
        order in any::<u64>(),
    ) {
        let catalog = random_catalog(book);
        let lines: Vec<String> =
            seeds.iter().enumerate().map(|(position, seed)| line_of(&event(position, *seed))).collect();
        let rounds = cut(&lines, &mut Random::new(order));
        let first = run_rounds(&catalog, &rounds, 7);
        // Parts do not matter, nor does the order within a round.
        let mut shuffled = lines.clone();
        let mut start = 0;
        for round in &rounds {
            Random::new(order).shuffle(&mut shuffled[start..start + round.len()]);
            start += round.len();
        }
        let cuts: Vec<usize> = rounds.iter().map(|round| round.len()).collect();
        let mut rest = shuffled.as_slice();
        let mut again = Vec::new();
        for length in cuts {
            let (round, others) = rest.split_at(length);
            again.push(round);
            rest = others;
        }
        prop_assert_eq!(&run_rounds(&catalog, &again, usize::MAX), &first);
        let ids: BTreeSet<_> = first.iter().map(|accrual| &accrual.accrual_id).collect();
        prop_assert_eq!(ids.len(), first.len(), "every revision has an id of its own");
    }
}

#[test]
fn accr_1_usage_that_could_not_be_priced_has_no_revision() {
    for aggregation in AGGREGATIONS {
        let (catalog, mut lines) = too_large_to_price(aggregation);
        // One that has a price, on the day of one that has none.
        let priced = lines[0].replace("99999999999999999999", "3").replace(r#""id":"0""#, r#""id":"10""#);
        assert_ne!(priced, lines[0]);
        lines.insert(1, priced);
        let rounds: Vec<&[String]> = lines.chunks(1).collect();
        run_rounds(&catalog, &rounds, 1);
    }
}

#[test]
fn rate_2_the_last_segment_speaks_for_a_day_in_any_order() {
    let rate = |bound: &str| {
        json!([{ "meter": "m", "model": "graduated", "group_by": ["region"], "tiers": [
            { "up_to": bound, "unit_price": "1" }, { "up_to": null, "unit_price": "2" }
        ] }])
    };
    let catalog = catalog(&json!({
        "legal_entities": [{ "id": "entity" }],
        "meters": [{ "id": "m", "event_type": "used", "aggregation": "sum", "value": "$.v", "decimals": 0,
            "dimensions": { "region": "$.region" } }],
        "price_books": [{ "id": "book", "currencies": ["USD"], "versions": [
            { "version": 1, "rates": rate("10") },
            { "version": 2, "effective_from": "2026-10-15T12:00:00Z", "rates": rate("20") },
        ] }],
        "contracts": [{ "id": "c", "accounts": ["a"], "legal_entity": "entity", "currency": "USD",
            "lines": [{ "id": "l", "price_book": "book" }] }],
    }))
    .unwrap();
    let line = |(region, hour): (&str, u32)| {
        json!({
            "specversion": "1.0", "id": region, "source": "s", "type": "used", "subject": "a",
            "time": format!("2026-10-15T{hour}:00:00Z"), "data": { "v": 7, "region": region },
        })
        .to_string()
    };
    let mut lines = [("eu", 13), ("us", 10)].map(line);
    let made = at_once(&catalog, &lines);
    assert_eq!(made.values().map(|accrual| accrual.price_book_version).collect::<Vec<_>>(), [2]);
    lines.reverse();
    assert_eq!(at_once(&catalog, &lines), made);
}
