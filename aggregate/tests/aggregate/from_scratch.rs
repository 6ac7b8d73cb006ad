//! What events come to, worked out from all of them at once: no running totals, no differences kept.

use std::collections::{BTreeMap, BTreeSet};

use rating::catalog::Catalog;
use rating::price::{Terms, Usage};
use rating::rounding::rescale_rounded;
use schemas::meter::Aggregation;
use schemas::money::{AMOUNT_SCALE, Amount};
use schemas::period::Period;
use schemas::quantity::QUANTITY_SCALE;
use schemas::quarantine::UnratedReason;
use schemas::timestamp::Timestamp;

use crate::decided::{Day, GroupKey};

/// An event of the tests.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) source: String,
    /// Position among the accounts; `None` for one that has no contract.
    pub(crate) account: Option<u32>,
    pub(crate) time: i64,
    /// The value every numeric meter reads, in hundredths.
    pub(crate) value: i128,
    pub(crate) signed: i128,
    pub(crate) user: String,
    /// In `10^-18`.
    pub(crate) price: i128,
    pub(crate) region: Option<String>,
    pub(crate) tier: Option<String>,
}

/// A usage with what applies to it.
#[derive(Clone, Debug)]
struct Usages<'a> {
    event: &'a Event,
    segment: Period,
    rate: u32,
    version: u32,
    contract_terms: u32,
    resets: bool,
    terms: Terms,
    day: i32,
}

/// Account, contract line, meter, billing period, and the dimensions the rate groups by with their values.
type ChargeKey = (u32, u32, u16, i32, Vec<(usize, Option<String>)>);

/// What all events come to.
#[derive(Default)]
pub(crate) struct Expected {
    pub(crate) accruals: BTreeMap<GroupKey, BTreeMap<i32, Day>>,
    pub(crate) unrated: Vec<(String, Option<u16>, UnratedReason)>,
}

pub(crate) fn expect(catalog: &Catalog, events: &[Event]) -> Expected {
    expect_of(catalog, events, |_, _| true)
}

/// What some usages of events come to, by event and meter.
pub(crate) fn expect_of(
    catalog: &Catalog,
    events: &[Event],
    counts: impl Fn(&Event, u16) -> bool,
) -> Expected {
    let mut charges: BTreeMap<ChargeKey, Vec<Usages<'_>>> = BTreeMap::new();
    let mut expected = Expected::default();
    for event in events {
        for meter in (0u16..).take(catalog.meters().len()).filter(|meter| counts(event, *meter)) {
            match place(catalog, event, meter) {
                Ok((key, usage)) => charges.entry(key).or_default().push(usage),
                Err(reason) => expected.unrated.push((event.id.clone(), Some(meter), reason)),
            }
        }
    }
    for ((_, line, meter, period, _), mut usages) in charges {
        let days = expected.accruals.entry((line, meter, period)).or_default();
        usages.sort_by_key(|usage| (usage.segment.start, usage.day));
        charge(catalog, meter, &usages, days);
    }
    for ((line, ..), days) in &mut expected.accruals {
        accumulate(catalog, *line, days);
    }
    expected
}

fn place<'a>(
    catalog: &Catalog,
    event: &'a Event,
    meter: u16,
) -> Result<(ChargeKey, Usages<'a>), UnratedReason> {
    let account = event.account.ok_or(UnratedReason::UnknownAccount)?;
    let time = Timestamp::from_micros(event.time);
    let resolution = catalog.resolve(account, meter, time)?;
    let line = catalog.terms()[resolution.terms as usize].line;
    let document = &catalog.lines()[line as usize];
    let zone = &catalog.legal_entities()[document.legal_entity as usize].timezone;
    let (date, _) = zone.day_of(time);
    let (start, end) = document.cycle.period_of(date);
    let rate = &catalog.rates()[resolution.rate as usize];
    let dimensions = &catalog.meters()[usize::from(meter)].dimensions;
    let path = |dimension: &usize| dimensions[&catalog.dimensions()[*dimension]].to_string();
    let of_dimension = |dimension: &usize| match &*path(dimension) {
        "$.region" => event.region.clone(),
        _ => event.tier.clone(),
    };
    let group: Vec<(usize, Option<String>)> =
        rate.group.iter().map(|dimension| (*dimension, of_dimension(dimension))).collect();
    let texts: Vec<Option<&str>> = group.iter().map(|(_, text)| text.as_deref()).collect();
    let days = catalog.active_days(resolution.terms, start, end).unwrap();
    let period = Period { start: zone.start_of(start), end: zone.start_of(end) };
    let usage = Usages {
        event,
        segment: resolution.holds.intersection(&period),
        rate: resolution.rate,
        version: resolution.price_book_version,
        contract_terms: resolution.terms,
        resets: catalog.price_book_versions()[resolution.price_book_version as usize].resets_tiers,
        terms: rate.price.terms(&texts, &days)?,
        day: date.days(),
    };
    Ok(((account, line, meter, start.days(), group), usage))
}

/// Adds the days of a charge, whose usages are in order of segment and day.
fn charge(catalog: &Catalog, meter: u16, usages: &[Usages<'_>], days: &mut BTreeMap<i32, Day>) {
    let meter = &catalog.meters()[usize::from(meter)];
    let decimals = if meter.aggregation.is_numeric() { meter.decimals } else { 0 };
    let factor = 10i128.pow(u32::from(QUANTITY_SCALE - decimals));
    // Where each distinct value counts: its first event.
    let mut first_event: BTreeMap<&str, (i64, usize)> = BTreeMap::new();
    for (position, usage) in usages.iter().enumerate() {
        let first = first_event.entry(&usage.event.user).or_insert((usage.event.time, position));
        if usage.event.time < first.0 {
            *first = (usage.event.time, position);
        }
    }
    let firsts: BTreeSet<usize> = first_event.values().map(|(_, position)| *position).collect();
    let counted = |from: usize, to: usize| counted(catalog, meter, usages, from..to, &firsts);
    let (mut since, mut base, mut amount) = (0, 0i128, 0i128);
    let mut at = 0;
    while at < usages.len() {
        let usage = &usages[at];
        let price = &catalog.rates()[usage.rate as usize].price;
        let priced = |counted: &Usage| price.amount(usage.terms, counted).unwrap().units();
        let starts_segment = at == 0 || usages[at - 1].segment != usage.segment;
        if starts_segment {
            // Another version of the contract is no other price, but a fee for other days.
            let before = at.checked_sub(1).map(|before| &usages[before]);
            let is_other_price = before.is_some_and(|before| before.version != usage.version);
            let is_other_fee = before.is_some_and(|before| before.contract_terms != usage.contract_terms);
            if (is_other_price && usage.resets) || (is_other_fee && price.is_prorated()) {
                since = at;
            }
            base = amount - priced(&counted(since, at));
        }
        let same = |other: &&Usages<'_>| other.segment == usage.segment && other.day == usage.day;
        let end = at + usages[at..].iter().take_while(same).count();
        let (before, after) = (counted(since, at), counted(since, end));
        let total = base + priced(&after);
        let times = usages[at..end].iter().map(|usage| usage.event.time);
        let day = days.entry(usage.day).or_insert(Day { first: i64::MAX, last: i64::MIN, ..Day::default() });
        day.events += u64::try_from(end - at).unwrap();
        day.first = day.first.min(times.clone().min().unwrap());
        day.last = day.last.max(times.max().unwrap());
        day.quantity += (after.quantity - before.quantity) * factor;
        day.amount += total - amount;
        amount = total;
        at = end;
    }
}

/// The aggregate of some of a charge's usages.
fn counted(
    catalog: &Catalog,
    meter: &schemas::meter::Meter,
    usages: &[Usages<'_>],
    range: std::ops::Range<usize>,
    firsts: &BTreeSet<usize>,
) -> Usage {
    let some = &usages[range.clone()];
    let value = |event: &Event| {
        let hundredths = if meter.id.as_str() == "signed" { event.signed } else { event.value };
        hundredths * 10i128.pow(u32::from(meter.decimals) - 2)
    };
    let values = || some.iter().map(|usage| value(usage.event));
    let quantity = match meter.aggregation {
        Aggregation::Count => i128::try_from(some.len()).unwrap(),
        Aggregation::Sum => values().sum(),
        Aggregation::Max => values().max().unwrap_or_default(),
        Aggregation::Min => values().min().unwrap_or_default(),
        Aggregation::Latest => {
            let latest =
                some.iter().max_by_key(|usage| (usage.event.time, &usage.event.id, &usage.event.source));
            latest.map(|usage| value(usage.event)).unwrap_or_default()
        }
        Aggregation::Unique => i128::try_from(firsts.range(range).count()).unwrap(),
    };
    let amount = |usage: &Usages<'_>| {
        let price = &catalog.rates()[usage.rate as usize].price;
        let amount = price.event_amount(value(usage.event), usage.event.price).unwrap();
        // A distinct value has no amount of its own.
        if meter.aggregation == Aggregation::Unique { 0 } else { amount.units() }
    };
    let event_amounts = Amount::from_units(some.iter().map(amount).sum());
    Usage { quantity, events: u64::try_from(some.len()).unwrap(), event_amounts }
}

fn accumulate(catalog: &Catalog, line: u32, days: &mut BTreeMap<i32, Day>) {
    let line = &catalog.lines()[line as usize];
    let mode = catalog.legal_entities()[line.legal_entity as usize].rounding;
    let (mut quantity, mut amount, mut rounded) = (0, 0, 0);
    for day in days.values_mut() {
        quantity += day.quantity;
        amount += day.amount;
        let now = rescale_rounded(amount, AMOUNT_SCALE, line.currency.exponent(), mode).unwrap();
        (day.cumulative_quantity, day.cumulative_amount, day.net_minor_units) =
            (quantity, amount, now - rounded);
        rounded = now;
    }
}
