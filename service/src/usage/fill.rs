//! Filling the index from committed rows.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use aggregate::error::AggregateError;
use aggregate::export::{CommittedUsage, CommittedUsages, committed_usages};
use aggregate::ledger::{LedgerReader, SealedEpoch};
use aggregate::partition::Partition;
use aggregate::readers;
use ingest::event_batch::NO_VALUE;
use schemas::meter::Aggregation;
use schemas::timestamp::MICROS_PER_DAY;

use super::rows::EventName;
use super::{Usage, UsageIndex, write};

/// The reader of the ledger that keeps what `unique` meters counted.
const READER: &str = "usage-index";

/// Days that an event may be ahead of its commit.
const AHEAD_DAYS: i64 = 2;

/// What an index was filled with.
pub type Filled = CommittedUsages;

impl UsageIndex {
    /// Adds the usages of all committed events.
    ///
    /// # Errors
    /// [`AggregateError`] when they cannot be read.
    pub(super) fn fill(&self, partition: &Partition) -> Result<Filled, AggregateError> {
        let number = partition.committer.standing().partition;
        committed_usages(partition.directory(), number, self.catalog(), |usage| self.add_committed(usage))
    }

    fn add_committed(&self, usage: &CommittedUsage<'_>) {
        let Some(measure) = usage.measure else {
            if let Some(known_from) = self.known_from.get(usize::from(usage.meter)) {
                known_from.fetch_max(usage.time.saturating_add(1), Ordering::Relaxed);
            }
            return;
        };
        let set = {
            let mut sets = write(&self.sets);
            let values = usage.dimensions.iter().enumerate();
            let values: Vec<u32> = values
                .map(|(dimension, value)| value.map_or(NO_VALUE, |text| sets.value(dimension, text)))
                .collect();
            sets.set(values.into_iter())
        };
        let is_latest = self.is(usage.meter, Aggregation::Latest);
        let event = is_latest.then(|| EventName { id: usage.id.into(), source: usage.source.into() });
        let CommittedUsage { account, meter, time, .. } = *usage;
        self.add(Usage { account, meter, time, measure, set, event });
    }

    pub(super) fn is(&self, meter: u16, aggregation: Aggregation) -> bool {
        let meter = self.catalog.meters().get(usize::from(meter));
        meter.is_some_and(|meter| meter.aggregation == aggregation)
    }
}

/// Keeps the epochs of the ledger that the next start needs: what `unique` meters counted is nowhere else.
#[derive(Debug)]
pub(super) struct KeptEpochs {
    /// Per day of commits, the last epoch.
    last_of_day: BTreeMap<i64, u64>,
    noted: Option<u64>,
}

impl KeptEpochs {
    /// The epochs that the ledger has; `None` where nothing but the tables is needed.
    pub(super) fn find(partition: &Partition) -> Result<Option<Self>, AggregateError> {
        let meters = partition.catalog().meters();
        if !meters.iter().any(|meter| meter.aggregation == Aggregation::Unique) {
            readers::forget(partition.directory(), READER)?;
            return Ok(None);
        }
        let directory = partition.directory();
        let mut kept = Self { last_of_day: BTreeMap::new(), noted: readers::position(directory, READER)? };
        let identity = directory.ledger(partition.committer.standing().partition);
        let reader = LedgerReader::open(directory.disk(), identity)?;
        if let Some(oldest) = reader.oldest() {
            reader.read(oldest, |SealedEpoch { epoch, .. }| {
                kept.note(epoch.epoch, epoch.recorded_at.micros());
                Ok::<_, AggregateError>(())
            })?;
        }
        Ok(Some(kept))
    }

    pub(super) fn note(&mut self, epoch: u64, recorded_at: i64) {
        let last = self.last_of_day.entry(recorded_at.div_euclid(MICROS_PER_DAY)).or_default();
        *last = epoch.max(*last);
    }

    /// Lets go of what only usage before the horizon needs.
    pub(super) fn advance(&mut self, partition: &Partition, horizon: i64) -> Result<(), AggregateError> {
        let day = horizon.div_euclid(MICROS_PER_DAY) - AHEAD_DAYS;
        let recent = self.last_of_day.split_off(&day);
        let old = std::mem::replace(&mut self.last_of_day, recent);
        let epoch = old.into_values().max().or(self.noted).unwrap_or(0);
        if self.noted != Some(epoch) {
            readers::advance(partition.directory(), READER, epoch)?;
            self.noted = Some(epoch);
        }
        Ok(())
    }
}
