//! The doctor: is a data directory what was committed to it, and what can be done where it is not?
//!
//! It reads everything and believes nothing twice: hashes against bytes, the chain against hashes, files against the epochs that
//! name them, checkpoints against the fold, tables against epochs, sums against each other (EPOCH-1, CONS-1, ACCR-1,
//! DEDUP-1). It goes on behind damage as far as that makes sense, and says which checks could not be made.
//!
//! [`examine`] writes nothing. [`repair`] mends only what follows from the ledger or was never committed; it never
//! changes what was committed.

mod catalogs;
mod checkpoints;
mod contents;
mod directory;
mod figures;
mod finding;
mod identities;
mod leftovers;
mod repair;
mod survey;
mod table_figures;
mod tables;

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::epoch::{ContentKind, EventCounts};

use crate::books::{Books, CurrencySums};
use crate::checkpoint;
use crate::data_directory::DataDirectory;
use crate::disk::Disk;
use crate::error::AggregateError;
use crate::partition::Catalogs;
use checkpoints::Checkpoints;
use figures::Months;
use finding::FINDINGS_MAX;
pub use finding::{Check, Checked, Diagnosis, Finding, Outcome, QuarantineCounts, Severity};
pub use repair::{Repaired, repair};
use survey::Survey;
use tables::Tables;

/// Is told how far a check is: what is done, of how much, in any unit.
pub type Watch<'a> = dyn FnMut(Check, u64, u64) + 'a;

/// An examination on its way.
struct Examination<'a> {
    directory: DataDirectory,
    partition: u32,
    catalogs: &'a dyn Catalogs,
    diagnosis: Diagnosis,
    /// Is a process writing meanwhile, or can that not be known?
    is_written: bool,
    /// Files of epochs that are not what they were.
    damaged_files: BTreeMap<String, ContentKind>,
    /// Does a table have epochs that the ledger does not?
    is_ledger_behind: bool,
    /// The sums over all epochs, where they could be folded.
    books: Option<Books>,
}

impl Examination<'_> {
    /// Takes a finding down.
    fn find(&mut self, finding: Finding) {
        let of_check = self.diagnosis.findings.iter().filter(|known| known.check == finding.check).count();
        if of_check < FINDINGS_MAX {
            self.diagnosis.findings.push(finding);
        }
    }

    /// Takes down that a check was made.
    fn checked(&mut self, check: Check, seen: String) {
        let is_damaged = self.diagnosis.is_damaged(check);
        let outcome = if is_damaged { Outcome::Damaged } else { Outcome::Sound };
        self.conclude(Checked { check, outcome, seen });
    }

    /// Takes down that a check was not made.
    fn skipped(&mut self, check: Check, why: String) {
        let is_damaged = self.diagnosis.is_damaged(check);
        let outcome = if is_damaged { Outcome::Damaged } else { Outcome::Skipped };
        self.conclude(Checked { check, outcome, seen: why });
    }

    fn conclude(&mut self, checked: Checked) {
        if self.diagnosis.checks.iter().all(|known| known.check != checked.check) {
            self.diagnosis.checks.push(checked);
        }
    }
}

/// Examines a data directory. Nothing is written; writers are kept out as long as it takes, and where one writes
/// already, what is found twice counts.
///
/// # Errors
/// [`AggregateError`] when there is no data directory, or the disk fails.
pub fn examine(
    disk: &Arc<dyn Disk>,
    catalogs: &dyn Catalogs,
    partition: u32,
    watch: &mut Watch<'_>,
) -> Result<Diagnosis, AggregateError> {
    let (mut diagnosis, _) = examine_once(disk, catalogs, partition, watch)?;
    if diagnosis.is_written && !diagnosis.is_healthy() {
        // What a writer was just doing is not there a second time.
        let (again, _) = examine_once(disk, catalogs, partition, watch)?;
        let first = std::mem::replace(&mut diagnosis, again);
        let is_old = |finding: &Finding| {
            first.findings.iter().any(|known| known.path == finding.path && known.check == finding.check)
        };
        diagnosis.findings.retain(is_old);
        let damaged: Vec<Check> = diagnosis.damages().map(|finding| finding.check).collect();
        for checked in &mut diagnosis.checks {
            if checked.outcome == Outcome::Damaged && !damaged.contains(&checked.check) {
                checked.outcome = Outcome::Sound;
            }
        }
    }
    Ok(diagnosis)
}

/// Examines a directory; it comes back open, with writers kept out if none writes.
fn examine_once(
    disk: &Arc<dyn Disk>,
    catalogs: &dyn Catalogs,
    partition: u32,
    watch: &mut Watch<'_>,
) -> Result<(Diagnosis, Option<DataDirectory>), AggregateError> {
    let (directory, diagnosis) = match directory::open(disk)? {
        Ok(opened) => opened,
        Err(diagnosis) => return Ok((*diagnosis, None)),
    };
    let mut examination = Examination {
        is_written: diagnosis.is_written,
        directory,
        partition,
        catalogs,
        diagnosis,
        damaged_files: BTreeMap::new(),
        is_ledger_behind: false,
        books: None,
    };
    examination.run(watch)?;
    Ok((examination.diagnosis, Some(examination.directory)))
}

impl Examination<'_> {
    /// Makes all checks; each knows what those before it found.
    fn run(&mut self, watch: &mut Watch<'_>) -> Result<(), AggregateError> {
        let survey = Survey::take(self, watch)?;
        self.diagnosis.epoch = survey.last;
        let checkpoints = Checkpoints::read(self, &survey)?;
        contents::examine(self, &survey, &checkpoints.superseded(&survey), watch);
        let tables = tables::examine(self, &survey, watch)?;
        catalogs::examine(self, &survey, &tables, watch);
        let counted = counted(&survey, &tables);
        identities::examine(self, &survey, &checkpoints, counted.as_ref(), watch);
        checkpoints::fold(self, &survey, &checkpoints, watch)?;
        self.balance(&survey, &tables)?;
        self.diagnosis.quarantine = quarantine(&survey, &tables);
        leftovers::readers(self, &survey)?;
        leftovers::examine(self, &survey, &checkpoints)?;
        repair::settle(self, &survey, &checkpoints);
        let place = |checked: &Checked| Check::ALL.iter().position(|check| *check == checked.check);
        self.diagnosis.checks.sort_by_key(place);
        self.diagnosis.findings.sort_by_key(|finding| finding.check);
        Ok(())
    }
}

impl Examination<'_> {
    /// What the epochs say one by one is what the books say of them all, also where epochs are only in the
    /// tables any more (CONS-1).
    fn balance(&mut self, survey: &Survey, tables: &Tables) -> Result<(), AggregateError> {
        let Some(books) = self.books.take() else { return Ok(()) };
        let overflow = |_| AggregateError::Overflow("amount per currency");
        let (mut counts, mut rated) = (EventCounts::default(), CurrencySums::default());
        for epoch in 1..=survey.last {
            let Some(figures) = survey.epochs.get(&epoch).or_else(|| tables.epoch(epoch)) else {
                return Ok(());
            };
            counts += figures.counts;
            rated.add(&figures.rated.amounts()).map_err(overflow)?;
        }
        if (counts, &rated) != (books.counts, &books.rated) {
            let path = self.directory.disk().path(checkpoint::DIRECTORY);
            let what = format!(
                "the books say {:?} and {}, the epochs {counts:?} and {rated}",
                books.counts, books.rated
            );
            let finding = Finding::damage(Check::Books, path, what);
            self.find(finding.means("totals that are shown are not those of the events"));
            self.diagnosis.checks.retain(|checked| checked.check != Check::Books);
            self.checked(Check::Books, "the books do not add up".to_owned());
        }
        Ok(())
    }
}

/// Events that were counted, by month, where all epochs say.
fn counted(survey: &Survey, tables: &Tables) -> Option<Months> {
    if !survey.is_sound {
        return None;
    }
    let mut months = survey.months.clone();
    if survey.oldest > 1 {
        let totals = tables.figures.get(&crate::snapshot::SnapshotTable::ControlTotals)?;
        for (month, count) in totals.range(..survey.oldest).flat_map(|(_, figures)| &figures.months) {
            *months.entry(*month).or_default() += count;
        }
    }
    Some(months)
}

/// Records in quarantine, where all epochs say.
fn quarantine(survey: &Survey, tables: &Tables) -> Option<QuarantineCounts> {
    let mut counts = QuarantineCounts::default();
    for epoch in 1..=survey.last {
        let figures = survey.epochs.get(&epoch).or_else(|| tables.epoch(epoch))?;
        counts.records += figures.quarantine_rows;
        counts.settled += figures.settled;
    }
    counts.open = counts.records.saturating_sub(counts.settled);
    Some(counts)
}
