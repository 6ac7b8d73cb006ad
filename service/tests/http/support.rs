//! A service that is started, stopped and started again, and a client of it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use aggregate::clock::{Clock, SystemClock};
use aggregate::data_directory::{DataDirectory, directory_disk};
use aggregate::disk::Disk;
use aggregate::error::AggregateError;
use aggregate::export::{Export, ExportTable};
use aggregate::partition::{Catalogs, Partition, PartitionOptions};
use rating::catalog::{Catalog, Documents, Located, Origin, compile};
use schemas::epoch::ContentHash;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use service::config::ServiceConfig;
use service::engine::{Engine, EngineOptions, Running};
use service::http::{Listening, Service, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};

/// The catalog there is.
#[derive(Debug)]
pub(crate) struct OneCatalog(pub(crate) Arc<Catalog>);

impl Catalogs for OneCatalog {
    fn load(&self, _hash: &ContentHash) -> Result<Arc<Catalog>, String> {
        Ok(Arc::clone(&self.0))
    }
}

/// A catalog: calls at a price each, and tokens in tiers, for one account.
pub(crate) fn catalog(has_tokens: bool) -> Arc<Catalog> {
    let mut meters =
        vec![json!({ "id": "calls", "event_type": "api.call", "aggregation": "count", "decimals": 0 })];
    let mut rates = vec![json!({ "meter": "calls", "model": "per_unit", "unit_price": "0.0035" })];
    if has_tokens {
        meters.push(json!({
            "id": "tokens", "event_type": "llm.completion", "aggregation": "sum", "decimals": 0,
            "value": "$.tokens",
        }));
        let tiers =
            json!([{ "up_to": "1000", "unit_price": "0.01" }, { "up_to": null, "unit_price": "0.004" }]);
        rates.push(json!({ "meter": "tokens", "model": "graduated", "tiers": tiers }));
    }
    let documents = Documents {
        meters: located(meters),
        price_books: located(vec![
            json!({ "id": "book", "currencies": ["USD"], "versions": [{ "version": 1, "rates": rates }] }),
        ]),
        legal_entities: located(vec![
            json!({ "id": "us01", "timezone": "UTC", "rounding": "half_away_from_zero" }),
        ]),
        contracts: located(vec![json!({
            "id": "contract-1", "version": 1, "accounts": ["acct-1"], "legal_entity": "us01",
            "currency": "USD", "billing_anchor": "2026-01-01",
            "lines": [{ "id": "L-1", "price_book": "book" }],
        })]),
        ..Documents::default()
    };
    Arc::new(compile(&documents).unwrap())
}

fn located<T: DeserializeOwned>(documents: Vec<Value>) -> Vec<Located<T>> {
    let origin = Origin { file: "test".into(), line: 0 };
    let locate =
        |document| Located { document: serde_json::from_value(document).unwrap(), origin: origin.clone() };
    documents.into_iter().map(locate).collect()
}

/// A service that listens.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) engine: Engine,
    running: Running,
    ending: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(place: &Path) -> Self {
        Self::start_with(place, &catalog(true), 1).await
    }

    pub(crate) async fn start_with(place: &Path, catalog: &Arc<Catalog>, version: u8) -> Self {
        Self::start_on(&directory_disk(place), catalog, version, EngineOptions::default()).await
    }

    pub(crate) async fn start_on(
        disk: &Arc<dyn Disk>,
        catalog: &Arc<Catalog>,
        version: u8,
        options_of_engine: EngineOptions,
    ) -> Self {
        Self::start_configured(disk, catalog, version, options_of_engine, ServiceConfig::default()).await
    }

    pub(crate) async fn start_configured(
        disk: &Arc<dyn Disk>,
        catalog: &Arc<Catalog>,
        version: u8,
        options_of_engine: EngineOptions,
        config: ServiceConfig,
    ) -> Self {
        let directory = Arc::new(DataDirectory::open(disk).unwrap());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let in_force = (ContentHash([version; 32]), Arc::clone(catalog));
        let options =
            PartitionOptions { decoders: 2, segment_bytes: 16 << 10, ..PartitionOptions::default() };
        let catalogs = OneCatalog(Arc::clone(catalog));
        let (partition, _) =
            Partition::open(directory, &catalogs, in_force, Arc::clone(&clock), options).unwrap();
        let options = EngineOptions { accrual_interval_ms: 1, free_bytes_min: 0, ..options_of_engine };
        let (engine, running) = Engine::start(partition, &options).unwrap();
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let config = ServiceConfig { listen, ..config };
        let listening = Listening::on(&config).await.unwrap();
        let address = listening.address().unwrap();
        let service = Service::new(engine.clone(), config, clock).unwrap();
        let (ending, ended) = oneshot::channel();
        let ended = async move { drop(ended.await) };
        let serving = tokio::spawn(serve(listening, service, ended));
        Self { address, engine, running, ending, serving }
    }

    /// Ends it; all that was taken is committed, with accruals.
    pub(crate) async fn stop(self) {
        self.ending.send(()).unwrap();
        self.serving.await.unwrap();
        self.engine.end();
        drop(self.engine);
        spawn_blocking(|| self.running.join()).await.unwrap();
    }

    /// Counts events of an account, by their numbers.
    pub(crate) async fn count(&self, events: Vec<Value>) -> Value {
        let body = Value::from(events).to_string();
        let answer =
            request(self.address, "POST", "/v1/events", &[("content-type", "application/json")], &body);
        let answer = answer.await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        request(self.address, "GET", path, &[], "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/json")];
        request(self.address, "POST", path, &headers, &body.to_string()).await
    }
}

/// A call of an account.
pub(crate) fn call(number: usize) -> Value {
    event(&format!("call {number}"), "api.call", json!({}))
}

pub(crate) fn event(id: &str, event_type: &str, data: Value) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "shop/eu", "type": event_type, "subject": "acct-1",
        "time": "2026-10-05T10:00:00Z", "data": data,
    })
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Status line and headers.
    pub(crate) head: String,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

/// Sends a request on a connection of its own.
pub(crate) async fn open(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("content-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    stream
}

pub(crate) async fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut stream = open(address, method, path, headers, body).await;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    parse(bytes)
}

/// An answer that ended with its connection.
pub(crate) fn parse(bytes: Vec<u8>) -> Answer {
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(!head.to_lowercase().contains("chunked"), "{head}");
    Answer { status, head: head.to_ascii_lowercase(), text: body.to_owned() }
}

/// The events of `tallybook export`, with commas between.
pub(crate) fn exported(place: &Path, table: ExportTable) -> String {
    let directory = DataDirectory::read(&directory_disk(place)).unwrap();
    let export = Export::open(&directory, 0, table).unwrap();
    let mut events = Vec::new();
    let rows = export.rows(0, u64::MAX, |row| {
        events.push(serde_json::to_string(&export.cloud_event(row)).unwrap());
        Ok::<_, AggregateError>(())
    });
    rows.unwrap();
    events.join(",")
}
