//! The last events that were counted, as they were sent. Kept in memory, and gone with the process.

use std::collections::VecDeque;
use std::sync::RwLock;

use schemas::timestamp::Timestamp;

use super::{read, write};

/// Events that are kept.
const EVENTS_MAX: usize = 1_000;

/// Bytes of them.
const BYTES_MAX: usize = 16 << 20;

/// An event that was counted.
#[derive(Clone, Debug)]
pub struct RecentEvent {
    /// As it was sent: a JSON object.
    pub text: Box<[u8]>,
    /// Event time, which may be that of its arrival.
    pub time: Timestamp,
    /// When it was committed.
    pub stored_at: Timestamp,
}

/// The last events, oldest first.
#[derive(Debug, Default)]
pub struct RecentEvents(RwLock<Ring>);

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<RecentEvent>,
    bytes: usize,
}

impl RecentEvents {
    /// Newest first, as long as there are some and `take` wants more.
    pub fn newest_first(&self, take: impl FnMut(&RecentEvent) -> bool) {
        let _ = read(&self.0).events.iter().rev().all(take);
    }

    /// Takes all events of another.
    pub(super) fn take_over(&self, other: &Self) {
        *write(&self.0) = std::mem::take(&mut *write(&other.0));
    }

    /// Adds the last of some events, in order.
    pub(super) fn add(&self, events: impl DoubleEndedIterator<Item = RecentEvent>) {
        let mut last: Vec<RecentEvent> = events.rev().take(EVENTS_MAX).collect();
        let mut ring = write(&self.0);
        while let Some(event) = last.pop() {
            ring.bytes += event.text.len();
            ring.events.push_back(event);
            while (ring.events.len() > EVENTS_MAX || ring.bytes > BYTES_MAX)
                && let Some(oldest) = ring.events.pop_front()
            {
                ring.bytes -= oldest.text.len();
            }
        }
    }
}
