//! All charges with their days and segments, and what adding an event to one of them changes.

use rating::Overflow;
use rating::catalog::{Catalog, Rate};
use rating::price::Price;
use schemas::meter::Aggregation;
use schemas::money::Amount;
use schemas::period::Period;
use schemas::timestamp::Timestamp;

use crate::accrual_round::AccrualRound;
use crate::charge::{Charge, ChargeKey, Day, EventUsage, Fold, NO_DAY, Segment, add_event};

/// Charges, and the days and segments they share out among them.
#[derive(Debug)]
pub(crate) struct Charges {
    pub(crate) all: Vec<Charge>,
    pub(crate) days: Vec<Day>,
    pub(crate) segments: Vec<Segment>,
    /// What changed since the last accruals.
    pub(crate) round: AccrualRound,
}

/// The day of an event in its charge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) segment: u32,
    pub(crate) date: i32,
    /// Event times of the day, within the segment.
    pub(crate) day_holds: Period,
}

/// Where a day of a charge is kept.
#[derive(Clone, Copy, Debug)]
enum DaySlot {
    Newest,
    Behind(usize),
    /// Nowhere yet, and it would be the newest.
    AfterNewest,
    /// Nowhere yet, and it would be behind the newest.
    New,
}

/// Charges there is room for from the beginning, at most. Room that is not used takes no memory, and what
/// grows to a gigabyte in steps is copied at each.
const ROOM: usize = 1 << 20;

impl Charges {
    /// No charges yet; there will be about as many as given.
    pub(crate) fn new(expected: usize) -> Self {
        let room = expected.min(ROOM);
        Self {
            all: Vec::with_capacity(room),
            days: Vec::with_capacity(room),
            segments: Vec::new(),
            round: AccrualRound::first(),
        }
    }

    /// Opens a charge at the place of its first event; no usage yet.
    pub(crate) fn open(&mut self, key: ChargeKey, legal_entity: u32, place: Place) -> Option<u32> {
        let segment = self.segments.get(place.segment as usize)?;
        let position = u32::try_from(self.all.len()).ok()?;
        self.all.push(Charge {
            holds: segment.holds,
            day_holds: place.day_holds,
            day: Day::empty(place.date, place.segment),
            usage: rating::price::Usage::default(),
            base: Amount::ZERO,
            amount: Amount::ZERO,
            terms: segment.terms,
            rate: segment.rate,
            price_book_version: segment.price_book_version,
            legal_entity,
            round: self.round.number,
            key,
        });
        self.round.touched.push(position);
        Some(position)
    }

    /// Takes back the charge that was opened last and has no usage.
    pub(crate) fn close_newest(&mut self) {
        self.all.pop();
        self.round.touched.pop();
    }

    /// Adds a segment.
    pub(crate) fn add_segment(&mut self, segment: Segment) -> Option<u32> {
        let position = u32::try_from(self.segments.len()).ok()?;
        self.segments.push(segment);
        Some(position)
    }

    /// The segment of a charge that holds a time, if it has usage in it.
    pub(crate) fn segment_at(&self, charge: u32, time: Timestamp) -> Option<u32> {
        // What the newest segment holds is at hand in the charge.
        if let Some(newest) = self.all.get(charge as usize).filter(|charge| charge.holds.contains(time)) {
            return Some(newest.day.segment);
        }
        let holds = |segment: &u32| {
            self.segments.get(*segment as usize).is_some_and(|segment| segment.holds.contains(time))
        };
        self.days_of(charge).map(|day| day.segment).find(holds)
    }

    /// The days of a charge, the newest first, the others in no order.
    pub(crate) fn days_of(&self, charge: u32) -> impl Iterator<Item = &Day> {
        let newest = self.all.get(charge as usize).map(|charge| &charge.day);
        std::iter::successors(newest, |day| self.days.get(day.next as usize))
    }

    /// Loads all days that follow each other from these on, one of each list before the next, so that the misses
    /// overlap. The lists are empty then.
    pub(crate) fn touch_days(&self, aims: &mut Vec<u32>) {
        let mut loaded = 0;
        while !aims.is_empty() {
            aims.retain_mut(|aim| {
                let day = self.days.get(*aim as usize);
                loaded ^= day.map_or(0, |day| day.usage.events);
                *aim = day.map_or(NO_DAY, |day| day.next);
                *aim != NO_DAY
            });
        }
        std::hint::black_box(loaded);
    }

    /// Adds an event to a charge; the difference it makes to the charge's amount. Nothing changes if
    /// there is an overflow.
    ///
    /// `in_total` says what the event is to the whole charge, `in_day` what it is to its day.
    pub(crate) fn add(
        &mut self,
        catalog: &Catalog,
        position: u32,
        place: Place,
        time: i64,
        in_total: &EventUsage,
        in_day: &EventUsage,
    ) -> Result<Amount, Overflow> {
        let charge = self.all.get(position as usize).ok_or(Overflow)?;
        let aggregation = aggregation(catalog, charge.key.meter);
        let slot = self.find_day(charge, place);
        let before = self.day(charge, slot, place);
        let day = before.with(add_event(aggregation, &before.usage, in_day)?, time);
        let is_newest_segment = place.segment == charge.day.segment;
        let starts_segment = !is_newest_segment && self.is_after_newest(charge, place.segment);
        let total = Fold { usage: charge.usage, base: charge.base, amount: charge.amount };
        let fold = if is_newest_segment {
            total.with_event(aggregation, in_total, &rate_at(catalog, charge.rate)?.price, charge.terms)?
        } else if starts_segment {
            let segment = self.segments.get(place.segment as usize).ok_or(Overflow)?;
            let price = &rate_at(catalog, segment.rate)?.price;
            let mut total = total;
            total.enter(self.segments.get(charge.day.segment as usize), segment, price)?;
            total.with_event(aggregation, in_total, price, segment.terms)?
        } else {
            self.fold(catalog, position, Some(&day))?
        };
        let amount = fold.amount.checked_sub(charge.amount).map_err(|_| Overflow)?;
        self.note(position, slot);
        self.keep(position, slot, day, place, fold);
        Ok(amount)
    }

    /// Takes one from the quantity of the day that holds a time: a distinct value that turned out to
    /// have been there on an earlier day.
    pub(crate) fn move_distinct_value(
        &mut self,
        catalog: &Catalog,
        position: u32,
        date: i32,
        time: Timestamp,
    ) -> Result<(), Overflow> {
        let Some(segment) = self.segment_at(position, time) else { return Ok(()) };
        let place = Place { segment, date, day_holds: Period::ALWAYS };
        let charge = self.all.get(position as usize).ok_or(Overflow)?;
        let slot = self.find_day(charge, place);
        let mut day = self.day(charge, slot, place);
        day.usage.quantity = day.usage.quantity.checked_sub(1).ok_or(Overflow)?;
        self.note(position, slot);
        match (slot, self.all.get_mut(position as usize)) {
            (DaySlot::Newest, Some(charge)) => charge.day.usage = day.usage,
            (DaySlot::Behind(behind), _) => {
                if let Some(kept) = self.days.get_mut(behind) {
                    kept.usage = day.usage;
                }
            }
            _ => {}
        }
        let fold = self.fold(catalog, position, None)?;
        if let Some(charge) = self.all.get_mut(position as usize) {
            (charge.usage, charge.base, charge.amount) = (fold.usage, fold.base, fold.amount);
        }
        Ok(())
    }

    /// Is a segment after the newest of a charge?
    fn is_after_newest(&self, charge: &Charge, segment: u32) -> bool {
        let start = self.segments.get(segment as usize).map(|segment| segment.holds.start);
        start.is_some_and(|start| start >= charge.holds.end)
    }

    fn find_day(&self, charge: &Charge, place: Place) -> DaySlot {
        let is_it = |day: &Day| day.date == place.date && day.segment == place.segment;
        if is_it(&charge.day) {
            return DaySlot::Newest;
        }
        let is_newest_segment = place.segment == charge.day.segment;
        if (is_newest_segment && place.date > charge.day.date) || self.is_after_newest(charge, place.segment)
        {
            return DaySlot::AfterNewest;
        }
        let mut behind = charge.day.next;
        while let Some(day) = self.days.get(behind as usize) {
            if is_it(day) {
                return DaySlot::Behind(behind as usize);
            }
            behind = day.next;
        }
        DaySlot::New
    }

    fn day(&self, charge: &Charge, slot: DaySlot, place: Place) -> Day {
        let kept = match slot {
            DaySlot::Newest => Some(charge.day),
            DaySlot::Behind(behind) => self.days.get(behind).copied(),
            DaySlot::AfterNewest | DaySlot::New => None,
        };
        kept.unwrap_or_else(|| Day::empty(place.date, place.segment))
    }

    /// Notes a change of a charge that is about to be made to one of its days.
    ///
    /// From then on the newest day may change without a note: either it has not been accrued, or it is
    /// kept as it was.
    fn note(&mut self, position: u32, slot: DaySlot) {
        let Self { all, days, round, .. } = self;
        let Some(charge) = all.get_mut(position as usize) else { return };
        if charge.round != round.number {
            charge.round = round.number;
            round.touched.push(position);
            if !matches!(slot, DaySlot::AfterNewest) {
                round.keep(position, &charge.day);
            }
        }
        if let DaySlot::Behind(behind) = slot
            && let Some(day) = days.get(behind)
        {
            round.keep(position, day);
        }
    }

    /// Writes a day and the totals that follow from it.
    fn keep(&mut self, position: u32, slot: DaySlot, day: Day, place: Place, fold: Fold) {
        let next_day = u32::try_from(self.days.len()).unwrap_or(NO_DAY);
        let Some(charge) = self.all.get_mut(position as usize) else { return };
        let is_newest_segment = place.segment == charge.day.segment;
        (charge.usage, charge.base, charge.amount) = (fold.usage, fold.base, fold.amount);
        match slot {
            DaySlot::Newest => charge.day = day,
            DaySlot::Behind(behind) => {
                if let Some(kept) = self.days.get_mut(behind) {
                    *kept = day;
                }
            }
            DaySlot::New => {
                let next = std::mem::replace(&mut charge.day.next, next_day);
                self.days.push(Day { next, ..day });
            }
            DaySlot::AfterNewest if charge.day.usage.events == 0 => {
                charge.day = Day { next: charge.day.next, ..day };
                self.enter(position, place, is_newest_segment);
            }
            DaySlot::AfterNewest => {
                self.days.push(std::mem::replace(&mut charge.day, Day { next: next_day, ..day }));
                self.enter(position, place, is_newest_segment);
            }
        }
    }

    /// Makes a place the newest of a charge.
    fn enter(&mut self, position: u32, place: Place, is_newest_segment: bool) {
        let Some(charge) = self.all.get_mut(position as usize) else { return };
        charge.day_holds = place.day_holds;
        if is_newest_segment {
            return;
        }
        if let Some(segment) = self.segments.get(place.segment as usize) {
            charge.holds = segment.holds;
            charge.terms = segment.terms;
            charge.rate = segment.rate;
            charge.price_book_version = segment.price_book_version;
        }
    }

    /// Adds up the days of a charge in order, one of them in a changed form.
    fn fold(&self, catalog: &Catalog, position: u32, changed: Option<&Day>) -> Result<Fold, Overflow> {
        let mut days: Vec<Day> = self.days_of(position).copied().collect();
        if let Some(changed) = changed {
            let same = |day: &&mut Day| day.date == changed.date && day.segment == changed.segment;
            match days.iter_mut().find(same) {
                Some(day) => *day = *changed,
                None => days.push(*changed),
            }
        }
        self.sort(&mut days);
        let mut fold = Fold::default();
        let last = self.fold_days(catalog, position, &days, &mut fold, |_| Ok(()))?;
        // The totals belong to the newest segment, also before it has usage.
        let charge = self.all.get(position as usize).ok_or(Overflow)?;
        if last != Some(charge.day.segment)
            && let Some(segment) = self.segments.get(charge.day.segment as usize)
        {
            let rate = rate_at(catalog, segment.rate)?;
            let before = last.and_then(|last| self.segments.get(last as usize));
            fold.enter(before, segment, &rate.price)?;
        }
        Ok(fold)
    }

    /// Sorts days by segment in time, then by date.
    pub(crate) fn sort(&self, days: &mut [Day]) {
        days.sort_by_key(|day| {
            let start = self.segments.get(day.segment as usize).map(|segment| segment.holds.start);
            (start, day.date)
        });
    }

    /// Adds sorted days of a charge to a fold, telling `step` of each; the last segment entered.
    pub(crate) fn fold_days(
        &self,
        catalog: &Catalog,
        position: u32,
        days: &[Day],
        fold: &mut Fold,
        mut step: impl FnMut(&FoldStep<'_>) -> Result<(), Overflow>,
    ) -> Result<Option<u32>, Overflow> {
        let charge = self.all.get(position as usize).ok_or(Overflow)?;
        let aggregation = aggregation(catalog, charge.key.meter);
        let mut entered: Option<u32> = None;
        for day in days.iter().filter(|day| day.usage.events > 0) {
            let segment = self.segments.get(day.segment as usize).ok_or(Overflow)?;
            let price = &rate_at(catalog, segment.rate)?.price;
            if entered != Some(day.segment) {
                let before = entered.and_then(|entered| self.segments.get(entered as usize));
                fold.enter(before, segment, price)?;
                entered = Some(day.segment);
            }
            let before = *fold;
            fold.add(aggregation, &day.usage, segment, price)?;
            step(&FoldStep { day, segment, price, before, after: *fold })?;
        }
        Ok(entered)
    }
}

/// What a day adds to its charge.
pub(crate) struct FoldStep<'a> {
    pub(crate) day: &'a Day,
    pub(crate) segment: &'a Segment,
    pub(crate) price: &'a Price,
    /// Usage and amount without the day, under the day's price.
    pub(crate) before: Fold,
    /// Usage and amount with the day.
    pub(crate) after: Fold,
}

/// The rate at a position.
fn rate_at(catalog: &Catalog, rate: u32) -> Result<&Rate, Overflow> {
    catalog.rates().get(rate as usize).ok_or(Overflow)
}

/// How a meter aggregates.
#[inline]
pub(crate) fn aggregation(catalog: &Catalog, meter: u16) -> Aggregation {
    catalog.meters().get(usize::from(meter)).map_or(Aggregation::Sum, |meter| meter.aggregation)
}
