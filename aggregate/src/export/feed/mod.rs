//! A table as a feed: its rows from a position on, a bounded number at a time, as often as is asked for.
//!
//! Rows, numbers and ids are those of an [`Export`](super::Export) (RATE-2). What differs is the cost: a feed keeps where
//! rows are, so that a look behind the last row reads the documents of the epochs that are new and nothing else. Of an
//! epoch that the table does not have yet it keeps where the ledger has it, some hundred bytes; of a file its epochs,
//! for the files that were used last. The table is asked again when many epochs are waiting for it, or when a file or
//! segment is gone.
//!
//! Only epochs are read that the caller says are committed.

mod files;
mod known;
mod window;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::{CloudEvent, ExportTable, ExportedRow, Origin, accruals_of};
use crate::data_directory::DataDirectory;
use crate::disk::Disk;
use crate::error::AggregateError;
use crate::ledger::{LedgerError, LedgerIdentity};
use files::Files;
use known::Known;
use window::{Piece, Window};

/// A place between two rows: all rows of the epochs before this one are behind it, and some of its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The epoch.
    pub epoch: u64,
    /// How many of its rows.
    pub row: u64,
}

impl Position {
    /// Before the first row.
    pub const START: Self = Self { epoch: 1, row: 0 };

    /// Behind all rows up to an epoch.
    #[must_use]
    pub const fn behind(epoch: u64) -> Self {
        Self { epoch: epoch.saturating_add(1), row: 0 }
    }
}

/// Rows that follow a position, or precede it.
#[derive(Clone, Debug)]
pub struct FeedChunk {
    /// The rows, in the order they are read in.
    pub rows: Vec<ExportedRow>,
    /// Where to go on.
    pub next: Position,
    /// Is there nothing after them, up to the epoch that was asked for?
    pub is_last: bool,
}

/// A table that is read on and on. Many may read it at once.
#[derive(Debug)]
pub struct Feed {
    disk: Arc<dyn Disk>,
    identity: LedgerIdentity,
    origin: Origin,
    files: Files,
    /// Nothing before the first look.
    known: Mutex<Option<Known>>,
}

impl Feed {
    /// A feed of a table; nothing is read yet.
    #[must_use]
    pub fn new(directory: &DataDirectory, partition: u32, table: ExportTable) -> Self {
        let identity = directory.ledger(partition);
        Self {
            disk: Arc::clone(directory.disk()),
            origin: Origin { ledger_id: identity.ledger_id.clone(), partition },
            files: Files::new(directory.disk(), table),
            identity,
            known: Mutex::default(),
        }
    }

    /// A row as an event.
    #[must_use]
    pub fn cloud_event<'a>(&self, exported: &'a ExportedRow) -> CloudEvent<'a> {
        self.origin.cloud_event(exported)
    }

    /// The rows after a position, at most so many, of epochs up to one that is committed.
    ///
    /// # Errors
    /// [`AggregateError`] when they cannot be read.
    pub fn after(
        &self,
        position: Position,
        committed: u64,
        rows_max: usize,
    ) -> Result<FeedChunk, AggregateError> {
        self.again_if_gone(|| self.read_after(position, committed, rows_max as u64))
    }

    /// The rows before a position, the newest first, at most so many, of epochs up to one that is committed.
    ///
    /// # Errors
    /// [`AggregateError`] when they cannot be read.
    pub fn before(
        &self,
        position: Position,
        committed: u64,
        rows_max: usize,
    ) -> Result<FeedChunk, AggregateError> {
        self.again_if_gone(|| self.read_before(position, committed, rows_max as u64))
    }

    /// Looks at what is known, up to an epoch that is committed.
    fn look<T>(&self, committed: u64, at: impl FnOnce(&Known) -> T) -> Result<T, AggregateError> {
        let mut guard = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = match guard.take() {
            Some(known) => known,
            None => Known::load(&self.disk, &self.identity, &self.files)?,
        };
        // What was read in part is not kept.
        known.follow(&self.disk, &self.identity, &self.files, committed)?;
        Ok(at(guard.insert(known)))
    }

    /// Reads, and once more if what was known is not there any more: rows have moved from the ledger to the table, or
    /// from file to file.
    fn again_if_gone<T>(&self, read: impl Fn() -> Result<T, AggregateError>) -> Result<T, AggregateError> {
        match read() {
            Err(error) if is_gone(&error) => {
                *self.known.lock().unwrap_or_else(PoisonError::into_inner) = None;
                read()
            }
            result => result,
        }
    }

    fn read_after(
        &self,
        position: Position,
        committed: u64,
        rows_max: u64,
    ) -> Result<FeedChunk, AggregateError> {
        let needed = position.row.saturating_add(rows_max);
        let window = self.look(committed, |known| Window::after(known, position.epoch, committed, needed))?;
        let (pieces, is_whole) = window.pieces(self)?;
        let mut sequences = self.sequences_before(&window, position.epoch)?;
        let mut rows = Vec::new();
        let mut next = position;
        let (mut skip, mut left, mut is_last) = (position.row, rows_max, is_whole);
        for pieces in pieces.chunk_by(|one, other| one.epoch == other.epoch) {
            let Some(epoch) = pieces.first().map(|piece| piece.epoch) else { continue };
            let all: u64 = pieces.iter().map(|piece| piece.rows as u64).sum();
            if epoch != position.epoch {
                skip = 0;
            }
            let count = left.min(all.saturating_sub(skip));
            // Rows before the position count, too.
            if count > 0 || skip > 0 {
                self.read_epoch(epoch, pieces, skip..skip + count, &mut sequences, &mut rows)?;
            }
            left -= count;
            if skip + count < all {
                next = next.max(Position { epoch, row: skip + count });
                is_last = false;
                break;
            }
            next = Position::behind(epoch);
        }
        if is_last {
            next = next.max(Position::behind(committed));
        }
        Ok(FeedChunk { rows, next, is_last })
    }

    fn read_before(
        &self,
        position: Position,
        committed: u64,
        rows_max: u64,
    ) -> Result<FeedChunk, AggregateError> {
        let to = position.epoch.min(committed);
        let window = self.look(committed, |known| Window::before(known, to, rows_max))?;
        let (pieces, is_whole) = window.pieces(self)?;
        let mut rows = Vec::new();
        let mut next = Position { epoch: 0, row: 0 };
        let (mut left, mut is_last) = (rows_max, is_whole);
        let mut epochs: Vec<&[Piece]> = pieces.chunk_by(|one, other| one.epoch == other.epoch).collect();
        epochs.reverse();
        for pieces in epochs {
            let Some(epoch) = pieces.first().map(|piece| piece.epoch) else { continue };
            let all: u64 = pieces.iter().map(|piece| piece.rows as u64).sum();
            let end = if epoch == position.epoch { all.min(position.row) } else { all };
            let begin = end.saturating_sub(left);
            if begin < end {
                let mut found = Vec::new();
                // Newest first is for people: what counts within sources is not told.
                self.read_epoch(epoch, pieces, begin..end, &mut BTreeMap::new(), &mut found)?;
                rows.extend(found.into_iter().rev());
                next = Position { epoch, row: begin };
            }
            left -= end - begin;
            if begin > 0 {
                is_last = false;
                break;
            }
        }
        Ok(FeedChunk { rows, next, is_last })
    }

    /// How many rows each source has before an epoch.
    fn sequences_before(&self, window: &Window, epoch: u64) -> Result<BTreeMap<String, u64>, AggregateError> {
        let mut sequences = BTreeMap::new();
        if self.files.kind != ExportTable::Accruals {
            let mut before = window.rows_before;
            for span in window.files.iter().filter(|span| span.first < epoch) {
                before += if span.last < epoch {
                    span.rows
                } else {
                    let open = self.files.open(&span.name)?;
                    open.runs.iter().filter(|run| run.epoch < epoch).map(|run| run.rows as u64).sum()
                };
            }
            sequences.insert(self.origin.source(self.files.kind), before);
            return Ok(sequences);
        }
        let mut sellers = window.sellers_before.clone();
        for span in window.files.iter().filter(|span| span.first < epoch) {
            if span.last < epoch {
                files::add(&mut sellers, &*self.files.sellers(&span.name)?);
            } else {
                let open = self.files.open(&span.name)?;
                for run in open.runs.iter().filter(|run| run.epoch < epoch) {
                    files::add(&mut sellers, &run.sellers);
                }
            }
        }
        sequences.extend(sellers.into_iter().map(|(seller, rows)| (accruals_of(&seller), rows)));
        Ok(sequences)
    }
}

/// Is it that a file is not there?
fn is_gone(error: &AggregateError) -> bool {
    let is_missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    match error {
        AggregateError::Disk { error, .. } => is_missing(error),
        AggregateError::Ledger(LedgerError::Disk { error, .. }) => is_missing(error),
        AggregateError::Ledger(LedgerError::Missing { .. }) => true,
        _ => false,
    }
}
