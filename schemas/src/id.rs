//! Identifiers as types of their own, so that an account is never taken for a contract.
//!
//! Wire form: a string of 1 to 256 bytes without control or bidirectional-override characters.
//! Identifiers are compared byte for byte; nothing is normalised or trimmed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::printable::is_control_or_bidirectional;

/// Longest identifier, in bytes.
pub const ID_BYTES_MAX: usize = 256;

/// Why a text cannot be an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// No text at all.
    #[error("empty")]
    Empty,
    /// More than [`ID_BYTES_MAX`] bytes.
    #[error("longer than {ID_BYTES_MAX} bytes")]
    TooLong,
    /// A control character, or one that changes the direction of text around it.
    #[error("holding a control or bidirectional character")]
    ControlCharacter,
}

/// Can the text be an identifier?
///
/// # Errors
/// [`IdError`] says why not.
pub fn check_id(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > ID_BYTES_MAX {
        return Err(IdError::TooLong);
    }
    let printable_ascii = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if !printable_ascii && text.chars().any(is_control_or_bidirectional) {
        return Err(IdError::ControlCharacter);
    }
    Ok(())
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $description:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Box<str>);

        impl $name {
            /// The identifier's text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                check_id(text).map(|()| Self(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, formatter)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                match check_id(&text) {
                    Ok(()) => Ok(Self(text.into_boxed_str())),
                    Err(error) => Err(de::Error::custom(format!("the identifier {text:?} is {error}"))),
                }
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "description": $description,
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 256
                })
            }
        }
    };
}

id!(
    /// A customer account: the `subject` of a usage event.
    AccountId,
    "Customer account: the subject of a usage event."
);
id!(
    /// A meter.
    MeterId,
    "Meter."
);
id!(
    /// A price book.
    PriceBookId,
    "Price book."
);
id!(
    /// A contract with a customer.
    ContractId,
    "Contract."
);
id!(
    /// A line of a contract: what amounts are posted to.
    ContractLineId,
    "Contract line."
);
id!(
    /// A company of the seller's group, with books of its own.
    LegalEntityId,
    "Legal entity."
);
id!(
    /// A CSV mapping.
    CsvMappingId,
    "CSV mapping."
);

/// The name of a dimension of usage: lower-case letters, digits and underscores.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DimensionName(Box<str>);

/// A text that cannot name a dimension.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" cannot name a dimension: use lower-case letters, digits and _, beginning with a letter")]
pub struct NotADimensionName(pub String);

impl DimensionName {
    /// The name's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DimensionName {
    type Err = NotADimensionName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = text.bytes();
        let begins = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase());
        let goes_on = bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if begins && goes_on && text.len() <= 64 {
            Ok(Self(text.into()))
        } else {
            Err(NotADimensionName(text.to_owned()))
        }
    }
}

impl fmt::Display for DimensionName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for DimensionName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

impl Serialize for DimensionName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for DimensionName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl schemars::JsonSchema for DimensionName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DimensionName".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Name of a dimension of usage.",
            "type": "string",
            "pattern": "^[a-z][a-z0-9_]{0,63}$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_an_identifier() {
        let long = "x".repeat(257);
        let cases: &[(&str, Result<(), IdError>)] = &[
            ("acct-1", Ok(())),
            ("Zürich 42", Ok(())),
            ("東京", Ok(())),
            ("", Err(IdError::Empty)),
            (&long, Err(IdError::TooLong)),
            ("a\0b", Err(IdError::ControlCharacter)),
            ("a\nb", Err(IdError::ControlCharacter)),
            ("a\u{7f}b", Err(IdError::ControlCharacter)),
            ("a\u{202e}b", Err(IdError::ControlCharacter)),
            ("a\u{85}b", Err(IdError::ControlCharacter)),
        ];
        for (text, expected) in cases {
            assert_eq!(check_id(text), *expected, "{text:?}");
        }
    }

    #[test]
    fn what_can_name_a_dimension() {
        for good in ["region", "a1_b"] {
            assert!(good.parse::<DimensionName>().is_ok());
        }
        for bad in ["", "Region", "1a", "a-b", "a.b", "_a", "ü"] {
            assert!(bad.parse::<DimensionName>().is_err(), "{bad}");
        }
    }
}
