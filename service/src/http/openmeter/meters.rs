//! `/api/v1/meters`: the meters of the catalog.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use schemas::meter::{Aggregation, Meter};
use serde::Serialize;

use super::registry::MeterDraft;
use super::{SINCE, ulid_of};
use crate::http::Service;
use crate::http::api::Operation;
use crate::http::body::read_small;
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
        .refuses(
            StatusCode::CONFLICT,
            &["catalog_conflict", "catalog_damaged", "meter_exists", "meter_of_the_catalog"],
        )
        .refuses(StatusCode::UNPROCESSABLE_ENTITY, &["invalid_catalog"])
        .refuses(StatusCode::INTERNAL_SERVER_ERROR, &["catalog_storage", "failed", "unreadable"])
        .refuses(StatusCode::NOT_IMPLEMENTED, &["catalog_is_fixed"])
        .waits()
}

/// Adds a meter.
pub(in crate::http) async fn create(
    State(service): State<Service>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let draft = draft(&service, &headers, body).await?;
    let slug = draft.slug.clone();
    let meter = draft.meter()?;
    let in_force = service.clone();
    service
        .change_meters(move |meters| {
            if in_force.engine.in_force().catalog.meters().iter().any(|known| known.id == meter.id) {
                let detail = "there is such a meter already: choose another slug, or PUT to change it";
                return Err(Problem::new(StatusCode::CONFLICT, "meter_exists", detail));
            }
            meters.set(meter);
            Ok(())
        })
        .await?;
    Ok(json(StatusCode::CREATED, &document(&service, &slug)?))
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
    let slug = slug_of(&service, &id_or_slug)?;
    let mut draft = draft(&service, &headers, body).await?;
    draft.slug.clone_from(&slug);
    let meter = draft.meter()?;
    let known = slug.clone();
    service
        .change_meters(move |meters| {
            meters.find(&known)?;
            meters.set(meter);
            Ok(())
        })
        .await?;
    Ok(json(StatusCode::OK, &document(&service, &slug)?))
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
    let slug = slug_of(&service, &id_or_slug)?;
    service.change_meters(move |meters| meters.remove(&slug)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn document(service: &Service, slug: &str) -> Result<serde_json::Value, Problem> {
    let in_force = service.engine.in_force();
    let meter = in_force.catalog.meters().iter().find(|meter| meter.id.as_str() == slug);
    let document = meter.map(|meter| serde_json::to_value(MeterDocument::new(meter)).unwrap_or_default());
    document.ok_or_else(|| unknown_meter(slug))
}

fn slug_of(service: &Service, id_or_slug: &str) -> Result<String, Problem> {
    find(&service.engine.usage(), id_or_slug).map(|(_, meter)| meter.id.to_string())
}

async fn draft(service: &Service, headers: &HeaderMap, body: Body) -> Result<MeterDraft, Problem> {
    let bytes = read_small(service, headers, body).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Problem::bad_request("not_a_meter", format!("the body is no meter: {error}")))
}
