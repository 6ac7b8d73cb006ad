//! Routes, and what they share.

mod addresses;
mod answers;
mod auth;
mod binary_mode;
mod body;
mod catalog;
mod charges;
mod connections;
mod cursor;
mod event;
mod events;
mod first_bytes;
mod health;
mod observed;
mod off_loop;
pub mod openmeter;
mod problem;
mod quarantine;
mod query;
mod query_string;
mod readers;
mod streams;
mod tls;
mod tokens;
mod usage;

use std::sync::{Arc, OnceLock};

use aggregate::clock::Clock;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, delete, get, post, put};
use tokio::sync::watch;

use crate::catalog_source::CatalogSource;
use crate::config::{ConfigError, Scope, ServiceConfig};
use crate::engine::Engine;
use crate::query_source::QuerySource;
use auth::require;
pub use connections::{Listening, ServeError, serve};
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
    sources: OnceLock<Sources>,
    streams: Streams,
    /// Held by who acknowledges for a reader.
    acknowledging: tokio::sync::Mutex<()>,
    /// Held by who changes the catalog.
    changing_catalog: tokio::sync::Mutex<()>,
    /// Is the service ending?
    ending: watch::Sender<bool>,
}

/// What the program gives a service; what is left out, clients are told, is not there.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Where catalogs come from.
    pub catalogs: Option<Arc<dyn CatalogSource>>,
    /// Who answers SQL.
    pub queries: Option<Arc<dyn QuerySource>>,
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
    pub fn new(engine: Engine, config: ServiceConfig, clock: Arc<dyn Clock>) -> Result<Self, ConfigError> {
        let tokens = Arc::new(Tokens::read(&config)?);
        let streams = Streams::new(Arc::clone(engine.directory()), engine.partition());
        let shared = Shared {
            engine,
            config,
            tokens,
            clock,
            sources: OnceLock::new(),
            streams,
            acknowledging: tokio::sync::Mutex::default(),
            changing_catalog: tokio::sync::Mutex::default(),
            ending: watch::Sender::new(false),
        };
        Ok(Self(Arc::new(shared)))
    }

    /// Lets clients query, and change the catalog, from here on; what is given first stays.
    pub fn set_sources(&self, sources: Sources) {
        let _ = self.sources.set(sources);
    }

    /// Ends what only waits for something new.
    fn end_waits(&self) {
        self.ending.send_replace(true);
    }

    /// Waits until the service is ending.
    async fn ending(&self) {
        // Who waits has the service, so the sender is there.
        let _ = self.ending.subscribe().wait_for(|is_ending| *is_ending).await;
    }

    /// All routes.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/v1/events", self.scoped(Scope::Ingest, post(events::post)))
            .route("/v1/events/{source}/{id}", self.scoped(Scope::Read, get(event::trace)))
            .route("/v1/usage", self.scoped(Scope::Read, get(usage::get)))
            .merge(self.openmeter())
            .merge(self.catalog())
            .route("/v1/query", self.scoped(Scope::Read, post(query::post)))
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
            .layer(from_fn_with_state(self.clone(), observed::observe))
            .with_state(self.clone())
    }

    /// The routes of the catalog.
    fn catalog(&self) -> Router<Self> {
        let scoped = |scope, route| self.scoped(scope, route);
        let (read, admin) = (Scope::Read, Scope::Admin);
        let all = scoped(read, get(catalog::show)).merge(scoped(admin, put(catalog::put)));
        Router::new()
            .route("/v1/catalog", all)
            .route("/v1/catalog/check", scoped(admin, post(catalog::check)))
            .route("/v1/catalog/reload", scoped(admin, post(catalog::reload)))
            .route("/v1/catalog/history", scoped(read, get(catalog::history)))
            .route("/v1/catalog/{hash}", scoped(read, get(catalog::archive)))
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
