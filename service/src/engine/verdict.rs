//! What became of each event of a request, in the order the request has them.

use aggregate::decider::DecidedBatch;
use ingest::event_batch::EventBatch;
use schemars::JsonSchema;
use schemas::quarantine::{CONFLICT, CONFLICT_MEND, RejectReason};
use serde::Serialize;

/// What became of an event. Wire names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It counts, now and for good.
    Accepted,
    /// It was counted before; nothing changed.
    Duplicate,
    /// Its identity was counted before with other content: it is in quarantine, the first one stays.
    Conflict,
    /// It is no valid event: it is in quarantine.
    Rejected,
}

/// What is to be said of an event besides its verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Remark {
    /// Position of the event in the request, from 0.
    pub index: usize,
    /// Its source, where it could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Its id, where it could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What became of it.
    pub verdict: Verdict,
    /// Why, in one word: the reason of its record in quarantine.
    pub reason: &'static str,
    /// What is wrong, and how to mend it.
    pub message: String,
}

/// The verdicts of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Verdicts {
    /// Of each event, in order.
    pub verdicts: Vec<Verdict>,
    /// Of events that need care: those that were not taken, and those that have no price yet.
    pub remarks: Vec<Remark>,
}

impl Verdicts {
    /// How many events have a verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.verdicts.iter().filter(|known| **known == verdict).count()
    }

    /// The verdicts of a batch that was decided.
    pub(super) fn of(decided: &DecidedBatch) -> Self {
        let batch = &decided.batch;
        let places = Places::of(batch);
        let mut of_event = vec![Verdict::Duplicate; batch.len()];
        let mut mark = |events: &[u32], verdict: Verdict| {
            for event in events {
                if let Some(known) = of_event.get_mut(*event as usize) {
                    *known = verdict;
                }
            }
        };
        mark(&decided.rated.event, Verdict::Accepted);
        let unrated: Vec<u32> = decided.unrated.iter().map(|unrated| unrated.event).collect();
        mark(&unrated, Verdict::Accepted);
        mark(&decided.conflicts, Verdict::Conflict);
        mark(&decided.too_old, Verdict::Rejected);
        let verdicts = places.arrange(&of_event, Verdict::Rejected);
        let mut remarks = rejects(batch, &places);
        let mut remark = |event: u32, verdict, reason, message: &str| {
            remarks.push(Remark {
                index: places.of_event(event as usize),
                source: None,
                id: Some(batch.event_id(event as usize)),
                verdict,
                reason,
                message: message.to_owned(),
            });
        };
        for event in &decided.conflicts {
            let message = format!("this id was counted before with other content: {CONFLICT_MEND}");
            remark(*event, Verdict::Conflict, CONFLICT, &message);
        }
        for event in &decided.too_old {
            remark(*event, Verdict::Rejected, RejectReason::TooOld.code(), RejectReason::TooOld.mend());
        }
        let mut last = None;
        for unrated in &decided.unrated {
            // One of several meters may have no price: the event is named once.
            if last.replace(unrated.event) != Some(unrated.event) {
                let message = format!("it is counted, and has no price yet: {}", unrated.reason.mend());
                remark(unrated.event, Verdict::Accepted, unrated.reason.code(), &message);
            }
        }
        remarks.sort_by_key(|remark| remark.index);
        Self { verdicts, remarks }
    }

    /// What is said of a batch that is not taken because some of its events cannot be.
    pub(super) fn of_refused(batch: &EventBatch) -> Self {
        let places = Places::of(batch);
        let verdicts = vec![Verdict::Rejected; places.len()];
        let mut remarks = rejects(batch, &places);
        remarks.sort_by_key(|remark| remark.index);
        Self { verdicts, remarks }
    }
}

fn rejects(batch: &EventBatch, places: &Places) -> Vec<Remark> {
    let rejects = batch.rejects.iter().enumerate();
    let remark = |(position, reject): (usize, &ingest::event_batch::Reject)| Remark {
        index: places.of_reject(position),
        source: reject.attributes.source.as_deref().map(ToOwned::to_owned),
        id: reject.attributes.id.as_deref().map(ToOwned::to_owned),
        verdict: Verdict::Rejected,
        reason: reject.reason.code(),
        message: reject.explanation(),
    };
    rejects.map(remark).collect()
}

/// Where the events and rejects of a batch are in their request.
struct Places {
    events: Vec<usize>,
    rejects: Vec<usize>,
}

impl Places {
    fn of(batch: &EventBatch) -> Self {
        let events = batch.events.text.iter().map(|text| text.span.start);
        let rejects = batch.rejects.iter().map(|reject| reject.span.start);
        if batch.rejects.is_empty() {
            return Self { events: (0..batch.len()).collect(), rejects: Vec::new() };
        }
        // Both are in order: they are merged.
        let mut places = Self { events: Vec::new(), rejects: Vec::new() };
        let (mut events, mut rejects) = (events.peekable(), rejects.peekable());
        for index in 0.. {
            match (events.peek(), rejects.peek()) {
                (Some(event), Some(reject)) if event < reject => {
                    events.next();
                    places.events.push(index);
                }
                (_, Some(_)) => {
                    rejects.next();
                    places.rejects.push(index);
                }
                (Some(_), None) => {
                    events.next();
                    places.events.push(index);
                }
                (None, None) => break,
            }
        }
        places
    }

    const fn len(&self) -> usize {
        self.events.len() + self.rejects.len()
    }

    fn of_event(&self, event: usize) -> usize {
        self.events.get(event).copied().unwrap_or(event)
    }

    fn of_reject(&self, reject: usize) -> usize {
        self.rejects.get(reject).copied().unwrap_or(reject)
    }

    /// What is said of events, in the order of the request.
    fn arrange<T: Copy>(&self, of_event: &[T], of_reject: T) -> Vec<T> {
        let mut all = vec![of_reject; self.len()];
        for (place, value) in self.events.iter().zip(of_event) {
            if let Some(slot) = all.get_mut(*place) {
                *slot = *value;
            }
        }
        all
    }
}
