//! `GET /metrics`: the numbers after known traffic, and the names that the documentation lists.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use service::metrics::METRICS;

use crate::support::{Server, call, event, request};

/// Values by name and labels, as they are written.
struct Scrape {
    values: BTreeMap<String, String>,
    /// Name, kind and help.
    described: BTreeSet<(String, String, String)>,
}

async fn scrape(server: &Server) -> Scrape {
    let answer = server.get("/metrics").await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
    let mut values = BTreeMap::new();
    let (mut helps, mut described) = (BTreeMap::new(), BTreeSet::new());
    for line in answer.text.lines().filter(|line| !line.is_empty()) {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            helps.insert(name.to_owned(), help.to_owned());
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            let help = helps.get(name).cloned().unwrap_or_default();
            described.insert((name.to_owned(), kind.to_owned(), help));
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            value.parse::<f64>().unwrap();
            assert!(values.insert(name.to_owned(), value.to_owned()).is_none(), "{name} is there twice");
        }
    }
    Scrape { values, described }
}

impl Scrape {
    /// Checks values that are written like `name{labels} value`.
    fn check(&self, expected: &[&str]) {
        for expected in expected {
            let (name, value) = expected.rsplit_once(' ').unwrap();
            let found = self.values.get(name).map(String::as_str);
            assert_eq!(found, Some(value), "{name}, of {:#?}", self.values);
        }
    }

    fn number(&self, name: &str) -> f64 {
        self.values.get(name).unwrap_or_else(|| panic!("{name}, of {:#?}", self.values)).parse().unwrap()
    }
}

/// Two calls that count, one sent again, one that contradicts, one of nobody, and what is no event.
async fn send_known(server: &Server) -> usize {
    let other = event("call 1", "api.call", json!({ "other": 1 }));
    let mut nobody = call(9);
    nobody["subject"] = json!("nobody");
    let events = vec![call(1), call(2), call(2), other, nobody, json!({ "specversion": "1.0" })];
    let bytes = serde_json::Value::from(events.clone()).to_string().len();
    let receipt = server.count(events).await;
    let verdicts = json!(["accepted", "accepted", "duplicate", "conflict", "accepted", "rejected"]);
    assert_eq!(receipt["verdicts"], verdicts);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_say_what_became_of_known_traffic() {
    let place = tempfile::tempdir().unwrap();
    let server = Server::start(place.path()).await;
    let bytes = send_known(&server).await;
    assert_eq!(server.get("/v1/no/such/route").await.status, 404);
    let json = [("content-type", "application/json")];
    assert_eq!(request(server.address, "BREW", "/v1/events", &json, "{}").await.status, 405);
    let scrape = scrape(&server).await;
    scrape.check(&[
        "ingest_events_total{verdict=\"accepted\"} 3",
        "ingest_events_total{verdict=\"duplicate\"} 1",
        "ingest_events_total{verdict=\"conflict\"} 1",
        "ingest_events_total{verdict=\"rejected\"} 1",
        "ingest_duplicates_total{kind=\"same_content\"} 1",
        "ingest_duplicates_total{kind=\"other_content\"} 1",
        "ingest_rejects_total{reason=\"missing_id\"} 1",
        "ingest_unrated_total{reason=\"unknown_account\"} 1",
        "ingest_refused_total{reason=\"overloaded\"} 0",
        &format!("ingest_event_bytes_total {bytes}"),
        &format!("http_body_bytes_total {bytes}"),
        "ingest_waiting_bytes 0",
        "ingest_waiting_requests 0",
        "ingest_oldest_waiting_seconds 0",
        "quarantine_open_events{class=\"rejected\"} 1",
        "quarantine_open_events{class=\"conflict\"} 1",
        "quarantine_open_events{class=\"unrated\"} 1",
        "meter_event_lag_seconds_count 1",
        "meter_stage_latency_seconds_count{stage=\"decode\"} 1",
        "meter_stage_latency_seconds_count{stage=\"queue\"} 1",
        "meter_stage_latency_seconds_count{stage=\"decide\"} 1",
        "http_requests_total{route=\"/v1/events\",method=\"POST\",status=\"200\"} 1",
        "http_requests_total{route=\"/v1/events\",method=\"other\",status=\"405\"} 1",
        "http_requests_total{route=\"unknown\",method=\"GET\",status=\"404\"} 1",
        "http_request_duration_seconds_count{route=\"/v1/events\"} 2",
        "service_ready 1",
    ]);
    let ages = scrape.number("meter_event_lag_seconds_sum");
    assert!(ages > 3_600.0, "the event is of long ago: {ages}");
    for positive in ["disk_free_bytes", "process_resident_memory_bytes", "process_uptime_seconds"] {
        assert!(scrape.number(positive) > 0.0, "{positive}");
    }
    assert!(scrape.number("http_connections") >= 1.0);
    assert!(scrape.number("ledger_epoch") >= 1.0);
    server.stop().await;

    // Counts are of this process; what is in quarantine is of the ledger.
    let server = Server::start(place.path()).await;
    let scrape = self::scrape(&server).await;
    scrape.check(&[
        "ingest_events_total{verdict=\"accepted\"} 0",
        "quarantine_open_events{class=\"rejected\"} 1",
        "quarantine_open_events{class=\"unrated\"} 1",
    ]);
    let epochs = ["ledger_epoch", "accrued_epoch", "snapshot_epoch"].map(|name| &scrape.values[name]);
    assert!(epochs[0] != "0" && epochs == [epochs[0]; 3], "the end leaves nothing behind: {epochs:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_and_its_accruals_are_told_once_they_are_committed() {
    let place = tempfile::tempdir().unwrap();
    let server = Server::start(place.path()).await;
    server.count(vec![call(1), call(2)]).await;
    let mut progress = server.engine.progress().clone();
    progress.wait_for(|progress| progress.accrued > 1).await.unwrap();
    let scrape = scrape(&server).await;
    scrape.check(&["accrual_rounds_total 1", "accruals_total 1", "ledger_epoch 2", "accrued_epoch 2"]);
    scrape.check(&["meter_stage_latency_seconds_count{stage=\"commit\"} 2", "epoch_events_sum 2"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documentation_lists_what_is_exported_and_nothing_else() {
    let place = tempfile::tempdir().unwrap();
    let server = Server::start(place.path()).await;
    send_known(&server).await;
    let scrape = scrape(&server).await;
    let named: BTreeSet<_> = METRICS
        .iter()
        .map(|metric| (metric.name.to_owned(), metric.kind.name().to_owned(), metric.meaning.to_owned()))
        .collect();
    assert_eq!(scrape.described, named);
    let documentation = include_str!("../../../docs/operation.md");
    let is_metric = |line: &&str| {
        let kind = line.split(" | ").nth(1).unwrap_or_default();
        ["counter", "gauge", "histogram"].contains(&kind)
    };
    let listed: Vec<&str> = documentation.lines().filter(is_metric).collect();
    let expected: Vec<String> = METRICS
        .iter()
        .map(|metric| format!("| `{}` | {} | {} |", metric.name, metric.kind.name(), metric.meaning))
        .collect();
    assert_eq!(listed, expected, "docs/operation.md lists:\n{}", expected.join("\n"));
    server.stop().await;
}
