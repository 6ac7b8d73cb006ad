//! Usages on their way into the index: noted when they are decided, added when they are committed.

use std::sync::Arc;

use aggregate::decider::DecidedBatch;
use aggregate::error::AggregateError;
use aggregate::partition::Partition;
use ingest::event_batch::{EventBatch, NO_VALUE, NewTexts};
use schemas::epoch::Epoch;
use schemas::meter::Aggregation;
use schemas::timestamp::Timestamp;
use tokio::sync::watch;

use super::fill::KeptEpochs;
use super::recent::RecentEvent;
use super::rows::EventName;
use super::sets::Sets;
use super::{Usage, UsageIndex, write};

/// Events of a batch that are kept as they were sent.
const RECENT_MAX: usize = 1_000;

/// What the writing thread tells the index.
#[derive(Debug)]
pub(crate) struct Intake {
    index: watch::Sender<Arc<UsageIndex>>,
    /// What the numbers of the run are in the index: values per dimension.
    values: Vec<Vec<u32>>,
    /// Texts of sources, where a meter asks for them.
    sources: Vec<Box<str>>,
    pending: Vec<Pending>,
    /// Accounts of what is pending.
    accounts: String,
    recent: Vec<RecentEvent>,
    kept: Option<KeptEpochs>,
    /// Days that the index is for.
    days: u16,
}

/// A usage that is decided and not committed.
#[derive(Debug)]
struct Pending {
    account: std::ops::Range<usize>,
    meter: u16,
    time: i64,
    measure: i128,
    set: u32,
    event: Option<EventName>,
}

impl Intake {
    /// Fills an index with what a partition has committed.
    ///
    /// # Errors
    /// [`AggregateError`] when that cannot be read.
    pub(crate) fn start(partition: &Partition, days: u16) -> Result<Self, AggregateError> {
        let index = filled(partition, days)?;
        let mut intake = Self {
            index: watch::Sender::new(Arc::new(index)),
            values: Vec::new(),
            sources: Vec::new(),
            pending: Vec::new(),
            accounts: String::new(),
            recent: Vec::new(),
            kept: KeptEpochs::find(partition)?,
            days,
        };
        intake.learn(&partition.decider.texts());
        intake.forget(partition)?;
        Ok(intake)
    }

    /// Begins anew after records of quarantine were decided again: the partition has learned texts that were in no
    /// batch, and if something was settled, other usage. Nothing is pending.
    ///
    /// # Errors
    /// [`AggregateError`] when what is committed cannot be read.
    pub(crate) fn begin_again(
        &mut self,
        partition: &Partition,
        has_settled: bool,
    ) -> Result<(), AggregateError> {
        if has_settled {
            let index = filled(partition, self.days)?;
            index.recent.take_over(&self.index.borrow().recent);
            self.index.send_replace(Arc::new(index));
        }
        self.values.clear();
        self.sources.clear();
        self.learn(&partition.decider.texts());
        Ok(())
    }

    /// Begins anew under another catalog. Nothing is pending.
    ///
    /// # Errors
    /// [`AggregateError`] when what is committed cannot be read.
    pub(crate) fn change_catalog(&mut self, partition: &Partition) -> Result<(), AggregateError> {
        let (before, now) = (Arc::clone(self.index.borrow().catalog()), partition.catalog());
        let has_other_meters = before.meters() != now.meters() || before.dimensions() != now.dimensions();
        self.begin_again(partition, has_other_meters)?;
        if has_other_meters {
            self.kept = KeptEpochs::find(partition)?;
        }
        Ok(())
    }

    /// The index in force.
    pub(crate) fn index(&self) -> watch::Receiver<Arc<UsageIndex>> {
        self.index.subscribe()
    }

    fn learn(&mut self, texts: &NewTexts) {
        let index = Arc::clone(&self.index.borrow());
        let needs_sources =
            index.catalog().meters().iter().any(|meter| meter.aggregation == Aggregation::Latest);
        if needs_sources {
            self.sources.extend(texts.sources.iter().cloned());
        }
        self.values.resize_with(index.catalog().dimensions().len(), Vec::new);
        let mut sets = write(&index.sets);
        for (dimension, (numbers, texts)) in self.values.iter_mut().zip(&texts.dimensions).enumerate() {
            numbers.extend(texts.iter().map(|text| sets.value(dimension, text)));
        }
    }

    /// Notes the usages of a batch that is decided.
    pub(crate) fn note(&mut self, decided: &DecidedBatch) {
        self.learn(&decided.new_texts);
        let index = Arc::clone(&self.index.borrow());
        let mut sets = write(&index.sets);
        let batch = &decided.batch;
        for (event, usage) in decided.rated.event.iter().zip(&decided.rated.usage) {
            self.note_usage(&index, &mut sets, batch, (*event as usize, *usage as usize));
        }
        for unrated in &decided.unrated {
            let event = unrated.event as usize;
            let is_meter = |usage: &usize| batch.usages.meter.get(*usage).copied() == unrated.meter;
            if let Some(usage) = batch.usages_of(event).find(is_meter) {
                self.note_usage(&index, &mut sets, batch, (event, usage));
            }
        }
        drop(sets);
        self.note_recent(decided);
    }

    fn note_usage(
        &mut self,
        index: &UsageIndex,
        sets: &mut Sets,
        batch: &EventBatch,
        (event, usage): (usize, usize),
    ) {
        let usages = &batch.usages;
        let (Some(text), Some(time)) = (batch.events.text.get(event), batch.events.time.get(event)) else {
            return;
        };
        let (Some(meter), Some(measure)) = (usages.meter.get(usage), usages.measure.get(usage)) else {
            return;
        };
        let value = |(numbers, known): (&Vec<u32>, &Vec<u32>)| {
            let number = numbers.get(usage).copied().unwrap_or(NO_VALUE);
            known.get(number as usize).copied().unwrap_or(NO_VALUE)
        };
        let set = sets.set(usages.dimensions.iter().zip(&self.values).map(value));
        let start = self.accounts.len();
        self.accounts.push_str(batch.text(text.subject));
        let event = index.is(*meter, Aggregation::Latest).then(|| {
            let source = batch.events.source.get(event).and_then(|source| self.sources.get(*source as usize));
            EventName { id: batch.event_id(event).into(), source: source.cloned().unwrap_or_default() }
        });
        let account = start..self.accounts.len();
        self.pending.push(Pending { account, meter: *meter, time: *time, measure: *measure, set, event });
    }

    fn note_recent(&mut self, decided: &DecidedBatch) {
        let mut events: Vec<u32> = decided.rated.event.clone();
        events.extend(decided.unrated.iter().map(|unrated| unrated.event));
        events.sort_unstable();
        events.dedup();
        let batch = &decided.batch;
        for event in events.iter().skip(events.len().saturating_sub(RECENT_MAX)) {
            let event = *event as usize;
            let (Some(text), Some(time)) = (batch.events.text.get(event), batch.events.time.get(event))
            else {
                continue;
            };
            let time = Timestamp::from_micros(*time);
            self.recent.push(RecentEvent { text: batch.record(text.span).into(), time, stored_at: time });
        }
    }

    /// Adds what was noted: it is committed.
    pub(crate) fn add(&mut self, now: Timestamp) {
        let index = self.index.borrow();
        for pending in self.pending.drain(..) {
            let Pending { account, meter, time, measure, set, event } = pending;
            let account = self.accounts.get(account).unwrap_or_default();
            index.add(Usage { account, meter, time, measure, set, event });
        }
        self.accounts.clear();
        index.recent.add(self.recent.drain(..).map(|event| RecentEvent { stored_at: now, ..event }));
    }

    /// Notes an epoch that is committed.
    pub(crate) fn note_epoch(&mut self, epoch: &Epoch) {
        if let Some(kept) = &mut self.kept {
            kept.note(epoch.epoch, epoch.recorded_at.micros());
        }
    }

    /// Forgets usage that is older than the index is for, and lets go of the epochs it was in.
    ///
    /// # Errors
    /// [`AggregateError`] when it cannot be noted which epochs are needed.
    pub(crate) fn forget(&mut self, partition: &Partition) -> Result<(), AggregateError> {
        let index = self.index.borrow();
        index.forget(partition.committer.clock().now());
        match &mut self.kept {
            Some(kept) => kept.advance(partition, index.horizon().micros()),
            None => Ok(()),
        }
    }
}

fn filled(partition: &Partition, days: u16) -> Result<UsageIndex, AggregateError> {
    let now = partition.committer.clock().now();
    let index = UsageIndex::new(Arc::clone(partition.catalog()), days, now);
    let filled = index.fill(partition)?;
    let (usages, bytes) = (filled.usages, index.bytes());
    tracing::info!(usages, bytes, epoch = filled.epoch, "the usage index is filled");
    if filled.unknown > 0 {
        let unknown = filled.unknown;
        tracing::warn!(unknown, "usages of meters that the catalog does not have, or measures differently");
    }
    Ok(index)
}
