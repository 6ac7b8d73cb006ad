//! The contract: which accounts buy from which legal entity, in which currency, and the lines that
//! name the price books.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::currency::Currency;
use crate::date::Date;
use crate::effective_time::EffectiveTime;
use crate::id::{AccountId, ContractId, ContractLineId, LegalEntityId, MeterId, PriceBookId};
use crate::period::BillingInterval;

/// A version of a contract.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// Identifier. Versions of one contract share it.
    pub id: ContractId,
    /// Number of the version, 1 when left out. Versions may not overlap in time.
    #[serde(default = "first_version")]
    pub version: u32,
    /// Accounts whose usage it covers; each is counted and priced on its own.
    pub accounts: Vec<AccountId>,
    /// The seller.
    pub legal_entity: LegalEntityId,
    /// Currency amounts are owed in.
    pub currency: Currency,
    /// First event time it covers; all of the past when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_from: Option<EffectiveTime>,
    /// First event time it no longer covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_to: Option<EffectiveTime>,
    /// Length of a billing period; a month when left out.
    #[serde(default)]
    pub billing_interval: BillingInterval,
    /// A date on which a billing period begins; the first of January when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing_anchor: Option<Date>,
    /// What is sold.
    pub lines: Vec<ContractLine>,
}

const fn first_version() -> u32 {
    1
}

/// A line of a contract: meters priced by a price book.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContractLine {
    /// Identifier; amounts are posted under it.
    pub id: ContractLineId,
    /// The prices.
    pub price_book: PriceBookId,
    /// Meters it covers; every meter of the price book when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meters: Option<Vec<MeterId>>,
    /// First event time it covers, within the contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_from: Option<EffectiveTime>,
    /// First event time it no longer covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_to: Option<EffectiveTime>,
}
