//! Months of event time, by which identities are forgotten.

use schemas::date::Date;

const DAY_MICROS: i64 = 86_400_000_000;

/// A day after all months that are told apart.
const DAYS_MAX: i32 = 100_000;

/// A month in UTC, as months since January 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month(u16);

impl Month {
    /// Bits of a month.
    pub(super) const BITS: u32 = 11;

    /// The last month that can be told from others, in 2140.
    pub const MAX: Self = Self((1 << Self::BITS) - 1);

    /// Months since January 1970; [`Month::MAX`] stands for all that are later.
    #[must_use]
    pub const fn since_1970(months: u16) -> Self {
        if months > Self::MAX.0 { Self::MAX } else { Self(months) }
    }

    /// The month of a time, in microseconds since 1970. Times before 1970 belong to the first month.
    #[must_use]
    pub fn of(micros: i64) -> Self {
        let days = i32::try_from(micros.max(0) / DAY_MICROS).unwrap_or(i32::MAX).min(DAYS_MAX);
        let (year, month, _) = Date::from_days(days).ymd();
        let months = (i64::from(year) - 1970) * 12 + i64::from(month) - 1;
        Self::since_1970(u16::try_from(months).unwrap_or(u16::MAX))
    }

    /// Its first instant, in microseconds since 1970.
    #[must_use]
    pub fn start(self) -> i64 {
        let (year, month) = (1970 + i32::from(self.0 / 12), u8::try_from(self.0 % 12 + 1).unwrap_or(1));
        i64::from(Date::from_ymd(year, month, 1).map_or(0, Date::days)) * DAY_MICROS
    }

    /// Months since January 1970.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// Months of times that come in runs of one month.
#[derive(Debug, Default)]
pub(super) struct MonthOfDay {
    day: i64,
    month: Month,
}

impl MonthOfDay {
    /// The month of a time.
    #[inline]
    pub(super) fn of(&mut self, micros: i64) -> Month {
        let day = micros / DAY_MICROS;
        if day != self.day {
            *self = Self { day, month: Month::of(micros) };
        }
        self.month
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_belong_to_their_month() {
        for (micros, month) in [
            (i64::MIN, 0),
            (-1, 0),
            (0, 0),
            (31 * DAY_MICROS - 1, 0),
            (31 * DAY_MICROS, 1),
            (365 * DAY_MICROS, 12),
            (1_772_323_200_000_000 - 1, 56 * 12 + 1),
            (1_772_323_200_000_000, 56 * 12 + 2),
            (4_102_444_800_000_000 - 1, 130 * 12 - 1),
            (i64::MAX, 2047),
        ] {
            assert_eq!(Month::of(micros).number(), month, "{micros}");
            let start = Month::since_1970(month).start();
            assert_eq!(Month::of(start), Month::of(micros));
            assert!(start == 0 || Month::of(start - 1) < Month::of(start));
            assert_eq!(MonthOfDay::default().of(micros).number(), month, "{micros}");
        }
    }
}
