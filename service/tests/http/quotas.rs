//! One token that sends more than it may, or more than others leave room for (F71).

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aggregate::data_directory::directory_disk;
use aggregate::export::ExportTable;
use serde_json::Value;
use service::config::{Limits, Scope, ServiceConfig, TokenConfig};
use service::engine::EngineOptions;

use crate::failing_disk::MoodyDisk;
use crate::support::{Answer, Server, call, catalog, exported, request};

fn token(name: &str, rate: Option<(u64, u64)>) -> TokenConfig {
    TokenConfig {
        name: name.to_owned(),
        token: Some(secret(name)),
        token_file: None,
        scopes: vec![Scope::Ingest, Scope::Read],
        events_per_second: rate.and_then(|(rate, _)| NonZeroU64::new(rate)),
        events_burst: rate.and_then(|(_, burst)| NonZeroU64::new(burst)),
    }
}

fn secret(name: &str) -> String {
    format!("{name}-of-sixteen-bytes")
}

async fn send(server: &Server, name: &str, kind: &str, body: &str) -> Answer {
    let authorization = format!("Bearer {}", secret(name));
    let headers = [("authorization", authorization.as_str()), ("content-type", kind)];
    request(server.address, "POST", "/v1/events", &headers, body).await
}

fn batch(first: usize, count: usize) -> String {
    Value::from((first..first + count).map(call).collect::<Vec<_>>()).to_string()
}

const JSON: &str = "application/json";

#[tokio::test(flavor = "multi_thread")]
async fn f71_a_token_over_its_rate_is_told_which_and_when_before_its_body_is_counted() {
    let place = tempfile::tempdir().unwrap();
    let config = ServiceConfig {
        tokens: vec![token("slow", Some((1, 10))), token("free", None)],
        ..ServiceConfig::default()
    };
    let disk = directory_disk(place.path());
    let server = Server::start_configured(&disk, &catalog(true), 1, EngineOptions::default(), config).await;
    // More than there is in the bucket, once: then it owes.
    assert_eq!(send(&server, "slow", JSON, &batch(0, 100)).await.status, 200);
    let lines = batch(200, 5).replace("},{\"", "}\n{\"").trim_matches(['[', ']']).to_owned();
    for (kind, body) in [(JSON, batch(100, 1)), (JSON, "[{".to_owned()), ("application/x-ndjson", lines)] {
        let answer = send(&server, "slow", kind, &body).await;
        assert_eq!(answer.status, 429, "{}", answer.text);
        let problem = answer.json();
        assert_eq!(problem["code"], "over_quota");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("more than 1 events a second") && detail.contains("events_per_second"));
        let wait = answer.head.split("retry-after: ").nth(1).unwrap().split("\r\n").next().unwrap();
        let wait: u64 = wait.parse().unwrap();
        assert!((80..=91).contains(&wait), "{wait}");
        assert!(answer.head.contains("application/problem+json"), "{}", answer.head);
    }
    // What is read is not counted, and others are not held back.
    let authorization = format!("Bearer {}", secret("slow"));
    let headers = [("authorization", authorization.as_str())];
    assert_eq!(request(server.address, "GET", "/v1/rated", &headers, "").await.status, 200);
    assert_eq!(send(&server, "free", JSON, &batch(300, 1_000)).await.status, 200);
    server.stop().await;
    assert_eq!(exported(place.path(), ExportTable::RatedUsage).matches("\"call ").count(), 1_100);
}

#[tokio::test(flavor = "multi_thread")]
async fn f71_while_a_token_floods_another_is_never_refused_and_totals_are_exact() {
    const WAITING_BYTES: usize = 30_000;
    const ROUNDS: usize = 50;
    let place = tempfile::tempdir().unwrap();
    let config = ServiceConfig {
        tokens: vec![token("flood", None), token("calm", None)],
        limits: Limits { waiting_bytes_max: WAITING_BYTES, ..Limits::default() },
        ..ServiceConfig::default()
    };
    let (disk, moods) = MoodyDisk::on(place.path());
    // As long as a commit takes, everybody waits.
    moods.sync_ms.store(20, Ordering::SeqCst);
    let options = EngineOptions { waiting_bytes_max: WAITING_BYTES, ..EngineOptions::default() };
    let server = Arc::new(Server::start_configured(&disk, &catalog(true), 1, options, config).await);
    let (is_over, refused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let floods: Vec<_> = (0..100)
        .map(|client| {
            let (server, is_over, refused) =
                (Arc::clone(&server), Arc::clone(&is_over), Arc::clone(&refused));
            tokio::spawn(async move {
                let mut counted = 0;
                for round in 0.. {
                    if is_over.load(Ordering::SeqCst) {
                        break;
                    }
                    let body = batch(1_000_000 * (client + 1) + round, 1);
                    let answer = send(&server, "flood", JSON, &body).await;
                    match answer.status {
                        200 => counted += 1,
                        503 => {
                            assert!(answer.head.contains("retry-after"), "{}", answer.head);
                            refused.fetch_add(1, Ordering::SeqCst);
                        }
                        status => panic!("{status}: {}", answer.text),
                    }
                }
                counted
            })
        })
        .collect();
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        let began = Instant::now();
        let answer = send(&server, "calm", JSON, &batch(round * 10, 10)).await;
        times.push(began.elapsed());
        assert_eq!(answer.status, 200, "round {round}: {}", answer.text);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    is_over.store(true, Ordering::SeqCst);
    let mut counted = ROUNDS * 10;
    for flood in floods {
        counted += flood.await.unwrap();
    }
    times.sort();
    let refused = refused.load(Ordering::SeqCst);
    println!("{counted} counted, {refused} refused; p99 of the other: {:?}", times[times.len() * 99 / 100]);
    assert!(refused > 0, "nothing was refused");
    Arc::into_inner(server).unwrap().stop().await;
    assert_eq!(exported(place.path(), ExportTable::RatedUsage).matches("\"call ").count(), counted);
}
