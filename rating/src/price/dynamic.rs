//! Dynamic: the amount, or the unit price, comes with the event; a multiplier may be put on it.

use crate::Overflow;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Dynamic {
    /// The event states its amount, which is multiplied by `factor / divisor`.
    Amount { factor: i128, divisor: i128 },
    /// The event states a unit price. `unit` is the number of counts in a unit of the quantity.
    UnitPrice { factor: i128, divisor: i128, unit: i128 },
}

impl Dynamic {
    #[inline]
    pub(crate) fn event_amount(self, measure: i128, event_price: i128) -> Result<i128, Overflow> {
        // Compilation makes sure that the divisions leave no remainder.
        let (factor, divisor, counts, unit) = match self {
            Self::Amount { factor, divisor } => (factor, divisor, 1, 1),
            Self::UnitPrice { factor, divisor, unit } => (factor, divisor, measure, unit),
        };
        let parts = divisor.checked_mul(unit).ok_or(Overflow)?;
        let price = event_price.checked_div(parts).ok_or(Overflow)?;
        price.checked_mul(factor).and_then(|price| price.checked_mul(counts)).ok_or(Overflow)
    }
}
