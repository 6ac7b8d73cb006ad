//! The engine: takes submissions in, and answers each after the commit that holds it (ACK-1).
//!
//! ```text
//! requests --> decode (parallel) --> decide, commit (one thread) --> answers
//!          room in bytes          batches of all who wait
//! ```
//!
//! Requests take room for their bytes before they are read, and give it back when they are answered: what waits is
//! bounded, and who finds no room is told at once. One thread decides and commits: everybody who waits goes into the
//! next epoch, and one sync answers them all.

mod activity;
mod decoding;
mod submission;
mod verdict;
mod writing;

use std::sync::Arc;
use std::thread;

use aggregate::account_charges::ChargeState;
use aggregate::data_directory::DataDirectory;
use aggregate::live::LiveWriter;
use aggregate::partition::Partition;
use aggregate::replay::{OpenRecord, Replayed, number_accounts};
use crossbeam_channel::{Sender, bounded};
use ingest::decoder::Decoder;
use ingest::event_batch::EventBatch;
use ingest::interner::Interner;
use ingest::metering::MeteringPlan;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use crate::usage::{Intake, UsageIndex};
pub use activity::{Activity, ChargesNote, EpochNote, Lately};
use decoding::{Decoded, decode};
use submission::Waiting;
pub use submission::{Answer, EngineError, Layout, Outcome, Submission};
pub use verdict::{Remark, Verdict, Verdicts};
use writing::{Command, ReplayCommand, Writing};
pub use writing::{Progress, State};

/// Name of the input that records of requests have in quarantine.
pub const INPUT: &str = "http";

/// Batches that are decoded and not decided.
const DECODED_MAX: usize = 256;

/// Commands that wait.
const COMMANDS_MAX: usize = 256;

/// How the engine works.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Threads that decode; the partition was opened for as many.
    pub decoders: usize,
    /// Bytes of requests that may wait for their commit.
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
    commands: Sender<Command>,
    room: Arc<Semaphore>,
    progress: watch::Receiver<Progress>,
    usage: watch::Receiver<Arc<UsageIndex>>,
    directory: Arc<DataDirectory>,
    partition: u32,
    accounts: Arc<Interner>,
    activity: Arc<Activity>,
}

/// Room that a request was given for its bytes.
#[derive(Debug)]
pub struct Room(OwnedSemaphorePermit);

/// The thread that commits, to wait for its end. Those that decode end with the last [`Engine`].
#[derive(Debug)]
pub struct Running(thread::JoinHandle<()>);

impl Engine {
    /// Starts an engine over a partition that is open.
    ///
    /// # Errors
    /// [`aggregate::error::AggregateError`] when the partition cannot be gone on with; that of a thread that cannot start.
    pub fn start(
        partition: Partition,
        options: &EngineOptions,
    ) -> Result<(Self, Running), Box<dyn std::error::Error + Send + Sync>> {
        let catalog = Arc::clone(partition.catalog());
        let key = *partition.directory().key();
        let plan = Arc::new(MeteringPlan::new(catalog.meters()));
        let accounts = Arc::new(number_accounts(&catalog));
        let dimensions = plan.dimensions().len();
        let epoch = partition.committer.standing().epoch;
        let intake = Intake::start(&partition, options.usage_days)?;
        let usage = intake.index();
        let number = partition.committer.standing().partition;
        // To read: the lock is the partition's.
        let directory = Arc::new(DataDirectory::read(partition.directory().disk())?);
        let activity = Arc::new(Activity::start(&partition));
        let writer = LiveWriter::new(partition, vec![INPUT.to_owned()])?;
        let (waiting, waiting_rx) = bounded::<Waiting>(DECODED_MAX);
        let (decoded_tx, decoded) = bounded::<Decoded>(DECODED_MAX);
        let (empty_tx, empty) = bounded::<EventBatch>(DECODED_MAX);
        let (commands, commands_rx) = bounded(COMMANDS_MAX);
        let (writes, ended) = bounded::<std::convert::Infallible>(0);
        let (progress_tx, progress) = watch::channel(Progress::at(epoch));
        for number in 0..options.decoders {
            let decoder = Decoder::new(number, Arc::clone(&plan), Arc::clone(&accounts), key);
            let (waiting, empty, decoded) = (waiting_rx.clone(), empty.clone(), decoded_tx.clone());
            let ended = ended.clone();
            let events_max = options.request_events_max;
            let work = move || decode(decoder, dimensions, events_max, &waiting, &ended, &empty, &decoded);
            thread::Builder::new().name("decode".to_owned()).spawn(work)?;
        }
        drop(decoded_tx);
        let options_of_writing = options.clone();
        let writing =
            Writing::new(writer, intake, options_of_writing, progress_tx, empty_tx, Arc::clone(&activity));
        let work = move || {
            writing.run(&decoded, &commands_rx);
            drop(writes);
        };
        let writing = thread::Builder::new().name("commit".to_owned()).spawn(work)?;
        let room = Arc::new(Semaphore::new(options.waiting_bytes_max));
        let engine = Self {
            waiting,
            commands,
            room,
            progress,
            usage,
            directory,
            partition: number,
            accounts,
            activity,
        };
        Ok((engine, Running(writing)))
    }

    /// How far it is; changes can be waited for.
    #[must_use]
    pub const fn progress(&self) -> &watch::Receiver<Progress> {
        &self.progress
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

    /// The account at a position of the catalog.
    #[must_use]
    pub fn account(&self, position: u32) -> Option<&str> {
        self.accounts.text(position).and_then(|text| std::str::from_utf8(text).ok())
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
        let Some(account) = self.accounts.find(account.as_bytes()) else { return Ok(None) };
        let (reply, answer) = oneshot::channel();
        self.command(Command::Charges(account, reply))?;
        answer.await.map(Some).map_err(|_| self.why_not())
    }

    fn command(&self, command: Command) -> Result<(), EngineError> {
        let sent = self.commands.try_send(command);
        sent.map_err(|error| if error.is_full() { EngineError::Overloaded } else { self.why_not() })
    }

    /// Takes room for so many bytes.
    ///
    /// # Errors
    /// [`EngineError`] when nothing can be taken now.
    pub fn room(&self, bytes: usize) -> Result<Room, EngineError> {
        match &self.progress.borrow().state {
            State::Taking => {}
            State::DiskFull => return Err(EngineError::DiskFull),
            State::Ending => return Err(EngineError::Ending),
            State::Stopped(why) => return Err(EngineError::Stopped(why.clone())),
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).try_acquire_many_owned(bytes);
        room.map(Room).map_err(|_| EngineError::Overloaded)
    }

    /// Bytes that there is room for.
    #[must_use]
    pub fn free_room(&self) -> usize {
        self.room.available_permits()
    }

    /// Hands events over, and waits for the commit that holds them.
    ///
    /// # Errors
    /// [`EngineError`]: nothing is known of the events then.
    pub async fn submit(&self, submission: Submission, room: Room) -> Answer {
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting { submission, reply, room: room.0 };
        if let Err(error) = self.waiting.try_send(waiting) {
            return Err(if error.is_full() { EngineError::Overloaded } else { EngineError::Ending });
        }
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

impl Room {
    /// Adds more room.
    pub fn extend(&mut self, more: Self) {
        self.0.merge(more.0);
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
