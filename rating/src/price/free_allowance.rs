//! Free allowance: a quantity of every billing period that costs nothing.
//!
//! It comes off the quantity of the whole period, before any tier: the first units of the period are
//! the free ones, whatever order events arrive in.

use super::TierLine;
use crate::Overflow;

/// What is left of a quantity beyond the free one: `max(0, quantity - free)`.
#[inline]
pub(crate) fn beyond(quantity: i128, free: i128) -> Result<i128, Overflow> {
    Ok(quantity.checked_sub(free).ok_or(Overflow)?.max(0))
}

/// The part of a quantity that the free one covers: `min(quantity, free)`. A quantity below zero is
/// covered whole, as nothing of it is priced.
#[inline]
pub(crate) fn covered(quantity: i128, free: i128) -> Result<i128, Overflow> {
    quantity.checked_sub(beyond(quantity, free)?).ok_or(Overflow)
}

/// The covered part of a quantity, as a line at price zero.
pub(crate) const fn line(covered: i128) -> TierLine {
    TierLine { tier: 0, unit_price: Some(0), ..TierLine::whole(covered, 0) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::price::example::Example;

    #[test]
    fn the_first_units_of_the_period_cost_nothing() {
        let rate = json!({ "model": "per_unit", "unit_price": "2", "free_quantity": "10" });
        Example::new(rate, 1).check(&[
            ("-3", "0"),
            ("0", "0"),
            ("9.9", "0"),
            ("10", "0"),
            ("10.1", "0.2"),
            ("25", "30"),
        ]);
    }

    #[test]
    fn packages_begin_after_the_free_quantity() {
        // 7 free units are no multiple of the package of 5.
        let rate = json!({
            "model": "package",
            "package_size": "5",
            "package_price": "1",
            "free_quantity": "7"
        });
        Example::new(rate, 0).check(&[("7", "0"), ("8", "1"), ("12", "1"), ("13", "2")]);
    }

    #[test]
    fn tiers_count_what_is_beyond_the_free_quantity() {
        let rate = json!({ "model": "volume", "free_quantity": "5", "tiers": [
            { "up_to": "15", "unit_price": "10" },
            { "up_to": null, "unit_price": "5" }
        ] });
        Example::new(rate, 0).check(&[("5", "0"), ("20", "150"), ("21", "80")]);
    }

    #[test]
    fn the_conversion_and_its_rounding_come_first() {
        // 2,500 bytes are 3 kB, of which 1 is free: 2, not the 1.5 of the bytes beyond 1,000.
        let rate = json!({
            "model": "per_unit",
            "unit_price": "10",
            "free_quantity": "1",
            "convert": { "operation": "divide", "factor": "1000", "rounding": "ceiling" }
        });
        let example = Example::new(rate, 0);
        example.check(&[("1", "0"), ("1000", "0"), ("1001", "10"), ("2500", "20")]);
        let shares = example.shares("2500");
        assert_eq!(shares, [(0, "1".to_owned(), "0".to_owned()), (1, "2".to_owned(), "20".to_owned())]);
    }
}
