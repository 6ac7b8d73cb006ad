//! Package: started packages × package price, `ceil(q / size) × price`.
//!
//! The ceiling is taken once, of the quantity of the whole period; taken per event it would bill more.

use schemas::price_book::RoundingMode;

use crate::Overflow;
use crate::rounding::divide_rounded;

#[derive(Clone, Copy, Debug)]
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
