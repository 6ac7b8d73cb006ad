//! Tiers: consecutive ranges of quantity, `(lower, upper]`, the last without an upper bound.
//!
//! Only upper bounds are written, so there can be no hole between tiers, for fractions either.

use super::TierLine;
use crate::Overflow;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tier {
    /// Quantities above this.
    pub(crate) lower: i128,
    /// Up to and including this.
    pub(crate) upper: Option<i128>,
    /// Amount of one count of the quantity.
    pub(crate) count_price: i128,
    /// Amount due once when the tier is entered.
    pub(crate) flat_amount: i128,
    /// Amount of all tiers below when they are full, flat amounts included.
    pub(crate) below: i128,
}

/// The tiers of a price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tiers {
    ordered: Vec<Tier>,
    /// Is the first tier entered by usage of zero?
    flat_amount_at_zero: bool,
    /// Counts in a unit of the quantity.
    unit: i128,
}

impl Tiers {
    /// Tiers in order, by upper bound, amount of one count, and flat amount.
    pub(crate) fn new(
        parts: &[(Option<i128>, i128, i128)],
        flat_amount_at_zero: bool,
        unit: i128,
    ) -> Result<Self, Overflow> {
        let mut ordered = Vec::with_capacity(parts.len());
        let (mut lower, mut below) = (0i128, 0i128);
        for (upper, count_price, flat_amount) in parts.iter().copied() {
            ordered.push(Tier { lower, upper, count_price, flat_amount, below });
            if let Some(upper) = upper {
                let width = upper.checked_sub(lower).ok_or(Overflow)?;
                let slice = width.checked_mul(count_price).ok_or(Overflow)?;
                below = below
                    .checked_add(flat_amount)
                    .and_then(|below| below.checked_add(slice))
                    .ok_or(Overflow)?;
                lower = upper;
            }
        }
        Ok(Self { ordered, flat_amount_at_zero, unit })
    }

    /// The tier a quantity is in; `None` for usage that enters none, and below zero.
    #[inline]
    pub(crate) fn holding(&self, quantity: i128) -> Option<(usize, &Tier)> {
        if quantity < 0 || (quantity == 0 && !self.flat_amount_at_zero) {
            return None;
        }
        let holds = |tier: &&Tier| tier.upper.is_none_or(|upper| quantity <= upper);
        self.ordered.iter().enumerate().find(|(_, tier)| holds(tier))
    }

    /// The first tier, which prices what is below zero.
    pub(crate) fn first(&self) -> Option<&Tier> {
        self.ordered.first()
    }

    /// All tiers, with their position from 1.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (u32, &Tier)> {
        (1u32..).zip(&self.ordered)
    }

    /// The line of a quantity priced in a tier.
    pub(crate) fn line(&self, number: u32, tier: &Tier, quantity: i128) -> Result<TierLine, Overflow> {
        let usage = quantity.checked_mul(tier.count_price).ok_or(Overflow)?;
        Ok(TierLine {
            tier: number,
            lower_bound: tier.lower,
            upper_bound: tier.upper,
            quantity,
            unit_price: Some(tier.count_price.checked_mul(self.unit).ok_or(Overflow)?),
            flat_amount: tier.flat_amount,
            amount: usage.checked_add(tier.flat_amount).ok_or(Overflow)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_bounds_are_inclusive() {
        let parts = [(Some(10), 1, 0), (Some(20), 1, 0), (None, 1, 0)];
        // Quantity; tier with and without the flat amount at zero.
        let cases = [
            (-1, None, None),
            (0, None, Some(0)),
            (1, Some(0), Some(0)),
            (10, Some(0), Some(0)),
            (11, Some(1), Some(1)),
            (20, Some(1), Some(1)),
            (21, Some(2), Some(2)),
            (i128::MAX, Some(2), Some(2)),
        ];
        for (quantity, without, with) in cases {
            let tier = |at_zero| {
                Tiers::new(&parts, at_zero, 1).unwrap().holding(quantity).map(|(position, _)| position)
            };
            assert_eq!((tier(false), tier(true)), (without, with), "{quantity}");
        }
    }

    #[test]
    fn what_lies_below_a_tier_is_summed_once() {
        let tiers = Tiers::new(&[(Some(10), 3, 5), (Some(25), 2, 7), (None, 1, 0)], false, 1).unwrap();
        let below: Vec<(u32, i128, i128)> =
            tiers.numbered().map(|(number, tier)| (number, tier.lower, tier.below)).collect();
        assert_eq!(below, [(1, 0, 0), (2, 10, 35), (3, 25, 72)]);
        assert!(Tiers::new(&[(Some(i128::MAX), 2, 0), (None, 1, 0)], false, 1).is_err());
    }
}
