//! The catalog of a service: checked, taken into force while events arrive, and found again by the next start.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::command_line::{good, place};
use crate::http_client::{Answer, Served};
use crate::support::{Workplace, event};

const JSON: &str = "Content-Type: application/json\r\n";

/// The catalog of the place, and a contract for another account.
fn with_contract(place: &Workplace, account: &str) -> String {
    let catalog = std::fs::read_to_string(place.path("catalog/catalog.yaml")).unwrap();
    let contract = "\n---\nkind: contract\nid: contract-NEW\nversion: 1\naccounts: [NEW]\nlegal_entity: seller\ncurrency: USD\n\
                    billing_anchor: \"2026-01-01\"\nlines: [{ id: line-NEW, price_book: book }]\n";
    catalog + &contract.replace("NEW", account)
}

fn put(served: &Served, files: &Value) -> Answer {
    let body = json!({ "files": files }).to_string();
    served.request("PUT", "/v1/catalog", JSON, body.as_bytes()).unwrap()
}

fn post(served: &Served, events: &[String]) -> Value {
    let body = format!("[{}]", events.join(","));
    let answer = served.request("POST", "/v1/events", JSON, body.as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.json());
    answer.json()
}

fn of_account(id: &str, account: &str) -> String {
    event(id, "tokens", account, "2026-10-01T00:00:00Z", r#"{"tokens":5}"#)
}

#[test]
fn rate_2_an_uploaded_catalog_is_in_force_recorded_and_found_by_the_next_start() {
    let place = place();
    place.write("catalog/README", "not a file of the catalog");
    let served = Served::start(&place, &[]);
    let first = served.get("/v1/catalog").json()["hash"].as_str().unwrap().to_owned();
    assert_eq!(
        post(&served, &[good("one"), of_account("two", "b")])["remarks"][0]["reason"],
        "unknown_account"
    );

    // What would come of it is told, and nothing changes.
    let files = json!({ "catalog.yaml": with_contract(&place, "b") });
    let body = json!({ "files": files }).to_string();
    let checked = served.request("POST", "/v1/catalog/check", JSON, body.as_bytes()).unwrap().json();
    assert_eq!(
        (&checked["accounts"]["added"], &checked["conflict"]),
        (&json!(["b"]), &Value::Null),
        "{checked}"
    );
    assert_eq!(served.get("/v1/catalog").json()["hash"], first.as_str());

    let applied = put(&served, &files);
    let applied = (applied.status, applied.json());
    assert_eq!(applied.0, 200, "{}", applied.1);
    assert_eq!((&applied.1["is_in_force"], &applied.1["hash"]), (&json!(true), &checked["hash"]));
    let epoch = applied.1["epoch"].as_u64().unwrap();
    assert_eq!(post(&served, &[of_account("three", "b")])["remarks"], json!([]));
    // The same again changes nothing.
    assert_eq!(put(&served, &files).json()["epoch"], Value::Null);
    // What had no price gets one.
    let replayed = served.request("POST", "/v1/quarantine/replay", JSON, b"{}").unwrap().json();
    assert_eq!(replayed["rated"], 1, "{replayed}");
    let history = served.get("/v1/catalog/history").json();
    let hashes: Vec<&str> =
        history["catalogs"].as_array().unwrap().iter().map(|entry| entry["hash"].as_str().unwrap()).collect();
    assert_eq!(hashes, [checked["hash"].as_str().unwrap(), &first]);
    assert_eq!(history["catalogs"][0]["first_epoch"], epoch);
    let archive = served.get(&format!("/v1/catalog/{first}"));
    assert!(archive.headers.contains("application/x-tar"), "{}", archive.headers);
    served.kill();

    let served = Served::start(&place, &[]);
    assert_eq!(served.get("/v1/catalog").json()["hash"], checked["hash"]);
    assert_eq!(
        post(&served, &[of_account("three", "b"), of_account("four", "b")])["verdicts"],
        json!(["duplicate", "accepted"])
    );
    // The first one again, as it was kept: its account is gone, and with it a contract that has usage.
    let headers = "Content-Type: application/x-tar\r\n";
    let refused = served.request("PUT", "/v1/catalog", headers, &archive.body).unwrap();
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (409, &json!("catalog_conflict")),
        "{}",
        refused.json()
    );
    assert_eq!(served.end(), 0);
    assert!(place.path("catalog/README").exists());
    assert_eq!(
        place.query("SELECT cause, count(*) FROM epochs WHERE cause = 'catalog' GROUP BY 1"),
        [["catalog", "1"]]
    );
    assert_eq!(
        place.query("SELECT account_id, sum(quantity) FROM rated_usage GROUP BY 1 ORDER BY 1"),
        [["a", "5"], ["b", "15"]]
    );
    assert_eq!(place.call(&["doctor", "data"]).code, 0);
}

#[test]
fn a_catalog_that_cannot_be_is_refused_with_what_where_and_how() {
    let place = place();
    let served = Served::start(&place, &[]);
    let before = served.get("/v1/catalog").json();
    let broken = with_contract(&place, "b").replace("price_book: book }]\n", "price_book: none }]\n");
    let refused = put(&served, &json!({ "sub/catalog.yaml": broken }));
    let problem = refused.json();
    assert_eq!((refused.status, &problem["code"]), (422, &json!("invalid_catalog")), "{problem}");
    let mistake = &problem["problems"][0];
    assert_eq!(mistake["file"], "sub/catalog.yaml");
    assert!(
        mistake["line"].as_u64().unwrap() > 10 && mistake["message"].as_str().unwrap().contains("none"),
        "{mistake}"
    );
    for (name, status) in [("../catalog.yaml", 400), ("/etc/catalog.yaml", 400), ("README.md", 400)] {
        assert_eq!(put(&served, &json!({ name: with_contract(&place, "b") })).status, status, "{name}");
    }
    for (kind, body, status) in [
        ("application/x-tar", &b"no archive"[..], 400),
        ("application/json", b"{\"files\": 1}", 400),
        ("text/plain", b"x", 415),
    ] {
        let headers = format!("Content-Type: {kind}\r\n");
        assert_eq!(served.request("PUT", "/v1/catalog", &headers, body).unwrap().status, status, "{kind}");
    }
    // A price of usage that is rated.
    post(&served, &[good("one")]);
    let dearer = std::fs::read_to_string(place.path("catalog/catalog.yaml")).unwrap();
    let dearer = dearer.replace("'0.01'", "'0.02'");
    let refused = put(&served, &json!({ "catalog.yaml": dearer }));
    assert_eq!((refused.status, &refused.json()["code"]), (409, &json!("catalog_conflict")));
    place.write("catalog/catalog.yaml", &dearer);
    assert_eq!(served.request("POST", "/v1/catalog/reload", "", b"").unwrap().status, 409);
    assert_eq!(served.get("/v1/catalog").json(), before);
    assert_eq!(post(&served, &[good("two")])["verdicts"], json!(["accepted"]));
    assert_eq!(served.get("/v1/catalog/0").status, 404);
    assert_eq!(served.end(), 0);
}

/// Does the next start read what is in force?
fn is_settled(served: &Served, place: &Workplace) -> bool {
    let text = std::fs::read_to_string(place.path("catalog/catalog.yaml")).unwrap();
    let body = json!({ "files": { "catalog.yaml": text } }).to_string();
    let checked = served.request("POST", "/v1/catalog/check", JSON, body.as_bytes()).unwrap();
    checked.json()["hash"] == served.get("/v1/catalog").json()["hash"]
}

#[test]
fn what_is_in_force_is_what_the_next_start_reads_also_where_clients_go_away() {
    let place = place();
    let served = Served::start(&place, &[]);
    post(&served, &[good("one")]);
    let first = served.get("/v1/catalog").json()["hash"].clone();
    let mut hashes = vec![first];
    let texts: Vec<String> = (0..24).map(|number| with_contract(&place, &format!("new-{number}"))).collect();
    for (number, text) in texts.into_iter().enumerate() {
        let body = json!({ "files": { "catalog.yaml": text } }).to_string();
        let head =
            format!("PUT /v1/catalog HTTP/1.1\r\nHost: x\r\n{JSON}Content-Length: {}\r\n\r\n", body.len());
        let mut gone = served.connect().unwrap();
        gone.write_all(&[head.as_bytes(), body.as_bytes()].concat()).unwrap();
        thread::sleep(Duration::from_micros(500) * u32::try_from(number).unwrap());
        drop(gone);
        let until = Instant::now() + Duration::from_secs(30);
        while !is_settled(&served, &place) {
            assert!(Instant::now() < until, "other files than those in force, after {number} ms / 2");
            thread::sleep(Duration::from_millis(5));
        }
        hashes.push(served.get("/v1/catalog").json()["hash"].clone());
    }
    hashes.dedup();
    assert!(hashes.len() > 5, "hardly anything was taken: {hashes:?}");
    served.kill();
    let served = Served::start(&place, &[]);
    assert_eq!(Some(&served.get("/v1/catalog").json()["hash"]), hashes.last());
}

#[test]
fn ack_1_dedup_1_events_are_counted_once_while_catalogs_change() {
    let place = place();
    let served = Served::start(&place, &[]);
    let is_over = AtomicBool::new(false);
    let acknowledged = Mutex::new(BTreeSet::new());
    thread::scope(|scope| {
        for client in 0..4 {
            let (served, is_over, acknowledged) = (&served, &is_over, &acknowledged);
            scope.spawn(move || {
                for request in 0.. {
                    let ids: Vec<String> =
                        (0..20).map(|event| format!("{client}-{request}-{event}")).collect();
                    let events: Vec<String> = ids.iter().map(|id| good(id)).collect();
                    let receipt = post(served, &events);
                    assert_eq!((&receipt["accepted"], &receipt["remarks"]), (&json!(20), &json!([])));
                    acknowledged.lock().unwrap().extend(ids);
                    if is_over.load(Ordering::SeqCst) {
                        return;
                    }
                }
            });
        }
        let texts: Vec<String> =
            (0..8).map(|number| with_contract(&place, &format!("new-{number}"))).collect();
        for text in texts {
            let applied = put(&served, &json!({ "catalog.yaml": text }));
            assert_eq!(applied.status, 200, "{}", applied.json());
        }
        is_over.store(true, Ordering::SeqCst);
    });
    served.kill();
    let acknowledged = acknowledged.into_inner().unwrap();
    assert_eq!(place.query("SELECT count(*) FROM epochs WHERE cause = 'catalog'"), [["8"]]);
    let rows = place.query("SELECT event_id, count(*) FROM rated_usage GROUP BY 1");
    assert!(rows.iter().all(|row| row[1] == "1"));
    let counted: BTreeSet<String> = rows.into_iter().map(|mut row| row.swap_remove(0)).collect();
    assert_eq!(counted, acknowledged);
    assert_eq!(place.call(&["doctor", "data"]).code, 0);
}

#[test]
fn meters_that_clients_make_are_a_file_of_the_catalog() {
    let place = place();
    let served = Served::start(&place, &[]);
    let request = |method: &str, path: &str, body: &Value| {
        let answer = served.request(method, path, JSON, body.to_string().as_bytes()).unwrap();
        (answer.status, serde_json::from_slice::<Value>(&answer.body).unwrap_or_default())
    };
    let draft = json!({ "slug": "images", "aggregation": "SUM", "eventType": "image", "valueProperty": "$.count",
                        "groupBy": { "model": "$.model" } });
    let (status, made) = request("POST", "/api/v1/meters", &draft);
    assert_eq!(
        (status, &made["slug"], &made["aggregation"]),
        (201, &json!("images"), &json!("SUM")),
        "{made}"
    );
    assert_eq!(request("POST", "/api/v1/meters", &draft).0, 409);
    let average =
        json!({ "slug": "mean", "aggregation": "AVG", "eventType": "image", "valueProperty": "$.count" });
    assert_eq!(request("POST", "/api/v1/meters", &average).0, 400);
    let image = event("image", "image", "a", "2026-10-01T00:00:00Z", r#"{"count":"2.5","model":"m"}"#);
    assert_eq!(post(&served, &[image])["verdicts"], json!(["accepted"]));
    let query = "/api/v1/meters/images/query?from=2026-10-01T00:00:00Z&to=2026-10-02T00:00:00Z&groupBy=model";
    assert_eq!(served.get(query).json()["data"][0]["value"].to_string(), "2.5");
    // A meter of another file is for those who keep that file.
    assert_eq!(request("DELETE", "/api/v1/meters/tokens", &json!({})).0, 409);
    let (status, changed) = request(
        "PUT",
        "/api/v1/meters/images",
        &json!({ "slug": "images", "aggregation": "SUM",
        "eventType": "image", "valueProperty": "$.count", "groupBy": { "model": "$.model" }, "description": "Images" }),
    );
    assert_eq!((status, &changed["description"]), (200, &json!("Images")), "{changed}");
    served.kill();
    let served = Served::start(&place, &[]);
    assert_eq!(served.get("/api/v1/meters/images").json()["description"], "Images");
    assert_eq!(served.request("DELETE", "/api/v1/meters/images", "", b"").unwrap().status, 204);
    assert_eq!(served.get("/api/v1/meters/images").status, 404);
    assert!(!place.path("catalog/openmeter-meters.ndjson").exists());
    assert_eq!(served.end(), 0);
}
