//! Graduated: each tier prices its own slice, and its flat amount is due once it is entered.
//!
//! `Σ min(max(q - lower, 0), upper - lower) × price + flat of every tier entered`. Usage below zero
//! costs nothing.

use super::TierLine;
use super::tiers::Tiers;
use crate::Overflow;

#[derive(Clone, Debug, PartialEq, Eq)]
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::price::example::Example;

    fn tiers(at_zero: bool) -> Value {
        json!({
            "model": "graduated",
            "flat_amount_at_zero": at_zero,
            "tiers": [
                { "up_to": "100", "unit_price": "0.5", "flat_amount": "3" },
                { "up_to": "200", "unit_price": "0.4", "flat_amount": "10" },
                { "up_to": null, "unit_price": "0.25" }
            ]
        })
    }

    #[test]
    fn each_tier_prices_its_slice() {
        Example::new(tiers(false), 2).check(&[
            ("-5", "0"),
            ("0", "0"),
            ("0.01", "3.005"),
            ("99.99", "52.995"),
            ("100", "53"),
            ("100.01", "63.004"),
            ("200", "103"),
            ("200.01", "103.0025"),
            ("1000", "303"),
        ]);
    }

    #[test]
    fn the_first_flat_amount_can_be_due_for_usage_of_zero() {
        Example::new(tiers(true), 2).check(&[("-1", "0"), ("0", "3"), ("1", "3.5")]);
    }

    #[test]
    fn lines_say_what_each_tier_priced() {
        let example = Example::new(tiers(false), 0);
        let line = |tier, quantity: &str, amount: &str| (tier, quantity.to_owned(), amount.to_owned());
        assert_eq!(example.shares("100"), [line(1, "100", "53")]);
        let all = [line(1, "100", "53"), line(2, "100", "50"), line(3, "50", "12.5")];
        assert_eq!(example.shares("250"), all);
        let last = *example.lines(&example.event("250")).last().unwrap();
        assert_eq!((last.lower_bound, last.upper_bound, last.flat_amount), (200, None, 0));
        assert_eq!(last.unit_price, Some(250_000_000_000_000_000));
    }

    #[test]
    fn a_month_that_is_accrued_in_parts() {
        let rate = json!({ "model": "graduated", "tiers": [
            { "up_to": "1000000", "unit_price": "0.0005" },
            { "up_to": "5000000", "unit_price": "0.0004" },
            { "up_to": null, "unit_price": "0.00035" }
        ] });
        let cases = [("4200000", "1780"), ("7345678", "2920.9873"), ("7350000", "2922.5")];
        Example::new(rate, 0).check(&cases);
    }
}
