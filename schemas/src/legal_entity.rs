//! The legal entity: a company of the seller's group, with books, days and rounding of its own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::LegalEntityId;
use crate::price_book::RoundingMode;
use crate::time_zone::TimeZone;

/// A company that sells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LegalEntity {
    /// Identifier, unique among legal entities.
    pub id: LegalEntityId,
    /// Its name, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Time zone its days, months and billing periods begin in; UTC when left out.
    #[serde(default)]
    pub timezone: TimeZone,
    /// How amounts are rounded to the minor unit when they are posted.
    #[serde(default)]
    pub rounding: RoundingMode,
}
