//! What processes asked of a disk, so that a failure can be read.

use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallKind {
    Create,
    Append,
    Open,
    List,
    CreateDirectory,
    Rename,
    RenameNew,
    Remove,
    Cut,
    SyncDirectory,
    Lock,
    Write,
    Sync,
    Read,
}

impl CallKind {
    /// Can a crash at this call leave another state than one at the call before?
    pub(crate) const fn changes_something(self) -> bool {
        !matches!(self, Self::Append | Self::Open | Self::List | Self::Read)
    }
}

/// A call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) process: u64,
    /// Number among the calls of the process.
    pub(crate) number: u64,
    pub(crate) kind: CallKind,
    pub(crate) name: String,
    /// Bytes to read, write or cut to; the new name of a file that is moved.
    pub(crate) detail: Detail,
    /// What went wrong; empty where nothing did.
    pub(crate) outcome: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    None,
    Bytes(usize),
    Range(u64, usize),
    Name(String),
}

impl fmt::Display for Call {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { process, number, kind, name, detail, outcome } = self;
        write!(formatter, "process {process} call {number:>4}: {kind:?} {name:?}")?;
        match detail {
            Detail::None => {}
            Detail::Bytes(bytes) => write!(formatter, " {bytes} bytes")?,
            Detail::Range(offset, bytes) => write!(formatter, " {bytes} bytes from {offset} on")?,
            Detail::Name(to) => write!(formatter, " to {to:?}")?,
        }
        if outcome.is_empty() { Ok(()) } else { write!(formatter, " -> {outcome}") }
    }
}
