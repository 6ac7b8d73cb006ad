//! The rows of rated usage, read back as what the running totals take.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Fields, Int32Type, Schema, TimestampMicrosecondType,
};
use bytes::Bytes;
use hashbrown::HashMap;
use ingest::event_batch::NO_VALUE;
use ingest::uuid::uuid_text;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use rating::catalog::Catalog;
use schemas::decimal::power_of_ten;
use schemas::id::AccountId;
use schemas::meter::Aggregation;
use schemas::money::Amount;
use schemas::quantity::QUANTITY_SCALE;
use schemas::timestamp::Timestamp;

use crate::dimension_values::DimensionValues;
use crate::running_totals::{MeteredUsage, RatedEvent, UsageDetails};
use crate::usage_details::UsageDetail;

/// Rows that are read at a time: a row group, so that its texts are looked up once.
const BATCH_ROWS: usize = 1 << 20;

/// A row that is not what it should be.
#[derive(Debug)]
pub(crate) struct RowProblem {
    pub(crate) row: u64,
    pub(crate) what: String,
}

impl RowProblem {
    fn new(row: u64, what: impl fmt::Display) -> Self {
        Self { row, what: what.to_string() }
    }
}

/// The positions of what a catalog names.
#[derive(Debug)]
pub(crate) struct CatalogPositions {
    accounts: HashMap<Box<str>, u32>,
    lines: HashMap<Box<str>, u32>,
    meters: HashMap<Box<str>, u32>,
    books: HashMap<Box<str>, u32>,
    /// By number of the price book and version.
    versions: HashMap<(u32, i32), u32>,
    /// Per meter, what turns a quantity of the table into the meter's count; `None` where every event counts one.
    factors: Vec<Option<i128>>,
    /// Per meter, is its measure no quantity?
    is_distinct: Vec<bool>,
}

fn numbered<'a>(names: impl Iterator<Item = &'a str>) -> HashMap<Box<str>, u32> {
    names.zip(0..).map(|(name, number)| (name.into(), number)).collect()
}

impl CatalogPositions {
    pub(crate) fn new(catalog: &Catalog) -> Self {
        let mut books = HashMap::new();
        let mut versions = HashMap::new();
        for (version, number) in catalog.price_book_versions().iter().zip(0..) {
            let next = u32::try_from(books.len()).unwrap_or(u32::MAX);
            let book = *books.entry(Box::from(version.price_book.as_str())).or_insert(next);
            versions.insert((book, i32::try_from(version.version).unwrap_or(i32::MAX)), number);
        }
        let meters = catalog.meters();
        let factor = |meter: &schemas::meter::Meter| {
            let decimals = if meter.aggregation.is_numeric() { meter.decimals } else { 0 };
            match meter.aggregation {
                Aggregation::Count | Aggregation::Unique => None,
                _ => power_of_ten(QUANTITY_SCALE.saturating_sub(decimals)),
            }
        };
        Self {
            accounts: numbered(catalog.accounts().map(AccountId::as_str)),
            lines: numbered(catalog.lines().iter().map(|line| line.id.as_str())),
            meters: numbered(meters.iter().map(|meter| meter.id.as_str())),
            books,
            versions,
            factors: meters.iter().map(factor).collect(),
            is_distinct: meters.iter().map(|meter| meter.aggregation == Aggregation::Unique).collect(),
        }
    }
}

/// Rated usage that is read batch by batch.
pub(crate) struct RatedRows<'a> {
    positions: &'a CatalogPositions,
    dimensions: Vec<String>,
    reader: ParquetRecordBatchReader,
    /// Rows read before.
    row: u64,
}

impl<'a> RatedRows<'a> {
    /// Opens a file.
    pub(crate) fn open(
        catalog: &Catalog,
        positions: &'a CatalogPositions,
        file: Bytes,
    ) -> Result<Self, RowProblem> {
        let failed = |error: parquet::errors::ParquetError| RowProblem::new(0, error);
        let found = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(failed)?;
        // Texts as numbers: each is looked up once for all its rows.
        let schema = Arc::new(with_dictionaries(found.schema()));
        let options = ArrowReaderOptions::new().with_schema(schema);
        // Most epochs have a few rows: what is known of the file is not read twice.
        let known = ArrowReaderMetadata::try_new(Arc::clone(found.metadata()), options).map_err(failed)?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, known);
        let reader = builder.with_batch_size(BATCH_ROWS).build().map_err(failed)?;
        let dimensions = catalog.dimensions().iter().map(ToString::to_string).collect();
        Ok(Self { positions, dimensions, reader, row: 0 })
    }

    /// The next rows; `None` after the last.
    pub(crate) fn next(
        &mut self,
        values: &DimensionValues,
        details: &[UsageDetail],
    ) -> Result<Option<RowBatch>, RowProblem> {
        let Some(batch) = self.reader.next() else { return Ok(None) };
        let batch = batch.map_err(|error| RowProblem::new(self.row, error))?;
        let rows = RowBatch::new(self, &batch, values, details)?;
        self.row += batch.num_rows() as u64;
        Ok(Some(rows))
    }
}

fn with_dictionaries(schema: &Schema) -> Schema {
    Schema::new_with_metadata(
        schema.fields().iter().map(|field| with_dictionary(field)).collect::<Vec<_>>(),
        schema.metadata().clone(),
    )
}

fn with_dictionary(field: &Field) -> Field {
    // The id of an event differs in every row.
    match field.data_type() {
        DataType::Utf8 if field.name() != "event_id" => {
            let kind = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            field.clone().with_data_type(kind)
        }
        DataType::Struct(members) => {
            let members: Fields = members.iter().map(|member| with_dictionary(member)).collect();
            field.clone().with_data_type(DataType::Struct(members))
        }
        _ => field.clone(),
    }
}

/// Rows of rated usage as columns.
pub(crate) struct RowBatch {
    columns: RecordBatch,
    accounts: Vec<u32>,
    meters: Vec<u32>,
    lines: Vec<u32>,
    versions: Vec<u32>,
    measures: Vec<i128>,
    event_prices: HashMap<usize, i128>,
    /// Per dimension of the catalog, the number of each row's value.
    dimensions: Vec<Vec<u32>>,
    times: Vec<i64>,
    amounts: Vec<i128>,
    service_days: Vec<i32>,
    period_starts: Vec<i32>,
}

impl RowBatch {
    fn new(
        rows: &RatedRows<'_>,
        batch: &RecordBatch,
        values: &DimensionValues,
        details: &[UsageDetail],
    ) -> Result<Self, RowProblem> {
        let RatedRows { positions, dimensions, row, .. } = rows;
        let column = |name: &str| {
            batch
                .column_by_name(name)
                .ok_or_else(|| RowProblem::new(*row, format!("there is no column {name}")))
        };
        let unknown = |what: &'static str| move |text: &str| format!("the catalog has no {what} {text:?}");
        let find = |names: &HashMap<Box<str>, u32>, name: &str, what: &'static str| {
            let found =
                numbers(column(name)?, |text| names.get(text).copied().ok_or_else(|| unknown(what)(text)));
            found.map_err(|what| RowProblem::new(*row, what))
        };
        let meters = find(&positions.meters, "meter_id", "meter")?;
        let books = find(&positions.books, "price_book_id", "price book")?;
        let numbers_of = column("price_book_version")?.as_primitive::<Int32Type>().values();
        let versions = books.iter().zip(numbers_of).map(|key| {
            let known = positions.versions.get(&(*key.0, *key.1)).copied();
            known.ok_or_else(|| {
                RowProblem::new(*row, format!("the catalog has no version {} of its price book", key.1))
            })
        });
        let quantities = column("quantity")?.as_primitive::<Decimal128Type>().values();
        let measures = meters.iter().zip(quantities.iter()).map(|(meter, quantity)| {
            match positions.factors.get(*meter as usize) {
                Some(Some(factor)) if quantity.checked_rem(*factor) == Some(0) => Ok(quantity / factor),
                Some(None) => Ok(1),
                _ => Err(RowProblem::new(*row, "its quantity has more decimals than its meter")),
            }
        });
        let mut batch = Self {
            accounts: find(&positions.accounts, "account_id", "account")?,
            lines: find(&positions.lines, "contract_line_id", "contract line")?,
            versions: versions.collect::<Result<_, _>>()?,
            measures: measures.collect::<Result<_, _>>()?,
            event_prices: HashMap::new(),
            dimensions: dimension_numbers(batch, dimensions, values)
                .map_err(|what| RowProblem::new(*row, what))?,
            times: column("event_time")?.as_primitive::<TimestampMicrosecondType>().values().to_vec(),
            amounts: column("amount")?.as_primitive::<Decimal128Type>().values().to_vec(),
            service_days: column("service_day")?.as_primitive::<Date32Type>().values().to_vec(),
            period_starts: column("billing_period_start")?.as_primitive::<Date32Type>().values().to_vec(),
            columns: batch.clone(),
            meters,
        };
        batch.add_details(*row, &positions.is_distinct, details)?;
        Ok(batch)
    }

    fn add_details(
        &mut self,
        first: u64,
        is_distinct: &[bool],
        details: &[UsageDetail],
    ) -> Result<(), RowProblem> {
        let mut distinct =
            self.meters.iter().filter(|meter| is_distinct.get(**meter as usize) == Some(&true)).count();
        let begin = details.partition_point(|detail| u64::from(detail.row) < first);
        for detail in details.get(begin..).unwrap_or_default() {
            let Ok(row) = usize::try_from(u64::from(detail.row) - first) else { break };
            let Some(meter) = self.meters.get(row) else { break };
            if is_distinct.get(*meter as usize) == Some(&true) {
                distinct -= 1;
                if let Some(measure) = self.measures.get_mut(row) {
                    *measure = detail.measure;
                }
            }
            self.event_prices.insert(row, detail.event_price);
        }
        if distinct == 0 {
            Ok(())
        } else {
            Err(RowProblem::new(first, format!("the values of {distinct} rows are missing")))
        }
    }

    /// The usages, each with how it was rated.
    pub(crate) fn usages(&self) -> impl Iterator<Item = (RowUsage<'_>, RatedEvent)> {
        (0..self.accounts.len()).filter_map(|row| {
            let rated = RatedEvent {
                amount: Amount::from_units(*self.amounts.get(row)?),
                line: *self.lines.get(row)?,
                price_book_version: *self.versions.get(row)?,
                service_day: *self.service_days.get(row)?,
                period_start: *self.period_starts.get(row)?,
            };
            Some((RowUsage { batch: self, row }, rated))
        })
    }
}

/// A row as usage.
#[derive(Clone, Copy)]
pub(crate) struct RowUsage<'a> {
    batch: &'a RowBatch,
    row: usize,
}

impl RowUsage<'_> {
    /// The usage of the row.
    pub(crate) fn metered(&self) -> MeteredUsage<'_> {
        let Self { batch, row } = self;
        let meter = batch.meters.get(*row).copied().unwrap_or(u32::MAX);
        MeteredUsage {
            account: batch.accounts.get(*row).copied().unwrap_or(u32::MAX),
            meter: u16::try_from(meter).unwrap_or(u16::MAX),
            time: Timestamp::from_micros(batch.times.get(*row).copied().unwrap_or(0)),
            measure: batch.measures.get(*row).copied().unwrap_or(0),
            event_price: batch.event_prices.get(row).copied().unwrap_or(0),
            details: self,
        }
    }
}

impl fmt::Debug for RowUsage<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "row {}", self.row)
    }
}

impl UsageDetails for RowUsage<'_> {
    fn dimension(&self, dimension: usize) -> u32 {
        let column = self.batch.dimensions.get(dimension);
        column.and_then(|column| column.get(self.row)).copied().unwrap_or(NO_VALUE)
    }

    fn identity(&self) -> (String, String) {
        let column = |name: &str| self.batch.columns.column_by_name(name);
        let source = column("source").map_or_else(String::new, |source| {
            let source = source.as_dictionary::<Int32Type>();
            let key = source.key(self.row).unwrap_or(usize::MAX);
            let texts = source.values().as_string::<i32>();
            if key < texts.len() { texts.value(key).to_owned() } else { String::new() }
        });
        let text = column("event_id").map(AsArray::as_string::<i32>);
        let id = match text.filter(|ids| ids.is_valid(self.row)) {
            Some(ids) => ids.value(self.row).to_owned(),
            None => {
                let uuid = column("event_uuid").map(|ids| ids.as_fixed_size_binary().value(self.row));
                uuid.and_then(|uuid| uuid.first_chunk()).map_or_else(String::new, uuid_text)
            }
        };
        (source, id)
    }
}

/// The number of each row's text; an error for a text that has none.
fn numbers(column: &ArrayRef, find: impl Fn(&str) -> Result<u32, String>) -> Result<Vec<u32>, String> {
    let column = column.as_dictionary::<Int32Type>();
    let texts = column.values().as_string::<i32>();
    let found: Vec<_> = texts.iter().map(|text| find(text.unwrap_or_default())).collect();
    let number = |key: Option<usize>| match key.and_then(|key| found.get(key)) {
        Some(Ok(number)) => Ok(*number),
        Some(Err(error)) => Err(error.clone()),
        None => Ok(NO_VALUE),
    };
    (0..column.len()).map(|row| number(column.key(row))).collect()
}

fn dimension_numbers(
    batch: &RecordBatch,
    dimensions: &[String],
    values: &DimensionValues,
) -> Result<Vec<Vec<u32>>, String> {
    let members = batch.column_by_name("dimensions").map(AsArray::as_struct);
    let column = |(dimension, name): (usize, &String)| match members
        .and_then(|members| members.column_by_name(name))
    {
        Some(column) => numbers(column, |text| {
            values.find(dimension, text).ok_or_else(|| format!("{text:?} is no value of {name} that was met"))
        }),
        // The catalog did not have it then.
        None => Ok(vec![NO_VALUE; batch.num_rows()]),
    };
    dimensions.iter().enumerate().map(column).collect()
}
