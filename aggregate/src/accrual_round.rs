//! A round of accruals: what changed since the last accruals were made.
//!
//! Accruals are made again only for groups with a charge that changed, and say by how much. For that, days
//! that were accrued are kept as they were when they change for the first time in a round. Days that came
//! in the round have revision 0 and need no keeping, so a bulk load keeps four bytes a charge.

use hashbrown::HashMap;

use crate::charge::{Day, NO_DAY};
use crate::charges::Charges;

/// Revision of an accrual that has none before it.
pub(crate) const FIRST_REVISION: u32 = 1;

/// A day of a charge: charge, date and segment.
pub(crate) type DayKey = (u32, i32, u32);

/// Which days of charges are in which revision, where it is not the first.
#[derive(Debug, Default)]
pub struct Revisions {
    /// Charge, date and revision.
    days: Vec<(u32, i32, u32)>,
}

impl Revisions {
    /// Adds those of another part of the accruals.
    pub fn append(&mut self, other: &mut Self) {
        self.days.append(&mut other.days);
    }

    /// Notes the revision of a date of a charge.
    pub(crate) fn note(&mut self, charge: u32, date: i32, revision: u32) {
        self.days.push((charge, date, revision));
    }
}

/// What changed since the last accruals.
#[derive(Debug)]
pub(crate) struct AccrualRound {
    /// Number of the round, at least 1; charges that changed in it carry it.
    pub(crate) number: u32,
    /// Charges that changed in the round, each once.
    pub(crate) touched: Vec<u32>,
    /// Accrued days that changed in the round, and some that did not, as they were when it began.
    pub(crate) before: HashMap<DayKey, Day>,
    /// Days behind the newest of their charge before this position were accrued in an earlier round.
    pub(crate) first_day: usize,
}

impl AccrualRound {
    /// The round before the first accruals.
    pub(crate) fn first() -> Self {
        Self { number: 1, touched: Vec::new(), before: HashMap::default(), first_day: 0 }
    }

    /// Keeps an accrued day of a charge as it is now, unless it is kept already.
    pub(crate) fn keep(&mut self, charge: u32, day: &Day) {
        if day.revision > 0 {
            self.before.entry((charge, day.date, day.segment)).or_insert(*day);
        }
    }

    /// May a day of a charge that changed in the round differ from how it was before?
    pub(crate) fn may_differ(&self, charge: u32, day: &Day) -> bool {
        day.revision == 0 || self.before.contains_key(&(charge, day.date, day.segment))
    }

    /// A day as it was before the round, if it was there.
    pub(crate) fn before(&self, charge: u32, day: &Day) -> Option<Day> {
        let kept = self.before.get(&(charge, day.date, day.segment)).copied();
        (day.revision > 0).then(|| kept.unwrap_or(*day))
    }
}

impl Charges {
    /// Ends a round whose accruals were made; what comes now is in the next.
    pub(crate) fn accrued(&mut self, revisions: &Revisions) {
        let Self { all, days, round, .. } = self;
        // Usage that had no revision is in a first one, unless it is said otherwise below.
        let accrue = |day: &mut Day| {
            if day.revision == 0 && day.usage.events > 0 {
                day.revision = FIRST_REVISION;
            }
        };
        days.iter_mut().skip(round.first_day).for_each(accrue);
        for charge in &round.touched {
            if let Some(charge) = all.get_mut(*charge as usize) {
                accrue(&mut charge.day);
            }
        }
        for (charge, date, revision) in &revisions.days {
            let revise = |day: &mut Day| {
                if day.date == *date && day.usage.events > 0 {
                    day.revision = *revision;
                }
                day.next
            };
            let mut next = all.get_mut(*charge as usize).map_or(NO_DAY, |charge| revise(&mut charge.day));
            while let Some(day) = days.get_mut(next as usize) {
                next = revise(day);
            }
        }
        // No charge may carry the number of a round to come.
        if round.number == u32::MAX {
            for charge in all.iter_mut() {
                charge.round = 0;
            }
        }
        let number = round.number.wrapping_add(1).max(1);
        let first_day = days.len();
        *round = AccrualRound { number, first_day, ..AccrualRound::first() };
    }
}
