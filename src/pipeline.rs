//! Wires one run together: reader and decoders, the decider, the tables, the committer.
//!
//! ```text
//!  reader  ->  decoders (one per core)  ->  decider  ->  tables  ->  committer  ->  ledger
//!  in input order        any order          in input order         epoch by epoch
//! ```
//!
//! Batches go round: a decoder takes an empty one before it takes work, so the number of batches bounds
//! memory and every channel applies back-pressure. The decider cuts epochs by the number of events, between two
//! batches; the next one is decided and written while one is being committed. The last epoch of a run
//! holds the accruals. The first stage that fails ends the others by closing its channels; what was committed
//! stays, and the next run goes on behind it.

mod commit;
mod epochs;
mod write;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::{self, Scope, ScopedJoinHandle};

use aggregate::decider::DecidedBatch;
use aggregate::epoch_tables::EpochTables;
use aggregate::error::AggregateError;
use aggregate::partition::Partition;
use crossbeam_channel::{Receiver, Sender, bounded};
use ingest::decoder::Decoder;
use ingest::event_batch::EventBatch;
use ingest::input::{Input, InputError};
use ingest::interner::Interner;
use ingest::metering::MeteringPlan;
use ingest::position::InputPosition;
use ingest::reader::Reader;
use rating::catalog::Catalog;

use crate::progress::{Progress, Stage};
use crate::report::RunReport;
use commit::commit;
use epochs::{Deciding, EpochCut};
use write::{end_epoch, write, write_accruals};

/// Batches in the round, besides two for each decoder.
const SPARE_BATCHES: usize = 4;

/// Decided batches in the round.
const DECIDED_BATCHES: usize = 4;

/// Events of an epoch of a run, about, when nobody says: it ends with a batch.
pub const EPOCH_EVENTS: u64 = 1 << 20;

/// What a run is asked to do.
#[derive(Debug)]
pub struct RunPlan {
    /// Inputs, in order.
    pub inputs: Vec<Input>,
    /// Decoders; one per core is best.
    pub decoders: usize,
    /// Events of an epoch, about: it ends with a batch.
    pub epoch_events: u64,
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// An input cannot be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// What was decided cannot be added up, written or committed.
    #[error(transparent)]
    Aggregate(#[from] AggregateError),
    /// The system gives no thread.
    #[error("cannot start a thread: {0}; raise the limit on processes, or use fewer threads")]
    NoThread(#[source] std::io::Error),
    /// A part of the program ended without saying why.
    #[error("a stage of the run ended unexpectedly: this is a bug")]
    StageLost,
}

/// What the decider's channel carries.
type Decoded = Result<EventBatch, InputError>;

/// What goes from the decider to the tables.
#[expect(clippy::large_enum_variant, reason = "nearly all that is sent is batches")]
enum Decided {
    Batch(DecidedBatch),
    /// The batches before it are an epoch.
    Cut(EpochCut),
}

/// An input of the plan, with where it is read from.
struct Source {
    input: Input,
    from: Option<InputPosition>,
}

/// Performs a run.
///
/// # Errors
/// [`RunError`]; what was committed before is kept.
pub fn run(plan: &RunPlan, partition: &mut Partition, progress: &Progress) -> Result<RunReport, RunError> {
    progress.begin(Stage::Counting);
    let before = partition.committer.standing().clone();
    let (sources, done) = unread(plan, partition);
    let mut report = RunReport::begin(plan, &before, done);
    // Where one input does not say how long it is, nobody knows what is left.
    let stored = sources.iter().map(|source| source.input.bytes()).sum::<Option<u64>>().unwrap_or(0);
    progress.bytes_total.store(stored, Ordering::Relaxed);
    if !sources.is_empty() || !before.books.is_accrued {
        read_and_commit(plan, sources, partition, progress, stored)?;
    }
    progress.begin(Stage::Committing);
    report.end(partition.committer.standing());
    Ok(report)
}

/// The inputs that were not read to their end, and how many were.
fn unread(plan: &RunPlan, partition: &Partition) -> (Vec<Source>, usize) {
    let positions = &partition.committer.standing().positions;
    let mut sources = Vec::new();
    for input in &plan.inputs {
        let known = epochs::file_of(input).and_then(|file| positions.of(&file));
        if known.is_some_and(|position| position.is_complete) {
            continue;
        }
        let from = known.map(|position| InputPosition { offset: position.offset, line: position.line });
        sources.push(Source { input: input.clone(), from });
    }
    let done = plan.inputs.len() - sources.len();
    (sources, done)
}

fn read_and_commit(
    plan: &RunPlan,
    sources: Vec<Source>,
    partition: &mut Partition,
    progress: &Progress,
    stored: u64,
) -> Result<(), RunError> {
    let catalog = Arc::clone(partition.catalog());
    let directory = Arc::clone(partition.directory());
    let metering = Arc::new(MeteringPlan::new(catalog.meters()));
    let key = *directory.key();
    let accounts = Arc::new(number_accounts(&catalog));
    let inputs: Vec<Input> = sources.iter().map(|source| source.input.clone()).collect();
    let read = sources.into_iter().map(|source| (source.input, source.from)).collect();
    let mappings = catalog.csv_mappings().to_vec();
    let reader = Reader::new(read, mappings, Arc::clone(&metering), Arc::clone(&progress.bytes));
    let reader = Mutex::new(reader);
    let dimensions = metering.dimensions().len();
    let next_epoch = partition.committer.next_epoch();
    let names = inputs.iter().map(|input| input.name.clone()).collect();
    let known = partition.decider.texts();
    let number = partition.committer.standing().partition;
    let mut tables = EpochTables::new(directory.disk(), number, next_epoch, &catalog, &known, names)?;

    let (empty_tx, empty_rx) = bounded(plan.decoders * 2 + SPARE_BATCHES);
    for _ in 0..plan.decoders * 2 + SPARE_BATCHES {
        let _ = empty_tx.send(EventBatch::new(dimensions));
    }
    let (decoded_tx, decoded_rx) = bounded::<Decoded>(plan.decoders * 2 + SPARE_BATCHES);
    let (decided_tx, decided_rx) = bounded::<Decided>(DECIDED_BATCHES);
    let (used_tx, used_rx) = bounded::<DecidedBatch>(DECIDED_BATCHES);
    for _ in 0..DECIDED_BATCHES {
        let _ = used_tx.send(DecidedBatch::default());
    }
    // An epoch is committed while another is being made, and no more.
    let (made_tx, made_rx) = bounded(0);
    let (committed_tx, committed_rx) = crossbeam_channel::unbounded();

    let Partition { decider, committer, identities, .. } = partition;
    let last = thread::scope(|scope| {
        for number in 0..plan.decoders {
            let decoder = Decoder::new(number, Arc::clone(&metering), Arc::clone(&accounts), key);
            let (reader, empty, decoded) = (&reader, empty_rx.clone(), decoded_tx.clone());
            spawn(scope, "decode", move || decode(decoder, reader, &empty, &decoded))?;
        }
        drop((empty_rx, decoded_tx));
        let deciding =
            Deciding::new(decider, identities, &inputs, &committed_rx, next_epoch, plan.epoch_events, stored);
        let deciding =
            spawn(scope, "decide", move || decide(deciding, &decoded_rx, &used_rx, &decided_tx, progress))?;
        let committing = spawn(scope, "commit", move || commit(committer, &made_rx, &committed_tx))?;
        let written = write(&mut tables, &decided_rx, &used_tx, &empty_tx, &made_tx);
        // Closing the channels ends the stages before, if writing failed.
        drop((decided_rx, used_tx, empty_tx, made_tx));
        let decided = deciding.join().map_err(|_| RunError::StageLost)?;
        let committed = committing.join().map_err(|_| RunError::StageLost)?;
        // A stage that lost the one behind it ends without an error of its own.
        committed?;
        written?;
        decided
    })?;
    for note in committed_rx.try_iter() {
        note.tell(&mut partition.identities);
    }
    finish(plan, progress, partition, tables, last)
}

/// Starts a thread that has a name to be seen by.
fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, RunError> {
    thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, work).map_err(RunError::NoThread)
}

fn number_accounts(catalog: &Catalog) -> Interner {
    let mut accounts = Interner::new(0);
    for account in catalog.accounts() {
        accounts.intern(account.as_str().as_bytes());
    }
    accounts
}

/// Reads and decodes batches until there are no more, or nobody wants them.
fn decode(
    mut decoder: Decoder,
    reader: &Mutex<Reader>,
    empty: &Receiver<EventBatch>,
    decoded: &Sender<Decoded>,
) {
    while let Ok(mut batch) = empty.recv() {
        let read = match reader.lock() {
            Ok(mut reader) => reader.next(&mut batch),
            // Another decoder panicked, and its panic ends the run.
            Err(_) => return,
        };
        let sent = match read {
            Ok(Some(records)) => {
                decoder.decode(&mut batch, &records);
                decoded.send(Ok(batch))
            }
            Ok(None) => return,
            Err(error) => decoded.send(Err(error)),
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Decides batches in input order; what is left for the last epoch.
fn decide(
    mut deciding: Deciding<'_>,
    decoded: &Receiver<Decoded>,
    used: &Receiver<DecidedBatch>,
    decided: &Sender<Decided>,
    progress: &Progress,
) -> Result<EpochCut, RunError> {
    let mut waiting = BTreeMap::new();
    let mut next = 0u64;
    while let Ok(batch) = decoded.recv() {
        let batch = batch?;
        waiting.insert(batch.origin.sequence, batch);
        while let Some(batch) = waiting.remove(&next) {
            next += 1;
            // The tables ended early, and say why.
            let Ok(mut into) = used.recv() else { return Ok(deciding.end()) };
            deciding.decide(batch, &mut into, progress)?;
            if decided.send(Decided::Batch(into)).is_err() {
                return Ok(deciding.end());
            }
            if let Some(cut) = deciding.cut_if_due()?
                && decided.send(Decided::Cut(cut)).is_err()
            {
                return Ok(deciding.end());
            }
        }
    }
    Ok(deciding.end())
}

/// Makes accruals, and commits them with what is left of the last epoch.
fn finish(
    plan: &RunPlan,
    progress: &Progress,
    partition: &mut Partition,
    mut tables: EpochTables,
    last: EpochCut,
) -> Result<(), RunError> {
    let files = tables.files().clone();
    let mut draft = end_epoch(&mut tables, last)?;
    progress.begin(Stage::Accruing);
    let totals = partition.decider.totals();
    let mut accrued = write_accruals(plan, progress, &files, partition.catalog(), totals)?;
    draft.contents.append(&mut accrued.contents);
    draft.accruals = Some(accrued.totals);
    progress.begin(Stage::Committing);
    partition.commit(draft, Some(&accrued.revisions))?;
    partition.balance()?;
    Ok(())
}
