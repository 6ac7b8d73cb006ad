//! What can go wrong while results are added up and written.

use std::io;
use std::path::PathBuf;

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
    /// The output directory holds something already.
    #[error("{0}: the output directory is not empty; name a new one, or remove it")]
    OutputExists(PathBuf),
    /// The output directory cannot be replaced.
    #[error(
        "{0}: results are moved to their place as a whole, which a mount point or the current directory cannot be; name a directory in it"
    )]
    OutputInUse(PathBuf),
    /// Another run is writing to the same place.
    #[error("{0}: another run is writing here; wait for it, or name another output directory")]
    OutputBusy(PathBuf),
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
    /// A total needs more than 38 digits.
    #[error("the {0} needs more than 38 digits: check quantities and prices")]
    Overflow(&'static str),
    /// The results contradict each other: a bug, and nothing is published.
    #[error("the run does not balance: {0}; nothing was published")]
    OutOfBalance(String),
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
            Self::Write { .. }
            | Self::Disk { .. }
            | Self::OutputExists(_)
            | Self::OutputInUse(_)
            | Self::OutputBusy(_) => true,
            Self::Parquet { error, .. } => {
                matches!(error, parquet::errors::ParquetError::External(error) if error.is::<io::Error>())
            }
            Self::TableLog { .. }
            | Self::TableColumns { .. }
            | Self::TableContended { .. }
            | Self::TableFile { .. }
            | Self::SnapshotGap { .. }
            | Self::Overflow(_)
            | Self::OutOfBalance(_) => false,
        }
    }
}
