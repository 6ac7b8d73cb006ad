//! Stairstep: the tier that holds the total sets one amount, whatever the quantity in it.

use super::TierLine;
use super::tiers::Tiers;
use crate::Overflow;

/// The tiers' unit prices are zero.
#[derive(Clone, Debug, PartialEq, Eq)]
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::price::example::{Example, meter, refused};

    fn steps(at_zero: bool) -> Value {
        json!({
            "model": "stairstep",
            "flat_amount_at_zero": at_zero,
            "tiers": [
                { "up_to": "50", "flat_amount": "19" },
                { "up_to": "500", "flat_amount": "149" },
                { "up_to": null, "flat_amount": "120" }
            ]
        })
    }

    #[test]
    fn the_tier_sets_the_amount() {
        Example::new(steps(false), 6).check(&[
            ("-1", "0"),
            ("0", "0"),
            ("0.000001", "19"),
            ("50", "19"),
            ("50.000001", "149"),
            ("500", "149"),
            ("501", "120"),
            ("1000000", "120"),
        ]);
        Example::new(steps(true), 0).check(&[("0", "19"), ("-1", "0")]);
    }

    #[test]
    fn the_line_has_no_unit_price() {
        let example = Example::new(steps(false), 0);
        let lines = example.lines(&example.event("60"));
        assert_eq!((lines.len(), lines[0].tier, lines[0].unit_price), (1, 2, None));
        assert_eq!(
            (lines[0].flat_amount, lines[0].amount, lines[0].quantity),
            (149 * 10i128.pow(18), 149 * 10i128.pow(18), 60)
        );
    }

    #[test]
    fn a_unit_price_in_a_step_is_refused() {
        let mut rate = steps(false);
        rate["tiers"][1]["unit_price"] = "1".into();
        assert_eq!(refused(rate, meter(0)), ["tiers[1].unit_price"]);
        let mut rate = steps(false);
        rate["tiers"][2] = json!({ "up_to": null });
        assert_eq!(refused(rate, meter(0)), ["tiers[2].flat_amount"]);
    }
}
