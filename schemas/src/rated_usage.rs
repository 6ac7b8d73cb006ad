//! Rated usage: one row per usage event and meter, with its exact amount.
//!
//! The amount is the difference the event made to the charge, `f(after) - f(before)`: rows of one
//! charge sum to the price of its quantity to the last decimal (RATE-1). How a charge that is not
//! linear is spread over its events follows their order of arrival; accruals follow event time.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::columns::{amount, date, epoch, quantity, text, timestamp, uuid};
use crate::currency::Currency;
use crate::date::Date;
use crate::id::{AccountId, ContractId, ContractLineId, DimensionName, LegalEntityId, MeterId, PriceBookId};
use crate::money::Amount;
use crate::quantity::Quantity;
use crate::timestamp::Timestamp;

/// `CloudEvents` type of rated usage.
pub const RATED_USAGE_EVENT_TYPE: &str = "com.tallybook.usage.rated.v1";

/// The rated usage of one event under one meter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RatedUsage {
    /// Producer of the event.
    pub source: String,
    /// The event's id. In tables a lower-case UUID is in `event_uuid` and any other id in `event_id`.
    pub event_id: String,
    /// When it was used.
    pub event_time: Timestamp,
    /// Meter that counted it.
    pub meter_id: MeterId,
    /// Account that used it.
    pub account_id: AccountId,
    /// Quantity of this event; 1 for `count` and `unique` meters.
    pub quantity: Quantity,
    /// Exact amount of this event, in `currency`.
    pub amount: Amount,
    /// ISO 4217 code.
    pub currency: Currency,
    /// Seller.
    pub legal_entity_id: LegalEntityId,
    /// Contract that covers it.
    pub contract_id: ContractId,
    /// Line it is posted under.
    pub contract_line_id: ContractLineId,
    /// Price book that priced it.
    pub price_book_id: PriceBookId,
    /// Version of the price book.
    pub price_book_version: u32,
    /// Day it was used on, in the legal entity's time zone.
    pub service_day: Date,
    /// First day of the billing period it counts in.
    pub billing_period_start: Date,
    /// Number of the epoch that committed it.
    pub epoch: i64,
    /// The meter's dimensions.
    pub dimensions: BTreeMap<DimensionName, Option<String>>,
}

/// The columns of the rated usage table of a catalog whose meters have these dimensions.
#[must_use]
pub fn arrow_schema(dimensions: &[DimensionName]) -> SchemaRef {
    let mut fields = vec![
        text("source", false),
        text("event_id", true),
        uuid("event_uuid", true),
        timestamp("event_time", false),
        text("meter_id", false),
        text("account_id", false),
        quantity("quantity", false),
        amount("amount", false),
        text("currency", false),
        text("legal_entity_id", false),
        text("contract_id", false),
        text("contract_line_id", false),
        text("price_book_id", false),
        Field::new("price_book_version", DataType::Int32, false),
        date("service_day"),
        date("billing_period_start"),
        epoch(),
    ];
    if !dimensions.is_empty() {
        let members: Fields = dimensions.iter().map(|name| text(name.as_str(), true)).collect();
        fields.push(Field::new("dimensions", DataType::Struct(members), false));
    }
    Arc::new(Schema::new(fields))
}
