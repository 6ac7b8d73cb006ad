//! Lets the tables follow the ledger.

use std::collections::BTreeSet;
use std::sync::Arc;

use schemas::timestamp::Timestamp;

use super::{CommittedEpoch, SnapshotLimits, SnapshotPlan, SnapshotTable, Unsnapshotted, take_recovered};
use crate::committer::Committer;
use crate::compaction::{CompactionLimits, compact};
use crate::data_directory::DataDirectory;
use crate::delta::{DeltaTable, RETENTION_MS};
use crate::epoch_files::epoch_of;
use crate::error::AggregateError;
use crate::ledger::{LedgerIdentity, SealedEpoch};

/// Bytes of rows that are in memory for one snapshot, about.
const SNAPSHOT_BYTES: u64 = 256 << 20;

/// Takes snapshots, into tables that were recovered, of the epochs that no table has yet, where they are due, and joins small files; the last
/// epoch that all tables have.
pub(crate) fn follow(
    directory: &DataDirectory,
    committer: &Committer,
    limits: SnapshotLimits,
) -> Result<u64, AggregateError> {
    let disk = &**directory.disk();
    let identity = committer.ledger().identity().clone();
    let now = committer.clock().now();
    let last = last_epochs(directory, &identity)?.into_iter().min().unwrap_or(0);
    let mut waiting = Waiting::default();
    let mut taken = last;
    let mut take_waiting = |waiting: &mut Waiting| {
        if let Some(newest) = waiting.epochs.last() {
            taken = newest.document.epoch;
            take_recovered(disk, &identity.ledger_id, &waiting.epochs, now)?;
        }
        *waiting = Waiting::default();
        Ok::<_, AggregateError>(())
    };
    committer.ledger().reader().read(last + 1, |sealed: SealedEpoch| {
        waiting.add(sealed);
        if waiting.found.bytes >= SNAPSHOT_BYTES { take_waiting(&mut waiting) } else { Ok(()) }
    })?;
    let is_due = waiting.has_files || SnapshotPlan::new(waiting.found, limits, now) == SnapshotPlan::Take;
    if is_due {
        take_waiting(&mut waiting)?;
    }
    if taken > last {
        tidy(directory, committer, now)?;
    }
    Ok(taken)
}

/// Epochs that no table has.
#[derive(Default)]
struct Waiting {
    epochs: Vec<CommittedEpoch>,
    found: Unsnapshotted,
    /// Do some of them have files of their own, which cost nothing to take in?
    has_files: bool,
}

impl Waiting {
    fn add(&mut self, sealed: SealedEpoch) {
        self.found.oldest.get_or_insert(sealed.epoch.recorded_at);
        for content in &sealed.epoch.contents {
            if content.file.is_some() {
                self.has_files = true;
            } else {
                self.found.rows += content.rows;
                self.found.bytes += content.bytes;
            }
        }
        self.epochs.push(sealed.into());
    }
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
fn tidy(directory: &DataDirectory, committer: &Committer, now: Timestamp) -> Result<(), AggregateError> {
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
            None => Arc::clone(keep.insert(Arc::new(needed_files(directory, committer)?))),
        };
        delta.vacuum(now, RETENTION_MS, &named)?;
    }
    Ok(())
}

/// The files that epochs in the ledger name, and those of the epoch that is being made.
fn needed_files(
    directory: &DataDirectory,
    committer: &Committer,
) -> Result<BTreeSet<String>, AggregateError> {
    let mut needed = BTreeSet::new();
    let reader = committer.ledger().reader();
    reader.read(reader.oldest().unwrap_or(1), |sealed: SealedEpoch| {
        needed.extend(sealed.epoch.contents.into_iter().filter_map(|content| content.file));
        Ok::<_, AggregateError>(())
    })?;
    let disk = &**directory.disk();
    for table in SnapshotTable::ALL.map(SnapshotTable::directory) {
        let names = disk.list(&table);
        let names = names.map_err(|error| AggregateError::Disk { path: disk.path(&table), error })?;
        let is_made =
            |name: &String| epoch_of(name).is_some_and(|(_, epoch)| epoch >= committer.next_epoch());
        needed.extend(names.iter().filter(|name| is_made(name)).map(|name| format!("{table}/{name}")));
    }
    Ok(needed)
}
