//! Is it alive, can it take events, and what has it done?

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Service;
use super::events::json;
use crate::engine::State as EngineState;

/// Alive: it answers.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// How the service is. Field names are wire names.
#[derive(Debug, Serialize)]
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
    last_commit_age_ms: u128,
    /// Milliseconds that the oldest submission waits for its commit; absent where none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_waiting_age_ms: Option<u128>,
    /// Bytes of requests that wait for their commit.
    waiting_bytes: usize,
    /// What became of events since the start.
    counts: schemas::epoch::EventCounts,
}

/// Ready: it takes events.
pub(super) async fn readyz(State(service): State<Service>) -> Response {
    let progress = service.engine.progress().borrow().clone();
    let state = match &progress.state {
        EngineState::Taking => "taking",
        EngineState::DiskFull => "disk_full",
        EngineState::Ending => "ending",
        EngineState::Stopped(_) => "stopped",
    };
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
        last_commit_age_ms: progress.committed_at.elapsed().as_millis(),
        oldest_waiting_age_ms: service.engine.oldest_waiting().map(|age| age.as_millis()),
        waiting_bytes: service.engine.waiting_bytes(),
        counts: progress.counts,
    };
    json(status, &readiness)
}

/// What Prometheus reads.
pub(super) async fn metrics(State(service): State<Service>) -> Response {
    let mut response = service.engine.render_metrics().into_response();
    let kind = HeaderValue::from_static("text/plain; version=0.0.4");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
