//! The tables of a data directory: snapshots of epochs, compaction, and what a crash in any of it leaves.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod crashes;
mod failing_disk;
mod log;
mod random_epochs;
mod rows;
mod sample;
