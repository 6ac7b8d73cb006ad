//! Dynamic: the amount, or the unit price, comes with the event; a multiplier may be put on it.

use crate::Overflow;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dynamic {
    /// The event states its amount, which is multiplied by `factor / divisor`.
    Amount { factor: i128, divisor: i128 },
    /// The event states a unit price. `unit` is the number of counts in a unit of the quantity.
    UnitPrice { factor: i128, divisor: i128, unit: i128 },
}

impl Dynamic {
    #[inline]
    pub(crate) fn event_amount(self, measure: i128, event_price: i128) -> Result<i128, Overflow> {
        // Compilation makes sure that the divisions leave no remainder.
        let (factor, divisor, counts, unit) = match self {
            Self::Amount { factor, divisor } => (factor, divisor, 1, 1),
            Self::UnitPrice { factor, divisor, unit } => (factor, divisor, measure, unit),
        };
        let parts = divisor.checked_mul(unit).ok_or(Overflow)?;
        let price = event_price.checked_div(parts).ok_or(Overflow)?;
        price.checked_mul(factor).and_then(|price| price.checked_mul(counts)).ok_or(Overflow)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::price::Usage;
    use crate::price::example::{Example, meter, refused};

    fn priced_meter(is: &str, decimals: u8) -> Value {
        let mut meter = meter(2);
        meter["event_price"] =
            json!({ "property": "$.price", "is": is, "currency": "EUR", "decimals": decimals });
        meter
    }

    fn rate(multiplier: Option<&str>) -> Value {
        let mut rate = json!({ "model": "dynamic" });
        if let Some(multiplier) = multiplier {
            rate["multiplier"] = multiplier.into();
        }
        rate
    }

    #[test]
    fn the_event_states_its_amount_or_its_unit_price() {
        let cases = [
            // what the event states, multiplier, quantity, stated, amount
            ("amount", None, "7", "12.5", "12.5"),
            ("amount", Some("1.33333"), "7", "10", "13.3333"),
            ("amount", Some("0"), "7", "10", "0"),
            ("amount", None, "0", "12.5", "12.5"),
            ("amount", None, "1", "-4", "-4"),
            ("unit_price", None, "7", "12.5", "87.5"),
            ("unit_price", Some("1.1"), "0.25", "0.000001", "0.000000275"),
            ("unit_price", None, "0", "12.5", "0"),
            ("unit_price", None, "-2", "12.5", "-25"),
        ];
        for (is, multiplier, quantity, stated, amount) in cases {
            let example = Example::of_meter(rate(multiplier), priced_meter(is, 6)).unwrap();
            let usage = example.priced_event(quantity, stated);
            assert_eq!(example.amount(&usage), amount, "{is} {multiplier:?} {quantity} {stated}");
        }
    }

    #[test]
    fn amounts_of_events_add_up() {
        let example = Example::of_meter(rate(Some("1.5")), priced_meter("amount", 6)).unwrap();
        let mut usage = Usage::default();
        for stated in ["1", "2.25", "-0.25"] {
            let event = example.priced_event("1", stated);
            usage.events += 1;
            usage.event_amounts = usage.event_amounts.checked_add(event.event_amounts).unwrap();
        }
        assert_eq!(example.amount(&usage), "4.5");
    }

    #[test]
    fn what_a_dynamic_price_needs() {
        let mut largest = priced_meter("amount", 6);
        largest["aggregation"] = "max".into();
        let cases = [
            (rate(None), meter(0), vec!["model"]),
            (rate(None), largest, vec!["model"]),
            (rate(Some("-1")), priced_meter("amount", 6), vec!["multiplier"]),
            // 16 of the price and 2 of the quantity are 18; one of the multiplier is too many.
            (rate(None), priced_meter("unit_price", 16), vec![]),
            (rate(Some("1.5")), priced_meter("unit_price", 16), vec!["multiplier"]),
            (
                json!({ "model": "dynamic", "free_quantity": "5" }),
                priced_meter("amount", 6),
                vec!["free_quantity"],
            ),
        ];
        for (rate, meter, expected) in cases {
            assert_eq!(refused(rate.clone(), meter), expected, "{rate}");
        }
    }
}
