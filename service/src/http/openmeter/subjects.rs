//! `/api/v1/subjects`: the accounts that have usage. They are there from their first event on, and nothing else is
//! kept of them.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::{SINCE, ulid_of};
use crate::http::Service;
use crate::http::body::{Encoding, read};
use crate::http::events::json;
use crate::http::problem::Problem;

/// A subject. Field names are wire names.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
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
#[derive(Debug, Deserialize)]
struct SubjectDraft {
    key: String,
}

/// All of them.
pub(in crate::http) async fn list(State(service): State<Service>) -> Response {
    let accounts = service.engine.usage().accounts();
    json(StatusCode::OK, &accounts.into_iter().map(SubjectDocument::new).collect::<Vec<_>>())
}

/// One of them.
pub(in crate::http) async fn show(
    State(service): State<Service>,
    Path(id_or_key): Path<String>,
) -> Result<Response, Problem> {
    let accounts = service.engine.usage().accounts();
    let found = accounts.into_iter().find(|key| *key == id_or_key || ulid_of(key) == id_or_key);
    let unknown = || Problem::new(StatusCode::NOT_FOUND, "unknown_subject", "no usage of it is known");
    Ok(json(StatusCode::OK, &SubjectDocument::new(found.ok_or_else(unknown)?)))
}

/// Says what would be known of some: their keys.
pub(in crate::http) async fn upsert(
    State(service): State<Service>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (bytes, _room) = read(body, Encoding::of(&headers)?, &service.config.limits, &service.engine).await?;
    let drafts: Vec<SubjectDraft> = serde_json::from_slice(&bytes).map_err(|error| {
        Problem::bad_request("not_subjects", format!("the body is no list of subjects: {error}"))
    })?;
    let subjects = drafts.into_iter().map(|draft| SubjectDocument::new(draft.key));
    Ok(json(StatusCode::OK, &subjects.collect::<Vec<_>>()))
}

/// Usage stays, and with it its account.
pub(in crate::http) async fn delete() -> Problem {
    let detail = "a subject is an account with usage, which is not removed";
    Problem::new(StatusCode::NOT_IMPLEMENTED, "subjects_stay", detail)
}
