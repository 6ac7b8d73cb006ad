//! The price books of the workload, and what usage costs by them.
//!
//! The arithmetic is written for the truth alone: closed formulas over the total of a month, in whole
//! numbers of `10^-12`. It shares nothing with the crate that rates.

use super::meters::{METERS, WORKLOAD_METERS, WorkloadMeter};

/// Ids of the price books.
pub(super) const PRICE_BOOKS: [&str; 5] = ["pb-1", "pb-2", "pb-3", "pb-4", "pb-5"];

/// Prices of each book, in percent of the first.
const PERCENTS: [i128; 5] = [100, 90, 115, 80, 125];

/// Units in a package.
const PACKAGE_UNITS: i128 = 1_000;

/// How a book prices a meter. Bounds are in counts of the meter's last decimal place, prices in `10^-12`
/// for one count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pricing {
    PerUnit { price: i128 },
    Graduated { bounds: (i128, i128), prices: [i128; 3] },
    Volume { bounds: (i128, i128), prices: [i128; 3] },
    Package { size: i128, price: i128 },
    FreeAllowance { free: i128, price: i128 },
}

/// The prices of all books.
#[derive(Debug)]
pub(super) struct PriceBooks(Vec<[Pricing; METERS]>);

impl PriceBooks {
    pub(super) fn new() -> Self {
        let book = |(position, percent): (usize, i128)| {
            std::array::from_fn(|meter| {
                let WorkloadMeter { decimals, unit_price, bounds, .. } = meter_at(meter);
                pricing(
                    (position + meter) % 5,
                    i128::from(10u64.pow(u32::from(*decimals))),
                    unit_price * percent / 100,
                    *bounds,
                )
            })
        };
        Self(PERCENTS.into_iter().enumerate().map(book).collect())
    }

    /// How a book prices a meter.
    pub(super) fn pricing(&self, book: usize, meter: usize) -> Pricing {
        let pricing = self.0.get(book).and_then(|book| book.get(meter)).copied();
        pricing.unwrap_or(Pricing::PerUnit { price: 0 })
    }
}

/// A meter; the first where there is none.
pub(super) fn meter_at(position: usize) -> &'static WorkloadMeter {
    let [first, ..] = &WORKLOAD_METERS;
    WORKLOAD_METERS.get(position).unwrap_or(first)
}

/// `counts` is the number of counts in a unit.
fn pricing(model: usize, counts: i128, unit_price: i128, bounds: (i128, i128)) -> Pricing {
    // Prices that have a whole number of 10^-12 for every count.
    let whole = |price: i128| ((price + counts / 2) / counts * counts).max(counts);
    let first = whole(unit_price);
    let prices = [first, whole(first * 3 / 4), whole(first / 2)].map(|price| price / counts);
    let bounds = (bounds.0 * counts, bounds.1 * counts);
    match model {
        0 => Pricing::PerUnit { price: first / counts },
        1 => Pricing::Graduated { bounds, prices },
        2 => Pricing::Volume { bounds, prices },
        3 => Pricing::Package { size: PACKAGE_UNITS * counts, price: first * 900 },
        _ => Pricing::FreeAllowance { free: bounds.0, price: first / counts },
    }
}

impl Pricing {
    /// Wire name of the price model.
    pub(super) const fn model(self) -> &'static str {
        match self {
            Self::PerUnit { .. } | Self::FreeAllowance { .. } => "per_unit",
            Self::Graduated { .. } => "graduated",
            Self::Volume { .. } => "volume",
            Self::Package { .. } => "package",
        }
    }

    /// What a quantity of a month costs, in `10^-12`.
    pub(super) fn charge(self, quantity: i128) -> i128 {
        match self {
            Self::PerUnit { price } => quantity * price,
            Self::Graduated { bounds: (first, second), prices: [low, middle, high] } => {
                quantity.min(first) * low
                    + (quantity.min(second) - first).max(0) * middle
                    + (quantity - second).max(0) * high
            }
            Self::Volume { bounds: (first, second), prices: [low, middle, high] } => {
                let price = if quantity <= first {
                    low
                } else if quantity <= second {
                    middle
                } else {
                    high
                };
                quantity * price
            }
            Self::Package { size, price } => (quantity + size - 1) / size * price,
            Self::FreeAllowance { free, price } => (quantity - free).max(0) * price,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charges() {
        let tiers = ((10, 20), [5, 4, 3]);
        let graduated = Pricing::Graduated { bounds: tiers.0, prices: tiers.1 };
        let volume = Pricing::Volume { bounds: tiers.0, prices: tiers.1 };
        let package = Pricing::Package { size: 10, price: 7 };
        let free = Pricing::FreeAllowance { free: 10, price: 5 };
        let per_unit = Pricing::PerUnit { price: 5 };
        // quantity, then the charge by each
        let cases = [
            (1, 5, 5, 7, 0, 5),
            (10, 50, 50, 7, 0, 50),
            (11, 54, 44, 14, 5, 55),
            (20, 90, 80, 14, 50, 100),
            (25, 105, 75, 21, 75, 125),
        ];
        for (quantity, by_tier, by_volume, by_package, beyond_free, by_unit) in cases {
            let got = [graduated, volume, package, free, per_unit].map(|pricing| pricing.charge(quantity));
            assert_eq!(got, [by_tier, by_volume, by_package, beyond_free, by_unit], "{quantity}");
        }
    }

    #[test]
    fn every_model_prices_every_meter_in_some_book() {
        let books = PriceBooks::new();
        for meter in 0..METERS {
            let mut models: Vec<String> =
                (0..5).map(|book| format!("{:?}", books.pricing(book, meter))).collect();
            for model in &mut models {
                model.truncate(7);
            }
            models.sort();
            models.dedup();
            assert_eq!(models.len(), 5, "{models:?}");
        }
    }
}
