//! Prices and roundings, in integers that are checked at every step.

use super::Audit;
use crate::catalog::{Model, Rounding};

/// Decimal places of a quantity and of an amount.
pub(crate) const QUANTITY_PLACES: u32 = 12;
pub(crate) const AMOUNT_PLACES: u32 = 18;

/// A decimal text as a count of units of so many places.
pub(crate) fn units(text: &str, places: u32) -> Audit<i128> {
    let wrong = || format!("{text:?} is no decimal of {places} places");
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let missing = usize::try_from(places)
        .ok()
        .and_then(|places| places.checked_sub(fraction.len()))
        .ok_or_else(wrong)?;
    let number: i128 = format!("{whole}{fraction}{}", "0".repeat(missing)).parse().map_err(|_| wrong())?;
    Ok(sign * number)
}

/// The exact price of what was used in a billing period, if something was.
pub(crate) fn price(model: &Model, quantity: i128) -> Audit<i128> {
    match model {
        Model::PerUnit(price) => times(quantity, price),
        Model::Flat(amount) => units(amount, AMOUNT_PLACES),
        Model::Graduated(tiers) => {
            let (mut lower, mut amount) = (0, 0i128);
            for (upper, price) in *tiers {
                let upper = upper.map_or(Ok(i128::MAX), |upper| units(upper, QUANTITY_PLACES))?;
                amount += times(quantity.min(upper).saturating_sub(lower).max(0), price)?;
                lower = upper;
            }
            Ok(amount)
        }
    }
}

fn times(quantity: i128, price: &str) -> Audit<i128> {
    let product = quantity.checked_mul(units(price, AMOUNT_PLACES)?).ok_or("an amount is too large")?;
    let unit = 10i128.pow(QUANTITY_PLACES);
    if product % unit == 0 { Ok(product / unit) } else { Err(format!("{quantity} at {price} is not exact")) }
}

/// An exact amount in whole minor units.
pub(crate) fn round(amount: i128, exponent: u8, rounding: Rounding) -> i128 {
    let unit = 10i128.pow(AMOUNT_PLACES - u32::from(exponent));
    let (whole, twice_rest) = (amount.div_euclid(unit), 2 * amount.rem_euclid(unit));
    let is_up = match rounding {
        _ if twice_rest != unit => twice_rest > unit,
        Rounding::HalfEven => whole % 2 != 0,
        Rounding::HalfAwayFromZero => amount >= 0,
    };
    whole + i128::from(is_up)
}
