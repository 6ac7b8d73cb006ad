//! Upkeep of a partition: checkpoints, fewer and larger runs of identities, and removal of what nothing needs any
//! more. All of it can be left out, or done again: nothing that is decided depends on it.
//!
//! IMPORTANT: what is removed is not named by any checkpoint that is kept, nor by an epoch after the oldest of
//! them, so that recovery works from the older checkpoint as well.

use std::collections::BTreeSet;
use std::io;

use ingest::dedup::{self, Month, Run};
use schemas::epoch::ContentKind;

use crate::checkpoint;
use crate::committer::Committer;
use crate::epoch_files::{EpochFiles, MadeContent, content_directory, epoch_of, part_of, sync_contents};
use crate::error::AggregateError;
use crate::fold::open_run;
use crate::identities::identity_run_content;

/// First part number of runs that upkeep makes; those before are of epochs.
const UPKEEP_PART: usize = 90_000;

/// Runs that there are before some are merged.
const MERGE_RUNS_MIN: usize = 16;

/// Runs that were merged.
#[derive(Debug)]
pub struct MergedRuns {
    pub(crate) old: Vec<String>,
    pub(crate) new: String,
}

impl Committer {
    /// Writes the identities that are in no run to one; its name.
    ///
    /// # Errors
    /// [`AggregateError`] when it cannot be written.
    pub fn write_loose(&mut self) -> Result<Option<String>, AggregateError> {
        if self.loose.is_empty() {
            return Ok(None);
        }
        let files = self.upkeep_files();
        let part = self.next_part()?;
        let made = identity_run_content(&files, part, &mut self.loose, self.directory.key())?;
        let name = self.keep_run(made)?;
        self.loose.clear();
        Ok(Some(name))
    }

    fn upkeep_files(&self) -> EpochFiles {
        EpochFiles::new(self.directory.disk(), self.standing.partition, self.standing.epoch)
    }

    /// A part number that no run of the last epoch has.
    fn next_part(&self) -> Result<usize, AggregateError> {
        let disk = self.directory.disk();
        let directory = content_directory(ContentKind::Identities);
        let names = disk.list(&directory);
        let names = names.map_err(|error| AggregateError::Disk { path: disk.path(&directory), error })?;
        let here = (self.standing.partition, self.standing.epoch);
        let of_here = names.iter().filter(|name| epoch_of(name) == Some(here));
        Ok(of_here.filter_map(|name| part_of(name)).max().map_or(0, |part| part + 1).max(UPKEEP_PART))
    }

    fn keep_run(&mut self, mut made: MadeContent) -> Result<String, AggregateError> {
        sync_contents(std::slice::from_mut(&mut made))?;
        let name = made.content.file.unwrap_or_default();
        self.standing.runs.push(name.clone());
        Ok(name)
    }

    /// Makes fewer and larger runs, where there are many.
    ///
    /// # Errors
    /// [`AggregateError`] when one cannot be read, or the new one not written.
    pub fn merge_runs(&mut self) -> Result<Option<MergedRuns>, AggregateError> {
        if self.standing.runs.len() < MERGE_RUNS_MIN {
            return Ok(None);
        }
        let mut runs = Vec::new();
        for name in &self.standing.runs {
            runs.push(open_run(&self.directory, name)?);
        }
        let sizes: Vec<u64> = runs.iter().map(Run::entries).collect();
        let Some(chosen) = dedup::plan_merge(&sizes) else { return Ok(None) };
        let merged: Vec<_> = chosen.iter().filter_map(|position| runs.get(*position)).collect();
        let mut file = self.upkeep_files().begin(ContentKind::Identities, self.next_part()?);
        let path = file.path().to_owned();
        file.spill().map_err(|error| AggregateError::Write { path, error })?;
        let first_month = Month::since_1970(self.standing.first_month);
        let summary = dedup::merge(&merged, first_month, self.directory.key(), &mut file)?;
        let made = file.finish(summary.entries)?;
        let old: Vec<String> = merged.iter().map(|run| run.name().to_string()).collect();
        let new = self.keep_run(made)?;
        self.standing.runs.retain(|run| !old.contains(run));
        Ok(Some(MergedRuns { old, new }))
    }

    /// Writes a checkpoint of the last epoch appended, which is committed, with the state of the decider after it.
    /// Identities that are in no run have to be written before.
    ///
    /// # Errors
    /// [`AggregateError`]; the partition can go on.
    pub fn write_checkpoint(&self, state: &[u8]) -> Result<(), AggregateError> {
        let disk = self.directory.disk();
        let written = checkpoint::write(&**disk, &self.standing, state);
        written.map_err(|error| AggregateError::Write { path: disk.path(checkpoint::DIRECTORY), error })
    }

    /// Removes what only checkpoints needed that are older than the one that was written, which saves so many events and
    /// epochs from being folded.
    ///
    /// # Errors
    /// [`AggregateError`]; the partition can go on.
    pub fn end_checkpoint(&mut self, (events, epochs): (u64, u64)) -> Result<(), AggregateError> {
        self.since_checkpoint.0 = self.since_checkpoint.0.saturating_sub(events);
        self.since_checkpoint.1 = self.since_checkpoint.1.saturating_sub(epochs);
        let disk = self.directory.disk();
        let removed = self.remove_unneeded();
        removed.map_err(|error| AggregateError::Write { path: disk.path(checkpoint::DIRECTORY), error })
    }

    /// Removes old checkpoints, and runs that no checkpoint names and no epoch after the oldest.
    fn remove_unneeded(&self) -> io::Result<()> {
        let disk = &**self.directory.disk();
        let kept = checkpoint::remove_old(disk, self.standing.partition)?;
        let runs = kept.iter().chain([&self.standing]).flat_map(|standing| &standing.runs);
        let needed: BTreeSet<&str> = runs.map(String::as_str).collect();
        // With one checkpoint alone, the ledger has to do without any.
        let [older, _] = kept.as_slice() else { return Ok(()) };
        let directory = content_directory(ContentKind::Identities);
        for name in disk.list(&directory)? {
            let path = format!("{directory}/{name}");
            let is_old = epoch_of(&name).is_some_and(|(partition, epoch)| {
                partition == self.standing.partition && epoch <= older.epoch
            });
            if is_old && !needed.contains(path.as_str()) {
                disk.remove(&path)?;
            }
        }
        Ok(())
    }

    /// Removes segments of the ledger whose epochs are in two checkpoints, in the tables up to `snapshot`, and
    /// known to all readers; how many.
    ///
    /// # Errors
    /// [`AggregateError`].
    pub fn remove_segments(&mut self, snapshot: u64, readers: Option<u64>) -> Result<u64, AggregateError> {
        // The newest one stays.
        if self.ledger.reader().len() < 2 {
            return Ok(0);
        }
        let disk = self.directory.disk();
        let checkpoints = checkpoint::list(&**disk, self.standing.partition)
            .map_err(|error| AggregateError::Disk { path: disk.path(checkpoint::DIRECTORY), error })?;
        let checkpoint = checkpoints.first().copied().filter(|_| checkpoints.len() > 1).unwrap_or(0);
        let unneeded = checkpoint.min(snapshot).min(readers.unwrap_or(u64::MAX));
        Ok(self.ledger.remove_before(unneeded + 1)?)
    }
}
