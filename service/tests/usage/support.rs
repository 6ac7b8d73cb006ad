//! A service over a directory, on a port of its own, and a client for it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use aggregate::clock::{Clock, SystemClock};
use aggregate::data_directory::{DataDirectory, directory_disk};
use aggregate::partition::{Catalogs, Partition, PartitionOptions};
use rating::catalog::{Catalog, Documents, Located, Origin, compile};
use schemas::epoch::ContentHash;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use service::config::ServiceConfig;
use service::engine::{Engine, EngineOptions, Running};
use service::http::{Listening, Service, serve};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

struct OneCatalog(Arc<Catalog>);

impl Catalogs for OneCatalog {
    fn load(&self, _: &ContentHash) -> Result<Arc<Catalog>, String> {
        Ok(Arc::clone(&self.0))
    }
}

fn read<T: DeserializeOwned>(documents: &Value) -> Vec<Located<T>> {
    let origin = Origin { file: "test".into(), line: 0 };
    let located = |document: &Value| Located {
        document: serde_json::from_value(document.clone()).unwrap(),
        origin: origin.clone(),
    };
    documents.as_array().into_iter().flatten().map(located).collect()
}

/// A meter of each aggregation; `acme` has a contract that prices all but `users`.
fn catalog() -> Arc<Catalog> {
    let meter = |id: &str, aggregation: &str, value: Option<&str>| {
        let mut meter = json!({ "id": id, "event_type": "use", "aggregation": aggregation,
            "dimensions": { "model": "$.model", "region": "$.region" } });
        if let Some(value) = value {
            meter["value"] = value.into();
            meter["if_missing"] = "ignore".into();
        }
        meter
    };
    let rate = |meter: &str| json!({ "meter": meter, "model": "per_unit", "unit_price": "0.5" });
    let rates = ["calls", "tokens", "largest", "smallest", "level", "users"].map(rate);
    let documents = json!({
        "legal_entities": [{ "id": "entity" }],
        "meters": [
            meter("calls", "count", None),
            meter("tokens", "sum", Some("$.tokens")),
            meter("largest", "max", Some("$.tokens")),
            meter("smallest", "min", Some("$.tokens")),
            meter("level", "latest", Some("$.tokens")),
            meter("users", "unique", Some("$.user")),
            meter("logins", "unique", Some("$.login")),
        ],
        "price_books": [{ "id": "book", "currencies": ["EUR"], "versions": [{ "version": 1,
            "rates": rates }] }],
        "contracts": [{ "id": "contract", "accounts": ["acme"], "legal_entity": "entity", "currency": "EUR",
            "lines": [{ "id": "line", "price_book": "book" }] }],
    });
    let compiled = compile(&Documents {
        legal_entities: read(&documents["legal_entities"]),
        meters: read(&documents["meters"]),
        price_books: read(&documents["price_books"]),
        contracts: read(&documents["contracts"]),
        ..Documents::default()
    });
    Arc::new(compiled.unwrap_or_else(|problems| panic!("{}", problems[0])))
}

/// A service that runs.
pub(crate) struct Server {
    pub(crate) engine: Engine,
    pub(crate) address: SocketAddr,
    running: Option<Running>,
    runtime: Runtime,
    end: Option<oneshot::Sender<()>>,
}

impl Server {
    /// Starts one over a directory.
    pub(crate) fn start(place: &Path, options: &EngineOptions) -> Self {
        let catalog = catalog();
        let directory = Arc::new(DataDirectory::open(&directory_disk(place)).unwrap());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let in_force = (ContentHash([7; 32]), Arc::clone(&catalog));
        let partition_options =
            PartitionOptions { decoders: options.decoders, ..PartitionOptions::default() };
        let catalogs = OneCatalog(catalog);
        let opened = Partition::open(directory, &catalogs, in_force, Arc::clone(&clock), partition_options);
        let (engine, running) = Engine::start(opened.unwrap().0, options).unwrap();
        let config = ServiceConfig { listen: "127.0.0.1:0".parse().unwrap(), ..ServiceConfig::default() };
        let service = Service::new(engine.clone(), config.clone(), clock).unwrap();
        let runtime = Runtime::new().unwrap();
        let listening = runtime.block_on(Listening::on(&config)).unwrap();
        let address = listening.address().unwrap();
        let (end, ended) = oneshot::channel();

        runtime.spawn(serve(listening, service, async {
            let _ = ended.await;
        }));
        Self { engine, address, running: Some(running), runtime, end: Some(end) }
    }

    /// Ends it, after what it took is committed.
    pub(crate) fn end(mut self) {
        drop(self.end.take());
        self.engine.end();
        self.running.take().unwrap().join();
        self.runtime.shutdown_background();
    }

    /// Sends a request; status, headers and body of the answer.
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n").unwrap();
        for (name, value) in headers {
            write!(stream, "{name}: {value}\r\n").unwrap();
        }
        write!(stream, "content-length: {}\r\n\r\n", body.len()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body =
            if head.contains("transfer-encoding: chunked") { dechunked(body) } else { body.to_owned() };
        (status, head.to_owned(), body)
    }

    /// Asks; the answer as JSON.
    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        let (status, _, body) = self.request("GET", path, &[], b"");
        (status, serde_json::from_str(&body).unwrap_or_else(|_| panic!("{path}: {body}")))
    }

    /// Sends events, which have to be counted.
    pub(crate) fn send(&self, events: &[Value]) {
        let body = serde_json::to_vec(events).unwrap();
        let kind = ("content-type", "application/cloudevents-batch+json");
        let (status, _, answer) = self.request("POST", "/v1/events", &[kind], &body);
        assert_eq!(status, 200, "{answer}");
        let receipt: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(receipt["rejected"], 0, "{answer}");
    }
}

fn dechunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((length, after)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        body.push_str(&after[..length]);
        rest = after.get(length + 2..).unwrap_or_default();
    }
    body
}

/// An event of type `use`.
pub(crate) fn event(id: &str, account: &str, time: &str, data: &Value) -> Value {
    json!({ "specversion": "1.0", "type": "use", "source": "test", "id": id, "subject": account,
        "time": time, "data": data })
}
