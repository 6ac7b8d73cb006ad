//! The waiting room: bytes of requests that were not answered yet, and who has them.
//!
//! Where several tokens send events, what one of them has waiting is never more than what is still free. So one of them
//! gets half of the room at most, two that send at once a third each, and whoever comes next finds room.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::quota::{OverQuota, Quota};
use super::submission::EngineError;

/// Who sends events, with what is to be kept of them.
#[derive(Debug, Default)]
pub struct Bearer {
    quota: Option<Quota>,
    /// Are there others that need room?
    is_sharing: bool,
    waiting_bytes: AtomicUsize,
}

impl Bearer {
    /// Somebody with a quota, if there is one, who leaves room for others, if there are any.
    #[must_use]
    pub fn new(quota: Option<Quota>, is_sharing: bool) -> Self {
        Self { quota, is_sharing, waiting_bytes: AtomicUsize::new(0) }
    }

    /// Takes events of the quota.
    pub(super) fn take(&self, events: u64) -> Result<(), OverQuota> {
        self.quota.as_ref().map_or(Ok(()), |quota| quota.take(events, Instant::now()))
    }
}

/// Room that a request was given for its bytes; given back with it.
#[derive(Debug)]
pub struct Room {
    bearer: Arc<Bearer>,
    free: Arc<Semaphore>,
    bytes: usize,
    /// Those of the bytes that are held, all of them.
    permit: Option<OwnedSemaphorePermit>,
}

impl Room {
    pub(super) fn new(bearer: &Arc<Bearer>, free: &Arc<Semaphore>) -> Self {
        Self { bearer: Arc::clone(bearer), free: Arc::clone(free), bytes: 0, permit: None }
    }

    /// Who has it.
    pub(super) fn bearer(&self) -> &Bearer {
        &self.bearer
    }

    /// Takes more room.
    ///
    /// # Errors
    /// [`EngineError::Overloaded`]: nothing was taken.
    pub fn grow(&mut self, bytes: usize) -> Result<(), EngineError> {
        let count = u32::try_from(bytes).map_err(|_| EngineError::Overloaded)?;
        let more = Arc::clone(&self.free).try_acquire_many_owned(count);
        let more = more.map_err(|_| EngineError::Overloaded)?;
        let waiting = self.bearer.waiting_bytes.fetch_add(bytes, Ordering::SeqCst).saturating_add(bytes);
        self.bytes += bytes;
        if self.bearer.is_sharing && waiting > self.free.available_permits() {
            drop(more);
            self.give_back(bytes);
            return Err(EngineError::Overloaded);
        }
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        Ok(())
    }

    /// Takes room for so many bytes out of it; nothing where it has less.
    pub fn split(&mut self, bytes: usize) -> Option<Self> {
        let permit = self.permit.as_mut()?.split(bytes)?;
        self.bytes -= bytes;
        let (bearer, free) = (Arc::clone(&self.bearer), Arc::clone(&self.free));
        Some(Self { bearer, free, bytes, permit: Some(permit) })
    }

    fn give_back(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.bearer.waiting_bytes.fetch_sub(bytes, Ordering::SeqCst);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(bearer: &Arc<Bearer>, free: &Arc<Semaphore>) -> (Room, usize) {
        let mut room = Room::new(bearer, free);
        let mut bytes = 0;
        while room.grow(10).is_ok() {
            bytes += 10;
        }
        (room, bytes)
    }

    #[test]
    fn f71_those_who_share_leave_room_and_one_alone_takes_it_all() {
        let free = Arc::new(Semaphore::new(1_000));
        let sharing = || Arc::new(Bearer::new(None, true));
        let (first, second, third) = (sharing(), sharing(), sharing());
        let (room, bytes) = fill(&first, &free);
        assert_eq!(bytes, 500);
        let (other, bytes) = fill(&second, &free);
        assert_eq!(bytes, 250);
        assert!(fill(&first, &free).1 == 0 && fill(&third, &free).1 > 0);
        drop((room, other));
        assert_eq!(free.available_permits(), 1_000);
        assert_eq!(fill(&first, &free).1, 500);
        assert_eq!(fill(&Arc::default(), &free).1, 1_000);
        assert_eq!(first.waiting_bytes.load(Ordering::SeqCst), 0);
    }
}
