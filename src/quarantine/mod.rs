//! What is in quarantine: seen, taken out as it is, and decided again.
//!
//! Records are rows of the table `quarantine`; a record is open until a row of `settled` names it. Reading needs
//! nothing but the data directory, and another process may write meanwhile. Deciding again is a commit.

pub(crate) mod export;
pub(crate) mod list;
pub(crate) mod replay;
mod rows;
mod selection;
pub(crate) mod show;

use std::path::{Path, PathBuf};

use anyhow::Result;
use tokio::runtime::Runtime;

use crate::sql::Session;

/// Why quarantine cannot be shown as asked.
#[derive(Debug, thiserror::Error)]
pub enum QuarantineError {
    /// There is no such record.
    #[error("{}: there is no record {id:?} in quarantine: `tallybook quarantine list` prints ids", .data.display())]
    NoRecord {
        /// What was asked for.
        id: String,
        /// The data directory.
        data: PathBuf,
    },
    /// Quarantine was read at another epoch than the one that is gone on with.
    #[error("quarantine was read at epoch {found} and not at {expected}: this is a bug")]
    OtherEpoch {
        /// The epoch that was read.
        found: u64,
        /// The epoch of the partition.
        expected: u64,
    },
}

/// Opens a data directory to read, and what it takes to wait for answers.
pub(crate) fn open(data: &Path) -> Result<(Runtime, Session)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().build()?;
    let session = runtime.block_on(Session::open(data))?;
    Ok((runtime, session))
}
