//! Package: started packages × package price, `ceil(q / size) × price`.
//!
//! The ceiling is taken once, of the quantity of the whole period; taken per event it would bill more.

use schemas::price_book::RoundingMode;

use crate::Overflow;
use crate::rounding::divide_rounded;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    /// Counts of the quantity in a package.
    pub(crate) size: i128,
    /// Amount of a package.
    pub(crate) price: i128,
}

impl Package {
    #[inline]
    pub(crate) fn amount(self, quantity: i128) -> Result<i128, Overflow> {
        let packages = divide_rounded(quantity, self.size, RoundingMode::Ceiling)?;
        packages.checked_mul(self.price).ok_or(Overflow)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::price::example::{Example, meter, refused};

    fn package(size: &str) -> Value {
        json!({ "model": "package", "package_size": size, "package_price": "0.25" })
    }

    #[test]
    fn started_packages_count_whole() {
        Example::new(package("500"), 3).check(&[
            ("0", "0"),
            ("0.001", "0.25"),
            ("1", "0.25"),
            ("500", "0.25"),
            ("500.001", "0.5"),
            ("48900", "24.5"),
            // The ceiling of -1/500 is 0: a credit counts once it makes a whole package.
            ("-1", "0"),
            ("-500", "-0.25"),
            ("-999", "-0.25"),
        ]);
        Example::new(package("2.5"), 1).check(&[("2.5", "0.25"), ("2.6", "0.5"), ("5", "0.5")]);
    }

    #[test]
    fn the_ceiling_is_taken_of_the_period_not_of_each_event() {
        let example = Example::new(package("10"), 0);
        let usage = example.events(&["1", "1", "1", "8"]);
        assert_eq!(example.amount(&usage), "0.5");
    }

    #[test]
    fn a_package_without_size_is_refused() {
        for size in ["0", "-1"] {
            assert!(refused(package(size), meter(0)).contains(&"package_size".to_owned()), "{size}");
        }
        assert_eq!(refused(package("0.5"), meter(0)), ["package_size"]);
        assert_eq!(refused(json!({ "model": "package" }), meter(0)), ["package_size", "package_price"]);
    }
}
