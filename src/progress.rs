//! How far a run is: written by its stages, read by whoever shows it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// A part of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The catalog is read and validated.
    Catalog,
    /// The data directory is opened, and what it holds is recovered.
    Recovering,
    /// Events are read, counted and rated.
    Counting,
    /// Accruals are made.
    Accruing,
    /// The last epoch is committed, and tables and checkpoint follow it.
    Committing,
    /// Everything is done.
    Done,
}

/// How far a run is.
#[derive(Debug, Default)]
pub struct Progress {
    /// Stored bytes read.
    pub bytes: Arc<AtomicU64>,
    /// Stored bytes there are; 0 where an input does not say.
    pub bytes_total: AtomicU64,
    /// Events decided.
    pub events: AtomicU64,
    /// Accrual groups done.
    pub groups: AtomicU64,
    /// Accrual groups there are.
    pub groups_total: AtomicU64,
    stages: Mutex<Vec<(Stage, Instant)>>,
}

impl Progress {
    /// Begins a stage, which ends the one before; one that is begun already goes on.
    pub fn begin(&self, stage: Stage) {
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        if stages.last().is_none_or(|(last, _)| *last != stage) {
            stages.push((stage, Instant::now()));
        }
    }

    /// The stages begun so far, and when.
    #[must_use]
    pub fn stages(&self) -> Vec<(Stage, Instant)> {
        self.stages.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is done and what there is to do, in the unit of a stage; `None` where nobody knows.
    #[must_use]
    pub fn of(&self, stage: Stage) -> Option<(u64, u64)> {
        let (done, total) = match stage {
            Stage::Counting => (&*self.bytes, &self.bytes_total),
            Stage::Accruing => (&self.groups, &self.groups_total),
            Stage::Catalog | Stage::Recovering | Stage::Committing | Stage::Done => return None,
        };
        let total = total.load(Ordering::Relaxed);
        (total > 0).then(|| (done.load(Ordering::Relaxed), total))
    }
}
