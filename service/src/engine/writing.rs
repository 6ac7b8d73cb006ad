//! The thread that decides and commits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aggregate::account_charges::{AccountCharges, ChargeState};
use aggregate::error::AggregateError;
use aggregate::live::LiveWriter;
use aggregate::replay::{OpenRecord, Redecider, Replayed};
use aggregate::snapshot::SnapshotLimits;
use crossbeam_channel::{Receiver, Sender, after, select_biased};
use ingest::event_batch::EventBatch;
use schemas::epoch::{Epoch, EventCounts};
use tokio::sync::{oneshot, watch};

use super::EngineOptions;
use super::activity::Activity;
use super::decoding::{Client, Decoded};
use super::submission::{EngineError, Outcome};
use super::verdict::Verdicts;
use crate::usage::Intake;

/// Longest pause between looks at what is due.
const PAUSE: Duration = Duration::from_secs(1);

/// What the writing thread is asked for besides counting.
#[derive(Debug)]
pub(super) enum Command {
    /// Commits what was taken, and ends.
    End,
    /// Decides records of quarantine again.
    Replay(ReplayCommand),
    /// Tells the charges of an account, by its position in the catalog.
    Charges(u32, oneshot::Sender<(u64, Vec<ChargeState>)>),
}

/// Records of quarantine that were open when they were read.
#[derive(Debug)]
pub(super) struct ReplayCommand {
    pub(super) records: Vec<OpenRecord>,
    /// Last epoch when they were read.
    pub(super) read_at: u64,
    /// What became of them; nothing where some may be settled already.
    pub(super) reply: oneshot::Sender<Option<Replayed>>,
}

/// Can events be taken?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Yes.
    Taking,
    /// Not until there is room on the disk.
    DiskFull,
    /// Not any more: it is ending.
    Ending,
    /// Not any more, because of an error: the process has to start again.
    Stopped(String),
}

/// How far the engine is.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Can events be taken?
    pub state: State,
    /// The last epoch that is durable.
    pub epoch: u64,
    /// The last epoch that has accruals of everything before.
    pub accrued: u64,
    /// The last epoch that is in the tables.
    pub snapshot: u64,
    /// What became of events since the start.
    pub counts: EventCounts,
    /// When the last epoch was committed.
    pub committed_at: Instant,
}

impl State {
    /// Wire name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Taking => "taking",
            Self::DiskFull => "disk_full",
            Self::Ending => "ending",
            Self::Stopped(_) => "stopped",
        }
    }
}

impl Progress {
    pub(super) fn at(epoch: u64) -> Self {
        Self {
            state: State::Taking,
            epoch,
            accrued: epoch,
            snapshot: 0,
            counts: EventCounts::default(),
            committed_at: Instant::now(),
        }
    }
}

/// Who waits for the next commit.
struct Promise {
    client: Client,
    verdicts: Verdicts,
}

/// What decides and commits.
pub(super) struct Writing {
    writer: LiveWriter,
    usage: Intake,
    options: EngineOptions,
    progress: watch::Sender<Progress>,
    empty: Sender<EventBatch>,
    promises: Vec<Promise>,
    events: u64,
    accrued_at: Instant,
    has_unaccrued: bool,
    /// Made for the first replay.
    redecider: Option<Redecider>,
    /// Last epoch that settled records.
    replayed: u64,
    accounts: AccountCharges,
    activity: Arc<Activity>,
}

impl Writing {
    pub(super) fn new(
        writer: LiveWriter,
        usage: Intake,
        options: EngineOptions,
        progress: watch::Sender<Progress>,
        empty: Sender<EventBatch>,
        activity: Arc<Activity>,
    ) -> Self {
        let mut accounts = AccountCharges::default();
        accounts.follow(writer.partition().decider.totals());
        let has_unaccrued = !writer.partition().committer.standing().books.is_accrued;
        Self {
            writer,
            usage,
            options,
            progress,
            empty,
            promises: Vec::new(),
            events: 0,
            accrued_at: Instant::now(),
            has_unaccrued,
            redecider: None,
            replayed: 0,
            accounts,
            activity,
        }
    }

    /// Works until it is ended or cannot go on.
    pub(super) fn run(mut self, decoded: &Receiver<Decoded>, commands: &Receiver<Command>) {
        let result = self.work(decoded, commands);
        let state = match result {
            Ok(()) => State::Ending,
            Err(error) => {
                tracing::error!(%error, "nothing is committed any more");
                State::Stopped(error.to_string())
            }
        };
        let error = match &state {
            State::Stopped(why) => EngineError::Stopped(why.clone()),
            _ => EngineError::Ending,
        };
        self.progress.send_modify(|progress| progress.state = state);
        for promise in self.promises.drain(..) {
            let _ = promise.client.reply.send(Err(error.clone()));
        }
    }

    fn work(
        &mut self,
        decoded: &Receiver<Decoded>,
        commands: &Receiver<Command>,
    ) -> Result<(), AggregateError> {
        let mut looked_at = Instant::now();
        self.look_at_disk();
        loop {
            select_biased! {
                recv(commands) -> command => match command {
                    Ok(Command::End) | Err(_) => return self.end(decoded),
                    Ok(Command::Replay(command)) => self.replay(command)?,
                    Ok(Command::Charges(account, reply)) => {
                        let partition = self.writer.partition();
                        self.accounts.follow(partition.decider.totals());
                        let epoch = partition.committer.standing().epoch;
                        // Who went away meanwhile asks again.
                        let _ = reply.send((epoch, self.accounts.of(&partition.decider, account)));
                    }
                },
                recv(decoded) -> first => match first {
                    Ok(first) => self.count(first, decoded)?,
                    Err(_) => return self.end(decoded),
                },
                recv(after(PAUSE)) -> _ => {}
            }
            if looked_at.elapsed() >= PAUSE {
                looked_at = Instant::now();
                self.look_at_disk();
                self.do_what_is_due()?;
            }
        }
    }

    /// Decides a batch and those that wait behind it, and commits them.
    fn count(&mut self, first: Decoded, decoded: &Receiver<Decoded>) -> Result<(), AggregateError> {
        self.decide(first)?;
        while self.events < self.options.epoch_events_max
            && let Ok(next) = decoded.try_recv()
        {
            self.decide(next)?;
        }
        if self.promises.is_empty() { Ok(()) } else { self.commit(false) }
    }

    fn decide(&mut self, decoded: Decoded) -> Result<(), AggregateError> {
        let Decoded { batch, client } = decoded;
        self.events += batch.received;
        let mut verdicts = Verdicts::default();
        let empty = self.writer.decide(batch, |decided| {
            verdicts = Verdicts::of(decided);
            self.usage.note(decided);
        })?;
        // Another is made where none is left.
        let _ = self.empty.try_send(empty);
        self.promises.extend(client.map(|client| Promise { client, verdicts }));
        Ok(())
    }

    /// Commits what was decided, and answers.
    fn commit(&mut self, with_accruals: bool) -> Result<(), AggregateError> {
        let epoch = self.writer.commit(Vec::new(), with_accruals)?;
        self.events = 0;
        let last = self.writer.partition().committer.standing().epoch;
        // IMPORTANT: after the commit and before the answers (USAGE-1).
        self.usage.add(self.writer.partition().committer.clock().now());
        if let Some(epoch) = &epoch {
            self.note(epoch);
        }
        for Promise { client: Client { reply, room }, verdicts } in self.promises.drain(..) {
            drop(room);
            // Who went away meanwhile finds out by sending again.
            let _ = reply.send(Ok(Outcome::Committed { epoch: last, verdicts }));
        }
        Ok(())
    }

    /// Decides records again, and commits what became of them.
    fn replay(&mut self, command: ReplayCommand) -> Result<(), AggregateError> {
        let ReplayCommand { records, read_at, reply } = command;
        // IMPORTANT: only replays settle records: what was read before the last one may be open no more.
        if read_at < self.replayed {
            let _ = reply.send(None);
            return Ok(());
        }
        let redecider = self.redecider.get_or_insert_with(|| Redecider::new(&mut self.writer));
        redecider.begin();
        let replayed = redecider.replay(&mut self.writer, &records)?;
        self.usage.begin_again(self.writer.partition(), replayed.epoch.is_some())?;
        if let Some(epoch) = &replayed.epoch {
            self.replayed = epoch.epoch;
            self.note(epoch);
        }
        let _ = reply.send(Some(replayed));
        Ok(())
    }

    fn note(&mut self, epoch: &Epoch) {
        self.has_unaccrued = !epoch.is_accrued;
        self.usage.note_epoch(epoch);
        self.activity.note(epoch);
        self.progress.send_modify(|progress| {
            progress.epoch = epoch.epoch;
            if epoch.is_accrued {
                progress.accrued = epoch.epoch;
            }
            progress.counts += epoch.counts;
            progress.committed_at = Instant::now();
        });
    }

    /// Refuses events before the disk is full, and takes them again when there is room.
    fn look_at_disk(&self) {
        let disk = self.writer.partition().directory().disk();
        let free = disk.free_bytes().unwrap_or_else(|error| {
            tracing::warn!(%error, "how much room the disk has cannot be told");
            0
        });
        self.activity.follow(self.writer.partition(), free);
        let state = if free < self.options.free_bytes_min { State::DiskFull } else { State::Taking };
        if self.progress.borrow().state != state {
            tracing::warn!(?state, free, "room on the disk");
            self.progress.send_modify(|progress| progress.state = state);
        }
    }

    /// Accruals, checkpoints and tables.
    fn do_what_is_due(&mut self) -> Result<(), AggregateError> {
        let interval = Duration::from_millis(self.options.accrual_interval_ms);
        if self.has_unaccrued && self.accrued_at.elapsed() >= interval {
            self.accrued_at = Instant::now();
            self.commit(true)?;
        }
        self.usage.forget(self.writer.partition())?;
        self.maintain(SnapshotLimits::default())
    }

    fn maintain(&mut self, limits: SnapshotLimits) -> Result<(), AggregateError> {
        let snapshot = self.writer.maintain(limits)?;
        self.progress
            .send_if_modified(|progress| std::mem::replace(&mut progress.snapshot, snapshot) != snapshot);
        Ok(())
    }

    /// Commits what was taken, with accruals, and lets the tables follow.
    fn end(&mut self, decoded: &Receiver<Decoded>) -> Result<(), AggregateError> {
        self.progress.send_modify(|progress| progress.state = State::Ending);
        while let Ok(next) = decoded.try_recv() {
            self.decide(next)?;
        }
        self.commit(true)?;
        self.maintain(SnapshotLimits::NOTHING)
    }
}
