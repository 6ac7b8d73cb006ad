//! Who waits for a commit, and since when.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Submissions that were handed over and not answered, by the order they came in.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiters(Arc<Mutex<Since>>);

#[derive(Debug, Default)]
struct Since {
    next: u64,
    began: BTreeMap<u64, Instant>,
}

/// A submission that waits, until it is dropped.
#[derive(Debug)]
pub(super) struct Waiter {
    waiters: Waiters,
    number: u64,
    pub(super) began: Instant,
}

impl Waiters {
    /// A submission begins to wait.
    pub(super) fn enter(&self) -> Waiter {
        let began = Instant::now();
        let mut since = self.lock();
        let number = since.next;
        since.next += 1;
        since.began.insert(number, began);
        Waiter { waiters: self.clone(), number, began }
    }

    /// How many wait, and how long the oldest of them does.
    pub(super) fn look(&self) -> (usize, Option<Duration>) {
        let since = self.lock();
        (since.began.len(), since.began.first_key_value().map(|(_, began)| began.elapsed()))
    }

    /// What is in it is whole between two calls.
    fn lock(&self) -> MutexGuard<'_, Since> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.waiters.lock().began.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_the_first_that_is_not_answered() {
        let waiters = Waiters::default();
        assert_eq!(waiters.look(), (0, None));
        let first = waiters.enter();
        std::thread::sleep(Duration::from_millis(50));
        let second = waiters.enter();
        let (count, oldest) = waiters.look();
        assert!(count == 2 && oldest >= Some(second.began.duration_since(first.began)));
        drop(first);
        assert_eq!(waiters.lock().began.first_key_value().map(|(number, _)| *number), Some(second.number));
        drop(second);
        assert_eq!(waiters.look(), (0, None));
    }
}
