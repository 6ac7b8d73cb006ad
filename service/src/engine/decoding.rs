//! Decoding submissions, several at once.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, select};
use ingest::body::{BodyError, values_of};
use ingest::decoder::{Decoder, Records};
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

/// Turns submissions into columns, and answers those that are none.
pub(super) struct RequestDecoder {
    decoder: Decoder,
    in_force: Arc<InForce>,
    /// Events of a request.
    events_max: usize,
    /// Batches to be filled again.
    empty: Receiver<EventBatch>,
    metrics: Arc<Metrics>,
}

impl RequestDecoder {
    /// A decoder that begins anew; the partition knows it by its number.
    pub(super) fn new(
        number: usize,
        in_force: &Arc<InForce>,
        events_max: usize,
        empty: Receiver<EventBatch>,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let (decoder, in_force) = (in_force.decoder(number), Arc::clone(in_force));
        Self { decoder, in_force, events_max, empty, metrics: Arc::clone(metrics) }
    }

    /// Begins anew under another catalog.
    pub(super) fn change_catalog(&mut self, number: usize, in_force: &Arc<InForce>) {
        self.decoder = in_force.decoder(number);
        self.in_force = Arc::clone(in_force);
        // They may have other columns.
        while self.empty.try_recv().is_ok() {}
    }

    /// A submission as columns; nothing where it is no list of events, which whoever sent it is told.
    pub(super) fn decode(&mut self, waiting: Waiting) -> Option<Decoded> {
        let Waiting { submission, reply, room, waiter } = waiting;
        let records = match submission.layout {
            Layout::Lines => Ok(Records::Lines),
            Layout::Values => values_of(&submission.body, self.events_max).map(Records::Values),
        };
        let records = match records {
            Ok(records) => records,
            Err(error) => {
                let _ = reply.send(Ok(Outcome::Malformed(words(error))));
                return None;
            }
        };
        let another = || EventBatch::new(self.in_force.dimensions());
        let mut batch = self.empty.try_recv().unwrap_or_else(|_| another());
        let received = submission.received.micros();
        batch.fill_from_request(REQUESTS, submission.body);
        self.decoder.set_received(Some(submission.received));
        self.decoder.decode(&mut batch, &records);
        let at = Instant::now();
        self.metrics.decode.record(at.duration_since(waiter.began));
        let refused = match room.bearer().take(batch.received) {
            Err(over) => Err(over.into()),
            Ok(()) if submission.is_atomic && !batch.rejects.is_empty() => {
                Ok(Outcome::Refused(Verdicts::of_refused(&batch)))
            }
            Ok(()) => {
                let client = Some(Client { reply, waiter });
                return Some(Decoded { batch, client, room, at, received });
            }
        };
        let _ = reply.send(refused);
        // IMPORTANT: the decoder counts texts that it met as known from here on.
        batch.drop_records();
        Some(Decoded { batch, client: None, room, at, received })
    }
}

/// A thread that decodes.
pub(super) struct Decoding {
    pub(super) number: usize,
    pub(super) decoder: RequestDecoder,
    pub(super) waiting: Receiver<Waiting>,
    pub(super) pauses: Receiver<Pause>,
    /// Closed when nobody decides any more.
    pub(super) ended: Receiver<Infallible>,
    pub(super) decoded: Sender<Decoded>,
}

/// Decodes submissions until there are no more, or nobody decides them.
pub(super) fn decode(decoding: Decoding) {
    let Decoding { number, mut decoder, waiting, pauses, ended, decoded } = decoding;
    loop {
        // Whoever holds an engine could still send.
        let next = select! {
            recv(&waiting) -> next => next.ok(),
            recv(&pauses) -> pause => {
                let Ok(Pause { stopped, go }) = pause else { return };
                let _ = stopped.send(());
                let Ok(changed) = go.recv() else { return };
                if let Some(changed) = changed {
                    decoder.change_catalog(number, &changed);
                }
                continue;
            },
            recv(&ended) -> _ => None,
        };
        let Some(waiting) = next else { return };
        let Some(next) = decoder.decode(waiting) else { continue };
        if let Err(lost) = decoded.send(next) {
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
