//! Writes accruals to Parquet.

use std::path::Path;

use rating::Overflow;
use rating::catalog::Catalog;
use rating::price::TierLine;
use rating::rounding::rescale_rounded;
use schemas::accrual::{AccrualState, EntryKind, PostingClass, PriceBasisTime, arrow_schema};
use schemas::id::PriceBookId;
use schemas::money::{AMOUNT_SCALE, Amount, Money};
use schemas::price_book::RoundingMode;

use crate::accrual_record::{AccrualRecord, FIRST_REVISION, GroupRecord, RecordBuffers};
use crate::accruals::{AccrualDay, AccrualGroup};
use crate::error::AggregateError;
use crate::output::Output;
use crate::parquet_columns::{Layout, Rows, TableBuffers, TableWriter, parquet_error};
use crate::rated_usage_table::sum_by_currency;

/// Accruals are sorted by these columns, and within them by day.
const LAYOUT: Layout<'_> = Layout {
    plain: &[],
    ids: &["accrual_key"],
    sorted_by: &[
        "legal_entity_id",
        "currency",
        "contract_line_id",
        "meter_id",
        "billing_period_start",
        "billing_period_end",
    ],
};

/// The buffers of one part after another.
pub struct AccrualBuffers(TableBuffers);

impl AccrualBuffers {
    /// Empty buffers.
    ///
    /// # Errors
    /// [`AggregateError`] when there is no memory for compression.
    pub fn new() -> Result<Self, AggregateError> {
        let buffers = TableBuffers::new(&arrow_schema(), LAYOUT);
        buffers.map(Self).map_err(|error| parquet_error(Path::new("accruals"), error))
    }
}

/// A part of the accruals of a run, as it is written.
pub struct AccrualTable {
    table: TableWriter,
    buffers: RecordBuffers,
    /// The accruals of the group that is being written.
    records: Vec<AccrualRecord>,
    totals: AccrualTotals,
}

/// What was written, added up from the rows themselves.
#[derive(Clone, Debug, Default)]
pub struct AccrualTotals {
    /// Rows.
    pub rows: u64,
    /// Events accrued for.
    pub events: u64,
    /// Exact and posted amounts by contract line.
    amounts: Vec<(u32, Amount, Amount)>,
}

impl AccrualTable {
    /// Begins a part of the table.
    ///
    /// # Errors
    /// [`AggregateError`] when its file cannot be written.
    pub fn begin(output: &Output, part: usize, buffers: AccrualBuffers) -> Result<Self, AggregateError> {
        let name = format!("accruals/part-{part:05}.parquet");
        Ok(Self {
            table: TableWriter::begin(output, &name, buffers.0)?,
            buffers: RecordBuffers::default(),
            records: Vec::new(),
            totals: AccrualTotals::default(),
        })
    }

    /// Writes the accruals of a group.
    ///
    /// # Errors
    /// [`AggregateError`] when they cannot be written.
    pub fn append(&mut self, catalog: &Catalog, group: &AccrualGroup) -> Result<(), AggregateError> {
        let Self { table, buffers, records, totals } = self;
        let overflow = |Overflow| AggregateError::Overflow("accrual");
        let shared = GroupRecord::new(catalog, group, buffers).map_err(overflow)?;
        totals.add(group, shared.line.currency.exponent()).map_err(overflow)?;
        records.clear();
        for day in group.days() {
            records.push(shared.day(day, buffers).map_err(overflow)?);
        }
        table.write(records.len(), |rows| write_rows(rows, &shared, group.days(), records, buffers))
    }

    /// Ends the part; what was written, and the buffers.
    ///
    /// # Errors
    /// [`AggregateError`] when it cannot be written.
    pub fn finish(self) -> Result<(AccrualTotals, AccrualBuffers), AggregateError> {
        let buffers = self.table.finish()?;
        Ok((self.totals, AccrualBuffers(buffers)))
    }
}

impl AccrualTotals {
    fn add(&mut self, group: &AccrualGroup, exponent: u8) -> Result<(), Overflow> {
        let (mut exact, mut posted) = (Amount::ZERO, 0i128);
        for day in group.days() {
            self.rows = self.rows.checked_add(1).ok_or(Overflow)?;
            self.events = self.events.checked_add(day.event_count).ok_or(Overflow)?;
            exact = exact.checked_add(day.amount).map_err(|_| Overflow)?;
            posted = posted.checked_add(day.net_minor_units).ok_or(Overflow)?;
        }
        let posted =
            Amount::from_units(rescale_rounded(posted, exponent, AMOUNT_SCALE, RoundingMode::Floor)?);
        match self.amounts.last_mut() {
            Some((line, exact_sum, posted_sum)) if *line == group.line => {
                *exact_sum = exact_sum.checked_add(exact).map_err(|_| Overflow)?;
                *posted_sum = posted_sum.checked_add(posted).map_err(|_| Overflow)?;
            }
            _ => self.amounts.push((group.line, exact, posted)),
        }
        Ok(())
    }

    /// Adds the totals of another part.
    pub fn append(&mut self, other: &mut Self) {
        self.rows += other.rows;
        self.events += other.events;
        self.amounts.append(&mut other.amounts);
    }

    /// Exact amounts by currency, in order of their codes.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn exact_by_currency(&self, catalog: &Catalog) -> Result<Vec<Money>, Overflow> {
        sum_by_currency(catalog, self.amounts.iter().map(|(line, exact, _)| (*line, *exact)))
    }

    /// Posted amounts by currency, in order of their codes.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn posted_by_currency(&self, catalog: &Catalog) -> Result<Vec<Money>, Overflow> {
        sum_by_currency(catalog, self.amounts.iter().map(|(line, _, posted)| (*line, *posted)))
    }
}

/// Writes the accruals of a group.
fn write_rows(
    rows: &mut Rows<'_>,
    group: &GroupRecord<'_>,
    group_days: &[AccrualDay],
    records: &[AccrualRecord],
    buffers: &RecordBuffers,
) -> parquet::errors::Result<()> {
    let GroupRecord { line, entity, meter, .. } = group;
    let signed = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let all = || records.iter();
    let days = || group_days.iter();
    rows.texts(all().map(|record| buffers.key(record)))?
        .integer(signed(FIRST_REVISION))?
        .uuids(all().map(|record| &record.id))?
        .text(EntryKind::Accrue.name())?
        .text(AccrualState::Provisional.name())?
        .text(entity.id.as_str())?
        .text(line.contract.as_str())?
        .integers(all().map(|record| signed(record.contract_version)))?
        .text(line.id.as_str())?
        .text(meter.id.as_str())?
        .texts(all().map(|record| group.price_book(record).map_or("", PriceBookId::as_str)))?
        .integers(all().map(|record| signed(record.price_book_version)))?
        .texts(all().map(|record| record.price_model.name()))?
        .truths(all().map(|record| record.price_model.has_retroactive_tiers()))?
        .text(PriceBasisTime::EventTime.name())?
        .integers(all().map(|record| record.service_day.days()))?
        .longs(all().map(|record| record.service_period.0.micros()))?
        .longs(all().map(|record| record.service_period.1.micros()))?
        .texts(all().map(|record| buffers.accounting_period(record)))?
        .long(group.billing_period.0.micros())?
        .long(group.billing_period.1.micros())?
        .text(entity.timezone.name())?
        .longs(days().map(|day| day.first_event_time))?
        .longs(days().map(|day| day.last_event_time))?
        .text(meter.aggregation.name())?
        .decimals(days().map(|day| day.quantity))?
        .decimals(days().map(|day| day.cumulative_quantity))?
        .optional_text(meter.unit.as_deref())?
        .decimals(days().map(|day| day.billable_quantity))?
        .optional_texts(days().map(|day| group.pricing_unit(day)))?
        .decimals(days().map(|day| day.allowance_quantity))?
        .longs(days().map(|day| i64::try_from(day.event_count).unwrap_or(i64::MAX)))?;
    write_tiers(rows, group_days)?;
    rows.text(line.currency.code())?
        .integer(i32::from(line.currency.exponent()))?
        .decimals(days().map(|day| day.cumulative_amount.units()))?
        .decimals(days().map(|day| day.amount.units()))?
        .decimals(all().map(|record| record.net_amount))?
        .decimal(0)?
        .decimals(all().map(|record| record.net_amount))?
        .decimals(all().map(|record| record.residual))?
        .text(entity.rounding.name())?
        .text(PostingClass::UsageOnDemand.name())?;
    Ok(())
}

/// Writes the members of the tiers, in the order of their columns.
fn write_tiers(rows: &mut Rows<'_>, days: &[AccrualDay]) -> parquet::errors::Result<()> {
    let members = |tier: &TierLine| {
        let unit_price = tier.unit_price;
        let (lo, hi) = (Some(tier.lower_bound), tier.upper_bound);
        let (quantity, flat, amount) = (Some(tier.quantity), Some(tier.flat_amount), Some(tier.amount));
        [Some(tier.tier.into()), lo, hi, quantity, unit_price, flat, amount]
    };
    rows.lists(days.iter().map(|day| day.tiers.iter().map(members)))?;
    Ok(())
}
