//! Basis points: hundredths of a percent of the value of every event, usually with a cap per event.
//!
//! The same arithmetic as a percentage, in the unit card schemes and brokers quote.

use super::Usage;
use super::percentage::Percentage;
use crate::Overflow;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BasisPoints(pub(crate) Percentage);

impl BasisPoints {
    pub(crate) const fn prices_events(&self) -> bool {
        self.0.prices_events()
    }

    #[inline]
    pub(crate) fn event_amount(&self, value: i128) -> Result<i128, Overflow> {
        self.0.event_amount(value)
    }

    #[inline]
    pub(crate) fn amount(&self, quantity: i128, usage: &Usage) -> Result<i128, Overflow> {
        self.0.amount(quantity, usage)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::price::example::{Example, meter, refused};

    #[test]
    fn hundredths_of_a_percent() {
        let fee = json!({ "model": "basis_points", "basis_points": "290", "per_event_fee": "0.3" });
        let capped = json!({ "model": "basis_points", "basis_points": "15", "per_event_maximum": "150" });
        let fine = json!({ "model": "basis_points", "basis_points": "0.25" });
        let cases: &[(&Value, &[&str], &str)] = &[
            (&fee, &["1234.56"], "36.10224"),
            (&capped, &["99999.99"], "149.999985"),
            (&capped, &["100000"], "150"),
            (&capped, &["100000.01"], "150"),
            // The cap is each event's: of the sum it would be 150.
            (&capped, &["1000000", "1000000"], "300"),
            (&capped, &["1000000", "1000"], "151.5"),
            (&fine, &["1000000"], "25"),
        ];
        for (rate, values, amount) in cases {
            let example = Example::of_meter((*rate).clone(), meter(2)).unwrap();
            assert_eq!(example.amount(&example.events(values)), *amount, "{rate} {values:?}");
        }
    }

    #[test]
    fn a_share_needs_values_that_are_summed() {
        let mut largest = meter(2);
        largest["aggregation"] = "max".into();
        let rate = json!({ "model": "basis_points", "basis_points": "15" });
        assert_eq!(refused(rate, largest), ["model"]);
        assert_eq!(
            refused(json!({ "model": "basis_points", "percent": "1" }), meter(2)),
            ["percent", "basis_points"]
        );
    }
}
