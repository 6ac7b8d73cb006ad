//! Accruals as their wire contract.

use ingest::uuid::uuid_text;
use rating::Overflow;
use rating::catalog::Catalog;
use schemas::ROUNDED_AMOUNT_SCALE;
use schemas::accrual::{Accrual, AccrualState, PostingClass, PriceBasisTime, TierAmount};
use schemas::decimal::Decimal;
use schemas::money::{AMOUNT_SCALE, Amount};
use schemas::quantity::{Quantity, UnitPrice};
use schemas::timestamp::Timestamp;

use crate::accrual_record::{AccrualRecord, GroupRecord, RecordBuffers};
use crate::accruals::{AccrualDay, AccrualGroup};

/// The accruals of groups, as an epoch commits them.
///
/// # Errors
/// [`Overflow`] when a number needs more than 38 digits.
pub fn accrual_records(
    catalog: &Catalog,
    groups: &[AccrualGroup],
    epoch: u64,
) -> Result<Vec<Accrual>, Overflow> {
    let mut buffers = RecordBuffers::default();
    let mut made = Vec::new();
    for group in groups {
        let shared = GroupRecord::new(catalog, group, &mut buffers)?;
        for day in group.days() {
            let record = shared.day(day, &mut buffers)?;
            made.push(shared.accrual(day, &record, &buffers, epoch).ok_or(Overflow)?);
        }
    }
    Ok(made)
}

impl GroupRecord<'_> {
    /// The accrual as its wire contract.
    pub(crate) fn accrual(
        &self,
        day: &AccrualDay,
        record: &AccrualRecord,
        buffers: &RecordBuffers,
        epoch: u64,
    ) -> Option<Accrual> {
        let posted = |units| Decimal::new(units, ROUNDED_AMOUNT_SCALE);
        Some(Accrual {
            accrual_key: buffers.key(record).to_owned(),
            revision: day.revision,
            accrual_id: uuid_text(&record.id),
            entry_kind: record.entry_kind,
            state: AccrualState::Provisional,
            legal_entity_id: self.entity.id.clone(),
            contract_id: self.line.contract.clone(),
            contract_version: record.contract_version,
            contract_line_id: self.line.id.clone(),
            meter_id: self.meter.id.clone(),
            price_book_id: self.price_book(record)?.clone(),
            price_book_version: record.price_book_version,
            price_model: record.price_model,
            retroactive_tiers: record.price_model.has_retroactive_tiers(),
            price_basis_time: PriceBasisTime::EventTime,
            service_day: record.service_day,
            service_period_start: record.service_period.0,
            service_period_end: record.service_period.1,
            service_accounting_period: buffers.accounting_period(record).to_owned(),
            billing_period_start: self.billing_period.0,
            billing_period_end: self.billing_period.1,
            entity_timezone: self.entity.timezone.clone(),
            first_event_time: Timestamp::from_micros(day.first_event_time),
            last_event_time: Timestamp::from_micros(day.last_event_time),
            aggregation: self.meter.aggregation,
            metered_quantity: Quantity::from_units(day.quantity),
            delta_metered_quantity: Quantity::from_units(day.delta_quantity),
            cumulative_quantity: Quantity::from_units(day.cumulative_quantity),
            metered_unit: self.meter.unit.clone(),
            billable_quantity: Quantity::from_units(day.billable_quantity),
            pricing_unit: self.pricing_unit(day).map(ToOwned::to_owned),
            allowance_quantity: Quantity::from_units(day.allowance_quantity),
            event_count: day.event_count,
            delta_event_count: day.delta_event_count,
            tier_breakdown: day
                .tiers
                .iter()
                .map(|tier| TierAmount {
                    tier: tier.tier,
                    lo: Quantity::from_units(tier.lower_bound),
                    hi: tier.upper_bound.map(Quantity::from_units),
                    qty: Quantity::from_units(tier.quantity),
                    unit_price: tier.unit_price.map(|price| UnitPrice(Decimal::new(price, AMOUNT_SCALE))),
                    flat: Amount::from_units(tier.flat_amount),
                    amount: Amount::from_units(tier.amount),
                })
                .collect(),
            currency: self.line.currency,
            minor_unit_exponent: self.line.currency.exponent(),
            cumulative_amount_exact: day.cumulative_amount,
            net_amount_exact: day.amount,
            net_amount: posted(record.net_amount),
            previous_net_amount: posted(record.previous_net_amount),
            delta_amount: posted(record.delta_amount),
            delta_amount_exact: day.delta_amount,
            rounding_residual: Amount::from_units(record.residual),
            rounding_mode: self.entity.rounding,
            posting_class: PostingClass::UsageOnDemand,
            epoch,
        })
    }
}
