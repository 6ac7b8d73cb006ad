//! Stairstep: the tier that holds the total sets one amount, whatever the quantity in it.

use super::TierLine;
use super::tiers::Tiers;
use crate::Overflow;

/// The tiers' unit prices are zero.
#[derive(Clone, Debug)]
pub(crate) struct Stairstep(pub(crate) Tiers);

impl Stairstep {
    #[expect(clippy::unnecessary_wraps, reason = "every model has the same shape")]
    pub(crate) fn amount(&self, quantity: i128) -> Result<i128, Overflow> {
        Ok(self.0.holding(quantity).map_or(0, |(_, tier)| tier.flat_amount))
    }

    pub(crate) fn breakdown(&self, quantity: i128, lines: &mut Vec<TierLine>) -> Result<(), Overflow> {
        let Some((position, _)) = self.0.holding(quantity) else { return Ok(()) };
        for (number, tier) in self.0.numbered().skip(position).take(1) {
            lines.push(TierLine { unit_price: None, ..self.0.line(number, tier, quantity)? });
        }
        Ok(())
    }
}
