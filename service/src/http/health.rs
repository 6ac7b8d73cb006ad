//! Is it alive, can it take events, and what has it done?

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use super::Service;
use super::api::Operation;
use super::events::json;
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
    /// What it does: `taking`, `disk_full`, `ending` or `stopped`.
    state: &'static str,
    /// Why it takes no events; absent if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// Last epoch that is durable.
    epoch: u64,
    /// Last epoch that has accruals of everything before.
    accrued_epoch: u64,
    /// Last epoch that is in all tables.
    snapshot_epoch: u64,
    /// Milliseconds since the last commit, or the start.
    last_commit_age_ms: u64,
    /// Milliseconds that the oldest submission waits for its commit; absent where none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_waiting_age_ms: Option<u64>,
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
    let state = progress.state.name();
    let reason = match &progress.state {
        EngineState::Taking if service.engine.is_crowded() => Some("overloaded"),
        EngineState::Taking => None,
        _ => Some(state),
    };
    let status = if reason.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let readiness = Readiness {
        is_ready: reason.is_none(),
        state,
        reason,
        epoch: progress.epoch,
        accrued_epoch: progress.accrued,
        snapshot_epoch: progress.snapshot,
        last_commit_age_ms: milliseconds(progress.committed_at.elapsed()),
        oldest_waiting_age_ms: service.engine.oldest_waiting().map(milliseconds),
        waiting_bytes: service.engine.waiting_bytes(),
        counts: progress.counts,
    };
    json(status, &readiness)
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What is said of [`metrics`].
pub(super) fn about_metrics(operation: Operation<'_>) -> Operation<'_> {
    operation
        .says("Operation", "Figures for Prometheus", "In its text format, version 0.0.4.")
        .answers_as::<String>(StatusCode::OK, "text/plain", "The figures.")
}

/// What Prometheus reads.
pub(super) async fn metrics(State(service): State<Service>) -> Response {
    let mut response = service.engine.render_metrics().into_response();
    let kind = HeaderValue::from_static("text/plain; version=0.0.4");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
