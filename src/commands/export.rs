//! `tallybook export`: committed rows in ledger order, for other systems.
//!
//! With a reader the export goes on after the last epoch that the reader was given. How far it has come is noted after
//! everything was written and flushed: what is repeated after a crash has the same ids and the same bytes.

use std::io::{self, BufWriter, Write, stdout};
use std::sync::Arc;

use aggregate::data_directory::DataDirectory;
use aggregate::disk::{DirectoryDisk, Disk};
use aggregate::error::AggregateError;
use aggregate::export::{Export, ExportTable, ExportedRow};
use aggregate::readers;
use anyhow::Result;

use super::PARTITION;
use crate::command_line::{ExportArguments, ExportFormat, Exported};

/// Writes rows, or manages readers.
///
/// # Errors
/// What cannot be read or written.
pub fn export(arguments: &ExportArguments) -> Result<()> {
    let disk: Arc<dyn Disk> = Arc::new(DirectoryDisk::new(&arguments.data));
    let directory = DataDirectory::read(&disk).map_err(AggregateError::from)?;
    let mut to = BufWriter::new(stdout().lock());
    if arguments.list {
        for (name, reader) in readers::list(&directory)? {
            writeln!(to, "{name}\t{}", reader.epoch)?;
        }
    } else if let Some(name) = &arguments.forget {
        let was_known = readers::forget(&directory, name)?;
        let done = if was_known { "nothing is kept for it any more" } else { "there is no such reader" };
        writeln!(to, "{name}: {done}")?;
    } else if let Some(exported) = arguments.rows {
        write_rows(&directory, exported, arguments, &mut to)?;
    }
    to.flush()?;
    Ok(())
}

fn write_rows(
    directory: &DataDirectory,
    exported: Exported,
    arguments: &ExportArguments,
    to: &mut impl Write,
) -> Result<()> {
    let known = arguments.reader.as_ref().map(|name| readers::position(directory, name)).transpose()?;
    let after = known.flatten().or(arguments.after).unwrap_or(0);
    let export = Export::open(directory, PARTITION, table_of(exported))?;
    let last = arguments.to.unwrap_or(u64::MAX).min(export.epoch());
    export.rows(after, last, |row: &ExportedRow| {
        match arguments.format {
            ExportFormat::Cloudevents => serde_json::to_writer(&mut *to, &export.cloud_event(row)),
            ExportFormat::Json => serde_json::to_writer(&mut *to, &row.record),
        }
        .map_err(io::Error::from)?;
        to.write_all(b"\n")?;
        Ok::<_, anyhow::Error>(())
    })?;
    // IMPORTANT: noted when it is out of our hands, and never back.
    to.flush()?;
    if let Some(name) = &arguments.reader
        && (last > after || known.flatten().is_none())
    {
        // Never past what is committed: the next epochs are new to it too.
        let position = last.max(known.flatten().unwrap_or(0)).max(after.min(export.epoch()));
        readers::advance(directory, name, position)?;
    }
    Ok(())
}

const fn table_of(exported: Exported) -> ExportTable {
    match exported {
        Exported::RatedUsage => ExportTable::RatedUsage,
        Exported::Accruals => ExportTable::Accruals,
        Exported::Quarantine => ExportTable::Quarantine,
    }
}
