//! Questions to the index, and their answers.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use hashbrown::HashMap;
use jiff::tz::TimeZone;
use schemas::decimal::Decimal;
use schemas::meter::{Aggregation, Meter};
use schemas::timestamp::Timestamp;

use super::rows::{Row, View};
use super::tally::Tally;
use super::windows::WindowSize;
use super::{UsageIndex, read};

/// Whose usage is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subjects {
    /// That of all accounts.
    All,
    /// That of these.
    Of(Vec<String>),
}

/// A dimension, and what its value has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Position of the dimension in the catalog.
    pub dimension: usize,
    /// What its value has to be. No value is an empty text.
    pub test: Test,
}

/// What a value has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// One of these.
    OneOf(Vec<String>),
    /// None of these.
    NoneOf(Vec<String>),
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Question {
    /// Whose usage.
    pub subjects: Subjects,
    /// Of which meter, as a position in the catalog.
    pub meter: u16,
    /// From when on; from the beginning where it is left out.
    pub from: Option<Timestamp>,
    /// Up to when; the end itself is not in it.
    pub to: Option<Timestamp>,
    /// A value for each of these; one for all of the time where it is left out.
    pub window: Option<WindowSize>,
    /// Where windows begin.
    pub zone: TimeZone,
    /// A value for each account?
    pub by_account: bool,
    /// A value for each value of these dimensions, as positions in the catalog.
    pub group_by: Vec<usize>,
    /// Which usage alone.
    pub filters: Vec<Filter>,
    /// Most rows of the answer.
    pub rows_max: usize,
}

/// What was used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// By window, account and group; those without usage are left out.
    pub rows: Vec<AnswerRow>,
    /// Times of the first and the last usage.
    pub span: Option<(Timestamp, Timestamp)>,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AnswerRow {
    /// Start and end of its window, where windows are asked for.
    pub window: Option<(Timestamp, Timestamp)>,
    /// Its account, where each has its own.
    pub account: Option<String>,
    /// The values of the dimensions that are grouped by.
    pub group: Vec<Option<String>>,
    /// What was used.
    pub value: Decimal,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// Of a time that is kept on disk alone.
    #[error("usage before {0} is not in memory: ask from then on, or ask /v1/query for older usage")]
    TooOld(Timestamp),
    /// Of a time of which nobody knows the values any more.
    #[error("what meter {meter} counted before {from} is not kept any more: ask from then on")]
    NotKept {
        /// The meter.
        meter: String,
        /// The time from which on it is.
        from: Timestamp,
    },
    /// The answer is too long.
    #[error("the answer has more than {0} rows: ask for less time, larger windows or fewer groups")]
    TooManyRows(usize),
    /// There are too many windows.
    #[error("there are more than {0} windows from the first to the last: ask for less time or larger ones")]
    TooManyWindows(usize),
    /// A sum has too many digits.
    #[error("the sum has more than 38 digits: ask for less time")]
    Overflow,
    /// A time that no calendar has.
    #[error("the time is too far away")]
    Time,
    /// A meter that the catalog does not have.
    #[error("there is no such meter")]
    UnknownMeter,
}

impl UsageIndex {
    /// Answers a question.
    ///
    /// # Errors
    /// [`UsageError`]: there is no answer then, rather than half of one.
    pub fn ask(&self, question: &Question) -> Result<Answer, UsageError> {
        let meter = self.catalog.meters().get(usize::from(question.meter)).ok_or(UsageError::UnknownMeter)?;
        let from = question.from.map_or(i64::MIN, Timestamp::micros);
        let to = question.to.map_or(i64::MAX, Timestamp::micros);
        let views = match &question.subjects {
            Subjects::All => self.views(question.meter, (from, to)),
            Subjects::Of(accounts) => {
                let mut accounts = accounts.clone();
                accounts.sort_unstable();
                accounts.dedup();
                let view = |account: String| {
                    let view = self.view(&account, question.meter, (from, to));
                    (account, view)
                };
                accounts.into_iter().map(view).collect()
            }
        };
        // IMPORTANT: after the rows were taken, so that none of them was dropped in between unnoticed.
        self.check_known(question.meter, meter, from)?;
        let spans = || views.iter().filter_map(|(_, view)| view.span());
        let first = spans().map(|(first, _)| first).min().unwrap_or(0).max(from);
        let last = spans().map(|(_, last)| last).max().unwrap_or(-1).min(to.saturating_sub(1));
        let bounds = match question.window {
            Some(window) => window.bounds(&question.zone, (first, last.saturating_add(1)))?,
            None => vec![i64::MIN, i64::MAX],
        };
        let mut tallies = Tallies::new(self, question, meter, bounds);
        for (account, view) in &views {
            tallies.add_account(account, view, (from, to))?;
        }
        Ok(tallies.into_answer(meter))
    }

    fn check_known(&self, position: u16, meter: &Meter, from: i64) -> Result<(), UsageError> {
        let horizon = self.horizon.load(Ordering::Relaxed);
        if from < horizon && self.has_older.load(Ordering::Relaxed) {
            return Err(UsageError::TooOld(Timestamp::from_micros(horizon)));
        }
        let known_from = self.known_from.get(usize::from(position));
        let known_from = known_from.map_or(i64::MIN, |known_from| known_from.load(Ordering::Relaxed));
        if from < known_from {
            let from = Timestamp::from_micros(known_from);
            return Err(UsageError::NotKept { meter: meter.id.to_string(), from });
        }
        Ok(())
    }
}

/// Windows, and which of them the last row was in: rows are about in order.
struct Windows {
    bounds: Vec<i64>,
    window: usize,
    holds: (i64, i64),
}

impl Windows {
    fn window_of(&mut self, time: i64) -> usize {
        if !(self.holds.0..self.holds.1).contains(&time) {
            self.window = self.bounds.partition_point(|bound| *bound <= time).saturating_sub(1);
            let bound = |position: usize| self.bounds.get(position).copied().unwrap_or(i64::MAX);
            self.holds = (bound(self.window), bound(self.window + 1));
        }
        self.window
    }
}

/// An account and the values of a group.
type Group = (Option<String>, Vec<Option<String>>);

struct Tallies<'a> {
    index: &'a UsageIndex,
    question: &'a Question,
    aggregation: Aggregation,
    windows: Windows,
    groups: Vec<Group>,
    group_numbers: HashMap<Group, usize>,
    /// Per set of values, its group; `None` for those that are not asked for.
    group_of_set: HashMap<u32, Option<usize>>,
    found: Vec<Tally>,
    /// By window and group.
    places: HashMap<(usize, usize), usize>,
    span: Option<(i64, i64)>,
}

impl<'a> Tallies<'a> {
    fn new(index: &'a UsageIndex, question: &'a Question, meter: &Meter, bounds: Vec<i64>) -> Self {
        Self {
            index,
            question,
            aggregation: meter.aggregation,
            // Nothing is in the last window of all before the first row.
            windows: Windows { bounds, window: 0, holds: (i64::MAX, i64::MAX) },
            groups: Vec::new(),
            group_numbers: HashMap::new(),
            group_of_set: HashMap::new(),
            found: Vec::new(),
            places: HashMap::new(),
            span: None,
        }
    }

    fn add_account(&mut self, account: &str, view: &View, times: (i64, i64)) -> Result<(), UsageError> {
        let of = self.question.by_account.then(|| account.to_owned());
        if of.is_some() {
            self.group_of_set.clear();
        }
        // Then all sets are of one group.
        let is_whole = self.question.group_by.is_empty() && self.question.filters.is_empty();
        let mut last_set = None;
        let mut last_place = None;
        view.rows(times, |row| {
            let group = match last_set {
                Some((set, group)) if is_whole || set == row.set => group,
                _ => self.group_of(row.set, of.as_ref()),
            };
            last_set = Some((row.set, group));
            let Some(group) = group else { return Ok(()) };
            let window = self.windows.window_of(row.time);
            let place = match last_place {
                Some((of, place)) if of == (window, group) => Some(place),
                _ => self.places.get(&(window, group)).copied(),
            };
            let Some(place) = place else { return self.begin((window, group), row) };
            last_place = Some(((window, group), place));
            self.note(row.time);
            let is_count = self.aggregation == Aggregation::Count;
            let tally = self.found.get_mut(place);
            tally.and_then(|tally| tally.add(row, is_count)).ok_or(UsageError::Overflow)
        })
    }

    fn begin(&mut self, key: (usize, usize), row: Row<'_>) -> Result<(), UsageError> {
        if self.found.len() >= self.question.rows_max {
            return Err(UsageError::TooManyRows(self.question.rows_max));
        }
        self.places.insert(key, self.found.len());
        self.found.push(Tally::of(self.aggregation, row));
        self.note(row.time);
        Ok(())
    }

    fn note(&mut self, time: i64) {
        let (first, last) = self.span.unwrap_or((time, time));
        self.span = Some((first.min(time), last.max(time)));
    }

    fn group_of(&mut self, set: u32, account: Option<&String>) -> Option<usize> {
        if let Some(group) = self.group_of_set.get(&set) {
            return *group;
        }
        let sets = read(&self.index.sets);
        let is_asked_for = self.question.filters.iter().all(|filter| {
            let value = sets.text(set, filter.dimension).unwrap_or_default();
            match &filter.test {
                Test::OneOf(values) => values.iter().any(|one| one == value),
                Test::NoneOf(values) => values.iter().all(|one| one != value),
            }
        });
        let group = is_asked_for.then(|| {
            let value = |dimension: &usize| sets.text(set, *dimension).map(ToOwned::to_owned);
            let group = (account.cloned(), self.question.group_by.iter().map(value).collect());
            let next = self.groups.len();
            *self.group_numbers.entry(group).or_insert_with_key(|group: &Group| {
                self.groups.push(group.clone());
                next
            })
        });
        drop(sets);
        self.group_of_set.insert(set, group);
        group
    }

    fn into_answer(self, meter: &Meter) -> Answer {
        let decimals = if meter.aggregation.is_numeric() { meter.decimals } else { 0 };
        let Windows { bounds, .. } = self.windows;
        // By window and then by group, in the order of their texts.
        let mut rows = BTreeMap::new();
        for ((window, group), place) in self.places {
            let (Some(tally), Some((account, values))) = (self.found.get(place), self.groups.get(group))
            else {
                continue;
            };
            let bound = |position: usize| bounds.get(position).copied().map(Timestamp::from_micros);
            let of_window = || Some((bound(window)?, bound(window + 1)?));
            let key = (self.question.window.and_then(|_| of_window()), account.clone(), values.clone());
            rows.insert(key, Decimal::new(tally.value(), decimals));
        }
        let rows = rows.into_iter().map(|((window, account, group), value)| AnswerRow {
            window,
            account,
            group,
            value,
        });
        let micros = |(first, last)| (Timestamp::from_micros(first), Timestamp::from_micros(last));
        Answer { rows: rows.collect(), span: self.span.map(micros) }
    }
}
