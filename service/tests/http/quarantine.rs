//! Quarantine: seen, and decided again while events are counted.

use aggregate::export::ExportTable;
use serde_json::{Value, json};

use crate::support::{Server, call, catalog, event, exported};

fn tokens(number: usize) -> Value {
    event(&format!("tokens {number}"), "llm.completion", json!({ "tokens": number }))
}

async fn list(server: &Server, query: &str) -> (Vec<String>, Value) {
    let answer = server.get(&format!("/v1/quarantine?{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = answer.json();
    let id = |record: &Value| record["event_id"].as_str().unwrap_or_default().to_owned();
    (answer["records"].as_array().unwrap().iter().map(id).collect(), answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn cons_1_records_are_listed_mended_and_decided_again_once() {
    let place = tempfile::tempdir().unwrap();
    let server = Server::start_with(place.path(), &catalog(false), 1).await;
    server.count(vec![call(1), tokens(1), tokens(2)]).await;
    let mut other = call(1);
    other["data"]["other"] = 1.into();
    let mut wrong = call(2);
    wrong["time"] = "yesterday".into();
    server.count(vec![other, tokens(3), wrong]).await;
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let (records, answer) = list(&server, &format!("limit=2&after={cursor}")).await;
        all.extend(records);
        cursor = answer["cursor"].as_str().unwrap().to_owned();
        if answer["is_last"] == true {
            break;
        }
    }
    let newest_first = all.clone();
    assert_eq!(newest_first.last().unwrap(), "tokens 1");
    all.sort();
    assert_eq!(all, ["call 1", "call 2", "tokens 1", "tokens 2", "tokens 3"]);
    assert_eq!(list(&server, "class=unrated&account=acct-1").await.0, ["tokens 3", "tokens 2", "tokens 1"]);
    assert_eq!(list(&server, "reason=bad_time").await.0, ["call 2"]);
    assert!(list(&server, "account=acct-2").await.0.is_empty());
    let (_, answer) = list(&server, "class=conflict").await;
    let id = answer["records"][0]["quarantine_id"].as_str().unwrap();
    let shown = server.get(&format!("/v1/quarantine/{id}")).await.json();
    assert_eq!((&shown["record"]["event_id"], &shown["is_open"]), (&"call 1".into(), &true.into()));
    for unknown in ["1-99", "99-1", "1-0", "x"] {
        assert_eq!(server.get(&format!("/v1/quarantine/{unknown}")).await.status, 404, "{unknown}");
    }
    // Nothing is mended yet.
    let report = server.post("/v1/quarantine/replay", &json!({})).await.json();
    assert_eq!((&report["decided"], &report["open"], &report["epochs"]), (&5.into(), &5.into(), &json!([])));
    server.stop().await;

    let server = Server::start_with(place.path(), &catalog(true), 2).await;
    let replay = async |body: Value| server.post("/v1/quarantine/replay", &body).await.json();
    let wrong = server.post("/v1/quarantine/replay", &json!({ "kind": 1 })).await;
    assert_eq!((wrong.status, wrong.json()["code"].as_str().unwrap()), (400, "bad_filter"));
    // Two at once, and events beside them: each record is settled once.
    let (one, two, _) = tokio::join!(
        replay(json!({ "class": "unrated" })),
        replay(json!({ "class": "unrated" })),
        server.count((10..50).map(tokens).collect()),
    );
    assert_eq!(one["rated"].as_u64().unwrap() + two["rated"].as_u64().unwrap(), 3);
    let rest = replay(json!({})).await;
    assert_eq!((&rest["decided"], &rest["rated"], &rest["open"]), (&2.into(), &0.into(), &2.into()));
    assert_eq!(rest["open_by_reason"]["conflict"]["records"], 1);
    assert!(rest["open_by_reason"]["bad_time"]["mend"].as_str().unwrap().contains("write times as"));
    let mut open = list(&server, "").await.0;
    open.sort();
    assert_eq!(open, ["call 1", "call 2"]);
    server.count((1..4).map(tokens).collect()).await;
    // Usage knows what was settled, and what came since.
    let usage = async |server: &Server| server.get("/v1/usage?account=acct-1&meter=tokens").await.json();
    let expected = (1..4).chain(10..50).sum::<usize>().to_string();
    assert_eq!(usage(&server).await["rows"][0]["value"], expected);
    server.stop().await;
    let server = Server::start_with(place.path(), &catalog(true), 2).await;
    assert_eq!(usage(&server).await["rows"][0]["value"], expected);
    server.stop().await;
    let rated = exported(place.path(), ExportTable::RatedUsage);
    assert_eq!(rated.matches("\"meter_id\":\"tokens\"").count(), 43);
    for number in 1..4 {
        assert_eq!(rated.matches(&format!("\"event_id\":\"tokens {number}\"")).count(), 1);
    }
}
