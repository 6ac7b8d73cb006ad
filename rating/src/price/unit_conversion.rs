//! Unit conversion: from the unit that is metered to the unit that is priced.
//!
//! It applies to the quantity of the whole billing period, so its rounding happens once per period:
//! two events of 1,300 and 1,400 bytes are 2.7 kB, rounded up 3, not 2 + 2.

use schemas::decimal::{Decimal, power_of_ten};
use schemas::price_book::RoundingMode;

use crate::Overflow;
use crate::rounding::divide_rounded;

/// `quantity × numerator / denominator`, rounded where the denominator is not 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnitConversion {
    numerator: i128,
    denominator: i128,
    rounding: RoundingMode,
}

/// Why a conversion cannot be compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConversionFault {
    /// The factor is zero or below.
    NotPositive,
    /// The exact result can have more decimal places than can be kept.
    TooPrecise,
    /// The exact result can have endlessly many decimal places.
    Endless,
}

impl UnitConversion {
    /// A conversion of counts of `10^-decimals`, and the decimal places of its result.
    pub(crate) fn compile(
        is_division: bool,
        factor: Decimal,
        decimals: u8,
        rounded_to: Option<(u8, RoundingMode)>,
    ) -> Result<(Self, u8), ConversionFault> {
        if factor.is_negative() || factor.is_zero() {
            return Err(ConversionFault::NotPositive);
        }
        let ten_to = |places: u8| power_of_ten(places).ok_or(ConversionFault::TooPrecise);
        // quantity × over / under is the result in whole units.
        let (over, under) = if is_division {
            (ten_to(factor.scale())?, factor.mantissa())
        } else {
            (factor.mantissa(), ten_to(factor.scale())?)
        };
        if let Some((places, rounding)) = rounded_to {
            let numerator = over.checked_mul(ten_to(places)?).ok_or(ConversionFault::TooPrecise)?;
            let denominator = under.checked_mul(ten_to(decimals)?).ok_or(ConversionFault::TooPrecise)?;
            let common = greatest_common_divisor(numerator, denominator);
            let divided = |number: i128| number.checked_div(common).unwrap_or(number);
            let conversion =
                Self { numerator: divided(numerator), denominator: divided(denominator), rounding };
            return Ok((conversion, places));
        }
        // Exact: find the decimal places at which the denominator goes away.
        let common = greatest_common_divisor(over, under);
        let (over, under) = (over.checked_div(common), under.checked_div(common));
        let (Some(over), Some(under)) = (over, under) else { return Err(ConversionFault::TooPrecise) };
        for more in 0..=schemas::quantity::QUANTITY_SCALE {
            let shift = ten_to(more)?;
            if shift.checked_rem(under) == Some(0) {
                let places = decimals.saturating_add(more);
                let factor = shift.checked_div(under).and_then(|factor| factor.checked_mul(over));
                let numerator = factor.ok_or(ConversionFault::TooPrecise)?;
                let rounding = RoundingMode::Floor;
                return Ok((Self { numerator, denominator: 1, rounding }, places));
            }
        }
        Err(if only_twos_and_fives(under) { ConversionFault::TooPrecise } else { ConversionFault::Endless })
    }

    #[inline]
    pub(crate) fn convert(&self, quantity: i128) -> Result<i128, Overflow> {
        let product = quantity.checked_mul(self.numerator).ok_or(Overflow)?;
        if self.denominator == 1 {
            Ok(product)
        } else {
            divide_rounded(product, self.denominator, self.rounding)
        }
    }
}

fn greatest_common_divisor(left: i128, right: i128) -> i128 {
    let (mut left, mut right) = (left, right);
    while let Some(rest) = left.checked_rem(right) {
        (left, right) = (right, rest);
    }
    left.max(1)
}

fn only_twos_and_fives(number: i128) -> bool {
    let mut number = number;
    for prime in [2, 5] {
        while number.checked_rem(prime) == Some(0) && number > 1 {
            number = number.checked_div(prime).unwrap_or(1);
        }
    }
    number == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use RoundingMode::{Ceiling, HalfAwayFromZero};

    #[test]
    fn conversions() {
        // division?, factor, decimals, rounded to, quantity, result and its decimals
        type Case =
            (bool, &'static str, u8, Option<(u8, RoundingMode)>, i128, Result<(i128, u8), ConversionFault>);
        let cases: &[Case] = &[
            (false, "1.5", 1, None, 42, Ok((630, 2))),
            (true, "1000", 0, None, 1_247, Ok((1_247, 3))),
            (true, "1000", 0, Some((0, Ceiling)), 1_400, Ok((2, 0))),
            (true, "1000", 0, Some((0, Ceiling)), 2_700, Ok((3, 0))),
            (true, "1073741824", 0, Some((3, HalfAwayFromZero)), 1_610_612_736, Ok((1_500, 3))),
            (true, "3600", 0, Some((2, HalfAwayFromZero)), 5_400, Ok((150, 2))),
            (true, "0.5", 0, None, 7, Ok((14, 0))),
            (true, "64", 0, None, 1, Ok((15_625, 6))),
            (true, "3", 0, None, 1, Err(ConversionFault::Endless)),
            (true, "1073741824", 0, None, 1, Err(ConversionFault::TooPrecise)),
            (true, "0", 0, None, 1, Err(ConversionFault::NotPositive)),
            (false, "-2", 0, None, 1, Err(ConversionFault::NotPositive)),
        ];
        for (is_division, factor, decimals, rounded_to, quantity, expected) in cases {
            let compiled =
                UnitConversion::compile(*is_division, factor.parse().unwrap(), *decimals, *rounded_to);
            let got = compiled.map(|(conversion, places)| (conversion.convert(*quantity).unwrap(), places));
            assert_eq!(got, *expected, "{factor} {decimals} {rounded_to:?}");
        }
    }
}
