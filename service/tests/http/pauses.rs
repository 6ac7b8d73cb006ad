//! Events are committed while checkpoints and tables are made, and how long they wait beside large requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aggregate::data_directory::directory_disk;
use aggregate::export::ExportTable;
use serde_json::{Value, json};
use service::engine::EngineOptions;

use crate::failing_disk::MoodyDisk;
use crate::support::{Server, call, catalog, event, exported};

const TIME: Duration = Duration::from_secs(12);

const MANY: usize = 9_000;

/// Events whose rows are files of their own, which tables take in at once.
fn many(first: usize) -> Vec<Value> {
    let tokens = |number: usize| {
        let id = blake3::hash(&number.to_le_bytes()).to_hex();
        event(&id, "llm.completion", json!({ "tokens": number }))
    };
    (first..first + MANY).map(tokens).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ack_1_events_are_committed_while_the_disk_holds_checkpoints_and_tables_up() {
    let place = tempfile::tempdir().unwrap();
    let (disk, moods) = MoodyDisk::on(place.path());
    let server = Server::start_on(&disk, &catalog(true), 1, EngineOptions::default()).await;
    moods.holds_upkeep.store(true, Ordering::SeqCst);
    for part in 0..7 {
        let counted = tokio::time::timeout(TIME, server.count(many(part * MANY))).await;
        counted.expect("nothing is committed while tables are made");
    }
    let held = async {
        while moods.held.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(TIME, held).await.expect("no table is made");
    let mut last = 0;
    for number in 0..50 {
        let receipt = tokio::time::timeout(TIME, server.count(vec![call(number)])).await;
        let epoch = receipt.expect("nothing is committed while tables are made")["epoch"].as_u64().unwrap();
        assert!(epoch > last, "{epoch} after {last}");
        last = epoch;
    }
    let snapshot = async || server.get("/readyz").await.json()["snapshot_epoch"].as_u64().unwrap();
    assert_eq!(snapshot().await, 0);
    moods.holds_upkeep.store(false, Ordering::SeqCst);
    while snapshot().await == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.stop().await;
    // Each row is there once, whether a table has it or the ledger alone.
    let server = Server::start(place.path()).await;
    let exported = exported(place.path(), ExportTable::RatedUsage);
    assert_eq!(exported.matches("\"specversion\"").count(), 7 * MANY + 50);
    let again = server.count(many(0)).await;
    assert_eq!(again["duplicate"], MANY);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures, for some seconds"]
async fn pauses_of_single_events_beside_large_requests() {
    let place = tempfile::tempdir().unwrap();
    let disk = directory_disk(place.path());
    let server = Arc::new(Server::start_on(&disk, &catalog(true), 1, EngineOptions::default()).await);
    let is_over = Arc::new(AtomicBool::new(false));
    let flooding = tokio::spawn({
        let (server, is_over) = (Arc::clone(&server), Arc::clone(&is_over));
        async move {
            let mut sent = 0;
            while !is_over.load(Ordering::SeqCst) {
                server.count(many(sent)).await;
                sent += MANY;
            }
            sent
        }
    });
    let (began, mut waits) = (Instant::now(), Vec::new());
    while began.elapsed() < TIME {
        let sent = Instant::now();
        server.count(vec![call(waits.len())]).await;
        waits.push(sent.elapsed());
    }
    is_over.store(true, Ordering::SeqCst);
    let sent = flooding.await.unwrap();
    waits.sort_unstable();
    let at = |part: usize| waits[(waits.len() - 1) * part / 1_000];
    println!(
        "{} single events beside {sent}: p50 {:?}, p99 {:?}, p99.9 {:?}, longest {:?}",
        waits.len(),
        at(500),
        at(990),
        at(999),
        at(1_000)
    );
    let shown = ["meter_stage_latency_seconds_sum", "meter_stage_latency_seconds_count", "upkeep_seconds_"];
    for line in server.engine.render_metrics().lines() {
        if line.starts_with("upkeep_seconds_bucket{work=\"pause\"")
            || shown.iter().any(|name| line.starts_with(name)) && !line.contains("bucket")
        {
            println!("{line}");
        }
    }
    Arc::into_inner(server).unwrap().stop().await;
}
