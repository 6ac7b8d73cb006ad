//! How many events a token may send: so many a second, and some at once.
//!
//! A bucket that time fills and events empty. A request is taken while there is an event in it, however many the request
//! has, and the bucket may owe then: the next request waits until that is paid. So a rate holds on average, no request is
//! too large for it, and one that has to wait is refused before its body is read.

use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Parts of an event that are counted: what a rate of one a second gives in a nanosecond.
const PARTS: i128 = 1_000_000_000;

/// A rate of events, and what was sent of it.
#[derive(Debug)]
pub struct Quota {
    rate: NonZeroU64,
    burst: NonZeroU64,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    /// Parts of events that may be sent, or are owed.
    level: i128,
    filled_at: Instant,
}

/// There is nothing left of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverQuota {
    /// Events a second.
    pub rate: u64,
    /// Seconds until there is something again.
    pub seconds: u32,
}

impl Quota {
    /// So many events a second, and at most so many at once after a pause.
    #[must_use]
    pub fn new(rate: NonZeroU64, burst: NonZeroU64, now: Instant) -> Self {
        let bucket = Bucket { level: i128::from(burst.get()) * PARTS, filled_at: now };
        Self { rate, burst, bucket: Mutex::new(bucket) }
    }

    /// Takes events, where any may be sent; none says whether any may.
    ///
    /// # Errors
    /// [`OverQuota`]: nothing was taken.
    pub fn take(&self, events: u64, now: Instant) -> Result<(), OverQuota> {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let (rate, full) = (i128::from(self.rate.get()), i128::from(self.burst.get()) * PARTS);
        let passed = now.saturating_duration_since(bucket.filled_at);
        let filled = i128::try_from(passed.as_nanos()).unwrap_or(i128::MAX).saturating_mul(rate);
        bucket.level = bucket.level.saturating_add(filled).min(full);
        bucket.filled_at = bucket.filled_at.max(now);
        if bucket.level >= PARTS {
            bucket.level -= i128::from(events) * PARTS;
            return Ok(());
        }
        let second = rate * PARTS;
        let seconds = (PARTS - bucket.level + second - 1) / second;
        Err(OverQuota { rate: self.rate.get(), seconds: u32::try_from(seconds).unwrap_or(u32::MAX) })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn number(number: u64) -> NonZeroU64 {
        NonZeroU64::new(number).unwrap_or(NonZeroU64::MIN)
    }

    #[test]
    fn f71_a_bucket_gives_its_burst_then_its_rate_and_waits_for_what_it_owes() {
        let start = Instant::now();
        let quota = Quota::new(number(10), number(5), start);
        // Milliseconds since the start, events, seconds to wait.
        let cases = [
            (0, 3, None),
            (0, 2, None),
            (0, 1, Some(1)),
            (99, 1, Some(1)),
            (101, 100, None),
            (101, 0, Some(10)),
            (5_000, 1, Some(6)),
            (9_900, 1, Some(1)),
            (10_002, 1, Some(1)),
            (10_102, 1, None),
            // A clock that stands, and a long pause that gives no more than the burst.
            (10_000, 1, Some(1)),
            (1_000_000_000, 5, None),
            (1_000_000_000, 1, Some(1)),
        ];
        for (position, (ms, events, wait)) in cases.into_iter().enumerate() {
            let taken = quota.take(events, start + Duration::from_millis(ms));
            assert_eq!(taken.err().map(|over| over.seconds), wait, "case {position}");
        }
    }

    #[test]
    fn f71_in_any_time_no_more_is_sent_than_burst_and_rate_and_one_request() {
        let start = Instant::now();
        let quota = Quota::new(number(1_000), number(200), start);
        let mut sent = 0;
        for ms in 0..10_000 {
            if quota.take(37, start + Duration::from_millis(ms)).is_ok() {
                sent += 37;
            }
            assert!(sent <= 200 + ms + 37, "{sent} in {ms} ms");
        }
        assert!(sent >= 10_000, "{sent}");
    }
}
