//! A round of accruals: what changed since the last accruals were made.
//!
//! Accruals are made again only for groups with a charge that changed, and say by how much. For that, days
//! that were accrued are kept as they were when they change for the first time in a round. Days that came
//! in the round have revision 0 and need no keeping, so a bulk load keeps four bytes a charge.

use hashbrown::HashMap;

use crate::charge::Day;

/// A day of a charge: charge, date and segment.
pub(crate) type DayKey = (u32, i32, u32);

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
}
