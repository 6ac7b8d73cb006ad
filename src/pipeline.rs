//! Wires one run together: reader and decoders, the decider, the tables.
//!
//! ```text
//!  reader  ->  decoders (one per core)  ->  decider  ->  tables  ->  accruals  ->  published
//!  in input order        any order          in input order            balanced
//! ```
//!
//! Batches go round: a decoder takes an empty one before it takes work, so the number of batches bounds
//! memory and every channel applies back-pressure. The first stage that fails ends the others by closing
//! its channels; nothing is published then.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, Scope, ScopedJoinHandle};

use aggregate::accrual_events::AccrualEvents;
use aggregate::accrual_table::{AccrualBuffers, AccrualTable, AccrualTotals};
use aggregate::accruals::AccrualPlan;
use aggregate::control_total_table::write_control_totals;
use aggregate::control_totals::{ControlTotals, Outcome};
use aggregate::decider::{DecidedBatch, Decider};
use aggregate::error::AggregateError;
use aggregate::output::Output;
use aggregate::quarantine_table::{EventTexts, QuarantineTable, QuarantineTotals};
use aggregate::rated_usage_table::{RatedTotals, RatedUsageTable};
use aggregate::running_totals::RunningTotals;
use crossbeam_channel::{Receiver, Sender, bounded};
use ingest::decoder::Decoder;
use ingest::event_batch::{EventBatch, LineCount};
use ingest::input::{Input, InputError};
use ingest::interner::Interner;
use ingest::keyed_hash::HashKey;
use ingest::metering::MeteringPlan;
use ingest::reader::Reader;
use rating::Overflow;
use rating::catalog::Catalog;

use crate::progress::{Progress, Stage};
use crate::report::RunReport;

/// Batches in the round, besides two for each decoder.
const SPARE_BATCHES: usize = 4;

/// Decided batches in the round.
const DECIDED_BATCHES: usize = 4;

/// Batches after which the number of events is estimated: by then those that are read and not decided
/// yet are few of all that were read.
const ESTIMATE_AFTER_BATCHES: u64 = 256;

/// Contract lines, meters and periods in a part of the accruals table.
const ACCRUAL_PART_GROUPS: usize = 1 << 16;

/// The epoch that a run is.
const EPOCH: u64 = 1;

/// What a run is asked to do.
#[derive(Debug)]
pub struct RunPlan {
    /// Inputs, in order.
    pub inputs: Vec<Input>,
    /// The catalog.
    pub catalog: Arc<Catalog>,
    /// Where the results go.
    pub output: PathBuf,
    /// Decoders; one per core is best.
    pub decoders: usize,
    /// Write accruals as CloudEvents too?
    pub accrual_events: bool,
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// An input cannot be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The results cannot be added up or written.
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

/// What deciding leaves behind.
struct Finished {
    totals: RunningTotals,
    control: ControlTotals,
    /// Records the decoders met.
    received: u64,
}

/// Performs a run.
///
/// # Errors
/// [`RunError`]; nothing is published then.
pub fn run(plan: &RunPlan, progress: &Progress) -> Result<RunReport, RunError> {
    progress.begin(Stage::Counting);
    let output = Output::create(&plan.output)?;
    let metering = Arc::new(MeteringPlan::new(plan.catalog.meters()));
    let key = HashKey::random();
    let accounts = Arc::new(number_accounts(&plan.catalog));
    let mut tables = Tables::create(plan, &output)?;
    let mappings = plan.catalog.csv_mappings().to_vec();
    let reader =
        Reader::new(plan.inputs.clone(), mappings, Arc::clone(&metering), Arc::clone(&progress.bytes));
    let reader = Mutex::new(reader);
    let dimensions = metering.dimensions().len();

    // Where one input does not say how long it is, nobody knows what is left.
    let stored = plan.inputs.iter().map(|input| input.bytes).sum::<Option<u64>>().unwrap_or(0);
    progress.bytes_total.store(stored, Ordering::Relaxed);

    let (empty_tx, empty_rx) = bounded(plan.decoders * 2 + SPARE_BATCHES);
    for _ in 0..plan.decoders * 2 + SPARE_BATCHES {
        let _ = empty_tx.send(EventBatch::new(dimensions));
    }
    let (decoded_tx, decoded_rx) = bounded::<Decoded>(plan.decoders * 2 + SPARE_BATCHES);
    let (decided_tx, decided_rx) = bounded::<DecidedBatch>(DECIDED_BATCHES);
    let (used_tx, used_rx) = bounded::<DecidedBatch>(DECIDED_BATCHES);
    for _ in 0..DECIDED_BATCHES {
        let _ = used_tx.send(DecidedBatch::default());
    }

    let finished = thread::scope(|scope| {
        for number in 0..plan.decoders {
            let decoder = Decoder::new(number, Arc::clone(&metering), Arc::clone(&accounts), key);
            let (reader, empty, decoded) = (&reader, empty_rx.clone(), decoded_tx.clone());
            spawn(scope, "decode", move || decode(decoder, reader, &empty, &decoded))?;
        }
        drop((empty_rx, decoded_tx));
        let decider = Decider::new(Arc::clone(&plan.catalog), &key, plan.decoders);
        let deciding = spawn(scope, "decide", move || {
            decide(decider, &decoded_rx, &used_rx, &decided_tx, progress, stored)
        })?;
        let written = tables.write(&plan.catalog, &decided_rx, &used_tx, &empty_tx);
        // Closing the channels ends the stages before, if writing failed.
        drop((decided_rx, used_tx, empty_tx));
        let decided = deciding.join().map_err(|_| RunError::StageLost)?;
        written?;
        decided
    })?;
    finish(plan, progress, output, tables, finished)
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

/// Decides batches in input order.
fn decide(
    mut decider: Decider,
    decoded: &Receiver<Decoded>,
    used: &Receiver<DecidedBatch>,
    decided: &Sender<DecidedBatch>,
    progress: &Progress,
    stored: u64,
) -> Result<Finished, RunError> {
    let mut waiting = BTreeMap::new();
    let mut next = 0u64;
    let mut received = 0u64;
    let mut lines = LineCount::default();
    while let Ok(batch) = decoded.recv() {
        let batch = batch?;
        waiting.insert(batch.origin.sequence, batch);
        while let Some(mut batch) = waiting.remove(&next) {
            next += 1;
            lines.place(&mut batch);
            received += batch.received;
            if next == ESTIMATE_AFTER_BATCHES {
                expect(&mut decider, received, progress.bytes.load(Ordering::Relaxed), stored);
            }
            // The tables ended early, and say why.
            let Ok(mut into) = used.recv() else { return Ok(end(decider, received)) };
            decider.decide(batch, &mut into);
            progress.events.store(received, Ordering::Relaxed);
            if decided.send(into).is_err() {
                return Ok(end(decider, received));
            }
        }
    }
    Ok(end(decider, received))
}

fn end(decider: Decider, received: u64) -> Finished {
    let (totals, control) = decider.finish();
    Finished { totals, control, received }
}

/// Makes room for the events that the bytes still unread will bring, if they are like those read.
fn expect(decider: &mut Decider, events: u64, read: u64, stored: u64) {
    let estimate = u128::from(events) * u128::from(stored) / u128::from(read.max(1));
    if stored > read
        && let Ok(estimate) = usize::try_from(estimate)
    {
        decider.expect_identities(estimate);
    }
}

/// The tables that are written while events are decided.
struct Tables {
    rated_usage: RatedUsageTable,
    quarantine: QuarantineTable,
    texts: Texts,
}

/// Texts of the run's sources and event types, by number.
#[derive(Default)]
struct Texts {
    sources: Vec<Box<str>>,
    event_types: Vec<Box<str>>,
}

impl EventTexts for Texts {
    fn source(&self, number: u32) -> Option<&str> {
        self.sources.get(number as usize).map(|text| &**text)
    }

    fn event_type(&self, number: u32) -> Option<&str> {
        self.event_types.get(number as usize).map(|text| &**text)
    }
}

impl Tables {
    fn create(plan: &RunPlan, output: &Output) -> Result<Self, AggregateError> {
        let names = plan.inputs.iter().map(|input| input.name.clone()).collect();
        Ok(Self {
            rated_usage: RatedUsageTable::create(output, &plan.catalog)?,
            quarantine: QuarantineTable::create(output, names)?,
            texts: Texts::default(),
        })
    }

    /// Writes decided batches until there are no more.
    fn write(
        &mut self,
        catalog: &Catalog,
        decided: &Receiver<DecidedBatch>,
        used: &Sender<DecidedBatch>,
        empty: &Sender<EventBatch>,
    ) -> Result<(), AggregateError> {
        while let Ok(mut batch) = decided.recv() {
            self.texts.sources.extend(batch.new_texts.sources.iter().cloned());
            self.texts.event_types.extend(batch.new_texts.event_types.iter().cloned());
            self.rated_usage.append(&batch)?;
            self.quarantine.append(catalog, &batch, &self.texts)?;
            // At the end of the input nobody takes batches any more.
            let _ = empty.send(batch.recycle());
            let _ = used.send(batch);
        }
        Ok(())
    }
}

/// Makes accruals and control totals, checks that everything balances, and publishes.
fn finish(
    plan: &RunPlan,
    progress: &Progress,
    output: Output,
    tables: Tables,
    finished: Finished,
) -> Result<RunReport, RunError> {
    let Finished { totals, control, received } = finished;
    let Tables { rated_usage, quarantine, texts } = tables;
    let rated = rated_usage.finish()?;
    let quarantine = quarantine.finish()?;
    progress.begin(Stage::Accruing);
    let accruals = write_accruals(plan, progress, &output, &totals)?;
    progress.begin(Stage::Publishing);
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let rows = control.rows(|number| text(texts.source(number)), |number| text(texts.event_type(number)));
    write_control_totals(&output, &rows)?;
    let books = Books {
        received,
        control: &control,
        totals: &totals,
        rated: &rated,
        quarantine,
        accruals: &accruals,
    };
    books.balance(&plan.catalog)?;
    let report = RunReport::new(plan, received, &control, &rated, quarantine, &accruals)
        .map_err(|Overflow| AggregateError::Overflow("amount per currency"))?;
    report.write(&output)?;
    output.publish()?;
    progress.begin(Stage::Done);
    Ok(report)
}

/// Makes accruals on all cores, each core a part of the table at a time.
///
/// Which groups are in which part depends on the groups alone, so the parts are the same however many
/// cores make them.
fn write_accruals(
    plan: &RunPlan,
    progress: &Progress,
    output: &Output,
    totals: &RunningTotals,
) -> Result<AccrualTotals, RunError> {
    let accrual_plan = AccrualPlan::new(totals);
    let groups = accrual_plan.len();
    progress.groups_total.store(groups as u64, Ordering::Relaxed);
    let parts = groups.div_ceil(ACCRUAL_PART_GROUPS).max(1);
    let next = AtomicUsize::new(0);
    let write_parts = || {
        let (mut written, mut buffers) = (Vec::new(), AccrualBuffers::new()?);
        loop {
            let part = next.fetch_add(1, Ordering::Relaxed);
            if part >= parts {
                return Ok::<_, AggregateError>(written);
            }
            let from = part * ACCRUAL_PART_GROUPS;
            let mut table = AccrualTable::begin(output, part, EPOCH, buffers)?;
            accrual_plan.accrue(totals, from..groups.min(from + ACCRUAL_PART_GROUPS), |groups| {
                progress.groups.fetch_add(groups.len() as u64, Ordering::Relaxed);
                table.append(&plan.catalog, groups)
            })?;
            let totals;
            (totals, buffers) = table.finish()?;
            written.push((part, totals));
        }
    };
    let mut written = thread::scope(|scope| {
        let others = (1..plan.decoders.min(parts)).map(|_| spawn(scope, "accrue", write_parts));
        let others = others.collect::<Result<Vec<_>, _>>()?;
        let mut written = write_parts()?;
        for other in others {
            written.append(&mut other.join().map_err(|_| RunError::StageLost)??);
        }
        Ok::<_, RunError>(written)
    })?;
    written.sort_by_key(|(part, _)| *part);
    let mut sum = AccrualTotals::default();
    for (_, totals) in &mut written {
        sum.append(totals);
    }
    if plan.accrual_events {
        let mut events = AccrualEvents::create(output, EPOCH)?;
        accrual_plan.accrue(totals, 0..groups, |groups| events.append(&plan.catalog, groups))?;
        events.finish()?;
    }
    Ok(sum)
}

/// The counts and amounts of a run, from independent places.
struct Books<'a> {
    /// Records the decoders met.
    received: u64,
    /// What the decider counted.
    control: &'a ControlTotals,
    /// What charges amount to.
    totals: &'a RunningTotals,
    /// What was written to rated usage.
    rated: &'a RatedTotals,
    /// What was written to quarantine.
    quarantine: QuarantineTotals,
    /// What was written to accruals.
    accruals: &'a AccrualTotals,
}

impl Books<'_> {
    /// Holds the books against each other (CONS-1, ACCR-1).
    fn balance(&self, catalog: &Catalog) -> Result<(), AggregateError> {
        let control = self.control;
        let counted =
            [Outcome::Rated, Outcome::Unrated, Outcome::Duplicate, Outcome::Conflict, Outcome::Rejected]
                .into_iter()
                .map(|outcome| control.total(outcome))
                .sum::<u64>();
        let unrated: u64 = control.unrated().map(|(_, count)| count).sum();
        let equal_counts = [
            ("events received and counted", self.received, counted),
            (
                "rejected events counted and in quarantine",
                control.total(Outcome::Rejected),
                self.quarantine.rejected,
            ),
            (
                "conflicts counted and in quarantine",
                control.total(Outcome::Conflict),
                self.quarantine.conflict,
            ),
            ("unrated usages counted and in quarantine", unrated, self.quarantine.unrated),
            ("rated usages written and accrued for", self.rated.rows, self.accruals.events),
        ];
        for (what, left, right) in equal_counts {
            if left != right {
                return Err(AggregateError::OutOfBalance(format!("{what}: {left} and {right}")));
            }
        }
        let overflow = |Overflow| AggregateError::Overflow("amount per currency");
        let rated = self.rated.by_currency();
        let charged = self.totals.by_currency().map_err(overflow)?;
        let accrued = self.accruals.exact_by_currency(catalog).map_err(overflow)?;
        let nonzero = |sums: Vec<schemas::money::Money>| -> Vec<String> {
            let sums = sums.into_iter().filter(|sum| sum.amount.units() != 0);
            sums.map(|sum| sum.to_string()).collect()
        };
        let [rated, charged, accrued] = [rated, charged, accrued].map(nonzero);
        if rated != charged || charged != accrued {
            let detail = format!(
                "amounts of rated usage, charges and accruals: {}; {}; {}",
                rated.join(", "),
                charged.join(", "),
                accrued.join(", ")
            );
            return Err(AggregateError::OutOfBalance(detail));
        }
        Ok(())
    }
}
