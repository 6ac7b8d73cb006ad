//! Is it alive, can it take events, and what has it done?

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use super::Service;
use super::api::Operation;
use super::events::json;
use super::problem::Problem;
use crate::engine::State as EngineState;

/// What is said of [`healthz`].
pub(super) fn about_healthz(operation: Operation<'_>) -> Operation<'_> {
    operation.says("Operation", "Is it alive?", "Answers as long as the process does.").answers_as::<String>(
        StatusCode::OK,
        "text/plain",
        "It is alive.",
    )
}

/// Alive: it answers.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// How the service is. Field names are wire names.
#[derive(Debug, Serialize, JsonSchema)]
struct Readiness<'a> {
    is_ready: bool,
    /// Why it takes no events; absent if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// Last epoch that is durable.
    epoch: u64,
    /// Last epoch that has accruals of everything before.
    accrued_epoch: u64,
    /// Milliseconds since the last commit, or the start.
    last_commit_age_ms: u64,
    /// Bytes of requests that wait for their commit.
    waiting_bytes: usize,
    /// What became of events since the start.
    counts: schemas::epoch::EventCounts,
}

/// What is said of [`readyz`].
pub(super) fn about_readyz(operation: Operation<'_>) -> Operation<'_> {
    operation
        .says(
            "Operation",
            "Does it take events?",
            "How far it is, and what became of events since the start. Needs no token, for load balancers.",
        )
        .answers::<Readiness<'_>>(StatusCode::OK, "It takes events.")
        .answers::<Readiness<'_>>(StatusCode::SERVICE_UNAVAILABLE, "It takes none now, for the `reason`.")
}

/// Ready: it takes events.
pub(super) async fn readyz(State(service): State<Service>) -> Response {
    let progress = service.engine.progress().borrow().clone();
    let is_taking = progress.state == EngineState::Taking;
    let reason = (!is_taking).then(|| progress.state.name());
    let status = if reason.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let readiness = Readiness {
        is_ready: reason.is_none(),
        reason,
        epoch: progress.epoch,
        accrued_epoch: progress.accrued,
        last_commit_age_ms: u64::try_from(progress.committed_at.elapsed().as_millis()).unwrap_or(u64::MAX),
        waiting_bytes: service.config.limits.waiting_bytes_max.saturating_sub(service.engine.free_room()),
        counts: progress.counts,
    };
    json(status, &readiness)
}

/// What is said of [`metrics`].
pub(super) fn about_metrics(operation: Operation<'_>) -> Operation<'_> {
    operation
        .says("Operation", "Figures for Prometheus", "In its text format, version 0.0.4.")
        .answers_as::<String>(StatusCode::OK, "text/plain", "The figures.")
        .refuses(StatusCode::NOT_FOUND, &["no_metrics"])
}

/// What Prometheus reads.
pub(super) async fn metrics(State(service): State<Service>) -> Result<Response, Problem> {
    let Some(metrics) = &service.metrics else {
        return Err(Problem::new(StatusCode::NOT_FOUND, "no_metrics", "metrics are not collected"));
    };
    let mut response = metrics.0.render().into_response();
    let kind = HeaderValue::from_static("text/plain; version=0.0.4");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}
