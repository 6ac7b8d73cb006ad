//! The service: an answer says what became of each event, after the commit, and a retry changes nothing.

use std::io::{Read, Write};

use serde_json::{Value, json};

use crate::command_line::{good, place};
use crate::http_client::{Served, parse, wait_until};
use crate::support::{Workplace, event};

const BATCH: &str = "application/cloudevents-batch+json";

fn list(events: &[String]) -> String {
    format!("[{}]", events.join(","))
}

/// One event that counts, one that contradicts it, one that is none, one without a price.
fn mixed() -> String {
    let other = good("one").replace('5', "6");
    let nameless = r#"{"specversion":"1.0","source":"s"}"#.to_owned();
    let unknown = event("free", "tokens", "nobody", "2026-10-01T00:00:00Z", r#"{"tokens":1}"#);
    list(&[good("one"), good("one"), other, nameless, unknown])
}

fn counts(place: &Workplace) -> Value {
    let rows = place.query(
        "SELECT sum(received), sum(rated), sum(duplicate), sum(conflict), sum(rejected), sum(unrated) FROM epochs",
    );
    json!(rows[0])
}

#[test]
fn ack_1_every_event_has_its_verdict_and_a_retry_after_a_kill_is_a_duplicate() {
    let place = place();
    let served = Served::start(&place, &[]);
    let answer = served.post("/v1/events", BATCH, mixed());
    let receipt = answer.json();
    assert_eq!(answer.status, 200, "{receipt}");
    assert_eq!(receipt["verdicts"], json!(["accepted", "duplicate", "conflict", "rejected", "accepted"]));
    let counts_of = |receipt: &Value| {
        ["received", "accepted", "duplicate", "conflict", "rejected"]
            .map(|name| receipt[name].as_u64().unwrap())
    };
    assert_eq!((counts_of(&receipt), &receipt["epoch"]), ([5, 2, 1, 1, 1], &json!(1)));
    let reasons: Vec<_> = receipt["remarks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|remark| (remark["index"].as_u64().unwrap(), remark["reason"].as_str().unwrap()))
        .collect();
    assert_eq!(reasons, [(2, "conflict"), (3, "missing_id"), (4, "unknown_account")]);
    assert!(receipt["remarks"][1]["message"].as_str().unwrap().contains("the event has no id"));
    served.kill();

    let served = Served::start(&place, &[]);
    let again = served.post("/v1/events", BATCH, mixed()).json();
    assert_eq!(again["verdicts"], json!(["duplicate", "duplicate", "conflict", "rejected", "duplicate"]));
    assert_eq!(served.end(), 0);
    assert_eq!(counts(&place), json!(["10", "1", "4", "2", "2", "1"]));
    assert_eq!(place.query("SELECT count(*), sum(quantity) FROM rated_usage"), [["1", "5"]]);
    // It ended in order: everything has accruals.
    assert_eq!(place.query("SELECT sum(delta_event_count) FROM accruals"), [["1"]]);
    assert_eq!(place.call(&["doctor", "data"]).code, 0);
}

#[test]
fn events_come_alone_in_lists_as_lines_and_as_headers_and_compressed() {
    let place = place();
    let served = Served::start(&place, &[]);
    for kind in ["application/cloudevents+json", "application/json; charset=utf-8"] {
        let answer = served.post("/v1/events", kind, good(kind));
        assert_eq!((answer.status, &answer.json()["verdicts"]), (200, &json!(["accepted"])), "{kind}");
    }
    let headers = "Content-Type: application/json\r\nce-specversion: 1.0\r\nce-id: a%20b\r\nce-source: s\r\n\
                   ce-type: tokens\r\nce-subject: a\r\nce-time: 2026-10-01T00:00:00Z\r\n";
    let answer = served.request("POST", "/v1/events", headers, br#"{"tokens": 5.0}"#).unwrap();
    assert_eq!(answer.json()["verdicts"], json!(["accepted"]), "{:?}", answer.json());
    // The same in one piece is the same event.
    let whole = event("a b", "tokens", "a", "2026-10-01T00:00:00Z", r#"{"tokens":5}"#);
    let answer = served.post(
        "/v1/events",
        "application/cloudevents+json",
        whole.replace("\"source\":\"source\"", "\"source\":\"s\""),
    );
    assert_eq!(answer.json()["verdicts"].as_array().unwrap().len(), 1);
    let body = list(&[good("zipped")]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(body.as_bytes()).unwrap();
    let zstd = zstd::encode_all(body.replace("zipped", "zstd").as_bytes(), 1).unwrap();
    for (encoding, bytes) in [("gzip", gzip.finish().unwrap()), ("zstd", zstd)] {
        let headers = format!("Content-Type: {BATCH}\r\nContent-Encoding: {encoding}\r\n");
        let answer = served.request("POST", "/v1/events", &headers, &bytes).unwrap();
        assert_eq!(answer.json()["verdicts"], json!(["accepted"]), "{encoding}");
    }
    // Without a time it is that of its arrival, and sent again the same event.
    let timeless =
        r#"{"specversion":"1.0","id":"now","source":"s","type":"tokens","subject":"a","data":{"tokens":1}}"#;
    for verdict in ["accepted", "duplicate"] {
        let answer = served.post("/v1/events", "application/cloudevents+json", timeless);
        assert_eq!(answer.json()["verdicts"], json!([verdict]));
    }
    assert_eq!(served.end(), 0);
}

#[test]
fn lines_are_answered_while_they_are_sent() {
    let place = place();
    let served = Served::start(&place, &[]);
    let mut stream = served.connect().unwrap();
    let head = "POST /v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\
                Content-Type: application/x-ndjson\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut chunk = |lines: &str| write!(stream, "{:x}\r\n{lines}\r\n", lines.len()).unwrap();
    let many: String = (0..3_000).map(|number| good(&format!("event-{number}")) + "\n").collect();
    chunk(&many);
    // What was sent is counted before the request has ended.
    wait_until("an epoch", || served.get("/readyz").json()["counts"]["rated"].as_u64().unwrap() > 1_000);
    chunk("no event\n\n");
    chunk(&good("last"));
    stream.write_all(b"0\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let answer = parse(&bytes).unwrap();
    let lines: Vec<Value> =
        serde_json::Deserializer::from_slice(&answer.body).into_iter().map(Result::unwrap).collect();
    assert_eq!(lines.len(), 3_003);
    let indexes: Vec<u64> = lines[..3_002].iter().map(|line| line["index"].as_u64().unwrap()).collect();
    assert_eq!(indexes, (0..3_002).collect::<Vec<_>>());
    assert_eq!(lines[3_000]["reason"], "malformed_json");
    assert_eq!(lines[3_001]["verdict"], "accepted");
    assert_eq!((&lines[3_002]["is_complete"], &lines[3_002]["received"]), (&json!(true), &json!(3_002)));
    assert_eq!(served.end(), 0);
}

#[test]
fn f40_all_or_nothing_where_it_is_asked_for() {
    let place = place();
    let served = Served::start(&place, &[]);
    let body = list(&[good("one"), r#"{"specversion":"1.0"}"#.to_owned(), good("two")]);
    let answer = served.post("/v1/events?atomic=true", BATCH, &body);
    let problem = answer.json();
    assert_eq!((answer.status, &problem["code"]), (422, &json!("refused")), "{problem}");
    assert_eq!(problem["remarks"][0]["index"], 1);
    assert_eq!(served.get("/readyz").json()["epoch"], 0);
    let answer = served.post("/v1/events", BATCH, &body);
    assert_eq!(answer.json()["verdicts"], json!(["accepted", "rejected", "accepted"]));
    assert_eq!(served.end(), 0);
}

#[test]
fn f12_a_second_service_is_refused_and_so_is_a_run() {
    let place = place();
    let served = Served::start(&place, &[]);
    let second = place.call(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.code, 5, "{}", second.stderr);
    assert_eq!(place.call(&["run", "-q", "-c", "catalog", "good.ndjson"]).code, 5);
    // Others may read.
    served.post("/v1/events", BATCH, list(&[good("one")]));
    assert_eq!(place.query("SELECT count(*) FROM rated_usage"), [["1"]]);
    assert_eq!(served.end(), 0);
}

#[test]
fn tokens_and_scopes_say_who_may_do_what() {
    let place = place();
    place.write("secret", "0123456789abcdef-gateway\n");
    let config = "listen = \"127.0.0.1:0\"\n[[tokens]]\nname = \"gateway\"\ntoken_file = \"secret\"\nscopes = [\"ingest\"]\n\
                  [[tokens]]\nname = \"billing\"\ntoken = \"0123456789abcdef-billing\"\nscopes = [\"read\"]\n";
    place.write("tallybook.toml", config);
    let checked = place.call(&["config", "check", "tallybook.toml"]);
    assert_eq!(checked.code, 0, "{}", checked.stderr);
    std::fs::write(place.path("open.toml"), config.replace("127.0.0.1:0", "0.0.0.0:0")).unwrap();
    let refused = place.call(&["config", "check", "open.toml"]);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("can be reached from other machines"), "{}", refused.stderr);
    let served = Served::start_with(&place, &["--config", "tallybook.toml"]);
    let post = |authorization: &str, path: &str| {
        let headers = format!("Content-Type: {BATCH}\r\n{authorization}");
        served.request("POST", path, &headers, list(&[good("one")]).as_bytes()).unwrap().status
    };
    assert_eq!(post("Authorization: Bearer 0123456789abcdef-gateway\r\n", "/v1/events"), 200);
    assert_eq!(post("Authorization: bearer 0123456789abcdef-gateway\r\n", "/v1/events"), 200);
    for wrong in [
        "",
        "Authorization: Bearer nobody\r\n",
        "Authorization: Basic MDEyMw==\r\n",
        "Authorization: Bearer\r\n",
    ] {
        assert_eq!(post(wrong, "/v1/events"), 401, "{wrong:?}");
        assert_eq!(post(wrong, "/v1/events?token=0123456789abcdef-gateway"), 401, "{wrong:?}");
    }
    assert_eq!(post("Authorization: Bearer 0123456789abcdef-billing\r\n", "/v1/events"), 403);
    assert_eq!(served.get("/metrics").status, 401);
    assert_eq!(served.get("/healthz").status, 200);
    assert_eq!(served.end(), 0);
}
