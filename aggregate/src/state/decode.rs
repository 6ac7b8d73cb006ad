//! Running totals from bytes.
//!
//! Amounts of charges must be what the catalog says of their usage. Under another catalog than before they
//! must be that from day to day, too.

use hashbrown::HashMap;
use rating::Overflow;
use rating::catalog::Catalog;
use rating::price::Terms;
use schemas::money::Amount;
use schemas::period::Period;
use schemas::timestamp::Timestamp;

use super::bytes::{ByteReader, Damage};
use super::catalog_names::{BothPositions, Positions};
use super::charge_record::{CHARGE_BYTES_MIN, ChargeNames, ChargeRecord};
use super::resolver::{Found, Resolver};
use crate::accrual_round::AccrualRound;
use crate::charge::{Charge, ChargeKey, Day, Fold, NO_DAY};
use crate::error::AggregateError;
use crate::running_totals::{DistinctValue, NO_CHARGE, RunningTotals};

/// Fewest bytes of a distinct value.
const DISTINCT_BYTES_MIN: usize = 17;

/// No event time: a charge without usage holds none, and every segment is after it.
const NEVER: Period = Period { start: Timestamp::MIN, end: Timestamp::MIN };

/// No segment.
const NO_SEGMENT: u32 = u32::MAX;

impl RunningTotals {
    /// Reads into totals of nothing.
    pub(super) fn decode(
        &mut self,
        previous: Option<&Catalog>,
        reader: &mut ByteReader<'_>,
    ) -> Result<(), AggregateError> {
        let catalog = std::sync::Arc::clone(&self.catalog);
        let lengths = self.decode_groups(reader)?;
        let number = reader.small::<u32>()?;
        self.charges.round = AccrualRound { number: number.max(1), ..AccrualRound::first() };
        let positions = BothPositions { now: Positions::new(&catalog), before: previous.map(Positions::new) };
        let mut names = ChargeNames::default();
        let mut record = ChargeRecord::default();
        let mut resolver = Resolver::new(&catalog, previous);
        let count = reader.count(CHARGE_BYTES_MIN)?;
        self.charges.all.reserve(count);
        self.charges.segments.reserve(count);
        self.charges.days.reserve(count);
        for _ in 0..count {
            record.read(&mut names, &positions, reader)?;
            let begin = self.charges.segments.len();
            let Some(found) = resolver.find(&record)? else { continue };
            if !resolver.segments(&found, &record, &mut self.charges.segments)? {
                self.charges.segments.truncate(begin);
                continue;
            }
            self.check_group(&record, &lengths, begin)?;
            self.add_charge(&found, &mut record, begin, &mut resolver)?;
            let is_as_before = self.is_as_written(&record)? && (previous.is_none() || self.adds_up(&record));
            if !is_as_before && previous.is_none() {
                return Err(Damage("a charge does not come to its amount").into());
            }
            if !is_as_before {
                resolver.note_amount(&found, &record);
            }
        }
        if !resolver.conflicts.is_empty() {
            return Err(AggregateError::CatalogConflict(Box::new(resolver.conflicts)));
        }
        Ok(self.decode_distinct(reader)?)
    }

    /// Reads combinations of dimension values; of how many values each is. A dimension that the catalog has no more
    /// gets a position that no other has: no charge that it knows is told apart by it.
    fn decode_groups(&mut self, reader: &mut ByteReader<'_>) -> Result<Vec<usize>, Damage> {
        let mut dimensions = Vec::new();
        for gone in (0..reader.count(1)?).map(|place| u32::MAX - u32::try_from(place).unwrap_or(0)) {
            let name = reader.text()?;
            let known = self.catalog.dimensions().iter().position(|known| known.as_str() == name);
            dimensions.push(known.and_then(|known| u32::try_from(known).ok()).unwrap_or(gone));
        }
        let count = reader.count(3)?;
        self.groups.reserve(count);
        let mut lengths = Vec::with_capacity(count);
        for number in 1..=count {
            let number = u32::try_from(number).map_err(|_| Damage("there are too many groups"))?;
            let length = reader.count(1)?;
            let mut values = Vec::with_capacity(length * 2);
            for _ in 0..length {
                let dimension = dimensions.get(reader.small::<u32>()? as usize);
                values.push(*dimension.ok_or(Damage("a dimension is not there"))?);
                // 0 is no value.
                values.push(reader.small::<u32>()?.wrapping_sub(1));
            }
            lengths.push(length);
            if self.groups.insert(values.into_boxed_slice(), number).is_some() {
                return Err(Damage("a group is there twice"));
            }
        }
        Ok(lengths)
    }

    /// A charge is told apart by as many values as its rates group by.
    fn check_group(
        &self,
        record: &ChargeRecord<'_>,
        lengths: &[usize],
        first_segment: usize,
    ) -> Result<(), Damage> {
        let place = (record.group as usize).checked_sub(1);
        let length = match place {
            None => 0,
            Some(place) => *lengths.get(place).ok_or(Damage("a group is not there"))?,
        };
        for segment in self.charges.segments.get(first_segment..).unwrap_or_default() {
            let rate = self.catalog.rates().get(segment.rate as usize);
            if rate.is_some_and(|rate| rate.group.len() != length) {
                return Err(Damage("a charge is of another group"));
            }
        }
        Ok(())
    }

    /// Adds a charge whose segments are there. Leaves the days of the record in order of time.
    fn add_charge(
        &mut self,
        found: &Found<'_>,
        record: &mut ChargeRecord<'_>,
        first_segment: usize,
        resolver: &mut Resolver<'_>,
    ) -> Result<(), Damage> {
        let too_many = Damage("there are too many charges, segments or days");
        let narrow = |number: usize| u32::try_from(number).map_err(|_| too_many);
        let position = narrow(self.charges.all.len())?;
        let first_segment = narrow(first_segment)?;
        let key = ChargeKey {
            account: found.account.0,
            line: found.line.0,
            meter: found.meter.0,
            period_start: record.period_start,
            group: record.group,
        };
        narrow(self.charges.segments.len())?;
        for day in record.days.iter_mut().chain(&mut record.before) {
            day.segment += first_segment;
        }
        let newest = record.days.first().copied().unwrap_or(Day::empty(i32::MIN, NO_SEGMENT));
        let segment = self.charges.segments.get(newest.segment as usize);
        let day_holds = match segment {
            Some(segment) => {
                let time = Timestamp::from_micros(newest.first);
                resolver.day_holds(found.legal_entity, newest.date, time)?.intersection(&segment.holds)
            }
            None => NEVER,
        };
        let round = if record.is_touched { self.charges.round.number } else { 0 };
        let mut charge = Charge {
            day_holds,
            rate: segment.map_or(0, |segment| segment.rate),
            price_book_version: segment.map_or(0, |segment| segment.price_book_version),
            legal_entity: found.legal_entity,
            round,
            usage: record.usage,
            base: record.base,
            amount: record.amount,
            day: newest,
            terms: segment.map_or(Terms::default(), |segment| segment.terms),
            holds: segment.map_or(NEVER, |segment| segment.holds),
            key,
        };
        let behind = record.days.get(1..).unwrap_or_default();
        let mut next = narrow(self.charges.days.len())?;
        if !behind.is_empty() {
            charge.day.next = next;
        }
        for (ordinal, day) in (1..).zip(behind) {
            next = next.checked_add(1).filter(|next| *next < NO_DAY).ok_or(too_many)?;
            let next = if ordinal == behind.len() { NO_DAY } else { next };
            self.charges.days.push(Day { next, ..*day });
        }
        self.charges.all.push(charge);
        self.note_round(position, record, &newest);
        for (day, (id, source)) in &record.identities {
            if let Some(day) = record.days.get(*day) {
                let key = (position, day.date, day.segment);
                self.latest.insert(key, ((*id).to_owned(), (*source).to_owned()));
            }
        }
        self.make_known(position, key)?;
        record.days.reverse();
        Ok(())
    }

    /// Does the charge that was added last come to its amount?
    fn is_as_written(&self, record: &ChargeRecord<'_>) -> Result<bool, Damage> {
        let Some(charge) = self.charges.all.last() else { return Ok(false) };
        let Some(rate) = self.catalog.rates().get(charge.rate as usize).filter(|_| !record.days.is_empty())
        else {
            return Ok(record.amount == Amount::ZERO && record.usage.events == 0);
        };
        let amount = rate.price.amount(charge.terms, &charge.usage);
        let amount = amount.ok().and_then(|priced| charge.base.checked_add(priced).ok());
        amount.map(|amount| amount == charge.amount).ok_or(Damage("an amount is too large"))
    }

    /// Do the days of the charge that was added last come to its amount? Days whose amount is too large in
    /// the order of time have been rated in another.
    fn adds_up(&self, record: &ChargeRecord<'_>) -> bool {
        let Some(position) = self.charges.all.len().checked_sub(1).and_then(|last| u32::try_from(last).ok())
        else {
            return false;
        };
        let mut fold = Fold::default();
        match self.charges.fold_days(&self.catalog, position, &record.days, &mut fold, |_| Ok(())) {
            Ok(_) => (fold.usage, fold.base, fold.amount) == (record.usage, record.base, record.amount),
            Err(Overflow) => true,
        }
    }

    /// Notes a charge that changed in the round of accruals.
    fn note_round(&mut self, position: u32, record: &ChargeRecord<'_>, newest: &Day) {
        if !record.is_touched {
            return;
        }
        let round = &mut self.charges.round;
        round.touched.push(position);
        for before in &record.before {
            round.before.insert((position, before.date, before.segment), *before);
        }
        // It may change without a note from now on.
        round.keep(position, newest);
    }

    /// Lets a charge be found.
    fn make_known(&mut self, position: u32, key: ChargeKey) -> Result<(), Damage> {
        let slot = self.slot(key.account, key.meter);
        let Some(newest) = self.newest.get_mut(slot) else { return Ok(()) };
        let other = std::mem::replace(newest, position);
        // The only charge of an account and a meter is found without its key.
        if other == NO_CHARGE {
            return Ok(());
        }
        if let Some(other_charge) = self.charges.all.get(other as usize) {
            self.by_key.insert(other_charge.key, other);
        }
        match self.by_key.insert(key, position) {
            None => Ok(()),
            Some(_) => Err(Damage("a charge is there twice")),
        }
    }

    fn decode_distinct(&mut self, reader: &mut ByteReader<'_>) -> Result<(), Damage> {
        let count = reader.count(DISTINCT_BYTES_MIN)?;
        let begin = reader.signed()?;
        self.distinct = HashMap::with_capacity(count);
        let mut before = None;
        for _ in 0..count {
            let value = u128::from_le_bytes(reader.chunk()?);
            if before.replace(value).is_some_and(|before| before >= value) {
                return Err(Damage("distinct values are not in order"));
            }
            let time = begin.checked_add_unsigned(reader.number()?);
            let time = time.ok_or(Damage("a date or time is out of range"))?;
            self.distinct.insert(DistinctValue(value), time);
        }
        Ok(())
    }
}
