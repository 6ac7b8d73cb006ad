//! Decoding submissions, several at once.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, select};
use ingest::body::{BodyError, values_of};
use ingest::decoder::Records;
use ingest::event_batch::EventBatch;
use tokio::sync::oneshot;

use super::in_force::InForce;
use super::room::Room;
use super::submission::{Answer, EngineError, Layout, Outcome, Waiting};
use super::verdict::Verdicts;
use super::waiters::Waiter;
use crate::metrics::Metrics;

/// Position of the input that records of requests come from.
const REQUESTS: u32 = 0;

/// A submission as columns.
pub(super) struct Decoded {
    pub(super) batch: EventBatch,
    /// Who waits for its commit; nobody where it only has texts that are new to the decoder.
    pub(super) client: Option<Client>,
    /// What it takes, also where nobody waits.
    pub(super) room: Room,
    /// When it was decoded.
    pub(super) at: Instant,
    /// When it arrived, in microseconds since 1970.
    pub(super) received: i64,
}

/// Who waits for a commit.
pub(super) struct Client {
    pub(super) reply: oneshot::Sender<Answer>,
    pub(super) waiter: Waiter,
}

/// Asks a decoder to stop between two submissions.
pub(super) struct Pause {
    /// Told when it has stopped.
    pub(super) stopped: Sender<()>,
    /// What it goes on under, if that is another catalog.
    pub(super) go: Receiver<Option<Arc<InForce>>>,
}

/// A thread that decodes.
pub(super) struct Decoding {
    pub(super) number: usize,
    pub(super) in_force: Arc<InForce>,
    /// Events of a request.
    pub(super) events_max: usize,
    pub(super) waiting: Receiver<Waiting>,
    pub(super) pauses: Receiver<Pause>,
    /// Closed when nobody decides any more.
    pub(super) ended: Receiver<Infallible>,
    pub(super) empty: Receiver<EventBatch>,
    pub(super) decoded: Sender<Decoded>,
    pub(super) metrics: Arc<Metrics>,
}

/// Decodes submissions until there are no more, or nobody decides them.
pub(super) fn decode(decoding: Decoding) {
    let Decoding { number, mut in_force, events_max, waiting, pauses, ended, empty, decoded, metrics } =
        decoding;
    let mut decoder = in_force.decoder(number);
    loop {
        // Whoever holds an engine could still send.
        let next = select! {
            recv(&waiting) -> next => next.ok(),
            recv(&pauses) -> pause => {
                let Ok(Pause { stopped, go }) = pause else { return };
                let _ = stopped.send(());
                let Ok(changed) = go.recv() else { return };
                if let Some(changed) = changed {
                    in_force = changed;
                    decoder = in_force.decoder(number);
                    // They may have other columns.
                    while empty.try_recv().is_ok() {}
                }
                continue;
            },
            recv(&ended) -> _ => None,
        };
        let Some(Waiting { submission, reply, room, waiter }) = next else { return };
        let mut batch = empty.try_recv().unwrap_or_else(|_| EventBatch::new(in_force.dimensions()));
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
        let received = submission.received.micros();
        batch.fill_from_request(REQUESTS, submission.body);
        decoder.set_received(Some(submission.received));
        decoder.decode(&mut batch, &records);
        let at = Instant::now();
        metrics.decode.record(at.duration_since(waiter.began));
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
            if decoded.send(Decoded { batch, client: None, room, at, received }).is_err() {
                return;
            }
            continue;
        }
        let client = Some(Client { reply, waiter });
        if let Err(lost) = decoded.send(Decoded { batch, client, room, at, received }) {
            if let Some(client) = lost.into_inner().client {
                let _ = client.reply.send(Err(EngineError::Ending));
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
