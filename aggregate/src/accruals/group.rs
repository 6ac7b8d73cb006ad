//! The accruals of a contract line, meter and billing period.

use rating::Overflow;
use rating::price::TierLine;
use rating::rounding::rescale_rounded;
use schemas::money::{AMOUNT_SCALE, Amount};

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
#[derive(Debug, Default, PartialEq, Eq)]
pub struct AccrualDay {
    /// Day of use, as days since 1970.
    pub service_day: i32,
    /// Revision of the accrual, 1 for the first.
    pub revision: u32,
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
    /// Amount in the revision before, as a count of whole minor units; 0 where there is none.
    pub previous_net_minor_units: i128,
    /// Events of the day less those of the revision before.
    pub delta_event_count: i64,
    /// Quantity less that of the revision before, in `10^-12`.
    pub delta_quantity: i128,
    /// Exact amount less that of the revision before.
    pub delta_amount: Amount,
    /// The day's amount by tier.
    pub tiers: Vec<TierLine>,
    /// When the segment begins whose terms, price book version and rate the day has, in microseconds.
    pub(super) segment_start: i64,
}

impl AccrualGroup {
    /// The days, in order.
    #[must_use]
    pub fn days(&self) -> &[AccrualDay] {
        self.days.get(..self.used).unwrap_or_default()
    }

    /// Begins another group.
    pub(super) fn begin(&mut self, line: u32, meter: u16, period_start: i32) {
        (self.line, self.meter, self.period_start) = (line, meter, period_start);
        self.used = 0;
    }

    /// The day of a date, new or begun by another charge of the group.
    pub(super) fn day(&mut self, date: i32) -> &mut AccrualDay {
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
                segment_start: i64::MIN,
                tiers,
                ..AccrualDay::default()
            };
        }
        day
    }

    /// Puts the days in order, fills in what is cumulative, and rounds.
    pub(super) fn accumulate(&mut self, totals: &RunningTotals) -> Result<(), Overflow> {
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

    /// Keeps the days that differ from those before, as their next revisions. Days before `from` do not.
    pub(super) fn keep_changed(&mut self, before: &Self, from: i32) -> Result<(), Overflow> {
        let used = std::mem::take(&mut self.used);
        for position in 0..used {
            let Some(day) = self.days.get_mut(position) else { break };
            let known = before.days.get(..before.used).unwrap_or_default();
            let known = known.binary_search_by_key(&day.service_day, |known| known.service_day);
            let known = known.ok().and_then(|known| before.days.get(known));
            if day.service_day < from || known == Some(day) {
                continue;
            }
            day.follow(known)?;
            self.days.swap(self.used, position);
            self.used += 1;
        }
        Ok(())
    }
}

impl AccrualDay {
    /// Becomes the revision after the one before.
    fn follow(&mut self, before: Option<&Self>) -> Result<(), Overflow> {
        let none = Self::default();
        let before = before.unwrap_or(&none);
        let events = |day: &Self| i64::try_from(day.event_count).map_err(|_| Overflow);
        self.revision = self.revision.checked_add(1).ok_or(Overflow)?;
        self.previous_net_minor_units = before.net_minor_units;
        self.delta_event_count = events(self)?.checked_sub(events(before)?).ok_or(Overflow)?;
        self.delta_quantity = self.quantity.checked_sub(before.quantity).ok_or(Overflow)?;
        self.delta_amount = self.amount.checked_sub(before.amount).map_err(|_| Overflow)?;
        Ok(())
    }
}
