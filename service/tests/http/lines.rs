//! Lines take room as they arrive, like everything that waits.

use std::time::Duration;

use serde_json::Value;
use service::engine::EngineOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use aggregate::data_directory::directory_disk;

use crate::support::{Server, call, catalog};

const ROOM: usize = 6_000;

async fn begin(server: &Server, bytes: usize, first: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/x-ndjson\r\n\
         content-length: {bytes}\r\n\r\n{first}"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// Waits until something is so.
async fn wait(is_so: impl Fn() -> bool) {
    let seen = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), seen).await.is_ok(), "it never is so");
}

/// The last line of an answer.
async fn end(mut stream: TcpStream) -> Value {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let line = text.lines().rfind(|line| line.contains("is_complete")).unwrap_or_else(|| panic!("{text}"));
    serde_json::from_str(line).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_not_whole_takes_room_and_gives_it_back() {
    let place = tempfile::tempdir().unwrap();
    let options = EngineOptions { waiting_bytes_max: ROOM, ..EngineOptions::default() };
    let server = Server::start_on(&directory_disk(place.path()), &catalog(true), 1, options).await;
    let mut event = call(1);
    event["data"]["note"] = Value::from("x".repeat(2_500));
    let line = event.to_string();
    let (first, rest) = line.split_at(2_600);
    let mut stream = begin(&server, line.len(), first).await;
    wait(|| server.engine.waiting_bytes() >= first.len()).await;
    // Two of them have no room at once.
    let other = end(begin(&server, line.len(), &line).await).await;
    assert_eq!((&other["is_complete"], &other["received"]), (&Value::Bool(false), &0.into()), "{other}");
    assert!(other["problem"].as_str().unwrap().starts_with("overloaded"), "{other}");
    stream.write_all(rest.as_bytes()).await.unwrap();
    let done = end(stream).await;
    assert_eq!((&done["is_complete"], &done["received"]), (&Value::Bool(true), &1.into()), "{done}");
    assert_eq!(server.engine.waiting_bytes(), 0);
    // Who goes away gives it back too.
    let gone = begin(&server, line.len(), first).await;
    wait(|| server.engine.waiting_bytes() >= first.len()).await;
    drop(gone);
    wait(|| server.engine.waiting_bytes() == 0).await;
    server.stop().await;
}
