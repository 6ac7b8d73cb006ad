//! An accrual with what its positions stand for: what both its table and its events are written from.

use std::fmt::Write;

use ingest::uuid::uuid_text;
use rating::Overflow;
use rating::catalog::{Catalog, Line};
use rating::rounding::rescale_rounded;
use schemas::ROUNDED_AMOUNT_SCALE;
use schemas::accrual::{Accrual, AccrualState, EntryKind, PostingClass, TierAmount};
use schemas::date::Date;
use schemas::decimal::Decimal;
use schemas::id::PriceBookId;
use schemas::legal_entity::LegalEntity;
use schemas::meter::Meter;
use schemas::money::{AMOUNT_SCALE, Amount};
use schemas::price_book::{PriceModelName, RoundingMode};
use schemas::quantity::{Quantity, UnitPrice};
use schemas::timestamp::Timestamp;

use crate::accruals::{AccrualDay, AccrualGroup};

/// Revision of an accrual that has none before it.
pub(crate) const FIRST_REVISION: u32 = 1;

/// What the days of a group share.
pub(crate) struct GroupRecord<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) line: &'a Line,
    pub(crate) entity: &'a LegalEntity,
    pub(crate) meter: &'a Meter,
    pub(crate) billing_period: (Date, Date),
}

/// One accrual.
pub(crate) struct AccrualRecord<'a> {
    pub(crate) day: &'a AccrualDay,
    pub(crate) contract_version: u32,
    pub(crate) price_book: &'a PriceBookId,
    pub(crate) price_book_version: u32,
    pub(crate) price_model: PriceModelName,
    pub(crate) service_day: Date,
    pub(crate) service_period: (Timestamp, Timestamp),
    /// In `10^-4`.
    pub(crate) net_amount: i128,
    /// Net less exact, in `10^-18`.
    pub(crate) residual: i128,
    pub(crate) id: [u8; 16],
}

/// Buffers for keys and contents.
#[derive(Default)]
pub(crate) struct RecordBuffers {
    /// Key of the accrual made last.
    pub(crate) key: String,
    /// Accounting period of the accrual made last.
    pub(crate) accounting_period: String,
    content: Vec<u8>,
}

impl<'a> GroupRecord<'a> {
    pub(crate) fn new(catalog: &'a Catalog, group: &AccrualGroup) -> Result<Self, Overflow> {
        // Every position was taken from this catalog.
        let line = catalog.lines().get(group.line as usize).ok_or(Overflow)?;
        Ok(Self {
            catalog,
            line,
            entity: catalog.legal_entities().get(line.legal_entity as usize).ok_or(Overflow)?,
            meter: catalog.meters().get(usize::from(group.meter)).ok_or(Overflow)?,
            billing_period: line.cycle.period_of(Date::from_days(group.period_start)),
        })
    }

    /// The accrual of a day; its key and accounting period are left in the buffers.
    pub(crate) fn day(
        &self,
        day: &'a AccrualDay,
        buffers: &mut RecordBuffers,
    ) -> Result<AccrualRecord<'a>, Overflow> {
        let catalog = self.catalog;
        let terms = catalog.terms().get(day.terms as usize).ok_or(Overflow)?;
        let version = catalog.price_book_versions().get(day.price_book_version as usize).ok_or(Overflow)?;
        let rate = catalog.rates().get(day.rate as usize).ok_or(Overflow)?;
        let service_day = Date::from_days(day.service_day);
        let next_day = Date::from_days(day.service_day.saturating_add(1));
        let exponent = self.line.currency.exponent();
        let rescale = |to| rescale_rounded(day.net_minor_units, exponent, to, RoundingMode::Floor);
        let net_amount = rescale(ROUNDED_AMOUNT_SCALE)?;
        self.write_texts(service_day, buffers);
        Ok(AccrualRecord {
            day,
            contract_version: terms.contract_version,
            price_book: &version.price_book,
            price_book_version: version.version,
            price_model: rate.price.model_name(),
            service_day,
            service_period: (
                self.entity.timezone.start_of(service_day),
                self.entity.timezone.start_of(next_day),
            ),
            net_amount,
            residual: rescale(AMOUNT_SCALE)?.checked_sub(day.amount.units()).ok_or(Overflow)?,
            id: content_id(buffers, [terms.contract_version, version.version], day, net_amount),
        })
    }

    fn write_texts(&self, service_day: Date, buffers: &mut RecordBuffers) {
        let RecordBuffers { key, accounting_period, .. } = buffers;
        key.clear();
        for part in [
            self.entity.id.as_str(),
            self.line.currency.code(),
            self.line.id.as_str(),
            self.meter.id.as_str(),
        ] {
            key.push_str(part);
            key.push('/');
        }
        let day_at = key.len();
        // Writing to a string cannot fail.
        let _ = write!(key, "{service_day}");
        accounting_period.clear();
        accounting_period.push_str(key.get(day_at..day_at + "2026-10".len()).unwrap_or_default());
        key.push('/');
        key.push_str(PostingClass::UsageOnDemand.name());
    }

    /// The accrual as its wire contract.
    pub(crate) fn accrual(&self, record: &AccrualRecord<'_>, buffers: &RecordBuffers) -> Accrual {
        let AccrualRecord { day, .. } = record;
        let net = Decimal::new(record.net_amount, ROUNDED_AMOUNT_SCALE);
        Accrual {
            accrual_key: buffers.key.clone(),
            revision: FIRST_REVISION,
            accrual_id: uuid_text(&record.id),
            entry_kind: EntryKind::Accrue,
            state: AccrualState::Provisional,
            legal_entity_id: self.entity.id.clone(),
            contract_id: self.line.contract.clone(),
            contract_version: record.contract_version,
            contract_line_id: self.line.id.clone(),
            meter_id: self.meter.id.clone(),
            price_book_id: record.price_book.clone(),
            price_book_version: record.price_book_version,
            price_model: record.price_model,
            service_day: record.service_day,
            service_period_start: record.service_period.0,
            service_period_end: record.service_period.1,
            service_accounting_period: buffers.accounting_period.clone(),
            billing_period_start: self.billing_period.0,
            billing_period_end: self.billing_period.1,
            entity_timezone: self.entity.timezone.clone(),
            first_event_time: Timestamp::from_micros(day.first_event_time),
            last_event_time: Timestamp::from_micros(day.last_event_time),
            aggregation: self.meter.aggregation,
            metered_quantity: Quantity::from_units(day.quantity),
            cumulative_quantity: Quantity::from_units(day.cumulative_quantity),
            metered_unit: self.meter.unit.clone(),
            event_count: day.event_count,
            tier_breakdown: day
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
            cumulative_amount_exact: day.cumulative_amount,
            net_amount_exact: day.amount,
            net_amount: net,
            previous_net_amount: Decimal::ZERO,
            delta_amount: net,
            rounding_residual: Amount::from_units(record.residual),
            rounding_mode: self.entity.rounding,
            posting_class: PostingClass::UsageOnDemand,
        }
    }
}

/// A UUID (version 8) of the key, the revision and the content: BLAKE3, cut to 128 bits.
fn content_id(
    buffers: &mut RecordBuffers,
    versions: [u32; 2],
    day: &AccrualDay,
    net_amount: i128,
) -> [u8; 16] {
    let RecordBuffers { key, content, .. } = buffers;
    content.clear();
    content.extend_from_slice(key.as_bytes());
    content.push(0);
    for number in [FIRST_REVISION, versions[0], versions[1]] {
        content.extend_from_slice(&number.to_le_bytes());
    }
    content.extend_from_slice(&day.event_count.to_le_bytes());
    for number in
        [day.quantity, day.cumulative_quantity, day.amount.units(), day.cumulative_amount.units(), net_amount]
    {
        content.extend_from_slice(&number.to_le_bytes());
    }
    let mut id = *blake3::hash(content).as_bytes().first_chunk::<16>().unwrap_or(&[0; 16]);
    let [.., version, _, variant, _, _, _, _, _, _, _] = &mut id;
    *version = (*version & 0x0f) | 0x80;
    *variant = (*variant & 0x3f) | 0x80;
    id
}
