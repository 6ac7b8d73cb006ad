//! The tables of one epoch after another, written while events are decided.

use std::io::Write;
use std::sync::Arc;

use ingest::event_batch::NewTexts;
use rating::catalog::Catalog;
use schemas::epoch::ContentKind;
use schemas::meter::Aggregation;

use crate::decider::DecidedBatch;
use crate::disk::Disk;
use crate::epoch_files::{EpochFiles, MadeContent};
use crate::error::{AggregateError, write_error};
use crate::quarantine_table::{EventTexts, QuarantineTable, QuarantineTotals};
use crate::rated_usage_table::{RatedTotals, RatedUsageTable};
use crate::replay::OpenRecord;
use crate::usage_details::UsageDetail;

/// Rated usage, quarantine and usage details.
pub struct EpochTables {
    files: EpochFiles,
    catalog: Arc<Catalog>,
    rated_usage: RatedUsageTable,
    quarantine: QuarantineTable,
    texts: Texts,
    /// Entries of usage details.
    details: Vec<u8>,
    /// Per meter, is its measure no quantity?
    is_distinct: Vec<bool>,
    /// Rated usages of the epoch.
    rows: u64,
}

/// What was written of an epoch.
#[derive(Debug)]
pub struct WrittenTables {
    /// The tables that have rows.
    pub contents: Vec<MadeContent>,
    /// What was written to rated usage.
    pub rated: RatedTotals,
    /// What was written to quarantine.
    pub quarantine: QuarantineTotals,
}

/// Texts of sources and event types, by number.
#[derive(Default)]
struct Texts {
    sources: Vec<Box<str>>,
    event_types: Vec<Box<str>>,
}

impl Texts {
    fn learn(&mut self, new: &NewTexts) {
        self.sources.extend(new.sources.iter().cloned());
        self.event_types.extend(new.event_types.iter().cloned());
    }
}

impl EventTexts for Texts {
    fn source(&self, number: u32) -> Option<&str> {
        self.sources.get(number as usize).map(|text| &**text)
    }

    fn event_type(&self, number: u32) -> Option<&str> {
        self.event_types.get(number as usize).map(|text| &**text)
    }
}

impl EpochTables {
    /// Tables that begin with an epoch. `known` are the texts that the decider knows, `inputs` the names of inputs
    /// by position.
    ///
    /// # Errors
    /// [`AggregateError`] when the catalog's dimensions have no Parquet form.
    pub fn new(
        disk: &Arc<dyn Disk>,
        partition: u32,
        epoch: u64,
        catalog: &Arc<Catalog>,
        known: &NewTexts,
        inputs: Vec<String>,
    ) -> Result<Self, AggregateError> {
        let files = EpochFiles::new(disk, partition, epoch);
        let mut texts = Texts::default();
        texts.learn(known);
        let is_distinct = |meter: &schemas::meter::Meter| meter.aggregation == Aggregation::Unique;
        Ok(Self {
            catalog: Arc::clone(catalog),
            rated_usage: RatedUsageTable::new(files.clone(), catalog, known)?,
            quarantine: QuarantineTable::new(files.clone(), inputs),
            texts,
            details: Vec::new(),
            is_distinct: catalog.meters().iter().map(is_distinct).collect(),
            rows: 0,
            files,
        })
    }

    /// Where the contents of the epoch go.
    #[must_use]
    pub const fn files(&self) -> &EpochFiles {
        &self.files
    }

    /// Appends a batch.
    ///
    /// # Errors
    /// [`AggregateError`] when it cannot be written.
    pub fn append(&mut self, batch: &DecidedBatch) -> Result<(), AggregateError> {
        self.append_replayed(batch, &[])
    }

    /// Appends a batch that read records again.
    ///
    /// # Errors
    /// [`AggregateError`] when it cannot be written.
    pub(crate) fn append_replayed(
        &mut self,
        batch: &DecidedBatch,
        records: &[OpenRecord],
    ) -> Result<(), AggregateError> {
        self.texts.learn(&batch.new_texts);
        self.append_details(batch)?;
        self.rated_usage.append(batch)?;
        self.quarantine.append(&self.catalog, batch, &self.texts, records)
    }

    fn append_details(&mut self, decided: &DecidedBatch) -> Result<(), AggregateError> {
        let usages = &decided.batch.usages;
        for usage in &decided.rated.usage {
            let usage = *usage as usize;
            let event_price = usages.event_price.get(usage).copied().unwrap_or(0);
            let meter = usages.meter.get(usage).copied().unwrap_or(u16::MAX);
            if event_price != 0 || self.is_distinct.get(usize::from(meter)) == Some(&true) {
                let row = u32::try_from(self.rows)
                    .map_err(|_| AggregateError::Overflow("number of rows of an epoch"))?;
                let measure = usages.measure.get(usage).copied().unwrap_or(0);
                UsageDetail { row, measure, event_price }.write(&mut self.details);
            }
            self.rows += 1;
        }
        Ok(())
    }

    /// Begins an epoch in place of the one that was begun, which holds nothing.
    pub(crate) fn begin_again(&mut self, files: EpochFiles) {
        self.rated_usage.begin(files.clone());
        self.quarantine.begin(files.clone());
        self.files = files;
    }

    /// Ends the epoch and begins the next; what was written.
    ///
    /// # Errors
    /// [`AggregateError`] when it cannot be written.
    pub fn end(&mut self) -> Result<WrittenTables, AggregateError> {
        let next = self.files.next();
        let (rated_usage, rated) = self.rated_usage.end(next.clone())?;
        let (quarantined, quarantine) = self.quarantine.end(next.clone())?;
        let mut contents: Vec<MadeContent> = rated_usage.into_iter().chain(quarantined).collect();
        if !self.details.is_empty() {
            let mut file = self.files.begin(ContentKind::UsageDetails, 0);
            let path = file.path().to_owned();
            file.write_all(&self.details).map_err(|error| write_error(&path, error))?;
            contents.push(file.finish(UsageDetail::count(&self.details))?);
            self.details.clear();
        }
        self.files = next;
        self.rows = 0;
        Ok(WrittenTables { contents, rated, quarantine })
    }
}
