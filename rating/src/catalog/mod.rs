//! The catalog: documents validated as a whole and compiled into what rating looks up.
//!
//! A catalog is immutable. Names have become positions; for an account, a meter and an event time it
//! answers which contract line applies, which version of which price book, and for how long the answer
//! holds, or why there is none.

mod compile;
mod documents;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use schemas::csv_mapping::CsvMapping;
use schemas::currency::Currency;
use schemas::date::Date;
use schemas::id::{AccountId, ContractId, ContractLineId, DimensionName, PriceBookId};
use schemas::legal_entity::LegalEntity;
use schemas::meter::Meter;
use schemas::period::{BillingCycle, Period};
use schemas::quarantine::UnratedReason;
use schemas::timestamp::Timestamp;

use crate::price::{ActiveDays, Price};

pub use compile::compile;
pub use documents::{Documents, Located, Origin, Problem, Unread};

/// A compiled catalog. Positions in one list are numbers in the others.
#[derive(Debug, Default)]
pub struct Catalog {
    meters: Vec<Meter>,
    dimensions: Vec<DimensionName>,
    legal_entities: Vec<LegalEntity>,
    csv_mappings: Vec<CsvMapping>,
    accounts: Vec<Account>,
    lines: Vec<Line>,
    terms: Vec<LineTerms>,
    timelines: Vec<Timeline>,
    price_book_versions: Vec<PriceBookVersion>,
    rates: Vec<Rate>,
}

/// An account and what its contracts sell it.
#[derive(Debug)]
struct Account {
    id: AccountId,
    /// Terms of contract lines, each for a time.
    assignments: Vec<Assignment>,
}

#[derive(Clone, Copy, Debug)]
struct Assignment {
    terms: u32,
    period: Period,
}

/// A contract line: what amounts are accumulated and posted under, across versions of its contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Identifier.
    pub id: ContractLineId,
    /// Its contract.
    pub contract: ContractId,
    /// Seller, as a position.
    pub legal_entity: u32,
    /// Currency of its amounts.
    pub currency: Currency,
    /// Its billing periods.
    pub cycle: BillingCycle,
}

/// What a version of a contract says about a line.
#[derive(Debug)]
pub struct LineTerms {
    /// The line, as a position.
    pub line: u32,
    /// Version of the contract.
    pub contract_version: u32,
    /// When it is in force.
    period: Period,
    /// The prices, as a position among the timelines.
    timeline: u32,
    /// Meters covered: lines that cover all of a price book share them.
    meters: Arc<MeterSet>,
}

/// A set of meters, by position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct MeterSet(Vec<u64>);

/// The versions of a price book, at the instants they take effect in a time zone.
#[derive(Debug)]
struct Timeline {
    /// In order of time, without gaps or overlaps.
    versions: Vec<(Period, u32)>,
}

/// A version of a price book.
#[derive(Debug)]
pub struct PriceBookVersion {
    /// The price book.
    pub price_book: PriceBookId,
    /// Number of the version.
    pub version: u32,
    /// Does usage count from zero when it takes over within a billing period?
    pub resets_tiers: bool,
    /// Per meter, the position of its rate.
    rates: Vec<Option<u32>>,
}

/// A rate of a price book version, compiled.
#[derive(Debug)]
pub struct Rate {
    /// What usage costs.
    pub price: Price,
    /// Dimensions that tell charges apart, as positions among the catalog's dimensions.
    pub group: Vec<usize>,
    /// Unit of the quantity that is priced: what a conversion calls it, or else the meter's.
    pub pricing_unit: Option<String>,
}

/// What applies to usage of a meter by an account at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// The terms of the contract line, as a position.
    pub terms: u32,
    /// The price book version, as a position.
    pub price_book_version: u32,
    /// The rate, as a position.
    pub rate: u32,
    /// Event times for which all of this is the answer.
    pub holds: Period,
}

impl MeterSet {
    fn insert(&mut self, meter: usize) {
        let word = meter.checked_div(64).unwrap_or(0);
        if self.0.len() <= word {
            self.0.resize(word.saturating_add(1), 0);
        }
        if let Some(bits) = self.0.get_mut(word) {
            *bits |= bit(meter);
        }
    }

    fn contains(&self, meter: usize) -> bool {
        let word = meter.checked_div(64).and_then(|word| self.0.get(word));
        word.is_some_and(|bits| bits & bit(meter) != 0)
    }

    fn common(&self, other: &Self) -> Option<usize> {
        (0..self.0.len().min(other.0.len()).saturating_mul(64))
            .find(|meter| self.contains(*meter) && other.contains(*meter))
    }
}

fn bit(meter: usize) -> u64 {
    1u64.rotate_left(u32::try_from(meter.checked_rem(64).unwrap_or(0)).unwrap_or(0))
}

impl Catalog {
    /// Meters, by position.
    #[must_use]
    pub fn meters(&self) -> &[Meter] {
        &self.meters
    }

    /// Names of the dimensions of all meters, sorted.
    #[must_use]
    pub fn dimensions(&self) -> &[DimensionName] {
        &self.dimensions
    }

    /// Legal entities, by position.
    #[must_use]
    pub fn legal_entities(&self) -> &[LegalEntity] {
        &self.legal_entities
    }

    /// CSV mappings.
    #[must_use]
    pub fn csv_mappings(&self) -> &[CsvMapping] {
        &self.csv_mappings
    }

    /// Ids of the accounts, by position.
    #[must_use]
    pub fn accounts(&self) -> impl ExactSizeIterator<Item = &AccountId> {
        self.accounts.iter().map(|account| &account.id)
    }

    /// Id of the account at a position.
    #[must_use]
    pub fn account(&self, position: u32) -> Option<&AccountId> {
        self.accounts.get(position as usize).map(|account| &account.id)
    }

    /// Contract lines, by position.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Terms of contract lines, by position.
    #[must_use]
    pub fn terms(&self) -> &[LineTerms] {
        &self.terms
    }

    /// Price book versions, by position.
    #[must_use]
    pub fn price_book_versions(&self) -> &[PriceBookVersion] {
        &self.price_book_versions
    }

    /// Rates, by position.
    #[must_use]
    pub fn rates(&self) -> &[Rate] {
        &self.rates
    }

    /// What applies to usage of a meter by an account at an event time.
    ///
    /// # Errors
    /// Why nothing does.
    pub fn resolve(&self, account: u32, meter: u16, time: Timestamp) -> Result<Resolution, UnratedReason> {
        let account = self.accounts.get(account as usize).ok_or(UnratedReason::UnknownAccount)?;
        let meter = usize::from(meter);
        let covers = |assignment: &&Assignment| {
            assignment.period.contains(time)
                && self.terms.get(assignment.terms as usize).is_some_and(|terms| terms.meters.contains(meter))
        };
        let assignment = account.assignments.iter().find(covers).ok_or(UnratedReason::NoContractLine)?;
        let timeline = self
            .terms
            .get(assignment.terms as usize)
            .and_then(|terms| self.timelines.get(terms.timeline as usize))
            .ok_or(UnratedReason::NoPriceBookVersion)?;
        let (period, version) = timeline
            .versions
            .iter()
            .find(|(period, _)| period.contains(time))
            .ok_or(UnratedReason::NoPriceBookVersion)?;
        let rate = self
            .price_book_versions
            .get(*version as usize)
            .and_then(|version| version.rates.get(meter).copied().flatten())
            .ok_or(UnratedReason::NoRate)?;
        Ok(Resolution {
            terms: assignment.terms,
            price_book_version: *version,
            rate,
            holds: assignment.period.intersection(period),
        })
    }

    /// Loads what [`Catalog::resolve`] reads of an account. Every load waits for the one before, but not
    /// for those of other accounts: called for some accounts ahead, it makes their misses overlap.
    #[inline]
    #[must_use]
    pub fn touch(&self, account: u32) -> u64 {
        let account = self.accounts.get(account as usize);
        let assignment = account.and_then(|account| account.assignments.first());
        let terms = assignment.and_then(|assignment| self.terms.get(assignment.terms as usize));
        let line = terms.and_then(|terms| self.lines.get(terms.line as usize));
        let meters = terms.and_then(|terms| terms.meters.0.first());
        meters.copied().unwrap_or(0) ^ u64::from(line.map_or(0, |line| line.legal_entity))
    }

    /// The days terms are in force within a billing period that begins and ends at midnight of these
    /// dates.
    #[must_use]
    pub fn active_days(&self, terms: u32, start: Date, end: Date) -> Option<ActiveDays> {
        let terms = self.terms.get(terms as usize)?;
        let line = self.lines.get(terms.line as usize)?;
        let entity = self.legal_entities.get(line.legal_entity as usize)?;
        let day_of = |instant: Timestamp| entity.timezone.day_of(instant).0;
        let first =
            if terms.period.start == Timestamp::MIN { start } else { day_of(terms.period.start).max(start) };
        let after = if terms.period.end == Timestamp::MAX {
            end
        } else {
            // A last day that is begun counts.
            let last = day_of(Timestamp::from_micros(terms.period.end.micros().saturating_sub(1)));
            Date::from_days(last.days().saturating_add(1)).min(end)
        };
        Some(ActiveDays {
            active: after.days().saturating_sub(first.days()).max(0),
            period: end.days().saturating_sub(start.days()),
            currency: line.currency,
            rounding: entity.rounding,
        })
    }
}
