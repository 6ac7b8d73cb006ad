//! `tallybook quarantine replay`: decides open records again, and commits what comes of them.

use std::collections::BTreeMap;
use std::io::{Write, stdout};
use std::path::Path;

use aggregate::books::CurrencySums;
use aggregate::data_directory::{DataDirectory, directory_disk};
use aggregate::error::AggregateError;
use aggregate::partition::{Partition, PartitionOptions};
use aggregate::replay::{Fate, Replayed, Replayer, StillOpen};
use aggregate::snapshot::SnapshotLimits;
use anyhow::Result;
use schemas::epoch::{Epoch, SettledOutcome};
use schemas::money::Money;
use serde::Serialize;

use super::QuarantineError;
use super::rows::{chunks, read_open};
use super::selection::{Selection, text};
use crate::catalog::load_to_rate;
use crate::command_line::ReplayArguments;
use crate::opening;
use crate::sql::Session;
use crate::summary::{count, grouped, reasons};

/// What became of the records.
#[derive(Debug, Default, Serialize)]
struct ReplayReport {
    /// First and last epoch that was committed; absent if nothing was settled.
    epochs: Option<(u64, u64)>,
    /// Records that were decided again.
    decided: u64,
    /// Records whose usage is rated now.
    rated: u64,
    /// Records of events that were counted meanwhile.
    duplicate: u64,
    /// Records that are in quarantine for another reason now.
    quarantined: u64,
    /// Records that stay as they are.
    open: u64,
    /// These, by why they do.
    open_by_reason: BTreeMap<String, i64>,
    /// Rows of rated usage.
    rated_usage_rows: u64,
    /// Amounts that were rated.
    amounts: Vec<Money>,
    #[serde(skip)]
    sums: CurrencySums,
    #[serde(skip)]
    mends: BTreeMap<&'static str, &'static str>,
}

/// Decides records again.
///
/// # Errors
/// What cannot be read, used or written; what was committed before is kept.
pub(crate) fn replay(arguments: &ReplayArguments) -> Result<()> {
    let (catalog, archive) = load_to_rate(&arguments.catalog)?;
    let disk = directory_disk(&arguments.data);
    // Where there is no data, none is made.
    DataDirectory::read(&disk).map_err(AggregateError::from)?;
    // What runs refuse as too old is for runs to say.
    let options = PartitionOptions { horizon_months: u16::MAX, ..PartitionOptions::default() };
    let (partition, recovered) = opening::open(&disk, &archive, &catalog, options)?;
    opening::tell(&recovered)?;
    let (report, mut partition) = decide(arguments, partition)?;
    partition.balance()?;
    partition.maintain(SnapshotLimits::NOTHING)?;
    let mut to = stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut to, &report).map_err(std::io::Error::from)?;
        writeln!(to)?;
    } else {
        report.show(&mut to, &arguments.data)?;
    }
    Ok(())
}

fn decide(arguments: &ReplayArguments, partition: Partition) -> Result<(ReplayReport, Partition)> {
    let (runtime, session) = super::open(&arguments.data)?;
    let (found, expected) = (session.epoch(), partition.committer.standing().epoch);
    if found != expected {
        return Err(QuarantineError::OtherEpoch { found, expected }.into());
    }
    for id in &arguments.ids {
        runtime.block_on(check_id(&session, id, &arguments.data))?;
    }
    let chosen = Selection::new(&arguments.filter, false).with_ids(&arguments.ids);
    let mut report = ReplayReport::default();
    let conflicts = chosen.clone().with("class = 'conflict'").sql();
    let conflicts = format!("SELECT 1 FROM files.quarantine WHERE {conflicts}");
    for batch in runtime.block_on(session.rows(&conflicts))? {
        (0..batch.num_rows()).for_each(|_| report.add(Fate::Open(StillOpen::Conflict)));
    }
    let chosen = chosen.with("class <> 'conflict'");
    let mut replayer = Replayer::new(partition)?;
    for chunk in runtime.block_on(chunks(&session, &chosen))? {
        let records = runtime.block_on(read_open(&session, &chosen, &chunk))?;
        report.add_all(&replayer.replay(&records)?)?;
    }
    report.amounts = report.sums.amounts();
    Ok((report, replayer.into_partition()))
}

/// Is there a record with this id?
async fn check_id(session: &Session, id: &str, data: &Path) -> Result<()> {
    let sql = format!("SELECT 1 FROM files.quarantine WHERE quarantine_id = {}", text(id));
    if session.rows(&sql).await?.iter().all(|batch| batch.num_rows() == 0) {
        return Err(QuarantineError::NoRecord { id: id.to_owned(), data: data.to_owned() }.into());
    }
    Ok(())
}

impl ReplayReport {
    fn add_all(&mut self, replayed: &Replayed) -> Result<(), AggregateError> {
        replayed.fates.iter().for_each(|fate| self.add(*fate));
        let Some(epoch) = &replayed.epoch else { return Ok(()) };
        let first = self.epochs.map_or(epoch.epoch, |(first, _)| first);
        self.epochs = Some((first, epoch.epoch));
        self.rated_usage_rows += rated_usage_rows(epoch);
        self.sums.add(&epoch.rated).map_err(|_| AggregateError::Overflow("amount per currency"))
    }

    fn add(&mut self, fate: Fate) {
        self.decided += 1;
        match fate {
            Fate::Settled(SettledOutcome::Rated) => self.rated += 1,
            Fate::Settled(SettledOutcome::Duplicate) => self.duplicate += 1,
            Fate::Settled(SettledOutcome::Quarantined) => self.quarantined += 1,
            Fate::Open(why) => {
                self.open += 1;
                *self.open_by_reason.entry(why.code().to_owned()).or_default() += 1;
                self.mends.insert(why.code(), why.mend());
            }
        }
    }

    fn show(&self, to: &mut impl Write, data: &Path) -> std::io::Result<()> {
        let data = data.display();
        if self.decided == 0 {
            return writeln!(to, "{data}: no such record is open; nothing is to be done");
        }
        let number = |number: u64| grouped(&number.to_string());
        let decided = usize::try_from(self.decided).unwrap_or(usize::MAX);
        writeln!(to, "{} again:", count(decided, "record was decided", "records were decided"))?;
        for (records, what) in [
            (self.rated, "rated"),
            (self.duplicate, "duplicate: the event was counted meanwhile"),
            (self.quarantined, "in quarantine for another reason now"),
        ] {
            writeln!(to, "{:>9} {what}", number(records))?;
        }
        match self.open {
            0 => writeln!(to, "        0 still refused")?,
            open => writeln!(to, "{:>9} still refused: {}", number(open), reasons(&self.open_by_reason))?,
        }
        for (reason, mend) in &self.mends {
            writeln!(to, "          {reason}: {mend}")?;
        }
        let Some((first, last)) = self.epochs else {
            return writeln!(to, "\nNothing was settled: {data} is as it was.");
        };
        let epochs =
            if first == last { format!("epoch {first}") } else { format!("epochs {first} to {last}") };
        let amounts: Vec<_> = self.amounts.iter().map(ToString::to_string).collect();
        let amounts = if amounts.is_empty() { String::new() } else { format!(", {}", amounts.join(", ")) };
        let rows = number(self.rated_usage_rows);
        writeln!(to, "\nCommitted to {data} as {epochs}: {rows} rows of rated usage{amounts}.")
    }
}

fn rated_usage_rows(epoch: &Epoch) -> u64 {
    let is_rated_usage =
        |content: &&schemas::epoch::EpochContent| content.kind == schemas::epoch::ContentKind::RatedUsage;
    epoch.contents.iter().filter(is_rated_usage).map(|content| content.rows).sum()
}
