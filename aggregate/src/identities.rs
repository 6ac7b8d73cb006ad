//! Where identities that were counted are: in memory, in runs on disk, or in both.
//!
//! The decider has those of new epochs in memory. When memory is full they are looked up in the runs that the
//! epochs wrote; identities of small epochs are in no run until a checkpoint makes one of them, and stay in memory.

use std::io::Write;
use std::sync::Arc;

use ingest::dedup::{self, Dedup, Entry};
use ingest::keyed_hash::HashKey;
use schemas::epoch::ContentKind;

use crate::committer::{Committed, identity_run};
use crate::data_directory::DataDirectory;
use crate::decider::Decider;
use crate::epoch_files::{EpochFiles, MadeContent};
use crate::error::AggregateError;
use crate::fold::open_run;
use crate::partition::encode;
use crate::upkeep::MergedRuns;

/// Bytes of an identity in the ledger.
pub(crate) const IDENTITY_BYTES: usize = 24;

/// The identities in memory, by where else they are.
#[derive(Debug)]
pub struct Identities {
    directory: Arc<DataDirectory>,
    /// Runs whose identities are in memory.
    hot_runs: Vec<String>,
    /// Identities that are in no run.
    loose: Vec<Entry>,
}

impl Identities {
    /// Identities that are in memory and in no run.
    pub(crate) fn new(directory: &Arc<DataDirectory>, loose: Vec<Entry>) -> Self {
        Self { directory: Arc::clone(directory), hot_runs: Vec::new(), loose }
    }

    /// Notes an epoch whose identities are in memory.
    pub fn note_committed(&mut self, committed: &Committed) {
        self.loose.extend_from_slice(&committed.identities);
        self.hot_runs.extend(identity_run(&committed.epoch).map(ToOwned::to_owned));
    }

    /// Notes a run that was made of all identities that were in none.
    pub fn note_run(&mut self, run: Option<String>) {
        if let Some(run) = run {
            self.hot_runs.push(run);
            self.loose.clear();
        }
    }

    /// Notes runs that were merged.
    ///
    /// # Errors
    /// [`AggregateError`] when the new one cannot be read.
    pub(crate) fn note_merged(
        &mut self,
        dedup: &mut Dedup,
        merged: MergedRuns,
    ) -> Result<(), AggregateError> {
        let is_old = |name: &str| merged.old.iter().any(|old| old == name);
        self.hot_runs.retain(|run| !is_old(run));
        let open: Vec<_> =
            dedup.runs().iter().map(|run| run.name().clone()).filter(|run| is_old(run)).collect();
        if open.is_empty() {
            self.hot_runs.push(merged.new);
        } else {
            dedup.replace_runs(&open, Some(open_run(&self.directory, &merged.new)?));
        }
        Ok(())
    }

    /// The state of the decider, for a checkpoint.
    ///
    /// # Errors
    /// [`AggregateError`] when there is no memory for it.
    pub fn state_of(&self, decider: &Decider) -> Result<Vec<u8>, AggregateError> {
        encode(decider, &self.directory)
    }

    /// Makes room in memory: what is in runs is looked up there from here on. `others` are identities in
    /// memory that are not known here.
    ///
    /// # Errors
    /// [`AggregateError`] when a run cannot be read.
    pub fn settle(&mut self, dedup: &mut Dedup, others: &[Entry]) -> Result<(), AggregateError> {
        let mut runs = Vec::new();
        for name in self.hot_runs.drain(..) {
            runs.push(open_run(&self.directory, &name)?);
        }
        dedup.settle(runs);
        dedup.insert_all(&self.loose);
        dedup.insert_all(others);
        Ok(())
    }
}

/// The identities of an epoch as a content: a run where they are many.
///
/// # Errors
/// [`AggregateError`] when it cannot be written.
pub(crate) fn identity_content(
    files: &EpochFiles,
    identities: &mut Vec<Entry>,
    key: &HashKey,
) -> Result<MadeContent, AggregateError> {
    if identities.len() * IDENTITY_BYTES > files.inline_bytes_max() {
        return identity_run_content(files, 0, identities, key);
    }
    let mut file = files.begin(ContentKind::Identities, 0);
    let path = file.path().to_owned();
    for entry in identities.iter() {
        let written = file.write_all(&entry.to_bytes());
        written.map_err(|error| AggregateError::Write { path: path.clone(), error })?;
    }
    file.finish(identities.len() as u64)
}

/// Identities as a run.
pub(crate) fn identity_run_content(
    files: &EpochFiles,
    part: usize,
    identities: &mut Vec<Entry>,
    key: &HashKey,
) -> Result<MadeContent, AggregateError> {
    let mut file = files.begin(ContentKind::Identities, part);
    let path = file.path().to_owned();
    file.spill().map_err(|error| AggregateError::Write { path, error })?;
    dedup::write_run(identities, key, &mut file)?;
    file.finish(identities.len() as u64)
}
