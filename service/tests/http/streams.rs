//! Streams of rated usage and accruals, read by cursor.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use aggregate::export::ExportTable;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use crate::support::{Answer, Server, call, event, exported, open, request};

/// A billing system: it goes on after its cursor, and keeps what it reads.
#[derive(Default)]
struct Client {
    path: &'static str,
    cursor: String,
    events: Vec<String>,
}

impl Client {
    fn new(path: &'static str) -> Self {
        Self { path, ..Self::default() }
    }

    /// Reads what there is, so many events at a time.
    async fn read(&mut self, server: &Server, limit: usize) {
        loop {
            let path = format!("{}?limit={limit}&after={}", self.path, self.cursor);
            let answer = server.get(&path).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            let again = server.get(&path).await;
            assert!(again.text.starts_with(&events_of(&answer)), "a cursor gives the same events again");
            let document = answer.json();
            let events = events_of(&answer);
            if !events.is_empty() {
                self.events.push(events);
            }
            assert!(document["events"].as_array().unwrap().len() <= limit);
            self.cursor = document["cursor"].as_str().unwrap().to_owned();
            if document["is_last"] == true {
                return;
            }
        }
    }

    fn all(&self) -> String {
        self.events.iter().map(|events| &events[11..]).collect::<Vec<_>>().join(",")
    }
}

/// The events of an answer as they are written; nothing if there are none.
fn events_of(answer: &Answer) -> String {
    let (events, _) = answer.text.split_once("],\"cursor\":").unwrap();
    if events.len() == 11 { String::new() } else { events.to_owned() }
}

fn copied(place: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let done = Command::new("cp").arg("-r").arg(place.join(".")).arg(copy.path()).status().unwrap();
    assert!(done.success());
    copy
}

fn tokens(number: usize) -> Value {
    event(&format!("tokens {number}"), "llm.completion", json!({ "tokens": number }))
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_2_a_client_that_goes_on_by_cursor_has_each_row_once_as_exported_across_restarts_and_kills() {
    let mut place = tempfile::tempdir().unwrap();
    let mut clients = [Client::new("/v1/rated"), Client::new("/v1/accruals")];
    for round in 0..4 {
        let server = Server::start(place.path()).await;
        for part in 0..5 {
            let first = round * 1_000 + part * 20;
            let mut events: Vec<Value> = (first..first + 13).map(call).collect();
            events.extend((first..first + 4).map(tokens));
            server.count(events).await;
            for client in &mut clients {
                client.read(&server, 3 + part).await;
            }
        }
        if round % 2 == 0 {
            server.stop().await;
        } else {
            // What a kill leaves, while the process lives on elsewhere.
            let copy = copied(place.path());
            server.stop().await;
            place = copy;
        }
    }
    let server = Server::start(place.path()).await;
    for client in &mut clients {
        client.read(&server, 10_000).await;
    }
    server.stop().await;
    let [rated, _] = &clients;
    assert_eq!(rated.all().matches("com.tallybook.usage.rated.v1").count(), 4 * 5 * 17);
    assert!(rated.all() == exported(place.path(), ExportTable::RatedUsage));
    let server = Server::start(place.path()).await;
    let [_, accruals_client] = &mut clients;
    accruals_client.read(&server, 10_000).await;
    server.stop().await;
    assert!(!accruals_client.events.is_empty());
    assert!(accruals_client.all() == exported(place.path(), ExportTable::Accruals));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_is_answered_when_an_epoch_is_committed() {
    let place = tempfile::tempdir().unwrap();
    let server = Server::start(place.path()).await;
    let begun = Instant::now();
    let nothing = server.get("/v1/rated?wait=1").await.json();
    assert!(
        nothing["events"].as_array().unwrap().is_empty() && begun.elapsed() >= Duration::from_millis(900)
    );
    let address = server.address;
    let waiting = tokio::spawn(async move { request(address, "GET", "/v1/rated?wait=30", &[], "").await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.count(vec![call(1)]).await;
    let begun = Instant::now();
    let answer = waiting.await.unwrap().json();
    assert_eq!(answer["events"][0]["data"]["event_id"], "call 1");
    assert!(begun.elapsed() < Duration::from_secs(5));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn server_sent_events_go_on_after_the_last_event_id() {
    let place = tempfile::tempdir().unwrap();
    let server = Server::start(place.path()).await;
    server.count((0..5).map(call).collect()).await;
    let mut last = String::new();
    let mut seen = Vec::new();
    for expected in [5, 3] {
        let headers = [("accept", "text/event-stream"), ("last-event-id", last.as_str())];
        let mut stream = open(server.address, "GET", "/v1/rated", &headers, "").await;
        let mut text = String::new();
        let mut buffer = vec![0; 1 << 16];
        while text.matches("\n\n").count() < expected {
            let read = stream.read(&mut buffer).await.unwrap();
            text += std::str::from_utf8(&buffer[..read]).unwrap();
        }
        assert!(text.contains("content-type: text/event-stream"), "{text}");
        let line = |start: &'static str| text.lines().filter_map(move |line| line.strip_prefix(start));
        seen.extend(line("data: ").map(|data| {
            let event: Value = serde_json::from_str(data).unwrap();
            event["data"]["event_id"].as_str().unwrap().to_owned()
        }));
        last = line("id: ").next_back().unwrap().to_owned();
        drop(stream);
        if expected == 5 {
            // In the middle of an epoch.
            last = line("id: ").nth(2).unwrap().to_owned();
            seen.truncate(3);
            server.count(vec![call(5)]).await;
        }
    }
    assert_eq!(seen, (0..6).map(|number| format!("call {number}")).collect::<Vec<_>>());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_is_none_is_refused_with_what_to_do() {
    let place = tempfile::tempdir().unwrap();
    let server = Server::start(place.path()).await;
    server.count(vec![call(1)]).await;
    let cursor = server.get("/v1/rated").await.json()["cursor"].as_str().unwrap().to_owned();
    for (path, status, code) in [
        ("/v1/rated?after=7".to_owned(), 400, "bad_cursor"),
        (format!("/v1/accruals?after={cursor}"), 400, "bad_cursor"),
        (format!("/v1/rated?after={cursor}0"), 400, "bad_cursor"),
        ("/v1/rated?limit=0".to_owned(), 400, "bad_limit"),
        ("/v1/rated?wait=31".to_owned(), 400, "bad_wait"),
        ("/v1/rated?from=1".to_owned(), 400, "bad_query"),
        ("/v1/rated?reader=a%2Fb".to_owned(), 400, "bad_reader"),
    ] {
        let answer = server.get(&path).await;
        assert_eq!((answer.status, answer.json()["code"].as_str().unwrap()), (status, code), "{path}");
    }
    let older = copied(place.path());
    for number in 2..7 {
        server.count(vec![call(number)]).await;
    }
    let ahead = server.get("/v1/rated").await.json()["cursor"].as_str().unwrap().to_owned();
    server.stop().await;
    let server = Server::start(older.path()).await;
    let answer = server.get(&format!("/v1/rated?after={ahead}")).await;
    assert_eq!((answer.status, answer.json()["code"].as_str().unwrap()), (409, "cursor_ahead"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_place_of_a_reader_is_kept_and_goes_forward_only() {
    let place = tempfile::tempdir().unwrap();
    let server = Server::start(place.path()).await;
    server.count((0..5).map(call).collect()).await;
    let read = async |server: &Server| server.get("/v1/rated?limit=2&reader=billing").await.json();
    let first = read(&server).await;
    assert_eq!(read(&server).await["events"], first["events"], "nothing is acknowledged by reading");
    let whole = server.get("/v1/rated").await.json();
    let acknowledge = async |server: &Server, answer: &Value| {
        server.post("/v1/readers/billing", &json!({ "cursor": answer["cursor"] })).await
    };
    assert_eq!(acknowledge(&server, &first).await.status, 200);
    server.stop().await;
    let server = Server::start(place.path()).await;
    let second = read(&server).await;
    assert_eq!(second["events"][0], whole["events"][2], "it goes on within the epoch");
    assert_eq!(acknowledge(&server, &second).await.status, 200);
    let back = acknowledge(&server, &first).await;
    assert_eq!((back.status, back.json()["code"].as_str().unwrap()), (409, "reader_ahead"));
    let other = server.get("/v1/accruals?reader=billing").await;
    assert_eq!((other.status, other.json()["code"].as_str().unwrap()), (409, "other_stream"));
    assert_eq!(server.get("/v1/readers").await.json()["readers"][0]["name"], "billing");
    let forgotten = request(server.address, "DELETE", "/v1/readers/billing", &[], "").await;
    assert_eq!(forgotten.status, 204);
    assert_eq!(request(server.address, "DELETE", "/v1/readers/billing", &[], "").await.status, 404);
    assert_eq!(read(&server).await["events"], first["events"]);
    server.stop().await;
}
