//! Decoding submissions, several at once.

use std::convert::Infallible;

use crossbeam_channel::{Receiver, Sender, select};
use ingest::body::{BodyError, values_of};
use ingest::decoder::{Decoder, Records};
use ingest::event_batch::EventBatch;
use tokio::sync::oneshot;

use super::room::Room;
use super::submission::{Answer, EngineError, Layout, Outcome, Waiting};
use super::verdict::Verdicts;

/// Position of the input that records of requests come from.
const REQUESTS: u32 = 0;

/// A submission as columns.
pub(super) struct Decoded {
    pub(super) batch: EventBatch,
    /// Who waits for its commit; nobody where it only has texts that are new to the decoder.
    pub(super) reply: Option<oneshot::Sender<Answer>>,
    /// What it takes, also where nobody waits.
    pub(super) room: Room,
}

/// Decodes submissions until there are no more, or nobody decides them: `ended` is closed then.
pub(super) fn decode(
    mut decoder: Decoder,
    dimensions: usize,
    events_max: usize,
    waiting: &Receiver<Waiting>,
    ended: &Receiver<Infallible>,
    empty: &Receiver<EventBatch>,
    decoded: &Sender<Decoded>,
) {
    loop {
        // Whoever holds an engine could still send.
        let next = select! {
            recv(waiting) -> next => next.ok(),
            recv(ended) -> _ => None,
        };
        let Some(Waiting { submission, reply, room }) = next else { return };
        let mut batch = empty.try_recv().unwrap_or_else(|_| EventBatch::new(dimensions));
        let records = match submission.layout {
            Layout::Lines => Ok(Records::Lines),
            Layout::Values => values_of(&submission.body, events_max).map(Records::Values),
        };
        let records = match records {
            Ok(records) => records,
            Err(error) => {
                let _ = reply.send(Ok(Outcome::Malformed(words(error))));
                continue;
            }
        };
        batch.fill_from_request(REQUESTS, submission.body);
        decoder.set_received(Some(submission.received));
        decoder.decode(&mut batch, &records);
        let refused = match room.bearer().take(batch.received) {
            Err(over) => Some(Err(over.into())),
            Ok(()) if submission.is_atomic && !batch.rejects.is_empty() => {
                Some(Ok(Outcome::Refused(Verdicts::of_refused(&batch))))
            }
            Ok(()) => None,
        };
        if let Some(answer) = refused {
            let _ = reply.send(answer);
            // IMPORTANT: the decoder counts texts that it met as known from here on.
            batch.drop_records();
            if decoded.send(Decoded { batch, reply: None, room }).is_err() {
                return;
            }
            continue;
        }
        if let Err(lost) = decoded.send(Decoded { batch, reply: Some(reply), room }) {
            if let Some(reply) = lost.into_inner().reply {
                let _ = reply.send(Err(EngineError::Ending));
            }
            return;
        }
    }
}

const fn words(error: BodyError) -> &'static str {
    match error {
        BodyError::UnclosedList => "the list of events does not end: send a list that ends with ]",
        BodyError::TooMany => "there are more events than one request may have: send them in several",
        BodyError::Empty => "there is no event: send one, or a list of them",
    }
}
