//! Per unit: quantity × unit price.

use super::TierLine;
use crate::Overflow;

#[derive(Clone, Copy, Debug)]
pub(crate) struct PerUnit {
    /// Amount of one count of the quantity.
    count_price: i128,
    /// Counts in a unit.
    unit: i128,
}

impl PerUnit {
    pub(crate) const fn new(count_price: i128, unit: i128) -> Self {
        Self { count_price, unit }
    }

    #[inline]
    pub(crate) fn amount(self, quantity: i128) -> Result<i128, Overflow> {
        quantity.checked_mul(self.count_price).ok_or(Overflow)
    }

    pub(crate) fn line(self, quantity: i128) -> Result<TierLine, Overflow> {
        let unit_price = Some(self.count_price.checked_mul(self.unit).ok_or(Overflow)?);
        Ok(TierLine { unit_price, ..TierLine::whole(quantity, self.amount(quantity)?) })
    }
}
