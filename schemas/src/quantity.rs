//! Measured usage, and the price of one unit of it: two types, so that neither is taken for the
//! other or for an amount.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::decimal::{Decimal, DecimalError};

/// Decimal places every quantity can have; a meter declares how many of them it uses.
pub const QUANTITY_SCALE: u8 = 12;

/// Most digits before the decimal point in the quantity of one event.
pub const EVENT_QUANTITY_INTEGER_DIGITS_MAX: u8 = 20;

/// A measured quantity, in `10^-12` of the meter's unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Quantity(i128);

/// The price of one unit, in the currency of the contract line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnitPrice(pub Decimal);

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// `units × 10^-12`.
    #[must_use]
    pub const fn from_units(units: i128) -> Self {
        Self(units)
    }

    /// The count of `10^-12`.
    #[must_use]
    pub const fn units(self) -> i128 {
        self.0
    }

    /// A decimal number as a quantity.
    ///
    /// # Errors
    /// [`DecimalError`] when it has more than 12 decimal places or is too large.
    pub fn from_decimal(number: Decimal) -> Result<Self, DecimalError> {
        number.to_scaled(QUANTITY_SCALE).map(Self)
    }

    /// The quantity as a decimal number.
    #[must_use]
    pub fn to_decimal(self) -> Decimal {
        Decimal::new(self.0, QUANTITY_SCALE)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_decimal().fmt(formatter)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_decimal().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = Decimal::deserialize(deserializer)?;
        Self::from_decimal(number)
            .map_err(|error| de::Error::custom(format!("{number} does not fit: {error}")))
    }
}

crate::decimal::decimal_schema!(Quantity, "Measured quantity, at most 12 decimal places.");
crate::decimal::decimal_schema!(UnitPrice, "Price of one unit, exact.");
