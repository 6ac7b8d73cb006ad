//! Ids of requests: on every answer, in every problem, and in the log.

use std::io::Write;
use std::sync::{Arc, Mutex, Once};

use serde_json::Value;
use tracing_subscriber::fmt::MakeWriter;

use aggregate::data_directory::directory_disk;
use service::config::{Scope, ServiceConfig, TokenConfig};
use service::engine::EngineOptions;

use crate::support::{Answer, Server, call, catalog, request};

/// A log that is kept.
#[derive(Clone, Default)]
pub(crate) struct KeptLog(Arc<Mutex<Vec<u8>>>);

impl Write for KeptLog {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for KeptLog {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl KeptLog {
    /// Keeps what this thread logs, as long as what comes back is kept.
    pub(crate) fn listen(&self) -> tracing::subscriber::DefaultGuard {
        // What other threads, that nobody listens to, find switched off would be switched off here as well.
        static EVERYBODY: Once = Once::new();
        EVERYBODY.call_once(|| {
            let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG);
            let _ = tracing::subscriber::set_global_default(subscriber.with_writer(std::io::sink).finish());
        });
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_current_span(true)
            .with_max_level(tracing::Level::DEBUG)
            .with_writer(self.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The line of a request that says how it was answered.
    fn answered(&self, id: &str) -> Value {
        let lines = self.lines();
        let is_it = |line: &&Value| line["span"]["request_id"] == id && line["fields"]["status"].is_u64();
        let found: Vec<&Value> = lines.iter().filter(is_it).collect();
        assert_eq!(found.len(), 1, "{id}, of {lines:#?}");
        found[0].clone()
    }
}

fn id_of(answer: &Answer) -> String {
    let lines: Vec<&str> =
        answer.head.lines().filter_map(|line| line.strip_prefix("x-request-id: ")).collect();
    assert_eq!(lines.len(), 1, "{}", answer.head);
    lines[0].to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_the_id_of_its_request_and_every_problem_too() {
    let place = tempfile::tempdir().unwrap();
    let server = Server::start(place.path()).await;
    let get =
        async |path: &str, id: &str| request(server.address, "GET", path, &[("x-request-id", id)], "").await;
    for path in ["/healthz", "/readyz", "/metrics", "/v1/rated", "/v1/rated?limit=0", "/nothing"] {
        let answer = get(path, "trace-1.a/b:c").await;
        assert_eq!(id_of(&answer), "trace-1.a/b:c", "{path}");
        if answer.status >= 400 {
            assert_eq!(answer.json()["request_id"], "trace-1.a/b:c", "{path}");
        }
    }
    let (first, second) = (server.get("/nothing").await, server.get("/nothing").await);
    assert_ne!(id_of(&first), id_of(&second));
    assert_eq!(first.json()["request_id"], id_of(&first).as_str());
    let longest = "x".repeat(128);
    for (given, is_kept) in
        [(longest.as_str(), true), (&(longest.clone() + "x"), false), ("a\"b", false), ("a b", false)]
    {
        assert_eq!(id_of(&get("/nothing", given).await) == given, is_kept, "{given}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_log_of_a_request_says_who_asked_for_what_and_never_the_secret() {
    let log = KeptLog::default();
    // Everything but the engine runs on this thread.
    let _guard = log.listen();
    let place = tempfile::tempdir().unwrap();
    let secret = "0123456789abcdef-secret";
    let token = TokenConfig {
        name: "gateway".to_owned(),
        token: Some(secret.to_owned()),
        token_file: None,
        scopes: vec![Scope::Ingest],
        events_per_second: None,
        events_burst: None,
    };
    let config =
        ServiceConfig { listen: ([127, 0, 0, 1], 0).into(), tokens: vec![token], ..ServiceConfig::default() };
    let disk = directory_disk(place.path());
    let server = Server::start_configured(&disk, &catalog(true), 1, EngineOptions::default(), config).await;
    let bearer = format!("Bearer {secret}");
    let body = Value::from(vec![call(1)]).to_string();
    let json = ("content-type", "application/json");
    let ask = async |method: &str, path: &str, id: &str, bearer: &str| {
        let headers = [json, ("x-request-id", id), ("authorization", bearer)];
        request(server.address, method, path, &headers, &body).await.status
    };
    assert_eq!(ask("POST", "/v1/events?atomic=true", "good", &bearer).await, 200);
    assert_eq!(ask("GET", "/v1/rated", "beyond", &bearer).await, 403);
    assert_eq!(ask("POST", "/v1/events", "wrong", "Bearer 0123456789abcdef-wrong").await, 401);
    assert_eq!(ask("GET", "/%1b%5b31m%0d%0a?secret=1", "path", &bearer).await, 404);
    let good = log.answered("good");
    assert_eq!((&good["level"], &good["fields"]["status"]), (&"DEBUG".into(), &200.into()), "{good}");
    let span = &good["span"];
    assert_eq!((&span["method"], &span["route"]), (&"POST".into(), &"/v1/events".into()), "{good}");
    assert_eq!((&span["token"], &span["bytes"]), (&"gateway".into(), &body.len().into()), "{good}");
    assert!(good["fields"]["duration_us"].is_u64(), "{good}");
    let beyond = log.answered("beyond");
    assert_eq!((&beyond["level"], &beyond["span"]["token"]), (&"INFO".into(), &"gateway".into()), "{beyond}");
    let wrong = log.answered("wrong");
    assert_eq!((&wrong["level"], &wrong["span"]["token"]), (&"INFO".into(), &Value::Null), "{wrong}");
    assert_eq!(log.answered("path")["span"]["route"], "unknown");
    let text = log.text();
    assert!(
        !text.contains("0123456789abcdef") && !text.contains("secret=") && !text.contains("%1b"),
        "{text}"
    );
    server.stop().await;
}
