//! Writes accruals to Parquet.

use std::path::Path;

use rating::Overflow;
use rating::catalog::Catalog;
use rating::price::TierLine;
use rating::rounding::rescale_rounded;
use schemas::accrual::{AccrualState, PostingClass, PriceBasisTime, arrow_schema};
use schemas::epoch::ContentKind;
use schemas::id::PriceBookId;
use schemas::money::{AMOUNT_SCALE, Amount, Money};
use schemas::price_book::RoundingMode;

use crate::accrual_record::{AccrualRecord, GroupRecord, RecordBuffers};
use crate::accruals::{AccrualDay, AccrualGroup};
use crate::epoch_files::{EpochFiles, MadeContent};
use crate::error::AggregateError;
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
    /// [`AggregateError`] when the schema has no Parquet form.
    pub fn new() -> Result<Self, AggregateError> {
        let buffers = TableBuffers::new(&arrow_schema(), LAYOUT);
        buffers.map(Self).map_err(|error| parquet_error(Path::new("accruals"), error))
    }
}

/// A part of the accruals of a run, as it is written.
pub struct AccrualTable {
    table: TableWriter,
    buffers: RecordBuffers,
    totals: AccrualTotals,
    epoch: u64,
}

/// What was written, added up from the rows themselves: by how much they differ from the revisions before.
#[derive(Clone, Debug, Default)]
pub struct AccrualTotals {
    /// Rows.
    pub rows: u64,
    /// Events accrued for, those of earlier revisions not among them.
    pub events: u64,
    /// Exact and posted amounts by contract line.
    amounts: Vec<(u32, Amount, Amount)>,
}

impl AccrualTable {
    /// Begins a part of the table, for accruals that an epoch will commit.
    ///
    /// # Errors
    /// [`AggregateError`] when its file cannot be written.
    pub fn begin(files: &EpochFiles, part: usize, buffers: AccrualBuffers) -> Result<Self, AggregateError> {
        Ok(Self {
            table: TableWriter::begin(files, ContentKind::Accruals, part, buffers.0)?,
            buffers: RecordBuffers::default(),
            totals: AccrualTotals::default(),
            epoch: files.epoch(),
        })
    }

    /// Writes the accruals of groups.
    ///
    /// # Errors
    /// [`AggregateError`] when they cannot be written.
    pub fn append(&mut self, catalog: &Catalog, groups: &[AccrualGroup]) -> Result<(), AggregateError> {
        let Self { table, buffers, totals, epoch } = self;
        let overflow = |Overflow| AggregateError::Overflow("accrual");
        buffers.clear();
        let mut rows = Vec::with_capacity(groups.iter().map(|group| group.days().len()).sum());
        for group in groups {
            let shared = GroupRecord::new(catalog, group, buffers).map_err(overflow)?;
            totals.add(group, shared.line.currency.exponent()).map_err(overflow)?;
            for day in group.days() {
                let record = shared.day(day, buffers).map_err(overflow)?;
                rows.push(Row { group: shared, day, record });
            }
        }
        table.write(rows.len(), |columns| write_rows(columns, &rows, buffers, *epoch))
    }

    /// Ends the part; what was written, its totals, and the buffers.
    ///
    /// # Errors
    /// [`AggregateError`] when it cannot be written.
    pub fn finish(self) -> Result<(MadeContent, AccrualTotals, AccrualBuffers), AggregateError> {
        let (made, buffers) = self.table.finish()?;
        Ok((made, self.totals, AccrualBuffers(buffers)))
    }
}

impl AccrualTotals {
    fn add(&mut self, group: &AccrualGroup, exponent: u8) -> Result<(), Overflow> {
        let (mut exact, mut posted) = (Amount::ZERO, 0i128);
        for day in group.days() {
            self.rows = self.rows.checked_add(1).ok_or(Overflow)?;
            self.events = self.events.checked_add_signed(day.delta_event_count).ok_or(Overflow)?;
            exact = exact.checked_add(day.delta_amount).map_err(|_| Overflow)?;
            let delta = day.net_minor_units.checked_sub(day.previous_net_minor_units).ok_or(Overflow)?;
            posted = posted.checked_add(delta).ok_or(Overflow)?;
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

/// A row of the table.
struct Row<'a> {
    group: GroupRecord<'a>,
    day: &'a AccrualDay,
    record: AccrualRecord,
}

/// Writes rows, column by column.
fn write_rows(
    columns: &mut Rows<'_>,
    rows: &[Row<'_>],
    buffers: &RecordBuffers,
    epoch: u64,
) -> parquet::errors::Result<()> {
    let signed = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let all = || rows.iter();
    let days = || rows.iter().map(|row| row.day);
    let records = || rows.iter().map(|row| &row.record);
    let line = |row: &Row<'_>| row.group.line_number;
    let entity = |row: &Row<'_>| row.group.line.legal_entity;
    let meter = |row: &Row<'_>| u32::from(row.group.meter_number);
    columns
        .texts(records().map(|record| buffers.key(record)))?
        .integers(days().map(|day| signed(day.revision)))?
        .uuids(records().map(|record| &record.id))?
        .numbered(records(), |record| record.entry_kind as u32, |record| Some(record.entry_kind.name()))?
        .text(AccrualState::Provisional.name())?
        .numbered(all(), entity, |row| Some(row.group.entity.id.as_str()))?
        .numbered(all(), line, |row| Some(row.group.line.contract.as_str()))?
        .integers(records().map(|record| signed(record.contract_version)))?
        .numbered(all(), line, |row| Some(row.group.line.id.as_str()))?
        .numbered(all(), meter, |row| Some(row.group.meter.id.as_str()))?
        .numbered(
            all(),
            |row| row.record.price_book,
            |row| row.group.price_book(&row.record).map(PriceBookId::as_str),
        )?
        .integers(records().map(|record| signed(record.price_book_version)))?
        .numbered(records(), |record| record.price_model as u32, |record| Some(record.price_model.name()))?
        .truths(records().map(|record| record.price_model.has_retroactive_tiers()))?
        .text(PriceBasisTime::EventTime.name())?
        .integers(records().map(|record| record.service_day.days()))?
        .longs(records().map(|record| record.service_period.0.micros()))?
        .longs(records().map(|record| record.service_period.1.micros()))?
        .texts(records().map(|record| buffers.accounting_period(record)))?
        .longs(all().map(|row| row.group.billing_period.0.micros()))?
        .longs(all().map(|row| row.group.billing_period.1.micros()))?
        .numbered(all(), entity, |row| Some(row.group.entity.timezone.name()))?
        .longs(days().map(|day| day.first_event_time))?
        .longs(days().map(|day| day.last_event_time))?
        .numbered(all(), meter, |row| Some(row.group.meter.aggregation.name()))?
        .decimals(days().map(|day| day.quantity))?
        .decimals(days().map(|day| day.delta_quantity))?
        .decimals(days().map(|day| day.cumulative_quantity))?
        .numbered(all(), meter, |row| row.group.meter.unit.as_deref())?
        .decimals(days().map(|day| day.billable_quantity))?
        .numbered(all(), |row| row.day.rate, |row| row.group.pricing_unit(row.day))?
        .decimals(days().map(|day| day.allowance_quantity))?
        .longs(days().map(|day| i64::try_from(day.event_count).unwrap_or(i64::MAX)))?
        .longs(days().map(|day| day.delta_event_count))?;
    write_tiers(columns, rows)?;
    columns
        .numbered(all(), line, |row| Some(row.group.line.currency.code()))?
        .integers(all().map(|row| i32::from(row.group.line.currency.exponent())))?
        .decimals(days().map(|day| day.cumulative_amount.units()))?
        .decimals(days().map(|day| day.amount.units()))?
        .decimals(records().map(|record| record.net_amount))?
        .decimals(records().map(|record| record.previous_net_amount))?
        .decimals(records().map(|record| record.delta_amount))?
        .decimals(days().map(|day| day.delta_amount.units()))?
        .decimals(records().map(|record| record.residual))?
        .numbered(all(), entity, |row| Some(row.group.entity.rounding.name()))?
        .text(PostingClass::UsageOnDemand.name())?
        .long(i64::try_from(epoch).unwrap_or(i64::MAX))?;
    Ok(())
}

/// Writes the members of the tiers, in the order of their columns.
fn write_tiers(columns: &mut Rows<'_>, rows: &[Row<'_>]) -> parquet::errors::Result<()> {
    let members = |tier: &TierLine| {
        let unit_price = tier.unit_price;
        let (lo, hi) = (Some(tier.lower_bound), tier.upper_bound);
        let (quantity, flat, amount) = (Some(tier.quantity), Some(tier.flat_amount), Some(tier.amount));
        [Some(tier.tier.into()), lo, hi, quantity, unit_price, flat, amount]
    };
    columns.lists(rows.iter().map(|row| row.day.tiers.iter().map(members)))?;
    Ok(())
}
