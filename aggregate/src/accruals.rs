//! Accruals: what each contract line earned with each meter on each day.
//!
//! Made from running totals: the days of a charge, in order of event time, each add the difference
//! `f(after) - f(before)`. Charges of several accounts under one line are added up. The amount of a day
//! in whole minor units is the difference of two rounded cumulative amounts of the billing period, so a
//! period's days sum to the period's amount rounded once (ACCR-1). Order of arrival plays no part: two
//! orders of the same events give the same accruals (RATE-2).

#[cfg(test)]
mod tests;

use std::ops::Range;

use rating::Overflow;
use rating::price::{Price, Terms, TierLine, Usage};
use rating::rounding::rescale_rounded;
use schemas::decimal::power_of_ten;
use schemas::money::{AMOUNT_SCALE, Amount};
use schemas::quantity::QUANTITY_SCALE;

use crate::charge::{Charge, Day, Fold, NO_DAY};
use crate::charges::FoldStep;
use crate::running_totals::RunningTotals;

/// The accruals of one contract line, meter and billing period, by day.
#[derive(Debug, Default)]
pub struct AccrualGroup {
    /// Contract line, as a position in the catalog.
    pub line: u32,
    /// Meter, as a position in the catalog.
    pub meter: u16,
    /// First day of the billing period, as days since 1970.
    pub period_start: i32,
    days: Vec<AccrualDay>,
    /// How many of the days are in use; the others keep their buffers.
    used: usize,
}

/// The accrual of one day.
#[derive(Debug, Default)]
pub struct AccrualDay {
    /// Day of use, as days since 1970.
    pub service_day: i32,
    /// Terms of the contract line at the end of the day, as a position in the catalog.
    pub terms: u32,
    /// Price book version at the end of the day, as a position in the catalog.
    pub price_book_version: u32,
    /// Rate at the end of the day, as a position in the catalog.
    pub rate: u32,
    /// Event time of the first event of the day, in microseconds.
    pub first_event_time: i64,
    /// Event time of the last event of the day, in microseconds.
    pub last_event_time: i64,
    /// Events of the day.
    pub event_count: u64,
    /// Quantity the day added, in `10^-12`.
    pub quantity: i128,
    /// Quantity of the billing period so far, in `10^-12`.
    pub cumulative_quantity: i128,
    /// Quantity the day added in the unit that is priced, in `10^-12`; the free part included.
    pub billable_quantity: i128,
    /// The part of the billable quantity that the free quantity covered, in `10^-12`.
    pub allowance_quantity: i128,
    /// Exact amount the day added.
    pub amount: Amount,
    /// Exact amount of the billing period so far.
    pub cumulative_amount: Amount,
    /// Amount of the day in whole minor units, as a count of them.
    pub net_minor_units: i128,
    /// The day's amount by tier.
    pub tiers: Vec<TierLine>,
}

impl AccrualGroup {
    /// The days, in order.
    #[must_use]
    pub fn days(&self) -> &[AccrualDay] {
        self.days.get(..self.used).unwrap_or_default()
    }

    /// Begins another group.
    fn begin(&mut self, line: u32, meter: u16, period_start: i32) {
        (self.line, self.meter, self.period_start) = (line, meter, period_start);
        self.used = 0;
    }

    /// The day of a date, new or begun by another charge of the group.
    fn day(&mut self, date: i32) -> &mut AccrualDay {
        let known = self.days().iter().rposition(|day| day.service_day == date);
        let position = known.unwrap_or_else(|| {
            if self.used == self.days.len() {
                self.days.push(AccrualDay::default());
            }
            self.used += 1;
            self.used - 1
        });
        #[expect(clippy::indexing_slicing, reason = "the position was found or is the last of those in use")]
        let day = &mut self.days[position];
        if known.is_none() {
            let mut tiers = std::mem::take(&mut day.tiers);
            tiers.clear();
            *day = AccrualDay {
                service_day: date,
                first_event_time: i64::MAX,
                last_event_time: i64::MIN,
                tiers,
                ..AccrualDay::default()
            };
        }
        day
    }

    /// Puts the days in order, fills in what is cumulative, and rounds.
    fn accumulate(&mut self, totals: &RunningTotals) -> Result<(), Overflow> {
        let catalog = &totals.catalog;
        let line = catalog.lines().get(self.line as usize).ok_or(Overflow)?;
        let entity = catalog.legal_entities().get(line.legal_entity as usize).ok_or(Overflow)?;
        let exponent = line.currency.exponent();
        let (mut quantity, mut amount, mut rounded) = (0i128, Amount::ZERO, 0i128);
        let days = self.days.get_mut(..self.used).unwrap_or_default();
        days.sort_by_key(|day| day.service_day);
        for day in days {
            quantity = quantity.checked_add(day.quantity).ok_or(Overflow)?;
            amount = amount.checked_add(day.amount).map_err(|_| Overflow)?;
            let rounded_now = rescale_rounded(amount.units(), AMOUNT_SCALE, exponent, entity.rounding)?;
            day.cumulative_quantity = quantity;
            day.cumulative_amount = amount;
            day.net_minor_units = rounded_now.checked_sub(rounded).ok_or(Overflow)?;
            rounded = rounded_now;
        }
        Ok(())
    }
}

/// The order accruals are made in: by legal entity, currency, contract line, meter and period.
#[derive(Debug)]
pub struct AccrualPlan {
    /// Charges, group by group.
    order: Vec<u32>,
    groups: Vec<Range<usize>>,
}

impl AccrualPlan {
    /// Sorts the charges of running totals into groups.
    #[must_use]
    pub fn new(totals: &RunningTotals) -> Self {
        let catalog = &totals.catalog;
        let entity_id =
            |entity: u32| catalog.legal_entities().get(entity as usize).map(|entity| entity.id.as_str());
        let line_ranks =
            ranks(catalog.lines(), |line| (entity_id(line.legal_entity), line.currency, line.id.as_str()));
        let meter_ranks = ranks(catalog.meters(), |meter| meter.id.as_str());
        let rank = |ranks: &[u32], position: usize| ranks.get(position).copied().unwrap_or(u32::MAX);
        // The account and the group decide between charges of one line, so that the order is total.
        let mut keyed: Vec<_> = (0u32..)
            .zip(&totals.charges.all)
            .map(|(position, charge)| {
                let key = charge.key;
                let line = rank(&line_ranks, key.line as usize);
                let meter = rank(&meter_ranks, usize::from(key.meter));
                ((line, meter, key.period_start), (key.account, key.group), position)
            })
            .collect();
        keyed.sort_unstable();
        let mut groups: Vec<Range<usize>> = Vec::new();
        let mut previous = None;
        for (position, (key, ..)) in keyed.iter().enumerate() {
            match groups.last_mut() {
                Some(group) if previous == Some(key) => group.end = position + 1,
                _ => groups.push(position..position + 1),
            }
            previous = Some(key);
        }
        Self { order: keyed.into_iter().map(|(.., position)| position).collect(), groups }
    }

    /// Number of groups.
    #[must_use]
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Are there no groups?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Makes the accruals of some groups, in order, and hands them over, some at a time.
    ///
    /// # Errors
    /// What `take` says; [`Overflow`] when a total needs more than 38 digits.
    pub fn accrue<E: From<Overflow>>(
        &self,
        totals: &RunningTotals,
        groups: Range<usize>,
        mut take: impl FnMut(&[AccrualGroup]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut maker = Maker::new(totals);
        let mut made: Vec<AccrualGroup> =
            std::iter::repeat_with(AccrualGroup::default).take(GROUPS).collect();
        for groups in self.groups.get(groups).unwrap_or_default().chunks(GROUPS) {
            for group in groups {
                maker.aim(self.order.get(group.clone()).unwrap_or_default());
            }
            maker.touch();
            for (group, made) in groups.iter().zip(&mut made) {
                maker.make(self.order.get(group.clone()).unwrap_or_default(), made)?;
            }
            take(made.get(..groups.len()).unwrap_or_default())?;
        }
        Ok(())
    }
}

/// The rank of each element in the order of its key.
fn ranks<'a, T, K: Ord>(elements: &'a [T], key: impl Fn(&'a T) -> K) -> Vec<u32> {
    let mut order: Vec<usize> = (0..elements.len()).collect();
    order.sort_by_cached_key(|position| elements.get(*position).map(&key));
    let mut ranks = vec![0; elements.len()];
    for (rank, position) in (0u32..).zip(order) {
        if let Some(place) = ranks.get_mut(position) {
            *place = rank;
        }
    }
    ranks
}

/// Groups that are made and handed over together; their charges and days are loaded ahead.
const GROUPS: usize = 32;

/// Makes groups one after another in the same buffers.
struct Maker<'a> {
    totals: &'a RunningTotals,
    /// Charges aimed at, then the days behind them, each round a day further.
    aims: Vec<u32>,
    /// The newest segments of these charges.
    segments: Vec<u32>,
    days: Vec<Day>,
    tiers: TierDifference,
}

impl<'a> Maker<'a> {
    fn new(totals: &'a RunningTotals) -> Self {
        Self {
            totals,
            aims: Vec::new(),
            segments: Vec::new(),
            days: Vec::new(),
            tiers: TierDifference::default(),
        }
    }

    /// Charges that [`Maker::touch`] will load.
    fn aim(&mut self, charges: &[u32]) {
        self.aims.extend_from_slice(charges);
    }

    /// Loads the charges aimed at, their segments and days, all of a round before the next, so that the
    /// misses overlap: charges lie in order of appearance, and a charge's days anywhere.
    fn touch(&mut self) {
        let charges = &self.totals.charges;
        let mut loaded = 0;
        self.aims.retain_mut(|aim| {
            let charge = charges.all.get(*aim as usize);
            loaded ^= charge.map_or(0, Charge::touch);
            *aim = charge.map_or(NO_DAY, |charge| charge.day.next);
            self.segments.extend(charge.map(|charge| charge.day.segment));
            *aim != NO_DAY
        });
        for segment in self.segments.drain(..) {
            loaded ^= charges.segments.get(segment as usize).map_or(0, |segment| u64::from(segment.rate));
        }
        while !self.aims.is_empty() {
            self.aims.retain_mut(|aim| {
                let day = charges.days.get(*aim as usize);
                loaded ^= day.map_or(0, |day| day.usage.events);
                *aim = day.map_or(NO_DAY, |day| day.next);
                *aim != NO_DAY
            });
        }
        std::hint::black_box(loaded);
    }

    fn make(&mut self, charges: &[u32], group: &mut AccrualGroup) -> Result<(), Overflow> {
        let Self { totals, days, tiers, .. } = self;
        let key_of = |position: u32| totals.charges.all.get(position as usize).map(|charge| charge.key);
        let key = charges.first().and_then(|charge| key_of(*charge)).ok_or(Overflow)?;
        group.begin(key.line, key.meter, key.period_start);
        let meter_factor = meter_factor(totals, key.meter)?;
        for position in charges {
            days.clear();
            days.extend(totals.charges.days_of(*position).copied());
            totals.charges.sort(days);
            tiers.begin();
            totals.charges.fold_days(&totals.catalog, *position, days, &mut Fold::default(), |step| {
                add_day(group, step, meter_factor, tiers)
            })?;
        }
        group.accumulate(totals)
    }
}

/// Adds what a day of a charge changed.
fn add_day(
    group: &mut AccrualGroup,
    step: &FoldStep<'_>,
    meter_factor: i128,
    tiers: &mut TierDifference,
) -> Result<(), Overflow> {
    let day = group.day(step.day.date);
    // Segments come in order of time: the last of the day speaks for it.
    day.terms = step.segment.contract_terms;
    day.price_book_version = step.segment.price_book_version;
    day.rate = step.segment.rate;
    let quantity = step.after.usage.quantity.checked_sub(step.before.usage.quantity).ok_or(Overflow)?;
    let quantity = quantity.checked_mul(meter_factor).ok_or(Overflow)?;
    day.quantity = day.quantity.checked_add(quantity).ok_or(Overflow)?;
    let before = step.price.billable(&step.before.usage)?;
    let after = step.price.billable(&step.after.usage)?;
    let factor = quantity_factor(step.price.priced_decimals)?;
    let add_difference = |to: i128, before: i128, after: i128| {
        let difference = after.checked_sub(before)?.checked_mul(factor)?;
        to.checked_add(difference)
    };
    day.billable_quantity =
        add_difference(day.billable_quantity, before.quantity, after.quantity).ok_or(Overflow)?;
    day.allowance_quantity =
        add_difference(day.allowance_quantity, before.allowance, after.allowance).ok_or(Overflow)?;
    day.event_count = day.event_count.checked_add(step.day.usage.events).ok_or(Overflow)?;
    day.first_event_time = day.first_event_time.min(step.day.first);
    day.last_event_time = day.last_event_time.max(step.day.last);
    let amount = step.after.amount.checked_sub(step.before.amount).map_err(|_| Overflow)?;
    day.amount = day.amount.checked_add(amount).map_err(|_| Overflow)?;
    tiers.add(step.price, step.segment.terms, &step.before.usage, &step.after.usage, &mut day.tiers)
}

/// From a meter's counts to `10^-12`.
fn meter_factor(totals: &RunningTotals, meter: u16) -> Result<i128, Overflow> {
    let meter = totals.catalog.meters().get(usize::from(meter)).ok_or(Overflow)?;
    quantity_factor(if meter.aggregation.is_numeric() { meter.decimals } else { 0 })
}

fn quantity_factor(decimals: u8) -> Result<i128, Overflow> {
    QUANTITY_SCALE.checked_sub(decimals).and_then(power_of_ten).ok_or(Overflow)
}

/// What usage changes in the amounts of tiers.
#[derive(Default)]
struct TierDifference {
    before: Vec<TierLine>,
    after: Vec<TierLine>,
    /// The usage that `after` is of.
    of: Option<Usage>,
}

impl TierDifference {
    /// Begins another charge.
    fn begin(&mut self) {
        self.of = None;
    }

    /// Adds what each tier changes by; quantities become counts of `10^-12`.
    fn add(
        &mut self,
        price: &Price,
        terms: Terms,
        before: &Usage,
        after: &Usage,
        tiers: &mut Vec<TierLine>,
    ) -> Result<(), Overflow> {
        std::mem::swap(&mut self.before, &mut self.after);
        // A day mostly begins where the day before ended.
        if self.of.as_ref() != Some(before) {
            self.before.clear();
            price.breakdown(terms, before, &mut self.before)?;
        }
        self.after.clear();
        price.breakdown(terms, after, &mut self.after)?;
        self.of = Some(*after);
        let factor = quantity_factor(price.priced_decimals)?;
        for line in &self.after {
            add_line(tiers, line, factor, 1)?;
        }
        for line in &self.before {
            add_line(tiers, line, factor, -1)?;
        }
        tiers.retain(|tier| tier.quantity != 0 || tier.amount != 0 || tier.flat_amount != 0);
        tiers.sort_by_key(|tier| (tier.tier, tier.unit_price, tier.lower_bound));
        Ok(())
    }
}

fn add_line(tiers: &mut Vec<TierLine>, line: &TierLine, factor: i128, sign: i128) -> Result<(), Overflow> {
    let scaled = |counts: i128| counts.checked_mul(factor).ok_or(Overflow);
    let lower_bound = scaled(line.lower_bound)?;
    let upper_bound = line.upper_bound.map(scaled).transpose()?;
    let is_same = |tier: &TierLine| {
        tier.tier == line.tier
            && tier.unit_price == line.unit_price
            && tier.lower_bound == lower_bound
            && tier.upper_bound == upper_bound
    };
    let position = tiers.iter().position(is_same).unwrap_or_else(|| {
        tiers.push(TierLine { lower_bound, upper_bound, quantity: 0, flat_amount: 0, amount: 0, ..*line });
        tiers.len() - 1
    });
    let Some(tier) = tiers.get_mut(position) else { return Ok(()) };
    let add = |to: i128, part: i128| to.checked_add(part.checked_mul(sign)?);
    tier.quantity = add(tier.quantity, scaled(line.quantity)?).ok_or(Overflow)?;
    tier.flat_amount = add(tier.flat_amount, line.flat_amount).ok_or(Overflow)?;
    tier.amount = add(tier.amount, line.amount).ok_or(Overflow)?;
    Ok(())
}
