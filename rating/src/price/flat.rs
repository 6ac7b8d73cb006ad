//! Flat: a fee once per billing period that has usage.
//!
//! With proration the fee is `amount × days in force / days of the period`, by calendar days of the
//! legal entity, rounded to the currency's minor unit. A fee that is due without usage is not rated
//! from usage events; it belongs to the billing system.

use schemas::currency::Currency;
use schemas::money::AMOUNT_SCALE;
use schemas::price_book::RoundingMode;

use crate::Overflow;
use crate::rounding::{divide_rounded, rescale_rounded};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Flat {
    pub(crate) amount: i128,
    pub(crate) prorate: bool,
}

/// The days of a billing period a contract line is in force, and how its amounts are rounded.
#[derive(Clone, Copy, Debug)]
pub struct ActiveDays {
    /// Days in force.
    pub active: i32,
    /// Days of the period.
    pub period: i32,
    /// Currency of the line.
    pub currency: Currency,
    /// Rounding of the legal entity.
    pub rounding: RoundingMode,
}

impl Flat {
    /// The fee of a billing period.
    pub(crate) fn fee(self, days: &ActiveDays) -> Result<i128, Overflow> {
        if !self.prorate || days.active == days.period {
            return Ok(self.amount);
        }
        let minor_unit = days.currency.exponent();
        let step = schemas::decimal::power_of_ten(AMOUNT_SCALE.saturating_sub(minor_unit)).ok_or(Overflow)?;
        let share = self.amount.checked_mul(i128::from(days.active)).ok_or(Overflow)?;
        let whole = i128::from(days.period).checked_mul(step).ok_or(Overflow)?;
        let minor_units = divide_rounded(share, whole, days.rounding)?;
        rescale_rounded(minor_units, minor_unit, AMOUNT_SCALE, days.rounding)
    }
}
