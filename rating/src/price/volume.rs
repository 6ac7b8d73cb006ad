//! Volume: the tier that holds the total prices all of it.
//!
//! The price of all units changes where a bound is crossed, so one more unit can lower the amount, and
//! the rated amount of an event can be below zero.

use super::TierLine;
use super::tiers::Tiers;
use crate::Overflow;

#[derive(Clone, Debug, PartialEq, Eq)]
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::price::example::Example;

    fn tiers(at_zero: bool) -> Value {
        json!({
            "model": "volume",
            "flat_amount_at_zero": at_zero,
            "tiers": [
                { "up_to": "100", "unit_price": "10", "flat_amount": "5" },
                { "up_to": "200", "unit_price": "9" },
                { "up_to": null, "unit_price": "8" }
            ]
        })
    }

    #[test]
    fn one_tier_prices_everything() {
        Example::new(tiers(false), 2).check(&[
            ("0", "0"),
            ("0.01", "5.1"),
            ("99", "995"),
            ("100", "1005"),
            ("100.01", "900.09"),
            ("101", "909"),
            ("200", "1800"),
            ("201", "1608"),
            // Below zero there is no tier: a credit at the first price, without its flat amount.
            ("-5", "-50"),
        ]);
        Example::new(tiers(true), 2).check(&[("0", "5"), ("-5", "-50")]);
    }

    #[test]
    fn crossing_a_bound_can_take_back_more_than_it_adds() {
        // Before, after, and what an event between them is rated at: the cliff at 100.
        let cases = [("99", "100", "10"), ("100", "101", "-91"), ("105", "99", "45"), ("90", "110", "90")];
        let rate = json!({ "model": "volume", "tiers": [
            { "up_to": "100", "unit_price": "10" },
            { "up_to": "200", "unit_price": "9" },
            { "up_to": null, "unit_price": "8" }
        ] });
        let example = Example::new(rate, 0);
        for (before, after, expected) in cases {
            let f = |quantity: &str| {
                example.price.amount(super::super::Terms::default(), &example.event(quantity)).unwrap()
            };
            assert_eq!(f(after).checked_sub(f(before)).unwrap().to_string(), expected, "{before} to {after}");
        }
    }

    #[test]
    fn the_line_is_that_of_the_tier() {
        let example = Example::new(tiers(false), 0);
        assert_eq!(example.shares("150"), [(2, "150".to_owned(), "1350".to_owned())]);
        assert_eq!(example.shares("-5"), [(1, "-5".to_owned(), "-50".to_owned())]);
        assert!(example.shares("0").is_empty());
    }
}
