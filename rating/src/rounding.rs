//! The one place where numbers are rounded.
//!
//! Everything else is exact. A price book says where a quantity or a proration is rounded and how, a
//! legal entity how its postings are.

use schemas::decimal::power_of_ten;
use schemas::price_book::RoundingMode;

use crate::Overflow;

/// `numerator / denominator`, rounded to a whole number. The denominator is above zero.
///
/// # Errors
/// [`Overflow`] when the denominator is not above zero.
pub fn divide_rounded(numerator: i128, denominator: i128, mode: RoundingMode) -> Result<i128, Overflow> {
    if denominator <= 0 {
        return Err(Overflow);
    }
    let (quotient, remainder) = divide(numerator, denominator);
    let up = match mode {
        RoundingMode::Floor => false,
        RoundingMode::Ceiling => remainder > 0,
        RoundingMode::HalfAwayFromZero => match remainder.cmp(&denominator.saturating_sub(remainder)) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => numerator > 0,
            std::cmp::Ordering::Greater => true,
        },
        RoundingMode::HalfEven => match remainder.cmp(&denominator.saturating_sub(remainder)) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => quotient % 2 != 0,
            std::cmp::Ordering::Greater => true,
        },
    };
    quotient.checked_add(i128::from(up)).ok_or(Overflow)
}

/// Quotient and remainder; the remainder is not below zero. The denominator is above zero.
#[inline]
fn divide(numerator: i128, denominator: i128) -> (i128, i128) {
    // Dividing 128 bits takes many times as long as dividing 64.
    if let (Ok(small), Ok(by)) = (u64::try_from(numerator), u64::try_from(denominator)) {
        let quotient = small.checked_div(by).unwrap_or(0);
        let remainder = small.checked_rem(by).unwrap_or(0);
        return (quotient.into(), remainder.into());
    }
    (numerator.div_euclid(denominator), numerator.rem_euclid(denominator))
}

/// A count of `10^-from` as a count of `10^-to`, rounded where that is coarser.
///
/// # Errors
/// [`Overflow`] when the result needs more than 38 digits.
pub fn rescale_rounded(units: i128, from: u8, to: u8, mode: RoundingMode) -> Result<i128, Overflow> {
    let factor = power_of_ten(from.abs_diff(to)).ok_or(Overflow)?;
    if from > to { divide_rounded(units, factor, mode) } else { units.checked_mul(factor).ok_or(Overflow) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RoundingMode::{Ceiling, Floor, HalfAwayFromZero, HalfEven};
    use proptest::prelude::*;

    #[test]
    fn modes_at_and_around_the_half() {
        // tenths, then the result by mode
        let cases = [
            (0, 0, 0, 0, 0),
            (4, 0, 0, 1, 0),
            (5, 1, 0, 1, 0),
            (6, 1, 1, 1, 0),
            (10, 1, 1, 1, 1),
            (15, 2, 2, 2, 1),
            (25, 3, 2, 3, 2),
            (-4, 0, 0, 0, -1),
            (-5, -1, 0, 0, -1),
            (-6, -1, -1, 0, -1),
            (-15, -2, -2, -1, -2),
            (-25, -3, -2, -2, -3),
        ];
        for (tenths, away, even, ceiling, floor) in cases {
            let got =
                [HalfAwayFromZero, HalfEven, Ceiling, Floor].map(|mode| divide_rounded(tenths, 10, mode));
            assert_eq!(got, [Ok(away), Ok(even), Ok(ceiling), Ok(floor)], "{tenths} tenths");
        }
        assert_eq!(divide_rounded(1, 0, Floor), Err(Overflow));
    }

    #[test]
    fn published_vectors() {
        // accruals.md D.5a pins the mode; D.5c has no minor unit.
        assert_eq!(rescale_rounded(18_518_505, 3, 2, HalfAwayFromZero), Ok(1_851_851));
        assert_eq!(rescale_rounded(18_518_505, 3, 2, HalfEven), Ok(1_851_850));
        assert_eq!(rescale_rounded(49_384, 1, 0, HalfAwayFromZero), Ok(4_938));
        assert_eq!(rescale_rounded(i128::MAX, 0, 1, Floor), Err(Overflow));
    }

    proptest! {
        #[test]
        fn rounding_is_within_half_a_unit(numerator in any::<i64>(), denominator in 1i64..1_000_000) {
            let (numerator, denominator) = (i128::from(numerator), i128::from(denominator));
            for mode in [HalfAwayFromZero, HalfEven] {
                let rounded = divide_rounded(numerator, denominator, mode).unwrap();
                prop_assert!((rounded * denominator - numerator).abs() * 2 <= denominator);
            }
            let floor = divide_rounded(numerator, denominator, Floor).unwrap();
            let ceiling = divide_rounded(numerator, denominator, Ceiling).unwrap();
            prop_assert!(floor * denominator <= numerator && numerator <= ceiling * denominator);
            prop_assert!(ceiling - floor <= 1);
        }
    }
}
