//! What can go wrong while results are added up and written.

use std::io;
use std::path::{Path, PathBuf};

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
    /// The ledger cannot be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A Parquet file cannot be written.
    #[error("{path}: {error}")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What the Parquet writer says.
        error: parquet::errors::ParquetError,
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
            Self::Write { .. } | Self::Sync { .. } => true,
            Self::Ledger(error) => error.is_storage(),
            Self::Parquet { error, .. } => {
                matches!(error, parquet::errors::ParquetError::External(error) if error.is::<io::Error>())
            }
            Self::Overflow(_) | Self::OutOfBalance(_) => false,
        }
    }
}

pub(crate) fn write_error(path: &Path, error: io::Error) -> AggregateError {
    AggregateError::Write { path: path.to_owned(), error }
}
