//! What a catalog says of a charge that was rated under it, or under the one before.
//!
//! A segment is what the catalog says of the event times of its days. Where another catalog was there
//! before, both are asked, and must agree in all that decides about usage: then a fold of the same usages
//! under the new catalog from the beginning has the same segments, prices and amounts.

use std::fmt::Write;

use hashbrown::HashMap;
use rating::catalog::{Catalog, Resolution};
use rating::price::Terms;
use schemas::date::Date;
use schemas::period::{BillingCycle, Period};
use schemas::quarantine::UnratedReason;
use schemas::timestamp::Timestamp;

use super::bytes::Damage;
use super::catalog_names::{Named, NamedVersion};
use super::charge_record::{ChargeRecord, SegmentRecord};
use super::comparison::{line_differences, meter_differences, rate_differences};
use crate::catalog_conflicts::{CatalogConflicts, ChangedUsage};
use crate::charge::{Day, Segment};

/// Looks up charges in a catalog, and compares it with the one before.
pub(super) struct Resolver<'a> {
    now: &'a Catalog,
    before: Option<&'a Catalog>,
    pub(super) conflicts: CatalogConflicts,
    /// Billing periods by legal entity, cycle and first day.
    periods: HashMap<(u32, BillingCycle, i32), Period>,
    /// Service days by legal entity and date.
    days: HashMap<(u32, i32), Period>,
    /// What differs, by position before and now.
    meters: HashMap<(u32, u32), Vec<&'static str>>,
    lines: HashMap<(u32, u32), Vec<&'static str>>,
    rates: HashMap<(u32, u32), Vec<&'static str>>,
}

/// A charge whose names are all in the catalog.
#[derive(Clone, Copy)]
pub(super) struct Found<'b> {
    pub(super) account: (u32, Named<'b>),
    pub(super) line: (u32, Named<'b>),
    pub(super) meter: (u16, Named<'b>),
    pub(super) legal_entity: u32,
    cycle: BillingCycle,
}

/// The segment resolved before, which is the next in time.
#[derive(Clone, Copy)]
struct Later {
    holds: Period,
    terms_now: u32,
    terms_before: u32,
}

const OF_OTHER_CATALOG: Damage = Damage("it is not of the catalog it is said to be of");

impl<'a> Resolver<'a> {
    pub(super) fn new(now: &'a Catalog, before: Option<&'a Catalog>) -> Self {
        Self {
            now,
            before,
            conflicts: CatalogConflicts::default(),
            periods: HashMap::default(),
            days: HashMap::default(),
            meters: HashMap::default(),
            lines: HashMap::default(),
            rates: HashMap::default(),
        }
    }

    /// Finds what a charge names, and compares it. `None` where there is a conflict.
    pub(super) fn find<'b>(&mut self, record: &ChargeRecord<'b>) -> Result<Option<Found<'b>>, Damage> {
        let (Some(account), Some(line), Some(meter)) = (record.account, record.line, record.meter) else {
            return Err(OF_OTHER_CATALOG);
        };
        let usage = ChangedUsage { account: account.id, line: line.id, times: times(&record.days) };
        let mut is_known = true;
        for (kind, named) in [("account", account), ("contract line", line), ("meter", meter)] {
            if named.now.is_none() {
                let what = format!("the {kind} {} is gone, and has usage", named.id);
                self.conflicts.note(what, "keep it in the catalog; end its contract instead", usage);
                is_known = false;
            }
        }
        let (Some(account_now), Some(line_now), Some(meter_now)) = (account.now, line.now, meter.now) else {
            return Ok(None);
        };
        if let Some(catalog) = self.before {
            let (Some(_), Some(line_before), Some(meter_before)) =
                (account.before, line.before, meter.before)
            else {
                return Err(OF_OTHER_CATALOG);
            };
            let compare = || meter_differences((catalog, meter_before), (self.now, meter_now));
            let differences = self.meters.entry((meter_before, meter_now)).or_insert_with(compare);
            for part in &*differences {
                let what =
                    format!("the {part} of the meter {} differs from what usage was metered by", meter.id);
                self.conflicts.note(what, "give the changed meter an id of its own", usage);
            }
            is_known &= differences.is_empty();
            let compare = || line_differences((catalog, line_before), (self.now, line_now));
            let differences = self.lines.entry((line_before, line_now)).or_insert_with(compare);
            for part in &*differences {
                let what = format!(
                    "the {part} of the contract line {} differs from what usage was rated by",
                    line.id
                );
                self.conflicts.note(what, "end the line and begin one with an id of its own", usage);
            }
            is_known &= differences.is_empty();
        }
        let document = self.now.lines().get(line_now as usize).ok_or(OF_OTHER_CATALOG)?;
        let meter_now = u16::try_from(meter_now).map_err(|_| OF_OTHER_CATALOG)?;
        Ok(is_known.then_some(Found {
            account: (account_now, account),
            line: (line_now, line),
            meter: (meter_now, meter),
            legal_entity: document.legal_entity,
            cycle: document.cycle,
        }))
    }

    /// Appends the segments of a charge, the newest first; `false` where there is a conflict.
    pub(super) fn segments(
        &mut self,
        found: &Found<'_>,
        record: &ChargeRecord<'_>,
        segments: &mut Vec<Segment>,
    ) -> Result<bool, Damage> {
        let mut later = None;
        let mut agrees = true;
        for written in &record.segments {
            let days = record.days.get(written.days.clone()).unwrap_or_default();
            match self.segment(found, record.period_start, written, times(days), &mut later)? {
                Some(segment) => segments.push(segment),
                None => agrees = false,
            }
        }
        if agrees {
            for day in &record.days {
                self.check_day(found.legal_entity, day)?;
            }
        }
        Ok(agrees)
    }

    fn segment(
        &mut self,
        found: &Found<'_>,
        period_start: i32,
        written: &SegmentRecord<'_>,
        times: (i64, i64),
        later: &mut Option<Later>,
    ) -> Result<Option<Segment>, Damage> {
        let (first, last) = (Timestamp::from_micros(times.0), Timestamp::from_micros(times.1));
        let usage = ChangedUsage { account: found.account.1.id, line: found.line.1.id, times };
        let now = self.now.resolve(found.account.0, found.meter.0, first);
        let at_end = match now {
            Ok(now) if now.holds.contains(last) => Ok(now),
            _ => self.now.resolve(found.account.0, found.meter.0, last),
        };
        let before = self.resolve_before(found, written.version, first, last)?;
        let contract_version = before.and_then(|before| {
            let terms = self.before?.terms().get(before.terms as usize)?;
            Some(terms.contract_version)
        });
        let mut agrees = true;
        for resolution in [now, at_end] {
            let difference = self.difference(resolution, found, written.version, contract_version);
            if let Some(what) = difference {
                let mend = "let the change take effect after this usage";
                self.conflicts.note(what, mend, usage);
                agrees = false;
            }
        }
        let (Ok(now), Ok(at_end), true) = (now, at_end, agrees) else { return Ok(None) };
        if now != at_end {
            let what =
                format!("what applies to the contract line {} changes within its usage", found.line.1.id);
            self.conflicts.note(what, "let the change take effect after this usage", usage);
            return Ok(None);
        }
        if let Some(before) = before {
            agrees = self.compare(found, period_start, written, &before, &now, usage)?;
        }
        let period = self.billing_period(found, period_start, first)?;
        let holds = now.holds.intersection(&period);
        if !holds.contains(first) || !holds.contains(last) {
            return Err(Damage("usage is not in its billing period"));
        }
        let terms_before = before.map_or(now.terms, |before| before.terms);
        if let Some(later) = *later {
            let is_apart = holds.end <= later.holds.start;
            let is_same_change = (later.terms_now == now.terms) == (later.terms_before == terms_before);
            if before.is_none() && !is_apart {
                return Err(Damage("segments are not in order"));
            }
            if !is_apart || !is_same_change {
                let line = found.line.1.id;
                let what = format!("the terms of the contract line {line} change at other times than before");
                self.conflicts.note(what, "keep its past versions as they were", usage);
                return Ok(None);
            }
        }
        *later = Some(Later { holds, terms_now: now.terms, terms_before });
        let version = self.now.price_book_versions().get(now.price_book_version as usize);
        let segment = Segment {
            holds,
            rate: now.rate,
            contract_terms: now.terms,
            price_book_version: now.price_book_version,
            resets: version.is_some_and(|version| version.resets_tiers),
            terms: Terms { constant: written.constant },
        };
        Ok(agrees.then_some(segment))
    }

    /// What the catalog before says of a segment, if there is one.
    fn resolve_before(
        &self,
        found: &Found<'_>,
        version: NamedVersion<'_>,
        first: Timestamp,
        last: Timestamp,
    ) -> Result<Option<Resolution>, Damage> {
        let Some(catalog) = self.before else { return Ok(None) };
        let account = found.account.1.before.ok_or(OF_OTHER_CATALOG)?;
        let meter =
            found.meter.1.before.and_then(|meter| u16::try_from(meter).ok()).ok_or(OF_OTHER_CATALOG)?;
        let before = catalog.resolve(account, meter, first).map_err(|_| OF_OTHER_CATALOG)?;
        let line = catalog.terms().get(before.terms as usize).map(|terms| terms.line);
        let is_it = line == found.line.1.before
            && Some(before.price_book_version) == version.before
            && before.holds.contains(last);
        if is_it { Ok(Some(before)) } else { Err(OF_OTHER_CATALOG) }
    }

    /// In what a resolution differs from what a segment was rated by.
    fn difference(
        &self,
        resolution: Result<Resolution, UnratedReason>,
        found: &Found<'_>,
        version: NamedVersion<'_>,
        contract_version: Option<u32>,
    ) -> Option<String> {
        let (line, meter) = (found.line.1.id, found.meter.1.id);
        let what = |now: String| format!("usage of the meter {meter} under the contract line {line} {now}");
        let now = match resolution {
            Ok(now) => now,
            Err(reason) => return Some(what(format!("has no price any more ({reason})"))),
        };
        let terms = self.now.terms().get(now.terms as usize)?;
        if terms.line != found.line.0 {
            let other = self.now.lines().get(terms.line as usize).map(|line| line.id.as_str());
            return Some(what(format!("is now under {}", other.unwrap_or_default())));
        }
        if Some(now.price_book_version) != version.now {
            let other = self.now.price_book_versions().get(now.price_book_version as usize);
            let mut text = String::from("is now priced by");
            if let Some(other) = other {
                let _ = write!(text, " version {} of the price book {}", other.version, other.price_book);
            }
            let _ = write!(text, ", not by version {} of {}", version.version, version.price_book);
            return Some(what(text));
        }
        let is_other = contract_version.is_some_and(|version| version != terms.contract_version);
        is_other.then(|| what(format!("is now under version {} of its contract", terms.contract_version)))
    }

    /// Compares what a segment was rated by with what it would be rated by; `false` for a conflict.
    fn compare(
        &mut self,
        found: &Found<'_>,
        period_start: i32,
        written: &SegmentRecord<'_>,
        before: &Resolution,
        now: &Resolution,
        usage: ChangedUsage<'_>,
    ) -> Result<bool, Damage> {
        let catalog = self.before.ok_or(OF_OTHER_CATALOG)?;
        let parts = |catalog: &'a Catalog, resolution: &Resolution| {
            let version = catalog.price_book_versions().get(resolution.price_book_version as usize)?;
            Some((catalog, version, catalog.rates().get(resolution.rate as usize)?))
        };
        let (Some(of_before), Some(of_now)) = (parts(catalog, before), parts(self.now, now)) else {
            return Err(OF_OTHER_CATALOG);
        };
        let compare = || rate_differences(of_before, of_now);
        let differences = self.rates.entry((before.rate, now.rate)).or_insert_with(compare);
        for part in &*differences {
            let NamedVersion { price_book, version, .. } = written.version;
            let what = format!(
                "the {part} of the meter {} in version {version} of the price book {price_book} differs from \
                 the one that rated usage",
                found.meter.1.id
            );
            let mend = "write it into a new version with a later effective_from";
            self.conflicts.note(what, mend, usage);
        }
        let mut agrees = differences.is_empty();
        let price = &of_now.2.price;
        if agrees && price.is_prorated() {
            let start = Date::from_days(period_start);
            let (_, end) = found.cycle.period_of(start);
            let days = self.now.active_days(now.terms, start, end).ok_or(OF_OTHER_CATALOG)?;
            let fee = price.terms(&[], &days).ok();
            if fee != Some(Terms { constant: written.constant }) {
                let what = format!(
                    "the contract line {} is in force on other days of a billing period whose fee for the \
                     meter {} is rated",
                    found.line.1.id, found.meter.1.id
                );
                self.conflicts.note(what, "let it begin or end with another billing period", usage);
                agrees = false;
            }
        }
        Ok(agrees)
    }

    /// The billing period of a charge, in which there is an event at a time.
    fn billing_period(&mut self, found: &Found<'_>, start: i32, time: Timestamp) -> Result<Period, Damage> {
        let key = (found.legal_entity, found.cycle, start);
        if let Some(period) = self.periods.get(&key) {
            return Ok(*period);
        }
        let entity = self.now.legal_entities().get(found.legal_entity as usize).ok_or(OF_OTHER_CATALOG)?;
        let zone = &entity.timezone;
        let (first, end) = found.cycle.period_of(zone.day_of(time).0);
        if first.days() != start {
            return Err(Damage("usage is not in its billing period"));
        }
        let period = Period { start: zone.start_of(first), end: zone.start_of(end) };
        self.periods.insert(key, period);
        Ok(period)
    }

    /// A day is a day of its legal entity, and holds its events.
    fn check_day(&mut self, legal_entity: u32, day: &Day) -> Result<(), Damage> {
        let (first, last) = (Timestamp::from_micros(day.first), Timestamp::from_micros(day.last));
        let holds = self.day_holds(legal_entity, day.date, first)?;
        if holds.contains(first) && holds.contains(last) { Ok(()) } else { Err(OTHER_DAY) }
    }

    /// The event times of a day, in which there is an event at a time.
    pub(super) fn day_holds(
        &mut self,
        legal_entity: u32,
        date: i32,
        time: Timestamp,
    ) -> Result<Period, Damage> {
        if let Some(holds) = self.days.get(&(legal_entity, date)) {
            return Ok(*holds);
        }
        let entity = self.now.legal_entities().get(legal_entity as usize).ok_or(OF_OTHER_CATALOG)?;
        let (found, holds) = entity.timezone.day_of(time);
        if found.days() != date {
            return Err(OTHER_DAY);
        }
        self.days.insert((legal_entity, date), holds);
        Ok(holds)
    }

    /// Notes that a charge comes to another amount.
    pub(super) fn note_amount(&mut self, found: &Found<'_>, record: &ChargeRecord<'_>) {
        let usage =
            ChangedUsage { account: found.account.1.id, line: found.line.1.id, times: times(&record.days) };
        let (line, meter) = (found.line.1.id, found.meter.1.id);
        let what =
            format!("usage of the meter {meter} under the contract line {line} comes to another amount");
        self.conflicts.note(what, "keep the catalog's past as it was", usage);
    }
}

const OTHER_DAY: Damage = Damage("an event is not in its service day");

/// First and last event time of some days.
fn times(days: &[Day]) -> (i64, i64) {
    let merge = |times: (i64, i64), day: &Day| (times.0.min(day.first), times.1.max(day.last));
    days.iter().fold((i64::MAX, i64::MIN), merge)
}
