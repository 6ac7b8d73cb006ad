//! The thread that decides and commits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aggregate::account_charges::{AccountCharges, ChargeState};
use aggregate::books::Books;
use aggregate::error::AggregateError;
use aggregate::live::LiveWriter;
use aggregate::maintenance::Maintained;
use aggregate::replay::{OpenRecord, Redecider, Replayed};
use aggregate::snapshot::SnapshotLimits;
use crossbeam_channel::{Receiver, Sender, after, select_biased};
use ingest::event_batch::EventBatch;
use rating::catalog::Catalog;
use schemas::epoch::{Epoch, EventCounts};
use tokio::sync::{oneshot, watch};

use super::EngineOptions;
use super::activity::Activity;
use super::catalog_change::CatalogCommand;
use super::decoding::{Client, Decoded, Pause, RequestDecoder};
use super::in_force::InForce;
use super::room::Room;
use super::submission::{EngineError, Outcome, Waiting};
use super::upkeep::Upkeep;
use super::verdict::Verdicts;
use crate::metrics::{self, Metrics};
use crate::usage::Intake;

/// Longest pause between looks at what is due.
const PAUSE: Duration = Duration::from_secs(1);

/// Bytes of a request whose batch is used again: larger ones are given back to the system, for no room is kept for them.
const RECYCLED_BYTES_MAX: usize = 64 << 10;

/// What the writing thread is asked for besides counting.
#[derive(Debug)]
pub(super) enum Command {
    /// Commits what was taken, and ends.
    End,
    /// Decides records of quarantine again.
    Replay(ReplayCommand),
    /// Takes another catalog into force.
    Catalog(CatalogCommand),
    /// Tells the state, and the catalog it is under.
    State(oneshot::Sender<(Vec<u8>, Arc<Catalog>)>),
    /// Tells the charges of an account; nothing where the catalog does not have it.
    Charges(String, oneshot::Sender<Option<(u64, Vec<ChargeState>)>>),
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
    /// What became of all events of the ledger: what is in quarantine still, among others.
    pub totals: EventCounts,
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
    pub(super) fn at(epoch: u64, snapshot: u64, books: &Books) -> Self {
        Self {
            state: State::Taking,
            epoch,
            accrued: epoch,
            snapshot,
            counts: EventCounts::default(),
            totals: books.counts,
            committed_at: Instant::now(),
        }
    }
}

/// Who waits for the next commit.
struct Promise {
    client: Client,
    verdicts: Verdicts,
    /// Given back with the answer.
    room: Room,
}

/// What arrives to be counted.
pub(super) struct Arrivals {
    /// Small submissions.
    pub(super) small: Receiver<Waiting>,
    /// Others, decoded.
    pub(super) decoded: Receiver<Decoded>,
}

/// What the writing thread tells decoders.
pub(super) struct Decoders {
    /// Stops each of them.
    pub(super) pauses: Vec<Sender<Pause>>,
    /// Its own, for small submissions.
    pub(super) own: RequestDecoder,
    pub(super) in_force: watch::Sender<Arc<InForce>>,
    /// Batches to be filled again.
    pub(super) empty: Sender<EventBatch>,
}

/// Where the writing thread notes what it does.
pub(super) struct Noted {
    pub(super) metrics: Arc<Metrics>,
    pub(super) activity: Arc<Activity>,
}

/// What decides and commits.
pub(super) struct Writing {
    pub(super) writer: LiveWriter,
    pub(super) usage: Intake,
    pub(super) options: EngineOptions,
    progress: watch::Sender<Progress>,
    pub(super) pauses: Vec<Sender<Pause>>,
    pub(super) own: RequestDecoder,
    pub(super) in_force: watch::Sender<Arc<InForce>>,
    empty: Sender<EventBatch>,
    promises: Vec<Promise>,
    events: u64,
    accrued_at: Instant,
    has_unaccrued: bool,
    /// Made for the first replay.
    pub(super) redecider: Option<Redecider>,
    /// Last epoch that settled records.
    replayed: u64,
    pub(super) accounts: AccountCharges,
    metrics: Arc<Metrics>,
    activity: Arc<Activity>,
    upkeep: Upkeep,
}

impl Writing {
    pub(super) fn new(
        writer: LiveWriter,
        usage: Intake,
        options: EngineOptions,
        progress: watch::Sender<Progress>,
        decoders: Decoders,
        noted: Noted,
    ) -> std::io::Result<Self> {
        let Decoders { pauses, own, in_force, empty } = decoders;
        let Noted { metrics, activity } = noted;
        let mut accounts = AccountCharges::default();
        accounts.follow(writer.partition().decider.totals());
        let has_unaccrued = !writer.partition().committer.standing().books.is_accrued;
        Ok(Self {
            writer,
            usage,
            options,
            progress,
            pauses,
            own,
            in_force,
            empty,
            promises: Vec::new(),
            events: 0,
            accrued_at: Instant::now(),
            has_unaccrued,
            redecider: None,
            replayed: 0,
            accounts,
            metrics,
            activity,
            upkeep: Upkeep::start()?,
        })
    }

    /// Works until it is ended or cannot go on.
    pub(super) fn run(mut self, arrivals: &Arrivals, commands: &Receiver<Command>) {
        let result = self.work(arrivals, commands);
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

    fn work(&mut self, arrivals: &Arrivals, commands: &Receiver<Command>) -> Result<(), AggregateError> {
        let mut looked_at = Instant::now();
        self.look_at_disk();
        loop {
            select_biased! {
                recv(commands) -> command => match command {
                    Ok(Command::End) | Err(_) => return self.end(arrivals),
                    Ok(Command::Replay(command)) => self.replay(command)?,
                    Ok(Command::Catalog(command)) => self.change_catalog(command, &arrivals.decoded)?,
                    Ok(Command::State(reply)) => {
                        let partition = self.writer.partition();
                        let _ = reply.send((partition.state()?, Arc::clone(partition.catalog())));
                    }
                    Ok(Command::Charges(account, reply)) => self.tell_charges(&account, reply),
                },
                recv(self.upkeep.done()) -> done => {
                    let done = done.map_err(|_| AggregateError::Stopped)?;
                    self.end_maintenance(done)?;
                }
                recv(arrivals.small) -> first => match first {
                    Ok(first) => {
                        self.decode(first)?;
                        self.count(arrivals)?;
                    }
                    Err(_) => return self.end(arrivals),
                },
                recv(arrivals.decoded) -> first => match first {
                    Ok(first) => {
                        self.decide(first)?;
                        self.count(arrivals)?;
                    }
                    Err(_) => return self.end(arrivals),
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

    fn tell_charges(&mut self, account: &str, reply: oneshot::Sender<Option<(u64, Vec<ChargeState>)>>) {
        let partition = self.writer.partition();
        self.accounts.follow(partition.decider.totals());
        let epoch = partition.committer.standing().epoch;
        let known = self.in_force.borrow().accounts.find(account.as_bytes());
        let charges = known.map(|account| (epoch, self.accounts.of(&partition.decider, account)));
        // Who went away meanwhile asks again.
        let _ = reply.send(charges);
    }

    /// Decides everything that waits, as much as an epoch may have, and commits it.
    fn count(&mut self, arrivals: &Arrivals) -> Result<(), AggregateError> {
        while self.events < self.options.epoch_events_max && self.decide_next(arrivals)? {}
        if self.promises.is_empty() { Ok(()) } else { self.commit(false) }
    }

    /// Decides what waits next; false where nothing does.
    fn decide_next(&mut self, arrivals: &Arrivals) -> Result<bool, AggregateError> {
        let small = arrivals.small.try_recv().map(|small| self.decode(small));
        let decoded = arrivals.decoded.try_recv().map(|decoded| self.decide(decoded));
        let is_any = small.is_ok() || decoded.is_ok();
        small.unwrap_or(Ok(()))?;
        decoded.unwrap_or(Ok(()))?;
        Ok(is_any)
    }

    /// Decodes a small submission and decides it.
    fn decode(&mut self, small: Waiting) -> Result<(), AggregateError> {
        self.own.decode(small).map_or(Ok(()), |decoded| self.decide(decoded))
    }

    pub(super) fn decide(&mut self, decoded: Decoded) -> Result<(), AggregateError> {
        let Decoded { batch, client, room, at, received } = decoded;
        let began = Instant::now();
        self.metrics.queue.record(began.duration_since(at));
        if let Some(oldest) = batch.events.time.iter().min() {
            let lag = received.saturating_sub(*oldest).max(0).unsigned_abs();
            self.metrics.event_lag.record(Duration::from_micros(lag));
        }
        self.events += batch.received;
        let is_small = batch.bytes.len() <= RECYCLED_BYTES_MAX;
        let mut verdicts = Verdicts::default();
        let empty = self.writer.decide(batch, |decided| {
            verdicts = Verdicts::of(decided);
            self.usage.note(decided);
        })?;
        self.metrics.decide.record(began.elapsed());
        if is_small {
            // Another is made where none is left.
            let _ = self.empty.try_send(empty);
        }
        self.promises.extend(client.map(|client| Promise { client, verdicts, room }));
        Ok(())
    }

    /// Commits what was decided, and answers.
    pub(super) fn commit(&mut self, with_accruals: bool) -> Result<(), AggregateError> {
        let began = Instant::now();
        let epoch = self.writer.commit(Vec::new(), with_accruals)?;
        if epoch.is_some() {
            self.metrics.commit.record(began.elapsed());
        }
        self.events = 0;
        let last = self.writer.partition().committer.standing().epoch;
        // IMPORTANT: after the commit and before the answers (USAGE-1).
        self.usage.add(self.writer.partition().committer.clock().now());
        if let Some(epoch) = &epoch {
            self.note(epoch);
        }
        for Promise { client: Client { reply, waiter }, verdicts, room } in self.promises.drain(..) {
            drop((room, waiter));
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

    pub(super) fn note(&mut self, epoch: &Epoch) {
        self.has_unaccrued = !epoch.is_accrued;
        self.usage.note_epoch(epoch);
        self.metrics.note_epoch(epoch);
        self.activity.note(epoch);
        let totals = self.writer.partition().committer.standing().books.counts;
        self.progress.send_modify(|progress| {
            progress.epoch = epoch.epoch;
            if epoch.is_accrued {
                progress.accrued = epoch.epoch;
            }
            progress.counts += epoch.counts;
            progress.totals = totals;
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
        self.metrics.disk_free.set(metrics::float(free));
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
        let limits = SnapshotLimits::default();
        if !self.upkeep.is_working() && self.writer.wants_maintenance(limits) {
            let began = Instant::now();
            let begun = self.writer.begin_maintenance(limits)?;
            self.metrics.pause.record(began.elapsed());
            self.upkeep.begin(begun)?;
        }
        Ok(())
    }

    /// Notes what was done beside commits.
    fn end_maintenance(&mut self, done: Maintained) -> Result<(), AggregateError> {
        self.upkeep.note_done();
        if let Some(took) = done.checkpoint_took {
            self.metrics.checkpoint.record(took);
        }
        self.metrics.tables.record(done.tables_took);
        let began = Instant::now();
        let snapshot = self.writer.end_maintenance(done)?;
        self.metrics.pause.record(began.elapsed());
        self.progress.send_modify(|progress| progress.snapshot = snapshot);
        Ok(())
    }

    /// Commits what was taken, with accruals, and lets the tables follow.
    fn end(&mut self, arrivals: &Arrivals) -> Result<(), AggregateError> {
        self.progress.send_modify(|progress| progress.state = State::Ending);
        while self.decide_next(arrivals)? {}
        self.commit(true)?;
        if self.upkeep.is_working() {
            let done = self.upkeep.done().recv().map_err(|_| AggregateError::Stopped)?;
            self.end_maintenance(done)?;
        }
        let done = self.writer.begin_maintenance(SnapshotLimits::NOTHING)?.run();
        self.end_maintenance(done)
    }
}
