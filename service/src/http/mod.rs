//! Routes, and what they share.

mod addresses;
mod answers;
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
mod problem;
mod quarantine;
mod query_string;
mod readers;
mod streams;
mod tokens;
mod usage;

use std::sync::{Arc, OnceLock};

use aggregate::clock::Clock;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, delete, get, post, put};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::config::{ConfigError, Scope, ServiceConfig};
use crate::engine::Engine;
use auth::require;
pub use connections::{Listening, ServeError, serve};
use openmeter::MeterRegistry;
pub use problem::Problem;
use streams::Streams;
use tokens::Tokens;

/// What handlers share.
#[derive(Clone, Debug)]
pub struct Service(Arc<Shared>);

/// The parts of a service.
#[derive(Debug)]
pub struct Shared {
    engine: Engine,
    config: ServiceConfig,
    tokens: Arc<Tokens>,
    clock: Arc<dyn Clock>,
    metrics: Option<Metrics>,
    registry: OnceLock<Arc<dyn MeterRegistry>>,
    streams: Streams,
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
        let tokens = Arc::new(Tokens::read(&config)?);
        let streams = Streams::new(Arc::clone(engine.directory()), engine.partition());
        let (registry, acknowledging) = (OnceLock::new(), tokio::sync::Mutex::default());
        let shared = Shared { engine, config, tokens, clock, metrics, registry, streams, acknowledging };
        Ok(Self(Arc::new(shared)))
    }

    /// Lets clients change meters, from here on; the first one that is set does it.
    pub fn set_registry(&self, registry: Arc<dyn MeterRegistry>) {
        let _ = self.registry.set(registry);
    }

    /// All routes.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/v1/events", self.scoped(Scope::Ingest, post(events::post)))
            .route("/v1/usage", self.scoped(Scope::Read, get(usage::get)))
            .merge(self.openmeter())
            .route("/v1/accounts/{id}/charges", self.scoped(Scope::Read, get(charges::charges)))
            .route("/v1/quarantine", self.scoped(Scope::Read, get(quarantine::list)))
            .route("/v1/quarantine/replay", self.scoped(Scope::Admin, post(quarantine::replay)))
            .route("/v1/quarantine/{id}", self.scoped(Scope::Read, get(quarantine::show)))
            .route("/v1/rated", self.scoped(Scope::Read, get(streams::rated)))
            .route("/v1/accruals", self.scoped(Scope::Read, get(streams::accruals)))
            .route("/v1/readers", self.scoped(Scope::Read, get(readers::list)))
            .route(
                "/v1/readers/{name}",
                self.scoped(Scope::Read, post(readers::acknowledge).delete(readers::forget)),
            )
            .route("/metrics", self.scoped(Scope::Read, get(health::metrics)))
            .route("/healthz", get(health::healthz))
            .route("/readyz", get(health::readyz))
            .fallback(unknown_route)
            .method_not_allowed_fallback(wrong_method)
            .layer(DefaultBodyLimit::disable())
            .with_state(self.clone())
    }

    /// The routes of `OpenMeter`'s contract.
    fn openmeter(&self) -> Router<Self> {
        use openmeter::{events, meters, query, subjects};
        let scoped = |scope, route| self.scoped(scope, route);
        let (ingest, read, admin) = (Scope::Ingest, Scope::Read, Scope::Admin);
        Router::new()
            .route(
                "/api/v1/events",
                scoped(ingest, post(events::post)).merge(scoped(read, get(events::list))),
            )
            .route(
                "/api/v1/meters",
                scoped(read, get(meters::list)).merge(scoped(admin, post(meters::create))),
            )
            .route(
                "/api/v1/meters/{meter}",
                scoped(read, get(meters::show))
                    .merge(scoped(admin, put(meters::update).delete(meters::delete))),
            )
            .route("/api/v1/meters/{meter}/query", scoped(read, get(query::get).post(query::post)))
            .route("/api/v1/meters/{meter}/subjects", scoped(read, get(query::subjects)))
            .route("/api/v1/meters/{meter}/group-by/{key}/values", scoped(read, get(query::values)))
            .route(
                "/api/v1/subjects",
                scoped(read, get(subjects::list)).merge(scoped(admin, post(subjects::upsert))),
            )
            .route(
                "/api/v1/subjects/{subject}",
                scoped(read, get(subjects::show)).merge(scoped(admin, delete(subjects::delete))),
            )
    }

    /// A route for those who may do what a scope says.
    fn scoped(&self, scope: Scope, route: MethodRouter<Self>) -> MethodRouter<Self> {
        let layer = from_fn_with_state((Arc::clone(&self.tokens), scope), require);
        route.route_layer(layer)
    }
}

async fn unknown_route() -> Problem {
    let detail = "there is nothing here: /v1/events takes events, /readyz says how the service is";
    Problem::new(StatusCode::NOT_FOUND, "unknown_route", detail)
}

async fn wrong_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", "this path has other methods: see Allow")
}
