//! Writes control totals.

use schemas::control_total::{ControlTotal, arrow_schema};

use crate::error::AggregateError;
use crate::output::Output;
use crate::parquet_columns::{Layout, TableWriter};

/// Writes control totals.
///
/// # Errors
/// [`AggregateError`] when they cannot be written.
pub fn write_control_totals(output: &Output, totals: &[ControlTotal]) -> Result<(), AggregateError> {
    let name = "control_totals/part-00000.parquet";
    let mut table = TableWriter::create(output, name, &arrow_schema(), Layout::default())?;
    for total in totals {
        table.write(1, |row| {
            row.optional_text(total.source.as_deref())?
                .optional_text(total.event_type.as_deref())?
                .optional_text(total.month.as_deref())?
                .long(total.received)?
                .long(total.rated)?
                .long(total.unrated)?
                .long(total.duplicate)?
                .long(total.conflict)?
                .long(total.rejected)?
                .long(total.voided)?
                .long(total.epoch)?;
            Ok(())
        })?;
    }
    table.finish().map(|_| ())
}
