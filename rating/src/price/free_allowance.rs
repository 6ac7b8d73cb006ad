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

/// The free part of a quantity, as a line at price zero.
pub(crate) fn line(quantity: i128, beyond: i128) -> Result<TierLine, Overflow> {
    let free = quantity.checked_sub(beyond).ok_or(Overflow)?;
    Ok(TierLine { tier: 0, unit_price: Some(0), ..TierLine::whole(free, 0) })
}
