//! The price book: effective-dated versions, each with one rate per meter.
//!
//! A rate is written flat: its `model` says which of the other fields it uses. A field its model
//! does not use is refused when the book is compiled, never ignored.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::currency::Currency;
use crate::decimal::Decimal;
use crate::effective_time::EffectiveTime;
use crate::id::{DimensionName, MeterId, PriceBookId};
use crate::quantity::{QUANTITY_SCALE, Quantity, UnitPrice};

/// A price book.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceBook {
    /// Identifier, unique among price books.
    pub id: PriceBookId,
    /// What it is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Currencies its prices hold in, number for number. Most books have one.
    pub currencies: Vec<Currency>,
    /// Versions, in order of time.
    pub versions: Vec<PriceBookVersion>,
}

/// The prices of a book for a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceBookVersion {
    /// Number, unique in the book.
    pub version: u32,
    /// First event time it prices. Needed from the second version on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_from: Option<EffectiveTime>,
    /// First event time it no longer prices; when left out, the start of the next version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_to: Option<EffectiveTime>,
    /// Does usage count from zero again when this version takes over within a billing period?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tier_reset_on_price_change: bool,
    /// One rate per meter.
    pub rates: Vec<Rate>,
}

/// How usage of one meter is priced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// The meter it prices.
    pub meter: MeterId,
    /// How the price follows from usage.
    pub model: PriceModelName,
    /// Conversion of the metered quantity into the unit that is priced. Comes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub convert: Option<UnitConversion>,
    /// Quantity that is free in every billing period. Comes after the conversion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_quantity: Option<Quantity>,
    /// Dimensions that are counted and priced apart: every combination has tiers of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub group_by: Vec<DimensionName>,
    /// `flat`: the fee of a billing period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Decimal>,
    /// `flat`: is the fee reduced to the days the contract line is in force?
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prorate: Option<bool>,
    /// `per_unit`: the price of one unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_price: Option<UnitPrice>,
    /// `graduated`, `volume`, `stairstep`: the tiers, from low to high.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tiers: Option<Vec<Tier>>,
    /// `graduated`, `volume`, `stairstep`: is the first tier's flat amount due for usage of zero?
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flat_amount_at_zero: Option<bool>,
    /// `package`: units in a package. A started package counts whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package_size: Option<Quantity>,
    /// `package`: the price of a package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package_price: Option<UnitPrice>,
    /// `percentage`: percent of the value, 2.9 for 2.9 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<Decimal>,
    /// `basis_points`: hundredths of a percent of the value, 290 for 2.9 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis_points: Option<Decimal>,
    /// `percentage`, `basis_points`: fee added for every event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_event_fee: Option<Decimal>,
    /// `percentage`, `basis_points`: least amount of an event, fee included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_event_minimum: Option<Decimal>,
    /// `percentage`, `basis_points`: largest amount of an event, fee included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_event_maximum: Option<Decimal>,
    /// `matrix`: unit prices by dimension values. The most specific entry wins, then the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matrix: Option<Vec<MatrixEntry>>,
    /// `matrix`: the unit price where no entry fits. Without it such usage is unrated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_unit_price: Option<UnitPrice>,
    /// `dynamic`: factor on the amount that comes with the event; 1 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiplier: Option<Decimal>,
}

/// How a price follows from usage. `docs/price-models.md` has each with figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PriceModelName {
    /// A fee once per billing period with usage.
    Flat,
    /// Quantity × unit price.
    PerUnit,
    /// Each tier prices its own slice.
    Graduated,
    /// The tier that holds the total prices all of it.
    Volume,
    /// The tier that holds the total sets one amount.
    Stairstep,
    /// Started packages × package price.
    Package,
    /// Percent of the value of every event.
    Percentage,
    /// Basis points of the value of every event.
    BasisPoints,
    /// Unit price by dimension values.
    Matrix,
    /// The amount or price that comes with the event.
    Dynamic,
}

impl PriceModelName {
    /// Wire name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::PerUnit => "per_unit",
            Self::Graduated => "graduated",
            Self::Volume => "volume",
            Self::Stairstep => "stairstep",
            Self::Package => "package",
            Self::Percentage => "percentage",
            Self::BasisPoints => "basis_points",
            Self::Matrix => "matrix",
            Self::Dynamic => "dynamic",
        }
    }

    /// Does a tier that is reached set the price of usage below it as well?
    #[must_use]
    pub const fn has_retroactive_tiers(self) -> bool {
        matches!(self, Self::Volume | Self::Stairstep)
    }
}

/// Quantities above the previous tier's bound, up to and including this one's: `(lower, up_to]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Upper bound, inclusive; `null` on the last tier, which has none.
    pub up_to: Option<Quantity>,
    /// Price of one unit. `graduated` and `volume`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_price: Option<UnitPrice>,
    /// Amount due once when the tier is entered; the whole price of a `stairstep`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flat_amount: Option<Decimal>,
}

/// A unit price for a combination of dimension values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MatrixEntry {
    /// Values by dimension; `*` stands for any value, a dimension left out as well.
    pub when: BTreeMap<DimensionName, String>,
    /// The price of one unit.
    pub unit_price: UnitPrice,
}

/// Conversion of a metered quantity into the unit that is priced, applied to the quantity of the
/// whole billing period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnitConversion {
    /// Multiply or divide by the factor.
    pub operation: ConversionOperation,
    /// The factor, above zero.
    pub factor: Decimal,
    /// How the result is rounded; exact when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounding: Option<RoundingMode>,
    /// Decimal places the result is rounded to; 0 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = QUANTITY_SCALE))]
    pub decimals: Option<u8>,
    /// Name of the unit that is priced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// What a unit conversion does with its factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConversionOperation {
    /// Multiply.
    Multiply,
    /// Divide.
    Divide,
}

/// Which neighbour a number between two representable ones becomes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum RoundingMode {
    /// The nearer; half goes away from zero: 0.5 → 1, -0.5 → -1. As invoices do.
    #[default]
    HalfAwayFromZero,
    /// The nearer; half goes to the even one: 0.5 → 0, 1.5 → 2.
    HalfEven,
    /// The larger: 0.1 → 1, -0.9 → 0.
    Ceiling,
    /// The smaller: 0.9 → 0, -0.1 → -1.
    Floor,
}

impl RoundingMode {
    /// Wire name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HalfAwayFromZero => "half_away_from_zero",
            Self::HalfEven => "half_even",
            Self::Ceiling => "ceiling",
            Self::Floor => "floor",
        }
    }
}
