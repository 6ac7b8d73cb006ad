//! Routes, and what they share.

mod addresses;
mod answering;
mod answers;
mod api;
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
mod last_bytes;
mod observed;
mod off_loop;
pub mod openmeter;
mod pages;
mod problem;
mod quarantine;
mod query;
mod query_string;
mod readers;
mod segments;
mod sent_event;
mod status;
mod streams;
mod tls;
mod tokens;
mod usage;

use std::sync::{Arc, OnceLock};

use aggregate::clock::Clock;
use axum::Router;
use axum::http::StatusCode;
use bytes::Bytes;
use tokio::sync::watch;

use crate::catalog_source::CatalogSource;
use crate::config::Scope::{Admin, Ingest, Read};
use crate::config::{ConfigError, ServiceConfig};
use crate::engine::Engine;
use crate::query_source::QuerySource;
use answering::Answering;
use api::Api;
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
    /// What the routes are, in JSON.
    document: OnceLock<Bytes>,
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
            document: OnceLock::new(),
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
        let (router, document) = self.api().into_parts();
        let _ = self.document.set(document);
        router
            .fallback(Answering::open(unknown_route))
            .method_not_allowed_fallback(Answering::open(wrong_method))
            .with_state(self.clone())
    }

    fn api(&self) -> Api {
        let api = Api::new(Arc::clone(&self.tokens))
            .post("/v1/events", Ingest, events::post, events::about)
            .get("/v1/events/{source}/{id}", Read, event::trace, event::about)
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
            .get("/v1/catalog", Read, catalog::show, catalog::about_show)
            .put("/v1/catalog", Admin, catalog::put, catalog::about_put)
            .post("/v1/catalog/check", Admin, catalog::check, catalog::about_check)
            .post("/v1/catalog/reload", Admin, catalog::reload, catalog::about_reload)
            .get("/v1/catalog/history", Read, catalog::history, catalog::about_history)
            .get("/v1/catalog/{hash}", Read, catalog::archive, catalog::about_archive)
            .post("/v1/query", Read, query::post, query::about)
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
