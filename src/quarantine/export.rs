//! `tallybook quarantine export`: records as they are, one JSON object per line.

use std::io::{BufWriter, Write, stdout};

use anyhow::Result;

use super::rows::{chunks, read};
use super::selection::Selection;
use crate::command_line::RecordExportArguments;

/// Prints records.
///
/// # Errors
/// What cannot be read or written.
pub(crate) fn export(arguments: &RecordExportArguments) -> Result<()> {
    let (runtime, session) = super::open(&arguments.data)?;
    let selection = Selection::new(&arguments.filter, arguments.settled);
    let mut to = BufWriter::new(stdout().lock());
    for chunk in runtime.block_on(chunks(&session, &selection))? {
        for record in runtime.block_on(read(&session, &selection, &chunk))? {
            serde_json::to_writer(&mut to, &record).map_err(std::io::Error::from)?;
            to.write_all(b"\n")?;
        }
    }
    to.flush()?;
    Ok(())
}
