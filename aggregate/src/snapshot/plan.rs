//! When to take a snapshot: what is in the ledger alone is slow to read, a snapshot of little makes small files.

use schemas::epoch::Epoch;
use schemas::timestamp::Timestamp;

/// What may be in no snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotLimits {
    /// Rows that epochs carry.
    pub rows_max: u64,
    /// Bytes of these rows.
    pub bytes_max: u64,
    /// Age of the oldest epoch, in milliseconds.
    pub age_max_ms: i64,
}

impl SnapshotLimits {
    /// Nothing may be in no snapshot.
    pub const NOTHING: Self = Self { rows_max: 0, bytes_max: 0, age_max_ms: 0 };
}

impl Default for SnapshotLimits {
    fn default() -> Self {
        Self { rows_max: 1 << 20, bytes_max: 64 << 20, age_max_ms: 60_000 }
    }
}

/// What is in no snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unsnapshotted {
    /// Rows that epochs carry.
    pub rows: u64,
    /// Bytes of these rows.
    pub bytes: u64,
    /// When the oldest of the epochs was committed; none where every epoch is in a snapshot.
    pub oldest: Option<Timestamp>,
    /// Do some of them have files of their own, which cost nothing to take in?
    pub has_files: bool,
}

impl Unsnapshotted {
    /// Adds an epoch.
    pub fn add(&mut self, epoch: &Epoch) {
        self.oldest.get_or_insert(epoch.recorded_at);
        for content in &epoch.contents {
            if content.file.is_some() {
                self.has_files = true;
            } else {
                self.rows += content.rows;
                self.bytes += content.bytes;
            }
        }
    }

    /// What is in no snapshot with what came later.
    #[must_use]
    pub fn and(self, later: Self) -> Self {
        Self {
            rows: self.rows + later.rows,
            bytes: self.bytes + later.bytes,
            oldest: self.oldest.or(later.oldest),
            has_files: self.has_files || later.has_files,
        }
    }
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotPlan {
    /// Take a snapshot now.
    Take,
    /// Wait until then, or for more rows.
    WaitUntil(Timestamp),
    /// There is nothing to take.
    Nothing,
}

impl SnapshotPlan {
    /// The plan at `now`.
    #[must_use]
    pub fn new(unsnapshotted: Unsnapshotted, limits: SnapshotLimits, now: Timestamp) -> Self {
        let Some(oldest) = unsnapshotted.oldest else { return Self::Nothing };
        let age_max = limits.age_max_ms.saturating_mul(1_000);
        let due = Timestamp::from_micros(oldest.micros().saturating_add(age_max));
        let is_large = unsnapshotted.has_files
            || unsnapshotted.rows >= limits.rows_max
            || unsnapshotted.bytes >= limits.bytes_max;
        if is_large || now >= due { Self::Take } else { Self::WaitUntil(due) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_due_by_rows_bytes_or_age() {
        let limits = SnapshotLimits { rows_max: 10, bytes_max: 100, age_max_ms: 5 };
        let at = Timestamp::from_micros;
        let cases = [
            ((0, 0, None), 0, SnapshotPlan::Nothing),
            ((9, 99, Some(1_000)), 5_999, SnapshotPlan::WaitUntil(at(6_000))),
            ((9, 99, Some(1_000)), 6_000, SnapshotPlan::Take),
            ((10, 0, Some(1_000)), 1_000, SnapshotPlan::Take),
            ((0, 100, Some(1_000)), 1_000, SnapshotPlan::Take),
            ((0, 0, Some(i64::MAX)), 0, SnapshotPlan::WaitUntil(Timestamp::MAX)),
        ];
        for ((rows, bytes, oldest), now, expected) in cases {
            let unsnapshotted = Unsnapshotted { rows, bytes, oldest: oldest.map(at), has_files: false };
            assert_eq!(SnapshotPlan::new(unsnapshotted, limits, at(now)), expected);
        }
    }
}
