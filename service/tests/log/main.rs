//! What the log has of requests that want to be in it (F74, F77): all of it is taken, down to what libraries trace.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

#[path = "../http/support.rs"]
#[allow(
    dead_code,
    clippy::panic,
    clippy::format_push_string,
    clippy::needless_pass_by_value,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what other tests use of it"
)]
mod support;

use std::fs;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aggregate::data_directory::directory_disk;
use service::config::{Scope, ServiceConfig, TokenConfig};
use service::engine::EngineOptions;
use service::log::subscriber;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use support::{Server, call, catalog, request};

/// What was logged.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Logged {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn token(name: &str, scope: Scope) -> TokenConfig {
    TokenConfig {
        name: name.to_owned(),
        token: None,
        token_file: None,
        scopes: vec![scope],
        events_per_second: None,
        events_burst: None,
    }
}

/// Sends bytes on a connection of their own, and reads what comes back.
async fn send(server: &Server, bytes: &[u8]) {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let _ = tokio::time::timeout(Duration::from_millis(300), stream.read_to_end(&mut Vec::new())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f74_f77_no_secret_is_in_the_log_and_no_request_makes_lines_of_it() {
    let logged = Logged::default();
    let config = ServiceConfig { log: "trace".to_owned(), ..ServiceConfig::default() };
    let writer = logged.clone();
    tracing::subscriber::set_global_default(subscriber(&config, false, move || writer.clone()).unwrap())
        .unwrap();
    let secrets = tempfile::tempdir().unwrap();
    let path = secrets.path().join("with a \u{1b}[31m line\nof its own");
    let [inline, filed, wrong] = ["canary-inline-secret", "canary-filed-secret", "canary-wrong-secret"];
    fs::write(&path, filed).unwrap();
    let tokens = vec![
        TokenConfig { token: Some(inline.to_owned()), ..token("sender", Scope::Ingest) },
        TokenConfig { token_file: Some(path.clone()), ..token("read\r\ner \u{1b}[2J", Scope::Read) },
    ];
    let config = ServiceConfig { tokens, token_files_interval_ms: 0, ..config };
    let place = tempfile::tempdir().unwrap();
    let disk = directory_disk(place.path());
    let server = Server::start_configured(&disk, &catalog(true), 1, EngineOptions::default(), config).await;
    let get = async |secret: &str, path: &str| {
        let authorization = format!("Bearer {secret}");
        request(server.address, "GET", path, &[("authorization", &authorization)], "").await.status
    };
    // All that may happen to a secret: right, beyond its scopes, wrong, changed, revoked.
    assert_eq!(get(filed, "/v1/rated").await, 200);
    assert_eq!(get(filed, "/v1/quarantine/replay").await, 405);
    assert_eq!(get(inline, "/v1/rated").await, 403);
    assert_eq!(get(wrong, "/v1/rated").await, 401);
    fs::write(&path, "canary-second-secret").unwrap();
    assert_eq!(get(filed, "/v1/rated").await, 401);
    fs::remove_file(&path).unwrap();
    assert_eq!(get("canary-second-secret", "/v1/rated").await, 401);
    // In ids, headers and paths, and on connections that are given up.
    let evil = "evil%0d%0aINFO%20forged\u{1b}[31m";
    let mut event = call(1);
    event["id"] = "evil\r\nINFO forged\u{1b}[31m\u{9b}2J\u{202e}".into();
    event["subject"] = "evil\r\nINFO forged".into();
    let headers = [("authorization", "Bearer canary-inline-secret"), ("content-type", "application/json")];
    let answer = request(server.address, "POST", "/v1/events", &headers, &event.to_string()).await;
    assert!([200, 400, 422].contains(&answer.status), "{}", answer.text);
    for bytes in [
        format!(
            "GET /{evil} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {inline}\r\nconnection: close\r\n\r\n"
        ),
        format!("GET /?{evil} HTTP/1.1\r\nhost: {evil}\r\nauthorization: Bearer {inline}\u{1b}\r\n\r\n"),
        format!("{evil} / HTTP/9.9\r\nauthorization: Bearer {inline}\r\n\r\n"),
        format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nauthorization: Bearer {inline}\r\n{evil}"),
    ] {
        send(&server, bytes.as_bytes()).await;
    }
    // HTTP/2, with the secret as a header that is not indexed.
    let secret = format!("Bearer {inline}");
    let path = "/v1/rated";
    let mut block = vec![0x82, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
    block.extend(path.as_bytes());
    block.extend([0x0f, 0x08, u8::try_from(secret.len()).unwrap()]);
    block.extend(secret.as_bytes());
    let mut frames = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    frames.extend([0, 0, u8::try_from(block.len()).unwrap(), 1, 5, 0, 0, 0, 1]);
    frames.extend(block);
    send(&server, &frames).await;
    server.stop().await;

    let text = logged.text();
    for expected in ["a token was used beyond its scopes", "the secret of a token has changed", "is revoked"]
    {
        assert!(text.contains(expected), "{expected} is not logged");
    }
    assert!(text.contains("h2::"), "what libraries trace is not taken");
    assert!(!text.contains("canary"), "a secret is in the log: {}", lines_with(&text, "canary"));
    for line in text.lines() {
        let is_stamped = line.starts_with("20") && line.get(10..11) == Some("T");
        assert!(is_stamped, "a line that is not of the log: {line:?}");
        assert!(!line.chars().any(|character| character.is_control() || character == '\u{202e}'), "{line:?}");
    }
}

fn lines_with(text: &str, part: &str) -> String {
    text.lines().filter(|line| line.contains(part)).collect::<Vec<_>>().join("\n")
}
