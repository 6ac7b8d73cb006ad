//! From usage events that are counted once to amounts that can be posted.
//!
//! ```text
//! decided batches <- decider: dedup, running totals, control totals
//!        |                          |
//!   rated usage, quarantine     accruals -> table, events
//!        |                          |
//!        +------- output: all of it appears together -------+
//! ```
//!
//! It knows prices through the catalog, and events as columns of batches; it does not know how events
//! arrive. What is decided depends on the events and their order alone: amounts are differences of a price
//! function (RATE-1), accruals do not depend on the order (RATE-2) and sum to what was rated, rounded once
//! (ACCR-1). Every event is in exactly one table (CONS-1), and nothing appears before all of it is written
//! (EPOCH-1). A failure to write leaves nothing behind.

pub mod account_charges;
mod accrual_record;
pub mod accrual_round;
pub mod accrual_table;
pub mod accrual_wire;
pub mod accruals;
pub mod books;
pub mod catalog_conflicts;
mod charge;
mod charges;
pub mod checkpoint;
pub mod clock;
pub mod committer;
pub mod compaction;
pub mod control_totals;
pub mod data_directory;
pub mod decider;
pub mod delta;
pub mod dimension_values;
pub mod disk;
pub mod doctor;
pub mod epoch_files;
pub mod epoch_listing;
mod epoch_rows;
pub mod epoch_tables;
pub mod error;
pub mod export;
mod fold;
pub mod identities;
pub mod json_rows;
pub mod largest_charges;
pub mod ledger;
pub mod live;
pub mod maintenance;
pub mod overview;
mod parquet_columns;
pub mod partition;
pub mod positions;
pub mod quarantine_rows;
pub mod quarantine_table;
pub mod rated_usage_table;
pub mod readers;
pub mod replay;
pub mod running_totals;
mod service_days;
pub mod snapshot;
mod state;
mod text_list;
mod upkeep;
mod usage_details;

/// What Parquet files say of their writer.
pub(crate) const CREATED_BY: &str = concat!("tallybook ", env!("CARGO_PKG_VERSION"));
