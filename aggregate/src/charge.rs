//! A charge: what one account has used of one meter in one billing period, and what it costs so far.
//!
//! The amount is `base + f(usage)`: `f` is the price of the charge's newest segment, `usage` is
//! cumulative over the billing period, and `base` holds what earlier segments contribute. A segment is a
//! stretch of the period with one price. Usage is kept by day as well, because accruals post by day.

use rating::Overflow;
use rating::price::{Price, Terms, Usage};
use schemas::meter::Aggregation;
use schemas::money::Amount;
use schemas::period::Period;

/// No day.
pub(crate) const NO_DAY: u32 = u32::MAX;

/// What tells charges apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ChargeKey {
    pub(crate) account: u32,
    /// Contract line.
    pub(crate) line: u32,
    pub(crate) meter: u16,
    /// First day of the billing period, as days since 1970.
    pub(crate) period_start: i32,
    /// Combination of dimension values, or 0 where the rate does not group.
    pub(crate) group: u32,
}

/// A charge and its newest day: four cache lines, which [`Charge::touch`] loads.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(crate) struct Charge {
    /// Event times of the newest day, within the segment.
    pub(crate) day_holds: Period,
    pub(crate) rate: u32,
    pub(crate) price_book_version: u32,
    /// Seller, as a position in the catalog: its days are the charge's days.
    pub(crate) legal_entity: u32,
    /// The round of accruals it was changed in last.
    pub(crate) round: u32,
    /// Usage of the billing period, from the last reset on.
    pub(crate) usage: Usage,
    /// Amount besides `f(usage)`.
    pub(crate) base: Amount,
    /// Amount of the whole charge.
    pub(crate) amount: Amount,
    /// The newest day. Days before it, and days of earlier segments, are behind it.
    pub(crate) day: Day,
    /// What the price fixes for this charge.
    pub(crate) terms: Terms,
    /// Event times of the newest segment.
    pub(crate) holds: Period,
    pub(crate) key: ChargeKey,
}

/// Usage of a charge on one day, under one segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Day {
    /// Days since 1970, in the legal entity's time zone.
    pub(crate) date: i32,
    /// Position among all segments.
    pub(crate) segment: u32,
    /// The day's own part of the aggregate: its sum, or its extreme or latest value.
    pub(crate) usage: Usage,
    /// Event times of the first and the last event, in microseconds.
    pub(crate) first: i64,
    pub(crate) last: i64,
    /// Another day of the charge, in no order.
    pub(crate) next: u32,
    /// Revision of the accrual that the day is in; 0 before the first. Days of one date and accrual may
    /// differ in it, and then the largest holds.
    pub(crate) revision: u32,
}

/// A stretch of a charge's billing period with one price.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) holds: Period,
    pub(crate) rate: u32,
    /// Terms of the contract line.
    pub(crate) contract_terms: u32,
    pub(crate) price_book_version: u32,
    /// Does its price book version count usage from zero when it takes over?
    pub(crate) resets: bool,
    pub(crate) terms: Terms,
}

impl Segment {
    /// Does usage count from zero in it, after another segment? With a new price book version if that says
    /// so; and with new terms of the contract where the fee is one for the days these are in force.
    fn starts_over(&self, before: &Self, price: &Price) -> bool {
        let is_other_version = self.price_book_version != before.price_book_version;
        let has_other_days = self.contract_terms != before.contract_terms;
        (is_other_version && self.resets) || (has_other_days && price.is_prorated())
    }
}

const _: () = assert!(size_of::<Charge>() == 4 * 64);
const _: () = assert!(size_of::<Day>() == 80);

impl Charge {
    /// Loads the charge; the loads do not wait for one another.
    #[inline]
    pub(crate) fn touch(&self) -> u64 {
        // One member of each cache line.
        u64::from(self.rate) ^ self.usage.events ^ self.day.first.cast_unsigned() ^ u64::from(self.key.line)
    }
}

impl Day {
    pub(crate) const fn empty(date: i32, segment: u32) -> Self {
        let usage = Usage { quantity: 0, events: 0, event_amounts: Amount::ZERO };
        Self { date, segment, usage, first: i64::MAX, last: i64::MIN, next: NO_DAY, revision: 0 }
    }

    /// The day with an event more, whose part of the aggregate is given.
    #[inline]
    pub(crate) fn with(&self, usage: Usage, time: i64) -> Self {
        Self { usage, first: self.first.min(time), last: self.last.max(time), ..*self }
    }
}

/// The usage of one event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventUsage {
    pub(crate) quantity: i128,
    pub(crate) amount: Amount,
    /// Is it later than all events it is added to? Decides what a `latest` meter shows.
    pub(crate) is_latest: bool,
}

/// Usage with one event more.
#[inline]
pub(crate) fn add_event(
    aggregation: Aggregation,
    usage: &Usage,
    event: &EventUsage,
) -> Result<Usage, Overflow> {
    let quantity = match aggregation {
        Aggregation::Count | Aggregation::Sum | Aggregation::Unique => {
            usage.quantity.checked_add(event.quantity).ok_or(Overflow)?
        }
        _ if usage.events == 0 => event.quantity,
        Aggregation::Max => usage.quantity.max(event.quantity),
        Aggregation::Min => usage.quantity.min(event.quantity),
        Aggregation::Latest if event.is_latest => event.quantity,
        Aggregation::Latest => usage.quantity,
    };
    Ok(Usage {
        quantity,
        events: usage.events.checked_add(1).ok_or(Overflow)?,
        event_amounts: usage.event_amounts.checked_add(event.amount).map_err(|_| Overflow)?,
    })
}

/// Usage followed by later usage.
fn followed_by(aggregation: Aggregation, before: &Usage, after: &Usage) -> Result<Usage, Overflow> {
    let quantity = match aggregation {
        Aggregation::Count | Aggregation::Sum | Aggregation::Unique => {
            before.quantity.checked_add(after.quantity).ok_or(Overflow)?
        }
        _ if before.events == 0 => after.quantity,
        Aggregation::Max => before.quantity.max(after.quantity),
        Aggregation::Min => before.quantity.min(after.quantity),
        Aggregation::Latest => after.quantity,
    };
    Ok(Usage {
        quantity,
        events: before.events.checked_add(after.events).ok_or(Overflow)?,
        event_amounts: before.event_amounts.checked_add(after.event_amounts).map_err(|_| Overflow)?,
    })
}

/// Usage and amount of a charge up to some day: its days are added in order of segment and date.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fold {
    pub(crate) usage: Usage,
    /// What the amount is besides `f(usage)`.
    pub(crate) base: Amount,
    pub(crate) amount: Amount,
}

impl Fold {
    /// Enters a segment after another: from here on its price applies.
    pub(crate) fn enter(
        &mut self,
        before: Option<&Segment>,
        segment: &Segment,
        price: &Price,
    ) -> Result<(), Overflow> {
        if before.is_some_and(|before| segment.starts_over(before, price)) {
            self.usage = Usage::default();
        }
        let priced = price.amount(segment.terms, &self.usage)?;
        self.base = self.amount.checked_sub(priced).map_err(|_| Overflow)?;
        Ok(())
    }

    /// With one event more, under the price of the segment entered last.
    pub(crate) fn with_event(
        &self,
        aggregation: Aggregation,
        event: &EventUsage,
        price: &Price,
        terms: Terms,
    ) -> Result<Self, Overflow> {
        let usage = add_event(aggregation, &self.usage, event)?;
        let priced = price.amount(terms, &usage)?;
        let amount = self.base.checked_add(priced).map_err(|_| Overflow)?;
        Ok(Self { usage, amount, base: self.base })
    }

    /// Adds a day of the segment entered last.
    pub(crate) fn add(
        &mut self,
        aggregation: Aggregation,
        day: &Usage,
        segment: &Segment,
        price: &Price,
    ) -> Result<(), Overflow> {
        self.usage = followed_by(aggregation, &self.usage, day)?;
        let priced = price.amount(segment.terms, &self.usage)?;
        self.amount = self.base.checked_add(priced).map_err(|_| Overflow)?;
        Ok(())
    }
}
