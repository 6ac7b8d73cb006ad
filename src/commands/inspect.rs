//! `tallybook inspect`: what is in a data directory, or in an epoch of it.

use std::io::{self, BufWriter, Write, stdout};
use std::sync::Arc;

use aggregate::data_directory::DataDirectory;
use aggregate::disk::{DirectoryDisk, Disk};
use aggregate::epoch_listing::list_rows;
use aggregate::error::AggregateError;
use aggregate::ledger::{LedgerError, LedgerReader, SealedEpoch};
use aggregate::overview::Overview;
use anyhow::Result;
use schemas::epoch::Epoch;
use serde::Serialize;

use super::PARTITION;
use crate::command_line::{EpochChoice, InspectArguments};
use crate::summary::{align_right, count, grouped, table};

/// An epoch that the ledger does not have.
#[derive(Debug, thiserror::Error)]
pub enum NoEpoch {
    /// It was there.
    #[error(
        "epoch {epoch}: the ledger begins with epoch {oldest}; what it committed is in the tables: tallybook query \"SELECT * FROM epochs WHERE epoch = {epoch}\""
    )]
    Removed {
        /// The epoch.
        epoch: u64,
        /// The first that is there.
        oldest: u64,
    },
    /// It is not committed.
    #[error("epoch {epoch}: there is none; the last is {last}")]
    Later {
        /// The epoch.
        epoch: u64,
        /// The last.
        last: u64,
    },
}

/// An epoch with its hash.
#[derive(Serialize)]
struct Shown<'a> {
    hash: String,
    #[serde(flatten)]
    epoch: &'a Epoch,
}

/// Shows a data directory or an epoch.
///
/// # Errors
/// [`NoEpoch`]; what cannot be read.
pub fn inspect(arguments: &InspectArguments) -> Result<()> {
    let disk: Arc<dyn Disk> = Arc::new(DirectoryDisk::new(&arguments.data));
    let directory = DataDirectory::read(&disk).map_err(AggregateError::from)?;
    let mut to = BufWriter::new(stdout().lock());
    if let Some(choice) = arguments.epoch {
        let sealed = find(&directory, choice)?;
        let shown = Shown { hash: sealed.hash.to_string(), epoch: &sealed.epoch };
        if arguments.rows {
            serde_json::to_writer(&mut to, &shown).map_err(io::Error::from)?;
            writeln!(to)?;
            list_rows(&directory, &sealed, &mut to)??;
        } else {
            serde_json::to_writer_pretty(&mut to, &shown).map_err(io::Error::from)?;
            writeln!(to)?;
        }
    } else {
        let overview = Overview::take(&directory, PARTITION)?;
        if arguments.json {
            serde_json::to_writer_pretty(&mut to, &overview).map_err(io::Error::from)?;
            writeln!(to)?;
        } else {
            show(&mut to, &overview)?;
        }
    }
    to.flush()?;
    Ok(())
}

fn find(directory: &DataDirectory, choice: EpochChoice) -> Result<SealedEpoch> {
    let failed = |error: LedgerError| AggregateError::from(error);
    let reader = LedgerReader::open(directory.disk(), directory.ledger(PARTITION)).map_err(failed)?;
    let oldest = reader.oldest().unwrap_or(1);
    let epoch = match choice {
        EpochChoice::Number(epoch) => epoch,
        EpochChoice::Last => reader.last().map_err(failed)?,
    };
    if epoch < oldest && epoch > 0 {
        return Err(NoEpoch::Removed { epoch, oldest }.into());
    }
    match reader.find(epoch).map_err(failed)? {
        Some(sealed) => Ok(sealed),
        None => Err(NoEpoch::Later { epoch, last: reader.last().map_err(failed)? }.into()),
    }
}

/// Shows a directory at a glance.
fn show(to: &mut impl Write, overview: &Overview) -> io::Result<()> {
    let number = |number: u64| grouped(&number.to_string());
    writeln!(to, "ledger        {}", overview.ledger_id)?;
    match (overview.oldest_epoch, overview.last_recorded_at) {
        (Some(oldest), Some(at)) => {
            writeln!(to, "epochs        {oldest} to {}, the last of {at}", overview.last_epoch)?;
        }
        _ => writeln!(to, "epochs        none")?,
    }
    let bytes: u64 = overview.segments.iter().map(|segment| segment.bytes).sum();
    let segments = count(overview.segments.len(), "segment", "segments");
    writeln!(to, "segments      {segments}, {} bytes", number(bytes))?;
    let checkpoints: Vec<String> = overview
        .checkpoints
        .iter()
        .map(|checkpoint| match checkpoint.problem {
            None => checkpoint.epoch.to_string(),
            Some(_) => format!("{} (damaged)", checkpoint.epoch),
        })
        .collect();
    let of = if checkpoints.is_empty() {
        "none".to_owned()
    } else {
        format!("of epochs {}", checkpoints.join(", "))
    };
    writeln!(to, "checkpoints   {of}")?;
    writeln!(to, "identities    {}", count(overview.identity_runs.len(), "run", "runs"))?;
    for reader in &overview.readers {
        let behind = overview.last_epoch.saturating_sub(reader.epoch);
        writeln!(to, "reader        {} has read epoch {}, {behind} behind", reader.name, reader.epoch)?;
    }
    writeln!(to)?;
    let mut tables = table(&["table", "version", "up to epoch", "files", "rows", "bytes"]);
    for shown in &overview.tables {
        tables.add_row([
            shown.name.to_owned(),
            shown.version.map_or_else(|| "none".to_owned(), number),
            number(shown.epoch),
            number(shown.files as u64),
            number(shown.rows),
            number(shown.bytes),
        ]);
    }
    align_right(&mut tables, &[1, 2, 3, 4, 5]);
    writeln!(to, "{tables}")?;
    let Some(books) = &overview.books else {
        return writeln!(to, "\nThe books are not known: there is no sound checkpoint.");
    };
    let counts = books.counts;
    let mut events = table(&["events", ""]);
    for (outcome, events_of) in [
        ("received", counts.received),
        ("rated", counts.rated),
        ("duplicate", counts.duplicate),
        ("conflict", counts.conflict),
        ("rejected", counts.rejected),
        ("unrated", counts.unrated),
    ] {
        events.add_row([outcome.to_owned(), grouped(&events_of.to_string())]);
    }
    align_right(&mut events, &[1]);
    writeln!(to, "\n{events}\n")?;
    let accrued = if books.is_accrued { "all of it accrued" } else { "not all of it accrued yet" };
    writeln!(to, "rated: {}, {accrued}; to post: {}", books.rated, books.posted)
}
