//! `GET /v1/rated` and `GET /v1/accruals`: what billing systems are fed with, in ledger order, from a cursor on.
//!
//! Events are those of `tallybook export`, byte for byte. A client that repeats a cursor gets the same events again,
//! one that goes on gets each once, across restarts and whatever happened to tables meanwhile (RATE-2). Only what is
//! committed is given.
//!
//! A slow reader delays nobody: a reader has one chunk at most, the next is read when the last is on its way, on threads
//! where reading files may take its time, few at once. A look behind the newest row costs the documents of the epochs
//! since the last look, once for all readers.

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use aggregate::data_directory::DataDirectory;
use aggregate::error::AggregateError;
use aggregate::export::{CloudEvent, ExportTable, Feed, FeedChunk, Position, SettledRecords};
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use schemas::accrual::Accrual;
use schemas::rated_usage::RatedUsage;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::Service;
use super::api::Operation;
use super::cursor::CursorSpace;
use super::off_loop::read_off_the_loop;
use super::problem::Problem;
use super::readers;
use crate::engine::State as EngineState;

/// Chunks that are read at once.
const READS_MAX: usize = 4;

/// Events of an answer, where nobody says.
const LIMIT: usize = 1_000;

/// The most events of an answer.
const LIMIT_MAX: usize = 10_000;

/// Events that are read at once for server-sent events.
const SENT_MAX: usize = 500;

/// The longest wait, in seconds.
const WAIT_MAX: u64 = 30;

/// Time between looks for new rows: epochs may be committed every few milliseconds.
const PAUSE: Duration = Duration::from_millis(20);

/// Time after which a client is told that the connection is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The streams of a ledger.
#[derive(Debug)]
pub(super) struct Streams {
    pub(super) directory: Arc<DataDirectory>,
    rated: Stream,
    accruals: Stream,
    pub(super) quarantine: Stream,
    pub(super) settled: SettledRecords,
}

/// A stream, and how its places are written.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) feed: Arc<Feed>,
    pub(super) space: CursorSpace,
    reads: Arc<Semaphore>,
}

/// What may be asked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StreamQuery {
    /// Cursor to go on after.
    after: Option<String>,
    /// Events of the answer; 1,000 where it is left out.
    #[schemars(range(min = 1, max = LIMIT_MAX))]
    limit: Option<usize>,
    /// Seconds to wait for the first event; 0 where it is left out.
    #[schemars(range(max = WAIT_MAX))]
    wait: Option<u64>,
    /// Reader whose place is kept by the service, where no cursor says it.
    reader: Option<String>,
}

type Asked = Result<Query<StreamQuery>, axum::extract::rejection::QueryRejection>;

impl Streams {
    /// The streams of a partition.
    pub(super) fn new(directory: Arc<DataDirectory>, partition: u32) -> Self {
        let reads = Arc::new(Semaphore::new(READS_MAX));
        let stream = |table| Stream {
            feed: Arc::new(Feed::new(&directory, partition, table)),
            space: CursorSpace { ledger_id: directory.ledger(partition).ledger_id, table },
            reads: Arc::clone(&reads),
        };
        Self {
            rated: stream(ExportTable::RatedUsage),
            accruals: stream(ExportTable::Accruals),
            quarantine: stream(ExportTable::Quarantine),
            settled: SettledRecords::new(&directory, partition),
            directory,
        }
    }

    /// The stream that readers have by this name.
    pub(super) fn named(&self, name: &str) -> Option<&Stream> {
        [&self.rated, &self.accruals].into_iter().find(|stream| stream.space.name() == name)
    }

    /// The stream that a cursor is of.
    pub(super) fn of_cursor(&self, cursor: &str) -> &Stream {
        let name = cursor.split('-').next().unwrap_or_default();
        self.named(name).unwrap_or(&self.rated)
    }
}

impl Stream {
    /// Reads, where reading may take its time.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Feed) -> Result<T, AggregateError> + Send + 'static,
    ) -> Result<T, Problem> {
        let feed = Arc::clone(&self.feed);
        let permit = Arc::clone(&self.reads).acquire_owned().await;
        let read = move || {
            let _permit = permit;
            read(&feed)
        };
        read_off_the_loop(read).await
    }

    /// Refuses places that the ledger does not have yet: it is an older copy then.
    pub(super) fn check(position: Position, committed: u64) -> Result<(), Problem> {
        if position <= Position::behind(committed) {
            return Ok(());
        }
        let detail = format!(
            "this cursor is of epoch {}, and the ledger ends with epoch {committed}: if it was restored from an older \
             copy, compare what you have with `GET` from the first row, or ask whoever restored it",
            position.epoch
        );
        Err(Problem::new(StatusCode::CONFLICT, "cursor_ahead", detail))
    }
}

/// Rated usage of an answer.
enum RatedUsagePage {}

/// Accruals of an answer.
enum AccrualsPage {}

impl JsonSchema for RatedUsagePage {
    fn schema_name() -> Cow<'static, str> {
        "RatedUsagePage".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        page::<RatedUsage>(generator)
    }
}

impl JsonSchema for AccrualsPage {
    fn schema_name() -> Cow<'static, str> {
        "AccrualsPage".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        page::<Accrual>(generator)
    }
}

/// What [`listed`] writes.
fn page<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let (event, row) = (generator.subschema_for::<CloudEvent<'_>>(), generator.subschema_for::<T>());
    json_schema!({
        "type": "object",
        "required": ["events", "cursor", "epoch", "is_last"],
        "properties": {
            "events": {
                "description": "In ledger order.",
                "type": "array",
                "items": { "allOf": [event, { "properties": { "data": row } }] },
            },
            "cursor": { "description": "To go on with, as `after`.", "type": "string" },
            "epoch": { "description": "Last epoch that was looked at.", "type": "integer" },
            "is_last": { "description": "Is nothing more committed?", "type": "boolean" },
        },
    })
}

/// What is said of [`rated`].
pub(super) fn about_rated(operation: Operation<'_>) -> Operation<'_> {
    let summary = "Rated usage: each event with its exact amount";
    about(operation.says("Billing", summary, STREAM_DESCRIPTION))
        .answers::<RatedUsagePage>(StatusCode::OK, "The next events.")
}

/// What is said of [`accruals`].
pub(super) fn about_accruals(operation: Operation<'_>) -> Operation<'_> {
    let summary = "Accruals: what is to be posted, by contract line, meter and day";
    about(operation.says("Billing", summary, STREAM_DESCRIPTION))
        .answers::<AccrualsPage>(StatusCode::OK, "The next events.")
}

const STREAM_DESCRIPTION: &str = "\
CloudEvents in ledger order, of committed epochs only, as `tallybook export` has them. A cursor that is repeated gives the \
same events again; one that is gone on with gives each event once, across restarts. With `Accept: text/event-stream` \
events are sent as they are committed, with the cursor as `id`.";

fn about(operation: Operation<'_>) -> Operation<'_> {
    operation
        .query::<StreamQuery>()
        .header(
            "Last-Event-ID",
            "Cursor to go on after, of clients that were cut off from server-sent events.",
        )
        .answers_as::<String>(StatusCode::OK, "text/event-stream", "The next events.")
        .refuses(StatusCode::BAD_REQUEST, &["bad_limit", "bad_wait", "bad_cursor", "bad_reader"])
        .refuses(StatusCode::CONFLICT, &["cursor_ahead", "other_stream"])
        .refuses(StatusCode::INTERNAL_SERVER_ERROR, &["unreadable"])
}

/// `GET /v1/rated`.
pub(super) async fn rated(
    State(service): State<Service>,
    query: Asked,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let stream = service.streams.rated.clone();
    answer(service, stream, query, &headers).await
}

/// `GET /v1/accruals`.
pub(super) async fn accruals(
    State(service): State<Service>,
    query: Asked,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let stream = service.streams.accruals.clone();
    answer(service, stream, query, &headers).await
}

async fn answer(
    service: Service,
    stream: Stream,
    query: Asked,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|error| Problem::bad_request("bad_query", error.body_text()))?;
    let limit = query.limit.unwrap_or(LIMIT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Problem::bad_request("bad_limit", format!("ask for 1 to {LIMIT_MAX} events with limit")));
    }
    let wait = query.wait.unwrap_or(0);
    if wait > WAIT_MAX {
        return Err(Problem::bad_request(
            "bad_wait",
            format!("wait for at most {WAIT_MAX} seconds, then ask again"),
        ));
    }
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_sent = accepted.contains("text/event-stream");
    let resumed = headers.get("last-event-id").filter(|_| is_sent).and_then(|value| value.to_str().ok());
    let after = resumed.or(query.after.as_deref()).filter(|cursor| !cursor.is_empty());
    let position = match (after, &query.reader) {
        (Some(cursor), _) => stream.space.read(cursor)?,
        (None, Some(name)) => readers::position(&service, &stream, name).await?,
        (None, None) => Position::START,
    };
    let committed = service.engine.progress().borrow().epoch;
    Stream::check(position, committed)?;
    if is_sent {
        return Ok(send(service, stream, position));
    }
    let until = Instant::now() + Duration::from_secs(wait);
    let (chunk, epoch) = next(&service, &stream, position, limit, until).await?;
    Ok(listed(&stream, &chunk, epoch))
}

/// The next events, waited for until a time if there are none, and the last epoch when they were read.
async fn next(
    service: &Service,
    stream: &Stream,
    position: Position,
    limit: usize,
    until: Instant,
) -> Result<(FeedChunk, u64), Problem> {
    let mut progress = service.engine.progress().clone();
    let mut position = position;
    loop {
        let epoch = progress.borrow_and_update().epoch;
        let chunk = stream.read(move |feed| feed.after(position, epoch, limit)).await?;
        let left = until.saturating_duration_since(Instant::now());
        if !chunk.rows.is_empty() || left.is_zero() {
            return Ok((chunk, epoch));
        }
        position = chunk.next;
        sleep(PAUSE.min(left)).await;
        let is_newer = tokio::select! {
            newer = progress.wait_for(|progress| progress.epoch > epoch) => newer.is_ok(),
            () = sleep(left.saturating_sub(PAUSE)) => false,
            () = service.ending() => false,
        };
        if !is_newer {
            return Ok((chunk, epoch));
        }
    }
}

fn listed(stream: &Stream, chunk: &FeedChunk, epoch: u64) -> Response {
    let mut text = b"{\"events\":[".to_vec();
    for (position, row) in chunk.rows.iter().enumerate() {
        if position > 0 {
            text.push(b',');
        }
        // An event has only texts as keys, so writing it cannot fail.
        serde_json::to_writer(&mut text, &stream.feed.cloud_event(row)).unwrap_or_default();
    }
    let cursor = stream.space.write(chunk.next);
    let end = format!("],\"cursor\":\"{cursor}\",\"epoch\":{epoch},\"is_last\":{}}}", chunk.is_last);
    text.extend_from_slice(end.as_bytes());
    let mut response = text.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Will there be other epochs?
fn is_alive(service: &Service) -> bool {
    let progress = service.engine.progress();
    !*service.ending.borrow()
        && progress.has_changed().is_ok()
        && matches!(progress.borrow().state, EngineState::Taking | EngineState::DiskFull)
}

/// Sends events as long as the client takes them.
fn send(service: Service, stream: Stream, position: Position) -> Response {
    let sent = futures::stream::unfold(Some(position), move |position| {
        let (service, stream) = (service.clone(), stream.clone());
        async move {
            // Who reads on finds the service that is started next.
            let position = position.filter(|_| is_alive(&service))?;
            let read = next(&service, &stream, position, SENT_MAX, Instant::now() + KEEP_ALIVE).await;
            let Ok((chunk, _)) = read else { return None };
            let mut text = Vec::new();
            for row in &chunk.rows {
                let cursor = stream.space.write(Position { epoch: row.epoch, row: row.row });
                text.extend_from_slice(format!("id: {cursor}\ndata: ").as_bytes());
                serde_json::to_writer(&mut text, &stream.feed.cloud_event(row)).unwrap_or_default();
                text.extend_from_slice(b"\n\n");
            }
            if text.is_empty() {
                text.extend_from_slice(b": alive\n\n");
            }
            Some((Ok::<_, Infallible>(Bytes::from(text)), Some(chunk.next)))
        }
    });
    let mut response = Body::from_stream(sent).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
