//! The end: who waits for something new is told at once, who is being answered is answered.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use service::engine::EngineOptions;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::failing_disk::MoodyDisk;
use crate::support::{Server, call, catalog, open};

/// Less than requests are given at the end.
const SOON: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread")]
async fn waits_end_at_once_and_requests_on_their_way_are_answered() {
    let place = tempfile::tempdir().unwrap();
    let (disk, moods) = MoodyDisk::on(place.path());
    let server = Server::start_on(&disk, &catalog(true), 1, EngineOptions::default()).await;
    server.count(vec![call(1)]).await;
    let mut progress = server.engine.progress().clone();
    progress.wait_for(|progress| progress.accrued > 1).await.unwrap();
    let cursor = server.get("/v1/rated").await.json()["cursor"].as_str().unwrap().to_owned();
    let address = server.address;
    let path = format!("/v1/rated?wait=30&after={cursor}");
    let mut poll = open(address, "GET", &path, &[], "").await;
    let mut sent = open(address, "GET", "/v1/accruals", &[("accept", "text/event-stream")], "").await;
    let mut silent = TcpStream::connect(address).await.unwrap();
    // The stream has begun, and the poll waits.
    let mut first = [0; 16];
    sent.read_exact(&mut first).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    moods.sync_ms.store(1_000, Ordering::SeqCst);
    let body = serde_json::Value::from(vec![call(2)]).to_string();
    let mut post = open(address, "POST", "/v1/events", &[("content-type", "application/json")], &body).await;
    while server.engine.oldest_waiting().is_none() {
        tokio::task::yield_now().await;
    }
    let began = Instant::now();
    timeout(SOON, server.stop()).await.expect("the end waits for those who wait");
    println!("the end took {:?}", began.elapsed());
    let mut answers = [String::new(), String::new(), String::new(), String::new()];
    for (stream, answer) in [&mut poll, &mut sent, &mut post, &mut silent].into_iter().zip(&mut answers) {
        timeout(SOON, stream.read_to_string(answer)).await.unwrap().unwrap();
    }
    let [polled, _, posted, nothing] = answers;
    assert!(polled.starts_with("HTTP/1.1 200") && polled.contains("\"events\":["), "{polled}");
    assert!(posted.starts_with("HTTP/1.1 200") && posted.contains("\"accepted\":1"), "{posted}");
    assert_eq!(nothing, "");
}
