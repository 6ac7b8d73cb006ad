//! A service with one meter on a port of its own, for the tests of clients in `tests/sdk`. It says where it listens, and
//! ends with its standard input.

use std::error::Error;
use std::io::{Read, Write, stdin, stdout};
use std::sync::Arc;

use aggregate::clock::{Clock, SystemClock};
use aggregate::data_directory::{DataDirectory, directory_disk};
use aggregate::partition::{Catalogs, Partition, PartitionOptions};
use rating::catalog::{Catalog, Documents, Located, Origin, compile};
use schemas::epoch::ContentHash;
use serde_json::json;
use service::config::ServiceConfig;
use service::engine::{Engine, EngineOptions};
use service::http::{Listening, Service, serve};

#[derive(Debug)]
struct OneCatalog(Arc<Catalog>);

impl Catalogs for OneCatalog {
    fn load(&self, _: &ContentHash) -> Result<Arc<Catalog>, String> {
        Ok(Arc::clone(&self.0))
    }
}

/// The meters of the clients' quick-starts.
fn catalog() -> Result<Arc<Catalog>, Box<dyn Error + Send + Sync>> {
    let origin = Origin { file: "example".into(), line: 0 };
    let meters = [
        json!({ "id": "api_calls_total", "event_type": "api-calls", "aggregation": "count",
            "dimensions": { "method": "$.method", "path": "$.path" } }),
        json!({ "id": "api_duration_ms", "event_type": "api-calls", "aggregation": "sum", "value": "$.duration_ms",
            "if_missing": "ignore", "dimensions": { "method": "$.method" } }),
    ];
    let mut documents = Documents::default();
    for meter in meters {
        documents.meters.push(Located { document: serde_json::from_value(meter)?, origin: origin.clone() });
    }
    let compiled = compile(&documents).map_err(|problems| format!("{problems:?}"))?;
    Ok(Arc::new(compiled))
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let place = tempfile::tempdir()?;
    let catalog = catalog()?;
    let directory = Arc::new(DataDirectory::open(&directory_disk(place.path()))?);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let in_force = (ContentHash([1; 32]), Arc::clone(&catalog));
    let options = EngineOptions { free_bytes_min: 0, ..EngineOptions::default() };
    let partition_options = PartitionOptions { decoders: options.decoders, ..PartitionOptions::default() };
    let catalogs = OneCatalog(catalog);
    let (partition, _) =
        Partition::open(directory, &catalogs, in_force, Arc::clone(&clock), partition_options)?;
    let (engine, running) = Engine::start(partition, &options)?;
    let config = ServiceConfig { listen: ([127, 0, 0, 1], 0).into(), ..ServiceConfig::default() };
    let service = Service::new(engine.clone(), config.clone(), clock)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listening = Listening::on(&config).await?;
        writeln!(stdout(), "listening on http://{}", listening.address()?)?;
        stdout().flush()?;
        let ended = tokio::task::spawn_blocking(|| stdin().read_to_end(&mut Vec::new()));
        serve(listening, service, async {
            let _ = ended.await;
        })
        .await;
        Ok::<_, Box<dyn Error + Send + Sync>>(())
    })?;
    engine.end();
    running.join();
    Ok(())
}
