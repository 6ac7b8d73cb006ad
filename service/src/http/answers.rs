//! Answers on their way: sent in small parts, and given up where a client takes none of them.
//!
//! A client that asks and does not read holds what it asked for in memory. So it is known of each connection whether
//! anything waits to be taken, and since when nothing was; who takes nothing for too long is cut off.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, sleep};

/// Bytes of a part: what is handed to a connection at once.
pub(super) const PART_BYTES: usize = 64 << 10;

/// What a client takes of its answers.
#[derive(Clone, Debug)]
pub(super) struct Taking(Arc<Mutex<Taken>>);

#[derive(Debug)]
struct Taken {
    /// Answers that have something to send, and parts that are being sent.
    waiting: usize,
    /// When something was taken, or began to wait while nothing did.
    at: Instant,
}

impl Taking {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Taken { waiting: 0, at: Instant::now() })))
    }

    /// Waits until nothing was taken for a time of what waits.
    pub(super) async fn stalled(&self, time: Duration) {
        loop {
            let left = {
                let taken = self.taken();
                if taken.waiting == 0 { time } else { time.saturating_sub(taken.at.elapsed()) }
            };
            if left.is_zero() {
                return;
            }
            sleep(left).await;
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) {
        let mut taken = self.taken();
        if taken.waiting == 0 {
            taken.at = Instant::now();
        }
        taken.waiting += 1;
    }

    fn end(&self) {
        let mut taken = self.taken();
        taken.at = Instant::now();
        taken.waiting -= 1;
    }
}

/// The body of an answer, in parts.
#[derive(Debug)]
pub(super) struct Parts {
    body: Body,
    rest: Bytes,
    taking: Taking,
    /// Has it something to send, as far as is known?
    is_waiting: bool,
}

impl Parts {
    pub(super) fn new(body: Body, taking: Taking) -> Self {
        taking.begin();
        Self { body, rest: Bytes::new(), taking, is_waiting: true }
    }

    fn set_waiting(&mut self, is_waiting: bool) {
        if self.is_waiting != is_waiting {
            if is_waiting {
                self.taking.begin();
            } else {
                self.taking.end();
            }
            self.is_waiting = is_waiting;
        }
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        self.set_waiting(false);
    }
}

impl http_body::Body for Parts {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let parts = &mut *self;
        if parts.rest.is_empty() {
            let polled = Pin::new(&mut parts.body).poll_frame(context);
            parts.set_waiting(polled.is_ready());
            match polled {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => parts.rest = data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                other => return other,
            }
        }
        let bytes = parts.rest.split_to(parts.rest.len().min(PART_BYTES));
        parts.taking.begin();
        let part = Part { bytes, taking: parts.taking.clone() };
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(part)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let inner = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(rest));
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

/// Bytes that are being sent, and are taken when they are dropped.
#[derive(Debug)]
struct Part {
    bytes: Bytes,
    taking: Taking,
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.taking.end();
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    async fn next(parts: &mut Parts) -> Option<Bytes> {
        let frame = std::future::poll_fn(|context| http_body::Body::poll_frame(Pin::new(parts), context));
        frame.await.and_then(Result::ok).and_then(|frame| frame.into_data().ok())
    }

    #[tokio::test]
    async fn f73_what_waits_to_be_taken_is_known_and_what_has_nothing_to_send_is_no_stall() {
        let time = Duration::from_millis(20);
        let taking = Taking::new();
        let stalls =
            async |taking: &Taking| tokio::time::timeout(time * 3, taking.stalled(time)).await.is_ok();
        assert!(!stalls(&taking).await, "nothing was asked");
        let mut parts = Parts::new(vec![7; PART_BYTES * 2 + 1].into(), taking.clone());
        assert_eq!(http_body::Body::size_hint(&parts).exact(), Some(PART_BYTES as u64 * 2 + 1));
        assert!(stalls(&taking).await, "nothing was taken");
        let mut lengths = Vec::new();
        while let Some(part) = next(&mut parts).await {
            lengths.push(part.len());
            assert!(stalls(&taking).await, "a part is not taken");
        }
        assert_eq!(lengths, [PART_BYTES, PART_BYTES, 1]);
        drop(parts);
        assert!(!stalls(&taking).await, "all was taken");
        let (silent, quiet) = (futures::stream::pending(), Taking::new());
        let mut parts = Parts::new(Body::from_stream(silent.map(Ok::<Bytes, axum::Error>)), quiet.clone());
        assert!(futures::FutureExt::now_or_never(next(&mut parts)).is_none());
        assert!(!stalls(&quiet).await, "there is nothing to send");
    }
}
