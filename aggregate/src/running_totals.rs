//! Running totals: every charge's usage and amount, updated event by event.
//!
//! For each usage it answers what the event costs: the difference it makes to the amount of its charge
//! (RATE-1). The machine is synchronous and does no IO; it sees events in input order and takes time
//! from the events alone, so the same events give the same totals (RATE-2). The amount of a charge does
//! not depend on the order its events came in; the amounts of single events may.
//!
//! Most events continue the newest day of a charge whose price has not changed: a look-up, a checked
//! addition and one evaluation of the price. All else - a new charge, another day, a price change within
//! the period, a late event, a meter that does not sum - leaves that path.

use std::sync::Arc;

use hashbrown::HashMap;
use rating::Overflow;
use rating::catalog::{Catalog, Rate, Resolution};
use schemas::date::Date;
use schemas::meter::Aggregation;
use schemas::money::{Amount, Money};
use schemas::period::Period;
use schemas::quarantine::UnratedReason;
use schemas::timestamp::Timestamp;

use crate::accrual_round::Revisions;
use crate::charge::{Charge, ChargeKey, EventUsage, Segment, add_event};
use crate::charges::{Charges, Place, aggregation};
use crate::dimension_values::DimensionValues;
use crate::rated_usage_table::sum_by_currency;
use crate::service_days::ServiceDays;

/// A value that a charge counts once. Values are keyed hashes of 128 bits: two of one charge, or of two
/// charges, meet no more likely for having the charge added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct DistinctValue(pub(crate) u128);

impl DistinctValue {
    #[inline]
    const fn new(charge: u32, hash: i128) -> Self {
        Self(hash.cast_unsigned().wrapping_add((charge as u128) << 64))
    }
}

/// No charge.
pub(crate) const NO_CHARGE: u32 = u32::MAX;

/// The usage of one event under one meter.
#[derive(Clone, Copy, Debug)]
pub struct MeteredUsage<'a> {
    /// The account, as a position in the catalog.
    pub account: u32,
    /// The meter, as a position in the catalog.
    pub meter: u16,
    /// Event time.
    pub time: Timestamp,
    /// Quantity, as a count of the meter's `10^-decimals`; for distinct values their hash.
    pub measure: i128,
    /// Price or amount that came with the event, in `10^-18`.
    pub event_price: i128,
    /// Where the rest of the event is.
    pub details: &'a dyn UsageDetails,
}

/// What is asked of an event only where a price or a meter depends on it.
pub trait UsageDetails: std::fmt::Debug {
    /// The value of a dimension of the catalog, as a number of [`DimensionValues`].
    fn dimension(&self, dimension: usize) -> u32;

    /// The event's source and id, which decide between equal event times.
    fn identity(&self) -> (String, String);
}

/// How an event's usage was rated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RatedEvent {
    /// What the event changes in the amount of its charge.
    pub amount: Amount,
    /// Contract line, as a position in the catalog.
    pub line: u32,
    /// Price book version, as a position in the catalog.
    pub price_book_version: u32,
    /// Day of use, as days since 1970.
    pub service_day: i32,
    /// First day of the billing period, as days since 1970.
    pub period_start: i32,
}

/// All charges, and how to find them.
#[derive(Debug)]
pub struct RunningTotals {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) charges: Charges,
    service_days: ServiceDays,
    /// Per account and meter, the charge met last.
    pub(crate) newest: Vec<u32>,
    pub(crate) by_key: HashMap<ChargeKey, u32>,
    /// Combinations of dimensions and their values, by their numbers; combination 0 is none.
    pub(crate) groups: HashMap<Box<[u32]>, u32>,
    /// The combination of the usage that is being rated.
    combination: Vec<u32>,
    /// The dimension values of the usage that is being rated.
    group: Vec<u32>,
    /// Distinct values: per charge and value, the earliest event time.
    pub(crate) distinct: HashMap<DistinctValue, i64>,
    /// Per charge, date and segment of a `latest` meter, the event that counts: its id and source.
    pub(crate) latest: HashMap<(u32, i32, u32), (String, String)>,
}

/// The buffers of [`RunningTotals::touch`].
#[derive(Debug, Default)]
pub struct TouchRounds {
    /// Where the charges that usages would continue are noted.
    slots: Vec<usize>,
    /// These charges.
    charges: Vec<u32>,
    /// Days behind the newest, where late usages may belong.
    days: Vec<u32>,
    /// Accounts that have no charge yet.
    accounts: Vec<u32>,
}

/// How much there was before a usage.
#[derive(Clone, Copy, Debug)]
struct Before {
    groups: usize,
    charges: usize,
    segments: usize,
    /// The charge its account and meter met last.
    newest: u32,
}

/// What applies to a usage, within its billing period.
#[derive(Clone, Copy, Debug)]
struct Applicable {
    terms: u32,
    price_book_version: u32,
    rate: u32,
    holds: Period,
    line: u32,
    legal_entity: u32,
    period_start: i32,
}

impl RunningTotals {
    /// No usage yet.
    #[must_use]
    pub fn new(catalog: Arc<Catalog>) -> Self {
        let slots = catalog.accounts().len() * catalog.meters().len();
        Self {
            service_days: ServiceDays::new(&catalog),
            newest: vec![NO_CHARGE; slots],
            catalog,
            charges: Charges::new(slots),
            by_key: HashMap::default(),
            groups: HashMap::default(),
            combination: Vec::new(),
            group: Vec::new(),
            distinct: HashMap::default(),
            latest: HashMap::default(),
        }
    }

    /// Number of charges.
    #[must_use]
    pub fn len(&self) -> usize {
        self.charges.all.len()
    }

    /// Are there no charges?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.charges.all.is_empty()
    }

    /// Ends a round of accruals: all of an [`AccrualPlan`](crate::accruals::AccrualPlan) was made, as
    /// these revisions. The next plan covers what changes from here on.
    pub fn accrued(&mut self, revisions: &Revisions) {
        self.charges.accrued(revisions);
    }

    /// Exact amounts of all charges by currency, in order of their codes.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn by_currency(&self) -> Result<Vec<Money>, Overflow> {
        let amounts = self.charges.all.iter().map(|charge| (charge.key.line, charge.amount));
        sum_by_currency(&self.catalog, amounts)
    }

    /// Loads what rating these usages will look at: for each an account, a meter, an event time and a measure.
    ///
    /// Every load that needs another to know its place is in a later round, and a round is as long as
    /// the usages are many, so that its misses overlap.
    pub fn touch(
        &self,
        usages: impl Iterator<Item = (u32, u16, Timestamp, i128)> + Clone,
        rounds: &mut TouchRounds,
    ) {
        let TouchRounds { slots, charges, days, accounts } = rounds;
        slots.clear();
        slots.extend(usages.clone().map(|(account, meter, ..)| self.slot(account, meter)));
        charges.clear();
        charges.extend(slots.iter().map(|slot| self.newest.get(*slot).copied().unwrap_or(NO_CHARGE)));
        let mut loaded = 0;
        for charge in charges.iter() {
            loaded ^= self.charges.all.get(*charge as usize).map_or(0, Charge::touch);
        }
        days.clear();
        accounts.clear();
        for (position, (account, meter, time, measure)) in charges.iter().zip(usages) {
            match self.charges.all.get(*position as usize) {
                Some(_) if aggregation(&self.catalog, meter) == Aggregation::Unique => {
                    let value = DistinctValue::new(*position, measure);
                    loaded ^= u64::from(self.distinct.contains_key(&value));
                }
                Some(charge) if time < charge.day_holds.start => days.push(charge.day.next),
                Some(_) => {}
                None => accounts.push(account),
            }
        }
        for day in days.iter() {
            loaded ^= self.charges.days.get(*day as usize).map_or(0, |day| day.usage.events);
        }
        for account in accounts.iter() {
            loaded ^= self.catalog.touch(*account);
        }
        std::hint::black_box(loaded);
    }

    #[inline]
    pub(crate) fn slot(&self, account: u32, meter: u16) -> usize {
        account as usize * self.catalog.meters().len() + usize::from(meter)
    }

    /// Counts and rates a usage.
    ///
    /// # Errors
    /// Why it has no price. It is not counted then.
    #[inline]
    pub fn rate(
        &mut self,
        usage: &MeteredUsage<'_>,
        values: &DimensionValues,
    ) -> Result<RatedEvent, UnratedReason> {
        let slot = self.slot(usage.account, usage.meter);
        let newest = self.newest.get(slot).copied().unwrap_or(NO_CHARGE);
        if let Some(charge) = self.charges.all.get_mut(newest as usize)
            && charge.holds.contains(usage.time)
            && let Some(rate) = self.catalog.rates().get(charge.rate as usize)
            && rate.group.is_empty()
        {
            let aggregation = aggregation(&self.catalog, usage.meter);
            if matches!(aggregation, Aggregation::Sum | Aggregation::Count) {
                if !charge.day_holds.contains(usage.time) || charge.round != self.charges.round.number {
                    return self.rate_other_day(usage, newest);
                }
                let amount = continue_newest_day(charge, rate, aggregation, usage);
                let amount = amount.map_err(|Overflow| UnratedReason::AmountOverflow)?;
                return Ok(rated(charge, amount, charge.day.date));
            }
        }
        self.rate_elsewhere(usage, values, slot, newest)
    }

    /// Counts and rates a usage of the newest segment of a charge that does not group, on another day
    /// than its newest, or as its first change in a round of accruals: the charge and the segment are known.
    #[inline(never)]
    fn rate_other_day(&mut self, usage: &MeteredUsage<'_>, newest: u32) -> Result<RatedEvent, UnratedReason> {
        let Self { catalog, charges, service_days, .. } = self;
        let charge = charges.all.get(newest as usize).ok_or(UnratedReason::AmountOverflow)?;
        let rate = catalog.rates().get(charge.rate as usize).ok_or(UnratedReason::NoRate)?;
        let day = service_days.of(catalog, charge.legal_entity, usage.time);
        let place = Place {
            segment: charge.day.segment,
            date: day.date.days(),
            day_holds: day.holds.intersection(&charge.holds),
        };
        let rated = rated(charge, Amount::ZERO, place.date);
        let counted = rate.price.event_amount(usage.measure, usage.event_price).and_then(|amount| {
            let event = EventUsage { quantity: usage.measure, amount, is_latest: false };
            charges.add(catalog, newest, place, usage.time.micros(), &event, &event)
        });
        let amount = counted.map_err(|Overflow| UnratedReason::AmountOverflow)?;
        Ok(RatedEvent { amount, ..rated })
    }

    /// Counts and rates a usage that may belong to another charge or segment than the one met last.
    #[inline(never)]
    fn rate_elsewhere(
        &mut self,
        usage: &MeteredUsage<'_>,
        values: &DimensionValues,
        slot: usize,
        newest: u32,
    ) -> Result<RatedEvent, UnratedReason> {
        let catalog = Arc::clone(&self.catalog);
        let applicable = match self.charges.all.get(newest as usize) {
            Some(charge) if charge.holds.contains(usage.time) => self.applicable_like(charge),
            _ => applicable(&catalog, usage)?,
        };
        let rate = catalog.rates().get(applicable.rate as usize).ok_or(UnratedReason::NoRate)?;
        let before = Before {
            groups: self.groups.len(),
            charges: self.charges.all.len(),
            segments: self.charges.segments.len(),
            newest,
        };
        let mut numbers = std::mem::take(&mut self.group);
        numbers.clear();
        numbers.extend(rate.group.iter().map(|dimension| usage.details.dimension(*dimension)));
        let key = ChargeKey {
            account: usage.account,
            line: applicable.line,
            meter: usage.meter,
            period_start: applicable.period_start,
            group: self.group(&rate.group, &numbers),
        };
        let is_newest = self.charges.all.get(newest as usize).is_some_and(|charge| charge.key == key);
        let known = if is_newest { Some(newest) } else { self.by_key.get(&key).copied() };
        let segment = match known.and_then(|charge| self.charges.segment_at(charge, usage.time)) {
            Some(segment) => segment,
            None => match self.new_segment(&catalog, key, applicable, rate, &numbers, values) {
                Ok(segment) => segment,
                Err(reason) => {
                    self.undo(&before, slot, key);
                    return Err(reason);
                }
            },
        };
        self.group = numbers;
        let day = self.service_days.of(&catalog, applicable.legal_entity, usage.time);
        let day_holds = day.holds.intersection(&applicable.holds);
        let place = Place { segment, date: day.date.days(), day_holds };
        let position = if let Some(position) = known {
            position
        } else {
            let position = self.charges.open(key, applicable.legal_entity, place);
            let position = position.ok_or(UnratedReason::AmountOverflow)?;
            // The only charge of an account and a meter is found without its key.
            if let Some(other) = self.charges.all.get(newest as usize) {
                self.by_key.insert(other.key, newest);
                self.by_key.insert(key, position);
            }
            position
        };
        if let Some(newest) = self.newest.get_mut(slot) {
            *newest = position;
        }
        let amount = self.count(&catalog, position, place, rate, usage);
        if amount.is_err() {
            self.undo(&before, slot, key);
        }
        let amount = amount.map_err(|Overflow| UnratedReason::AmountOverflow)?;
        Ok(RatedEvent {
            amount,
            line: key.line,
            price_book_version: applicable.price_book_version,
            service_day: place.date,
            period_start: key.period_start,
        })
    }

    /// Takes back what was made for a usage that turned out to have no price: what is counted follows from what
    /// is rated alone.
    #[cold]
    fn undo(&mut self, before: &Before, slot: usize, key: ChargeKey) {
        if self.charges.all.len() > before.charges {
            self.charges.close_newest();
            self.by_key.remove(&key);
        }
        self.charges.segments.truncate(before.segments);
        if self.groups.len() > before.groups {
            let groups = before.groups;
            self.groups.retain(|_, number| *number as usize <= groups);
        }
        if let Some(newest) = self.newest.get_mut(slot) {
            *newest = before.newest;
        }
    }

    /// What applies in the newest segment of a charge.
    fn applicable_like(&self, charge: &Charge) -> Applicable {
        let segment = self.charges.segments.get(charge.day.segment as usize);
        Applicable {
            terms: segment.map_or(0, |segment| segment.contract_terms),
            price_book_version: charge.price_book_version,
            rate: charge.rate,
            holds: charge.holds,
            line: charge.key.line,
            legal_entity: charge.legal_entity,
            period_start: charge.key.period_start,
        }
    }

    /// The number of a combination of dimension values.
    fn group(&mut self, dimensions: &[usize], values: &[u32]) -> u32 {
        if values.is_empty() {
            return 0;
        }
        let next = u32::try_from(self.groups.len() + 1).unwrap_or(u32::MAX);
        let combination = &mut self.combination;
        combination.clear();
        for (dimension, value) in dimensions.iter().zip(values) {
            combination.extend([u32::try_from(*dimension).unwrap_or(u32::MAX), *value]);
        }
        match self.groups.get(combination.as_slice()) {
            Some(group) => *group,
            None => *self.groups.entry(combination.as_slice().into()).or_insert(next),
        }
    }

    fn new_segment(
        &mut self,
        catalog: &Catalog,
        key: ChargeKey,
        applicable: Applicable,
        rate: &Rate,
        numbers: &[u32],
        values: &DimensionValues,
    ) -> Result<u32, UnratedReason> {
        let numbered = rate.group.iter().zip(numbers);
        let texts: Vec<Option<&str>> =
            numbered.map(|(dimension, number)| values.text(*dimension, *number)).collect();
        let line = catalog.lines().get(key.line as usize).ok_or(UnratedReason::NoContractLine)?;
        let start = Date::from_days(key.period_start);
        let (_, end) = line.cycle.period_of(start);
        let days = catalog.active_days(applicable.terms, start, end).ok_or(UnratedReason::NoContractLine)?;
        let version = catalog.price_book_versions().get(applicable.price_book_version as usize);
        let segment = Segment {
            holds: applicable.holds,
            rate: applicable.rate,
            contract_terms: applicable.terms,
            price_book_version: applicable.price_book_version,
            resets: version.is_some_and(|version| version.resets_tiers),
            terms: rate.price.terms(&texts, &days)?,
        };
        self.charges.add_segment(segment).ok_or(UnratedReason::AmountOverflow)
    }

    fn count(
        &mut self,
        catalog: &Catalog,
        position: u32,
        place: Place,
        rate: &Rate,
        usage: &MeteredUsage<'_>,
    ) -> Result<Amount, Overflow> {
        let time = usage.time.micros();
        let amount = rate.price.event_amount(usage.measure, usage.event_price)?;
        let event = EventUsage { quantity: usage.measure, amount, is_latest: false };
        match aggregation(catalog, usage.meter) {
            Aggregation::Sum | Aggregation::Count | Aggregation::Max | Aggregation::Min => {
                self.charges.add(catalog, position, place, time, &event, &event)
            }
            Aggregation::Unique => self.count_distinct(catalog, position, place, usage),
            Aggregation::Latest => self.count_latest(catalog, position, place, usage, event),
        }
    }

    /// A value counts on the earliest day it appeared. A late event can move it there.
    fn count_distinct(
        &mut self,
        catalog: &Catalog,
        position: u32,
        place: Place,
        usage: &MeteredUsage<'_>,
    ) -> Result<Amount, Overflow> {
        let time = usage.time.micros();
        let value = DistinctValue::new(position, usage.measure);
        let earliest = self.distinct.get(&value).copied();
        let new = EventUsage { quantity: 1, amount: Amount::ZERO, is_latest: false };
        let known = EventUsage { quantity: 0, ..new };
        let amount = match earliest {
            None => self.charges.add(catalog, position, place, time, &new, &new)?,
            Some(earliest)
                if earliest <= time || place.day_holds.contains(Timestamp::from_micros(earliest)) =>
            {
                self.charges.add(catalog, position, place, time, &known, &known)?
            }
            Some(earliest) => {
                let earliest = Timestamp::from_micros(earliest);
                let before =
                    self.charges.all.get(position as usize).map_or(Amount::ZERO, |charge| charge.amount);
                let day = self.service_days.of(catalog, self.entity_of(position), earliest);
                self.charges.add(catalog, position, place, time, &known, &new)?;
                self.charges.move_distinct_value(catalog, position, day.date.days(), earliest)?;
                let after =
                    self.charges.all.get(position as usize).map_or(Amount::ZERO, |charge| charge.amount);
                after.checked_sub(before).map_err(|_| Overflow)?
            }
        };
        let earliest = earliest.map_or(time, |earliest| earliest.min(time));
        self.distinct.insert(value, earliest);
        Ok(amount)
    }

    fn entity_of(&self, position: u32) -> u32 {
        self.charges.all.get(position as usize).map_or(0, |charge| charge.legal_entity)
    }

    /// The latest event counts, by event time, then by id, then by source.
    fn count_latest(
        &mut self,
        catalog: &Catalog,
        position: u32,
        place: Place,
        usage: &MeteredUsage<'_>,
        event: EventUsage,
    ) -> Result<Amount, Overflow> {
        let time = usage.time.micros();
        let (source, id) = usage.details.identity();
        let identity = (id, source);
        let key = (position, place.date, place.segment);
        let same_day = |day: &&crate::charge::Day| day.date == place.date && day.segment == place.segment;
        let last_of_day = self.charges.days_of(position).find(same_day).map(|day| day.last);
        let is_latest_of_day = match (last_of_day, self.latest.get(&key)) {
            (Some(last), Some(latest)) => (time, &identity) > (last, latest),
            _ => true,
        };
        let charge = self.charges.all.get(position as usize).ok_or(Overflow)?;
        // The newest day has no events where those that opened the charge could not be priced.
        let is_later = |day: &crate::charge::Day| {
            day.segment == place.segment && day.date > place.date && day.usage.events > 0
        };
        let is_last_day = place.date >= charge.day.date
            || (charge.day.usage.events == 0 && !self.charges.days_of(position).any(is_later));
        let is_latest = is_latest_of_day && (place.segment != charge.day.segment || is_last_day);
        let in_total = EventUsage { is_latest, ..event };
        let in_day = EventUsage { is_latest: is_latest_of_day, ..event };
        let amount = self.charges.add(catalog, position, place, time, &in_total, &in_day)?;
        if is_latest_of_day {
            self.latest.insert(key, identity);
        }
        Ok(amount)
    }
}

/// Adds an event to the newest day of a charge; the difference it makes to the charge's amount.
#[inline]
fn continue_newest_day(
    charge: &mut Charge,
    rate: &Rate,
    aggregation: Aggregation,
    usage: &MeteredUsage<'_>,
) -> Result<Amount, Overflow> {
    let amount = rate.price.event_amount(usage.measure, usage.event_price)?;
    let event = EventUsage { quantity: usage.measure, amount, is_latest: false };
    let in_total = add_event(aggregation, &charge.usage, &event)?;
    let in_day = add_event(aggregation, &charge.day.usage, &event)?;
    let priced = rate.price.amount(charge.terms, &in_total)?;
    let total = charge.base.checked_add(priced).map_err(|_| Overflow)?;
    let difference = total.checked_sub(charge.amount).map_err(|_| Overflow)?;
    charge.usage = in_total;
    charge.day = charge.day.with(in_day, usage.time.micros());
    charge.amount = total;
    Ok(difference)
}

#[inline]
const fn rated(charge: &Charge, amount: Amount, date: i32) -> RatedEvent {
    RatedEvent {
        amount,
        line: charge.key.line,
        price_book_version: charge.price_book_version,
        service_day: date,
        period_start: charge.key.period_start,
    }
}

/// What the catalog says of a usage, limited to its billing period.
fn applicable(catalog: &Catalog, usage: &MeteredUsage<'_>) -> Result<Applicable, UnratedReason> {
    let Resolution { terms, price_book_version, rate, holds } =
        catalog.resolve(usage.account, usage.meter, usage.time)?;
    let line = catalog.terms().get(terms as usize).ok_or(UnratedReason::NoContractLine)?.line;
    let document = catalog.lines().get(line as usize).ok_or(UnratedReason::NoContractLine)?;
    let entity = catalog.legal_entities().get(document.legal_entity as usize);
    let zone = &entity.ok_or(UnratedReason::NoContractLine)?.timezone;
    let (start, end) = document.cycle.period_of(zone.day_of(usage.time).0);
    let period = Period { start: zone.start_of(start), end: zone.start_of(end) };
    Ok(Applicable {
        terms,
        price_book_version,
        rate,
        holds: holds.intersection(&period),
        line,
        legal_entity: document.legal_entity,
        period_start: start.days(),
    })
}
