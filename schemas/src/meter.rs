//! The meter: which usage events it counts, and what it reads from each.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::currency::Currency;
use crate::id::{DimensionName, MeterId};
use crate::money::AMOUNT_SCALE;
use crate::quantity::QUANTITY_SCALE;

/// Decimal places a meter keeps when it does not say.
pub const METER_DECIMALS_DEFAULT: u8 = 9;

/// A meter: events of one type, aggregated to a quantity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Meter {
    /// Identifier, unique among meters.
    pub id: MeterId,
    /// What it is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `type` of the usage events it counts.
    #[schemars(length(min = 1))]
    pub event_type: String,
    /// How events become a quantity.
    pub aggregation: Aggregation,
    /// Property that is aggregated. Every aggregation but `count` needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<PropertyPath>,
    /// Unit of the quantity, such as `token` or `GB.h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Decimal places of the quantity, 0 to 12. An event with more is rejected.
    #[serde(default = "default_decimals")]
    #[schemars(range(max = QUANTITY_SCALE))]
    pub decimals: u8,
    /// Are quantities below zero accepted?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_negative: bool,
    /// What to do with an event that lacks the value.
    #[serde(default, skip_serializing_if = "IfMissing::is_default")]
    pub if_missing: IfMissing,
    /// Properties kept with every rated row, by dimension name; price books can price by them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dimensions: BTreeMap<DimensionName, PropertyPath>,
    /// Which of the events count. All of them when left out.
    #[serde(default, skip_serializing_if = "MeterFilter::is_empty")]
    pub filter: MeterFilter,
    /// Amount or price that comes with the event, for the `dynamic` price model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_price: Option<EventPrice>,
}

const fn default_decimals() -> u8 {
    METER_DECIMALS_DEFAULT
}

/// How events become the quantity of a billing period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Aggregation {
    /// Number of events.
    Count,
    /// Sum of the values.
    Sum,
    /// Largest value.
    Max,
    /// Smallest value.
    Min,
    /// Value of the latest event by event time; between equal times, the larger event id.
    Latest,
    /// Number of distinct values, exact.
    Unique,
}

impl Aggregation {
    /// Wire name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Max => "max",
            Self::Min => "min",
            Self::Latest => "latest",
            Self::Unique => "unique",
        }
    }

    /// Does it read a number from the event?
    #[must_use]
    pub const fn is_numeric(self) -> bool {
        !matches!(self, Self::Count | Self::Unique)
    }
}

/// What to do with an event that lacks the value a meter reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IfMissing {
    /// Reject the event; it goes to quarantine.
    #[default]
    Reject,
    /// The event is not usage of this meter.
    Ignore,
}

impl IfMissing {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Which events a meter counts, by their properties as text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MeterFilter {
    /// Every property listed must have one of its values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub include: BTreeMap<PropertyPath, Vec<String>>,
    /// An event that has all properties of one entry, each with one of its values, is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<BTreeMap<PropertyPath, Vec<String>>>,
}

impl MeterFilter {
    /// Does it let every event through?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }
}

/// A price or amount carried by the event itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventPrice {
    /// Where it is.
    pub property: PropertyPath,
    /// What it is: the amount of the whole event, or the price of one unit.
    pub is: EventPriceKind,
    /// Its currency; only contract lines in this currency can use it.
    pub currency: Currency,
    /// Decimal places it may have, 0 to 18.
    #[serde(default = "default_decimals")]
    #[schemars(range(max = AMOUNT_SCALE))]
    pub decimals: u8,
}

/// What the price property of an event states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventPriceKind {
    /// Amount of the whole event.
    Amount,
    /// Price of one unit of the meter's value.
    UnitPrice,
}

/// Where a property is in an event's data: `$.tokens`, `$.usage.input_tokens`, `$['odd.name']`.
///
/// Member names only: no wildcards, no array positions.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PropertyPath(Vec<String>);

/// A text that is no property path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a property path: write $.name, $.outer.inner or $['odd.name']")]
pub struct NotAPropertyPath(pub String);

impl PropertyPath {
    /// Member names from the data object inwards; at least one.
    #[must_use]
    pub fn segments(&self) -> &[String] {
        &self.0
    }
}

impl FromStr for PropertyPath {
    type Err = NotAPropertyPath;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || NotAPropertyPath(text.to_owned());
        let mut rest = text.strip_prefix('$').ok_or_else(wrong)?;
        let mut segments = Vec::new();
        while !rest.is_empty() {
            let segment;
            if let Some(quoted) = rest.strip_prefix("['") {
                (segment, rest) = quoted.split_once("']").ok_or_else(wrong)?;
            } else {
                let dotted = rest.strip_prefix('.').ok_or_else(wrong)?;
                let end = dotted.find(['.', '[']).unwrap_or(dotted.len());
                (segment, rest) = dotted.split_at_checked(end).ok_or_else(wrong)?;
                if segment.contains(['*', '?', '\'', '"', ']', ' ', '@']) {
                    return Err(wrong());
                }
            }
            if segment.is_empty() {
                return Err(wrong());
            }
            segments.push(segment.to_owned());
        }
        if segments.is_empty() { Err(wrong()) } else { Ok(Self(segments)) }
    }
}

impl fmt::Display for PropertyPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("$")?;
        for segment in &self.0 {
            if segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') {
                write!(formatter, ".{segment}")?;
            } else {
                write!(formatter, "['{segment}']")?;
            }
        }
        Ok(())
    }
}

impl Serialize for PropertyPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PropertyPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for PropertyPath {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PropertyPath".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Member of the event's data, such as $.tokens or $.usage.input_tokens.",
            "type": "string",
            "pattern": r"^\$(\.[^.\[]+|\['[^']+'\])+$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn property_paths() {
        let good: &[(&str, &[&str], &str)] = &[
            ("$.tokens", &["tokens"], "$.tokens"),
            ("$.usage.input_tokens", &["usage", "input_tokens"], "$.usage.input_tokens"),
            ("$['odd.name'].x", &["odd.name", "x"], "$['odd.name'].x"),
            ("$['plain']", &["plain"], "$.plain"),
            ("$.größe", &["größe"], "$['größe']"),
        ];
        for (text, segments, printed) in good {
            let path: PropertyPath = text.parse().unwrap();
            assert_eq!(
                (path.segments(), path.to_string().as_str()),
                (&segments.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()[..], *printed)
            );
        }
        for bad in ["", "$", "tokens", "$.", "$..a", "$.a.", "$.*", "$[0]", "$.a[0]", "$['a", "$['']", "$ .a"]
        {
            assert_eq!(bad.parse::<PropertyPath>(), Err(NotAPropertyPath(bad.to_owned())));
        }
    }
}
