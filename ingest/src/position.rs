//! How far an input was read.

/// A place in an input between two batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InputPosition {
    /// Bytes before it, of the (decompressed) input.
    pub offset: u64,
    /// Lines that end before it.
    pub line: u64,
}
