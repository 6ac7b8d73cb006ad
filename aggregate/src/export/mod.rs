//! Committed rows in ledger order, as their wire contracts: what other systems are fed with.
//!
//! Rows of an epoch come from the tables or from the ledger, whichever has them, in one order: that of epochs, and
//! within an epoch that of its rows; accruals in order of their keys, because parts of an epoch's accruals may be in
//! several files. So the number of a row, its id and its bytes are the same whenever and from wherever it is
//! exported, also after tables were joined (RATE-2).

mod cloud_event;
mod feed;
mod pieces;
mod records;
mod settled;
mod usages;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemas::accrual::Accrual;
use schemas::quarantine::QuarantineRecord;
use schemas::rated_usage::RatedUsage;
use serde::Serialize;

pub use cloud_event::CloudEvent;
pub use feed::{Feed, FeedChunk, Position};
use pieces::Pieces;
pub use settled::{Settled, SettledRecords};
pub use usages::{CommittedUsage, CommittedUsages, committed_usages};

use crate::data_directory::DataDirectory;
use crate::error::AggregateError;
use crate::snapshot::{self, SnapshotTable};

/// What can be exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportTable {
    /// Rated usage.
    RatedUsage,
    /// Accruals.
    Accruals,
    /// Quarantined records.
    Quarantine,
}

impl ExportTable {
    const fn snapshot(self) -> SnapshotTable {
        match self {
            Self::RatedUsage => SnapshotTable::RatedUsage,
            Self::Accruals => SnapshotTable::Accruals,
            Self::Quarantine => SnapshotTable::Quarantine,
        }
    }
}

/// A row as its wire contract.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Record {
    /// Of rated usage.
    RatedUsage(Box<RatedUsage>),
    /// An accrual.
    Accrual(Box<Accrual>),
    /// A quarantined record.
    Quarantine(Box<QuarantineRecord>),
}

/// A row that is exported.
#[derive(Clone, Debug)]
pub struct ExportedRow {
    /// Epoch that committed it.
    pub epoch: u64,
    /// Its number in the epoch, from 1.
    pub row: u64,
    /// Its number among all rows of its source, from 1 without gaps.
    pub sequence: u64,
    /// The row.
    pub record: Record,
}

/// Where rows come from: what their sequences count within.
#[derive(Clone, Debug)]
struct Origin {
    ledger_id: String,
    partition: u32,
}

/// The rows of a table up to the newest epoch.
#[derive(Debug)]
pub struct Export {
    origin: Origin,
    table: ExportTable,
    epoch: u64,
    pieces: Pieces,
}

impl Export {
    /// Finds the rows of a table. Another process may write meanwhile.
    ///
    /// # Errors
    /// [`AggregateError`] when they cannot be read.
    pub fn open(
        directory: &DataDirectory,
        partition: u32,
        table: ExportTable,
    ) -> Result<Self, AggregateError> {
        let (epoch, views) = snapshot::views(directory, partition)?;
        let view = views.into_iter().find(|view| view.table == table.snapshot());
        let pieces = Pieces::find(&**directory.disk(), view)?;
        let origin = Origin { ledger_id: directory.ledger(partition).ledger_id, partition };
        Ok(Self { origin, table, epoch, pieces })
    }

    /// The newest epoch.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Hands over the rows of the epochs after one, up to and including another, in order.
    ///
    /// # Errors
    /// What `take` says; [`AggregateError`] when rows cannot be read.
    pub fn rows<E: From<AggregateError>>(
        &self,
        after: u64,
        to: u64,
        mut take: impl FnMut(&ExportedRow) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut numbers = Numbers::before(self, after)?;
        let mut waiting: Vec<Record> = Vec::new();
        let mut current = 0;
        self.pieces.read(after.saturating_add(1)..=to, None, |epoch, batch| {
            if epoch != current {
                numbers.give(self, current, &mut waiting, &mut take)?;
                current = epoch;
            }
            waiting.extend(records::of_batch(self.table, &batch).map_err(|error| self.pieces.failed(error))?);
            // The others are in order already.
            if self.table != ExportTable::Accruals {
                numbers.give_on(self, current, &mut waiting, &mut take)?;
            }
            Ok::<_, E>(())
        })?;
        numbers.give(self, current, &mut waiting, &mut take)
    }

    /// A row as an event.
    #[must_use]
    pub fn cloud_event<'a>(&self, exported: &'a ExportedRow) -> CloudEvent<'a> {
        self.origin.cloud_event(exported)
    }
}

impl Origin {
    /// What the sequence of a record counts within.
    fn source_of(&self, record: &Record) -> String {
        match record {
            Record::Accrual(accrual) => accruals_of(accrual.legal_entity_id.as_str()),
            Record::RatedUsage(_) => self.source(ExportTable::RatedUsage),
            Record::Quarantine(_) => self.source(ExportTable::Quarantine),
        }
    }

    /// What all rows of a table that has no sellers are counted within.
    fn source(&self, table: ExportTable) -> String {
        let Self { ledger_id, partition } = self;
        match table {
            ExportTable::Quarantine => format!("/quarantine/{ledger_id}/{partition}"),
            _ => format!("/rated-usage/{ledger_id}/{partition}"),
        }
    }
}

/// What accruals of a legal entity are counted within.
fn accruals_of(legal_entity: &str) -> String {
    format!("/accrual/{legal_entity}")
}

/// The numbers of rows.
struct Numbers {
    /// Rows of the epoch.
    row: u64,
    /// Rows by their source.
    sequences: BTreeMap<String, u64>,
}

impl Numbers {
    /// After all rows up to an epoch.
    fn before(export: &Export, epoch: u64) -> Result<Self, AggregateError> {
        let mut sequences = BTreeMap::new();
        match export.table {
            ExportTable::Accruals => {
                export.pieces.read(0..=epoch, Some(&["legal_entity_id"]), |_, batch| {
                    let entities = records::texts(&batch, "legal_entity_id");
                    for entity in entities.map_err(|error| export.pieces.failed(error))?.iter().flatten() {
                        *sequences.entry(accruals_of(entity)).or_default() += 1;
                    }
                    Ok::<_, AggregateError>(())
                })?;
            }
            table => {
                sequences.insert(export.origin.source(table), export.pieces.rows(0..=epoch));
            }
        }
        Ok(Self { row: 0, sequences })
    }

    /// Hands over what waits, and ends the epoch.
    fn give<E>(
        &mut self,
        export: &Export,
        epoch: u64,
        waiting: &mut Vec<Record>,
        take: &mut impl FnMut(&ExportedRow) -> Result<(), E>,
    ) -> Result<(), E> {
        self.give_on(export, epoch, waiting, take)?;
        self.row = 0;
        Ok(())
    }

    /// Hands over what waits.
    fn give_on<E>(
        &mut self,
        export: &Export,
        epoch: u64,
        waiting: &mut Vec<Record>,
        take: &mut impl FnMut(&ExportedRow) -> Result<(), E>,
    ) -> Result<(), E> {
        waiting.sort_by(|one, other| key_of(one).cmp(&key_of(other)));
        for record in waiting.drain(..) {
            self.row += 1;
            let sequence = self.sequences.entry(export.origin.source_of(&record)).or_default();
            *sequence += 1;
            take(&ExportedRow { epoch, row: self.row, sequence: *sequence, record })?;
        }
        Ok(())
    }
}

/// What accruals of an epoch are in order of; nothing for others, which stay as they are.
fn key_of(record: &Record) -> Option<(&str, u32)> {
    match record {
        Record::Accrual(accrual) => Some((&accrual.accrual_key, accrual.revision)),
        _ => None,
    }
}
