//! `/api/v1/meters`: the meters of the catalog.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use schemas::meter::{Aggregation, Meter};
use serde::Serialize;

use super::{MeterDraft, MeterRegistry, RegistryError, SINCE, ulid_of};
use crate::http::Service;
use crate::http::api::Operation;
use crate::http::body::{Encoding, read};
use crate::http::events::json;
use crate::http::problem::Problem;
use crate::http::segments::Segments;
use crate::http::usage::unknown_meter;
use crate::usage::UsageIndex;

/// A meter. Field names are wire names.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "OpenMeterMeter")]
struct MeterDocument<'a> {
    id: String,
    slug: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    aggregation: &'static str,
    event_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_property: Option<String>,
    group_by: BTreeMap<&'a str, String>,
    created_at: &'static str,
    updated_at: &'static str,
}

impl<'a> MeterDocument<'a> {
    fn new(meter: &'a Meter) -> Self {
        let slug = meter.id.as_str();
        let dimension = |(name, path): (&'a schemas::id::DimensionName, &schemas::meter::PropertyPath)| {
            (name.as_str(), path.to_string())
        };
        Self {
            id: ulid_of(slug),
            slug,
            name: slug,
            description: meter.description.as_deref(),
            aggregation: aggregation(meter.aggregation),
            event_type: &meter.event_type,
            value_property: meter.value.as_ref().map(ToString::to_string),
            group_by: meter.dimensions.iter().map(dimension).collect(),
            created_at: SINCE,
            updated_at: SINCE,
        }
    }
}

const fn aggregation(aggregation: Aggregation) -> &'static str {
    match aggregation {
        Aggregation::Count => "COUNT",
        Aggregation::Sum => "SUM",
        Aggregation::Max => "MAX",
        Aggregation::Min => "MIN",
        Aggregation::Latest => "LATEST",
        Aggregation::Unique => "UNIQUE_COUNT",
    }
}

/// The meter with an id or slug.
pub(super) fn find<'a>(index: &'a UsageIndex, id_or_slug: &str) -> Result<(u16, &'a Meter), Problem> {
    let meters = || (0..).zip(index.catalog().meters());
    let by_id = || meters().find(|(_, meter)| ulid_of(meter.id.as_str()).eq_ignore_ascii_case(id_or_slug));
    index.meter(id_or_slug).or_else(by_id).ok_or_else(|| unknown_meter(id_or_slug))
}

/// What is said of [`list`].
pub(in crate::http) fn about_list(operation: Operation<'_>) -> Operation<'_> {
    operation
        .says("OpenMeter", "Meters of the catalog", "The slug is the id that the catalog has.")
        .answers::<Vec<MeterDocument<'_>>>(StatusCode::OK, "The meters.")
}

/// All meters.
pub(in crate::http) async fn list(State(service): State<Service>) -> Response {
    let index = service.engine.usage();
    let meters: Vec<_> = index.catalog().meters().iter().map(MeterDocument::new).collect();
    json(StatusCode::OK, &meters)
}

/// What is said of [`show`].
pub(in crate::http) fn about_show(operation: Operation<'_>) -> Operation<'_> {
    named(operation.says("OpenMeter", "A meter", "By its id or its slug."))
        .answers::<MeterDocument<'_>>(StatusCode::OK, "The meter.")
}

/// It is of one meter.
pub(super) fn named(operation: Operation<'_>) -> Operation<'_> {
    operation.path("meter", "Id or slug of a meter.").refuses(StatusCode::NOT_FOUND, &["unknown_meter"])
}

/// One meter.
pub(in crate::http) async fn show(
    State(service): State<Service>,
    Segments(id_or_slug): Segments<String>,
) -> Result<Response, Problem> {
    let index = service.engine.usage();
    let (_, meter) = find(&index, &id_or_slug)?;
    Ok(json(StatusCode::OK, &MeterDocument::new(meter)))
}

/// What is said of [`create`].
pub(in crate::http) fn about_create(operation: Operation<'_>) -> Operation<'_> {
    changes(operation.says("OpenMeter", "Add a meter", "It counts events that arrive from then on."))
        .takes::<MeterDraft>()
        .reads_within_limits()
        .answers::<MeterDocument<'_>>(StatusCode::CREATED, "The meter.")
        .refuses(StatusCode::BAD_REQUEST, &["not_a_meter"])
}

/// It changes the catalog.
fn changes(operation: Operation<'_>) -> Operation<'_> {
    operation
        .refuses(StatusCode::BAD_REQUEST, &["refused_meter"])
        .refuses(StatusCode::NOT_FOUND, &["unknown_meter"])
        .refuses(StatusCode::INTERNAL_SERVER_ERROR, &["failed"])
        .refuses(StatusCode::NOT_IMPLEMENTED, &["catalog_is_fixed"])
}

/// Adds a meter.
pub(in crate::http) async fn create(
    State(service): State<Service>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let registry = registry(&service)?;
    let draft = draft(&service, &headers, body).await?;
    let meter = changed(move || registry.create(draft)).await?;
    Ok(json(StatusCode::CREATED, &MeterDocument::new(&meter)))
}

/// What is said of [`update`].
pub(in crate::http) fn about_update(operation: Operation<'_>) -> Operation<'_> {
    changes(named(operation.says("OpenMeter", "Change a meter", "Its description and dimensions.")))
        .takes::<MeterDraft>()
        .reads_within_limits()
        .answers::<MeterDocument<'_>>(StatusCode::OK, "The meter.")
        .refuses(StatusCode::BAD_REQUEST, &["not_a_meter"])
}

/// Changes a meter.
pub(in crate::http) async fn update(
    State(service): State<Service>,
    Segments(id_or_slug): Segments<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let registry = registry(&service)?;
    let slug = slug_of(&service, &id_or_slug)?;
    let draft = draft(&service, &headers, body).await?;
    let meter = changed(move || registry.update(&slug, draft)).await?;
    Ok(json(StatusCode::OK, &MeterDocument::new(&meter)))
}

/// What is said of [`delete`].
pub(in crate::http) fn about_delete(operation: Operation<'_>) -> Operation<'_> {
    changes(named(operation.says("OpenMeter", "Remove a meter", "What it has counted stays.")))
        .answers_nothing(StatusCode::NO_CONTENT, "It is removed.")
}

/// Removes a meter.
pub(in crate::http) async fn delete(
    State(service): State<Service>,
    Segments(id_or_slug): Segments<String>,
) -> Result<Response, Problem> {
    let registry = registry(&service)?;
    let slug = slug_of(&service, &id_or_slug)?;
    changed(move || registry.delete(&slug)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn registry(service: &Service) -> Result<Arc<dyn MeterRegistry>, Problem> {
    service.registry.get().map(Arc::clone).ok_or_else(|| {
        let detail = "meters are documents of the catalog: change them there and start the service again";
        Problem::new(StatusCode::NOT_IMPLEMENTED, "catalog_is_fixed", detail)
    })
}

fn slug_of(service: &Service, id_or_slug: &str) -> Result<String, Problem> {
    find(&service.engine.usage(), id_or_slug).map(|(_, meter)| meter.id.to_string())
}

async fn draft(service: &Service, headers: &HeaderMap, body: Body) -> Result<MeterDraft, Problem> {
    let (bytes, _room) = read(body, Encoding::of(headers)?, &service.config.limits, &service.engine).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Problem::bad_request("not_a_meter", format!("the body is no meter: {error}")))
}

async fn changed<T: Send + 'static>(
    change: impl FnOnce() -> Result<T, RegistryError> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(change).await {
        Ok(Ok(changed)) => Ok(changed),
        Ok(Err(error @ RegistryError::Refused(_))) => {
            Err(Problem::bad_request("refused_meter", error.to_string()))
        }
        Ok(Err(error @ RegistryError::Unknown)) => {
            Err(Problem::new(StatusCode::NOT_FOUND, "unknown_meter", error.to_string()))
        }
        Err(_) => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", "the change was given up")),
    }
}
