//! Deciding from outside: running totals and accruals against recomputation from scratch.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod accrual_rounds;
mod catalog_changes;
mod decided;
mod doctor;
mod export;
mod from_scratch;
mod frozen;
mod hostile;
mod maintenance;
mod partition;
mod quarantine;
#[path = "../../../ingest/tests/ingest/random.rs"]
mod random;
mod random_catalog;
mod random_edits;
mod recovery;
mod replay;
mod running_totals;
mod state;
mod vectors;
