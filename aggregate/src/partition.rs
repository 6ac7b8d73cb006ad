//! A partition: the machine that decides, and the ledger it commits to.
//!
//! What a partition is follows from its epochs alone. Opening one takes the newest checkpoint that is sound and
//! folds the epochs after it; from there on the decider and the committer go on, each on its own thread where
//! that pays. Everything else here is upkeep, which may be left out or repeated at any time: checkpoints,
//! fewer and larger runs of identities, removal of what nothing needs any more.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use ingest::dedup::Month;
use rating::catalog::Catalog;
use schemas::epoch::{ContentHash, ContentKind, Epoch, EpochCause};
use schemas::timestamp::Timestamp;

use crate::accrual_round::Revisions;
use crate::accrual_table::AccrualTotals;
use crate::books::CurrencySums;
use crate::checkpoint::{self, SkippedCheckpoint, Standing};
use crate::clock::Clock;
use crate::committer::{Committer, EpochDraft};
use crate::data_directory::DataDirectory;
use crate::decider::Decider;
use crate::epoch_files::{INLINE_BYTES_MAX, content_directory, epoch_of};
use crate::error::AggregateError;
use crate::fold::{Folder, open_run};
use crate::identities::Identities;
use crate::ledger::{Ledger, LedgerError, SEGMENT_BYTES, SealedEpoch};
use crate::quarantine_table::QuarantineTotals;
use crate::rated_usage_table::RatedTotals;
use crate::snapshot::{self, Unsnapshotted};

/// Events after a checkpoint that are always folded rather than checkpointed.
const CHECKPOINT_EVENTS_MIN: u64 = 50_000;

/// Epochs after a checkpoint that are always folded rather than checkpointed.
const CHECKPOINT_EPOCHS_MAX: u64 = 4_096;

/// Gives compiled catalogs that were stored.
pub trait Catalogs {
    /// The catalog of a hash.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    fn load(&self, hash: &ContentHash) -> Result<Arc<Catalog>, String>;
}

/// How a partition is opened.
#[derive(Clone, Copy, Debug)]
pub struct PartitionOptions {
    /// Number of the partition.
    pub partition: u32,
    /// Decoders whose batches it decides.
    pub decoders: usize,
    /// Most memory for identities that are not looked up on disk.
    pub identity_bytes_max: usize,
    /// Months for which identities are told apart.
    pub horizon_months: u16,
    /// Bytes of a segment of the ledger.
    pub segment_bytes: u64,
    /// The most bytes of a content of an epoch that are kept within the ledger.
    pub inline_bytes_max: usize,
}

impl Default for PartitionOptions {
    fn default() -> Self {
        Self {
            partition: 0,
            decoders: 1,
            identity_bytes_max: 1 << 30,
            horizon_months: 13,
            segment_bytes: SEGMENT_BYTES,
            inline_bytes_max: INLINE_BYTES_MAX,
        }
    }
}

/// What opening a partition found.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// Checkpoints that were not used.
    pub skipped: Vec<SkippedCheckpoint>,
    /// Epoch of the checkpoint that was used; 0 for none.
    pub checkpoint: u64,
    /// Epochs folded after it.
    pub folded: u64,
    /// Bytes at the end of the ledger that were never committed.
    pub cut_bytes: u64,
    /// Files that no epoch names, which were removed.
    pub leftovers: Vec<PathBuf>,
}

/// A partition that is open to write.
#[derive(Debug)]
pub struct Partition {
    /// The machine that decides.
    pub decider: Decider,
    /// What commits.
    pub committer: Committer,
    /// The identities that the decider has in memory.
    pub identities: Identities,
    directory: Arc<DataDirectory>,
    catalog: Arc<Catalog>,
    /// State of the decider after an epoch, for a checkpoint.
    state: Option<(u64, Vec<u8>)>,
    /// Are the tables durable as they are?
    pub(crate) has_tables: bool,
    /// The last epoch that is in all tables, as far as is known.
    pub(crate) snapshot: u64,
    /// What is in no table, as far as is known.
    pub(crate) unsnapshotted: Unsnapshotted,
}

impl Partition {
    /// Opens a partition to go on under a catalog, which has to be stored before the next epoch.
    ///
    /// # Errors
    /// [`AggregateError`].
    pub fn open(
        directory: Arc<DataDirectory>,
        catalogs: &dyn Catalogs,
        in_force: (ContentHash, Arc<Catalog>),
        clock: Arc<dyn Clock>,
        options: PartitionOptions,
    ) -> Result<(Self, Recovered), AggregateError> {
        let identity = directory.ledger(options.partition);
        let (ledger, recovery) = Ledger::open(directory.disk(), identity, options.segment_bytes)?;
        let mut recovered = Recovered { cut_bytes: recovery.cut_bytes, ..Recovered::default() };
        let begun = begin(&directory, catalogs, &in_force, &ledger, options, &mut recovered)?;
        let Begun { mut standing, mut decider, mut catalog } = begun;
        let checkpointed = (standing.books.counts.received, standing.epoch);
        let mut loose = Vec::new();
        let mut positions = None;
        let broken = |standing: &Standing, found: ContentHash| LedgerError::Damaged {
            path: directory.disk().path(&ledger.identity().directory()),
            offset: 0,
            what: "the hash of the epoch that a checkpoint is of",
            expected: standing.hash.to_string(),
            found: found.to_string(),
        };
        ledger.reader().read(standing.epoch + 1, |sealed: SealedEpoch| {
            if sealed.epoch.previous != standing.hash {
                return Err(broken(&standing, sealed.epoch.previous).into());
            }
            if sealed.epoch.catalog != catalog.0 {
                catalog = load(catalogs, &in_force, sealed.epoch.catalog)?;
                decider.change_catalog(Arc::clone(&catalog.1), directory.key(), options.decoders)?;
                positions = None;
            }
            let mut books = standing.books.clone();
            books.add(&sealed.epoch)?;
            Folder {
                directory: &directory,
                decider: &mut decider,
                loose: &mut loose,
                positions: &mut positions,
            }
            .fold(&sealed)?;
            standing.advance(&sealed, books);
            recovered.folded += 1;
            Ok::<_, AggregateError>(())
        })?;
        if standing.epoch != ledger.committed() {
            let (found, expected) = (ledger.committed(), standing.epoch);
            return Err(AggregateError::LedgerBehind { found, expected, directory: directory.path() });
        }
        if standing.hash != ledger.last_hash() {
            return Err(broken(&standing, ledger.last_hash()).into());
        }
        if catalog.0 != in_force.0 {
            decider.change_catalog(Arc::clone(&in_force.1), directory.key(), options.decoders)?;
        }
        // What tables have was committed: its files are no leftovers.
        let tables = snapshot::last_epochs(&directory, ledger.identity())?;
        let (snapshot, newest) = (tables.iter().min().copied(), tables.iter().max().copied());
        let newest = newest.unwrap_or(0);
        if standing.epoch < newest {
            let (found, expected) = (standing.epoch, newest);
            return Err(AggregateError::LedgerBehind { found, expected, directory: directory.path() });
        }
        remove_leftovers(&directory, &standing, &mut recovered)?;
        let catalog = Arc::clone(&in_force.1);
        let identities = Identities::new(&directory, loose.clone());
        let since = standing.books.counts.received - checkpointed.0;
        let since = (since.unsigned_abs(), standing.epoch - checkpointed.1);
        let mut committer =
            Committer::new(Arc::clone(&directory), ledger, standing, clock, in_force, loose, since);
        committer.inline_bytes_max = options.inline_bytes_max;
        let mut partition = Self {
            decider,
            committer,
            identities,
            directory,
            catalog,
            state: None,
            has_tables: false,
            snapshot: snapshot.unwrap_or(0),
            unsnapshotted: Unsnapshotted::default(),
        };
        partition.advance_horizon(options.horizon_months);
        Ok((partition, recovered))
    }

    /// The data directory.
    #[must_use]
    pub const fn directory(&self) -> &Arc<DataDirectory> {
        &self.directory
    }

    /// The catalog in force.
    #[must_use]
    pub const fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// The last epoch that is in all tables.
    #[must_use]
    pub const fn snapshotted(&self) -> u64 {
        self.snapshot
    }

    /// Commits an epoch, with the revisions of its accruals if it has accruals; `None` if there is nothing to say.
    ///
    /// # Errors
    /// [`AggregateError`].
    pub fn commit(
        &mut self,
        draft: EpochDraft,
        revisions: Option<&Revisions>,
    ) -> Result<Option<Epoch>, AggregateError> {
        if draft.is_empty() && (revisions.is_none() || self.committer.standing().books.is_accrued) {
            return Ok(None);
        }
        if let Some(revisions) = revisions {
            self.decider.accrued(revisions);
        }
        let committed = self.committer.append(draft)?;
        self.committer.sync()?;
        self.identities.note_committed(&committed);
        self.unsnapshotted.add(&committed.epoch);
        Ok(Some(committed.epoch))
    }

    /// Goes on under another catalog, which is stored; the epoch that records it is committed by
    /// [`Partition::record_catalog`], before anything else. Nothing changes on an error.
    ///
    /// # Errors
    /// [`AggregateError::CatalogConflict`] when the catalog would change what is rated already, and
    /// [`AggregateError::NotCommitted`] while events are decided and not committed.
    pub(crate) fn change_catalog(
        &mut self,
        in_force: (ContentHash, Arc<Catalog>),
        decoders: usize,
    ) -> Result<(), AggregateError> {
        if !self.decider.is_cut() {
            return Err(AggregateError::NotCommitted);
        }
        self.decider.change_catalog(Arc::clone(&in_force.1), self.directory.key(), decoders)?;
        self.catalog = Arc::clone(&in_force.1);
        self.committer.change_catalog(in_force);
        // It was of the catalog before.
        self.state = None;
        Ok(())
    }

    /// Commits an epoch that names the catalog in force, if the last one names another; `None` if it does not.
    ///
    /// # Errors
    /// [`AggregateError`].
    pub fn record_catalog(&mut self) -> Result<Option<Epoch>, AggregateError> {
        if self.committer.is_catalog_recorded() {
            return Ok(None);
        }
        // What is accrued stays so: a catalog that would change it is refused.
        let is_accrued = self.committer.standing().books.is_accrued;
        let draft = EpochDraft {
            cause: EpochCause::Catalog,
            positions: Vec::new(),
            tally: self.decider.cut(),
            rated: RatedTotals::default(),
            quarantine: QuarantineTotals::default(),
            accruals: is_accrued.then(AccrualTotals::default),
            settled: Vec::new(),
            contents: Vec::new(),
        };
        self.commit(draft, is_accrued.then(Revisions::default).as_ref())
    }

    /// Makes room in memory for identities, if there is none: what is on disk is looked up there from here on.
    ///
    /// # Errors
    /// [`AggregateError`].
    pub fn settle_identities(&mut self) -> Result<(), AggregateError> {
        let Self { decider, committer, identities, .. } = self;
        if decider.dedup_mut().is_full() {
            identities.note_run(committer.write_loose()?);
            identities.settle(decider.dedup_mut(), &[])?;
        }
        Ok(())
    }

    /// Is a checkpoint worth its cost? What is folded without it is then more than what it takes to read one. There is
    /// none while events are decided and not committed.
    #[must_use]
    pub fn wants_checkpoint(&self) -> bool {
        checkpoint_is_due(&self.decider, self.committer.since_checkpoint()) && self.can_checkpoint()
    }

    /// Commits the last epoch of a run; meanwhile the state after it is put together, if a checkpoint is due then.
    ///
    /// # Errors
    /// [`AggregateError`].
    pub fn commit_last(&mut self, draft: EpochDraft, revisions: &Revisions) -> Result<(), AggregateError> {
        if draft.is_empty() && self.committer.standing().books.is_accrued {
            return Ok(());
        }
        self.decider.accrued(revisions);
        let (events, epochs) = self.committer.since_checkpoint();
        let received = draft.tally.counts.received.unsigned_abs();
        let Self { decider, committer, identities, directory, state, .. } = self;
        let is_due = checkpoint_is_due(decider, (events + received, epochs + 1));
        let (committed, encoded) = thread::scope(|scope| {
            let encoding = is_due.then(|| scope.spawn(|| encode(decider, directory)));
            let committed = committer.append(draft).and_then(|epoch| committer.sync().map(|()| epoch));
            (committed, encoding.map(joined))
        });
        let committed = committed?;
        identities.note_committed(&committed);
        *state = encoded.transpose()?.map(|encoded| (committed.epoch.epoch, encoded));
        Ok(())
    }

    /// Writes a checkpoint of the last epoch, and removes what only older ones needed.
    ///
    /// # Errors
    /// [`AggregateError`]; the partition can go on.
    pub fn checkpoint(&mut self) -> Result<(), AggregateError> {
        self.committer.check_running()?;
        if !self.can_checkpoint() {
            return Err(AggregateError::NotCommitted);
        }
        let state = self.prepare_checkpoint()?;
        self.committer.write_checkpoint(&state)?;
        self.committer.end_checkpoint(self.committer.since_checkpoint())
    }

    /// Is the state that of the last epoch, under the catalog that it names?
    fn can_checkpoint(&self) -> bool {
        self.decider.is_cut() && self.committer.is_catalog_recorded()
    }

    /// The state for a checkpoint of the last epoch, after its identities are all in runs.
    pub(crate) fn prepare_checkpoint(&mut self) -> Result<Vec<u8>, AggregateError> {
        let epoch = self.committer.standing().epoch;
        let state = match self.state.take() {
            Some((of, state)) if of == epoch => state,
            _ => self.state()?,
        };
        let Self { committer, identities, decider, .. } = self;
        identities.note_run(committer.write_loose()?);
        if let Some(merged) = committer.merge_runs()? {
            identities.note_merged(decider.dedup_mut(), merged)?;
        }
        Ok(state)
    }

    /// The state of the decider.
    ///
    /// # Errors
    /// [`AggregateError`] when there is no memory for it.
    pub fn state(&self) -> Result<Vec<u8>, AggregateError> {
        encode(&self.decider, &self.directory)
    }

    /// Holds what charges amount to against what was rated, where that is known to be the same.
    ///
    /// # Errors
    /// [`AggregateError::OutOfBalance`].
    pub fn balance(&self) -> Result<(), AggregateError> {
        let overflow = |rating::Overflow| AggregateError::Overflow("amount per currency");
        let charged = self.decider.totals().by_currency().map_err(overflow)?;
        let mut sums = CurrencySums::default();
        sums.add(&charged).map_err(overflow)?;
        let rated = &self.committer.standing().books.rated;
        if sums == *rated {
            return Ok(());
        }
        Err(AggregateError::OutOfBalance(format!("{rated} is rated, and charges amount to {sums}")))
    }

    /// Refuses usage that is older than the horizon from here on, so that its identities may be forgotten.
    ///
    /// The horizon is counted from now or from the newest usage, whichever is earlier: neither a clock that
    /// is wrong nor an event from the future makes anything be forgotten. What was interrupted goes on with the
    /// horizon it had: whether usage is refused must not depend on that.
    fn advance_horizon(&mut self, months: u16) {
        let standing = self.committer.standing();
        if !standing.books.is_accrued {
            return;
        }
        let now = Month::of(self.committer.clock().now().micros()).number();
        let first = now.min(standing.newest_month).saturating_sub(months);
        if first > standing.first_month {
            let month = Month::since_1970(first);
            self.decider.forget_before(month);
            self.committer.forgets_before = Some(Timestamp::from_micros(month.start()));
        }
    }
}

/// What a thread comes to; its panic goes on here.
pub(crate) fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Is a checkpoint worth its cost after so many events and epochs? What is folded without it is then more than what
/// it takes to read one.
fn checkpoint_is_due(decider: &Decider, (events, epochs): (u64, u64)) -> bool {
    let state = decider.totals().len() as u64;
    events >= state.max(CHECKPOINT_EVENTS_MIN) || epochs >= CHECKPOINT_EPOCHS_MAX
}

/// What recovery begins with.
struct Begun {
    standing: Standing,
    decider: Decider,
    catalog: (ContentHash, Arc<Catalog>),
}

/// Takes the newest checkpoint that is sound, or begins before the first epoch.
fn begin(
    directory: &DataDirectory,
    catalogs: &dyn Catalogs,
    in_force: &(ContentHash, Arc<Catalog>),
    ledger: &Ledger,
    options: PartitionOptions,
    recovered: &mut Recovered,
) -> Result<Begun, AggregateError> {
    let disk = &**directory.disk();
    let mut epochs = checkpoint::list(disk, options.partition)
        .map_err(|error| AggregateError::Disk { path: disk.path(checkpoint::DIRECTORY), error })?;
    while let Some(epoch) = epochs.pop() {
        match checkpoint::read(disk, options.partition, epoch) {
            Ok(checkpoint) => {
                let standing = checkpoint.standing;
                if !standing.is_of(ledger.identity()) {
                    let path = disk.path(&checkpoint::name_of(options.partition, epoch));
                    let what = standing.words_of_origin();
                    recovered.skipped.push(SkippedCheckpoint { path, what });
                    continue;
                }
                if standing.epoch > ledger.committed() {
                    let (found, expected) = (ledger.committed(), standing.epoch);
                    return Err(AggregateError::LedgerBehind {
                        found,
                        expected,
                        directory: directory.path(),
                    });
                }
                let catalog = match standing.catalog {
                    Some(hash) => load(catalogs, in_force, hash)?,
                    None => in_force.clone(),
                };
                let decider = Decider::restore(
                    &checkpoint.state,
                    Arc::clone(&catalog.1),
                    None,
                    directory.key(),
                    options.decoders,
                )?;
                let mut begun = Begun { standing, decider, catalog };
                begun.open_identities(directory, options)?;
                recovered.checkpoint = begun.standing.epoch;
                return Ok(begun);
            }
            Err(skipped) => recovered.skipped.push(skipped),
        }
    }
    if let Some(oldest) = ledger.reader().oldest().filter(|oldest| *oldest > 1) {
        return Err(AggregateError::NoCheckpoint {
            oldest,
            skipped: recovered.skipped.first().map(|skipped| skipped.path.clone()),
        });
    }
    let standing = Standing::before_the_first(ledger.identity());
    let decider = Decider::new(Arc::clone(&in_force.1), directory.key(), options.decoders);
    let mut begun = Begun { standing, decider, catalog: in_force.clone() };
    begun.open_identities(directory, options)?;
    Ok(begun)
}

impl Begun {
    /// Opens the runs of identities.
    fn open_identities(
        &mut self,
        directory: &DataDirectory,
        options: PartitionOptions,
    ) -> Result<(), AggregateError> {
        let dedup = self.decider.dedup_mut();
        dedup.reset_hot(options.identity_bytes_max);
        for name in &self.standing.runs {
            dedup.add_run(open_run(directory, name)?);
        }
        self.decider.forget_before(Month::since_1970(self.standing.first_month));
        self.decider.note_known();
        Ok(())
    }
}

fn load(
    catalogs: &dyn Catalogs,
    in_force: &(ContentHash, Arc<Catalog>),
    hash: ContentHash,
) -> Result<(ContentHash, Arc<Catalog>), AggregateError> {
    if hash == in_force.0 {
        return Ok(in_force.clone());
    }
    let catalog = catalogs.load(&hash).map_err(|what| AggregateError::CatalogLost { hash, what })?;
    Ok((hash, catalog))
}

/// Removes files of epochs that were never committed, and of writes that were not finished.
fn remove_leftovers(
    directory: &DataDirectory,
    standing: &Standing,
    recovered: &mut Recovered,
) -> Result<(), AggregateError> {
    let disk = &**directory.disk();
    let contents = [
        ContentKind::RatedUsage,
        ContentKind::Quarantine,
        ContentKind::Accruals,
        ContentKind::Identities,
        ContentKind::UsageDetails,
    ];
    let places = contents.map(content_directory).into_iter();
    for place in places.chain(["checkpoints".to_owned(), "catalogs".to_owned()]) {
        let failed = |error| AggregateError::Write { path: disk.path(&place), error };
        for name in disk.list(&place).map_err(failed)? {
            let is_later = epoch_of(&name)
                .is_some_and(|(partition, epoch)| partition == standing.partition && epoch > standing.epoch);
            if is_later || name.strip_suffix(".new").is_some() {
                let name = format!("{place}/{name}");
                disk.remove(&name).map_err(failed)?;
                recovered.leftovers.push(disk.path(&name));
            }
        }
    }
    Ok(())
}

pub(crate) fn encode(decider: &Decider, directory: &DataDirectory) -> Result<Vec<u8>, AggregateError> {
    let mut state = Vec::new();
    decider.encode_state(&mut state).map_err(|error| AggregateError::Write {
        path: directory.disk().path(checkpoint::DIRECTORY),
        error,
    })?;
    Ok(state)
}
