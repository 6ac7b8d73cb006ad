//! `/api/v1/subjects`: the accounts that have usage. They are there from their first event on, and nothing else is
//! kept of them.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SINCE, ulid_of};
use crate::http::Service;
use crate::http::api::Operation;
use crate::http::body::read_small;
use crate::http::events::json;
use crate::http::problem::Problem;
use crate::http::segments::Segments;

/// A subject. Field names are wire names.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "OpenMeterSubject")]
struct SubjectDocument {
    id: String,
    key: String,
    created_at: &'static str,
    updated_at: &'static str,
}

impl SubjectDocument {
    fn new(key: String) -> Self {
        Self { id: ulid_of(&key), key, created_at: SINCE, updated_at: SINCE }
    }
}

/// What a client says of a subject.
#[derive(Debug, Deserialize, JsonSchema)]
struct SubjectDraft {
    key: String,
}

/// What is said of [`list`].
pub(in crate::http) fn about_list(operation: Operation<'_>) -> Operation<'_> {
    operation
        .says("OpenMeter", "Accounts with usage", "They are there from their first event on.")
        .answers::<Vec<SubjectDocument>>(StatusCode::OK, "The accounts.")
}

/// All of them.
pub(in crate::http) async fn list(State(service): State<Service>) -> Response {
    let accounts = service.engine.usage().accounts();
    json(StatusCode::OK, &accounts.into_iter().map(SubjectDocument::new).collect::<Vec<_>>())
}

/// What is said of [`show`].
pub(in crate::http) fn about_show(operation: Operation<'_>) -> Operation<'_> {
    operation
        .says("OpenMeter", "An account with usage", "By its id or its key.")
        .path("subject", "Id or key of an account.")
        .answers::<SubjectDocument>(StatusCode::OK, "The account.")
        .refuses(StatusCode::NOT_FOUND, &["unknown_subject"])
}

/// One of them.
pub(in crate::http) async fn show(
    State(service): State<Service>,
    Segments(id_or_key): Segments<String>,
) -> Result<Response, Problem> {
    let accounts = service.engine.usage().accounts();
    let found = accounts.into_iter().find(|key| *key == id_or_key || ulid_of(key) == id_or_key);
    let unknown = || Problem::new(StatusCode::NOT_FOUND, "unknown_subject", "no usage of it is known");
    Ok(json(StatusCode::OK, &SubjectDocument::new(found.ok_or_else(unknown)?)))
}

/// What is said of [`upsert`].
pub(in crate::http) fn about_upsert(operation: Operation<'_>) -> Operation<'_> {
    operation
        .says("OpenMeter", "Name accounts", "Nothing is kept of them but their usage.")
        .takes::<Vec<SubjectDraft>>()
        .reads_small()
        .answers::<Vec<SubjectDocument>>(StatusCode::OK, "The accounts.")
        .refuses(StatusCode::BAD_REQUEST, &["not_subjects"])
}

/// Says what would be known of some: their keys.
pub(in crate::http) async fn upsert(
    State(service): State<Service>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let bytes = read_small(&service, &headers, body).await?;
    let drafts: Vec<SubjectDraft> = serde_json::from_slice(&bytes).map_err(|error| {
        Problem::bad_request("not_subjects", format!("the body is no list of subjects: {error}"))
    })?;
    let subjects = drafts.into_iter().map(|draft| SubjectDocument::new(draft.key));
    Ok(json(StatusCode::OK, &subjects.collect::<Vec<_>>()))
}

/// What is said of [`delete`].
pub(in crate::http) fn about_delete(operation: Operation<'_>) -> Operation<'_> {
    operation
        .says("OpenMeter", "Is refused: usage stays", "An account with usage is not removed.")
        .path("subject", "Id or key of an account.")
        .refuses(StatusCode::NOT_IMPLEMENTED, &["subjects_stay"])
}

/// Usage stays, and with it its account.
pub(in crate::http) async fn delete() -> Problem {
    let detail = "a subject is an account with usage, which is not removed";
    Problem::new(StatusCode::NOT_IMPLEMENTED, "subjects_stay", detail)
}
