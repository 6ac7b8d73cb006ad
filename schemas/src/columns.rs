//! The Arrow types that stand for our types in tables.

use arrow_schema::extension::Uuid;
use arrow_schema::{DataType, Field, TimeUnit};

use crate::money::AMOUNT_SCALE;
use crate::quantity::QUANTITY_SCALE;

/// Digits of every decimal column.
pub const DECIMAL_PRECISION: u8 = 38;

/// Decimal places of a rounded amount: enough for any currency's minor unit.
pub const ROUNDED_AMOUNT_SCALE: u8 = crate::currency::MINOR_UNIT_EXPONENT_MAX;

/// UTF-8 text.
pub(crate) fn text(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Utf8, nullable)
}

/// Microseconds, UTC.
pub(crate) fn timestamp(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), nullable)
}

/// A calendar date.
pub(crate) fn date(name: &str) -> Field {
    Field::new(name, DataType::Date32, false)
}

/// An exact amount.
pub(crate) fn amount(name: &str, nullable: bool) -> Field {
    decimal(name, AMOUNT_SCALE, nullable)
}

/// An amount rounded to a currency's minor unit.
pub(crate) fn rounded_amount(name: &str) -> Field {
    decimal(name, ROUNDED_AMOUNT_SCALE, false)
}

/// A quantity.
pub(crate) fn quantity(name: &str, nullable: bool) -> Field {
    decimal(name, QUANTITY_SCALE, nullable)
}

/// The epoch that committed a row.
pub(crate) fn epoch() -> Field {
    Field::new("epoch", DataType::Int64, false)
}

/// A UUID, as 16 bytes.
pub(crate) fn uuid(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::FixedSizeBinary(16), nullable).with_extension_type(Uuid)
}

fn decimal(name: &str, scale: u8, nullable: bool) -> Field {
    Field::new(name, DataType::Decimal128(DECIMAL_PRECISION, scale.cast_signed()), nullable)
}
