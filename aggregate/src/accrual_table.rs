//! Writes accruals: to Parquet, and as CloudEvents.

use std::io::Write;

use ingest::uuid::uuid_text;
use rating::Overflow;
use rating::catalog::{Catalog, Line};
use rating::rounding::rescale_rounded;
use schemas::ROUNDED_AMOUNT_SCALE;
use schemas::accrual::{
    ACCRUAL_EVENT_TYPE, Accrual, AccrualState, EntryKind, PostingClass, TierAmount, arrow_schema,
};
use schemas::date::Date;
use schemas::decimal::Decimal;
use schemas::legal_entity::LegalEntity;
use schemas::meter::Meter;
use schemas::money::{AMOUNT_SCALE, Amount, Money};
use schemas::price_book::{PriceModelName, RoundingMode};
use schemas::quantity::{Quantity, UnitPrice};
use schemas::timestamp::Timestamp;

use crate::accruals::AccrualRow;
use crate::error::AggregateError;
use crate::output::{Output, OutputFile, write_error};
use crate::parquet_columns::TableWriter;
use crate::rated_usage_table::sum_by_currency;

/// Revision of an accrual that has none before it.
const FIRST_REVISION: u32 = 1;

/// The columns accruals are sorted by.
const SORTED_BY: [&str; 5] =
    ["legal_entity_id", "currency", "contract_line_id", "meter_id", "billing_period_start"];

/// The accruals of a run, as they are written.
pub struct AccrualTable {
    table: TableWriter,
    events: Option<OutputFile>,
    totals: AccrualTotals,
}

/// What was written, added up from the rows themselves.
#[derive(Clone, Debug, Default)]
pub struct AccrualTotals {
    /// Rows.
    pub rows: u64,
    /// Events accrued for.
    pub events: u64,
    /// Exact amounts by contract line, a line's rows together.
    exact: Vec<(u32, Amount)>,
    /// Posted amounts by contract line.
    posted: Vec<(u32, Amount)>,
}

/// An accrual with what its positions stand for.
struct Resolved<'a> {
    row: &'a AccrualRow,
    line: &'a Line,
    entity: &'a LegalEntity,
    meter: &'a Meter,
    contract_version: u32,
    price_book: &'a schemas::id::PriceBookId,
    price_book_version: u32,
    price_model: PriceModelName,
    service_day: Date,
    service_period: (Timestamp, Timestamp),
    billing_period: (Date, Date),
    /// In `10^-4`.
    net_amount: i128,
    /// Net less exact, in `10^-18`.
    residual: i128,
    key: String,
    id: [u8; 16],
}

impl AccrualTable {
    /// Begins the table; `as_events` asks for CloudEvents beside it.
    ///
    /// # Errors
    /// [`AggregateError`] when a file cannot be written.
    pub fn create(output: &Output, as_events: bool) -> Result<Self, AggregateError> {
        let name = "accruals/part-00000.parquet";
        let table = TableWriter::create(output, name, &arrow_schema(), &["accrual_key"], &SORTED_BY)?;
        let events = if as_events { Some(output.create_file("accruals.ndjson")?) } else { None };
        Ok(Self { table, events, totals: AccrualTotals::default() })
    }

    /// Writes accruals, in order.
    ///
    /// # Errors
    /// [`AggregateError`] when they cannot be written.
    pub fn append(&mut self, catalog: &Catalog, rows: &[AccrualRow]) -> Result<(), AggregateError> {
        let overflow = |Overflow| AggregateError::Overflow("accrual");
        for row in rows {
            let resolved = Resolved::new(catalog, row).map_err(overflow)?;
            self.totals.add(&resolved).map_err(overflow)?;
            if let Some(events) = &mut self.events {
                let written = serde_json::to_writer(&mut *events, &cloud_event(&resolved, self.totals.rows))
                    .map_err(std::io::Error::from)
                    .and_then(|()| events.write_all(b"\n"));
                written.map_err(|error| write_error(events.path(), error))?;
            }
            self.table.write(|table| write_row(table, &resolved))?;
        }
        Ok(())
    }

    /// Ends the table; what was written.
    ///
    /// # Errors
    /// [`AggregateError`] when it cannot be written.
    pub fn finish(self) -> Result<AccrualTotals, AggregateError> {
        self.table.finish()?;
        if let Some(events) = self.events {
            events.finish()?;
        }
        Ok(self.totals)
    }
}

impl AccrualTotals {
    fn add(&mut self, accrual: &Resolved<'_>) -> Result<(), Overflow> {
        self.rows = self.rows.checked_add(1).ok_or(Overflow)?;
        self.events = self.events.checked_add(accrual.row.event_count).ok_or(Overflow)?;
        let line = accrual.row.line;
        let net =
            rescale_rounded(accrual.net_amount, ROUNDED_AMOUNT_SCALE, AMOUNT_SCALE, RoundingMode::Floor)?;
        add_to_line(&mut self.exact, line, accrual.row.amount)?;
        add_to_line(&mut self.posted, line, Amount::from_units(net))
    }

    /// Exact amounts by currency, in order of their codes.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn exact_by_currency(&self, catalog: &Catalog) -> Result<Vec<Money>, Overflow> {
        sum_by_currency(catalog, self.exact.iter().copied())
    }

    /// Posted amounts by currency, in order of their codes.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn posted_by_currency(&self, catalog: &Catalog) -> Result<Vec<Money>, Overflow> {
        sum_by_currency(catalog, self.posted.iter().copied())
    }
}

/// Adds to the sum of a line, whose rows follow each other.
fn add_to_line(sums: &mut Vec<(u32, Amount)>, line: u32, amount: Amount) -> Result<(), Overflow> {
    match sums.last_mut() {
        Some((last, sum)) if *last == line => *sum = sum.checked_add(amount).map_err(|_| Overflow)?,
        _ => sums.push((line, amount)),
    }
    Ok(())
}

impl<'a> Resolved<'a> {
    fn new(catalog: &'a Catalog, row: &'a AccrualRow) -> Result<Self, Overflow> {
        // Every position was taken from this catalog.
        let line = catalog.lines().get(row.line as usize).ok_or(Overflow)?;
        let entity = catalog.legal_entities().get(line.legal_entity as usize).ok_or(Overflow)?;
        let meter = catalog.meters().get(usize::from(row.meter)).ok_or(Overflow)?;
        let terms = catalog.terms().get(row.terms as usize).ok_or(Overflow)?;
        let version = catalog.price_book_versions().get(row.price_book_version as usize).ok_or(Overflow)?;
        let rate = catalog.rates().get(row.rate as usize).ok_or(Overflow)?;
        let service_day = Date::from_days(row.service_day);
        let next_day = Date::from_days(row.service_day.saturating_add(1));
        let billing_period = line.cycle.period_of(Date::from_days(row.period_start));
        let exponent = line.currency.exponent();
        let rescale = |to| rescale_rounded(row.net_minor_units, exponent, to, RoundingMode::Floor);
        let mut accrual = Self {
            row,
            line,
            entity,
            meter,
            contract_version: terms.contract_version,
            price_book: &version.price_book,
            price_book_version: version.version,
            price_model: rate.price.model_name(),
            service_day,
            service_period: (entity.timezone.start_of(service_day), entity.timezone.start_of(next_day)),
            billing_period,
            net_amount: rescale(ROUNDED_AMOUNT_SCALE)?,
            residual: rescale(AMOUNT_SCALE)?.checked_sub(row.amount.units()).ok_or(Overflow)?,
            key: format!(
                "{}/{}/{}/{}/{service_day}/{}",
                entity.id,
                line.currency,
                line.id,
                meter.id,
                PostingClass::UsageOnDemand.name()
            ),
            id: [0; 16],
        };
        accrual.id = accrual.content_id();
        Ok(accrual)
    }

    /// A UUID (version 8) of the key, the revision and the content.
    fn content_id(&self) -> [u8; 16] {
        let row = self.row;
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.key.as_bytes());
        hasher.update(&[0]);
        hasher.update(&FIRST_REVISION.to_le_bytes());
        hasher.update(&self.contract_version.to_le_bytes());
        hasher.update(&self.price_book_version.to_le_bytes());
        hasher.update(&row.event_count.to_le_bytes());
        hasher.update(&row.quantity.to_le_bytes());
        hasher.update(&row.cumulative_quantity.to_le_bytes());
        hasher.update(&row.amount.units().to_le_bytes());
        hasher.update(&row.cumulative_amount.units().to_le_bytes());
        hasher.update(&self.net_amount.to_le_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(hasher.finalize().as_bytes().first_chunk::<16>().unwrap_or(&[0; 16]));
        let [.., version, _, variant, _, _, _, _, _, _, _] = &mut id;
        *version = (*version & 0x0f) | 0x80;
        *variant = (*variant & 0x3f) | 0x80;
        id
    }

    fn accounting_period(&self) -> String {
        let (year, month, _) = self.service_day.ymd();
        format!("{year:04}-{month:02}")
    }
}

fn write_row(
    row: &mut crate::parquet_columns::Row<'_>,
    accrual: &Resolved<'_>,
) -> parquet::errors::Result<()> {
    let Resolved { row: numbers, line, entity, meter, .. } = accrual;
    let signed = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let tiers = || numbers.tiers.iter();
    row.text(&accrual.key)?
        .integer(signed(FIRST_REVISION))?
        .uuid(&accrual.id)?
        .text(EntryKind::Accrue.name())?
        .text(AccrualState::Provisional.name())?
        .text(entity.id.as_str())?
        .text(line.contract.as_str())?
        .integer(signed(accrual.contract_version))?
        .text(line.id.as_str())?
        .text(meter.id.as_str())?
        .text(accrual.price_book.as_str())?
        .integer(signed(accrual.price_book_version))?
        .text(accrual.price_model.name())?
        .integer(accrual.service_day.days())?
        .long(accrual.service_period.0.micros())?
        .long(accrual.service_period.1.micros())?
        .text(&accrual.accounting_period())?
        .integer(accrual.billing_period.0.days())?
        .integer(accrual.billing_period.1.days())?
        .text(entity.timezone.name())?
        .long(numbers.first_event_time)?
        .long(numbers.last_event_time)?
        .text(meter.aggregation.name())?
        .decimal(numbers.quantity)?
        .decimal(numbers.cumulative_quantity)?
        .optional_text(meter.unit.as_deref())?
        .long(i64::try_from(numbers.event_count).unwrap_or(i64::MAX))?
        .list(tiers().map(|tier| Some(signed(tier.tier).to_le_bytes())))?
        .list(tiers().map(|tier| Some(tier.lower_bound.to_be_bytes())))?
        .list(tiers().map(|tier| tier.upper_bound.map(i128::to_be_bytes)))?
        .list(tiers().map(|tier| Some(tier.quantity.to_be_bytes())))?
        .list(tiers().map(|tier| tier.unit_price.map(i128::to_be_bytes)))?
        .list(tiers().map(|tier| Some(tier.flat_amount.to_be_bytes())))?
        .list(tiers().map(|tier| Some(tier.amount.to_be_bytes())))?
        .text(line.currency.code())?
        .integer(i32::from(line.currency.exponent()))?
        .decimal(numbers.cumulative_amount.units())?
        .decimal(numbers.amount.units())?
        .decimal(accrual.net_amount)?
        .decimal(0)?
        .decimal(accrual.net_amount)?
        .decimal(accrual.residual)?
        .text(entity.rounding.name())?
        .text(PostingClass::UsageOnDemand.name())?;
    Ok(())
}

/// The accrual as a CloudEvent. `sequence` counts the events of the file.
fn cloud_event(accrual: &Resolved<'_>, sequence: u64) -> serde_json::Value {
    let record = accrual.record();
    serde_json::json!({
        "specversion": "1.0",
        "type": ACCRUAL_EVENT_TYPE,
        "source": format!("/accrual/{}", accrual.entity.id),
        "id": record.accrual_id,
        "subject": accrual.line.id,
        "time": record.service_period_end,
        "datacontenttype": "application/json",
        "dataschema": "urn:tallybook:schema:accrual:1",
        "sequence": format!("{sequence:020}"),
        "partitionkey": format!("{}/{}", accrual.entity.id, accrual.line.id),
        "data": record,
    })
}

impl Resolved<'_> {
    /// The accrual as its wire contract.
    fn record(&self) -> Accrual {
        let row = self.row;
        let net = Decimal::new(self.net_amount, ROUNDED_AMOUNT_SCALE);
        Accrual {
            accrual_key: self.key.clone(),
            revision: FIRST_REVISION,
            accrual_id: uuid_text(&self.id),
            entry_kind: EntryKind::Accrue,
            state: AccrualState::Provisional,
            legal_entity_id: self.entity.id.clone(),
            contract_id: self.line.contract.clone(),
            contract_version: self.contract_version,
            contract_line_id: self.line.id.clone(),
            meter_id: self.meter.id.clone(),
            price_book_id: self.price_book.clone(),
            price_book_version: self.price_book_version,
            price_model: self.price_model,
            service_day: self.service_day,
            service_period_start: self.service_period.0,
            service_period_end: self.service_period.1,
            service_accounting_period: self.accounting_period(),
            billing_period_start: self.billing_period.0,
            billing_period_end: self.billing_period.1,
            entity_timezone: self.entity.timezone.clone(),
            first_event_time: Timestamp::from_micros(row.first_event_time),
            last_event_time: Timestamp::from_micros(row.last_event_time),
            aggregation: self.meter.aggregation,
            metered_quantity: Quantity::from_units(row.quantity),
            cumulative_quantity: Quantity::from_units(row.cumulative_quantity),
            metered_unit: self.meter.unit.clone(),
            event_count: row.event_count,
            tier_breakdown: row
                .tiers
                .iter()
                .map(|tier| TierAmount {
                    tier: tier.tier,
                    lower_bound: Quantity::from_units(tier.lower_bound),
                    upper_bound: tier.upper_bound.map(Quantity::from_units),
                    quantity: Quantity::from_units(tier.quantity),
                    unit_price: tier.unit_price.map(|price| UnitPrice(Decimal::new(price, AMOUNT_SCALE))),
                    flat_amount: Amount::from_units(tier.flat_amount),
                    amount: Amount::from_units(tier.amount),
                })
                .collect(),
            currency: self.line.currency,
            minor_unit_exponent: self.line.currency.exponent(),
            cumulative_amount_exact: row.cumulative_amount,
            net_amount_exact: row.amount,
            net_amount: net,
            previous_net_amount: Decimal::ZERO,
            delta_amount: net,
            rounding_residual: Amount::from_units(self.residual),
            rounding_mode: self.entity.rounding,
            posting_class: PostingClass::UsageOnDemand,
        }
    }
}
