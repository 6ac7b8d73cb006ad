//! Basis points: hundredths of a percent of the value of every event, usually with a cap per event.
//!
//! The same arithmetic as a percentage, in the unit card schemes and brokers quote.

use super::Usage;
use super::percentage::Percentage;
use crate::Overflow;

#[derive(Clone, Copy, Debug)]
pub(crate) struct BasisPoints(pub(crate) Percentage);

impl BasisPoints {
    pub(crate) const fn prices_events(&self) -> bool {
        self.0.prices_events()
    }

    #[inline]
    pub(crate) fn event_amount(&self, value: i128) -> Result<i128, Overflow> {
        self.0.event_amount(value)
    }

    #[inline]
    pub(crate) fn amount(&self, quantity: i128, usage: &Usage) -> Result<i128, Overflow> {
        self.0.amount(quantity, usage)
    }
}
