//! Lets the tables follow the ledger.

use std::collections::BTreeSet;
use std::sync::Arc;

use schemas::timestamp::Timestamp;

use super::{CommittedEpoch, SnapshotLimits, SnapshotPlan, SnapshotTable, Unsnapshotted, take_recovered};
use crate::compaction::{CompactionLimits, compact};
use crate::data_directory::DataDirectory;
use crate::delta::{DeltaTable, RETENTION_MS};
use crate::epoch_files::epoch_of;
use crate::error::AggregateError;
use crate::ledger::{LedgerIdentity, LedgerReader, SealedEpoch};

/// Bytes of rows that are in memory for one snapshot, about.
const SNAPSHOT_BYTES: u64 = 256 << 20;

/// What is committed, to be followed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CommittedLedger<'a> {
    /// The ledger. Others may append to it meanwhile.
    pub(crate) ledger: &'a LedgerReader,
    /// The last epoch.
    pub(crate) epoch: u64,
    /// The time.
    pub(crate) now: Timestamp,
}

/// How far the tables have followed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Followed {
    /// The last epoch that all tables have.
    pub(crate) epoch: u64,
    /// What is in no table, up to the last epoch.
    pub(crate) left: Unsnapshotted,
}

/// Takes snapshots, into tables that were recovered, of the epochs that no table has yet, where they are due, and joins small files.
pub(crate) fn follow(
    directory: &DataDirectory,
    committed: CommittedLedger<'_>,
    limits: SnapshotLimits,
) -> Result<Followed, AggregateError> {
    let disk = &**directory.disk();
    let identity = committed.ledger.identity();
    let last = last_epochs(directory, identity)?.into_iter().min().unwrap_or(0);
    if last >= committed.epoch {
        return Ok(Followed { epoch: last, left: Unsnapshotted::default() });
    }
    let mut waiting = Waiting::default();
    let mut taken = last;
    let mut take_waiting = |waiting: &mut Waiting| {
        if let Some(newest) = waiting.epochs.last() {
            taken = newest.document.epoch;
            take_recovered(disk, &identity.ledger_id, &waiting.epochs, committed.now)?;
        }
        *waiting = Waiting::default();
        Ok::<_, AggregateError>(())
    };
    committed.ledger.read(last + 1, |sealed: SealedEpoch| {
        // IMPORTANT: what was appended since is not committed yet.
        if sealed.epoch.epoch > committed.epoch {
            return Ok(());
        }
        waiting.found.add(&sealed.epoch);
        waiting.epochs.push(sealed.into());
        if waiting.found.bytes >= SNAPSHOT_BYTES { take_waiting(&mut waiting) } else { Ok(()) }
    })?;
    if SnapshotPlan::new(waiting.found, limits, committed.now) == SnapshotPlan::Take {
        take_waiting(&mut waiting)?;
    }
    if taken > last {
        tidy(directory, committed)?;
    }
    Ok(Followed { epoch: taken, left: waiting.found })
}

/// Epochs that no table has.
#[derive(Default)]
struct Waiting {
    epochs: Vec<CommittedEpoch>,
    found: Unsnapshotted,
}

/// The last epoch of a partition that each table has; 0 if it has none.
pub(crate) fn last_epochs(
    directory: &DataDirectory,
    identity: &LedgerIdentity,
) -> Result<Vec<u64>, AggregateError> {
    let last = |table: SnapshotTable| {
        let table = DeltaTable::load(&**directory.disk(), &table.directory())?;
        Ok(table.and_then(|table| table.last_epoch(&identity.ledger_id, identity.partition)).unwrap_or(0))
    };
    SnapshotTable::ALL.into_iter().map(last).collect()
}

/// Joins small files of tables, and removes those that were joined long ago.
fn tidy(directory: &DataDirectory, committed: CommittedLedger<'_>) -> Result<(), AggregateError> {
    let now = committed.now;
    let disk = &**directory.disk();
    let mut keep: Option<Arc<BTreeSet<String>>> = None;
    for table in SnapshotTable::ALL {
        let Some(mut delta) = DeltaTable::load(disk, &table.directory())? else { continue };
        compact(&mut delta, CompactionLimits::default(), now)?;
        if !delta.wants_vacuum(now, RETENTION_MS) {
            continue;
        }
        // What an epoch in the ledger names is needed to recover.
        let named = match &keep {
            Some(named) => Arc::clone(named),
            None => Arc::clone(keep.insert(Arc::new(needed_files(directory, committed)?))),
        };
        delta.vacuum(now, RETENTION_MS, &named)?;
    }
    Ok(())
}

/// The files that epochs in the ledger name, and those of epochs that are being made.
fn needed_files(
    directory: &DataDirectory,
    committed: CommittedLedger<'_>,
) -> Result<BTreeSet<String>, AggregateError> {
    let mut needed = BTreeSet::new();
    let reader = committed.ledger;
    reader.read(reader.oldest().unwrap_or(1), |sealed: SealedEpoch| {
        needed.extend(sealed.epoch.contents.into_iter().filter_map(|content| content.file));
        Ok::<_, AggregateError>(())
    })?;
    let disk = &**directory.disk();
    for table in SnapshotTable::ALL.map(SnapshotTable::directory) {
        let names = disk.list(&table);
        let names = names.map_err(|error| AggregateError::Disk { path: disk.path(&table), error })?;
        let is_made = |name: &String| epoch_of(name).is_some_and(|(_, epoch)| epoch > committed.epoch);
        needed.extend(names.iter().filter(|name| is_made(name)).map(|name| format!("{table}/{name}")));
    }
    Ok(needed)
}
