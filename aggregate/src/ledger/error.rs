//! What can be wrong with a ledger.

use std::io;
use std::path::PathBuf;

/// Why a ledger cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The disk fails.
    #[error("{path}: {error}")]
    Disk {
        /// The file or directory.
        path: PathBuf,
        /// What the disk says.
        error: io::Error,
    },
    /// What was written may not be durable. Nothing is tried again: what a second try says proves nothing.
    #[error(
        "{path}: syncing to disk failed: {error}; nothing after epoch {committed} is committed, and the program stops: check the disk, then start it again"
    )]
    SyncFailed {
        /// The file or directory.
        path: PathBuf,
        /// Last epoch that is durable.
        committed: u64,
        /// What the disk says.
        error: io::Error,
    },
    /// A sync failed before.
    #[error("an earlier sync to disk failed, so nothing is committed any more: start the program again")]
    Stopped,
    /// An epoch that is there already, or not the next.
    #[error("epoch {epoch} cannot be appended: the next is {next}; another process has written here")]
    NotNext {
        /// Number that was to be appended.
        epoch: u64,
        /// Number that is next.
        next: u64,
    },
    /// A file that is no segment of a ledger.
    #[error("{path}: this is no segment of a ledger: {what}; restore it from a copy")]
    NoSegment {
        /// The file.
        path: PathBuf,
        /// What is wrong with its beginning.
        what: &'static str,
    },
    /// A segment written by another version of the program.
    #[error(
        "{path}: format {found} of the ledger is not known to this program, which reads {known}: use a newer one"
    )]
    OtherFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The format this program reads.
        known: u32,
    },
    /// A segment of another ledger.
    #[error(
        "{path}: it belongs to ledger {found}, and this directory holds {expected}: it was copied here by mistake, remove it"
    )]
    OtherLedger {
        /// The file.
        path: PathBuf,
        /// Ledger and partition it belongs to.
        found: String,
        /// Ledger and partition of the directory.
        expected: String,
    },
    /// Committed bytes have changed.
    #[error(
        "{path}, byte {offset}: {what}: expected {expected}, found {found}; what was committed has changed on disk: restore the file from a copy, `tallybook doctor` says what else is affected"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        what: &'static str,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A segment is missing.
    #[error(
        "{directory}: epoch {expected} is missing, the next one there is {found}: a segment was lost or not copied; restore it from a copy"
    )]
    Missing {
        /// The directory of the segments.
        directory: PathBuf,
        /// Epoch that should follow.
        expected: u64,
        /// Epoch that follows.
        found: u64,
    },
}

impl LedgerError {
    /// What is wrong, without the file and what to do.
    pub(crate) fn without_path(&self) -> String {
        match self {
            Self::NoSegment { what, .. } => format!("this is no segment of a ledger: {what}"),
            Self::OtherFormat { found, known, .. } => {
                format!("format {found} of the ledger is not known to this program, which reads {known}")
            }
            Self::OtherLedger { found, expected, .. } => {
                format!("it belongs to ledger {found}, and this directory holds {expected}")
            }
            Self::Damaged { what, expected, found, .. } => {
                format!("{what}: expected {expected}, found {found}")
            }
            error => error.to_string(),
        }
    }

    /// Is the cause a disk that fails or is full, and not what the disk holds?
    #[must_use]
    pub const fn is_storage(&self) -> bool {
        matches!(self, Self::Disk { .. } | Self::SyncFailed { .. } | Self::Stopped)
    }
}
