//! Routes, and what they share.

mod api;
mod auth;
mod binary_mode;
mod body;
mod charges;
mod connections;
mod cursor;
mod events;
mod first_bytes;
mod health;
pub mod openmeter;
mod pages;
mod problem;
mod quarantine;
mod query_string;
mod readers;
mod segments;
mod sent_event;
mod status;
mod streams;
mod usage;

use std::sync::{Arc, OnceLock};

use aggregate::clock::Clock;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use bytes::Bytes;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::config::Scope::{Admin, Ingest, Read};
use crate::config::{ConfigError, ServiceConfig};
use crate::engine::Engine;
use api::Api;
use auth::Tokens;
pub use connections::{Listening, ServeError, serve};
use openmeter::MeterRegistry;
pub use problem::Problem;
use streams::Streams;

/// What handlers share.
#[derive(Clone, Debug)]
pub struct Service(Arc<Shared>);

/// The parts of a service.
#[derive(Debug)]
pub struct Shared {
    engine: Engine,
    config: ServiceConfig,
    tokens: Tokens,
    clock: Arc<dyn Clock>,
    metrics: Option<Metrics>,
    registry: OnceLock<Arc<dyn MeterRegistry>>,
    streams: Streams,
    /// What the routes are, in JSON.
    document: OnceLock<Bytes>,
    /// Held by who acknowledges for a reader.
    acknowledging: tokio::sync::Mutex<()>,
}

/// What renders metrics.
#[derive(Clone)]
pub struct Metrics(pub PrometheusHandle);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Metrics")
    }
}

impl std::ops::Deref for Service {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Service {
    /// A service over an engine.
    ///
    /// # Errors
    /// [`ConfigError`] when a token has no secret that can be used.
    pub fn new(
        engine: Engine,
        config: ServiceConfig,
        clock: Arc<dyn Clock>,
        metrics: Option<Metrics>,
    ) -> Result<Self, ConfigError> {
        let tokens = Tokens::read(&config.tokens)?;
        let streams = Streams::new(Arc::clone(engine.directory()), engine.partition());
        let shared = Shared {
            engine,
            config,
            tokens,
            clock,
            metrics,
            registry: OnceLock::new(),
            streams,
            document: OnceLock::new(),
            acknowledging: tokio::sync::Mutex::default(),
        };
        Ok(Self(Arc::new(shared)))
    }

    /// Lets clients change meters, from here on; the first one that is set does it.
    pub fn set_registry(&self, registry: Arc<dyn MeterRegistry>) {
        let _ = self.registry.set(registry);
    }

    /// All routes.
    pub fn router(&self) -> Router {
        let (router, document) = self.api().into_parts();
        let _ = self.document.set(document);
        router
            .fallback(unknown_route)
            .method_not_allowed_fallback(wrong_method)
            .layer(DefaultBodyLimit::disable())
            .with_state(self.clone())
    }

    fn api(&self) -> Api {
        let api = Api::new(self.tokens.clone())
            .post("/v1/events", Ingest, events::post, events::about)
            .get("/v1/usage", Read, usage::get, usage::about)
            .get("/v1/accounts/{id}/charges", Read, charges::charges, charges::about)
            .get("/v1/rated", Read, streams::rated, streams::about_rated)
            .get("/v1/accruals", Read, streams::accruals, streams::about_accruals)
            .get("/v1/readers", Read, readers::list, readers::about_list)
            .post("/v1/readers/{name}", Read, readers::acknowledge, readers::about_acknowledge)
            .delete("/v1/readers/{name}", Read, readers::forget, readers::about_forget)
            .get("/v1/quarantine", Read, quarantine::list, quarantine::about_list)
            .get("/v1/quarantine/{id}", Read, quarantine::show, quarantine::about_show)
            .post("/v1/quarantine/replay", Admin, quarantine::replay, quarantine::about_replay)
            .get("/metrics", Read, health::metrics, health::about_metrics)
            .get("/healthz", None, health::healthz, health::about_healthz)
            .get("/readyz", None, health::readyz, health::about_readyz)
            .get("/v1/status", Read, status::get, status::about)
            .get("/", None, pages::status, pages::about_status)
            .get("/openapi.json", None, pages::openapi, pages::about_openapi)
            .get("/docs", None, pages::docs, pages::about_docs)
            .get("/assets/{name}", None, pages::asset, pages::about_asset);
        openmeter::routes(api)
    }
}

async fn unknown_route() -> Problem {
    let detail = "there is nothing here: /v1/events takes events, /readyz says how the service is";
    Problem::new(StatusCode::NOT_FOUND, "unknown_route", detail)
}

async fn wrong_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", "this path has other methods: see Allow")
}
