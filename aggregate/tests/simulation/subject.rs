//! What is put to the test: a program that keeps a data directory.

use std::sync::Arc;

use crate::disk::SimDisk;
use crate::history::{Event, Verdict};

/// A program. What it needs to know before it sees a data directory, as the catalog, is made once.
pub(crate) trait Program: Sync {
    type Process: Process;

    /// Opens the data directory, or makes it, and recovers. `now` is in microseconds since 1970.
    fn open(&self, disk: &SimDisk, now: i64) -> Result<Self::Process, Stop>;
}

/// A process of the program. When a call fails it is ended.
pub(crate) trait Process: Sized {
    /// How far the file was read, by the epochs.
    fn file_position(&self) -> u64;

    /// Decides events; what clients are told once the next commit returned.
    fn send(&mut self, batch: &Batch) -> Result<Vec<Verdict>, Stop>;

    /// Makes what was sent since the last commit durable, as one epoch or several.
    fn commit(&mut self, is_accrued: bool, now: i64) -> Result<(), Stop>;

    fn maintain(&mut self, work: Work, now: i64) -> Result<(), Stop>;

    /// Ends in order. What was not committed is dropped.
    fn close(self) -> Result<(), Stop>;
}

/// Events that are sent together.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) events: Vec<Arc<Event>>,
    /// Where they are in the file, if they come from there: `(from, to]`, and whether that is its end.
    pub(crate) place: Option<(u64, u64, bool)>,
}

/// What is done beside counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Writes the state down, so that a recovery begins there.
    Checkpoint,
    /// Makes committed rows visible in the tables.
    Snapshot,
    /// The same, while epochs are committed.
    Follow,
    /// Joins what lies in many files.
    Compact,
    /// Removes what nothing needs any more.
    Remove,
    /// Takes another catalog into force, which says the same.
    ChangeCatalog,
}

impl Work {
    pub(crate) const ALL: [Self; 6] =
        [Self::Checkpoint, Self::Snapshot, Self::Follow, Self::Compact, Self::Remove, Self::ChangeCatalog];
}

/// Why a process cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Another process holds the data directory.
    Busy,
    /// Bytes that were durable are not what they were.
    Corrupt(String),
    /// The disk failed.
    Failed(String),
}
