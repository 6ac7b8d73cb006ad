//! x
pub mod accrual_events;
mod accrual_record;
pub mod accrual_table;
pub mod accruals;
mod charge;
mod charges;
pub mod control_total_table;
pub mod control_totals;
pub mod decider;
pub mod dimension_values;
pub mod error;
pub mod output;
mod parquet_columns;
pub mod quarantine_table;
pub mod rated_usage_table;
pub mod running_totals;
mod service_days;

/// What Parquet files say of their writer.
pub(crate) const CREATED_BY: &str = concat!("tallybook ", env!("CARGO_PKG_VERSION"));
