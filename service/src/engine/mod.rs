//! The engine: takes submissions in, and answers each after the commit that holds it (ACK-1).
//!
//! ```text
//! requests --> decode (parallel) --> decide, commit (one thread) --> answers
//!    |     room in bytes            ^  batches of all who wait
//!    `------------------------------' small ones
//! ```
//!
//! Requests take room for their bytes before they are read, and give it back when they are answered: what waits is
//! bounded, and who finds no room is told at once. One thread decides and commits: everybody who waits goes into the
//! next epoch, and one sync answers them all. It decodes small requests itself: handing them from thread to thread
//! would take longer than that.

mod activity;
mod catalog_change;
mod decoding;
mod in_force;
mod quota;
mod room;
mod submission;
mod upkeep;
mod verdict;
mod waiters;
mod writing;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use aggregate::account_charges::ChargeState;
use aggregate::data_directory::DataDirectory;
use aggregate::decider::Decider;
use aggregate::error::AggregateError;
use aggregate::live::LiveWriter;
use aggregate::partition::Partition;
use aggregate::replay::{OpenRecord, Replayed};
use aggregate::snapshot::SnapshotLimits;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use ingest::event_batch::EventBatch;
use rating::catalog::Catalog;
use schemas::epoch::ContentHash;
use tokio::sync::{Semaphore, oneshot, watch};

use crate::metrics::{self, Metrics};
use crate::usage::{Intake, UsageIndex};
pub use activity::{Activity, ChargesNote, EpochNote, Lately};
pub use catalog_change::CatalogChange;
use catalog_change::CatalogCommand;
use decoding::{Decoded, Decoding, RequestDecoder, decode};
pub use in_force::InForce;
pub use quota::{OverQuota, Quota};
pub use room::{Bearer, Room};
use submission::Waiting;
pub use submission::{Answer, EngineError, Layout, Outcome, Submission};
pub use verdict::{Remark, Verdict, Verdicts};
use waiters::Waiters;
use writing::{Arrivals, Command, Decoders, Noted, ReplayCommand, Writing};
pub use writing::{Progress, State};

/// Name of the input that records of requests have in quarantine.
pub const INPUT: &str = "http";

/// Batches that are decoded and not decided.
const DECODED_MAX: usize = 256;

/// Bytes of a request that is decoded where it is decided.
const SMALL_BYTES: usize = 4 << 10;

/// Time between looks of what puts metrics together.
const METRICS_PAUSE: Duration = Duration::from_secs(5);

/// What part of the room is left where there is none for events.
const CROWDED_PART: usize = 16;

/// Commands that wait.
const COMMANDS_MAX: usize = 256;

/// Room that a request takes besides its bytes.
const REQUEST_BYTES: usize = 1 << 10;

/// How the engine works.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Threads that decode; the partition was opened for as many.
    pub decoders: usize,
    /// Bytes of requests that may wait for their commit, with a KiB for each of them.
    pub waiting_bytes_max: usize,
    /// Events of a request.
    pub request_events_max: usize,
    /// Events of an epoch: those who come later wait for the next.
    pub epoch_events_max: u64,
    /// Time between rounds of accruals, in milliseconds.
    pub accrual_interval_ms: u64,
    /// Bytes that must be free on the disk for anything to be taken.
    pub free_bytes_min: u64,
    /// Days of usage that are kept in memory.
    pub usage_days: u16,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            decoders: 2,
            waiting_bytes_max: 64 << 20,
            request_events_max: 10_000,
            epoch_events_max: 1 << 17,
            accrual_interval_ms: 60_000,
            free_bytes_min: 256 << 20,
            usage_days: 62,
        }
    }
}

/// Hands submissions to the engine; clones hand them to the same one.
#[derive(Clone, Debug)]
pub struct Engine {
    waiting: Sender<Waiting>,
    small: Sender<Waiting>,
    commands: Sender<Command>,
    room: Arc<Semaphore>,
    progress: watch::Receiver<Progress>,
    usage: watch::Receiver<Arc<UsageIndex>>,
    in_force: watch::Receiver<Arc<InForce>>,
    directory: Arc<DataDirectory>,
    partition: u32,
    waiters: Waiters,
    metrics: Arc<Metrics>,
    activity: Arc<Activity>,
    waiting_bytes_max: usize,
}

/// The thread that commits, to wait for its end. Those that decode end with it.
#[derive(Debug)]
pub struct Running(thread::JoinHandle<()>);

impl Engine {
    /// Starts an engine over a partition that is open.
    ///
    /// # Errors
    /// [`aggregate::error::AggregateError`] when the partition cannot be gone on with; that of a thread that cannot start.
    pub fn start(
        mut partition: Partition,
        options: &EngineOptions,
    ) -> Result<(Self, Running), Box<dyn std::error::Error + Send + Sync>> {
        // IMPORTANT: before anything else. Processes that are killed before they have time for it would leave more and more
        // to the next, which would start ever more slowly.
        partition.maintain(SnapshotLimits::default())?;
        let catalog = (partition.committer.catalog(), Arc::clone(partition.catalog()));
        let in_force = Arc::new(InForce::new(catalog.0, catalog.1, *partition.directory().key()));
        let standing = partition.committer.standing();
        let at = Progress::at(standing.epoch, partition.snapshotted(), &standing.books);
        let intake = Intake::start(&partition, options.usage_days)?;
        let usage = intake.index();
        let number = partition.committer.standing().partition;
        // To read: the lock is the partition's.
        let directory = Arc::new(DataDirectory::read(partition.directory().disk())?);
        let activity = Arc::new(Activity::start(&partition));
        let mut writer = LiveWriter::new(partition, vec![INPUT.to_owned()])?;
        // Those who wait have room, which is bounded.
        let (waiting, waiting_rx) = unbounded::<Waiting>();
        let (small, small_rx) = unbounded::<Waiting>();
        let (decoded_tx, decoded) = bounded::<Decoded>(DECODED_MAX);
        let (empty_tx, empty) = bounded::<EventBatch>(DECODED_MAX);
        let (commands, commands_rx) = bounded(COMMANDS_MAX);
        let (writes, ended) = bounded::<std::convert::Infallible>(0);
        let (progress_tx, progress) = watch::channel(at);
        let metrics = Arc::new(Metrics::new()?);
        let decoder = |number| {
            RequestDecoder::new(number, &in_force, options.request_events_max, empty.clone(), &metrics)
        };
        let mut pauses = Vec::new();
        for number in 0..options.decoders {
            let (pause, paused) = bounded(1);
            pauses.push(pause);
            let decoding = Decoding {
                number,
                decoder: decoder(number),
                waiting: waiting_rx.clone(),
                pauses: paused,
                ended: ended.clone(),
                decoded: decoded_tx.clone(),
            };
            thread::Builder::new().name("decode".to_owned()).spawn(move || decode(decoding))?;
        }
        drop(decoded_tx);
        let own = decoder(writer.add_decoder());
        let kept = Arc::clone(&metrics);
        let work = move || put_together(&kept, &ended);
        thread::Builder::new().name("metrics".to_owned()).spawn(work)?;
        let (in_force_tx, in_force) = watch::channel(in_force);
        let decoders = Decoders { pauses, own, in_force: in_force_tx, empty: empty_tx };
        let noted = Noted { metrics: Arc::clone(&metrics), activity: Arc::clone(&activity) };
        let writing = Writing::new(writer, intake, options.clone(), progress_tx, decoders, noted)?;
        let work = move || {
            writing.run(&Arrivals { small: small_rx, decoded }, &commands_rx);
            drop(writes);
        };
        let writing = thread::Builder::new().name("commit".to_owned()).spawn(work)?;
        let room = Arc::new(Semaphore::new(options.waiting_bytes_max));
        let engine = Self {
            waiting,
            small,
            commands,
            room,
            progress,
            usage,
            in_force,
            directory,
            partition: number,
            waiters: Waiters::default(),
            metrics,
            activity,
            waiting_bytes_max: options.waiting_bytes_max,
        };
        Ok((engine, Running(writing)))
    }

    /// How far it is; changes can be waited for.
    #[must_use]
    pub const fn progress(&self) -> &watch::Receiver<Progress> {
        &self.progress
    }

    /// What is recorded of its work.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Everything that is recorded, in the text format of Prometheus.
    #[must_use]
    pub fn render_metrics(&self) -> String {
        let (requests, oldest) = self.waiters.look();
        let waiting = metrics::Waiting { bytes: self.waiting_bytes(), requests, oldest };
        self.metrics.render(&self.progress.borrow(), waiting)
    }

    /// Age of the oldest submission that waits for its commit.
    #[must_use]
    pub fn oldest_waiting(&self) -> Option<Duration> {
        self.waiters.look().1
    }

    /// What was used, up to the last commit.
    #[must_use]
    pub fn usage(&self) -> Arc<UsageIndex> {
        Arc::clone(&self.usage.borrow())
    }

    /// What happened lately.
    #[must_use]
    pub fn activity(&self) -> &Activity {
        &self.activity
    }

    /// The data directory, to read.
    #[must_use]
    pub const fn directory(&self) -> &Arc<DataDirectory> {
        &self.directory
    }

    /// Number of the partition.
    #[must_use]
    pub const fn partition(&self) -> u32 {
        self.partition
    }

    /// Decides records of quarantine again that were open at an epoch, in order and with all of an event; nothing
    /// where some of them may be settled since.
    ///
    /// # Errors
    /// [`EngineError`]: what became of them is in the ledger, or they are as they were.
    pub async fn replay(
        &self,
        records: Vec<OpenRecord>,
        read_at: u64,
    ) -> Result<Option<Replayed>, EngineError> {
        let (reply, answer) = oneshot::channel();
        self.command(Command::Replay(ReplayCommand { records, read_at, reply }))?;
        answer.await.map_err(|_| self.why_not())
    }

    /// The charges of an account, and the last epoch they have; nothing where the catalog does not have the account.
    ///
    /// # Errors
    /// [`EngineError`] when nobody can tell now.
    pub async fn charges(&self, account: &str) -> Result<Option<(u64, Vec<ChargeState>)>, EngineError> {
        let (reply, answer) = oneshot::channel();
        self.command(Command::Charges(account.to_owned(), reply))?;
        answer.await.map_err(|_| self.why_not())
    }

    /// The catalog in force.
    #[must_use]
    pub fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&self.in_force.borrow())
    }

    /// Takes a catalog into force that is kept where epochs which name it find it, and tells when it is.
    ///
    /// # Errors
    /// [`EngineError`]: the ledger says whether it is.
    pub async fn change_catalog(
        &self,
        hash: ContentHash,
        catalog: Arc<Catalog>,
    ) -> Result<CatalogChange, EngineError> {
        let (reply, answer) = oneshot::channel();
        self.command(Command::Catalog(CatalogCommand { hash, catalog, reply }))?;
        answer.await.map_err(|_| self.why_not())
    }

    /// What a catalog would change in usage that is rated already, in words; nothing if it would not.
    ///
    /// # Errors
    /// [`EngineError`] when nobody can tell now.
    pub async fn try_catalog(&self, catalog: Arc<Catalog>) -> Result<Option<String>, EngineError> {
        let (reply, answer) = oneshot::channel();
        self.command(Command::State(reply))?;
        let (state, previous) = answer.await.map_err(|_| self.why_not())?;
        let key = *self.directory.key();
        let restore = move || match Decider::restore(&state, catalog, Some(&previous), &key, 1) {
            Ok(_) => Ok(None),
            Err(AggregateError::CatalogConflict(conflicts)) => Ok(Some(conflicts.to_string())),
            Err(error) => Err(EngineError::Failed(error.to_string())),
        };
        tokio::task::spawn_blocking(restore).await.map_err(|error| EngineError::Failed(error.to_string()))?
    }

    fn command(&self, command: Command) -> Result<(), EngineError> {
        let sent = self.commands.try_send(command);
        sent.map_err(|error| if error.is_full() { EngineError::Overloaded } else { self.why_not() })
    }

    /// Lets somebody in who has bytes to send: room for a request, which grows with its bytes.
    ///
    /// # Errors
    /// [`EngineError`] when nothing can be taken now, or nothing from them.
    pub fn room(&self, bearer: &Arc<Bearer>) -> Result<Room, EngineError> {
        self.find_room(bearer).inspect_err(|error| self.metrics.note_refused(error))
    }

    fn find_room(&self, bearer: &Arc<Bearer>) -> Result<Room, EngineError> {
        match &self.progress.borrow().state {
            State::Taking => {}
            State::DiskFull => return Err(EngineError::DiskFull),
            State::Ending => return Err(EngineError::Ending),
            State::Stopped(why) => return Err(EngineError::Stopped(why.clone())),
        }
        bearer.take(0)?;
        let mut room = Room::new(bearer, &self.room);
        room.grow(REQUEST_BYTES)?;
        Ok(room)
    }

    /// Bytes that there is room for.
    #[must_use]
    pub fn free_room(&self) -> usize {
        self.room.available_permits()
    }

    /// Is there so little room that events are refused?
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        self.free_room() < self.waiting_bytes_max / CROWDED_PART
    }

    /// Bytes of requests that wait for their commit.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes_max.saturating_sub(self.free_room())
    }

    /// Hands events over, and waits for the commit that holds them.
    ///
    /// # Errors
    /// [`EngineError`]: nothing is known of the events then.
    pub async fn submit(&self, submission: Submission, room: Room) -> Answer {
        let (reply, answer) = oneshot::channel();
        let bytes = submission.body.len() as u64;
        let waiting = Waiting { submission, reply, room, waiter: self.waiters.enter() };
        let way = if bytes <= SMALL_BYTES as u64 { &self.small } else { &self.waiting };
        way.send(waiting).map_err(|_| EngineError::Ending)?;
        self.metrics.event_bytes.increment(bytes);
        answer.await.unwrap_or_else(|_| Err(self.why_not()))
    }

    fn why_not(&self) -> EngineError {
        match &self.progress.borrow().state {
            State::Stopped(why) => EngineError::Stopped(why.clone()),
            _ => EngineError::Ending,
        }
    }

    /// Ends it: what was taken is committed first, with accruals.
    pub fn end(&self) {
        // An engine that has stopped has ended.
        let _ = self.commands.send(Command::End);
    }
}

impl Running {
    /// Waits until everything is committed.
    pub fn join(self) {
        if let Err(panic) = self.0.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

/// Puts metrics together until the engine has ended.
fn put_together(metrics: &Metrics, ended: &Receiver<std::convert::Infallible>) {
    while ended.recv_timeout(METRICS_PAUSE).is_err_and(|error| error.is_timeout()) {
        metrics.run_upkeep();
    }
}
