//! `tallybook serve`: the HTTP service over a data directory.

use std::fs;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::path::Path;
use std::sync::Arc;

use aggregate::clock::SystemClock;
use aggregate::data_directory::directory_disk;
use aggregate::partition::{Partition, PartitionOptions};
use anyhow::{Context, Result, anyhow};
use service::config::{ConfigError, ServiceConfig};
use service::engine::{Engine, State};
use service::http::{Listening, Service, Sources, serve as serve_connections};
use service::log::subscriber;
use tokio::signal::unix::{SignalKind, signal};

use crate::catalog::load_to_rate;
use crate::catalog::source::DirectoryCatalogs;
use crate::command_line::ServeArguments;
use crate::commands::cores;
use crate::opening;
use crate::sql::serving::Queries;

/// The commented configuration with what holds where nothing is said.
pub const DEFAULT_CONFIG: &str = include_str!("../../deploy/tallybook.toml");

/// Serves until it is told to end.
///
/// # Errors
/// A configuration, catalog or data directory that cannot be used, and what stopped the service.
pub fn serve(arguments: &ServeArguments) -> Result<()> {
    let config = configured(arguments)?;
    log(&config)?;
    let decoders = config.threads.map_or_else(cores, usize::from);
    let partition = open(&config, decoders)?;
    let options = config.engine_options(decoders);
    let (engine, running) = Engine::start(partition, &options).map_err(|error| anyhow!(error))?;
    let service = Service::new(engine.clone(), config.clone(), Arc::new(SystemClock))?;
    service.set_sources(Sources {
        catalogs: Some(Arc::new(DirectoryCatalogs::new(
            config.catalog.clone(),
            &directory_disk(&config.data),
        ))),
        queries: Some(Arc::new(Queries::new(config.data.clone(), config.query))),
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listening = Listening::on(&config).await?;
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        // Scripts wait for this line.
        writeln!(stdout(), "listening on {scheme}://{}", listening.address()?)?;
        stdout().flush()?;
        serve_connections(listening, service, ended(&engine)).await;
        anyhow::Ok(())
    })?;
    // Requests that are on their way were answered; what they sent is committed.
    engine.end();
    running.join();
    match &engine.progress().borrow().state {
        State::Stopped(why) => Err(anyhow!(StoppedService(why.clone()))),
        _ => Ok(()),
    }
}

/// The service could not go on.
#[derive(Debug, thiserror::Error)]
#[error("the service stopped: {0}")]
pub struct StoppedService(String);

/// The configuration of a file, with what the environment and the command line say over it.
///
/// # Errors
/// [`ConfigError`].
pub(super) fn configured(arguments: &ServeArguments) -> Result<ServiceConfig> {
    let mut config = read(arguments.config.as_deref())?;
    if let Some(data) = &arguments.data {
        config.data.clone_from(data);
    }
    if let Some(catalog) = &arguments.catalog {
        config.catalog.clone_from(catalog);
    }
    config.listen = arguments.listen.unwrap_or(config.listen);
    config.check()?;
    Ok(config)
}

fn read(path: Option<&Path>) -> Result<ServiceConfig> {
    let text = match path {
        Some(path) => {
            fs::read_to_string(path).map_err(|error| ConfigError::File { path: path.to_owned(), error })?
        }
        None => String::new(),
    };
    let variables = std::env::vars_os();
    let variables =
        variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let config = ServiceConfig::read(&text, variables);
    config
        .with_context(|| path.map_or_else(|| "the environment".to_owned(), |path| path.display().to_string()))
}

fn log(config: &ServiceConfig) -> Result<()> {
    let subscriber = subscriber(config, stderr().is_terminal(), stderr).context("log")?;
    Ok(tracing::subscriber::set_global_default(subscriber)?)
}

fn open(config: &ServiceConfig, decoders: usize) -> Result<Partition> {
    let (catalog, archive) = load_to_rate(&config.catalog)?;
    let options = PartitionOptions {
        decoders,
        identity_bytes_max: (config.dedup_memory_mib as usize) << 20,
        horizon_months: config.dedup_months,
        ..PartitionOptions::default()
    };
    let (partition, recovered) = opening::open(&directory_disk(&config.data), &archive, &catalog, options)?;
    opening::tell(&recovered)?;
    Ok(partition)
}

/// Waits for a signal to end, or for an engine that cannot go on.
async fn ended(engine: &Engine) {
    let mut progress = engine.progress().clone();
    let stopped = async move {
        // An engine that is gone has stopped.
        let _ = progress.wait_for(|progress| matches!(progress.state, State::Stopped(_))).await;
    };
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signals) => drop(signals.recv().await),
            Err(error) => {
                tracing::warn!(%error, "SIGTERM is not listened for");
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = stopped => {}
        () = terminated => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
