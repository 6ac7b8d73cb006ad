//! What can go wrong while results are added up and written.

use std::io;
use std::path::PathBuf;

use crate::catalog_conflicts::CatalogConflicts;

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
            Self::Write { .. } | Self::OutputExists(_) | Self::OutputInUse(_) | Self::OutputBusy(_) => true,
            Self::Parquet { error, .. } => {
                matches!(error, parquet::errors::ParquetError::External(error) if error.is::<io::Error>())
            }
            Self::Overflow(_)
            | Self::OutOfBalance(_)
            | Self::StateVersion { .. }
            | Self::DamagedState(_)
            | Self::CatalogConflict(_) => false,
        }
    }
}
