//! Makes the accruals of groups, one after another.

use rating::Overflow;
use schemas::decimal::power_of_ten;
use schemas::quantity::QUANTITY_SCALE;

use super::group::AccrualGroup;
use super::tier_difference::TierDifference;
use crate::accrual_round::{FIRST_REVISION, Revisions};
use crate::charge::{Charge, ChargeKey, Day, Fold, NO_DAY};
use crate::charges::{Charges, FoldStep};
use crate::running_totals::RunningTotals;

/// Makes groups one after another in the same buffers.
pub(super) struct Maker<'a> {
    totals: &'a RunningTotals,
    /// Charges aimed at, then the days behind them, each round a day further.
    aims: Vec<u32>,
    /// The newest segments of these charges.
    segments: Vec<u32>,
    days: Vec<Day>,
    tiers: TierDifference,
    /// The group that is made, as it was before the round.
    before: AccrualGroup,
}

/// Two times to see the days of a charge at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum As {
    TheyAre,
    BeforeTheRound,
}

impl<'a> Maker<'a> {
    pub(super) fn new(totals: &'a RunningTotals) -> Self {
        Self {
            totals,
            aims: Vec::new(),
            segments: Vec::new(),
            days: Vec::new(),
            tiers: TierDifference::default(),
            before: AccrualGroup::default(),
        }
    }

    /// Charges that [`Maker::touch`] will load.
    pub(super) fn aim(&mut self, charges: &[u32]) {
        self.aims.extend_from_slice(charges);
    }

    /// Loads the charges aimed at, their segments and days, all of a round before the next, so that the
    /// misses overlap: charges lie in order of appearance, and a charge's days anywhere.
    pub(super) fn touch(&mut self) {
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
        std::hint::black_box(loaded);
        charges.touch_days(&mut self.aims);
    }

    /// Makes the accruals of a group that changed, and adds which revisions they are.
    pub(super) fn make(
        &mut self,
        charges: &[u32],
        group: &mut AccrualGroup,
        revisions: &mut Revisions,
    ) -> Result<(), Overflow> {
        let first = charges.first().and_then(|charge| self.totals.charges.all.get(*charge as usize));
        let ChargeKey { line, meter, period_start, .. } = first.ok_or(Overflow)?.key;
        let mut before = std::mem::take(&mut self.before);
        group.begin(line, meter, period_start);
        before.begin(line, meter, period_start);
        let (from, last_accrued) = self.extent(charges);
        if let Some(from) = from {
            self.fold(charges, As::TheyAre, from, group)?;
            if last_accrued >= Some(from) {
                self.fold(charges, As::BeforeTheRound, from, &mut before)?;
            }
            group.keep_changed(&before, from)?;
            self.note_revisions(charges, group, revisions);
        }
        self.before = before;
        Ok(())
    }

    /// The first date at which a group changed in the round, if it did, and the last that was accrued
    /// before. Accruals of earlier dates cannot have changed: what a day adds depends on days before it.
    fn extent(&self, charges: &[u32]) -> (Option<i32>, Option<i32>) {
        let Charges { all, round, .. } = &self.totals.charges;
        let (mut from, mut last_accrued) = (None, None);
        for position in charges {
            let is_touched = all.get(*position as usize).is_some_and(|charge| charge.round == round.number);
            for day in self.totals.charges.days_of(*position).filter(|day| day.usage.events > 0) {
                if day.revision > 0 {
                    last_accrued = last_accrued.max(Some(day.date));
                }
                if is_touched && round.may_differ(*position, day) {
                    from = Some(from.map_or(day.date, |from: i32| from.min(day.date)));
                }
            }
        }
        (from, last_accrued)
    }

    /// Adds up the days of a group's charges; in detail from a date on.
    fn fold(
        &mut self,
        charges: &[u32],
        seen: As,
        from: i32,
        group: &mut AccrualGroup,
    ) -> Result<(), Overflow> {
        let Self { totals, days, tiers, .. } = self;
        let meter_factor = meter_factor(totals, group.meter)?;
        for position in charges {
            let now = totals.charges.days_of(*position);
            days.clear();
            match seen {
                As::TheyAre => days.extend(now),
                As::BeforeTheRound => {
                    days.extend(now.filter_map(|day| totals.charges.round.before(*position, day)));
                }
            }
            totals.charges.sort(days);
            tiers.begin();
            totals.charges.fold_days(&totals.catalog, *position, days, &mut Fold::default(), |step| {
                add_day(group, step, meter_factor, from, tiers)
            })?;
        }
        group.accumulate(totals)
    }

    /// Notes which days of a group's charges are in a revision after the first.
    fn note_revisions(&self, charges: &[u32], group: &AccrualGroup, revisions: &mut Revisions) {
        if group.days().iter().all(|day| day.revision == FIRST_REVISION) {
            return;
        }
        for charge in charges {
            for Day { date, .. } in self.totals.charges.days_of(*charge) {
                let made = group.days().binary_search_by_key(date, |made| made.service_day);
                let made = made.ok().and_then(|made| group.days().get(made));
                if let Some(made) = made.filter(|made| made.revision > FIRST_REVISION) {
                    revisions.note(*charge, *date, made.revision);
                }
            }
        }
    }
}

/// Adds what a day of a charge changed.
fn add_day(
    group: &mut AccrualGroup,
    step: &FoldStep<'_>,
    meter_factor: i128,
    from: i32,
    tiers: &mut TierDifference,
) -> Result<(), Overflow> {
    let day = group.day(step.day.date);
    let quantity = step.after.usage.quantity.checked_sub(step.before.usage.quantity).ok_or(Overflow)?;
    let quantity = quantity.checked_mul(meter_factor).ok_or(Overflow)?;
    day.quantity = day.quantity.checked_add(quantity).ok_or(Overflow)?;
    let amount = step.after.amount.checked_sub(step.before.amount).map_err(|_| Overflow)?;
    day.amount = day.amount.checked_add(amount).map_err(|_| Overflow)?;
    if step.day.date < from {
        return Ok(());
    }
    // The last segment of the day speaks for it, whichever charge it is of.
    let segment_start = step.segment.holds.start.micros();
    if segment_start >= day.segment_start {
        day.segment_start = segment_start;
        day.terms = step.segment.contract_terms;
        day.price_book_version = step.segment.price_book_version;
        day.rate = step.segment.rate;
    }
    day.revision = day.revision.max(step.day.revision);
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
    tiers.add(step, &mut day.tiers)
}

/// From a meter's counts to `10^-12`.
fn meter_factor(totals: &RunningTotals, meter: u16) -> Result<i128, Overflow> {
    let meter = totals.catalog.meters().get(usize::from(meter)).ok_or(Overflow)?;
    quantity_factor(if meter.aggregation.is_numeric() { meter.decimals } else { 0 })
}

pub(super) fn quantity_factor(decimals: u8) -> Result<i128, Overflow> {
    QUANTITY_SCALE.checked_sub(decimals).and_then(power_of_ten).ok_or(Overflow)
}
