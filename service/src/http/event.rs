//! `GET /v1/events/{source}/{id}`: what became of an event, where it went, and what it cost.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Service;
use super::api::Operation;
use super::events::json;
use super::problem::Problem;
use super::query::literal;
use super::segments::Segments;

/// What became of an event.
#[derive(Debug, Serialize, JsonSchema)]
struct Traced {
    source: String,
    id: String,
    /// `accepted`, `conflict` or `rejected`; of several, the first.
    verdict: &'static str,
    /// Everything up to this epoch was looked at.
    epoch: u64,
    /// What it was rated as: a row for each meter that counts it.
    rated: Vec<Map<String, Value>>,
    /// Records of it in quarantine.
    quarantine: Vec<Map<String, Value>>,
}

/// What is said of [`trace`].
pub(super) fn about(operation: Operation<'_>) -> Operation<'_> {
    let description = "Its verdict, the rows it was rated as with their exact amounts, and its records in quarantine. It reads \
                       the tables, as a query does.";
    operation
        .says("Events", "What became of an event", description)
        .path("source", "`source` of the event.")
        .path("id", "`id` of the event.")
        .answers::<Traced>(StatusCode::OK, "What became of it.")
        .refuses(StatusCode::NOT_FOUND, &["unknown_event"])
        .queries()
}

/// Tells what became of an event.
pub(super) async fn trace(
    State(service): State<Service>,
    Segments((source, id)): Segments<(String, String)>,
) -> Result<Response, Problem> {
    let named = format!("source = {} AND event_id = {}", literal(&source), literal(&id));
    let rated = format!("SELECT * FROM rated_usage WHERE {named} ORDER BY epoch, meter_id");
    let quarantine = format!(
        "SELECT found.*, settled.quarantine_id IS NOT NULL AS is_settled
         FROM (SELECT * FROM quarantine WHERE {named}) AS found
         LEFT JOIN settled ON found.quarantine_id = settled.quarantine_id
         ORDER BY found.epoch, found.quarantine_id"
    );
    let (epoch, quarantine) = service.rows(quarantine).await?;
    // Read last: what was settled between is in it.
    let (_, rated) = service.rows(rated).await?;
    let is_of = |class: &str| quarantine.iter().any(|record| record.get("class") == Some(&class.into()));
    let verdict = if !rated.is_empty() || is_of("unrated") {
        "accepted"
    } else if is_of("rejected") {
        "rejected"
    } else if is_of("conflict") {
        "conflict"
    } else {
        let detail = "no event with this source and id was counted or refused; one that no meter counts leaves no trace";
        return Err(Problem::new(StatusCode::NOT_FOUND, "unknown_event", detail));
    };
    Ok(json(StatusCode::OK, &Traced { source, id, verdict, epoch, rated, quarantine }))
}
