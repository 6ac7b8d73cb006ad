//! `/v1/catalog`: the catalog in force, a check of another, and taking it into force without a restart.
//!
//! A catalog is the files of a directory. An upload replaces that directory, so that the next start reads what is in force
//! now; a reload reads it again. Either is refused as a whole if the catalog is not sound or would change what is rated already.

mod changing;
mod comparison;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use schemars::JsonSchema;
use schemas::epoch::ContentHash;
use serde::{Deserialize, Serialize};

use super::Service;
use super::api::Operation;
use super::body::{Encoding, read};
use super::events::json;
use super::off_loop::to_its_end;
use super::problem::Problem;
use super::segments::Segments;
use crate::catalog_source::{Candidate, CatalogFiles, CatalogSource};
use comparison::{Comparison, Contents};

/// What a catalog that was sent or read came to.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Applied {
    /// The epoch that records it; none where it was in force already, or nothing was counted yet.
    epoch: Option<u64>,
    #[serde(flatten)]
    comparison: Comparison,
}

/// The catalog in force.
#[derive(Debug, Serialize, JsonSchema)]
struct Shown {
    hash: String,
    contents: Contents,
}

/// What is said of [`show`].
pub(super) fn about_show(operation: Operation<'_>) -> Operation<'_> {
    operation
        .says("Catalog", "The catalog in force", "Its hash, and what it holds.")
        .answers::<Shown>(StatusCode::OK, "The catalog.")
}

/// `GET /v1/catalog`.
pub(super) async fn show(State(service): State<Service>) -> Response {
    let in_force = service.engine.in_force();
    let contents = Contents::of(&in_force.catalog);
    json(StatusCode::OK, &Shown { hash: in_force.hash.to_string(), contents })
}

/// The catalogs that were in force.
#[derive(Debug, Serialize, JsonSchema)]
struct History {
    /// Everything up to this epoch was looked at.
    epoch: u64,
    /// With `hash`, `first_epoch`, `since` and `cause`; the newest first.
    catalogs: Vec<serde_json::Map<String, serde_json::Value>>,
}

/// What is said of [`history`].
pub(super) fn about_history(operation: Operation<'_>) -> Operation<'_> {
    operation
        .says("Catalog", "Which catalogs were in force", "From which epoch on each of them was.")
        .answers::<History>(StatusCode::OK, "The catalogs, newest first.")
        .queries()
}

/// `GET /v1/catalog/history`: the catalogs that were in force, newest first.
pub(super) async fn history(State(service): State<Service>) -> Result<Response, Problem> {
    let sql = "SELECT catalog AS hash, epoch AS first_epoch, recorded_at AS since, cause
               FROM (SELECT *, lag(catalog) OVER (ORDER BY epoch) AS before FROM epochs)
               WHERE before IS NULL OR before <> catalog
               ORDER BY epoch DESC";
    let (epoch, catalogs) = service.rows(sql.to_owned()).await?;
    Ok(json(StatusCode::OK, &History { epoch, catalogs }))
}

/// What is said of [`archive`].
pub(super) fn about_archive(operation: Operation<'_>) -> Operation<'_> {
    let operation = operation
        .says("Catalog", "The files of a catalog", "Of one that is or was in force, as a tar archive.")
        .path("hash", "Hash of the catalog.")
        .answers_as::<String>(StatusCode::OK, "application/x-tar", "The files.")
        .refuses(StatusCode::NOT_FOUND, &["unknown_catalog"]);
    changes(operation)
}

/// It works with the catalog's files.
fn changes(operation: Operation<'_>) -> Operation<'_> {
    operation
        .refuses(StatusCode::INTERNAL_SERVER_ERROR, &["catalog_storage", "unreadable"])
        .refuses(StatusCode::NOT_IMPLEMENTED, &["catalog_is_fixed"])
}

/// It takes the files of a catalog.
fn takes_files(operation: Operation<'_>) -> Operation<'_> {
    let operation = operation
        .takes::<Texts>()
        .takes_as::<String>("application/x-tar")
        .reads_within_limits()
        .refuses(StatusCode::BAD_REQUEST, &["not_a_catalog"])
        .refuses(StatusCode::UNPROCESSABLE_ENTITY, &["invalid_catalog"])
        .refuses(StatusCode::UNSUPPORTED_MEDIA_TYPE, &["unsupported_content_type"])
        .refuses(StatusCode::INTERNAL_SERVER_ERROR, &["failed"]);
    changes(operation)
}

/// `GET /v1/catalog/{hash}`: the files of a catalog that was in force, as a tar archive.
pub(super) async fn archive(
    State(service): State<Service>,
    Segments(hash): Segments<String>,
) -> Result<Response, Problem> {
    let unknown = || {
        let detail = "no epoch names such a catalog: GET /v1/catalog/history has all of them";
        Problem::new(StatusCode::NOT_FOUND, "unknown_catalog", detail)
    };
    let hash: ContentHash = serde_json::from_value(hash.into()).map_err(|_| unknown())?;
    let archive = service.with_catalogs(move |source| source.kept(hash)).await?.ok_or_else(unknown)?;
    let mut response = archive.into_response();
    let kind = HeaderValue::from_static("application/x-tar");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

/// What is said of [`check`].
pub(super) fn about_check(operation: Operation<'_>) -> Operation<'_> {
    let description = "Every mistake of the files, what appears and disappears, and whether it would change what is rated \
                       already. Nothing changes.";
    takes_files(operation.says("Catalog", "What would come of a catalog", description))
        .answers::<Comparison>(StatusCode::OK, "What would come of it.")
}

/// `POST /v1/catalog/check`: what would come of a catalog, and nothing else.
pub(super) async fn check(
    State(service): State<Service>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let candidate = sent(&service, &headers, body).await?;
    let conflict = service.engine.try_catalog(Arc::clone(&candidate.catalog)).await?;
    let in_force = service.engine.in_force();
    Ok(json(StatusCode::OK, &Comparison::new(&in_force, &candidate, conflict)))
}

/// What is said of [`put`].
pub(super) fn about_put(operation: Operation<'_>) -> Operation<'_> {
    let description = "The files take the place of those of the catalog's directory. When it answers, the catalog is in force \
                       for every event that is answered later, and an epoch records it. Refused as a whole if it is not sound, \
                       or would change what is rated already.";
    takes_files(operation.says("Catalog", "Take a catalog into force", description))
        .answers::<Applied>(StatusCode::OK, "It is in force.")
        .refuses(StatusCode::CONFLICT, &["catalog_conflict"])
}

/// `PUT /v1/catalog`: takes files into force.
pub(super) async fn put(
    State(service): State<Service>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let candidate = sent(&service, &headers, body).await?;
    let applied = to_its_end(async move {
        let _turn = service.changing_catalog.lock().await;
        service.install(candidate).await
    });
    let applied = applied.await?;
    Ok(json(StatusCode::OK, &applied))
}

/// What is said of [`reload`].
pub(super) fn about_reload(operation: Operation<'_>) -> Operation<'_> {
    let description = "As `PUT /v1/catalog`, with the files that are in the catalog's directory now.";
    let operation = operation
        .says("Catalog", "Read the catalog again", description)
        .answers::<Applied>(StatusCode::OK, "It is in force.")
        .refuses(StatusCode::BAD_REQUEST, &["not_a_catalog"])
        .refuses(StatusCode::CONFLICT, &["catalog_conflict"])
        .refuses(StatusCode::UNPROCESSABLE_ENTITY, &["invalid_catalog"])
        .waits();
    changes(operation)
}

/// `POST /v1/catalog/reload`: takes the files into force that the next start would read.
pub(super) async fn reload(State(service): State<Service>) -> Result<Response, Problem> {
    let applied = to_its_end(async move {
        let _turn = service.changing_catalog.lock().await;
        let candidate = service.with_catalogs(|source| source.read()).await?;
        service.apply(candidate).await
    });
    let applied = applied.await?;
    Ok(json(StatusCode::OK, &applied))
}

/// The texts of a catalog's files. Field names are wire names.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Texts {
    /// By path below the directory.
    files: BTreeMap<String, String>,
}

/// The catalog of a request: a tar archive, or JSON with the texts of files by name.
async fn sent(service: &Service, headers: &HeaderMap, body: Body) -> Result<Candidate, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_archive = match media.as_str() {
        "application/x-tar" | "application/tar" => true,
        "application/json" => false,
        _ => {
            let detail = "send the files as application/x-tar, or as application/json: {\"files\": {\"meters.yaml\": \"...\"}}";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Problem::new(status, "unsupported_content_type", detail));
        }
    };
    let (bytes, _room) = read(body, Encoding::of(headers)?, &service.config.limits, &service.engine).await?;
    let files: Option<CatalogFiles> = if is_archive {
        None
    } else {
        let texts: Texts = serde_json::from_slice(&bytes).map_err(|error| {
            Problem::bad_request("not_a_catalog", format!("send {{\"files\": {{name: text}}}}: {error}"))
        })?;
        Some(texts.files.into_iter().map(|(name, text)| (name, Bytes::from(text))).collect())
    };
    let candidate = move |source: &dyn CatalogSource| {
        let files = files.map_or_else(|| source.unpack(&bytes), Ok)?;
        source.check(files)
    };
    service.with_catalogs(candidate).await
}
