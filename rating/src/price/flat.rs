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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

#[cfg(test)]
mod tests {
    use schemas::decimal::Decimal;
    use schemas::price_book::RoundingMode::{Ceiling, Floor, HalfAwayFromZero, HalfEven};
    use serde_json::json;

    use crate::price::Usage;
    use crate::price::example::{Example, days};

    #[test]
    fn the_fee_is_due_once_a_period_with_usage() {
        let example = Example::new(json!({ "model": "flat", "amount": "49" }), 0);
        let terms = example.price.terms(&[], &days(31, 31, "EUR", HalfEven)).unwrap();
        let amount = |usage: &Usage| example.price.amount(terms, usage).unwrap().to_string();
        let cases = [
            (Usage::default(), "0"),
            (example.event("0"), "49"),
            (example.event("1"), "49"),
            (example.events(&["5", "7"]), "49"),
            (example.event("-5"), "49"),
        ];
        for (usage, expected) in cases {
            assert_eq!(amount(&usage), expected, "{usage:?}");
        }
    }

    #[test]
    fn proration_by_calendar_days() {
        let cases = [
            // fee, days in force, days of the period, currency, rounding, fee of the period
            ("49", 31, 31, "EUR", HalfAwayFromZero, "49"),
            ("49", 15, 31, "EUR", HalfAwayFromZero, "23.71"),
            ("49", 16, 31, "EUR", HalfAwayFromZero, "25.29"),
            ("100", 10, 30, "EUR", HalfAwayFromZero, "33.33"),
            ("100", 10, 30, "EUR", Ceiling, "33.34"),
            ("0.05", 15, 30, "EUR", HalfAwayFromZero, "0.03"),
            ("0.05", 15, 30, "EUR", HalfEven, "0.02"),
            ("0.05", 15, 30, "EUR", Floor, "0.02"),
            ("1000", 1, 28, "JPY", HalfAwayFromZero, "36"),
            ("10", 1, 28, "KWD", HalfAwayFromZero, "0.357"),
            ("100", 0, 30, "EUR", HalfAwayFromZero, "0"),
            // A whole period is never rounded.
            ("0.001", 30, 30, "EUR", HalfAwayFromZero, "0.001"),
        ];
        for (fee, active, period, currency, rounding, expected) in cases {
            let example = Example::new(json!({ "model": "flat", "amount": fee, "prorate": true }), 0);
            let terms = example.price.terms(&[], &days(active, period, currency, rounding)).unwrap();
            let got = Decimal::new(terms.constant, 18).to_string();
            assert_eq!(got, expected, "{fee} for {active} of {period} days, {currency} {rounding:?}");
        }
        let whole = Example::new(json!({ "model": "flat", "amount": "49" }), 0);
        let terms = whole.price.terms(&[], &days(15, 31, "EUR", HalfAwayFromZero)).unwrap();
        assert_eq!(Decimal::new(terms.constant, 18).to_string(), "49", "without prorate");
    }
}
