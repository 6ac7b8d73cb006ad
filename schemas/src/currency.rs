//! ISO 4217 currencies and their minor units.
//!
//! Wire form: the upper-case code, `"EUR"`. Codes without a minor unit (metals, bond units, test
//! codes) are not currencies an amount can be posted in and are refused.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An ISO 4217 currency.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency {
    code: [u8; 3],
    exponent: u8,
}

/// A code that is not in ISO 4217, or has no minor unit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not an ISO 4217 currency code in upper case, such as USD, EUR or JPY")]
pub struct UnknownCurrency(pub String);

/// Codes by minor unit exponent, alphabetical, with a space after each.
const CODES: &[(u8, &str)] = &[
    (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF "),
    (
        2,
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN \
         BZD CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP \
         GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT \
         LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN \
         NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE \
         SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES \
         WST XAD XCD XCG YER ZAR ZMW ZWG ",
    ),
    (3, "BHD IQD JOD KWD LYD OMR TND "),
    (4, "CLF UYW "),
];

/// Largest number of decimal places any currency's minor unit has.
pub const MINOR_UNIT_EXPONENT_MAX: u8 = 4;

impl Currency {
    /// The currency of an ISO 4217 code.
    ///
    /// # Errors
    /// [`UnknownCurrency`] when the code is not listed.
    pub fn from_code(code: &str) -> Result<Self, UnknownCurrency> {
        let unknown = || UnknownCurrency(code.to_owned());
        let code @ [first, second, third]: [u8; 3] = code.as_bytes().try_into().map_err(|_| unknown())?;
        let listed = [first, second, third, b' '];
        let (exponent, _) = CODES
            .iter()
            .find(|(_, codes)| codes.as_bytes().as_chunks().0.binary_search(&listed).is_ok())
            .ok_or_else(unknown)?;
        Ok(Self { code, exponent: *exponent })
    }

    /// The three-letter code.
    #[must_use]
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.code).unwrap_or_default()
    }

    /// Decimal places of the minor unit: 2 for EUR, 0 for JPY, 3 for KWD.
    #[must_use]
    pub const fn exponent(&self) -> u8 {
        self.exponent
    }
}

impl FromStr for Currency {
    type Err = UnknownCurrency;

    fn from_str(code: &str) -> Result<Self, Self::Err> {
        Self::from_code(code)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = String::deserialize(deserializer)?;
        Self::from_code(&code).map_err(de::Error::custom)
    }
}

impl JsonSchema for Currency {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Currency".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "ISO 4217 currency code.",
            "type": "string",
            "pattern": "^[A-Z]{3}$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents() {
        for (code, exponent) in [("USD", 2), ("EUR", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("HUF", 2)] {
            assert_eq!(Currency::from_code(code).unwrap().exponent(), exponent, "{code}");
        }
    }

    #[test]
    fn what_is_not_a_currency_is_refused() {
        for code in ["usd", "US", "USDX", "XAU", "XXX", "", "EU R", "€"] {
            assert_eq!(Currency::from_code(code), Err(UnknownCurrency(code.to_owned())));
        }
    }

    #[test]
    fn every_code_is_found_under_one_exponent() {
        for (exponent, codes) in CODES {
            for code in codes.split_ascii_whitespace() {
                assert_eq!(Currency::from_code(code).map(|found| found.exponent), Ok(*exponent), "{code}");
            }
        }
    }

    #[test]
    fn no_code_is_listed_twice() {
        let mut codes: Vec<&str> =
            CODES.iter().flat_map(|(_, codes)| codes.split_ascii_whitespace()).collect();
        let listed = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!((codes.len(), listed), (listed, listed));
    }
}
