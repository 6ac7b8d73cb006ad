//! Billable: what of a charge's usage the price is asked about, and what of that is free.
//!
//! Not the breakdown: a model's lines need not sum to the quantity. A step has no line below zero, a tier
//! none at zero. Like amounts, both numbers are of the whole billing period; what a day adds is a
//! difference of two of them, so a conversion is rounded once per period and the days add up (ACCR-1).

use super::{Price, Usage, free_allowance};
use crate::Overflow;

/// Quantities of a charge, as counts of `10^-priced_decimals`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Billable {
    /// Quantity in the unit that is priced, after the conversion, the free part included.
    pub quantity: i128,
    /// The part of it that the free quantity covers; the model prices the rest.
    pub allowance: i128,
}

impl Price {
    /// What of a charge's usage is billable.
    ///
    /// # Errors
    /// [`Overflow`].
    #[inline]
    pub fn billable(&self, usage: &Usage) -> Result<Billable, Overflow> {
        if usage.events == 0 {
            return Ok(Billable::default());
        }
        let quantity = self.converted(usage.quantity)?;
        let allowance = match self.free_quantity {
            Some(free) => free_allowance::covered(quantity, free)?,
            None => 0,
        };
        Ok(Billable { quantity, allowance })
    }
}

#[cfg(test)]
mod tests {
    use schemas::decimal::Decimal;
    use serde_json::{Value, json};

    use super::*;
    use crate::price::example::{Example, meter};

    /// A rate with a free quantity of 10.
    fn free(mut rate: Value) -> Value {
        rate["free_quantity"] = "10".into();
        rate
    }

    /// A rate with a conversion into thousands, rounded up.
    fn in_thousands(mut rate: Value) -> Value {
        rate["convert"] = json!({ "operation": "divide", "factor": "1000", "rounding": "ceiling" });
        rate
    }

    #[test]
    fn billable_and_allowance_of_every_model() {
        let per_unit = || json!({ "model": "per_unit", "unit_price": "2" });
        let tiers = |model: &str| {
            let mut tiers =
                json!([{ "up_to": "20", "flat_amount": "5" }, { "up_to": null, "flat_amount": "7" }]);
            if model != "stairstep" {
                tiers[0]["unit_price"] = "2".into();
                tiers[1]["unit_price"] = "1".into();
            }
            json!({ "model": model, "tiers": tiers })
        };
        let package = || json!({ "model": "package", "package_size": "7", "package_price": "1" });
        let flat = json!({ "model": "flat", "amount": "49" });
        let percentage = || json!({ "model": "percentage", "percent": "3" });
        let per_event = json!({ "model": "percentage", "percent": "3", "per_event_minimum": "1" });
        let basis_points = || json!({ "model": "basis_points", "basis_points": "290" });
        let matrix =
            || json!({ "model": "matrix", "matrix": [{ "when": { "region": "eu" }, "unit_price": "1" }] });
        // rate, quantity, billable, allowance
        let cases = [
            (per_unit(), "12.5", "12.5", "0"),
            (per_unit(), "-3", "-3", "0"),
            (free(per_unit()), "0", "0", "0"),
            (free(per_unit()), "4.5", "4.5", "4.5"),
            (free(per_unit()), "10", "10", "10"),
            (free(per_unit()), "25", "25", "10"),
            // Of a quantity below zero nothing is priced.
            (free(per_unit()), "-3", "-3", "-3"),
            (in_thousands(per_unit()), "2500", "3", "0"),
            (free(in_thousands(per_unit())), "2500", "3", "3"),
            (free(in_thousands(per_unit())), "10000.5", "11", "10"),
            (free(tiers("graduated")), "35", "35", "10"),
            (free(tiers("volume")), "35", "35", "10"),
            (free(tiers("volume")), "4", "4", "4"),
            (free(tiers("stairstep")), "35", "35", "10"),
            (tiers("stairstep"), "-5", "-5", "0"),
            (in_thousands(tiers("stairstep")), "-5500", "-5", "0"),
            // What is free comes before packages; packages do not round the billable quantity.
            (free(package()), "12", "12", "10"),
            (free(in_thousands(package())), "12001", "13", "10"),
            (flat, "7", "7", "0"),
            (free(percentage()), "1234.56", "1234.56", "10"),
            (in_thousands(percentage()), "1234.56", "2", "0"),
            (per_event, "1234.56", "1234.56", "0"),
            (free(basis_points()), "9", "9", "9"),
            (matrix(), "8", "8", "0"),
            (in_thousands(matrix()), "8", "1", "0"),
        ];
        for (rate, quantity, billable, allowance) in cases {
            let example = Example::new(rate.clone(), 2);
            let usage = example.event(quantity);
            let shown = |counts| Decimal::new(counts, example.price.priced_decimals).to_string();
            let got = example.price.billable(&usage).unwrap();
            let shown = (shown(got.quantity), shown(got.allowance));
            assert_eq!(shown, (billable.to_owned(), allowance.to_owned()), "{rate} {quantity}");
            assert_eq!(example.price.billable(&Usage::default()).unwrap(), Billable::default());
            let free: i128 =
                example.lines(&usage).iter().filter(|line| line.tier == 0).map(|line| line.quantity).sum();
            assert_eq!(free, got.allowance, "the line of the free quantity: {rate} {quantity}");
        }
    }

    #[test]
    fn a_price_of_the_event_bills_its_quantity() {
        let mut meter = meter(2);
        meter["event_price"] =
            json!({ "property": "$.price", "is": "amount", "currency": "EUR", "decimals": 6 });
        let example = Example::of_meter(json!({ "model": "dynamic" }), meter).unwrap();
        let got = example.price.billable(&example.priced_event("7.25", "12")).unwrap();
        assert_eq!(got, Billable { quantity: 725, allowance: 0 });
    }

    #[test]
    fn a_conversion_is_rounded_once_a_period() {
        let example = Example::new(in_thousands(json!({ "model": "per_unit", "unit_price": "2" })), 0);
        // 1.4 are 2 begun, 2.7 are 3: the second event adds one.
        let billable = |events: &[&str]| example.price.billable(&example.events(events)).unwrap().quantity;
        assert_eq!((billable(&["1400"]), billable(&["1400", "1300"])), (2, 3));
    }
}
