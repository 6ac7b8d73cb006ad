//! Matrix: a unit price by dimension values.
//!
//! The entry with the most values given wins, and among those the one written first. A missing
//! dimension fits no given value, and no default either: usage without a dimension the price depends
//! on is unrated, not cheap.

use schemas::quarantine::UnratedReason;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Matrix {
    /// Entries, best first.
    pub(crate) entries: Vec<Entry>,
    /// Amount of one count where no entry fits.
    pub(crate) default: Option<i128>,
    /// Which of a charge's dimension values the matrix looks at.
    pub(crate) positions: Vec<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Per position looked at, the value it must have; `None` for any.
    pub(crate) values: Vec<Option<String>>,
    pub(crate) count_price: i128,
}

impl Matrix {
    /// Amount of one count for a charge with these dimension values.
    pub(crate) fn unit_price(&self, values: &[Option<&str>]) -> Result<i128, UnratedReason> {
        let mut given = Vec::with_capacity(self.positions.len());
        for position in &self.positions {
            match values.get(*position).copied().flatten() {
                Some(value) => given.push(value),
                None => return Err(UnratedReason::MissingDimension),
            }
        }
        let fits = |entry: &&Entry| {
            entry
                .values
                .iter()
                .zip(&given)
                .all(|(wanted, given)| wanted.as_deref().is_none_or(|wanted| wanted == *given))
        };
        let price = self.entries.iter().find(fits).map(|entry| entry.count_price);
        price.or(self.default).ok_or(UnratedReason::NoMatrixEntry)
    }
}

#[cfg(test)]
mod tests {
    use schemas::decimal::Decimal;
    use schemas::price_book::RoundingMode;
    use serde_json::{Value, json};

    use super::*;
    use crate::price::Terms;
    use crate::price::example::{Example, days, meter, refused};

    fn entry(model: &str, region: &str, unit_price: &str) -> Value {
        json!({ "when": { "model": model, "region": region }, "unit_price": unit_price })
    }

    fn rate(default: Option<&str>) -> Value {
        let mut rate = json!({ "model": "matrix", "matrix": [
            entry("*", "eu", "3"),
            entry("large", "*", "4"),
            entry("large", "eu", "5"),
            { "when": { "model": "small" }, "unit_price": "1" },
        ] });
        if let Some(default) = default {
            rate["default_unit_price"] = default.into();
        }
        rate
    }

    #[test]
    fn the_most_specific_entry_wins_then_the_first() {
        use UnratedReason::{MissingDimension, NoMatrixEntry};
        let cases = [
            // model, region; price with the default 9, and without it
            (Some("large"), Some("eu"), Ok("5"), Ok("5")),
            (Some("large"), Some("us"), Ok("4"), Ok("4")),
            (Some("medium"), Some("eu"), Ok("3"), Ok("3")),
            (Some("small"), Some("eu"), Ok("3"), Ok("3")),
            (Some("small"), Some("us"), Ok("1"), Ok("1")),
            (Some("medium"), Some("us"), Ok("9"), Err(NoMatrixEntry)),
            (Some("*"), Some("us"), Ok("9"), Err(NoMatrixEntry)),
            (Some(""), Some("us"), Ok("9"), Err(NoMatrixEntry)),
            (None, Some("eu"), Err(MissingDimension), Err(MissingDimension)),
            (Some("large"), None, Err(MissingDimension), Err(MissingDimension)),
        ];
        let days = days(31, 31, "USD", RoundingMode::Floor);
        for (model, region, with, without) in cases {
            for (default, expected) in [(Some("9"), with), (None, without)] {
                let example = Example::new(rate(default), 0);
                let terms = example.price.terms(&[model, region], &days);
                let unit = |terms: Terms| Decimal::new(terms.constant, 18).to_string();
                let got = terms.map(unit);
                assert_eq!(got.as_deref(), expected.as_ref().copied(), "{model:?} {region:?} {default:?}");
            }
        }
    }

    #[test]
    fn quantity_times_the_price_found() {
        let example = Example::new(rate(None), 2);
        let days = days(31, 31, "USD", RoundingMode::Floor);
        let terms = example.price.terms(&[Some("large"), Some("eu")], &days).unwrap();
        for (quantity, expected) in [("0", "0"), ("2.5", "12.5"), ("-1", "-5")] {
            let usage = example.event(quantity);
            assert_eq!(example.price.amount(terms, &usage).unwrap().to_string(), expected);
            let mut lines = Vec::new();
            example.price.breakdown(terms, &usage, &mut lines).unwrap();
            assert_eq!(Decimal::new(lines[0].amount, 18).to_string(), expected);
            assert_eq!(lines[0].unit_price, Some(5 * 10i128.pow(18)));
        }
    }

    #[test]
    fn what_a_matrix_may_not_be() {
        let matrix = |entries: Value| json!({ "model": "matrix", "matrix": entries });
        let cases = [
            (matrix(json!([])), vec!["matrix"]),
            (matrix(json!([entry("a", "b", "1"), entry("a", "b", "2")])), vec!["matrix[1].when"]),
            (
                matrix(
                    json!([entry("a", "*", "1"), { "when": { "model": "a" }, "unit_price": "2" }, entry("a", "b", "3")]),
                ),
                vec!["matrix[1].when"],
            ),
            (
                matrix(json!([{ "when": { "colour": "red" }, "unit_price": "1" }])),
                vec!["matrix[0].when.colour"],
            ),
            (matrix(json!([entry("a", "b", "-1")])), vec!["matrix[0].unit_price"]),
            (json!({ "model": "matrix" }), vec!["matrix"]),
        ];
        for (rate, expected) in cases {
            assert_eq!(refused(rate.clone(), meter(0)), expected, "{rate}");
        }
    }
}
