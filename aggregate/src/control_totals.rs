//! Control totals: where every event went, by source, type and month (CONS-1).
//!
//! Kept while deciding, apart from the tables the events are written to, so that the two can be held
//! against each other. What is decided again is taken back where it was counted first, and counted where it
//! belongs now: counts are changes, and may be negative.

use std::collections::HashMap;

use schemas::date::Date;
use schemas::epoch::{EpochControlTotal, EventCounts};
use schemas::quarantine::{RejectReason, UnratedReason};
use schemas::timestamp::{MICROS_PER_DAY, Timestamp};

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Priced under every meter that counts it.
    Rated,
    /// Counted, but without a price under some meter.
    Unrated,
    /// Counted before, with the same content.
    Duplicate,
    /// Counted before, with other content.
    Conflict,
    /// Not a valid event.
    Rejected,
}

/// Number of outcomes.
pub(crate) const OUTCOMES: usize = 5;

/// What events are counted by; what could not be read is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ControlKey {
    /// Number of the source.
    pub source: Option<u32>,
    /// Number of the event type.
    pub event_type: Option<u32>,
    /// First day of the month of the event time, in UTC, as days since 1970.
    pub month: Option<i32>,
}

/// Keys remembered with their place, to be found without hashing.
const RECENT: usize = 1024;

/// The counts of an epoch.
#[derive(Debug)]
pub struct ControlTotals {
    pub(crate) places: HashMap<ControlKey, usize>,
    pub(crate) keys: Vec<ControlKey>,
    pub(crate) counts: Vec<[i64; OUTCOMES]>,
    recent: Vec<Option<(ControlKey, usize)>>,
    month: Month,
    pub(crate) rejected: Vec<i64>,
    pub(crate) unrated: Vec<i64>,
}

/// A month and the instants in it.
#[derive(Clone, Copy, Debug, Default)]
struct Month {
    start: i32,
    from: i64,
    to: i64,
}

impl Default for ControlTotals {
    fn default() -> Self {
        Self {
            places: HashMap::new(),
            keys: Vec::new(),
            counts: Vec::new(),
            recent: vec![None; RECENT],
            month: Month::default(),
            rejected: vec![0; RejectReason::ALL.len()],
            unrated: vec![0; UnratedReason::ALL.len()],
        }
    }
}

impl ControlTotals {
    /// Counts an event.
    #[inline]
    pub fn count(
        &mut self,
        source: Option<u32>,
        event_type: Option<u32>,
        time: Option<i64>,
        outcome: Outcome,
    ) {
        self.add(source, event_type, time, outcome, 1);
    }

    /// Takes back that an event was counted, which went elsewhere since.
    pub fn take_back(
        &mut self,
        source: Option<u32>,
        event_type: Option<u32>,
        time: Option<i64>,
        outcome: Outcome,
    ) {
        self.add(source, event_type, time, outcome, -1);
    }

    #[inline]
    fn add(
        &mut self,
        source: Option<u32>,
        event_type: Option<u32>,
        time: Option<i64>,
        outcome: Outcome,
        events: i64,
    ) {
        let month = time.map(|time| self.month_of(time));
        let key = ControlKey { source, event_type, month };
        let slot = (source.unwrap_or(0) as usize * 37 + event_type.unwrap_or(0) as usize) % RECENT;
        let place = match self.recent.get(slot) {
            Some(Some((recent, place))) if *recent == key => *place,
            _ => self.find(key, slot),
        };
        if let Some(count) = self.counts.get_mut(place).and_then(|counts| counts.get_mut(outcome as usize)) {
            *count += events;
        }
    }

    #[cold]
    fn find(&mut self, key: ControlKey, slot: usize) -> usize {
        let next = self.keys.len();
        let place = *self.places.entry(key).or_insert(next);
        if place == next {
            self.keys.push(key);
            self.counts.push([0; OUTCOMES]);
        }
        if let Some(recent) = self.recent.get_mut(slot) {
            *recent = Some((key, place));
        }
        place
    }

    /// Notes why an event was rejected.
    pub fn note_rejected(&mut self, reason: RejectReason) {
        add_to(&mut self.rejected, reason as usize, 1);
    }

    /// Takes back that an event was rejected.
    pub fn take_back_rejected(&mut self, reason: RejectReason) {
        add_to(&mut self.rejected, reason as usize, -1);
    }

    /// Notes why a usage has no price.
    pub fn note_unrated(&mut self, reason: UnratedReason) {
        add_to(&mut self.unrated, reason as usize, 1);
    }

    /// Takes back that a usage has no price.
    pub fn take_back_unrated(&mut self, reason: UnratedReason) {
        add_to(&mut self.unrated, reason as usize, -1);
    }

    #[inline]
    fn month_of(&mut self, time: i64) -> i32 {
        if time < self.month.from || time >= self.month.to {
            self.month = Month::of(time);
        }
        self.month.start
    }

    /// Was nothing counted?
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Rejected events by reason, where there are any.
    pub fn rejected(&self) -> impl Iterator<Item = (RejectReason, i64)> {
        RejectReason::ALL.iter().copied().zip(self.rejected.iter().copied()).filter(|(_, count)| *count != 0)
    }

    /// Usages without a price by reason, where there are any.
    pub fn unrated(&self) -> impl Iterator<Item = (UnratedReason, i64)> {
        UnratedReason::ALL.iter().copied().zip(self.unrated.iter().copied()).filter(|(_, count)| *count != 0)
    }

    /// The counts by source, type and month, sorted.
    #[must_use]
    pub fn rows(
        &self,
        source: impl Fn(u32) -> String,
        event_type: impl Fn(u32) -> String,
    ) -> Vec<EpochControlTotal> {
        let mut rows: Vec<EpochControlTotal> = self
            .keys
            .iter()
            .zip(self.counts.iter().copied())
            .filter(|(_, counts)| *counts != [0; OUTCOMES])
            .map(|(key, [rated, unrated, duplicate, conflict, rejected])| EpochControlTotal {
                source: key.source.map(&source),
                event_type: key.event_type.map(&event_type),
                month: key.month.map(|month| Date::from_days(month).to_string().chars().take(7).collect()),
                counts: EventCounts {
                    received: rated + unrated + duplicate + conflict + rejected,
                    rated,
                    unrated,
                    duplicate,
                    conflict,
                    rejected,
                    voided: 0,
                },
            })
            .collect();
        rows.sort_by(|left, right| {
            (&left.source, &left.event_type, &left.month).cmp(&(
                &right.source,
                &right.event_type,
                &right.month,
            ))
        });
        rows
    }
}

fn add_to(counts: &mut [i64], reason: usize, events: i64) {
    if let Some(count) = counts.get_mut(reason) {
        *count += events;
    }
}

impl Month {
    #[cold]
    fn of(time: i64) -> Self {
        let days = i32::try_from(time.div_euclid(MICROS_PER_DAY)).unwrap_or(0);
        let (year, month, _) = Date::from_days(days).ymd();
        let start = Date::from_ymd(year, month, 1).unwrap_or(Date::from_days(0));
        let end = start.plus_months_on(1, 1);
        let midnight = |date| Timestamp::from_utc_date(date).micros();
        Self { start: start.days(), from: midnight(start), to: midnight(end) }
    }
}
