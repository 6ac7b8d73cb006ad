//! Admits every event identity once (DEDUP-1).
//!
//! The first event of an identity stays; a later one is a duplicate if its content and month are the same
//! and a conflict if they are not. An identity is remembered until its month is forgotten, exactly: from
//! then on it counts as absent. The machine is synchronous; verdicts depend only on the order of its
//! input, and a run that cannot be trusted is an error, never a verdict.
//!
//! ```text
//! identity --keyed bijection--> place   hot    open addressing in memory, bounded      admits
//!                                       runs   sorted, immutable, on disk;             are asked
//!                                              filter and fences in memory
//!
//! hot is full -> hot_entries_sorted -> write_sorted_run -> Run::open -> settle
//! too many runs -> plan_merge -> merge -> Run::open -> replace_runs
//! restart -> Run::open, add_run, insert_all of what was admitted since
//! ```
//!
//! Memory is the bound of the hot part and about 13 bits for each entry in runs. The index writes no file
//! and deletes none: its keeper does, and tells it.

mod entry;
mod error;
mod filter;
mod hot;
mod layout;
mod merge;
mod month;
mod probe;
mod run;
mod run_writer;
mod sort;
#[cfg(test)]
mod tests;

pub use entry::{ENTRY_BYTES, Entry, Placement};
pub use error::{RunError, RunName, RunPart};
pub use merge::{merge, plan_merge};
pub use month::Month;
pub use run::{Run, RunBytes};
pub use run_writer::{RunSummary, write_run, write_sorted_run};

use entry::EntryWord;
use hot::{Hot, HotAdmit};
use month::MonthOfDay;
use probe::Probe;

use crate::keyed_hash::HashKey;

/// Events whose cache lines are loaded ahead.
const TOUCH_AHEAD: usize = 32;

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admit {
    /// Its identity is new: it is counted.
    Accept,
    /// It was counted before, with the same content.
    Duplicate,
    /// Its identity was counted before, with other content.
    Conflict,
}

/// The identities counted so far.
#[derive(Debug)]
pub struct Dedup {
    placement: Placement,
    hot: Hot,
    runs: Vec<Run>,
    /// Months before it are forgotten.
    forgotten: Month,
    month: MonthOfDay,
    batch: Vec<Entry>,
    probe: Probe,
}

impl Dedup {
    /// Nothing counted yet. The hot part is to take up this many bytes; see [`Dedup::is_full`].
    #[must_use]
    pub fn new(key: &HashKey, hot_bytes_max: usize) -> Self {
        Self {
            placement: Placement::new(key),
            hot: Hot::new(hot_bytes_max),
            runs: Vec::new(),
            forgotten: Month::default(),
            month: MonthOfDay::default(),
            batch: Vec::new(),
            probe: Probe::default(),
        }
    }

    /// Empties the hot part, and lets it take up this many bytes from here on.
    pub fn reset_hot(&mut self, hot_bytes_max: usize) {
        self.hot = Hot::new(hot_bytes_max);
    }

    /// Makes room in the hot part for this many identities in all, within its bound, so that they come in
    /// without growing step by step.
    pub fn reserve(&mut self, identities: usize) {
        self.hot.reserve(identities);
    }

    /// Identities held, those forgotten included until a merge leaves them out.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.runs.iter().map(Run::entries).sum::<u64>() + self.hot.len() as u64
    }

    /// Is nothing held?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Identities held in the hot part.
    #[must_use]
    pub fn hot_len(&self) -> usize {
        self.hot.len()
    }

    /// Bytes of memory held: the hot part, filters and fences of runs, and buffers of a batch.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.hot.memory_bytes()
            + self.runs.iter().map(Run::memory_bytes).sum::<usize>()
            + self.batch.capacity() * size_of::<Entry>()
            + self.probe.memory_bytes()
    }

    /// Has the hot part reached its bound? Then it is time to settle. Until then it goes on admitting, and
    /// takes up more.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.hot.is_full()
    }

    /// Decides events in order. Verdicts are appended, one per event, and what was accepted to `admitted`,
    /// in the same order: what [`Dedup::insert_all`] takes after a restart. Times are microseconds since
    /// 1970.
    ///
    /// # Errors
    /// A run is damaged or cannot be read. Then nothing of these events is admitted.
    pub fn admit_all(
        &mut self,
        identities: &[u128],
        contents: &[u64],
        times: &[i64],
        verdicts: &mut Vec<Admit>,
        admitted: &mut Vec<Entry>,
    ) -> Result<(), RunError> {
        verdicts.reserve(identities.len());
        let (placement, month) = (&self.placement, &mut self.month);
        let events = identities.iter().zip(contents).zip(times);
        self.batch.clear();
        self.batch.extend(
            events.map(|((identity, content), time)| placement.entry(*identity, *content, month.of(*time))),
        );
        let stored: &[Option<EntryWord>] = if self.runs.is_empty() {
            &[]
        } else {
            self.probe.look_up(&self.batch, &self.runs, &self.hot, self.forgotten)?
        };
        let mut stored = stored.iter();
        for entries in self.batch.chunks(TOUCH_AHEAD) {
            self.hot.touch(entries);
            for entry in entries {
                let known = match stored.next() {
                    Some(Some(word)) => HotAdmit::Known(*word),
                    _ => self.hot.admit(entry, self.forgotten),
                };
                verdicts.push(match known {
                    HotAdmit::New => {
                        admitted.push(*entry);
                        Admit::Accept
                    }
                    HotAdmit::Known(word) if word == entry.word => Admit::Duplicate,
                    HotAdmit::Known(_) => Admit::Conflict,
                });
            }
        }
        Ok(())
    }

    /// Takes entries that were admitted before, in order, into the hot part without asking runs: what a
    /// recovery finds in its ledger after the last run. Entries that are there already stay as they are.
    pub fn insert_all(&mut self, entries: &[Entry]) {
        for entries in entries.chunks(TOUCH_AHEAD) {
            self.hot.touch(entries);
            for entry in entries {
                // An identity comes again once its earlier month was forgotten.
                self.hot.admit(entry, entry.month());
            }
        }
    }

    /// What is hot, in order, without what is forgotten: what a new run is written from.
    pub fn hot_entries_sorted(&self) -> impl Iterator<Item = Entry> {
        self.hot.sorted(self.forgotten)
    }

    /// Adds runs that hold, together, all that is hot now, and empties the hot part. It keeps its memory.
    pub fn settle(&mut self, runs: Vec<Run>) {
        self.runs.extend(runs);
        self.hot.clear();
    }

    /// Adds a run.
    pub fn add_run(&mut self, run: Run) {
        self.runs.push(run);
    }

    /// Takes runs out and, in their place, one that holds all they held and was not forgotten.
    pub fn replace_runs(&mut self, old: &[RunName], new: Option<Run>) {
        self.runs.retain(|run| !old.contains(run.name()));
        self.runs.extend(new);
    }

    /// The runs.
    #[must_use]
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Forgets the months before one: their identities count as absent from now on. What is forgotten
    /// stays forgotten.
    pub fn forget_before(&mut self, month: Month) {
        self.forgotten = self.forgotten.max(month);
    }
}
