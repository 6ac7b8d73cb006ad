//! Why a run cannot be used.

use std::fmt;
use std::io;
use std::sync::Arc;

/// Name of a run, by which its keeper finds it.
pub type RunName = Arc<str>;

/// Why a run cannot be read or written. Nothing is decided from what cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Its bytes cannot be read.
    #[error("dedup run {run}: {part} cannot be read: {error}")]
    Read {
        /// The run.
        run: RunName,
        /// What was to be read.
        part: RunPart,
        /// What the operating system says.
        error: io::Error,
    },
    /// A new run cannot be written.
    #[error("a dedup run cannot be written: {0}")]
    Write(#[from] io::Error),
    /// Its bytes are not what was written.
    #[error(
        "dedup run {run} is damaged: {part}: expected {expected:#x}, found {found:#x}; restore it or rebuild it"
    )]
    Corrupt {
        /// The run.
        run: RunName,
        /// What is damaged.
        part: RunPart,
        /// What it should be.
        expected: u64,
        /// What it is.
        found: u64,
    },
    /// It is written in a format that this version does not know.
    #[error("dedup run {run} has format version {found}; this version reads {expected}")]
    OtherVersion {
        /// The run.
        run: RunName,
        /// The version read.
        expected: u32,
        /// Its version.
        found: u32,
    },
    /// It is written under another key: it belongs to another data directory.
    #[error("dedup run {0} is written under another key: it belongs to another data directory")]
    OtherKey(RunName),
    /// More keys than a run can hold.
    #[error("a dedup run cannot hold more than {0} entries")]
    TooLarge(u64),
}

/// A part of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunPart {
    /// Its length.
    Length,
    /// Its first page.
    Header,
    /// Its last page.
    Trailer,
    /// The checksum or form of a page of entries, by its position.
    Page(u32),
    /// The checksum or form of the fences and filter of a group of pages, by its position.
    Index(u32),
    /// The order of the entries of a page.
    Order(u32),
    /// The first identity of a page, as its fence says.
    Fence(u32),
    /// The filter of a group, which has to hold every key of it.
    Filter(u32),
    /// The number of entries.
    Count,
    /// The months of its entries.
    Months,
}

impl fmt::Display for RunPart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => formatter.write_str("length"),
            Self::Header => formatter.write_str("header"),
            Self::Trailer => formatter.write_str("trailer"),
            Self::Page(page) => write!(formatter, "page {page}"),
            Self::Index(group) => write!(formatter, "index of group {group}"),
            Self::Order(page) => write!(formatter, "order of page {page}"),
            Self::Fence(page) => write!(formatter, "fence of page {page}"),
            Self::Filter(group) => write!(formatter, "filter of group {group}"),
            Self::Count => formatter.write_str("count"),
            Self::Months => formatter.write_str("months"),
        }
    }
}
