//! What can go wrong while results are added up and written.

use std::io;
use std::path::{Path, PathBuf};

use ingest::dedup::RunError;
use schemas::epoch::ContentHash;

use crate::catalog_conflicts::CatalogConflicts;
use crate::data_directory::DirectoryError;
use crate::ledger::LedgerError;

/// Why a run cannot end.
#[derive(Debug, thiserror::Error)]
pub enum AggregateError {
    /// A file or directory cannot be written.
    #[error("{path}: {error}")]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// What was written may not be durable. Nothing is tried again: what a second try says proves nothing.
    #[error(
        "{path}: syncing to disk failed: {error}; nothing is committed any more, and the program stops: check the disk, then start it again"
    )]
    Sync {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// A file that was committed has changed.
    #[error(
        "{path}: its hash is {found}, and was {expected} when it was committed: restore it from a copy, `tallybook doctor` says what else is affected"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Hash it had.
        expected: ContentHash,
        /// Hash it has.
        found: ContentHash,
    },
    /// A committed row that would be rated otherwise today.
    #[error(
        "epoch {epoch}, row {row} of rated usage: {what}; the data or the program is not what it was: `tallybook doctor` says more"
    )]
    NotAsRated {
        /// The epoch.
        epoch: u64,
        /// Position of the row, from 0.
        row: u64,
        /// What differs.
        what: String,
    },
    /// Identities of events cannot be read or written.
    #[error(transparent)]
    Identities(#[from] RunError),
    /// A file that an epoch names is not there.
    #[error(
        "{path}: the file is missing, and what was committed is in it: restore it from a copy, `tallybook doctor` says what else is missing"
    )]
    Lost {
        /// The file.
        path: PathBuf,
    },
    /// Fewer epochs than there were.
    #[error(
        "{directory}: the ledger ends with epoch {found}, but epoch {expected} was committed: segments were lost or not copied; restore them from a copy"
    )]
    LedgerBehind {
        /// The directory.
        directory: PathBuf,
        /// Last epoch there is.
        found: u64,
        /// Epoch there was.
        expected: u64,
    },
    /// No checkpoint to begin with, and not all epochs.
    #[error("there is no sound checkpoint{}, and the ledger begins with epoch {oldest}: restore a checkpoint, or the segments before it, from a copy", .skipped.as_ref().map(|path| format!(" ({} is damaged)", path.display())).unwrap_or_default())]
    NoCheckpoint {
        /// Oldest epoch there is.
        oldest: u64,
        /// A checkpoint that cannot be used.
        skipped: Option<PathBuf>,
    },
    /// A catalog that epochs were rated with.
    #[error("the catalog {hash}, which usage was rated with, cannot be used: {what}")]
    CatalogLost {
        /// Hash of the catalog.
        hash: ContentHash,
        /// What is wrong with it.
        what: String,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The ledger cannot be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A Parquet file cannot be read or written.
    #[error("{path}: {error}")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What the Parquet reader or writer says.
        error: parquet::errors::ParquetError,
    },
    /// A file of a data directory cannot be read or written.
    #[error("{path}: {error}")]
    Disk {
        /// The file or directory.
        path: PathBuf,
        /// What the disk says.
        error: io::Error,
    },
    /// The log of a table is damaged, or says what this program does not understand.
    #[error("{path}: {problem}")]
    TableLog {
        /// The file of the log, or its directory.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Rows do not fit the columns of their table.
    #[error("{path}: {problem}; a table's columns only grow, by ones that may be null")]
    TableColumns {
        /// The table.
        path: PathBuf,
        /// What does not fit.
        problem: String,
    },
    /// Another program changes a table at the same time.
    #[error("{path}: {writer} committed version {version} meanwhile; let nothing else write to the table")]
    TableContended {
        /// The table.
        path: PathBuf,
        /// The version of the other.
        version: u64,
        /// What the version says of its writer.
        writer: String,
    },
    /// A file of a table is not what it is said to be.
    #[error("{path}: {problem}")]
    TableFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Epochs that follow a snapshot are missing.
    #[error("{path}: epoch {expected} of partition {partition} comes next, but epoch {found} was given")]
    SnapshotGap {
        /// The table.
        path: PathBuf,
        /// The partition.
        partition: u32,
        /// The epoch after those in the table.
        expected: u64,
        /// The epoch there is.
        found: u64,
    },
    /// An earlier epoch could not be committed: what is decided from then on is built on what is lost.
    #[error(
        "an earlier epoch could not be committed, so nothing is decided any more: start the program again"
    )]
    Stopped,
    /// The state is that of no epoch.
    #[error("events are decided and not committed, so there is no state of an epoch: commit them first")]
    NotCommitted,
    /// A total needs more than 38 digits.
    #[error("the {0} needs more than 38 digits: check quantities and prices")]
    Overflow(&'static str),
    /// The results contradict each other: a bug, and nothing is published.
    #[error("the run does not balance: {0}; nothing was published")]
    OutOfBalance(String),
    /// A record of quarantine that another version of the program wrote.
    #[error(
        "the record {id} is in quarantine for the reason {reason:?}, which this program does not know: use a newer one"
    )]
    UnknownReason {
        /// Id of the record.
        id: String,
        /// Its reason.
        reason: String,
    },
    /// State that another version of the program wrote.
    #[error(
        "the state has the format {found}, and this program reads {known}: use the program that wrote it, or a newer one"
    )]
    StateVersion {
        /// The version of the format.
        found: u64,
        /// The version that is known.
        known: u64,
    },
    /// State that cannot be what was written.
    #[error("the state is damaged: {0}")]
    DamagedState(&'static str),
    /// A catalog that would change what is rated already.
    #[error("the catalog would change what is rated already; nothing is changed:{0}")]
    CatalogConflict(Box<CatalogConflicts>),
}

impl From<rating::Overflow> for AggregateError {
    fn from(_: rating::Overflow) -> Self {
        Self::Overflow("accrual")
    }
}

impl AggregateError {
    /// Is the cause a disk without space or a place that may not be written?
    #[must_use]
    pub fn is_storage(&self) -> bool {
        match self {
            Self::Write { .. } | Self::Sync { .. } | Self::Disk { .. } => true,
            Self::Ledger(error) => error.is_storage(),
            Self::Directory(error) => error.is_storage(),
            Self::Identities(error) => matches!(error, RunError::Read { .. } | RunError::Write(_)),
            Self::Parquet { error, .. } => {
                matches!(error, parquet::errors::ParquetError::External(error) if error.is::<io::Error>())
            }
            _ => false,
        }
    }

    /// Is what was committed not what it was?
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Damaged { .. }
                | Self::Lost { .. }
                | Self::NotAsRated { .. }
                | Self::Identities(_)
                | Self::LedgerBehind { .. }
                | Self::NoCheckpoint { .. }
                | Self::CatalogLost { .. }
                | Self::TableLog { .. }
                | Self::TableColumns { .. }
                | Self::TableFile { .. }
                | Self::SnapshotGap { .. }
                | Self::DamagedState(_)
                | Self::StateVersion { .. }
                | Self::Directory(_)
                | Self::Ledger(_)
        )
    }
}

/// What a file that an epoch names cannot be read for.
pub(crate) fn read_error(path: PathBuf, error: io::Error) -> AggregateError {
    match error.kind() {
        io::ErrorKind::NotFound => AggregateError::Lost { path },
        _ => AggregateError::Disk { path, error },
    }
}

pub(crate) fn write_error(path: &Path, error: io::Error) -> AggregateError {
    AggregateError::Write { path: path.to_owned(), error }
}
