//! The auditor: what the files of a data directory say, against what clients sent and were told.
//!
//! It shares no code with the pipeline: it reads the ledger, its rows and the tables by their formats, and works
//! quantities, prices and roundings out from the events themselves. It checks, by the id of the promise:
//!
//! - EPOCH-1 epochs are a chain without gap or fork, and every content fits its hash;
//! - DEDUP-1 what was acknowledged is counted, once, and nothing that was not sent is; conflicts are kept;
//! - CONS-1 every event that was received is in one count, and the counts are those of the rows;
//! - RATE-1 the amounts of a charge add up to the price of its usage;
//! - ACCR-1 accruals are the differences of rounded cumulative amounts, revisions have no gap, and an id has one
//!   content;
//! - positions in inputs never go back;
//! - EPOCH-1 the tables show every epoch that they have once and whole, checkpoints are of the chain, and an epoch is
//!   removed from the ledger only when a checkpoint and all tables have it.

mod accruals;
mod checkpoints;
pub(crate) mod checks;
mod conservation;
mod counted;
mod ledger;
mod numbers;
mod positions;
mod rated;
mod rows;
mod tables;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::history::{FILE, Sent};

pub(crate) use ledger::{Epoch, Tail, last_marker};

use ledger::{KnownFrames, read_ledger};
use tables::KnownTables;

/// What does not hold.
pub(crate) type Audit<T> = Result<T, String>;

/// The files of a data directory, by name.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// The state of an audit that goes on while a data directory grows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Auditor {
    frames: KnownFrames,
    tables: KnownTables,
    /// Epochs that clients know of.
    acknowledged: Vec<Arc<Epoch>>,
}

impl Auditor {
    /// Checks everything; the epochs there are, those that were removed too.
    pub(crate) fn audit(&mut self, files: &Files, history: &[Sent], tail: Tail) -> Audit<Vec<Arc<Epoch>>> {
        let ledger = read_ledger(files, tail, &self.acknowledged, &mut self.frames)?;
        let epochs = ledger.epochs;
        for (position, known) in self.acknowledged.iter().enumerate() {
            let found = epochs.get(position);
            rule(found.is_some_and(|found| found.hash == known.hash), || {
                let now = if found.is_none() { "gone" } else { "another" };
                format!("epoch {} was acknowledged, and is {now} now", position + 1)
            })?;
        }
        let counted = counted::count(&epochs)?;
        let ends = positions::check(&epochs)?;
        counted.check(history, ends.get(FILE).copied().unwrap_or(0))?;
        conservation::check(&epochs)?;
        let usages = rated::check(&counted, history)?;
        accruals::check(&epochs, &usages)?;
        let shown = tables::check(files, &epochs, &mut self.tables)?;
        let checkpoints = checkpoints::check(files, &epochs)?;
        let carried = shown.min(checkpoints.into_iter().max().unwrap_or(0));
        rule(ledger.removed as u64 <= carried, || {
            format!("{} epochs are removed, tables and a checkpoint have {carried}", ledger.removed)
        })?;
        Ok(epochs)
    }

    /// Clients were told of what is in these epochs: they never change again.
    pub(crate) fn acknowledge(&mut self, epochs: &[Arc<Epoch>]) {
        self.acknowledged = epochs.to_vec();
    }
}

fn rule(holds: bool, text: impl FnOnce() -> String) -> Audit<()> {
    if holds { Ok(()) } else { Err(text()) }
}
