//! Windows of local time: minutes, hours, days and months, `[start, end)`.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};

use super::question::UsageError;

/// Most windows of an answer: the minutes of ten weeks.
const WINDOWS_MAX: usize = 100_800;

/// How long a window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowSize {
    /// 60 seconds.
    Minute,
    /// Up to the next full hour of local time.
    Hour,
    /// A calendar day, 23 to 25 hours long where clocks change.
    Day,
    /// A calendar month.
    Month,
}

impl WindowSize {
    /// The size with a name in lower case.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        match name {
            "minute" => Some(Self::Minute),
            "hour" => Some(Self::Hour),
            "day" => Some(Self::Day),
            "month" => Some(Self::Month),
            _ => None,
        }
    }

    /// Wire name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// The start of the window that holds a time.
    fn start(self, time: &Zoned) -> Option<Zoned> {
        let date = time.date();
        let second = i64::from(time.second());
        let into_hour = i64::from(time.minute()) * 60 + second;
        let back = |seconds: i64| {
            let back = SignedDuration::new(seconds, time.subsec_nanosecond());
            time.checked_sub(back).ok()
        };
        match self {
            Self::Minute => back(second),
            Self::Hour => back(into_hour),
            Self::Day => date.to_zoned(time.time_zone().clone()).ok(),
            Self::Month => date.first_of_month().to_zoned(time.time_zone().clone()).ok(),
        }
    }

    /// The end of a window.
    fn end(self, start: &Zoned) -> Option<Zoned> {
        match self {
            Self::Minute => start.checked_add(SignedDuration::from_mins(1)).ok(),
            Self::Hour => {
                let end = start.checked_add(SignedDuration::from_hours(1)).ok()?;
                // NOTE: there are places where clocks change by half an hour.
                let missing = (60 - i64::from(end.minute())) % 60;
                end.checked_add(SignedDuration::from_mins(missing)).ok()
            }
            Self::Day => self.start(&start.checked_add(1.day()).ok()?),
            Self::Month => self.start(&start.checked_add(1.month()).ok()?),
        }
    }

    /// The bounds of the windows that hold all times of `[from, to)`: one more than there are windows.
    pub(super) fn bounds(self, zone: &TimeZone, (from, to): (i64, i64)) -> Result<Vec<i64>, UsageError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let first = Timestamp::from_microsecond(from).ok().map(|from| from.to_zoned(zone.clone()));
        let mut start = first.and_then(|first| self.start(&first)).ok_or(UsageError::Time)?;
        let mut bounds = vec![start.timestamp().as_microsecond()];
        while bounds.last().is_some_and(|last| *last < to) {
            if bounds.len() > WINDOWS_MAX {
                return Err(UsageError::TooManyWindows(WINDOWS_MAX));
            }
            let end = self.end(&start).filter(|end| *end > start).ok_or(UsageError::Time)?;
            bounds.push(end.timestamp().as_microsecond());
            start = end;
        }
        Ok(bounds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_follow_local_time() {
        use WindowSize::{Day, Hour, Minute, Month};
        let cases: &[(WindowSize, &str, &str, &str, &[&str])] = &[
            (
                Minute,
                "UTC",
                "2026-10-31T23:59:30.5Z",
                "2026-11-01T00:00:00Z",
                &["2026-10-31T23:59:00Z", "2026-11-01T00:00:00Z"],
            ),
            // Local hours begin at half past in India.
            (
                Hour,
                "Asia/Kolkata",
                "2026-01-01T00:00:00Z",
                "2026-01-01T00:45:00Z",
                &["2025-12-31T23:30:00Z", "2026-01-01T00:30:00Z", "2026-01-01T01:30:00Z"],
            ),
            // Clocks go back in Berlin: the day has 25 hours.
            (
                Day,
                "Europe/Berlin",
                "2026-10-25T10:00:00Z",
                "2026-10-26T00:00:00Z",
                &["2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", "2026-10-26T23:00:00Z"],
            ),
            (
                Month,
                "America/New_York",
                "2026-03-31T12:00:00Z",
                "2026-04-02T00:00:00Z",
                &["2026-03-01T05:00:00Z", "2026-04-01T04:00:00Z", "2026-05-01T04:00:00Z"],
            ),
            // Clocks go back by half an hour: one local hour has 90 minutes.
            (
                Hour,
                "Australia/Lord_Howe",
                "2026-04-04T14:00:00Z",
                "2026-04-04T15:31:00Z",
                &["2026-04-04T14:00:00Z", "2026-04-04T15:30:00Z", "2026-04-04T16:30:00Z"],
            ),
            (Day, "UTC", "2026-10-25T10:00:00Z", "2026-10-25T10:00:00Z", &[]),
        ];
        let micros = |text: &str| text.parse::<Timestamp>().unwrap().as_microsecond();
        for (size, zone, from, to, expected) in cases {
            let zone = TimeZone::get(zone).unwrap();
            let bounds = size.bounds(&zone, (micros(from), micros(to))).unwrap();
            let expected: Vec<i64> = expected.iter().map(|text| micros(text)).collect();
            assert_eq!(bounds, expected, "{size:?} {from}");
        }
    }

    #[test]
    fn windows_have_a_limit() {
        let bounds = WindowSize::Minute.bounds(&TimeZone::UTC, (0, i64::from(u32::MAX) * 60_000_000));
        assert_eq!(bounds, Err(UsageError::TooManyWindows(WINDOWS_MAX)));
    }
}
