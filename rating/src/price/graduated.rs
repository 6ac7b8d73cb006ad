//! Graduated: each tier prices its own slice, and its flat amount is due once it is entered.
//!
//! `Σ min(max(q - lower, 0), upper - lower) × price + flat of every tier entered`. Usage below zero
//! costs nothing.

use super::TierLine;
use super::tiers::Tiers;
use crate::Overflow;

#[derive(Clone, Debug)]
pub(crate) struct Graduated(pub(crate) Tiers);

impl Graduated {
    #[inline]
    pub(crate) fn amount(&self, quantity: i128) -> Result<i128, Overflow> {
        let Some((_, tier)) = self.0.holding(quantity) else { return Ok(0) };
        let in_tier = quantity.checked_sub(tier.lower).ok_or(Overflow)?;
        let slice = in_tier.checked_mul(tier.count_price).ok_or(Overflow)?;
        tier.below.checked_add(tier.flat_amount).and_then(|amount| amount.checked_add(slice)).ok_or(Overflow)
    }

    pub(crate) fn breakdown(&self, quantity: i128, lines: &mut Vec<TierLine>) -> Result<(), Overflow> {
        let Some((last, _)) = self.0.holding(quantity) else { return Ok(()) };
        for (number, tier) in self.0.numbered().take(last.saturating_add(1)) {
            let reached = tier.upper.map_or(quantity, |upper| upper.min(quantity));
            lines.push(self.0.line(number, tier, reached.checked_sub(tier.lower).ok_or(Overflow)?)?);
        }
        Ok(())
    }
}
