//! What a request hands to the engine, and what it is told.

use schemas::timestamp::Timestamp;
use tokio::sync::oneshot;

use super::quota::OverQuota;
use super::room::Room;
use super::verdict::Verdicts;
use super::waiters::Waiter;

/// How the events of a body lie in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One JSON value, or a list of them.
    Values,
    /// One JSON object per line.
    Lines,
}

/// Events to be counted.
#[derive(Debug)]
pub struct Submission {
    /// The events as they were sent.
    pub body: Vec<u8>,
    /// How they lie there.
    pub layout: Layout,
    /// Is nothing to be counted where an event cannot be?
    pub is_atomic: bool,
    /// Time of events that have none.
    pub received: Timestamp,
}

/// What a submission came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is durable: the last epoch there was, and what became of each event.
    Committed {
        /// The epoch that holds it, or one after it where nothing was new.
        epoch: u64,
        /// What became of each event.
        verdicts: Verdicts,
    },
    /// Nothing of it was counted, as was asked for where an event cannot be.
    Refused(Verdicts),
    /// It is no list of events.
    Malformed(&'static str),
}

/// Why there is no outcome. Nothing is known of the events: sending them again is safe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// As many bytes wait as may.
    #[error("more events arrive than can be committed")]
    Overloaded,
    /// Whoever sends has sent as much as they may.
    #[error("more than {} events a second were sent with this token (events_per_second)", .0.rate)]
    OverQuota(OverQuota),
    /// The disk has no room to commit.
    #[error("the disk is full: nothing is counted until there is room again")]
    DiskFull,
    /// It is ending.
    #[error("the service is shutting down")]
    Ending,
    /// It cannot commit any more.
    #[error("the service stopped: {0}")]
    Stopped(String),
    /// It could not be told; nothing is changed.
    #[error("{0}")]
    Failed(String),
}

impl From<OverQuota> for EngineError {
    fn from(over: OverQuota) -> Self {
        Self::OverQuota(over)
    }
}

/// What a submission came to, or why nothing is known.
pub type Answer = Result<Outcome, EngineError>;

/// A submission on its way, with the room it takes.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) submission: Submission,
    pub(super) reply: oneshot::Sender<Answer>,
    /// Given back when it is answered.
    pub(super) room: Room,
    pub(super) waiter: Waiter,
}
