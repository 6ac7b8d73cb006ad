//! Exact amounts, and amounts of a currency.
//!
//! An [`Amount`] counts `10^-18` of a currency unit, so that the product of a quantity and a price
//! needs no rounding. [`Money`] adds the currency: two currencies cannot be added. Rounding to a
//! minor unit is not here; it happens in one place, where accruals are posted.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::currency::Currency;
use crate::decimal::{Decimal, DecimalError};

/// Decimal places of an exact amount.
pub const AMOUNT_SCALE: u8 = 18;

/// An exact amount, in `10^-18` of a currency unit. Below zero for credits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Amount(i128);

/// An exact amount of one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Money {
    /// How much, exactly.
    pub amount: Amount,
    /// Of what.
    pub currency: Currency,
}

/// Why an operation on money has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The exact result does not fit 38 digits at 18 decimal places.
    #[error("the amount is too large")]
    Overflow,
    /// Two currencies have no sum.
    #[error("{0} and {1} cannot be added")]
    CurrencyMismatch(Currency, Currency),
}

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// `units × 10^-18`.
    #[must_use]
    pub const fn from_units(units: i128) -> Self {
        Self(units)
    }

    /// The count of `10^-18`.
    #[must_use]
    pub const fn units(self) -> i128 {
        self.0
    }

    /// A decimal number as an amount.
    ///
    /// # Errors
    /// [`DecimalError`] when it has more than 18 decimal places or is too large.
    pub fn from_decimal(number: Decimal) -> Result<Self, DecimalError> {
        number.to_scaled(AMOUNT_SCALE).map(Self)
    }

    /// The amount as a decimal number.
    #[must_use]
    pub fn to_decimal(self) -> Decimal {
        Decimal::new(self.0, AMOUNT_SCALE)
    }

    /// The exact sum.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.0.checked_add(other.0).map(Self).ok_or(MoneyError::Overflow)
    }

    /// The exact difference.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.0.checked_sub(other.0).map(Self).ok_or(MoneyError::Overflow)
    }
}

impl Money {
    /// The exact sum of two amounts of one currency.
    ///
    /// # Errors
    /// [`MoneyError`] when the currencies differ or the sum is too large.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrencyMismatch(self.currency, other.currency));
        }
        Ok(Self { amount: self.amount.checked_add(other.amount)?, currency: self.currency })
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_decimal().fmt(formatter)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.amount, self.currency)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_decimal().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = Decimal::deserialize(deserializer)?;
        Self::from_decimal(number)
            .map_err(|error| de::Error::custom(format!("{number} does not fit: {error}")))
    }
}

crate::decimal::decimal_schema!(Amount, "Exact amount of a currency, at most 18 decimal places.");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_currencies_have_no_sum() {
        let money = |code, units| Money {
            amount: Amount::from_units(units),
            currency: Currency::from_code(code).unwrap(),
        };
        assert_eq!(money("EUR", 1).checked_add(money("EUR", 2)), Ok(money("EUR", 3)));
        let error = money("EUR", 1).checked_add(money("USD", 2)).unwrap_err();
        assert_eq!(error.to_string(), "EUR and USD cannot be added");
        assert_eq!(money("EUR", i128::MAX).checked_add(money("EUR", 1)), Err(MoneyError::Overflow));
    }

    #[test]
    fn amounts_read_and_print_exactly() {
        let amount = Amount::from_decimal("-0.000000000000000001".parse().unwrap()).unwrap();
        assert_eq!((amount.units(), amount.to_string().as_str()), (-1, "-0.000000000000000001"));
        let finer: Decimal = "0.0000000000000000001".parse().unwrap();
        assert_eq!(Amount::from_decimal(finer), Err(DecimalError::TooPrecise(18)));
    }
}
