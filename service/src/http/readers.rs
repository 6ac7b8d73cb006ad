//! `/v1/readers`: readers of streams whose places are kept here. Segments of the ledger stay until they are read.
//!
//! Reading acknowledges nothing: a reader says how far it has come when it has kept what it read. What it did not
//! acknowledge it is given again. A place goes forward only.

use aggregate::export::Position;
use aggregate::readers::{self as kept, ReadRows, Reader};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Service;
use super::api::Operation;
use super::body::read_small;
use super::events::json;
use super::off_loop::read_off_the_loop;
use super::problem::Problem;
use super::segments::Segments;
use super::streams::Stream;

/// A reader. Field names are wire names.
#[derive(Debug, Serialize, JsonSchema)]
struct ReaderState {
    name: String,
    /// Last epoch that it has read to its end.
    epoch: u64,
    /// Epochs that it has not read to their end.
    behind: u64,
}

/// How far a reader has come.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Acknowledged {
    /// The `cursor` of an answer: everything before it was read, and kept.
    cursor: String,
}

/// Where a reader goes on. A new one begins with the first row, and what it has not read is kept from now on.
pub(super) async fn position(service: &Service, stream: &Stream, name: &str) -> Result<Position, Problem> {
    let name = named(name)?;
    let _turn = service.acknowledging.lock().await;
    if let Some(reader) = find(service, &name).await? {
        return place_of(stream, &reader);
    }
    note(service, stream, &name, Position::START).await?;
    Ok(Position::START)
}

/// Keeps the place of a reader.
async fn note(service: &Service, stream: &Stream, name: &str, place: Position) -> Result<(), Problem> {
    let within = ReadRows { stream: stream.space.name().to_owned(), rows: place.row };
    let (service, name, epoch) = (service.clone(), name.to_owned(), place.epoch.saturating_sub(1));
    read_off_the_loop(move || kept::advance_within(&service.streams.directory, &name, epoch, Some(within)))
        .await
}

fn place_of(stream: &Stream, reader: &Reader) -> Result<Position, Problem> {
    match &reader.within {
        None => Ok(Position::behind(reader.epoch)),
        Some(within) if within.stream == stream.space.name() => {
            Ok(Position { row: within.rows, ..Position::behind(reader.epoch) })
        }
        Some(within) => {
            let detail = format!("this reader reads {}: give each stream a reader of its own", within.stream);
            Err(Problem::new(StatusCode::CONFLICT, "other_stream", detail))
        }
    }
}

fn named(name: &str) -> Result<String, Problem> {
    if kept::is_name(name) {
        return Ok(name.to_owned());
    }
    let detail = "name a reader with 1 to 64 letters, digits, - and _";
    Err(Problem::bad_request("bad_reader", detail))
}

async fn find(service: &Service, name: &str) -> Result<Option<Reader>, Problem> {
    let all = list_all(service).await?;
    Ok(all.into_iter().find(|(known, _)| known == name).map(|(_, reader)| reader))
}

async fn list_all(service: &Service) -> Result<Vec<(String, Reader)>, Problem> {
    let service = service.clone();
    read_off_the_loop(move || kept::list(&service.streams.directory)).await
}

fn state(service: &Service, name: String, epoch: u64) -> ReaderState {
    let committed = service.engine.progress().borrow().epoch;
    ReaderState { name, epoch, behind: committed.saturating_sub(epoch) }
}

/// All readers. Field names are wire names.
#[derive(Debug, Serialize, JsonSchema)]
struct Readers {
    /// By name.
    readers: Vec<ReaderState>,
}

/// What is said of [`list`].
pub(super) fn about_list(operation: Operation<'_>) -> Operation<'_> {
    operation
        .says(
            "Billing",
            "Readers, and how far each is behind",
            "Segments of the ledger are kept until all have read them.",
        )
        .answers::<Readers>(StatusCode::OK, "The readers.")
        .refuses(StatusCode::INTERNAL_SERVER_ERROR, &["unreadable"])
}

/// `GET /v1/readers`.
pub(super) async fn list(State(service): State<Service>) -> Result<Response, Problem> {
    let readers = list_all(&service).await?.into_iter();
    let readers = readers.map(|(name, reader)| state(&service, name, reader.epoch)).collect();
    Ok(json(StatusCode::OK, &Readers { readers }))
}

/// What is said of [`acknowledge`].
pub(super) fn about_acknowledge(operation: Operation<'_>) -> Operation<'_> {
    operation
        .says(
            "Billing",
            "Acknowledge what a reader has read and kept",
            "A place goes forward only. What is not acknowledged is given again.",
        )
        .path("name", "Name of the reader: 1 to 64 letters, digits, `-` and `_`.")
        .takes::<Acknowledged>()
        .reads_small()
        .answers::<ReaderState>(StatusCode::OK, "How far it is now.")
        .refuses(StatusCode::BAD_REQUEST, &["bad_reader", "bad_acknowledgement", "bad_cursor"])
        .refuses(StatusCode::CONFLICT, &["cursor_ahead", "reader_ahead", "other_stream"])
        .refuses(StatusCode::INTERNAL_SERVER_ERROR, &["unreadable"])
}

/// `POST /v1/readers/{name}`: everything before a cursor is read, and kept by the reader.
pub(super) async fn acknowledge(
    State(service): State<Service>,
    Segments(name): Segments<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let name = named(&name)?;
    let bytes = read_small(&service, &headers, body).await?;
    let Acknowledged { cursor } = serde_json::from_slice(&bytes).map_err(|error| {
        Problem::bad_request("bad_acknowledgement", format!("send {{\"cursor\": ...}}: {error}"))
    })?;
    let stream = service.streams.of_cursor(&cursor).clone();
    let position = stream.space.read(&cursor)?;
    let committed = service.engine.progress().borrow().epoch;
    Stream::check(position, committed)?;
    // One at a time: a place goes forward only.
    let _turn = service.acknowledging.lock().await;
    let known = find(&service, &name).await?;
    let before = known.as_ref().map(|reader| place_of(&stream, reader)).transpose()?;
    let epoch = position.epoch.saturating_sub(1);
    if before.is_some_and(|before| before > position) {
        let detail = "the reader has acknowledged more than that already: DELETE it to begin again";
        return Err(Problem::new(StatusCode::CONFLICT, "reader_ahead", detail));
    }
    if before != Some(position) {
        note(&service, &stream, &name, position).await?;
    }
    Ok(json(StatusCode::OK, &state(&service, name, epoch)))
}

/// What is said of [`forget`].
pub(super) fn about_forget(operation: Operation<'_>) -> Operation<'_> {
    operation
        .says(
            "Billing",
            "Forget a reader",
            "Nothing is kept for it any more; its next `GET` begins with the first row.",
        )
        .path("name", "Name of the reader.")
        .answers_nothing(StatusCode::NO_CONTENT, "It is forgotten.")
        .refuses(StatusCode::BAD_REQUEST, &["bad_reader"])
        .refuses(StatusCode::NOT_FOUND, &["unknown_reader"])
        .refuses(StatusCode::INTERNAL_SERVER_ERROR, &["unreadable"])
}

/// `DELETE /v1/readers/{name}`: nothing is kept for it any more.
pub(super) async fn forget(
    State(service): State<Service>,
    Segments(name): Segments<String>,
) -> Result<StatusCode, Problem> {
    let name = named(&name)?;
    let was_known = read_off_the_loop(move || kept::forget(&service.streams.directory, &name)).await?;
    if was_known {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Problem::new(
        StatusCode::NOT_FOUND,
        "unknown_reader",
        "there is no such reader: GET /v1/readers lists them",
    ))
}
