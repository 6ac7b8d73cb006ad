//! What people who watch are shown is what was counted.

use serde_json::{Value, json};

use crate::support::{Server, call, event};

/// The status, once its sums of charges have everything.
async fn status(server: &Server) -> Value {
    for _ in 0..600 {
        let status = server.get("/v1/status").await.json();
        if status["charges_epoch"] == status["epoch"] && status["epoch"] == status["accrued_epoch"] {
            return status;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the sums of charges do not follow");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_says_what_arrived_why_it_was_refused_and_what_is_earned() {
    let place = tempfile::tempdir().unwrap();
    let server = Server::start(place.path()).await;
    let tokens = |id: &str, tokens: Value| event(id, "llm.completion", json!({ "tokens": tokens }));
    let mut stranger = call(9);
    stranger["subject"] = "<b>\"nobody\"</b>".into();
    server.count(vec![call(1), call(2), call(2), tokens("t 1", json!(1_500)), tokens("t 1", json!(2))]).await;
    server.count(vec![tokens("t 2", json!("many")), stranger]).await;
    let status = status(&server).await;
    let counts = &status["counts"];
    let expected = json!({
        "received": 7, "rated": 3, "unrated": 1, "duplicate": 1, "conflict": 1, "rejected": 1, "voided": 0,
    });
    assert_eq!(*counts, expected);
    let mut refused: Vec<_> = status["refused"].as_array().unwrap().iter().collect();
    refused.sort_by_key(|refused| refused["reason"].to_string());
    let reasons: Vec<_> = refused.iter().map(|refused| (&refused["reason"], &refused["count"])).collect();
    let one = json!(1);
    let names = [json!("conflict"), json!("non_numeric_quantity"), json!("unknown_account")];
    assert_eq!(reasons, names.iter().map(|name| (name, &one)).collect::<Vec<_>>());
    // Charges are those that the account is told, the largest first: 12 and 0.007.
    let mut charges = server.get("/v1/accounts/acct-1/charges").await.json()["charges"].take();
    charges.as_array_mut().unwrap().sort_by_key(|charge| charge["meter_id"] == "calls");
    for charge in charges.as_array_mut().unwrap() {
        charge["account_id"] = "acct-1".into();
    }
    assert_eq!(status["charges"], charges);
    let amounts: Vec<_> = charges.as_array().unwrap().iter().map(|charge| &charge["amount"]).collect();
    assert_eq!(amounts, ["12", "0.007"]);
    let meters: Vec<_> = status["meters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|meter| (&meter["meter_id"], &meter["quantity"]))
        .collect();
    assert_eq!(meters, [(&json!("calls"), &json!("2")), (&json!("tokens"), &json!("1500"))]);
    assert_eq!(status["meters"][1]["amounts"], json!([{ "amount": "12", "currency": "USD" }]));
    // The last events and epochs come first, and all epochs together are what was counted.
    assert_eq!(status["events"][0]["subject"], "<b>\"nobody\"</b>");
    assert_eq!(status["epochs"][0]["epoch"], status["epoch"]);
    let epochs = status["epochs"].as_array().unwrap();
    let received: i64 = epochs.iter().map(|epoch| epoch["counts"]["received"].as_i64().unwrap()).sum();
    assert_eq!(received, 7);
    assert!(status["disk_free_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{status}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f77_the_page_comes_with_its_data_as_text() {
    let place = tempfile::tempdir().unwrap();
    let server = Server::start(place.path()).await;
    let mut hostile = call(1);
    hostile["subject"] = "<script>alert(1)</script>".into();
    hostile["source"] = "'\"><img src=x onerror=alert(1)>".into();
    server.count(vec![hostile]).await;
    let page = server.get("/").await.text;
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
    assert!(page.contains("&#39;&quot;&gt;&lt;img src=x onerror=alert(1)&gt;"), "{page}");
    assert_eq!(page.matches("<script").count(), 1, "{page}");
    assert!(!page.contains("<img src=x"), "{page}");
    server.stop().await;
}
