//! Volume: the tier that holds the total prices all of it.
//!
//! The price of all units changes where a bound is crossed, so one more unit can lower the amount, and
//! the rated amount of an event can be below zero.

use super::TierLine;
use super::tiers::Tiers;
use crate::Overflow;

#[derive(Clone, Debug)]
pub(crate) struct Volume(pub(crate) Tiers);

impl Volume {
    #[inline]
    pub(crate) fn amount(&self, quantity: i128) -> Result<i128, Overflow> {
        let (price, flat) = match self.0.holding(quantity) {
            Some((_, tier)) => (tier.count_price, tier.flat_amount),
            None => (self.0.first().map_or(0, |tier| tier.count_price), 0),
        };
        quantity.checked_mul(price).and_then(|amount| amount.checked_add(flat)).ok_or(Overflow)
    }

    pub(crate) fn breakdown(&self, quantity: i128, lines: &mut Vec<TierLine>) -> Result<(), Overflow> {
        if let Some((position, _)) = self.0.holding(quantity) {
            for (number, tier) in self.0.numbered().skip(position).take(1) {
                lines.push(self.0.line(number, tier, quantity)?);
            }
        } else if let Some(tier) = self.0.first()
            && quantity < 0
        {
            let line = self.0.line(1, tier, quantity)?;
            let amount = line.amount.checked_sub(tier.flat_amount).ok_or(Overflow)?;
            lines.push(TierLine { flat_amount: 0, amount, ..line });
        }
        Ok(())
    }
}
