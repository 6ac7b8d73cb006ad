//! Accruals: what each contract line earned with each meter on each day.
//!
//! Made from running totals: the days of a charge, in order of event time, each add the difference
//! `f(after) - f(before)`. Charges of several accounts under one line are added up. The amount of a day
//! in whole minor units is the difference of two rounded cumulative amounts of the billing period, so a
//! period's days sum to the period's amount rounded once (ACCR-1). Order of arrival plays no part: two
//! orders of the same events give the same accruals (RATE-2).

use rating::Overflow;
use rating::price::TierLine;
use rating::rounding::rescale_rounded;
use schemas::decimal::power_of_ten;
use schemas::money::{AMOUNT_SCALE, Amount};
use schemas::quantity::QUANTITY_SCALE;

use crate::charge::Fold;
use crate::charges::FoldStep;
use crate::running_totals::RunningTotals;

/// The accrual of one contract line, meter and day. Positions are those of the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccrualRow {
    /// Contract line.
    pub line: u32,
    /// Meter.
    pub meter: u16,
    /// Terms of the contract line at the end of the day.
    pub terms: u32,
    /// Price book version at the end of the day.
    pub price_book_version: u32,
    /// Rate at the end of the day.
    pub rate: u32,
    /// Day of use, as days since 1970.
    pub service_day: i32,
    /// First day of the billing period, as days since 1970.
    pub period_start: i32,
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
    /// Exact amount the day added.
    pub amount: Amount,
    /// Exact amount of the billing period so far.
    pub cumulative_amount: Amount,
    /// Amount of the day in whole minor units, as a count of them.
    pub net_minor_units: i128,
    /// The day's amount by tier.
    pub tiers: Vec<TierLine>,
}

/// The charges of one contract line, meter and billing period: what one run of days accrues for.
#[derive(Clone, Debug)]
pub struct AccrualGroup {
    charges: std::ops::Range<usize>,
}

/// The order accruals are made in: by legal entity, currency, contract line, meter and period.
#[derive(Debug)]
pub struct AccrualPlan {
    /// Charges, group by group.
    order: Vec<u32>,
    groups: Vec<AccrualGroup>,
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
        let charges = &totals.charges.charges;
        let key = |position: u32| {
            let key = charges.get(position as usize)?.key;
            let line = line_ranks.get(key.line as usize).copied()?;
            let meter = meter_ranks.get(usize::from(key.meter)).copied()?;
            Some((line, meter, key.period_start))
        };
        let mut order: Vec<u32> = (0..u32::try_from(charges.len()).unwrap_or(u32::MAX)).collect();
        // The account decides between charges of one group, so that the order is total.
        order.sort_by_cached_key(|position| {
            (
                key(*position),
                charges.get(*position as usize).map(|charge| (charge.key.account, charge.key.group)),
            )
        });
        let mut groups: Vec<AccrualGroup> = Vec::new();
        let mut previous = None;
        for (position, charge) in order.iter().enumerate() {
            let key = key(*charge);
            match groups.last_mut() {
                Some(group) if previous == key => group.charges.end = position + 1,
                _ => groups.push(AccrualGroup { charges: position..position + 1 }),
            }
            previous = key;
        }
        Self { order, groups }
    }

    /// The groups, in order.
    #[must_use]
    pub fn groups(&self) -> &[AccrualGroup] {
        &self.groups
    }

    /// Makes the accruals of groups, in order.
    ///
    /// # Errors
    /// [`Overflow`] when a total needs more than 38 digits.
    pub fn accrue(
        &self,
        totals: &RunningTotals,
        groups: &[AccrualGroup],
    ) -> Result<Vec<AccrualRow>, Overflow> {
        let mut rows = Vec::new();
        let mut scratch = Scratch::default();
        for group in groups {
            let charges = self.order.get(group.charges.clone()).unwrap_or_default();
            accrue_group(totals, charges, &mut scratch, &mut rows)?;
        }
        Ok(rows)
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

/// Buffers that are used again for every group.
#[derive(Default)]
struct Scratch {
    days: Vec<crate::charge::Day>,
    before: Vec<TierLine>,
    after: Vec<TierLine>,
    by_date: Vec<AccrualRow>,
}

/// Makes the accruals of one line, meter and period.
fn accrue_group(
    totals: &RunningTotals,
    charges: &[u32],
    scratch: &mut Scratch,
    rows: &mut Vec<AccrualRow>,
) -> Result<(), Overflow> {
    let Scratch { days, before, after, by_date } = scratch;
    by_date.clear();
    for position in charges {
        days.clear();
        days.extend(totals.charges.days_of(*position).copied());
        totals.charges.sort(days);
        let charge = totals.charges.charges.get(*position as usize).ok_or(Overflow)?;
        let key = charge.key;
        let meter_factor = meter_factor(totals, key.meter)?;
        let mut add = |step: &FoldStep<'_>| {
            before.clear();
            after.clear();
            step.price.breakdown(step.segment.terms, &step.before.usage, before)?;
            step.price.breakdown(step.segment.terms, &step.after.usage, after)?;
            let row = day_row(by_date, step, key.line, key.meter, key.period_start);
            let quantity =
                step.after.usage.quantity.checked_sub(step.before.usage.quantity).ok_or(Overflow)?;
            let quantity = quantity.checked_mul(meter_factor).ok_or(Overflow)?;
            row.quantity = row.quantity.checked_add(quantity).ok_or(Overflow)?;
            row.event_count = row.event_count.checked_add(step.day.usage.events).ok_or(Overflow)?;
            row.first_event_time = row.first_event_time.min(step.day.first);
            row.last_event_time = row.last_event_time.max(step.day.last);
            let amount = step.after.amount.checked_sub(step.before.amount).map_err(|_| Overflow)?;
            row.amount = row.amount.checked_add(amount).map_err(|_| Overflow)?;
            let tier_factor = quantity_factor(step.price.priced_decimals)?;
            add_tier_differences(before, after, tier_factor, &mut row.tiers)
        };
        totals.charges.fold_days(&totals.catalog, *position, days, &mut Fold::default(), &mut add)?;
    }
    by_date.sort_by_key(|row| row.service_day);
    accumulate(totals, by_date)?;
    rows.append(by_date);
    Ok(())
}

/// The row of a day, new or begun by another charge of the group.
fn day_row<'a>(
    rows: &'a mut Vec<AccrualRow>,
    step: &FoldStep<'_>,
    line: u32,
    meter: u16,
    period_start: i32,
) -> &'a mut AccrualRow {
    let known = rows.iter().rposition(|row| row.service_day == step.day.date);
    let position = known.unwrap_or(rows.len());
    if known.is_none() {
        rows.push(AccrualRow {
            line,
            meter,
            terms: step.segment.contract_terms,
            price_book_version: step.segment.price_book_version,
            rate: step.segment.rate,
            service_day: step.day.date,
            period_start,
            first_event_time: i64::MAX,
            last_event_time: i64::MIN,
            event_count: 0,
            quantity: 0,
            cumulative_quantity: 0,
            amount: Amount::ZERO,
            cumulative_amount: Amount::ZERO,
            net_minor_units: 0,
            tiers: Vec::new(),
        });
    }
    #[expect(clippy::indexing_slicing, reason = "the position was found or has just been pushed")]
    let row = &mut rows[position];
    // Segments come in order of time: the last of the day speaks for it.
    row.terms = step.segment.contract_terms;
    row.price_book_version = step.segment.price_book_version;
    row.rate = step.segment.rate;
    row
}

/// Fills in what is cumulative, and rounds.
fn accumulate(totals: &RunningTotals, rows: &mut [AccrualRow]) -> Result<(), Overflow> {
    let catalog = &totals.catalog;
    let Some(first) = rows.first() else { return Ok(()) };
    let line = catalog.lines().get(first.line as usize).ok_or(Overflow)?;
    let entity = catalog.legal_entities().get(line.legal_entity as usize).ok_or(Overflow)?;
    let exponent = line.currency.exponent();
    let (mut quantity, mut amount, mut rounded) = (0i128, Amount::ZERO, 0i128);
    for row in rows {
        quantity = quantity.checked_add(row.quantity).ok_or(Overflow)?;
        amount = amount.checked_add(row.amount).map_err(|_| Overflow)?;
        let rounded_now = rescale_rounded(amount.units(), AMOUNT_SCALE, exponent, entity.rounding)?;
        row.cumulative_quantity = quantity;
        row.cumulative_amount = amount;
        row.net_minor_units = rounded_now.checked_sub(rounded).ok_or(Overflow)?;
        rounded = rounded_now;
    }
    Ok(())
}

/// From a meter's counts to `10^-12`.
fn meter_factor(totals: &RunningTotals, meter: u16) -> Result<i128, Overflow> {
    let meter = totals.catalog.meters().get(usize::from(meter)).ok_or(Overflow)?;
    quantity_factor(if meter.aggregation.is_numeric() { meter.decimals } else { 0 })
}

fn quantity_factor(decimals: u8) -> Result<i128, Overflow> {
    QUANTITY_SCALE.checked_sub(decimals).and_then(power_of_ten).ok_or(Overflow)
}

/// Adds what each tier changed by; quantities become counts of `10^-12`.
fn add_tier_differences(
    before: &[TierLine],
    after: &[TierLine],
    factor: i128,
    tiers: &mut Vec<TierLine>,
) -> Result<(), Overflow> {
    let signed = after.iter().map(|line| (1i128, line)).chain(before.iter().map(|line| (-1, line)));
    for (sign, line) in signed {
        let scaled = |counts: i128| counts.checked_mul(factor).ok_or(Overflow);
        let lower_bound = scaled(line.lower_bound)?;
        let upper_bound = line.upper_bound.map(scaled).transpose()?;
        let same = |tier: &TierLine| {
            tier.tier == line.tier
                && tier.unit_price == line.unit_price
                && tier.lower_bound == lower_bound
                && tier.upper_bound == upper_bound
        };
        let position = match tiers.iter().position(same) {
            Some(position) => position,
            None => {
                tiers.push(TierLine {
                    lower_bound,
                    upper_bound,
                    quantity: 0,
                    flat_amount: 0,
                    amount: 0,
                    ..*line
                });
                tiers.len() - 1
            }
        };
        let Some(tier) = tiers.get_mut(position) else { continue };
        let add = |to: i128, part: i128| to.checked_add(part.checked_mul(sign)?);
        tier.quantity = add(tier.quantity, scaled(line.quantity)?).ok_or(Overflow)?;
        tier.flat_amount = add(tier.flat_amount, line.flat_amount).ok_or(Overflow)?;
        tier.amount = add(tier.amount, line.amount).ok_or(Overflow)?;
    }
    tiers.retain(|tier| tier.quantity != 0 || tier.amount != 0 || tier.flat_amount != 0);
    tiers.sort_by_key(|tier| (tier.tier, tier.unit_price, tier.lower_bound));
    Ok(())
}
