//! The usage accrual: what one contract line earned with one meter on one day, ready to be posted.
//!
//! Amounts are cumulative underneath. `net_amount` of a day is the difference of two rounded
//! cumulative amounts of the billing period, so the days of a period sum to the period's amount
//! rounded once (ACCR-1), and `rounding_residual` never drifts. Rows are never changed: more usage is a
//! new revision of the key. A revision says what stands now, and `delta_…` by how much it differs from
//! the one before: the latest revision of a key is the sum of its deltas.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::columns::{amount, date, quantity, rounded_amount, text, timestamp, uuid};
use crate::currency::{Currency, MINOR_UNIT_EXPONENT_MAX};
use crate::date::Date;
use crate::decimal::Decimal;
use crate::id::{ContractId, ContractLineId, LegalEntityId, MeterId, PriceBookId};
use crate::meter::Aggregation;
use crate::money::Amount;
use crate::price_book::{PriceModelName, RoundingMode};
use crate::quantity::{Quantity, UnitPrice};
use crate::time_zone::TimeZone;
use crate::timestamp::Timestamp;

/// `CloudEvents` type of an accrual.
pub const ACCRUAL_EVENT_TYPE: &str = "com.tallybook.usage.accrual.v1";

/// A usage accrual. Field names are wire names; `docs/architecture.md` lists what is still to come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Accrual {
    /// Natural key: legal entity, currency, contract line, meter, service day and posting class.
    pub accrual_key: String,
    /// Revision of the key, 1 for the first.
    #[schemars(range(min = 1))]
    pub revision: u32,
    /// UUID made from key, revision and content: the same accrual has the same id in every run.
    #[schemars(extend("format" = "uuid"))]
    pub accrual_id: String,
    /// What kind of entry it is.
    pub entry_kind: EntryKind,
    /// May it still move?
    pub state: AccrualState,
    /// Seller whose books it belongs in.
    pub legal_entity_id: LegalEntityId,
    /// Contract.
    pub contract_id: ContractId,
    /// Version of the contract in force at the end of the day.
    pub contract_version: u32,
    /// Contract line it is posted under.
    pub contract_line_id: ContractLineId,
    /// Meter that counted the usage.
    pub meter_id: MeterId,
    /// Price book that priced it.
    pub price_book_id: PriceBookId,
    /// Version of the price book in force at the end of the day's usage.
    pub price_book_version: u32,
    /// How it was priced.
    pub price_model: PriceModelName,
    /// Can more usage change the price of usage before it? True for `volume` and `stairstep`.
    pub retroactive_tiers: bool,
    /// Which time decides on the price.
    pub price_basis_time: PriceBasisTime,
    /// Day of use, in the legal entity's time zone.
    pub service_day: Date,
    /// First instant of the day.
    pub service_period_start: Timestamp,
    /// First instant after the day.
    pub service_period_end: Timestamp,
    /// Calendar month of the day: `2026-10`.
    pub service_accounting_period: String,
    /// First instant of the billing period.
    pub billing_period_start: Timestamp,
    /// First instant of the next billing period.
    pub billing_period_end: Timestamp,
    /// Time zone days and periods begin in.
    pub entity_timezone: TimeZone,
    /// Event time of the first event of the day.
    pub first_event_time: Timestamp,
    /// Event time of the last event of the day.
    pub last_event_time: Timestamp,
    /// How events became the quantity.
    pub aggregation: Aggregation,
    /// Quantity the day added to the billing period.
    pub metered_quantity: Quantity,
    /// `metered_quantity` less that of the revision before.
    pub delta_metered_quantity: Quantity,
    /// Quantity of the billing period up to and including this day.
    pub cumulative_quantity: Quantity,
    /// Unit of the metered quantity.
    pub metered_unit: Option<String>,
    /// Quantity the day added in the unit that is priced, the free part included. A conversion is
    /// rounded on the quantity of the billing period, so this is a difference of rounded numbers.
    pub billable_quantity: Quantity,
    /// Unit of the billable quantity; absent where a conversion does not name it.
    pub pricing_unit: Option<String>,
    /// The part of the billable quantity that the free quantity covered; the rest is priced.
    pub allowance_quantity: Quantity,
    /// Events of the day.
    pub event_count: u64,
    /// `event_count` less that of the revision before.
    pub delta_event_count: i64,
    /// The day's amount by tier; tiers left by a cumulative price appear with negative quantities.
    pub tier_breakdown: Vec<TierAmount>,
    /// ISO 4217 code.
    pub currency: Currency,
    /// Decimal places of the currency's minor unit.
    #[schemars(range(max = MINOR_UNIT_EXPONENT_MAX))]
    pub minor_unit_exponent: u8,
    /// Exact amount of the billing period up to and including this day.
    pub cumulative_amount_exact: Amount,
    /// Exact amount of the day.
    pub net_amount_exact: Amount,
    /// Amount of the day in whole minor units.
    pub net_amount: Decimal,
    /// Amount posted by earlier revisions of the key.
    pub previous_net_amount: Decimal,
    /// What is to be posted now: `net_amount - previous_net_amount`.
    pub delta_amount: Decimal,
    /// `net_amount_exact` less that of the revision before.
    pub delta_amount_exact: Amount,
    /// `net_amount - net_amount_exact`.
    pub rounding_residual: Amount,
    /// How cumulative amounts were rounded.
    pub rounding_mode: RoundingMode,
    /// Which entry template applies.
    pub posting_class: PostingClass,
    /// Number of the epoch that committed it.
    pub epoch: u64,
}

/// The part of an accrual that one tier, or one price, contributed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TierAmount {
    /// Position of the tier, from 1; 0 for usage below the first price, as a free allowance.
    pub tier: u32,
    /// Quantities above this one,
    pub lo: Quantity,
    /// up to and including this one; absent for the last tier.
    pub hi: Option<Quantity>,
    /// Quantity in the unit that is priced.
    pub qty: Quantity,
    /// Price of one unit, where the tier has one.
    pub unit_price: Option<UnitPrice>,
    /// Flat amounts of the tier.
    pub flat: Amount,
    /// Exact amount, flat amounts included.
    pub amount: Amount,
}

/// What kind of entry an accrual is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EntryKind {
    /// First accrual of its key.
    Accrue,
    /// A later revision: more usage came, or usage was priced differently.
    TrueUp,
}

impl EntryKind {
    /// Wire name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accrue => "ACCRUE",
            Self::TrueUp => "TRUE_UP",
        }
    }
}

/// How settled an accrual is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AccrualState {
    /// More usage may come for its key.
    Provisional,
}

impl AccrualState {
    /// Wire name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Provisional => "PROVISIONAL",
        }
    }
}

/// Which time decides what usage costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PriceBasisTime {
    /// The time of the usage event.
    EventTime,
}

impl PriceBasisTime {
    /// Wire name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EventTime => "EVENT_TIME",
        }
    }
}

/// Which entry template an accrual takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PostingClass {
    /// Usage that is owed as it happens.
    UsageOnDemand,
}

impl PostingClass {
    /// Wire name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UsageOnDemand => "USAGE_ON_DEMAND",
        }
    }
}

/// The columns of the accruals table.
#[must_use]
pub fn arrow_schema() -> SchemaRef {
    let int32 = |name: &str| Field::new(name, DataType::Int32, false);
    let int64 = |name: &str| Field::new(name, DataType::Int64, false);
    let breakdown: Fields = vec![
        int32("tier"),
        quantity("lo", false),
        quantity("hi", true),
        quantity("qty", false),
        amount("unit_price", true),
        amount("flat", false),
        amount("amount", false),
    ]
    .into();
    let breakdown = Field::new("item", DataType::Struct(breakdown), false);
    Arc::new(Schema::new(vec![
        text("accrual_key", false),
        int32("revision"),
        uuid("accrual_id", false),
        text("entry_kind", false),
        text("state", false),
        text("legal_entity_id", false),
        text("contract_id", false),
        int32("contract_version"),
        text("contract_line_id", false),
        text("meter_id", false),
        text("price_book_id", false),
        int32("price_book_version"),
        text("price_model", false),
        Field::new("retroactive_tiers", DataType::Boolean, false),
        text("price_basis_time", false),
        date("service_day"),
        timestamp("service_period_start", false),
        timestamp("service_period_end", false),
        text("service_accounting_period", false),
        timestamp("billing_period_start", false),
        timestamp("billing_period_end", false),
        text("entity_timezone", false),
        timestamp("first_event_time", false),
        timestamp("last_event_time", false),
        text("aggregation", false),
        quantity("metered_quantity", false),
        quantity("delta_metered_quantity", false),
        quantity("cumulative_quantity", false),
        text("metered_unit", true),
        quantity("billable_quantity", false),
        text("pricing_unit", true),
        quantity("allowance_quantity", false),
        int64("event_count"),
        int64("delta_event_count"),
        Field::new("tier_breakdown", DataType::List(Arc::new(breakdown)), false),
        text("currency", false),
        int32("minor_unit_exponent"),
        amount("cumulative_amount_exact", false),
        amount("net_amount_exact", false),
        rounded_amount("net_amount"),
        rounded_amount("previous_net_amount"),
        rounded_amount("delta_amount"),
        amount("delta_amount_exact", false),
        amount("rounding_residual", false),
        text("rounding_mode", false),
        text("posting_class", false),
        int64("epoch"),
    ]))
}
