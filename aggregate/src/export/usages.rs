//! Usages that are committed, as meters measured them: of rated usage, and of events that were counted and have no
//! price yet. Every usage is given once: a record of quarantine that was settled is rated usage now. An event that no
//! meter counted when it was committed has the usages that the meters of the catalog read from it now.
//!
//! What a `unique` meter counted is no column of a table: it is in the details of epochs, as long as the ledger has
//! them. Without them a usage is given without its measure.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, TimestampMicrosecondType};
use arrow::error::ArrowError;
use hashbrown::{HashMap, HashSet};
use ingest::decoder::Decoder;
use ingest::event_batch::{EventBatch, NO_VALUE};
use ingest::metering::MeteringPlan;
use ingest::replay::Replay;
use rating::catalog::Catalog;
use schemas::decimal::power_of_ten;
use schemas::epoch::ContentKind;
use schemas::meter::{Aggregation, Meter};
use schemas::quantity::QUANTITY_SCALE;
use schemas::quarantine::{QuarantineClass, QuarantineRecord};
use schemas::timestamp::Timestamp;

use super::pieces::Pieces;
use super::records;
use crate::data_directory::DataDirectory;
use crate::error::AggregateError;
use crate::fold::read_content;
use crate::ledger::{LedgerReader, SealedEpoch};
use crate::quarantine_rows::quarantine_records;
use crate::replay::{kept, number_accounts};
use crate::snapshot::{self, SnapshotTable, TableView};
use crate::usage_details::UsageDetail;

/// A usage that is committed.
#[derive(Clone, Copy, Debug)]
pub struct CommittedUsage<'a> {
    /// The account.
    pub account: &'a str,
    /// The meter, as a position in the catalog.
    pub meter: u16,
    /// Event time, in microseconds since 1970.
    pub time: i64,
    /// What the meter measured, in its own decimals; `None` for a `unique` meter where it is not kept any more.
    pub measure: Option<i128>,
    /// Source of the event.
    pub source: &'a str,
    /// Id of the event.
    pub id: &'a str,
    /// Per dimension of the catalog, the value.
    pub dimensions: &'a [Option<&'a str>],
}

/// What was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommittedUsages {
    /// The newest epoch.
    pub epoch: u64,
    /// Usages that were given.
    pub usages: u64,
    /// Usages of meters that the catalog does not have, or measures differently.
    pub unknown: u64,
}

/// Hands over the usages of all committed events: first those that are rated, in the order of the ledger.
///
/// # Errors
/// [`AggregateError`] when they cannot be read.
pub fn committed_usages(
    directory: &DataDirectory,
    partition: u32,
    catalog: &Catalog,
    mut take: impl FnMut(&CommittedUsage<'_>),
) -> Result<CommittedUsages, AggregateError> {
    let (epoch, views) = snapshot::views(directory, partition)?;
    let mut found = CommittedUsages { epoch, ..CommittedUsages::default() };
    let mut views: BTreeMap<SnapshotTable, TableView> =
        views.into_iter().map(|view| (view.table, view)).collect();
    let mut pieces = |table| Pieces::find(&**directory.disk(), views.remove(&table));
    let details = details(directory, partition, catalog)?;
    rated(&pieces(SnapshotTable::RatedUsage)?, catalog, &details, &mut found, &mut take)?;
    drop(details);
    let quarantine = pieces(SnapshotTable::Quarantine)?;
    let settled_view = views.remove(&SnapshotTable::Settled);
    let settled = settled(directory, settled_view)?;
    unrated(&quarantine, directory, catalog, &settled, &mut found, &mut take)?;
    Ok(found)
}

/// What `unique` meters counted, by epoch and row.
fn details(
    directory: &DataDirectory,
    partition: u32,
    catalog: &Catalog,
) -> Result<HashMap<u64, Vec<UsageDetail>>, AggregateError> {
    let mut details = HashMap::new();
    if !catalog.meters().iter().any(is_distinct) {
        return Ok(details);
    }
    let reader = LedgerReader::open(directory.disk(), directory.ledger(partition))?;
    let Some(oldest) = reader.oldest() else { return Ok(details) };
    reader.read(oldest, |sealed: SealedEpoch| {
        for (position, content) in sealed.epoch.contents.iter().enumerate() {
            if content.kind == ContentKind::UsageDetails {
                let entries = match &content.file {
                    Some(name) => UsageDetail::read(&read_content(directory, content, name)?),
                    None => UsageDetail::read(sealed.inline_content(position).unwrap_or_default()),
                };
                details.insert(sealed.epoch.epoch, entries);
            }
        }
        Ok::<_, AggregateError>(())
    })?;
    Ok(details)
}

fn is_distinct(meter: &Meter) -> bool {
    meter.aggregation == Aggregation::Unique
}

/// The ids of records that are settled.
fn settled(directory: &DataDirectory, view: Option<TableView>) -> Result<HashSet<String>, AggregateError> {
    let rows = view.iter().flat_map(|view| view.batches.clone()).collect::<Vec<_>>();
    let pieces = Pieces::find(&**directory.disk(), view)?;
    let mut ids = HashSet::new();
    let mut learn = |batch: &RecordBatch| {
        let texts = records::texts(batch, "quarantine_id").map_err(|error| pieces.failed(error))?;
        ids.extend(texts.iter().flatten().map(ToOwned::to_owned));
        Ok::<_, AggregateError>(())
    };
    for batch in &rows {
        learn(batch)?;
    }
    pieces.read(0..=u64::MAX, Some(&["quarantine_id"]), |_, batch| learn(&batch))?;
    Ok(ids)
}

/// The columns of rated usage that say what was used.
struct RatedBatch {
    accounts: StringArray,
    meters: StringArray,
    sources: StringArray,
    rows: RecordBatch,
    /// Per dimension of the catalog; none where no row has it.
    dimensions: Vec<Option<StringArray>>,
}

impl RatedBatch {
    fn new(rows: RecordBatch, catalog: &Catalog) -> Result<Self, ArrowError> {
        let members = rows.column_by_name("dimensions").and_then(AsArray::as_struct_opt);
        let dimension = |name: &schemas::id::DimensionName| {
            let column = members.and_then(|members| members.column_by_name(name.as_str()));
            let texts = column.map(|column| cast(column, &DataType::Utf8)).transpose()?;
            Ok(texts.and_then(|texts| texts.as_string_opt::<i32>().cloned()))
        };
        Ok(Self {
            accounts: records::texts(&rows, "account_id")?,
            meters: records::texts(&rows, "meter_id")?,
            sources: records::texts(&rows, "source")?,
            dimensions: catalog.dimensions().iter().map(dimension).collect::<Result<_, ArrowError>>()?,
            rows,
        })
    }

    fn time(&self, row: usize) -> Option<i64> {
        let times = self.rows.column_by_name("event_time")?.as_primitive_opt::<TimestampMicrosecondType>()?;
        times.values().get(row).copied()
    }

    fn quantity(&self, row: usize) -> Option<i128> {
        let quantities = self.rows.column_by_name("quantity")?.as_primitive_opt::<Decimal128Type>()?;
        quantities.values().get(row).copied()
    }

    fn id(&self, row: usize) -> String {
        let uuid = records::uuid(&self.rows, "event_uuid", row);
        let text = || {
            let ids = self.rows.column_by_name("event_id")?.as_string_opt::<i32>()?;
            ids.is_valid(row).then(|| ids.value(row).to_owned())
        };
        uuid.or_else(text).unwrap_or_default()
    }
}

fn rated(
    pieces: &Pieces,
    catalog: &Catalog,
    details: &HashMap<u64, Vec<UsageDetail>>,
    found: &mut CommittedUsages,
    take: &mut impl FnMut(&CommittedUsage<'_>),
) -> Result<(), AggregateError> {
    let positions: HashMap<&str, u16> =
        catalog.meters().iter().map(|meter| meter.id.as_str()).zip(0..).collect();
    let mut columns = vec!["account_id", "meter_id", "source", "event_time", "quantity", "dimensions"];
    // Only `latest` asks which event it was.
    if catalog.meters().iter().any(|meter| meter.aggregation == Aggregation::Latest) {
        columns.extend(["event_uuid", "event_id"]);
    }
    let (mut current, mut first) = (0, 0);
    pieces.read(0..=u64::MAX, Some(&columns), |epoch, batch| {
        if epoch != current {
            (current, first) = (epoch, 0);
        }
        let count = batch.num_rows();
        let batch = RatedBatch::new(batch, catalog).map_err(|error| pieces.failed(error))?;
        let details = details.get(&epoch).map_or(&[][..], Vec::as_slice);
        for row in 0..count {
            let meter = positions.get(batch.meters.value(row)).copied();
            let known = meter.and_then(|meter| Some((meter, catalog.meters().get(usize::from(meter))?)));
            let (Some((meter, known)), Some(time)) = (known, batch.time(row)) else {
                found.unknown += 1;
                continue;
            };
            let measure = match known.aggregation {
                Aggregation::Count => Some(1),
                Aggregation::Unique => detail_of(details, first + row),
                _ => match batch.quantity(row).and_then(|quantity| in_decimals_of(known, quantity)) {
                    Some(measure) => Some(measure),
                    None => {
                        found.unknown += 1;
                        continue;
                    }
                },
            };
            let dimensions: Vec<Option<&str>> = batch
                .dimensions
                .iter()
                .map(|column| column.as_ref().filter(|column| column.is_valid(row)))
                .map(|column| column.map(|column| column.value(row)))
                .collect();
            let id = if known.aggregation == Aggregation::Latest { batch.id(row) } else { String::new() };
            found.usages += 1;
            take(&CommittedUsage {
                account: batch.accounts.value(row),
                meter,
                time,
                measure,
                source: batch.sources.value(row),
                id: &id,
                dimensions: &dimensions,
            });
        }
        first += count;
        Ok::<_, AggregateError>(())
    })
}

fn detail_of(details: &[UsageDetail], row: usize) -> Option<i128> {
    let row = u32::try_from(row).ok()?;
    let position = details.binary_search_by_key(&row, |detail| detail.row).ok()?;
    details.get(position).map(|detail| detail.measure)
}

/// A quantity of the table as a count of what the meter measures in.
fn in_decimals_of(meter: &Meter, quantity: i128) -> Option<i128> {
    let factor = power_of_ten(QUANTITY_SCALE.saturating_sub(meter.decimals))?;
    (quantity.checked_rem(factor) == Some(0)).then(|| quantity / factor)
}

fn unrated(
    pieces: &Pieces,
    directory: &DataDirectory,
    catalog: &Catalog,
    settled: &HashSet<String>,
    found: &mut CommittedUsages,
    take: &mut impl FnMut(&CommittedUsage<'_>),
) -> Result<(), AggregateError> {
    let plan = Arc::new(MeteringPlan::new(catalog.meters()));
    let mut again = Again {
        catalog,
        decoder: Decoder::new(0, Arc::clone(&plan), Arc::new(number_accounts(catalog)), *directory.key()),
        batch: EventBatch::new(plan.dimensions().len()),
        values: vec![Vec::new(); plan.dimensions().len()],
        plan,
    };
    pieces.read(0..=u64::MAX, None, |_, batch| {
        let records = quarantine_records(&batch).map_err(|error| pieces.failed(error))?;
        let is_open = |record: &QuarantineRecord| {
            record.class == QuarantineClass::Unrated && !settled.contains(&record.quarantine_id)
        };
        let open: Vec<QuarantineRecord> = records.into_iter().filter(is_open).collect();
        again.read(&open, found, take);
        Ok::<_, AggregateError>(())
    })
}

/// Reads records of quarantine as the events they are.
struct Again<'a> {
    catalog: &'a Catalog,
    plan: Arc<MeteringPlan>,
    decoder: Decoder,
    batch: EventBatch,
    /// Per dimension, the texts of the decoder's numbers.
    values: Vec<Vec<Box<str>>>,
}

impl Again<'_> {
    fn read(
        &mut self,
        records: &[QuarantineRecord],
        found: &mut CommittedUsages,
        take: &mut impl FnMut(&CommittedUsage<'_>),
    ) {
        let quarantined: Vec<_> = records.iter().map(kept).collect();
        let mut replay = Replay::new(&quarantined, self.catalog.csv_mappings(), Arc::clone(&self.plan));
        // The time it was received at is in its record.
        self.decoder.set_received(Some(Timestamp::from_micros(0)));
        loop {
            self.batch.clear();
            let Some(layout) = replay.next(&mut self.batch) else { return };
            self.decoder.decode(&mut self.batch, &layout);
            for (known, new) in self.values.iter_mut().zip(&mut self.batch.new_texts.dimensions) {
                known.append(new);
            }
            found.unknown += self.batch.rejects.len() as u64;
            for (event, record) in self.batch.replayed.events.iter().enumerate() {
                let Some(record) = records.get(*record as usize) else { continue };
                let given = self.give(event, record, take);
                found.usages += given;
                // An event that no meter counted may still have none.
                found.unknown += u64::from(given == 0 && record.meter_id.is_some());
            }
        }
    }

    /// The usage of the meter that a record names; of all meters where none counted the event then. How many.
    fn give<'a>(
        &'a self,
        event: usize,
        record: &QuarantineRecord,
        take: &mut impl FnMut(&CommittedUsage<'_>),
    ) -> u64 {
        let usages = &self.batch.usages;
        let mut given = 0;
        for usage in self.batch.usages_of(event) {
            let (Some(meter), Some(measure)) = (usages.meter.get(usage), usages.measure.get(usage)) else {
                continue;
            };
            let id = self.meter(*meter).map(|meter| meter.id.as_str());
            let (Some(account), Some(time)) = (record.account_id.as_deref(), record.event_time) else {
                continue;
            };
            if record.meter_id.is_some() && record.meter_id.as_deref() != id {
                continue;
            }
            let value = |(numbers, values): (&Vec<u32>, &'a Vec<Box<str>>)| {
                let number = numbers.get(usage).copied().unwrap_or(NO_VALUE);
                text_of(values, number)
            };
            let dimensions: Vec<Option<&str>> =
                usages.dimensions.iter().zip(&self.values).map(value).collect();
            given += 1;
            take(&CommittedUsage {
                account,
                meter: *meter,
                time: time.micros(),
                measure: Some(*measure),
                source: record.source.as_deref().unwrap_or_default(),
                id: record.event_id.as_deref().unwrap_or_default(),
                dimensions: &dimensions,
            });
        }
        given
    }

    fn meter(&self, position: u16) -> Option<&Meter> {
        self.catalog.meters().get(usize::from(position))
    }
}

fn text_of(values: &[Box<str>], number: u32) -> Option<&str> {
    values.get(number as usize).map(|text| &**text)
}
