//! What an account owes so far.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Server, call, event};

fn tokens(id: usize, count: usize) -> Value {
    event(&format!("tokens {id}"), "llm.completion", json!({ "tokens": count }))
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_3_charges_tell_usage_amount_tier_and_the_next_unit_before_and_after_a_restart() {
    let place = tempfile::tempdir().unwrap();
    let mut server = Server::start(place.path()).await;
    let empty = server.get("/v1/accounts/acct-1/charges").await.json();
    assert_eq!(empty["charges"], json!([]));
    server.count(vec![call(1), call(2), tokens(1, 1_000)]).await;
    let next = |charges: &Value| {
        let of = |meter: &str| {
            let all = charges["charges"].as_array().unwrap();
            all.iter().find(|charge| charge["meter_id"] == meter).unwrap().clone()
        };
        (of("calls"), of("tokens"))
    };
    let (calls, full) = next(&server.get("/v1/accounts/acct-1/charges").await.json());
    assert_eq!((&calls["quantity"], &calls["amount"]), (&"2".into(), &"0.007".into()), "{calls}");
    assert_eq!((&calls["tier"], &calls["next_unit_amount"]), (&Value::Null, &"0.0035".into()));
    assert_eq!((&full["tier"]["number"], &full["next_unit_amount"]), (&1.into(), &"0.004".into()), "{full}");
    server.count(vec![tokens(2, 500)]).await;
    for restart in [false, true] {
        if restart {
            server.stop().await;
            server = Server::start(place.path()).await;
        }
        let (_, tokens) = next(&server.get("/v1/accounts/acct-1/charges").await.json());
        assert_eq!((&tokens["quantity"], &tokens["amount"]), (&"1500".into(), &"12".into()), "{tokens}");
        let tier = json!({
            "number": 2, "above": "1000", "up_to": null, "quantity": "500", "unit_price": "0.004",
        });
        assert_eq!(tokens["tier"], tier);
        assert_eq!((&tokens["price_model"], &tokens["events"]), (&"graduated".into(), &2.into()));
        assert_eq!(tokens["billing_period_start"], "2026-10-01");
        assert_eq!(tokens["billing_period_end"], "2026-11-01");
    }
    assert_eq!(server.get("/v1/accounts/acct-2/charges").await.status, 404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn charges_are_told_soon_while_events_are_counted() {
    let place = tempfile::tempdir().unwrap();
    let server = Server::start(place.path()).await;
    let mut times = Vec::new();
    let ingest = async {
        for round in 0..30 {
            server.count((round * 1_000..(round + 1) * 1_000).map(call).collect()).await;
        }
    };
    let ask = async {
        for _ in 0..200 {
            let begun = Instant::now();
            assert_eq!(server.get("/v1/accounts/acct-1/charges").await.status, 200);
            times.push(begun.elapsed());
        }
    };
    tokio::join!(ingest, ask);
    times.sort();
    println!("charges: median {:?}, p99 {:?}", times[times.len() / 2], times[times.len() * 99 / 100]);
    assert!(times[times.len() / 2] < Duration::from_secs(2));
    server.stop().await;
}
