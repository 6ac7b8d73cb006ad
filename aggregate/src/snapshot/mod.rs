//! Snapshots: epochs of the ledger become rows of the tables, in one commit per table.
//!
//! The ledger is the truth and the tables follow it. A commit adds the files of bulk epochs as they are, the rows that other epochs
//! carry joined into one file, and says up to which epoch it goes: a table that has an epoch is never
//! given it again, so a snapshot that ended half way is taken once more and ends whole, with no row lost or
//! doubled (EPOCH-1). File names and contents follow from the epochs.

mod control_totals;
mod epochs;
mod follow;
mod plan;
mod settled;
mod view;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use bytes::Bytes;
use schemas::epoch::{ContentHash, ContentKind, Epoch, EpochContent};
use schemas::timestamp::Timestamp;
use schemas::{accrual, control_total, epoch_table, quarantine, rated_usage, settled_record};

use crate::delta::{
    AddFile, Change, Committed, DeltaTable, EpochProgress, ParquetBytes, ParquetSource, Writer, join,
    joined_schema,
};
use crate::disk::Disk;
use crate::error::AggregateError;
use crate::ledger::SealedEpoch;
use crate::parquet_columns::parquet_error;
pub(crate) use follow::{CommittedLedger, Followed, follow, last_epochs};
pub use plan::{SnapshotLimits, SnapshotPlan, Unsnapshotted};
pub use view::{TableView, views};

/// A table of a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SnapshotTable {
    /// Rated usage.
    RatedUsage,
    /// Accruals.
    Accruals,
    /// Quarantined records.
    Quarantine,
    /// Control totals.
    ControlTotals,
    /// Quarantined records that are settled.
    Settled,
    /// Epochs.
    Epochs,
}

/// An epoch as the ledger has it.
#[derive(Clone, Debug)]
pub struct CommittedEpoch {
    /// The document.
    pub document: Epoch,
    /// Hash of the document.
    pub hash: ContentHash,
    /// The contents that follow the document, in its order: those without a file.
    pub inline: Vec<Bytes>,
}

/// What a snapshot did to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSnapshot {
    /// The table.
    pub table: SnapshotTable,
    /// The version that has the epochs; none where they were there before.
    pub version: Option<u64>,
    /// Files that were added.
    pub files: usize,
    /// Rows in them.
    pub rows: u64,
}

impl From<SealedEpoch> for CommittedEpoch {
    fn from(sealed: SealedEpoch) -> Self {
        let inline = sealed.inline.into_iter().map(Bytes::from).collect();
        Self { document: sealed.epoch, hash: sealed.hash, inline }
    }
}

impl SnapshotTable {
    /// All of them, in the order they are written: a row of `epochs` appears last.
    pub const ALL: [Self; 6] = [
        Self::RatedUsage,
        Self::Accruals,
        Self::Quarantine,
        Self::ControlTotals,
        Self::Settled,
        Self::Epochs,
    ];

    /// Wire name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RatedUsage => "rated_usage",
            Self::Accruals => "accruals",
            Self::Quarantine => "quarantine",
            Self::ControlTotals => "control_totals",
            Self::Settled => "settled",
            Self::Epochs => "epochs",
        }
    }

    /// Its directory below the data directory.
    #[must_use]
    pub fn directory(self) -> String {
        format!("tables/{}", self.name())
    }

    /// Its columns as long as it has no rows.
    fn schema(self) -> SchemaRef {
        match self {
            Self::RatedUsage => rated_usage::arrow_schema(&[]),
            Self::Accruals => accrual::arrow_schema(),
            Self::Quarantine => quarantine::arrow_schema(),
            Self::ControlTotals => control_total::arrow_schema(),
            Self::Settled => settled_record::arrow_schema(),
            Self::Epochs => epoch_table::arrow_schema(),
        }
    }

    /// The contents of epochs that are its rows; none where the documents are.
    pub(crate) const fn content(self) -> Option<ContentKind> {
        match self {
            Self::RatedUsage => Some(ContentKind::RatedUsage),
            Self::Accruals => Some(ContentKind::Accruals),
            Self::Quarantine => Some(ContentKind::Quarantine),
            Self::ControlTotals | Self::Settled | Self::Epochs => None,
        }
    }
}

impl CommittedEpoch {
    /// Contents of a kind, each with its bytes where they follow the document.
    fn contents(&self, kind: ContentKind) -> impl Iterator<Item = (&EpochContent, Option<&Bytes>)> {
        let mut inline = self.inline.iter();
        let contents = self.document.contents.iter().map(move |content| {
            let bytes = if content.file.is_none() { inline.next() } else { None };
            (content, bytes)
        });
        contents.filter(move |(content, _)| content.kind == kind)
    }
}

/// Makes epochs of a partition visible in the tables; what was done. They follow each other, and the first
/// follows the last of the snapshot before or comes before it: what a table has is passed over. Tables that are not there are made,
/// also for no epochs.
///
/// # Errors
/// [`AggregateError`] when a table cannot be read or written, or epochs are missing. The snapshot can be taken
/// again.
pub fn take(
    disk: &dyn Disk,
    ledger_id: &str,
    epochs: &[CommittedEpoch],
    now: Timestamp,
) -> Result<Vec<TableSnapshot>, AggregateError> {
    recover(disk)?;
    take_recovered(disk, ledger_id, epochs, now)
}

/// Makes the tables what they were before a crash or an error, or were to be; then they are durable.
pub(crate) fn recover(disk: &dyn Disk) -> Result<(), AggregateError> {
    for table in SnapshotTable::ALL {
        DeltaTable::recover(disk, &table.directory())?;
    }
    Ok(())
}

fn take_recovered(
    disk: &dyn Disk,
    ledger_id: &str,
    epochs: &[CommittedEpoch],
    now: Timestamp,
) -> Result<Vec<TableSnapshot>, AggregateError> {
    SnapshotTable::ALL.into_iter().map(|table| take_table(disk, ledger_id, table, epochs, now)).collect()
}

/// The same for one table.
pub(crate) fn take_table(
    disk: &dyn Disk,
    ledger_id: &str,
    table: SnapshotTable,
    epochs: &[CommittedEpoch],
    now: Timestamp,
) -> Result<TableSnapshot, AggregateError> {
    let directory = table.directory();
    let nothing = TableSnapshot { table, version: None, files: 0, rows: 0 };
    let before = DeltaTable::load(disk, &directory)?;
    let (Some(first), Some(last)) = (epochs.first(), epochs.last()) else {
        if before.is_none() {
            DeltaTable::open(disk, &directory, &table.schema(), ledger_id, now)?;
        }
        return Ok(nothing);
    };
    let partition = first.document.partition;
    let done = before.as_ref().and_then(|before| before.last_epoch(ledger_id, partition)).unwrap_or_default();
    if last.document.epoch <= done {
        return Ok(nothing);
    }
    let pending = pending(disk, &directory, epochs, done)?;
    let rows = Rows::read(disk, table, pending)?;
    let schema = if rows.sources().next().is_some() || !rows.batches.is_empty() || before.is_none() {
        Some(rows.schema(disk, table)?)
    } else {
        None
    };
    let mut delta = match (before, schema) {
        (Some(before), None) => before,
        (_, schema) => {
            let schema = schema.unwrap_or_else(|| table.schema());
            DeltaTable::open(disk, &directory, &schema, ledger_id, now)?
        }
    };
    let from = done + 1;
    let to = last.document.epoch;
    let name = format!("{directory}/{partition}-{from}-{to}.parquet");
    let add = rows.write(&delta, &name, last.document.recorded_at)?;
    let (files, count) = (add.len(), rows.count());
    let change = Change {
        operation: "WRITE",
        at: last.document.recorded_at,
        add,
        remove: Vec::new(),
        has_new_rows: true,
        epochs: Some(EpochProgress { ledger_id: ledger_id.to_owned(), partition, epoch: to }),
    };
    match delta.commit(&change, now)? {
        Committed::Version(version) => {
            Ok(TableSnapshot { table, version: Some(version), files, rows: count })
        }
        Committed::AlreadyThere => Ok(nothing),
    }
}

/// The epochs after `done`, which follow each other without a gap.
fn pending<'a>(
    disk: &dyn Disk,
    directory: &str,
    epochs: &'a [CommittedEpoch],
    done: u64,
) -> Result<&'a [CommittedEpoch], AggregateError> {
    let first = epochs.partition_point(|epoch| epoch.document.epoch <= done);
    let pending = epochs.get(first..).unwrap_or_default();
    let partition = pending.first().map_or(0, |epoch| epoch.document.partition);
    for (expected, epoch) in (done + 1..).zip(pending) {
        let Epoch { partition: other, epoch: found, .. } = epoch.document;
        if found != expected || other != partition {
            let path = disk.path(directory);
            return Err(AggregateError::SnapshotGap { path, partition, expected, found });
        }
    }
    Ok(pending)
}

/// Rows that epochs add to a table.
#[derive(Debug, Default)]
struct Rows {
    /// Files that are there, with the time of their epoch.
    files: Vec<(ParquetSource, Timestamp)>,
    /// Rows that epochs carry.
    inline: Vec<ParquetSource>,
    /// Rows that are made of the documents.
    batches: Vec<RecordBatch>,
}

impl Rows {
    fn read(
        disk: &dyn Disk,
        table: SnapshotTable,
        epochs: &[CommittedEpoch],
    ) -> Result<Self, AggregateError> {
        let mut rows = Self::default();
        let Some(kind) = table.content() else {
            let made = match table {
                SnapshotTable::ControlTotals => control_totals::batch(&table.schema(), epochs),
                SnapshotTable::Settled => settled::batch(&table.schema(), epochs),
                _ => epochs::batch(&table.schema(), epochs),
            };
            let path = || disk.path(&table.directory());
            let made = made.map_err(|error| parquet_error(&path(), error.into()))?;
            rows.batches.extend(Some(made).filter(|batch| batch.num_rows() > 0));
            return Ok(rows);
        };
        for epoch in epochs {
            for (content, bytes) in epoch.contents(kind).filter(|(content, _)| content.rows > 0) {
                rows.add(disk, table, epoch, content, bytes)?;
            }
        }
        Ok(rows)
    }

    fn add(
        &mut self,
        disk: &dyn Disk,
        table: SnapshotTable,
        epoch: &CommittedEpoch,
        content: &EpochContent,
        bytes: Option<&Bytes>,
    ) -> Result<(), AggregateError> {
        let number = epoch.document.epoch;
        let (mut source, is_file) = match (&content.file, bytes) {
            (Some(name), _) => (ParquetSource::open(disk, name)?, true),
            (None, Some(bytes)) => {
                let name = format!("{}/epoch {number}", table.directory());
                (ParquetSource::read(disk, &name, ParquetBytes::Memory(bytes.clone()))?, false)
            }
            (None, None) => {
                let problem = format!("the rows of epoch {number} are missing");
                return Err(AggregateError::TableFile { path: disk.path(&table.directory()), problem });
            }
        };
        let found = (source.rows(), source.length());
        if found != (content.rows, content.bytes) {
            let problem = format!(
                "it has {} rows in {} bytes, epoch {number} says {} in {}",
                found.0, found.1, content.rows, content.bytes
            );
            return Err(AggregateError::TableFile { path: disk.path(&source.name), problem });
        }
        source.hash = Some(content.hash);
        if is_file {
            self.files.push((source, epoch.document.recorded_at));
        } else {
            self.inline.push(source);
        }
        Ok(())
    }

    fn sources(&self) -> impl Iterator<Item = &ParquetSource> + Clone {
        self.files.iter().map(|(source, _)| source).chain(&self.inline)
    }

    /// The columns that the rows have together, or those of the table where there are none.
    fn schema(&self, disk: &dyn Disk, table: SnapshotTable) -> Result<SchemaRef, AggregateError> {
        if self.sources().next().is_none() {
            return Ok(table.schema());
        }
        let joined = joined_schema(&self.sources().map(ParquetSource::schema));
        joined.map_err(|error| differing(disk, &table.directory(), &error))
    }

    fn count(&self) -> u64 {
        let made: usize = self.batches.iter().map(RecordBatch::num_rows).sum();
        self.sources().map(ParquetSource::rows).sum::<u64>() + made as u64
    }

    /// Writes the rows that are in no file to `name`; all files to be added.
    fn write(
        &self,
        table: &DeltaTable<'_>,
        name: &str,
        at: Timestamp,
    ) -> Result<Vec<AddFile>, AggregateError> {
        let mut add = Vec::new();
        for (source, at) in &self.files {
            add.push(table.add_file(source, *at, true)?);
        }
        if self.inline.is_empty() && self.batches.is_empty() {
            return Ok(add);
        }
        let disk = table.disk();
        if let Some(first) = self.batches.first() {
            let mut writer = Writer::create(disk, name, &first.schema())?;
            for batch in &self.batches {
                writer.write(batch)?;
            }
            writer.finish()?;
        } else {
            let schema = joined_schema(&self.inline.iter().map(ParquetSource::schema));
            join(disk, name, &schema.map_err(|error| differing(disk, name, &error))?, &self.inline)?;
        }
        let synced = disk.sync_directory(table.directory());
        synced.map_err(|error| AggregateError::Disk { path: table.path(), error })?;
        add.push(table.add_file(&ParquetSource::open(disk, name)?, at, true)?);
        Ok(add)
    }
}

/// Rows of epochs whose columns contradict each other.
fn differing(disk: &dyn Disk, name: &str, error: &ArrowError) -> AggregateError {
    AggregateError::TableColumns { path: disk.path(name), problem: error.to_string() }
}
