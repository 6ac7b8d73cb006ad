//! `/api/v1/events`: events in, and the last of them out.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use schemas::timestamp::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::engine::{Bearer, Layout, Outcome, Submission, Verdict, Verdicts};
use crate::http::Service;
use crate::http::api::{Operation, Parameter};
use crate::http::body::{Encoding, read_of};
use crate::http::events::json;
use crate::http::problem::Problem;
use crate::http::query_string::QueryString;
use crate::http::sent_event::SentEvent;
use crate::usage::RecentEvent;

/// Most events of an answer.
const LIMIT_MAX: usize = 100;

/// What [`list`] may be asked with.
const PARAMETERS: [Parameter; 5] = [
    Parameter::up_to(LIMIT_MAX, "limit", "Events of the answer; 100 where it is left out."),
    Parameter::time("from", "First event time."),
    Parameter::time("to", "Event time that is no longer asked for."),
    Parameter::text("id", "Part of the ids that are asked for."),
    Parameter::text("subject", "Part of the subjects that are asked for."),
];

/// What is said of [`post`].
pub(in crate::http) fn about_post(operation: Operation<'_>) -> Operation<'_> {
    operation
        .says(
            "OpenMeter",
            "Count usage events, all or none",
            "Answers after the commit, also where they were counted before.",
        )
        .header("Content-Encoding", "`gzip` or `zstd`, where the body is compressed.")
        .takes_as::<SentEvent>("application/cloudevents+json")
        .takes_as::<Vec<SentEvent>>("application/cloudevents-batch+json")
        .takes_as::<Vec<SentEvent>>("application/json")
        .answers_nothing(StatusCode::NO_CONTENT, "They are counted.")
        .refuses(
            StatusCode::BAD_REQUEST,
            &["invalid_content_type", "invalid_body", "no_events_found", "invalid_event"],
        )
        .reads_within_limits()
        .refuses(StatusCode::TOO_MANY_REQUESTS, &["over_quota"])
}

/// Takes events in: all of a request are valid, or none is counted.
pub(in crate::http) async fn post(
    State(service): State<Service>,
    Extension(bearer): Extension<Arc<Bearer>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    // Whether there may be a list of events.
    let may_be_list = match media.as_str() {
        "application/cloudevents+json" => Some(false),
        "application/cloudevents-batch+json" => Some(true),
        "application/json" => None,
        _ => {
            let detail = format!("invalid content type: {kind}");
            return Err(Problem::bad_request("invalid_content_type", detail));
        }
    };
    let received = service.clock.now();
    let encoding = Encoding::of(&headers)?;
    let (bytes, room) = read_of(&bearer, body, encoding, &service.config.limits, &service.engine).await?;
    let is_list = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    if may_be_list.is_some_and(|may_be| may_be != is_list) {
        let detail = format!("the body is {} event list for {media}", if is_list { "an" } else { "no" });
        return Err(Problem::bad_request("invalid_body", detail));
    }
    let submission = Submission { body: bytes, layout: Layout::Values, is_atomic: true, received };
    match service.engine.submit(submission, room).await? {
        Outcome::Malformed(what) => Err(Problem::bad_request("no_events_found", what)),
        Outcome::Refused(verdicts) => Err(invalid(&verdicts)),
        // What is too old is known when it is decided.
        Outcome::Committed { verdicts, .. } if verdicts.count(Verdict::Rejected) > 0 => {
            Err(invalid(&verdicts))
        }
        Outcome::Committed { .. } => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

fn invalid(verdicts: &Verdicts) -> Problem {
    let first = verdicts.remarks.iter().find(|remark| remark.verdict == Verdict::Rejected);
    let detail = first.map_or_else(
        || "invalid event".to_owned(),
        |remark| format!("invalid event: at position {}: {}", remark.index, remark.message),
    );
    Problem::bad_request("invalid_event", detail).verdicts(verdicts)
}

/// An event that was counted. Field names are wire names.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct IngestedEvent {
    /// As it was sent, with the time it counts for.
    event: Map<String, Value>,
    ingested_at: Timestamp,
    stored_at: Timestamp,
}

/// What is said of [`list`].
pub(in crate::http) fn about_list(operation: Operation<'_>) -> Operation<'_> {
    operation
        .says(
            "OpenMeter",
            "The last events, newest first",
            "Of the last 1,000 that were counted since the start.",
        )
        .parameters(&PARAMETERS)
        .answers::<Vec<IngestedEvent>>(StatusCode::OK, "The events.")
        .refuses(StatusCode::BAD_REQUEST, &["bad_limit", "bad_time"])
}

/// The last events, newest first.
pub(in crate::http) async fn list(
    State(service): State<Service>,
    query: QueryString,
) -> Result<Response, Problem> {
    let limit = match query.one("limit")? {
        None => LIMIT_MAX,
        Some(text) => {
            let limit = text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
            let detail = format!("limit is a number from 1 to {LIMIT_MAX}");
            limit.ok_or_else(|| Problem::bad_request("bad_limit", detail))?
        }
    };
    let (from, to) = (query.time("from")?, query.time("to")?);
    let (id, subject) = (query.one("id")?, query.one("subject")?);
    let index = service.engine.usage();
    let mut events = Vec::new();
    index.recent().newest_first(|event| {
        if from.is_none_or(|from| event.time >= from)
            && to.is_none_or(|to| event.time < to)
            && let Some(found) = document(event)
            && is_part(id, &found, "id")
            && is_part(subject, &found, "subject")
        {
            let stored_at = event.stored_at;
            events.push(IngestedEvent { event: found, ingested_at: stored_at, stored_at });
        }
        events.len() < limit
    });
    let mut response = json(StatusCode::OK, &events);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// An event as it was sent, with the time it counts for.
fn document(event: &RecentEvent) -> Option<Map<String, Value>> {
    let mut document: Map<String, Value> = serde_json::from_slice(&event.text).ok()?;
    document.insert("time".to_owned(), event.time.to_string().into());
    Some(document)
}

fn is_part(part: Option<&str>, document: &Map<String, Value>, name: &str) -> bool {
    let text = document.get(name).and_then(Value::as_str).unwrap_or_default();
    part.is_none_or(|part| text.contains(part))
}
