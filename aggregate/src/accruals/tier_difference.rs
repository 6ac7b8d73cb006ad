//! What usage changes in the amounts of tiers.

use rating::Overflow;
use rating::price::{TierLine, Usage};

use super::maker::quantity_factor;
use crate::charges::FoldStep;

/// What usage changes in the amounts of tiers.
#[derive(Default)]
pub(super) struct TierDifference {
    before: Vec<TierLine>,
    after: Vec<TierLine>,
    /// The segment and the usage that `after` is of.
    of: Option<(u32, Usage)>,
}

impl TierDifference {
    /// Begins another charge.
    pub(super) fn begin(&mut self) {
        self.of = None;
    }

    /// Adds what each tier changes by; quantities become counts of `10^-12`.
    pub(super) fn add(&mut self, step: &FoldStep<'_>, tiers: &mut Vec<TierLine>) -> Result<(), Overflow> {
        let (price, terms) = (step.price, step.segment.terms);
        std::mem::swap(&mut self.before, &mut self.after);
        // A day mostly begins where the day before ended, under the same price.
        if self.of != Some((step.day.segment, step.before.usage)) {
            self.before.clear();
            price.breakdown(terms, &step.before.usage, &mut self.before)?;
        }
        self.after.clear();
        price.breakdown(terms, &step.after.usage, &mut self.after)?;
        self.of = Some((step.day.segment, step.after.usage));
        let factor = quantity_factor(price.priced_decimals)?;
        for line in &self.after {
            add_line(tiers, line, factor, 1)?;
        }
        for line in &self.before {
            add_line(tiers, line, factor, -1)?;
        }
        tiers.retain(|tier| tier.quantity != 0 || tier.amount != 0 || tier.flat_amount != 0);
        tiers.sort_by_key(|tier| (tier.tier, tier.unit_price, tier.lower_bound, tier.upper_bound));
        Ok(())
    }
}

fn add_line(tiers: &mut Vec<TierLine>, line: &TierLine, factor: i128, sign: i128) -> Result<(), Overflow> {
    let scaled = |counts: i128| counts.checked_mul(factor).ok_or(Overflow);
    let lower_bound = scaled(line.lower_bound)?;
    let upper_bound = line.upper_bound.map(scaled).transpose()?;
    let is_same = |tier: &TierLine| {
        tier.tier == line.tier
            && tier.unit_price == line.unit_price
            && tier.lower_bound == lower_bound
            && tier.upper_bound == upper_bound
    };
    let position = tiers.iter().position(is_same).unwrap_or_else(|| {
        tiers.push(TierLine { lower_bound, upper_bound, quantity: 0, flat_amount: 0, amount: 0, ..*line });
        tiers.len() - 1
    });
    let Some(tier) = tiers.get_mut(position) else { return Ok(()) };
    let add = |to: i128, part: i128| to.checked_add(part.checked_mul(sign)?);
    tier.quantity = add(tier.quantity, scaled(line.quantity)?).ok_or(Overflow)?;
    tier.flat_amount = add(tier.flat_amount, line.flat_amount).ok_or(Overflow)?;
    tier.amount = add(tier.amount, line.amount).ok_or(Overflow)?;
    Ok(())
}
