//! `POST /v1/events`: events in, verdicts out, after the commit.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use schemars::JsonSchema;
use schemas::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::api::Operation;
use super::body::{Encoding, Inflate, Intake, check_ratio, read_of};
use super::problem::Problem;
use super::sent_event::SentEvent;
use super::{Service, binary_mode};
use crate::engine::{Bearer, EngineError, Layout, Outcome, Remark, Room, Submission, Verdict, Verdicts};

/// Bytes of lines that are counted at once, about.
const LINES_BYTES: usize = 256 << 10;

/// Bytes that most answers have room in.
const ANSWER_BYTES: usize = 512;

/// Answers of a stream that wait to be sent.
const ANSWERS_MAX: usize = 16;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    /// Is nothing of a list to be counted where an event in it is invalid?
    #[serde(default)]
    atomic: bool,
}

/// How a request carries its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// One event in JSON.
    Single,
    /// A list of them.
    Batch,
    /// Either.
    Json,
    /// A line for each.
    Lines,
    /// Attributes as headers, data as body.
    Binary,
}

impl Form {
    fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut values = headers.get_all(header::CONTENT_TYPE).iter();
        let value = values.next().and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if values.next().is_some() {
            return Err(Problem::bad_request("ambiguous_content_type", "send one Content-Type"));
        }
        match media.as_str() {
            _ if headers.contains_key("ce-specversion") => Ok(Self::Binary),
            "application/cloudevents+json" => Ok(Self::Single),
            "application/cloudevents-batch+json" => Ok(Self::Batch),
            "application/json" => Ok(Self::Json),
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(Self::Lines),
            _ => Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_content_type",
                "send application/cloudevents+json, application/cloudevents-batch+json, application/json, \
                 application/x-ndjson, or the attributes as ce- headers",
            )),
        }
    }
}

/// What a request came to. Field names are wire names.
#[derive(Debug, Serialize, JsonSchema)]
struct Receipt<'a> {
    /// The last epoch when it was answered: what was accepted is in this one, or before.
    epoch: u64,
    received: usize,
    accepted: usize,
    duplicate: usize,
    conflict: usize,
    rejected: usize,
    /// Of each event, in the order of the request.
    verdicts: &'a [Verdict],
    /// More about events that need care.
    remarks: &'a [Remark],
}

impl<'a> Receipt<'a> {
    fn new(epoch: u64, verdicts: &'a Verdicts) -> Self {
        let count = |verdict| verdicts.count(verdict);
        Self {
            epoch,
            received: verdicts.verdicts.len(),
            accepted: count(Verdict::Accepted),
            duplicate: count(Verdict::Duplicate),
            conflict: count(Verdict::Conflict),
            rejected: count(Verdict::Rejected),
            verdicts: &verdicts.verdicts,
            remarks: &verdicts.remarks,
        }
    }
}

/// What is said of [`post`].
pub(super) fn about(operation: Operation<'_>) -> Operation<'_> {
    let codes = [
        "bad_query",
        "ambiguous_content_type",
        "atomic_stream",
        "bad_attribute",
        "data_is_not_json",
        "not_an_event",
        "not_a_list",
        "malformed_body",
    ];
    operation
        .says(
            "Events",
            "Count usage events",
            "Answers after the commit: what it calls `accepted` is on disk, counted once and rated. One event that is \
             a conflict or rejected is answered with 409 or 422; a list with 200 whatever its verdicts are. Lines \
             (`application/x-ndjson`) are answered with a line each while they arrive, and a last one with \
             `is_complete`. In binary mode the attributes are `ce-` headers and the body is `data`. An event without \
             `time` has the time of its arrival.",
        )
        .query::<EventsQuery>()
        .header("Content-Encoding", "`gzip` or `zstd`, where the body is compressed.")
        .takes_as::<SentEvent>("application/cloudevents+json")
        .takes_as::<Vec<SentEvent>>("application/cloudevents-batch+json")
        .takes_as::<Vec<SentEvent>>("application/json")
        .takes_as::<String>("application/x-ndjson")
        .answers::<Receipt<'_>>(StatusCode::OK, "What became of the events.")
        .answers_as::<String>(StatusCode::OK, "application/x-ndjson", "What became of the events.")
        .refuses(StatusCode::BAD_REQUEST, &codes)
        .refuses(StatusCode::CONFLICT, &["conflict"])
        .refuses(StatusCode::UNSUPPORTED_MEDIA_TYPE, &["unsupported_content_type"])
        .refuses(StatusCode::UNPROCESSABLE_ENTITY, &["refused", "rejected"])
        .reads_within_limits()
        .refuses(StatusCode::TOO_MANY_REQUESTS, &["over_quota"])
}

/// Takes events in.
pub(super) async fn post(
    State(service): State<Service>,
    Extension(bearer): Extension<Arc<Bearer>>,
    query: Result<Query<EventsQuery>, axum::extract::rejection::QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let (Parts { headers, .. }, body) = request.into_parts();
    let Query(EventsQuery { atomic }) =
        query.map_err(|error| Problem::bad_request("bad_query", error.body_text()))?;
    let form = Form::of(&headers)?;
    let encoding = Encoding::of(&headers)?;
    if form == Form::Lines {
        if atomic {
            let detail = "lines are counted as they arrive: send a list, where all or nothing shall count";
            return Err(Problem::bad_request("atomic_stream", detail));
        }
        return stream(service, bearer, encoding, body);
    }
    let received = service.clock.now();
    let (bytes, room) = read_of(&bearer, body, encoding, &service.config.limits, &service.engine).await?;
    let bytes = match form {
        Form::Binary => binary_mode::event(&headers, &bytes)?,
        _ => bytes,
    };
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace()).copied();
    let is_list = first == Some(b'[');
    match (form, is_list) {
        (Form::Single, true) => {
            let detail = "a list of events is application/cloudevents-batch+json";
            return Err(Problem::bad_request("not_an_event", detail));
        }
        (Form::Batch, false) => {
            let detail = "application/cloudevents-batch+json is a list of events: [ ... ]";
            return Err(Problem::bad_request("not_a_list", detail));
        }
        _ => {}
    }
    let submission = Submission { body: bytes, layout: Layout::Values, is_atomic: atomic, received };
    match service.engine.submit(submission, room).await? {
        Outcome::Malformed(what) => Err(Problem::bad_request("malformed_body", what)),
        Outcome::Refused(verdicts) => {
            let detail = "nothing was counted: events that cannot be counted are among them";
            let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "refused", detail);
            Err(problem.verdicts(&verdicts))
        }
        Outcome::Committed { epoch, verdicts } => {
            if !is_list {
                check_single(&verdicts)?;
            }
            Ok(json(StatusCode::OK, &Receipt::new(epoch, &verdicts)))
        }
    }
}

/// One event that is not taken is an error; it is in quarantine all the same.
fn check_single(verdicts: &Verdicts) -> Result<(), Problem> {
    let [verdict] = verdicts.verdicts.as_slice() else { return Ok(()) };
    let (status, code) = match verdict {
        Verdict::Accepted | Verdict::Duplicate => return Ok(()),
        Verdict::Conflict => (StatusCode::CONFLICT, "conflict"),
        Verdict::Rejected => (StatusCode::UNPROCESSABLE_ENTITY, "rejected"),
    };
    let detail = verdicts.remarks.first().map_or_else(String::new, |remark| remark.message.clone());
    Err(Problem::new(status, code, detail).verdicts(verdicts))
}

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let mut body = Vec::with_capacity(ANSWER_BYTES);
    // What is answered has only texts as keys, so writing it cannot fail.
    serde_json::to_writer(&mut body, value).unwrap_or_default();
    // For terminals.
    body.push(b'\n');
    let mut response = (status, body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A line of the answer to lines.
#[derive(Debug, Serialize)]
struct LineVerdict<'a> {
    /// Position of the event among those of the request, from 0; lines that are blank are none.
    index: usize,
    verdict: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

/// The last line of the answer to lines: there are no more.
#[derive(Debug, Serialize)]
struct LineEnd {
    epoch: u64,
    received: usize,
    is_complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// Counts lines as they arrive, and says what became of them as they are committed.
fn stream(
    service: Service,
    bearer: Arc<Bearer>,
    encoding: Encoding,
    body: Body,
) -> Result<Response, Problem> {
    // Who may send nothing now is told before anything is read.
    service.engine.room(&bearer)?;
    let inflate = Inflate::new(encoding, service.config.limits.body_bytes_max)?;
    let (tx, mut rx) = mpsc::channel::<Bytes>(ANSWERS_MAX);
    tokio::spawn(async move {
        let mut lines = Lines { service, bearer, tx, index: 0, epoch: 0 };
        let problem = lines.count(inflate, body).await.err().map(|problem| problem.to_string());
        let end =
            LineEnd { epoch: lines.epoch, received: lines.index, is_complete: problem.is_none(), problem };
        let mut line = serde_json::to_vec(&end).unwrap_or_default();
        line.push(b'\n');
        let _ = lines.tx.send(line.into()).await;
    });
    let frames = futures::stream::poll_fn(move |context| rx.poll_recv(context));
    let frames = futures::StreamExt::map(frames, Ok::<_, Infallible>);
    let mut response = Body::from_stream(frames).into_response();
    let kind = HeaderValue::from_static("application/x-ndjson");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

/// Lines of a request on their way.
struct Lines {
    service: Service,
    bearer: Arc<Bearer>,
    tx: mpsc::Sender<Bytes>,
    index: usize,
    epoch: u64,
}

impl Lines {
    async fn count(&mut self, mut inflate: Inflate, body: Body) -> Result<(), Problem> {
        let service = self.service.clone();
        let limits = &service.config.limits;
        let mut intake = Intake::new(body, limits, service.engine.metrics());
        let (mut arrived, mut inflated) = (0, 0);
        // What is not counted yet waits as well, also where its line is not whole.
        let mut room = service.engine.room(&self.bearer)?;
        while let Some(bytes) = intake.next().await? {
            let before = inflate.len();
            inflate.push(&bytes)?;
            arrived += bytes.len() as u64;
            inflated += inflate.len() - before;
            check_ratio(arrived, inflated, limits)?;
            room.grow(inflate.len() - before)?;
            if inflate.len() >= LINES_BYTES {
                let lines = inflate.take_lines();
                self.submit(lines, &mut room).await?;
            }
        }
        let before = inflate.len();
        inflate.end()?;
        room.grow(inflate.len() - before)?;
        let rest = inflate.take();
        self.submit(rest, &mut room).await
    }

    /// Counts lines, which have room.
    async fn submit(&mut self, lines: Vec<u8>, room: &mut Room) -> Result<(), Problem> {
        if lines.is_empty() {
            return Ok(());
        }
        let room = room.split(lines.len()).ok_or(EngineError::Overloaded)?;
        let received: Timestamp = self.service.clock.now();
        let submission = Submission { body: lines, layout: Layout::Lines, is_atomic: false, received };
        let outcome = self.service.engine.submit(submission, room).await?;
        let Outcome::Committed { epoch, verdicts } = outcome else { return Ok(()) };
        self.epoch = epoch;
        let mut text = Vec::new();
        let mut remarks = verdicts.remarks.iter().peekable();
        for (index, verdict) in verdicts.verdicts.iter().enumerate() {
            let remark = remarks.next_if(|remark| remark.index == index);
            let line = LineVerdict {
                index: self.index + index,
                verdict: *verdict,
                reason: remark.map(|remark| remark.reason),
                message: remark.map(|remark| remark.message.as_str()),
            };
            serde_json::to_writer(&mut text, &line).unwrap_or_default();
            text.push(b'\n');
        }
        self.index += verdicts.verdicts.len();
        // Who does not read answers is not read either.
        let _ = self.tx.send(text.into()).await;
        Ok(())
    }
}
