//! Writes control totals.

use schemas::control_total::{ControlTotal, arrow_schema};

use crate::error::AggregateError;
use crate::output::Output;
use crate::parquet_columns::{Layout, TableWriter};

/// Writes the control totals of a run.
///
/// # Errors
/// [`AggregateError`] when they cannot be written.
pub fn write_control_totals(output: &Output, totals: &[ControlTotal]) -> Result<(), AggregateError> {
    let name = "control_totals/part-00000.parquet";
    let mut table = TableWriter::create(output, name, &arrow_schema(), Layout::default())?;
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    for total in totals {
        table.write(1, |row| {
            row.optional_text(total.source.as_deref())?
                .optional_text(total.event_type.as_deref())?
                .optional_text(total.month.as_deref())?
                .long(signed(total.received))?
                .long(signed(total.rated))?
                .long(signed(total.unrated))?
                .long(signed(total.duplicate))?
                .long(signed(total.conflict))?
                .long(signed(total.rejected))?
                .long(signed(total.voided))?;
            Ok(())
        })?;
    }
    table.finish().map(|_| ())
}
