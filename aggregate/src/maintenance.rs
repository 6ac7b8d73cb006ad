//! Checkpoints and tables while epochs are committed: begun and ended between two commits, and done beside them.
//!
//! What is done beside commits reads only what was committed when it was begun, and writes what commits neither read nor write:
//! the file of a checkpoint, and the tables. There is one at a time, so tables have one writer. What is removed, is removed at the
//! end, between two commits.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use schemas::timestamp::Timestamp;

use crate::checkpoint::{self, Standing};
use crate::data_directory::DataDirectory;
use crate::error::AggregateError;
use crate::ledger::LedgerReader;
use crate::partition::{Partition, joined};
use crate::readers;
use crate::snapshot::{self, CommittedLedger, Followed, SnapshotLimits, SnapshotPlan, Unsnapshotted};

/// What is due, with all it takes.
#[derive(Debug)]
pub struct Maintenance {
    directory: Arc<DataDirectory>,
    ledger: LedgerReader,
    committed: u64,
    now: Timestamp,
    limits: SnapshotLimits,
    /// Are the tables made whole first?
    recovers: bool,
    checkpoint: Option<DueCheckpoint>,
}

/// A checkpoint to be written.
#[derive(Debug)]
struct DueCheckpoint {
    standing: Standing,
    state: Vec<u8>,
    /// Events and epochs since the one before.
    since: (u64, u64),
}

/// What was done.
#[derive(Debug)]
pub struct Maintained {
    /// The checkpoint, where one was due: the events and epochs it saves from being folded.
    checkpoint: Option<((u64, u64), Result<(), AggregateError>)>,
    followed: Result<Followed, AggregateError>,
    /// Time that the checkpoint took, where one was due.
    pub checkpoint_took: Option<Duration>,
    /// Time that the tables took.
    pub tables_took: Duration,
}

impl Maintenance {
    /// Does it, on any thread.
    #[must_use]
    pub fn run(self) -> Maintained {
        let Self { checkpoint, .. } = &self;
        let disk = self.directory.disk();
        let write = |due: &DueCheckpoint| {
            let began = Instant::now();
            let written = checkpoint::write(&**disk, &due.standing, &due.state);
            let path = || disk.path(checkpoint::DIRECTORY);
            (written.map_err(|error| AggregateError::Write { path: path(), error }), began.elapsed())
        };
        let began = Instant::now();
        let (written, followed) = thread::scope(|scope| {
            let writing = checkpoint.as_ref().map(|due| scope.spawn(|| write(due)));
            let followed = self.follow();
            (writing.map(joined), followed)
        });
        let tables_took = began.elapsed();
        let (written, checkpoint_took) = written.unzip();
        let since = self.checkpoint.map(|due| due.since);
        Maintained { checkpoint: since.zip(written), followed, checkpoint_took, tables_took }
    }

    fn follow(&self) -> Result<Followed, AggregateError> {
        if self.recovers {
            snapshot::recover(&**self.directory.disk())?;
        }
        let ledger = CommittedLedger { ledger: &self.ledger, epoch: self.committed, now: self.now };
        snapshot::follow(&self.directory, ledger, self.limits)
    }
}

impl Partition {
    /// Is there anything to be maintained?
    #[must_use]
    pub fn wants_maintenance(&self, limits: SnapshotLimits) -> bool {
        let now = self.committer.clock().now();
        let is_due = SnapshotPlan::new(self.unsnapshotted, limits, now) == SnapshotPlan::Take;
        is_due || !self.has_tables || self.wants_checkpoint()
    }

    /// Begins what is due. The next one begins when this one has ended.
    ///
    /// # Errors
    /// [`AggregateError`]; what is committed stays so.
    pub fn begin_maintenance(&mut self, limits: SnapshotLimits) -> Result<Maintenance, AggregateError> {
        self.committer.check_running()?;
        let due = self.wants_checkpoint();
        let checkpoint = due.then(|| self.begin_checkpoint()).transpose()?;
        Ok(self.begin_tables(checkpoint, limits))
    }

    fn begin_checkpoint(&mut self) -> Result<DueCheckpoint, AggregateError> {
        let state = self.prepare_checkpoint()?;
        let standing = self.committer.standing().clone();
        Ok(DueCheckpoint { standing, state, since: self.committer.since_checkpoint() })
    }

    fn begin_tables(&mut self, checkpoint: Option<DueCheckpoint>, limits: SnapshotLimits) -> Maintenance {
        // What an error leaves is recovered next time.
        self.unsnapshotted = Unsnapshotted::default();
        let recovers = !std::mem::replace(&mut self.has_tables, false);
        Maintenance {
            directory: Arc::clone(self.directory()),
            ledger: self.committer.ledger().reader().clone(),
            committed: self.committer.ledger().committed(),
            now: self.committer.clock().now(),
            limits,
            recovers,
            checkpoint,
        }
    }

    /// Ends what was begun, and removes what is not needed any more; the last epoch that is in the tables.
    ///
    /// # Errors
    /// [`AggregateError`]; what is committed stays so.
    pub fn end_maintenance(&mut self, done: Maintained) -> Result<u64, AggregateError> {
        if let Some((since, written)) = done.checkpoint {
            written?;
            self.committer.end_checkpoint(since)?;
        }
        let Followed { epoch, left } = done.followed?;
        (self.has_tables, self.snapshot) = (true, epoch);
        self.unsnapshotted = left.and(self.unsnapshotted);
        let readers = readers::slowest(self.directory())?;
        self.committer.remove_segments(epoch, readers)?;
        Ok(epoch)
    }

    /// Does what is due after epochs were committed: a checkpoint, tables, removal of what is not needed.
    ///
    /// # Errors
    /// [`AggregateError`]; what is committed stays so.
    pub fn maintain(&mut self, limits: SnapshotLimits) -> Result<(), AggregateError> {
        let done = self.begin_maintenance(limits)?.run();
        self.end_maintenance(done).map(drop)
    }

    /// Makes epochs that are in no table yet rows of the tables, if they are many or old, joins small files of
    /// tables, and removes what only the older form needed; the last epoch that is in the tables.
    ///
    /// # Errors
    /// [`AggregateError`]; it can be done again.
    pub fn snapshot(&mut self, limits: SnapshotLimits) -> Result<u64, AggregateError> {
        self.committer.check_running()?;
        let done = self.begin_tables(None, limits).run();
        self.end_maintenance(done)
    }
}
