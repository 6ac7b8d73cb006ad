//! Records of quarantine that are settled: what became of each, and by which epoch.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use arrow::error::ArrowError;
use schemas::epoch::Epoch;

use super::pieces::read_rows;
use super::records::texts;
use crate::data_directory::DataDirectory;
use crate::delta::{DeltaTable, ParquetSource};
use crate::disk::Disk;
use crate::error::AggregateError;
use crate::ledger::{LedgerIdentity, LedgerTail};
use crate::parquet_columns::parquet_error;
use crate::snapshot::SnapshotTable;

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Wire name of the outcome.
    pub outcome: String,
    /// The epoch that settled it.
    pub epoch: u64,
}

/// The records that are settled, by id: read once, then followed epoch by epoch. In memory they take some hundred bytes
/// each.
#[derive(Debug)]
pub struct SettledRecords {
    disk: Arc<dyn Disk>,
    identity: LedgerIdentity,
    /// Nothing before the first look.
    known: Mutex<Option<Known>>,
}

#[derive(Debug)]
struct Known {
    records: BTreeMap<String, Settled>,
    tail: LedgerTail,
}

impl SettledRecords {
    /// The settled records of a partition; nothing is read yet.
    #[must_use]
    pub fn new(directory: &DataDirectory, partition: u32) -> Self {
        let (disk, identity) = (Arc::clone(directory.disk()), directory.ledger(partition));
        Self { disk, identity, known: Mutex::default() }
    }

    /// Looks at the records that epochs up to one that is committed have settled, and perhaps later ones.
    ///
    /// # Errors
    /// [`AggregateError`] when they cannot be read.
    pub fn look<T>(
        &self,
        committed: u64,
        at: impl FnOnce(&BTreeMap<String, Settled>) -> T,
    ) -> Result<T, AggregateError> {
        let mut guard = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = match guard.take() {
            Some(known) => known,
            None => self.load()?,
        };
        let Known { records, tail } = &mut known;
        tail.read_to(committed, |epoch: Epoch, _| {
            for settled in epoch.settled {
                let outcome = settled.outcome.name().to_owned();
                records.insert(settled.quarantine_id, Settled { outcome, epoch: epoch.epoch });
            }
            Ok::<_, AggregateError>(())
        })?;
        Ok(at(&guard.insert(known).records))
    }

    fn load(&self) -> Result<Known, AggregateError> {
        let mut records = BTreeMap::new();
        let directory = SnapshotTable::Settled.directory();
        let table = DeltaTable::load(&*self.disk, &directory)?;
        let last = table
            .as_ref()
            .and_then(|table| table.last_epoch(&self.identity.ledger_id, self.identity.partition));
        let path = self.disk.path(&directory);
        let failed = |error: ArrowError| parquet_error(&path, error.into());
        for file in table.map(|table| table.files()).unwrap_or_default() {
            let source = ParquetSource::open(&*self.disk, &file.name)?;
            read_rows(&source, &path, None, None, &mut |batch| {
                let ids = texts(&batch, "quarantine_id").map_err(failed)?;
                let outcomes = texts(&batch, "outcome").map_err(failed)?;
                let epochs =
                    batch.column_by_name("epoch").and_then(|column| column.as_primitive_opt::<Int64Type>());
                let missing = || ArrowError::SchemaError("there is no column epoch".to_owned());
                let epochs = epochs.ok_or_else(missing).map_err(failed)?;
                for ((id, outcome), epoch) in ids.iter().zip(&outcomes).zip(epochs.values()) {
                    let (id, outcome) = (id.unwrap_or_default(), outcome.unwrap_or_default().to_owned());
                    let epoch = u64::try_from(*epoch).unwrap_or(0);
                    records.insert(id.to_owned(), Settled { outcome, epoch });
                }
                Ok::<_, AggregateError>(())
            })?;
        }
        let tail = LedgerTail::after(&self.disk, self.identity.clone(), last.unwrap_or(0));
        Ok(Known { records, tail })
    }
}
