//! Percentage: percent of the value of every event, with a fee and bounds per event.

use super::Usage;
use super::per_event::PerEvent;
use crate::Overflow;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Percentage {
    /// Amount of one count of the value.
    pub(crate) count_share: i128,
    pub(crate) per_event: PerEvent,
}

impl Percentage {
    pub(crate) const fn prices_events(&self) -> bool {
        self.per_event.has_bounds()
    }

    /// The amount of one event; zero where the aggregate is enough.
    #[inline]
    pub(crate) fn event_amount(&self, value: i128) -> Result<i128, Overflow> {
        if !self.prices_events() {
            return Ok(0);
        }
        self.per_event.amount(value.checked_mul(self.count_share).ok_or(Overflow)?)
    }

    #[inline]
    pub(crate) fn amount(&self, quantity: i128, usage: &Usage) -> Result<i128, Overflow> {
        if self.prices_events() {
            return Ok(usage.event_amounts.units());
        }
        let share = quantity.checked_mul(self.count_share).ok_or(Overflow)?;
        share.checked_add(self.per_event.fees(usage.events)?).ok_or(Overflow)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::price::example::{Example, meter, refused};

    fn with(fields: &Value) -> Value {
        let mut rate = json!({ "model": "percentage", "percent": "2.9" });
        for (name, value) in fields.as_object().unwrap() {
            rate[name] = value.clone();
        }
        rate
    }

    #[test]
    fn shares_fees_and_bounds() {
        let bounds = json!({ "per_event_minimum": "0.5", "per_event_maximum": "25", "per_event_fee": "0.3" });
        let cases: &[(Value, &[&str], &str)] = &[
            // more of the rate, values of the events, amount
            (json!({}), &["100"], "2.9"),
            (json!({}), &["100", "-40"], "1.74"),
            (json!({}), &["0"], "0"),
            (json!({ "per_event_fee": "0.3" }), &["100"], "3.2"),
            (json!({ "per_event_fee": "0.3" }), &["60", "40"], "3.5"),
            // A refund gives its share back, not the fee, and costs the fee of an event.
            (json!({ "per_event_fee": "0.3" }), &["100", "-100"], "0.6"),
            (json!({ "free_quantity": "1000", "per_event_fee": "0.3" }), &["1100", "50"], "4.95"),
            (bounds.clone(), &["1"], "0.5"),
            (bounds.clone(), &["1", "1"], "1"),
            (bounds.clone(), &["100"], "3.2"),
            (bounds.clone(), &["1000"], "25"),
            (bounds.clone(), &["500", "500"], "29.6"),
            (bounds, &["0"], "0.5"),
        ];
        for (fields, values, amount) in cases {
            let example = Example::of_meter(with(fields), meter(2)).unwrap();
            assert_eq!(example.amount(&example.events(values)), *amount, "{fields} {values:?}");
        }
    }

    #[test]
    fn bounds_go_with_nothing_that_acts_on_the_period() {
        let capped = |more: Value| {
            let mut rate = with(&json!({ "per_event_maximum": "25" }));
            for (name, value) in more.as_object().unwrap() {
                rate[name] = value.clone();
            }
            rate
        };
        let mut refunds = meter(2);
        refunds["allow_negative"] = true.into();
        let convert = json!({ "convert": { "operation": "divide", "factor": "2" } });
        let cases = [
            (capped(json!({})), meter(2), vec![]),
            (capped(json!({ "free_quantity": "5" })), meter(2), vec!["free_quantity"]),
            (capped(convert), meter(2), vec!["convert"]),
            (capped(json!({})), refunds.clone(), vec!["per_event_maximum"]),
            (capped(json!({ "per_event_minimum": "30" })), meter(2), vec!["per_event_minimum"]),
            (capped(json!({ "percent": "-1" })), meter(2), vec!["percent"]),
            (with(&json!({})), refunds, vec![]),
        ];
        for (rate, meter, expected) in cases {
            assert_eq!(refused(rate.clone(), meter), expected, "{rate}");
        }
    }
}
