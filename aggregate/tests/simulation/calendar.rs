//! Days and months (UTC), by the rule of the calendar.

/// Microseconds of a day.
pub(crate) const DAY: i64 = 86_400_000_000;

/// 1 January 2026, from which days are counted.
const DAY_OF_2026: i64 = 20_454;

/// Days since 1970 of a date from 2026 on.
pub(crate) fn days(year: i64, month: i64, day: i64) -> i64 {
    let of_years: i64 = (2026..year).map(|year| (1..=12).map(|month| length(year, month)).sum::<i64>()).sum();
    DAY_OF_2026 + of_years + (1..month).map(|month| length(year, month)).sum::<i64>() + day - 1
}

/// The first day of the month a day is in.
pub(crate) fn month_start(day: i64) -> i64 {
    let (mut year, mut month, mut start) = (2026, 1, DAY_OF_2026);
    while start + length(year, month) <= day {
        start += length(year, month);
        (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    }
    start
}

const fn length(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
