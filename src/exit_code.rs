//! What the program's exit code says, and how an error is shown.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done; events that were refused or lack a price are in quarantine |
//! | 1 | the program failed: what was counted does not balance, or a bug |
//! | 2 | the command line or the configuration is wrong |
//! | 3 | the catalog cannot be used |
//! | 4 | an input cannot be read |
//! | 5 | data cannot be written, or read from its disk |
//! | 6 | a query failed |
//! | 7 | data is damaged, or is not what this program reads |

use std::io::{self, Write, stderr};

use aggregate::data_directory::DirectoryError;
use aggregate::error::AggregateError;
use datafusion::error::DataFusionError;
use ingest::input::InputError;
use schemas::printable::printable;
use service::config::ConfigError;
use service::http::ServeError;

use crate::catalog::CatalogError;
use crate::commands::{DamageFound, NoEpoch, StoppedService};
use crate::generate::GenerateError;
use crate::pipeline::RunError;
use crate::quarantine::QuarantineError;
use crate::sql;

/// The program failed.
const FAILED: u8 = 1;
/// The catalog cannot be used.
const CATALOG: u8 = 3;
/// The configuration cannot be used: it is part of the command line.
const CONFIG: u8 = 2;
/// An input cannot be read.
const INPUT: u8 = 4;
/// Data cannot be written.
const OUTPUT: u8 = 5;
/// A query failed.
const QUERY: u8 = 6;
/// Data is damaged.
const DAMAGED: u8 = 7;

/// The exit code for an error.
#[must_use]
pub fn of(error: &anyhow::Error) -> u8 {
    if error.is::<CatalogError>() {
        return CATALOG;
    }
    if error.is::<ConfigError>() || error.is::<ServeError>() {
        return CONFIG;
    }
    if error.is::<StoppedService>() {
        return OUTPUT;
    }
    if error.is::<InputError>() {
        return INPUT;
    }
    let is_not_there =
        error.is::<NoEpoch>() || matches!(error.downcast_ref(), Some(QuarantineError::NoRecord { .. }));
    if error.is::<DataFusionError>() || is_not_there {
        return QUERY;
    }
    if error.is::<DamageFound>() {
        return DAMAGED;
    }
    if error.is::<GenerateError>() || error.is::<io::Error>() {
        return OUTPUT;
    }
    match error.downcast_ref::<RunError>() {
        Some(RunError::Input(_)) => INPUT,
        Some(RunError::Aggregate(error)) => of_aggregate(error),
        _ => error.downcast_ref::<AggregateError>().map_or(FAILED, of_aggregate),
    }
}

fn of_aggregate(error: &AggregateError) -> u8 {
    match error {
        AggregateError::Directory(DirectoryError::Missing(_)) => QUERY,
        AggregateError::CatalogConflict(_) => CATALOG,
        error if error.is_storage() => OUTPUT,
        error if error.is_damage() => DAMAGED,
        _ => FAILED,
    }
}

/// Most problems of a catalog that are shown; who mends them sees the others then.
const PROBLEMS_SHOWN_MAX: usize = 1_000;

/// Shows an error on standard error: every problem of a catalog on a line of its own.
pub fn explain(error: &anyhow::Error) {
    // Where nobody listens, the exit code says it.
    let _ = write_explanation(&mut stderr().lock(), error);
}

fn write_explanation(to: &mut impl Write, error: &anyhow::Error) -> io::Result<()> {
    if let Some(CatalogError::Problems(problems)) = error.downcast_ref() {
        for problem in problems.iter().take(PROBLEMS_SHOWN_MAX) {
            writeln!(to, "{problem}")?;
        }
        if let Some(more @ 1..) = problems.len().checked_sub(PROBLEMS_SHOWN_MAX) {
            writeln!(to, "and {more} more")?;
        }
    }
    if let Some(error) = error.downcast_ref::<DataFusionError>() {
        return writeln!(to, "error: {}", sql::explain(error));
    }
    if let Some(AggregateError::CatalogConflict(_)) = error.downcast_ref() {
        // A line for each conflict, which are fit for a terminal.
        return writeln!(to, "error: {error}");
    }
    // What has a place in the file system says so; what has none is standard output.
    let place = if is_of_no_place(error) { "standard output: " } else { "" };
    writeln!(to, "error: {place}{}", printable(&format!("{error:#}")))
}

fn is_of_no_place(error: &anyhow::Error) -> bool {
    error.is::<io::Error>() && error.chain().len() == 1
}
