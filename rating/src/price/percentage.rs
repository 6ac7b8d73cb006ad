//! Percentage: percent of the value of every event, with a fee and bounds per event.

use super::Usage;
use super::per_event::PerEvent;
use crate::Overflow;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Percentage {
    /// Amount of one count of the value.
    pub(crate) count_share: i128,
    pub(crate) per_event: PerEvent,
}

impl Percentage {
    pub(crate) const fn prices_events(&self) -> bool {
        self.per_event.has_bounds()
    }

    /// The amount of one event; zero where the aggregate is enough.
    #[inline]
    pub(crate) fn event_amount(&self, value: i128) -> Result<i128, Overflow> {
        if !self.prices_events() {
            return Ok(0);
        }
        self.per_event.amount(value.checked_mul(self.count_share).ok_or(Overflow)?)
    }

    #[inline]
    pub(crate) fn amount(&self, quantity: i128, usage: &Usage) -> Result<i128, Overflow> {
        if self.prices_events() {
            return Ok(usage.event_amounts.units());
        }
        let share = quantity.checked_mul(self.count_share).ok_or(Overflow)?;
        share.checked_add(self.per_event.fees(usage.events)?).ok_or(Overflow)
    }
}
