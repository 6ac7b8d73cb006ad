//! Decides what becomes of decoded events: admits each identity once, rates what it admits, and counts
//! everything.
//!
//! It sees batches in input order, one at a time, and does no IO. Numbers that a decoder gave to texts
//! become numbers of the whole run here, in order of first appearance in the input.

use std::collections::BTreeMap;
use std::sync::Arc;

use ingest::dedup::{Admit, Dedup, Entry, Month, RunError};
use ingest::event_batch::{EventBatch, NO_VALUE, NewTexts, UNKNOWN_ACCOUNT};
use ingest::interner::{Interned, Interner};
use ingest::keyed_hash::HashKey;
use rating::catalog::Catalog;
use schemas::epoch::{EpochControlTotal, EpochTexts, EventCounts};
use schemas::quarantine::{RejectReason, UnratedReason};
use schemas::timestamp::Timestamp;

use crate::accrual_round::Revisions;
use crate::control_totals::{ControlTotals, Outcome};
use crate::dimension_values::DimensionValues;
use crate::running_totals::{MeteredUsage, RatedEvent, RunningTotals, TouchRounds, UsageDetails};

/// Memory for identities where nobody says.
const IDENTITY_BYTES_MAX: usize = 1 << 30;

/// Texts up to which those of refused events are learned: whoever sends rubbish must not fill the memory.
const REFUSED_TEXTS_MAX: usize = 1 << 16;

/// Events whose charges are loaded ahead. Few of them belong to an earlier day or a new charge, and the
/// misses of those overlap only with one another; the charges of all still fit the caches.
const TOUCH_AHEAD: usize = 256;

/// The machine and its memory.
#[derive(Debug)]
pub struct Decider {
    pub(crate) dedup: Dedup,
    pub(crate) totals: RunningTotals,
    /// The counts since the last cut.
    pub(crate) control: ControlTotals,
    /// Identities admitted since the last cut.
    admitted: Vec<Entry>,
    /// Numbers of texts known at the last cut: sources, event types, values of each dimension.
    known: (usize, usize, Vec<usize>),
    pub(crate) sources: Interner,
    pub(crate) event_types: Interner,
    pub(crate) values: DimensionValues,
    /// Per decoder, what its numbers mean.
    decoders: Vec<Numbers>,
    verdicts: Vec<Admit>,
    rounds: TouchRounds,
    /// Events before this time are refused, in microseconds since 1970.
    pub(crate) accepts_from: i64,
}

/// What the numbers of a decoder are in the whole run.
#[derive(Debug, Default)]
struct Numbers {
    sources: Vec<u32>,
    event_types: Vec<u32>,
    dimensions: Vec<Vec<u32>>,
}

/// A batch whose events are decided. Its numbers are those of the whole run.
#[derive(Debug, Default)]
pub struct DecidedBatch {
    /// The batch.
    pub batch: EventBatch,
    /// Rated usages, in order.
    pub rated: RatedColumns,
    /// Usages without a price.
    pub unrated: Vec<Unrated>,
    /// Events whose identity was counted with other content.
    pub conflicts: Vec<u32>,
    /// Events of a time whose identities may be forgotten.
    pub too_old: Vec<u32>,
    /// Texts that are new to the run, in order of their numbers.
    pub new_texts: NewTexts,
}

/// What was decided since the last cut, in counts: what an epoch says of it.
#[derive(Debug, Default)]
pub struct EpochTally {
    /// What became of the events.
    pub counts: EventCounts,
    /// The counts by source, type and month.
    pub control_totals: Vec<EpochControlTotal>,
    /// Rejected events by reason.
    pub rejected_by_reason: BTreeMap<String, i64>,
    /// Usages without a price, by reason.
    pub unrated_by_reason: BTreeMap<String, i64>,
    /// Texts that were met for the first time.
    pub new_texts: EpochTexts,
    /// Identities that were counted.
    pub identities: Vec<Entry>,
}

/// Columns with one element per rated usage.
#[derive(Debug, Default)]
pub struct RatedColumns {
    /// Position of the event in the batch.
    pub event: Vec<u32>,
    /// Position of the usage in the batch.
    pub usage: Vec<u32>,
    /// How it was rated.
    pub rated: Vec<RatedEvent>,
}

/// An event that was counted, or a usage of it, without a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unrated {
    /// Position of the event in the batch.
    pub event: u32,
    /// The meter, as a position in the catalog; `None` where no meter counts the event.
    pub meter: Option<u16>,
    /// Why.
    pub reason: UnratedReason,
}

impl DecidedBatch {
    /// Empties it and keeps its buffers, all but those of the batch, which is taken out.
    pub fn recycle(&mut self) -> EventBatch {
        self.rated.event.clear();
        self.rated.usage.clear();
        self.rated.rated.clear();
        self.unrated.clear();
        self.conflicts.clear();
        self.too_old.clear();
        self.new_texts.sources.clear();
        self.new_texts.event_types.clear();
        self.new_texts.dimensions.iter_mut().for_each(Vec::clear);
        let mut batch = std::mem::take(&mut self.batch);
        batch.clear();
        batch
    }
}

impl RatedColumns {
    #[inline]
    pub(crate) fn push(&mut self, event: u32, usage: usize, rated: RatedEvent) {
        #[expect(clippy::cast_possible_truncation, reason = "far fewer than 2^32 usages")]
        self.usage.push(usage as u32);
        self.event.push(event);
        self.rated.push(rated);
    }
}

/// Where the events of a batch go.
pub(crate) struct Lists<'a> {
    pub(crate) rated: &'a mut RatedColumns,
    pub(crate) unrated: &'a mut Vec<Unrated>,
    pub(crate) conflicts: &'a mut Vec<u32>,
    pub(crate) too_old: &'a mut Vec<u32>,
}

/// What a usage's event says of itself, read only where it matters.
#[derive(Debug)]
struct Details<'a> {
    batch: &'a EventBatch,
    sources: &'a Interner,
    event: usize,
    usage: usize,
}

impl UsageDetails for Details<'_> {
    fn dimension(&self, dimension: usize) -> u32 {
        let column = self.batch.usages.dimensions.get(dimension);
        column.and_then(|column| column.get(self.usage)).copied().unwrap_or(NO_VALUE)
    }

    fn identity(&self) -> (String, String) {
        let source = self.batch.events.source.get(self.event).copied().unwrap_or(u32::MAX);
        let source = self.sources.text(source).map(|text| String::from_utf8_lossy(text).into_owned());
        (source.unwrap_or_default(), self.batch.event_id(self.event))
    }
}

impl Decider {
    /// A machine that has seen nothing, for a catalog and a number of decoders.
    #[must_use]
    pub fn new(catalog: Arc<Catalog>, key: &HashKey, decoders: usize) -> Self {
        let dimensions = catalog.dimensions().len();
        let numbers = || Numbers { dimensions: vec![Vec::new(); dimensions], ..Numbers::default() };
        Self {
            dedup: Dedup::new(key, IDENTITY_BYTES_MAX),
            totals: RunningTotals::new(catalog),
            control: ControlTotals::default(),
            admitted: Vec::new(),
            known: (0, 0, vec![0; dimensions]),
            sources: Interner::new(key.text_seed()),
            event_types: Interner::new(key.text_seed()),
            values: DimensionValues::new(dimensions, key.text_seed()),
            decoders: std::iter::repeat_with(numbers).take(decoders).collect(),
            verdicts: Vec::new(),
            rounds: TouchRounds::default(),
            accepts_from: i64::MIN,
        }
    }

    /// Takes in the batches of one decoder more; its number.
    pub fn add_decoder(&mut self) -> usize {
        let dimensions = vec![Vec::new(); self.totals.catalog.dimensions().len()];
        self.decoders.push(Numbers { dimensions, ..Numbers::default() });
        self.decoders.len() - 1
    }

    /// Makes room for this many identities in all.
    pub fn expect_identities(&mut self, identities: usize) {
        self.dedup.reserve(identities);
    }

    /// Identities counted so far.
    #[must_use]
    pub fn identities(&self) -> u64 {
        self.dedup.len()
    }

    /// The running totals.
    #[must_use]
    pub const fn totals(&self) -> &RunningTotals {
        &self.totals
    }

    /// The running totals, to fold what was decided before.
    pub(crate) const fn totals_mut(&mut self) -> &mut RunningTotals {
        &mut self.totals
    }

    /// The identities counted.
    pub const fn dedup_mut(&mut self) -> &mut Dedup {
        &mut self.dedup
    }

    /// The running totals, to fold what was decided before, and the values of dimensions.
    pub(crate) const fn totals_and_values(&mut self) -> (&mut RunningTotals, &DimensionValues) {
        (&mut self.totals, &self.values)
    }

    /// Refuses events of months before this one from here on: their identities may be forgotten.
    pub(crate) fn forget_before(&mut self, month: Month) {
        self.accepts_from = if month == Month::default() { i64::MIN } else { month.start() };
        self.dedup.forget_before(month);
    }

    /// Ends a round of accruals; see [`RunningTotals::accrued`].
    pub fn accrued(&mut self, revisions: &Revisions) {
        self.totals.accrued(revisions);
    }

    /// The charges, when nothing more is decided.
    #[must_use]
    pub fn into_totals(self) -> RunningTotals {
        self.totals
    }

    /// What was decided since the last cut.
    #[must_use]
    pub fn cut(&mut self) -> EpochTally {
        let new_texts = self.new_texts();
        let control = std::mem::take(&mut self.control);
        let text = |texts: &Interner, number: u32| {
            String::from_utf8_lossy(texts.text(number).unwrap_or_default()).into_owned()
        };
        let control_totals =
            control.rows(|number| text(&self.sources, number), |number| text(&self.event_types, number));
        let mut counts = EventCounts::default();
        for total in &control_totals {
            counts += total.counts;
        }
        EpochTally {
            counts,
            control_totals,
            rejected_by_reason: control
                .rejected()
                .map(|(reason, count)| (reason.code().to_owned(), count))
                .collect(),
            unrated_by_reason: control
                .unrated()
                .map(|(reason, count)| (reason.code().to_owned(), count))
                .collect(),
            new_texts,
            identities: std::mem::take(&mut self.admitted),
        }
    }

    /// Was nothing decided since the last cut?
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.control.is_empty()
    }

    /// Texts since the last cut.
    fn new_texts(&mut self) -> EpochTexts {
        let since = |texts: &Interner, known: &mut usize| {
            let numbers = *known..texts.len();
            *known = texts.len();
            let text = |number| texts.text(u32::try_from(number).unwrap_or(u32::MAX)).unwrap_or_default();
            numbers.map(|number| String::from_utf8_lossy(text(number)).into_owned()).collect::<Vec<_>>()
        };
        let Self { known: (sources, event_types, values), totals, .. } = self;
        let mut dimensions = BTreeMap::new();
        for (dimension, (name, known)) in totals.catalog.dimensions().iter().zip(values).enumerate() {
            let new = self.values.texts(dimension).map_or_else(Vec::new, |texts| since(texts, known));
            if !new.is_empty() {
                dimensions.insert(name.to_string(), new);
            }
        }
        EpochTexts {
            sources: since(&self.sources, sources),
            event_types: since(&self.event_types, event_types),
            dimensions,
        }
    }

    /// Learns the texts of an epoch, as they were met.
    pub(crate) fn learn(&mut self, texts: &EpochTexts) {
        for source in &texts.sources {
            self.sources.intern(source.as_bytes());
        }
        for event_type in &texts.event_types {
            self.event_types.intern(event_type.as_bytes());
        }
        for (dimension, name) in self.totals.catalog.dimensions().iter().enumerate() {
            for value in texts.dimensions.get(name.as_str()).into_iter().flatten() {
                self.values.number(dimension, value);
            }
        }
        self.note_known();
    }

    /// Takes all texts there are as known.
    pub(crate) fn note_known(&mut self) {
        let dimensions = 0..self.totals.catalog.dimensions().len();
        let values = dimensions.map(|dimension| self.values.len(dimension)).collect();
        self.known = (self.sources.len(), self.event_types.len(), values);
    }

    /// Decides the events of a batch. `decided` is empty, and its buffers are used.
    ///
    /// # Errors
    /// [`RunError`] when it cannot be told which identities were counted: nothing more can be decided.
    pub fn decide(&mut self, batch: EventBatch, decided: &mut DecidedBatch) -> Result<(), RunError> {
        decided.batch = batch;
        self.translate(decided);
        self.admit(&decided.batch)?;
        let events = decided.batch.len();
        let mut event = 0;
        while event < events {
            let end = (event + TOUCH_AHEAD).min(events);
            self.touch(&decided.batch, event..end);
            for event in event..end {
                let DecidedBatch { batch, rated, unrated, conflicts, too_old, .. } = &mut *decided;
                self.decide_event(batch, event, &mut Lists { rated, unrated, conflicts, too_old });
            }
            event = end;
        }
        let DecidedBatch { batch, new_texts, .. } = &mut *decided;
        for reject in &mut batch.rejects {
            let attributes = &mut reject.attributes;
            let source = note_text(&mut self.sources, &mut attributes.source, &mut new_texts.sources);
            let event_type =
                note_text(&mut self.event_types, &mut attributes.event_type, &mut new_texts.event_types);
            self.control.count(source, event_type, attributes.time, Outcome::Rejected);
            self.control.note_rejected(reject.reason);
        }
        Ok(())
    }

    /// Asks for every event whether it was counted before; of those that are too old nobody knows.
    fn admit(&mut self, batch: &EventBatch) -> Result<(), RunError> {
        let Self { dedup, verdicts, admitted, accepts_from, .. } = self;
        let events = &batch.events;
        if events.time.iter().all(|time| time >= accepts_from) {
            verdicts.clear();
            return dedup.admit_all(&events.identity, &events.content, &events.time, verdicts, admitted);
        }
        let accepted: Vec<bool> = events.time.iter().map(|time| time >= accepts_from).collect();
        self.admit_some(batch, &accepted)
    }

    /// Asks for some events whether they were counted before.
    pub(crate) fn admit_some(&mut self, batch: &EventBatch, asked_for: &[bool]) -> Result<(), RunError> {
        let Self { dedup, verdicts, admitted, .. } = self;
        let events = &batch.events;
        verdicts.clear();
        let accepted = || asked_for.iter().copied();
        let identities: Vec<u128> = filtered(&events.identity, accepted());
        let contents: Vec<u64> = filtered(&events.content, accepted());
        let times: Vec<i64> = filtered(&events.time, accepted());
        let mut asked = Vec::new();
        dedup.admit_all(&identities, &contents, &times, &mut asked, admitted)?;
        let mut asked = asked.into_iter();
        verdicts.extend(accepted().map(|is_accepted| {
            if is_accepted { asked.next().unwrap_or(Admit::Duplicate) } else { Admit::Duplicate }
        }));
        Ok(())
    }

    /// Loads the charges of a run of events, so that the misses overlap.
    fn touch(&mut self, batch: &EventBatch, events: std::ops::Range<usize>) {
        let usages = events.filter_map(|event| {
            let account = *batch.events.account.get(event)?;
            let usage = batch.usages_of(event).start;
            let (meter, measure) = (*batch.usages.meter.get(usage)?, *batch.usages.measure.get(usage)?);
            let time = Timestamp::from_micros(*batch.events.time.get(event)?);
            (account != UNKNOWN_ACCOUNT).then_some((account, meter, time, measure))
        });
        self.totals.touch(usages, &mut self.rounds);
    }

    /// Decides an event that was asked for, and counts it; what became of it.
    pub(crate) fn decide_event(
        &mut self,
        batch: &EventBatch,
        event: usize,
        lists: &mut Lists<'_>,
    ) -> Option<Outcome> {
        let columns = &batch.events;
        let (source, event_type) = (*columns.source.get(event)?, *columns.event_type.get(event)?);
        let (time, verdict) = (*columns.time.get(event)?, *self.verdicts.get(event)?);
        #[expect(clippy::cast_possible_truncation, reason = "a batch has far fewer than 2^32 events")]
        let position = event as u32;
        let outcome = if time < self.accepts_from {
            lists.too_old.push(position);
            self.control.note_rejected(RejectReason::TooOld);
            Outcome::Rejected
        } else {
            match verdict {
                Admit::Duplicate => Outcome::Duplicate,
                Admit::Conflict => {
                    lists.conflicts.push(position);
                    Outcome::Conflict
                }
                Admit::Accept => self.rate_event(batch, event, position, lists),
            }
        };
        self.control.count(Some(source), Some(event_type), Some(time), outcome);
        Some(outcome)
    }

    /// Rates all usages of an event.
    #[inline]
    pub(crate) fn rate_event(
        &mut self,
        batch: &EventBatch,
        event: usize,
        position: u32,
        lists: &mut Lists<'_>,
    ) -> Outcome {
        let before = lists.unrated.len();
        let usages = batch.usages_of(event);
        if usages.is_empty() {
            lists.unrated.push(Unrated { event: position, meter: None, reason: unmetered(batch, event) });
        }
        for usage in usages {
            match self.rate_usage(batch, event, usage) {
                Ok(rated) => lists.rated.push(position, usage, rated),
                Err(reason) => {
                    let meter = batch.usages.meter.get(usage).copied();
                    lists.unrated.push(Unrated { event: position, meter, reason });
                }
            }
        }
        for usage in lists.unrated.iter().skip(before) {
            self.control.note_unrated(usage.reason);
        }
        if lists.unrated.len() == before { Outcome::Rated } else { Outcome::Unrated }
    }

    /// Counts and rates a usage of an event.
    #[inline]
    pub(crate) fn rate_usage(
        &mut self,
        batch: &EventBatch,
        event: usize,
        usage: usize,
    ) -> Result<RatedEvent, UnratedReason> {
        let account = batch.events.account.get(event).copied().unwrap_or(UNKNOWN_ACCOUNT);
        if account == UNKNOWN_ACCOUNT {
            return Err(UnratedReason::UnknownAccount);
        }
        let details = Details { batch, sources: &self.sources, event, usage };
        let metered = MeteredUsage {
            account,
            meter: batch.usages.meter.get(usage).copied().unwrap_or(0),
            time: Timestamp::from_micros(batch.events.time.get(event).copied().unwrap_or(0)),
            measure: batch.usages.measure.get(usage).copied().unwrap_or(0),
            event_price: batch.usages.event_price.get(usage).copied().unwrap_or(0),
            details: &details,
        };
        self.totals.rate(&metered, &self.values)
    }

    /// Replaces the decoder's numbers by those of the run.
    pub(crate) fn translate(&mut self, decided: &mut DecidedBatch) {
        let DecidedBatch { batch, new_texts, .. } = decided;
        let Some(numbers) = self.decoders.get_mut(batch.decoder) else { return };
        let learn = |texts: &mut Interner, text: &str, new: &mut Vec<Box<str>>| {
            let interned = texts.intern(text.as_bytes());
            if let Interned::New(_) = interned {
                new.push(text.into());
            }
            interned.number()
        };
        for text in &batch.new_texts.sources {
            numbers.sources.push(learn(&mut self.sources, text, &mut new_texts.sources));
        }
        for text in &batch.new_texts.event_types {
            numbers.event_types.push(learn(&mut self.event_types, text, &mut new_texts.event_types));
        }
        new_texts.dimensions.resize_with(batch.new_texts.dimensions.len(), Vec::new);
        for (dimension, texts) in batch.new_texts.dimensions.iter().enumerate() {
            for text in texts {
                let known = self.values.len(dimension);
                let number = self.values.number(dimension, text);
                if self.values.len(dimension) > known
                    && let Some(new) = new_texts.dimensions.get_mut(dimension)
                {
                    new.push(text.clone());
                }
                if let Some(numbers) = numbers.dimensions.get_mut(dimension) {
                    numbers.push(number);
                }
            }
        }
        translate_column(&mut batch.events.source, &numbers.sources);
        translate_column(&mut batch.events.event_type, &numbers.event_types);
        for (column, numbers) in batch.usages.dimensions.iter_mut().zip(&numbers.dimensions) {
            translate_column(column, numbers);
        }
    }
}

/// Why an event that no meter counts has no price.
pub(crate) fn unmetered(batch: &EventBatch, event: usize) -> UnratedReason {
    let is_metered = batch.events.metered.get(event).copied().unwrap_or(false);
    if is_metered { UnratedReason::NoMeterApplies } else { UnratedReason::UnknownEventType }
}

/// The number of a refused event's text. Where too many are known already it gets none, and the text is dropped:
/// control totals and quarantine say the same of the event.
fn note_text(texts: &mut Interner, text: &mut Option<Box<str>>, new: &mut Vec<Box<str>>) -> Option<u32> {
    let noted = text.take()?;
    let number = match texts.find(noted.as_bytes()) {
        None if texts.len() >= REFUSED_TEXTS_MAX => return None,
        None => {
            new.push(noted.clone());
            texts.intern(noted.as_bytes()).number()
        }
        Some(number) => number,
    };
    *text = Some(noted);
    Some(number)
}

/// The elements of a column that are chosen.
fn filtered<T: Copy>(column: &[T], chosen: impl Iterator<Item = bool>) -> Vec<T> {
    column.iter().zip(chosen).filter_map(|(element, is_chosen)| is_chosen.then_some(*element)).collect()
}

/// Replaces numbers; [`NO_VALUE`] stays.
fn translate_column(column: &mut [u32], numbers: &[u32]) {
    for number in column {
        *number = numbers.get(*number as usize).copied().unwrap_or(NO_VALUE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_refused_events_are_learned_up_to_a_limit() {
        let mut texts = Interner::new(1);
        let mut new = Vec::new();
        let mut note = |number: usize| {
            let mut text = Some(number.to_string().into());
            (note_text(&mut texts, &mut text, &mut new), text.is_some())
        };
        for number in 0..REFUSED_TEXTS_MAX {
            assert_eq!(note(number), (u32::try_from(number).ok(), true));
        }
        assert_eq!(note(REFUSED_TEXTS_MAX), (None, false));
        assert_eq!(note(5), (Some(5), true));
        assert_eq!(new.len(), REFUSED_TEXTS_MAX);
    }
}
