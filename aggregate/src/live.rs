//! Deciding and committing on one thread: small epochs, each as soon as somebody waits for it.
//!
//! Whoever sends a batch is told what became of its events after the commit that holds them (ACK-1). Batches of
//! all who wait go into one epoch, and one sync commits it: a group commit.
//!
//! What could not be decided or committed is half in the state of the decider. Nothing is decided or committed from
//! then on: the process has to start again.

use ingest::event_batch::EventBatch;
use schemas::epoch::{Epoch, EpochCause, InputProgress, SettledRecord};

use crate::accrual_round::Revisions;
use crate::accrual_table::{AccrualBuffers, AccrualTable, AccrualTotals};
use crate::accruals::AccrualPlan;
use crate::committer::EpochDraft;
use crate::decider::DecidedBatch;
use crate::epoch_files::{EpochFiles, MadeContent};
use crate::epoch_tables::EpochTables;
use crate::error::AggregateError;
use crate::partition::Partition;
use crate::replay::{EventProgress, Fate, OpenRecord};
use crate::running_totals::RunningTotals;
use crate::snapshot::SnapshotLimits;

/// A partition with the tables of the epoch that is being made.
pub struct LiveWriter {
    partition: Partition,
    tables: EpochTables,
    decided: DecidedBatch,
    buffers: Option<AccrualBuffers>,
    is_stopped: bool,
}

impl LiveWriter {
    /// A writer that goes on with a partition. `inputs` are the names of inputs, by position.
    ///
    /// # Errors
    /// [`AggregateError`].
    pub fn new(partition: Partition, inputs: Vec<String>) -> Result<Self, AggregateError> {
        let standing = partition.committer.standing();
        let mut tables = EpochTables::new(
            partition.directory().disk(),
            standing.partition,
            standing.epoch + 1,
            partition.catalog(),
            &partition.decider.texts(),
            inputs,
        )?;
        tables.begin_again(partition.committer.files());
        Ok(Self { partition, tables, decided: DecidedBatch::default(), buffers: None, is_stopped: false })
    }

    /// The partition.
    #[must_use]
    pub const fn partition(&self) -> &Partition {
        &self.partition
    }

    /// Takes in the batches of one decoder more; its number.
    pub fn add_decoder(&mut self) -> usize {
        self.partition.decider.add_decoder()
    }

    /// Decides a batch, and tells what was decided. Nobody may be told before [`LiveWriter::commit`] returned.
    /// The batch comes back empty.
    ///
    /// # Errors
    /// [`AggregateError`]; nothing more can be decided then.
    pub fn decide(
        &mut self,
        batch: EventBatch,
        tell: impl FnOnce(&DecidedBatch),
    ) -> Result<EventBatch, AggregateError> {
        self.begin()?;
        self.partition.decider.decide(batch, &mut self.decided)?;
        self.tables.append(&self.decided)?;
        self.is_stopped = false;
        tell(&self.decided);
        Ok(self.decided.recycle())
    }

    /// Commits what was decided, with the accruals of everything that has none if they are asked for; `None` if
    /// there is nothing to commit.
    ///
    /// # Errors
    /// [`AggregateError`]; nothing is committed any more then.
    pub fn commit(
        &mut self,
        positions: Vec<InputProgress>,
        with_accruals: bool,
    ) -> Result<Option<Epoch>, AggregateError> {
        self.begin()?;
        let committed = self.commit_as(EpochCause::Usage, positions, Vec::new(), with_accruals)?;
        self.is_stopped = false;
        Ok(committed)
    }

    /// Begins what must end well, or nothing is decided any more.
    fn begin(&mut self) -> Result<(), AggregateError> {
        if std::mem::replace(&mut self.is_stopped, true) { Err(AggregateError::Stopped) } else { Ok(()) }
    }

    /// Decides records of quarantine again; see [`Redecider`](crate::replay::Redecider). The batch comes back empty.
    ///
    /// # Errors
    /// [`AggregateError`]; nothing more can be decided then.
    pub(crate) fn decide_again(
        &mut self,
        batch: EventBatch,
        records: &[OpenRecord],
        event: &mut EventProgress,
        fates: &mut [Fate],
    ) -> Result<EventBatch, AggregateError> {
        self.begin()?;
        self.partition.decider.decide_again(batch, records, event, fates, &mut self.decided)?;
        self.tables.append_replayed(&self.decided, records)?;
        self.is_stopped = false;
        Ok(self.decided.recycle())
    }

    /// Commits what became of records of quarantine, with accruals.
    ///
    /// # Errors
    /// [`AggregateError`]; nothing is committed any more then.
    pub(crate) fn commit_replay(
        &mut self,
        settled: Vec<SettledRecord>,
    ) -> Result<Option<Epoch>, AggregateError> {
        self.begin()?;
        let committed = self.commit_as(EpochCause::Replay, Vec::new(), settled, true)?;
        self.is_stopped = false;
        Ok(committed)
    }

    fn commit_as(
        &mut self,
        cause: EpochCause,
        positions: Vec<InputProgress>,
        settled: Vec<SettledRecord>,
        with_accruals: bool,
    ) -> Result<Option<Epoch>, AggregateError> {
        let files = self.tables.files().clone();
        let written = self.tables.end()?;
        let mut draft = EpochDraft {
            cause,
            positions,
            tally: self.partition.decider.cut(),
            rated: written.rated,
            quarantine: written.quarantine,
            accruals: None,
            settled,
            contents: written.contents,
        };
        let mut revisions = None;
        if with_accruals {
            let buffers = self.buffers.take().map_or_else(AccrualBuffers::new, Ok)?;
            let accrued = accrue(&self.partition, &files, buffers)?;
            draft.contents.extend(accrued.content);
            draft.accruals = Some(accrued.totals);
            revisions = Some(accrued.revisions);
            self.buffers = Some(accrued.buffers);
        }
        let committed = self.partition.commit(draft, revisions.as_ref())?;
        if committed.is_none() {
            // The tables have gone on to the next epoch, which is still the same.
            self.tables.begin_again(files);
        }
        self.partition.settle_identities()?;
        Ok(committed)
    }

    /// Does what is due after commits; see [`Partition::maintain`].
    ///
    /// # Errors
    /// [`AggregateError`].
    pub fn maintain(&mut self, limits: SnapshotLimits) -> Result<u64, AggregateError> {
        self.partition.maintain(limits)
    }

    /// Writes a checkpoint; see [`Partition::checkpoint`].
    ///
    /// # Errors
    /// [`AggregateError`].
    pub fn checkpoint(&mut self) -> Result<(), AggregateError> {
        self.partition.checkpoint()
    }

    /// Lets the tables follow; see [`Partition::snapshot`].
    ///
    /// # Errors
    /// [`AggregateError`].
    pub fn snapshot(&mut self, limits: SnapshotLimits) -> Result<u64, AggregateError> {
        self.partition.snapshot(limits)
    }

    /// Ends writing.
    #[must_use]
    pub fn into_partition(self) -> Partition {
        self.partition
    }
}

/// Accruals of one epoch, in one part.
struct Accrued {
    totals: AccrualTotals,
    revisions: Revisions,
    content: Option<MadeContent>,
    buffers: AccrualBuffers,
}

fn accrue(
    partition: &Partition,
    files: &EpochFiles,
    buffers: AccrualBuffers,
) -> Result<Accrued, AggregateError> {
    let totals: &RunningTotals = partition.decider.totals();
    let plan = AccrualPlan::new(totals);
    if plan.is_empty() {
        let (totals, revisions) = (AccrualTotals::default(), Revisions::default());
        return Ok(Accrued { totals, revisions, content: None, buffers });
    }
    let mut table = AccrualTable::begin(files, 0, buffers)?;
    let revisions = plan.accrue(totals, 0..plan.len(), |groups| table.append(partition.catalog(), groups))?;
    let (made, totals, buffers) = table.finish()?;
    let content = Some(made).filter(|made| made.content.rows > 0);
    Ok(Accrued { totals, revisions, content, buffers })
}
