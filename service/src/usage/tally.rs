//! What usages come to, by the aggregation of their meter.

use hashbrown::HashSet;
use schemas::meter::Aggregation;

use super::rows::{EventName, Row};

/// The aggregate of some usages; there is at least one.
#[derive(Debug)]
pub(super) enum Tally {
    Sum(i128),
    Min(i128),
    Max(i128),
    Latest { time: i64, event: Option<EventName>, measure: i128 },
    Unique(HashSet<i128>),
}

impl Tally {
    /// Of one usage.
    pub(super) fn of(aggregation: Aggregation, row: Row<'_>) -> Self {
        match aggregation {
            Aggregation::Count => Self::Sum(1),
            Aggregation::Sum => Self::Sum(row.measure),
            Aggregation::Min => Self::Min(row.measure),
            Aggregation::Max => Self::Max(row.measure),
            Aggregation::Latest => {
                Self::Latest { time: row.time, event: row.event.cloned(), measure: row.measure }
            }
            Aggregation::Unique => Self::Unique(HashSet::from_iter([row.measure])),
        }
    }

    /// With one usage more; `None` where the sum has too many digits.
    pub(super) fn add(&mut self, row: Row<'_>, is_count: bool) -> Option<()> {
        match self {
            Self::Sum(sum) => *sum = sum.checked_add(if is_count { 1 } else { row.measure })?,
            Self::Min(min) => *min = row.measure.min(*min),
            Self::Max(max) => *max = row.measure.max(*max),
            Self::Latest { time, event, measure } => {
                if (row.time, row.event) > (*time, event.as_ref()) {
                    (*time, *measure) = (row.time, row.measure);
                    *event = row.event.cloned();
                }
            }
            Self::Unique(values) => {
                values.insert(row.measure);
            }
        }
        Some(())
    }

    /// As a count of what the meter measures in.
    pub(super) fn value(&self) -> i128 {
        match self {
            Self::Sum(value) | Self::Min(value) | Self::Max(value) => *value,
            Self::Latest { measure, .. } => *measure,
            Self::Unique(values) => i128::try_from(values.len()).unwrap_or(i128::MAX),
        }
    }
}
