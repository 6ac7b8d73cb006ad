//! Deciding, epoch by epoch.

use std::sync::atomic::Ordering;

use aggregate::decider::{DecidedBatch, Decider, EpochTally};
use aggregate::error::AggregateError;
use aggregate::identities::Identities;
use crossbeam_channel::Receiver;
use ingest::event_batch::{BatchOrigin, EventBatch, LineCount};
use ingest::input::Input;
use schemas::epoch::{InputFile, InputProgress};

use super::RunError;
use super::commit::CommitNote;
use crate::progress::Progress;

/// Epochs after which a run writes a checkpoint, so that a kill costs little.
const CHECKPOINT_EPOCHS: u64 = 16;

/// Batches after which the number of events is estimated: by then those that are read and not decided
/// yet are few of all that were read.
const ESTIMATE_AFTER_BATCHES: u64 = 256;

/// What was decided since the cut before.
pub(super) struct EpochCut {
    pub(super) tally: EpochTally,
    pub(super) positions: Vec<InputProgress>,
    /// The state after it, if there is to be a checkpoint.
    pub(super) state: Option<Vec<u8>>,
}

/// The decider with what it takes to cut epochs.
pub(super) struct Deciding<'a> {
    decider: &'a mut Decider,
    identities: &'a mut Identities,
    inputs: &'a [Input],
    committed: &'a Receiver<CommitNote>,
    /// Number of the epoch that is being decided.
    epoch: u64,
    /// Epochs that are committed.
    committed_epoch: u64,
    lines: LineCount,
    positions: Vec<InputProgress>,
    /// Events of an epoch.
    epoch_events: u64,
    /// Batches, events of the run and of the epoch, and epochs since the checkpoint.
    batches: u64,
    received: u64,
    in_epoch: u64,
    since_checkpoint: u64,
    /// Stored bytes of all inputs; 0 if unknown.
    stored: u64,
}

impl<'a> Deciding<'a> {
    pub(super) fn new(
        decider: &'a mut Decider,
        identities: &'a mut Identities,
        inputs: &'a [Input],
        committed: &'a Receiver<CommitNote>,
        epoch: u64,
        epoch_events: u64,
        stored: u64,
    ) -> Self {
        Self {
            decider,
            identities,
            inputs,
            committed,
            epoch,
            committed_epoch: epoch.saturating_sub(1),
            lines: LineCount::default(),
            positions: Vec::new(),
            epoch_events,
            batches: 0,
            received: 0,
            in_epoch: 0,
            since_checkpoint: 0,
            stored,
        }
    }

    /// Decides a batch, the next in input order.
    pub(super) fn decide(
        &mut self,
        mut batch: EventBatch,
        into: &mut DecidedBatch,
        progress: &Progress,
    ) -> Result<(), RunError> {
        self.lines.place(&mut batch);
        self.advance(&batch.origin);
        self.batches += 1;
        self.received += batch.received;
        self.in_epoch += batch.received;
        if self.batches == ESTIMATE_AFTER_BATCHES {
            self.expect(progress.bytes.load(Ordering::Relaxed));
        }
        self.decider.decide(batch, into).map_err(AggregateError::from)?;
        progress.events.store(self.received, Ordering::Relaxed);
        Ok(())
    }

    /// Makes room for the events that the bytes still unread will bring, if they are like those read.
    fn expect(&mut self, read: u64) {
        let estimate = u128::from(self.received) * u128::from(self.stored) / u128::from(read.max(1));
        if self.stored > read
            && let Ok(estimate) = usize::try_from(estimate)
        {
            self.decider.expect_identities(estimate);
        }
    }

    /// Moves the position of an input to the end of a batch.
    fn advance(&mut self, origin: &BatchOrigin) {
        let Some(input) = self.inputs.get(origin.input as usize) else { return };
        if self.positions.last().is_none_or(|last| last.input != input.name) {
            self.positions.push(InputProgress {
                input: input.name.clone(),
                file: file_of(input),
                from_offset: origin.offset,
                to_offset: origin.offset,
                to_line: 0,
                is_complete: false,
            });
        }
        if let Some(last) = self.positions.last_mut() {
            last.to_offset = origin.end.offset;
            last.to_line = origin.end.line;
            last.is_complete = origin.is_last;
        }
    }

    /// Ends the epoch, if it is large enough.
    pub(super) fn cut_if_due(&mut self) -> Result<Option<EpochCut>, RunError> {
        if self.in_epoch < self.epoch_events {
            return Ok(None);
        }
        self.since_checkpoint += 1;
        let mut cut = self.cut();
        if self.since_checkpoint >= CHECKPOINT_EPOCHS {
            self.since_checkpoint = 0;
            cut.state = Some(self.identities.state_of(self.decider)?);
        }
        while let Ok(note) = self.committed.try_recv() {
            self.note(note);
        }
        if self.decider.dedup_mut().is_full() {
            self.settle(&cut)?;
        }
        self.epoch += 1;
        Ok(Some(cut))
    }

    /// Lets identities be looked up on disk, those of the epoch that was just cut excepted: it is not there.
    fn settle(&mut self, cut: &EpochCut) -> Result<(), RunError> {
        while self.committed_epoch + 1 < self.epoch {
            // The committer ended early, and says why.
            let Ok(note) = self.committed.recv() else { return Ok(()) };
            self.note(note);
        }
        Ok(self.identities.settle(self.decider.dedup_mut(), &cut.tally.identities)?)
    }

    fn note(&mut self, note: CommitNote) {
        if let CommitNote::Epoch(committed) = &note {
            self.committed_epoch = committed.epoch.epoch;
        }
        note.tell(self.identities);
    }

    fn cut(&mut self) -> EpochCut {
        self.in_epoch = 0;
        EpochCut { tally: self.decider.cut(), positions: std::mem::take(&mut self.positions), state: None }
    }

    /// What is left for the last epoch. All others have to be committed before it is.
    pub(super) fn end(mut self) -> EpochCut {
        self.cut()
    }
}

/// What a file is known by in the ledger.
pub(super) fn file_of(input: &Input) -> Option<InputFile> {
    let fingerprint = input.fingerprint.as_ref()?;
    Some(InputFile {
        path: fingerprint.path.clone(),
        bytes: fingerprint.bytes,
        modified_ns: fingerprint.modified_ns,
    })
}
