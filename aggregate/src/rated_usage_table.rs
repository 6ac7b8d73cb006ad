//! Writes rated usage to Parquet, batch by batch.

use std::hash::Hash;
use std::path::Path;

use hashbrown::HashMap;
use ingest::event_batch::{EventId, NewTexts};
use parquet::errors::{ParquetError, Result};
use parquet::schema::types::ColumnDescPtr;
use rating::Overflow;
use rating::catalog::Catalog;
use schemas::currency::Currency;
use schemas::decimal::power_of_ten;
use schemas::epoch::ContentKind;
use schemas::id::AccountId;
use schemas::meter::Aggregation;
use schemas::money::{Amount, Money};
use schemas::quantity::QUANTITY_SCALE;
use schemas::rated_usage::arrow_schema;

use crate::decider::DecidedBatch;
use crate::epoch_files::{EpochFiles, MadeContent};
use crate::error::AggregateError;
use crate::parquet_columns::{
    DecimalColumn, FileSchema, LongColumn, ParquetFile, PlainColumn, RepeatingColumn, RowGroup, TextColumn,
    UuidColumn, parquet_error,
};
use crate::text_list::TextList;

/// Rows of a row group.
pub const ROW_GROUP_ROWS: u64 = 1 << 20;

/// The rated usage of one epoch after another, as it is written.
pub struct RatedUsageTable {
    files: EpochFiles,
    schema: FileSchema,
    /// Begun with the first row group of an epoch.
    file: Option<ParquetFile>,
    columns: Columns,
    texts: Texts,
    meters: Vec<MeterColumn>,
    /// The lines of the usages that are being appended.
    lines: Vec<LineTexts>,
    written: RatedTotals,
}

/// What was written, added up from the rows themselves.
#[derive(Clone, Debug, Default)]
pub struct RatedTotals {
    /// Rows.
    pub rows: u64,
    /// Exact amounts by currency of the contract lines, in order of the lines.
    amounts: Vec<Amount>,
    currencies: Vec<Currency>,
}

/// What the rows of a meter need.
struct MeterColumn {
    /// From the meter's counts to the table's; the limit on an event's quantity leaves room for it.
    factor: i128,
    /// Is the quantity of every event 1?
    counts_one: bool,
}

/// The texts that numbers stand for.
struct Texts {
    sources: TextList,
    dimensions: Vec<TextList>,
    meters: TextList,
    accounts: TextList,
    currencies: Vec<Currency>,
    entities: TextList,
    contracts: TextList,
    contract_lines: TextList,
    lines: Vec<LineTexts>,
    books: TextList,
    /// Per price book version, its price book among the distinct ones.
    version_book: Vec<u32>,
    version_number: Vec<i32>,
}

/// The texts of a contract line, by number: together, as every row asks for all of them.
#[derive(Clone, Copy, Debug, Default)]
struct LineTexts {
    contract: u32,
    currency: u32,
    entity: u32,
}

/// The columns of the row group that is being filled.
struct Columns {
    rows: u64,
    source: TextColumn,
    event_id: PlainColumn,
    event_uuid: UuidColumn,
    event_time: LongColumn,
    meter: TextColumn,
    account: TextColumn,
    quantity: DecimalColumn,
    amount: DecimalColumn,
    currency: TextColumn,
    legal_entity: TextColumn,
    contract: TextColumn,
    contract_line: TextColumn,
    price_book: TextColumn,
    price_book_version: RepeatingColumn<i32>,
    service_day: RepeatingColumn<i32>,
    billing_period_start: RepeatingColumn<i32>,
    epoch: RepeatingColumn<i64>,
    dimensions: Vec<TextColumn>,
}

/// Numbers the distinct values of a sequence, in order of first appearance.
fn number_distinct<T: Copy + Eq + Hash, D: FromIterator<T>>(
    values: impl Iterator<Item = T>,
) -> (Vec<u32>, D) {
    let mut known: HashMap<T, u32> = HashMap::new();
    let mut distinct = Vec::new();
    let numbers = values.map(|value| {
        let next = u32::try_from(distinct.len()).unwrap_or(u32::MAX);
        *known.entry(value).or_insert_with(|| {
            distinct.push(value);
            next
        })
    });
    (numbers.collect(), distinct.into_iter().collect())
}

impl Texts {
    fn new(catalog: &Catalog) -> Self {
        let (lines, versions) = (catalog.lines(), catalog.price_book_versions());
        let (line_contract, contracts) = number_distinct(lines.iter().map(|line| line.contract.as_str()));
        let (line_currency, currencies) = number_distinct(lines.iter().map(|line| line.currency));
        let (version_book, books) =
            number_distinct(versions.iter().map(|version| version.price_book.as_str()));
        let numbers = line_contract.iter().zip(&line_currency).zip(lines);
        let line_texts = numbers.map(|((contract, currency), line)| LineTexts {
            contract: *contract,
            currency: *currency,
            entity: line.legal_entity,
        });
        let number = |version: u32| i32::try_from(version).unwrap_or(i32::MAX);
        Self {
            sources: TextList::default(),
            dimensions: catalog.dimensions().iter().map(|_| TextList::default()).collect(),
            meters: catalog.meters().iter().map(|meter| meter.id.as_str()).collect(),
            accounts: catalog.accounts().map(AccountId::as_str).collect(),
            currencies,
            entities: catalog.legal_entities().iter().map(|entity| entity.id.as_str()).collect(),
            contracts,
            contract_lines: lines.iter().map(|line| line.id.as_str()).collect(),
            lines: line_texts.collect(),
            books,
            version_book,
            version_number: versions.iter().map(|version| number(version.version)).collect(),
        }
    }

    fn learn(&mut self, new: &NewTexts) {
        self.sources.extend(new.sources.iter().map(|text| &**text));
        for (texts, new) in self.dimensions.iter_mut().zip(&new.dimensions) {
            texts.extend(new.iter().map(|text| &**text));
        }
    }
}

impl RatedUsageTable {
    /// A table for an epoch. `texts` are those that the decider knows already.
    ///
    /// # Errors
    /// [`AggregateError`] when the schema has no Parquet form.
    pub fn new(
        files: EpochFiles,
        catalog: &Catalog,
        known: &NewTexts,
    ) -> std::result::Result<Self, AggregateError> {
        let schema = FileSchema::new(&arrow_schema(catalog.dimensions()), &[]);
        let failed = |error| parquet_error(Path::new(ContentKind::RatedUsage.name()), error);
        let schema = schema.map_err(failed)?;
        let columns = Columns::new(schema.columns()).map_err(failed)?;
        let meters = catalog
            .meters()
            .iter()
            .map(|meter| {
                let decimals = if meter.aggregation.is_numeric() { meter.decimals } else { 0 };
                MeterColumn {
                    factor: power_of_ten(QUANTITY_SCALE.saturating_sub(decimals)).unwrap_or(1),
                    counts_one: matches!(meter.aggregation, Aggregation::Count | Aggregation::Unique),
                }
            })
            .collect();
        let mut texts = Texts::new(catalog);
        texts.learn(known);
        let written = RatedTotals::new(texts.currencies.clone());
        Ok(Self { files, schema, file: None, columns, texts, meters, lines: Vec::new(), written })
    }

    /// Appends the rated usages of a batch.
    ///
    /// # Errors
    /// [`AggregateError`] when they cannot be written, or an amount is out of range.
    pub fn append(&mut self, decided: &DecidedBatch) -> std::result::Result<(), AggregateError> {
        self.texts.learn(&decided.new_texts);
        self.lines.clear();
        self.lines.extend(decided.rated.rated.iter().map(|rated| at(&self.texts.lines, rated.line as usize)));
        let added = self.written.add(decided, &self.lines);
        added.map_err(|Overflow| AggregateError::Overflow("sum of rated usage"))?;
        self.append_rows(decided).map_err(|error| self.failed(error))?;
        if self.columns.rows >= ROW_GROUP_ROWS {
            self.end_row_group()?;
        }
        Ok(())
    }

    fn append_rows(&mut self, decided: &DecidedBatch) -> Result<()> {
        self.columns.extend(decided, &self.lines, &self.texts, &self.meters)?;
        let epoch = i64::try_from(self.files.epoch()).unwrap_or(i64::MAX);
        self.columns.epoch.repeat(epoch, decided.rated.rated.len())
    }

    fn failed(&self, error: ParquetError) -> AggregateError {
        let path = self.file.as_ref().map_or(Path::new(ContentKind::RatedUsage.name()), ParquetFile::path);
        parquet_error(path, error)
    }

    fn end_row_group(&mut self) -> std::result::Result<(), AggregateError> {
        let file = match &mut self.file {
            Some(file) => file,
            file => {
                let schema = self.schema.clone();
                file.insert(ParquetFile::create(&self.files, ContentKind::RatedUsage, 0, schema)?)
            }
        };
        let mut row_group = file.begin_row_group(std::mem::take(&mut self.columns.rows));
        let ended = self.columns.finish(&self.texts, &mut row_group).and_then(|()| row_group.finish());
        ended.map_err(|error| self.failed(error))
    }

    /// Begins an epoch.
    pub(crate) fn begin(&mut self, files: EpochFiles) {
        self.files = files;
    }

    /// Ends the epoch and begins another; what was written.
    ///
    /// # Errors
    /// [`AggregateError`] when it cannot be written.
    pub fn end(
        &mut self,
        next: EpochFiles,
    ) -> std::result::Result<(Option<MadeContent>, RatedTotals), AggregateError> {
        if self.columns.rows > 0 {
            self.end_row_group()?;
        }
        self.files = next;
        let fresh = RatedTotals::new(self.written.currencies.clone());
        let written = std::mem::replace(&mut self.written, fresh);
        Ok((self.file.take().map(ParquetFile::finish).transpose()?, written))
    }
}

impl RatedTotals {
    fn new(currencies: Vec<Currency>) -> Self {
        Self { rows: 0, amounts: vec![Amount::ZERO; currencies.len()], currencies }
    }

    fn add(&mut self, decided: &DecidedBatch, lines: &[LineTexts]) -> std::result::Result<(), Overflow> {
        self.rows += decided.rated.rated.len() as u64;
        for (rated, line) in decided.rated.rated.iter().zip(lines) {
            let sum = self.amounts.get_mut(line.currency as usize).ok_or(Overflow)?;
            *sum = sum.checked_add(rated.amount).map_err(|_| Overflow)?;
        }
        Ok(())
    }

    /// Exact amounts by currency, in order of their codes.
    #[must_use]
    pub fn by_currency(&self) -> Vec<Money> {
        let amounts = self.currencies.iter().zip(&self.amounts);
        let mut sums: Vec<Money> =
            amounts.map(|(currency, amount)| Money { amount: *amount, currency: *currency }).collect();
        sums.sort_by_key(|money| money.currency);
        sums
    }
}

/// Adds up amounts of contract lines by currency, in order of currency codes.
///
/// # Errors
/// [`Overflow`].
pub(crate) fn sum_by_currency(
    catalog: &Catalog,
    amounts: impl Iterator<Item = (u32, Amount)>,
) -> std::result::Result<Vec<Money>, Overflow> {
    let mut sums: std::collections::BTreeMap<Currency, Amount> = std::collections::BTreeMap::new();
    for (line, amount) in amounts {
        let Some(line) = catalog.lines().get(line as usize) else { continue };
        let sum = sums.entry(line.currency).or_default();
        *sum = sum.checked_add(amount).map_err(|_| Overflow)?;
    }
    Ok(sums.into_iter().map(|(currency, amount)| Money { amount, currency }).collect())
}

impl Columns {
    fn new(mut columns: impl Iterator<Item = ColumnDescPtr>) -> Result<Self> {
        let mut next =
            || columns.next().ok_or_else(|| ParquetError::General("a column is missing".to_owned()));
        Ok(Self {
            rows: 0,
            source: TextColumn::new(next()?),
            event_id: PlainColumn::ids(next()?),
            event_uuid: UuidColumn::new(next()?, false),
            event_time: LongColumn::new(next()?),
            meter: TextColumn::new(next()?),
            account: TextColumn::new(next()?),
            quantity: DecimalColumn::new(next()?),
            amount: DecimalColumn::new(next()?),
            currency: TextColumn::new(next()?),
            legal_entity: TextColumn::new(next()?),
            contract: TextColumn::new(next()?),
            contract_line: TextColumn::new(next()?),
            price_book: TextColumn::new(next()?),
            price_book_version: RepeatingColumn::new(next()?),
            service_day: RepeatingColumn::new(next()?),
            billing_period_start: RepeatingColumn::new(next()?),
            epoch: RepeatingColumn::new(next()?),
            dimensions: columns.map(TextColumn::new).collect(),
        })
    }

    fn extend(
        &mut self,
        decided: &DecidedBatch,
        lines: &[LineTexts],
        texts: &Texts,
        meters: &[MeterColumn],
    ) -> Result<()> {
        let DecidedBatch { batch, rated, .. } = decided;
        let events = || rated.event.iter().map(|event| *event as usize);
        let usages = || rated.usage.iter().map(|usage| *usage as usize);
        let columns = &batch.events;
        self.rows += rated.rated.len() as u64;
        self.source.extend(events().map(|event| at(&columns.source, event)))?;
        let ids = || events().map(|event| columns.text.get(event).map(|text| &text.id));
        self.event_id.extend(ids().map(|id| match id {
            Some(EventId::Text(range)) => Some(batch.text(*range).as_bytes()),
            _ => None,
        }))?;
        self.event_uuid.extend(ids().map(|id| match id {
            Some(EventId::Uuid(uuid)) => Some(uuid),
            _ => None,
        }))?;
        self.event_time.extend(events().map(|event| at(&columns.time, event)))?;
        self.meter.extend(usages().map(|usage| u32::from(at(&batch.usages.meter, usage))))?;
        self.account.extend(events().map(|event| at(&columns.account, event)))?;
        self.quantity.extend(usages().map(|usage| {
            match meters.get(usize::from(at(&batch.usages.meter, usage))) {
                Some(meter) if !meter.counts_one => at(&batch.usages.measure, usage) * meter.factor,
                Some(meter) => meter.factor,
                None => 0,
            }
        }))?;
        self.amount.extend(rated.rated.iter().map(|rated| rated.amount.units()))?;
        let versions = || rated.rated.iter().map(|rated| rated.price_book_version as usize);
        self.currency.extend(lines.iter().map(|line| line.currency))?;
        self.legal_entity.extend(lines.iter().map(|line| line.entity))?;
        self.contract.extend(lines.iter().map(|line| line.contract))?;
        self.contract_line.extend(rated.rated.iter().map(|rated| rated.line))?;
        self.price_book.extend(versions().map(|version| at(&texts.version_book, version)))?;
        self.price_book_version.extend(versions().map(|version| at(&texts.version_number, version)))?;
        self.service_day.extend(rated.rated.iter().map(|rated| rated.service_day))?;
        self.billing_period_start.extend(rated.rated.iter().map(|rated| rated.period_start))?;
        for (column, values) in self.dimensions.iter_mut().zip(&batch.usages.dimensions) {
            column.extend(usages().map(|usage| at(values, usage)))?;
        }
        Ok(())
    }

    fn finish(&mut self, texts: &Texts, to: &mut RowGroup<'_>) -> Result<()> {
        let currency = |number: u32| texts.currencies.get(number as usize).map_or("", Currency::code);
        self.source.finish(|number| texts.sources.get(number), to)?;
        self.event_id.finish(to)?;
        self.event_uuid.finish(to)?;
        self.event_time.finish(to)?;
        self.meter.finish(|number| texts.meters.get(number), to)?;
        self.account.finish(|number| texts.accounts.get(number), to)?;
        self.quantity.finish(to)?;
        self.amount.finish(to)?;
        self.currency.finish(currency, to)?;
        self.legal_entity.finish(|number| texts.entities.get(number), to)?;
        self.contract.finish(|number| texts.contracts.get(number), to)?;
        self.contract_line.finish(|number| texts.contract_lines.get(number), to)?;
        self.price_book.finish(|number| texts.books.get(number), to)?;
        self.price_book_version.finish(to)?;
        self.service_day.finish(to)?;
        self.billing_period_start.finish(to)?;
        self.epoch.finish(to)?;
        for (column, texts) in self.dimensions.iter_mut().zip(&texts.dimensions) {
            column.finish(|number| texts.get(number), to)?;
        }
        Ok(())
    }
}

/// The value at a position that exists by construction.
#[inline]
fn at<T: Copy + Default>(column: &[T], position: usize) -> T {
    column.get(position).copied().unwrap_or_default()
}
