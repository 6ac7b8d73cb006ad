//! `/v1/catalog`: the catalog in force, a check of another, and taking it into force without a restart.
//!
//! A catalog is the files of a directory. An upload replaces that directory, so that the next start reads what is in force
//! now; a reload reads it again. Either is refused as a whole if the catalog is not sound or would change what is rated already.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use rating::catalog::Catalog;
use schemars::JsonSchema;
use schemas::epoch::ContentHash;
use serde::{Deserialize, Serialize};

use super::Service;
use super::api::Operation;
use super::body::{Encoding, read};
use super::events::json;
use super::off_loop::off_the_loop;
use super::problem::Problem;
use super::segments::Segments;
use crate::catalog_source::{Candidate, CatalogFiles, CatalogRefusal, CatalogSource};
use crate::engine::{CatalogChange, InForce};

/// Names of what changes that are listed; all are counted.
const NAMES_MAX: usize = 100;

/// What a catalog holds.
#[derive(Debug, Serialize, JsonSchema)]
struct Contents {
    meters: usize,
    price_book_versions: usize,
    contract_lines: usize,
    accounts: usize,
}

impl Contents {
    fn of(catalog: &Catalog) -> Self {
        Self {
            meters: catalog.meters().len(),
            price_book_versions: catalog.price_book_versions().len(),
            contract_lines: catalog.lines().len(),
            accounts: catalog.accounts().len(),
        }
    }
}

/// A catalog beside the one in force.
#[derive(Debug, Serialize, JsonSchema)]
struct Comparison {
    hash: String,
    is_in_force: bool,
    contents: Contents,
    meters: Changes,
    contract_lines: Changes,
    accounts: Changes,
    /// Usage that is rated already and would change: it is not taken into force while there is such.
    conflict: Option<String>,
}

/// What appears and disappears.
#[derive(Debug, Serialize, JsonSchema)]
struct Changes {
    added_count: usize,
    removed_count: usize,
    added: Vec<String>,
    removed: Vec<String>,
}

impl Changes {
    fn between<T: ToString>(before: impl Iterator<Item = T>, now: impl Iterator<Item = T>) -> Self {
        let names = |all: &mut dyn Iterator<Item = T>| -> BTreeSet<String> {
            all.map(|name| name.to_string()).collect()
        };
        let (mut before, mut now) = (before, now);
        let (before, now) = (names(&mut before), names(&mut now));
        let some = |names: &BTreeSet<String>, others: &BTreeSet<String>| {
            (names.difference(others).count(), names.difference(others).take(NAMES_MAX).cloned().collect())
        };
        let (added_count, added) = some(&now, &before);
        let (removed_count, removed) = some(&before, &now);
        Self { added_count, removed_count, added, removed }
    }
}

impl Comparison {
    fn new(in_force: &InForce, candidate: &Candidate, conflict: Option<String>) -> Self {
        let (before, now) = (&in_force.catalog, &candidate.catalog);
        Self {
            hash: candidate.hash.to_string(),
            is_in_force: candidate.hash == in_force.hash,
            contents: Contents::of(now),
            meters: Changes::between(
                before.meters().iter().map(|meter| &meter.id),
                now.meters().iter().map(|meter| &meter.id),
            ),
            contract_lines: Changes::between(
                before.lines().iter().map(|line| &line.id),
                now.lines().iter().map(|line| &line.id),
            ),
            accounts: Changes::between(before.accounts(), now.accounts()),
            conflict,
        }
    }
}

/// What a catalog that was sent or read came to.
#[derive(Debug, Serialize, JsonSchema)]
struct Applied {
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
    let _turn = service.changing_catalog.lock().await;
    let applied = service.install(candidate).await?;
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
    let _turn = service.changing_catalog.lock().await;
    let candidate = service.with_catalogs(|source| source.read()).await?;
    let applied = service.apply(candidate).await?;
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

impl Service {
    /// Works with the source of catalogs, off the event loop.
    pub(super) async fn with_catalogs<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn CatalogSource) -> Result<T, CatalogRefusal> + Send + 'static,
    ) -> Result<T, Problem> {
        let source = self.sources.get().and_then(|sources| sources.catalogs.clone()).ok_or_else(|| {
            let detail = "this service has one catalog: start it again with another";
            Problem::new(StatusCode::NOT_IMPLEMENTED, "catalog_is_fixed", detail)
        })?;
        Ok(off_the_loop(move || work(&*source)).await??)
    }

    /// Takes a catalog into force, and puts it where the next start reads it. The lock is held.
    pub(super) async fn install(&self, candidate: Candidate) -> Result<impl Serialize + use<>, Problem> {
        if let Some(conflict) = self.engine.try_catalog(Arc::clone(&candidate.catalog)).await? {
            return Err(conflicting(conflict));
        }
        let files = candidate.files.clone();
        let before = self
            .with_catalogs(move |source| {
                // A directory that is not sound is replaced all the same, and not put back.
                let before = source.read().ok();
                source.install(&files)?;
                Ok(before)
            })
            .await?;
        let applied = self.apply(candidate).await;
        if applied.is_err()
            && let Some(before) = before
        {
            // IMPORTANT: the next start must not read what was refused.
            self.with_catalogs(move |source| source.install(&before.files)).await?;
        }
        applied
    }

    /// Takes a catalog into force.
    async fn apply(&self, candidate: Candidate) -> Result<Applied, Problem> {
        let in_force = self.engine.in_force();
        let kept = candidate.clone();
        // IMPORTANT: before the first epoch that names it.
        self.with_catalogs(move |source| source.keep(&kept)).await?;
        let change = self.engine.change_catalog(candidate.hash, Arc::clone(&candidate.catalog)).await?;
        match change {
            CatalogChange::InForce(epoch) => {
                let comparison = Comparison::new(&in_force, &candidate, None);
                Ok(Applied { epoch, comparison: Comparison { is_in_force: true, ..comparison } })
            }
            CatalogChange::Refused(conflict) => Err(conflicting(conflict)),
        }
    }
}

fn conflicting(conflict: String) -> Problem {
    Problem::new(StatusCode::CONFLICT, "catalog_conflict", conflict)
}

impl From<CatalogRefusal> for Problem {
    fn from(refusal: CatalogRefusal) -> Self {
        #[derive(Serialize)]
        struct Mistake {
            file: String,
            line: u64,
            path: String,
            message: String,
            mend: String,
        }
        let text = refusal.to_string();
        match refusal {
            CatalogRefusal::Problems(problems) => {
                let mistake = |problem: rating::catalog::Problem| Mistake {
                    file: problem.origin.file.to_string(),
                    line: problem.origin.line,
                    path: problem.path,
                    message: problem.message,
                    mend: problem.mend,
                };
                let mistakes: Vec<Mistake> = problems.into_iter().map(mistake).collect();
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                Self::new(status, "invalid_catalog", text).member("problems", &mistakes)
            }
            CatalogRefusal::Unusable(_) => Self::bad_request("not_a_catalog", text),
            CatalogRefusal::Storage(_) => {
                tracing::error!(error = text, "the catalog cannot be read or written");
                let detail = format!("the catalog cannot be read or written: {text}");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "catalog_storage", detail)
            }
        }
    }
}
