//! Deciding records again, and moving their events to the counts where they belong now.

use ingest::event_batch::EventBatch;
use schemas::epoch::SettledOutcome;
use schemas::quarantine::{QuarantineClass, QuarantineRecord, RejectReason, UnratedReason};
use schemas::timestamp::Timestamp;

use super::{Fate, OpenRecord, StillOpen};
use crate::control_totals::Outcome;
use crate::decider::{DecidedBatch, Decider, Lists, unmetered};
use crate::error::AggregateError;

/// How many of its open records the event that was seen last has settled. Records of an event follow one another.
#[derive(Debug, Default)]
pub(crate) struct EventProgress {
    epoch: i64,
    source: Option<String>,
    id: Option<String>,
    settled: u64,
}

impl EventProgress {
    /// Notes that a record is settled; is it the last of its event?
    fn settle(&mut self, OpenRecord { record, open_of_event }: &OpenRecord) -> bool {
        let is_same =
            self.epoch == record.epoch && self.source == record.source && self.id == record.event_id;
        if !is_same {
            let (source, id) = (record.source.clone(), record.event_id.clone());
            *self = Self { epoch: record.epoch, source, id, settled: 0 };
        }
        self.settled += 1;
        self.settled == *open_of_event
    }
}

/// An event that a record is read as.
#[derive(Clone, Copy)]
struct Again<'a> {
    batch: &'a EventBatch,
    event: usize,
    position: u32,
    open: &'a OpenRecord,
}

impl Decider {
    /// Decides the records of a batch again: what is settled is in the lists of `decided`, and counted where it
    /// belongs now. `decided` is empty.
    ///
    /// # Errors
    /// [`AggregateError`] when it cannot be told what was counted: nothing more can be decided.
    pub(crate) fn decide_again(
        &mut self,
        batch: EventBatch,
        records: &[OpenRecord],
        progress: &mut EventProgress,
        fates: &mut [Fate],
        decided: &mut DecidedBatch,
    ) -> Result<(), AggregateError> {
        decided.batch = batch;
        let batch = &mut decided.batch;
        for (reject, record) in batch.rejects.drain(..).zip(&batch.replayed.rejects) {
            let class = records.get(*record as usize).map(|open| open.record.class);
            if class != Some(QuarantineClass::Conflict)
                && let Some(fate) = fates.get_mut(*record as usize)
            {
                *fate = Fate::Open(StillOpen::Rejected(reject.reason));
            }
        }
        self.translate(decided);
        let DecidedBatch { batch, rated, unrated, conflicts, too_old, .. } = decided;
        let batch = &*batch;
        let mut lists = Lists { rated, unrated, conflicts, too_old };
        let open = |event: usize| records.get(*batch.replayed.events.get(event)? as usize);
        let is_admitted = |(event, time): (usize, &i64)| {
            let class = open(event).map(|open| open.record.class);
            class == Some(QuarantineClass::Rejected) && *time >= self.accepts_from
        };
        let admitted: Vec<bool> = batch.events.time.iter().enumerate().map(is_admitted).collect();
        self.admit_some(batch, &admitted)?;
        for (position, record) in (0u32..).zip(&batch.replayed.events) {
            let event = position as usize;
            let (Some(open), Some(fate)) = (records.get(*record as usize), fates.get_mut(*record as usize))
            else {
                continue;
            };
            let again = Again { batch, event, position, open };
            *fate = match open.record.class {
                QuarantineClass::Rejected if admitted.get(event) == Some(&true) => {
                    let reason = RejectReason::of_code(&open.record.reason);
                    let reason = reason.ok_or_else(|| unknown_reason(&open.record))?;
                    self.admit_again(again, reason, &mut lists)
                }
                QuarantineClass::Rejected => Fate::Open(StillOpen::Rejected(RejectReason::TooOld)),
                QuarantineClass::Unrated => {
                    let reason = UnratedReason::of_code(&open.record.reason);
                    let reason = reason.ok_or_else(|| unknown_reason(&open.record))?;
                    self.rate_again(again, reason, progress, &mut lists)
                }
                QuarantineClass::Conflict => continue,
            };
        }
        Ok(())
    }

    /// Admits an event that was rejected.
    fn admit_again(&mut self, again: Again<'_>, reason: RejectReason, lists: &mut Lists<'_>) -> Fate {
        let outcome = self.decide_event(again.batch, again.event, lists);
        self.take_back(&again.open.record, Outcome::Rejected);
        self.control.take_back_rejected(reason);
        Fate::Settled(match outcome {
            Some(Outcome::Rated) => SettledOutcome::Rated,
            Some(Outcome::Duplicate) => SettledOutcome::Duplicate,
            _ => SettledOutcome::Quarantined,
        })
    }

    /// Gives an event that is counted the prices it lacked.
    fn rate_again(
        &mut self,
        again: Again<'_>,
        reason: UnratedReason,
        progress: &mut EventProgress,
        lists: &mut Lists<'_>,
    ) -> Fate {
        let Again { batch, event, position, open } = again;
        if !self.is_of(again) {
            return Fate::Open(StillOpen::OtherEvent);
        }
        if open.record.meter_id.is_none() {
            return self.meter_again(again, reason, lists);
        }
        let meters = self.totals.catalog.meters();
        let id_of = |usage: usize| {
            let meter = batch.usages.meter.get(usage)?;
            Some(meters.get(usize::from(*meter))?.id.as_str())
        };
        let usage = batch.usages_of(event).find(|usage| id_of(*usage) == open.record.meter_id.as_deref());
        let rated = match usage {
            Some(usage) => self.rate_usage(batch, event, usage).map(|rated| (usage, rated)),
            None if batch.usages_of(event).is_empty() => Err(unmetered(batch, event)),
            None => Err(UnratedReason::NoMeterApplies),
        };
        match rated {
            Err(reason) => Fate::Open(StillOpen::Unrated(reason)),
            Ok((usage, rated)) => {
                lists.rated.push(position, usage, rated);
                self.control.take_back_unrated(reason);
                if progress.settle(open) {
                    self.move_event(again, Outcome::Rated);
                }
                Fate::Settled(SettledOutcome::Rated)
            }
        }
    }

    /// Meters an event that no meter counted. What has no price then is in quarantine by its meter.
    fn meter_again(&mut self, again: Again<'_>, reason: UnratedReason, lists: &mut Lists<'_>) -> Fate {
        let Again { batch, event, position, .. } = again;
        let (rated, unrated) = (lists.rated.usage.len(), lists.unrated.len());
        let outcome = self.rate_event(batch, event, position, lists);
        if lists.rated.usage.len() == rated {
            let mut still = reason;
            for usage in lists.unrated.drain(unrated..) {
                still = usage.reason;
                self.control.take_back_unrated(usage.reason);
            }
            return Fate::Open(StillOpen::Unrated(still));
        }
        self.control.take_back_unrated(reason);
        self.move_event(again, outcome);
        Fate::Settled(match outcome {
            Outcome::Rated => SettledOutcome::Rated,
            _ => SettledOutcome::Quarantined,
        })
    }

    /// Is it read as the event that was counted?
    fn is_of(&self, Again { batch, event, open, .. }: Again<'_>) -> bool {
        let source = batch.events.source.get(event).and_then(|source| self.sources.text(*source));
        let OpenRecord { record, .. } = open;
        source == record.source.as_deref().map(str::as_bytes)
            && record.event_id.as_deref() == Some(&batch.event_id(event))
    }

    /// Takes an event that is counted without a price to where it belongs now.
    fn move_event(&mut self, Again { batch, event, open, .. }: Again<'_>, outcome: Outcome) {
        self.take_back(&open.record, Outcome::Unrated);
        let columns = &batch.events;
        let (source, event_type) = (columns.source.get(event), columns.event_type.get(event));
        let time = columns.time.get(event).copied();
        self.control.count(source.copied(), event_type.copied(), time, outcome);
    }

    /// Takes an event back from where a record says it was counted: its texts were learned then.
    fn take_back(&mut self, record: &QuarantineRecord, outcome: Outcome) {
        let source = record.source.as_deref().and_then(|source| self.sources.find(source.as_bytes()));
        let event_type =
            record.event_type.as_deref().and_then(|event_type| self.event_types.find(event_type.as_bytes()));
        self.control.take_back(source, event_type, record.event_time.map(Timestamp::micros), outcome);
    }
}

fn unknown_reason(record: &QuarantineRecord) -> AggregateError {
    AggregateError::UnknownReason { id: record.quarantine_id.clone(), reason: record.reason.clone() }
}
