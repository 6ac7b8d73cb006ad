//! Per unit: quantity × unit price.

use super::TierLine;
use crate::Overflow;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PerUnit {
    /// Amount of one count of the quantity.
    count_price: i128,
    /// Counts in a unit.
    unit: i128,
}

impl PerUnit {
    pub(crate) const fn new(count_price: i128, unit: i128) -> Self {
        Self { count_price, unit }
    }

    #[inline]
    pub(crate) fn amount(self, quantity: i128) -> Result<i128, Overflow> {
        quantity.checked_mul(self.count_price).ok_or(Overflow)
    }

    pub(crate) fn line(self, quantity: i128) -> Result<TierLine, Overflow> {
        let unit_price = Some(self.count_price.checked_mul(self.unit).ok_or(Overflow)?);
        Ok(TierLine { unit_price, ..TierLine::whole(quantity, self.amount(quantity)?) })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::price::example::{Example, meter, refused};

    #[test]
    fn quantity_times_unit_price() {
        let cases: &[(u8, &str, &str, &str)] = &[
            // decimals, unit price, quantity, amount
            (0, "10", "0", "0"),
            (0, "10", "5", "50"),
            (0, "10", "-3", "-30"),
            (0, "0.015", "1234567", "18518.505"),
            (0, "0.000000000000000001", "1", "0.000000000000000001"),
            (12, "0.000001", "0.000000000001", "0.000000000000000001"),
            (9, "0.114", "0.001388889", "0.000158333346"),
            (0, "0", "1000", "0"),
        ];
        for (decimals, unit_price, quantity, amount) in cases {
            let rate = json!({ "model": "per_unit", "unit_price": unit_price });
            Example::new(rate, *decimals).check(&[(quantity, amount)]);
        }
    }

    #[test]
    fn a_product_that_could_be_inexact_is_refused() {
        // Decimal places of the price and of the quantity, 18 together.
        let rate = |price: &str| json!({ "model": "per_unit", "unit_price": price });
        assert_eq!(refused(rate("0.0000001"), meter(12)), ["unit_price"]);
        assert_eq!(refused(rate("0.0000001"), meter(11)), [""; 0]);
        assert_eq!(refused(rate("-1"), meter(0)), ["unit_price"]);
        assert_eq!(refused(json!({ "model": "per_unit" }), meter(0)), ["unit_price"]);
    }

    #[test]
    fn an_amount_that_does_not_fit_is_an_error() {
        let example = Example::new(json!({ "model": "per_unit", "unit_price": "1" }), 0);
        let usage = example.event("1000000000000000000000");
        assert!(example.price.amount(super::super::Terms::default(), &usage).is_err());
    }
}
