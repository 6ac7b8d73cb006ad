//! A process of the service: an engine over the simulated disk, its routes, and requests that are heard or not.

use std::sync::Arc;
use std::time::Duration;

use aggregate::clock::Clock;
use aggregate::data_directory::DataDirectory;
use aggregate::disk::Disk;
use aggregate::partition::{Partition, PartitionOptions};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use ingest::keyed_hash::HashKey;
use schemas::epoch::ContentHash;
use schemas::timestamp::Timestamp;
use service::config::ServiceConfig;
use service::engine::{Engine, EngineOptions, Running};
use service::http::Service;
use tokio::time::timeout;
use tower::ServiceExt;

use crate::machine::disk::SimDisk;
use crate::support::{OneCatalog, catalog};

/// A day in November 2026.
const NOW: i64 = 1_794_000_000_000_000;

const CATALOG: ContentHash = ContentHash([1; 32]);

#[derive(Debug)]
struct StandingClock;

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(NOW)
    }
}

/// What clients reach of it.
#[derive(Clone)]
pub(crate) struct Requests {
    router: Router,
    disk: SimDisk,
}

/// What came back.
pub(crate) struct Heard {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Requests {
    /// An answer, where it came while the process lived and the client waited.
    pub(crate) async fn send(&self, request: Request<Body>, patience: Option<Duration>) -> Option<Heard> {
        let answer = async {
            let answer = self.router.clone().oneshot(request).await.ok()?;
            let status = answer.status().as_u16();
            let bytes = to_bytes(answer.into_body(), usize::MAX).await.ok()?;
            Some(Heard { status, text: String::from_utf8(bytes.to_vec()).ok()? })
        };
        let heard = match patience {
            Some(patience) => timeout(patience, answer).await.ok().flatten(),
            None => answer.await,
        };
        // What a process says after its crash is heard by nobody.
        heard.filter(|_| self.disk.is_running())
    }

    /// Can it still answer?
    pub(crate) fn is_running(&self) -> bool {
        self.disk.is_running()
    }

    /// Does nothing go wrong for it?
    pub(crate) fn is_calm(&self) -> bool {
        self.disk.faults_met() == 0
    }
}

/// A process that runs.
pub(crate) struct ServiceProcess {
    pub(crate) requests: Requests,
    engine: Engine,
    running: Running,
}

impl ServiceProcess {
    /// Starts the service over what there is on a disk.
    pub(crate) fn start(disk: &SimDisk, waiting_bytes_max: usize) -> Result<Self, String> {
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let mut draw = || Ok(HashKey::fixed(disk.draw()));
        let directory = DataDirectory::open_drawing(&shared, &mut draw).map_err(|error| error.to_string())?;
        let clock: Arc<dyn Clock> = Arc::new(StandingClock);
        let catalog = catalog(true);
        let catalogs = OneCatalog(Arc::clone(&catalog));
        let options = PartitionOptions {
            decoders: 2,
            segment_bytes: 16 << 10,
            inline_bytes_max: 6_000,
            ..PartitionOptions::default()
        };
        let in_force = (CATALOG, catalog);
        let opened = Partition::open(Arc::new(directory), &catalogs, in_force, Arc::clone(&clock), options);
        let (partition, _) = opened.map_err(|error| error.to_string())?;
        let options = EngineOptions {
            waiting_bytes_max,
            epoch_events_max: 20,
            free_bytes_min: 0,
            ..EngineOptions::default()
        };
        let (engine, running) = Engine::start(partition, &options).map_err(|error| error.to_string())?;
        let service = Service::new(engine.clone(), ServiceConfig::default(), clock).unwrap();
        let requests = Requests { router: service.router(), disk: disk.clone() };
        Ok(Self { requests, engine, running })
    }

    /// Ends it in order, where nothing stopped it before.
    pub(crate) fn end(self) {
        self.engine.end();
        drop((self.requests, self.engine));
        self.running.join();
    }
}
