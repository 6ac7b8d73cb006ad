//! Half-open intervals of time, and the billing periods a contract is counted in.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::date::Date;
use crate::timestamp::Timestamp;

/// The instants from `start` up to, but not including, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Period {
    /// First instant.
    pub start: Timestamp,
    /// First instant after it.
    pub end: Timestamp,
}

impl Period {
    /// All of time.
    pub const ALWAYS: Self = Self { start: Timestamp::MIN, end: Timestamp::MAX };

    /// From an optional start to an optional end.
    #[must_use]
    pub fn between(start: Option<Timestamp>, end: Option<Timestamp>) -> Self {
        Self { start: start.unwrap_or(Timestamp::MIN), end: end.unwrap_or(Timestamp::MAX) }
    }

    /// Is the instant inside?
    #[must_use]
    pub fn contains(&self, instant: Timestamp) -> bool {
        self.start <= instant && instant < self.end
    }

    /// Does it hold no instant?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    /// The instants in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self { start: self.start.max(other.start), end: self.end.min(other.end) }
    }

    /// Is there an instant in both?
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        !self.intersection(other).is_empty()
    }
}

impl fmt::Display for Period {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.start, self.end) {
            (Timestamp::MIN, Timestamp::MAX) => formatter.write_str("always"),
            (Timestamp::MIN, end) => write!(formatter, "until {end}"),
            (start, Timestamp::MAX) => write!(formatter, "from {start}"),
            (start, end) => write!(formatter, "[{start}, {end})"),
        }
    }
}

/// How long a billing period is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BillingInterval {
    /// One month.
    #[default]
    Month,
    /// Three months.
    Quarter,
    /// Twelve months.
    Year,
}

impl BillingInterval {
    const fn months(self) -> i32 {
        match self {
            Self::Month => 1,
            Self::Quarter => 3,
            Self::Year => 12,
        }
    }
}

/// The run of billing periods of a contract: months, quarters or years that begin on the day of
/// the anchor, or on the last day of a month that is too short for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BillingCycle {
    /// Length of a period.
    pub interval: BillingInterval,
    /// A date on which a period begins.
    pub anchor: Date,
}

impl BillingCycle {
    /// Calendar months.
    pub const CALENDAR_MONTH: Self = Self { interval: BillingInterval::Month, anchor: Date::from_days(0) };

    /// First day of the billing period a date falls in, and first day of the next.
    #[must_use]
    pub fn period_of(&self, date: Date) -> (Date, Date) {
        let (year, month, _) = date.ymd();
        let (anchor_year, anchor_month, day) = self.anchor.ymd();
        let first = anchor_year * 12 + i32::from(anchor_month) - 1;
        let months_apart = year * 12 + i32::from(month) - 1 - first;
        let step = self.interval.months();
        let begin = |index: i32| Date::in_month(first + index * step, day);
        let index = months_apart.div_euclid(step);
        let start = begin(index);
        if date < start { (begin(index - 1), start) } else { (start, begin(index + 1)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn billing_periods() {
        use BillingInterval::{Month, Quarter, Year};
        let cases = [
            (Month, "1970-01-01", "2026-10-31", "2026-10-01", "2026-11-01"),
            (Month, "2014-03-15", "2014-04-14", "2014-03-15", "2014-04-15"),
            (Month, "2014-03-15", "2014-04-15", "2014-04-15", "2014-05-15"),
            (Month, "2026-01-31", "2026-02-27", "2026-01-31", "2026-02-28"),
            (Month, "2026-01-31", "2026-02-28", "2026-02-28", "2026-03-31"),
            (Month, "2026-01-31", "2026-03-30", "2026-02-28", "2026-03-31"),
            (Month, "2026-01-31", "2025-12-31", "2025-12-31", "2026-01-31"),
            (Quarter, "2026-01-01", "2026-12-31", "2026-10-01", "2027-01-01"),
            (Quarter, "2026-02-15", "2026-02-14", "2025-11-15", "2026-02-15"),
            (Year, "2024-02-29", "2025-02-27", "2024-02-29", "2025-02-28"),
            (Year, "2024-02-29", "2028-02-29", "2028-02-29", "2029-02-28"),
        ];
        for (interval, anchor, day, start, end) in cases {
            let cycle = BillingCycle { interval, anchor: date(anchor) };
            assert_eq!(cycle.period_of(date(day)), (date(start), date(end)), "{cycle:?} {day}");
        }
    }

    proptest! {
        #[test]
        fn every_day_is_in_one_period(anchor in -10_000i32..40_000, day in -10_000i32..40_000, which in 0usize..3) {
            let intervals = [BillingInterval::Month, BillingInterval::Quarter, BillingInterval::Year];
            let interval = intervals[which];
            let cycle = BillingCycle { interval, anchor: Date::from_days(anchor) };
            let (start, end) = cycle.period_of(Date::from_days(day));
            prop_assert!(start.days() <= day && day < end.days());
            prop_assert_eq!(cycle.period_of(start), (start, end));
            prop_assert_eq!(cycle.period_of(Date::from_days(end.days() - 1)), (start, end));
        }
    }
}
