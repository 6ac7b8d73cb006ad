//! `GET /readyz` says what is so.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aggregate::data_directory::directory_disk;
use serde_json::Value;
use service::engine::EngineOptions;
use tokio::io::AsyncWriteExt;

use crate::failing_disk::MoodyDisk;
use crate::support::{Server, call, catalog};

#[tokio::test(flavor = "multi_thread")]
async fn readyz_tells_how_long_the_oldest_waits_and_where_accruals_and_tables_are() {
    let place = tempfile::tempdir().unwrap();
    let (disk, moods) = MoodyDisk::on(place.path());
    let server = Arc::new(Server::start_on(&disk, &catalog(true), 1, EngineOptions::default()).await);
    let ready = server.get("/readyz").await;
    assert_eq!(ready.status, 200);
    let ready = ready.json();
    assert_eq!((&ready["state"], &ready["snapshot_epoch"]), (&"taking".into(), &0.into()), "{ready}");
    assert!(ready["oldest_waiting_age_ms"].is_null() && ready["last_commit_age_ms"].is_u64(), "{ready}");
    moods.sync_ms.store(1_500, Ordering::SeqCst);
    let sending = tokio::spawn({
        let server = Arc::clone(&server);
        async move { server.count(vec![call(1)]).await }
    });
    let mut ages = Vec::new();
    while ages.len() < 2 {
        let ready = server.get("/readyz").await.json();
        ages.extend(ready["oldest_waiting_age_ms"].as_u64());
        assert!(ready["waiting_bytes"].as_u64() > Some(0) || ages.is_empty(), "{ready}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(ages[0] < ages[1], "the oldest gets older: {ages:?}");
    sending.await.unwrap();
    moods.sync_ms.store(0, Ordering::SeqCst);
    let ready = server.get("/readyz").await.json();
    assert!(ready["oldest_waiting_age_ms"].is_null(), "{ready}");
    Arc::into_inner(server).unwrap().stop().await;

    let server = Server::start(place.path()).await;
    let ready = server.get("/readyz").await.json();
    let epochs = ["epoch", "accrued_epoch", "snapshot_epoch"].map(|name| ready[name].as_u64().unwrap());
    assert!(epochs[0] > 0 && epochs == [epochs[0]; 3], "{ready}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readyz_says_so_where_there_is_no_room() {
    let place = tempfile::tempdir().unwrap();
    let disk = directory_disk(place.path());
    let options = EngineOptions { waiting_bytes_max: 2_624, ..EngineOptions::default() };
    let server = Server::start_on(&disk, &catalog(true), 1, options).await;
    let head = "POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\ncontent-length: 9999\r\n\r\n";
    let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&[b'x'; 1_510]).await.unwrap();
    let until = async |status: u16| {
        let asked = async {
            loop {
                let ready = server.get("/readyz").await;
                if ready.status == status {
                    return ready.json();
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), asked).await.expect("it never says so")
    };
    let crowded = until(503).await;
    assert_eq!((&crowded["is_ready"], &crowded["reason"]), (&Value::Bool(false), &"overloaded".into()));
    drop(stream);
    until(200).await;
    server.stop().await;
}
