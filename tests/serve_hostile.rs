//! The service under clients that are careless, slow or hostile: a clear answer, never a 5xx, never a stop (F30-F40,
//! F70-F73).

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::command_line::{good, place};
use crate::http_client::{Served, parse};
use crate::support::event;

const BATCH: &str = "application/cloudevents-batch+json";

/// It still counts.
fn check_alive(served: &Served, id: &str) {
    let answer = served.post("/v1/events", BATCH, format!("[{}]", good(id)));
    assert_eq!((answer.status, &answer.json()["verdicts"]), (200, &json!(["accepted"])), "{id}");
}

#[test]
fn f30_f31_f32_f35_events_that_are_none_are_refused_one_by_one() {
    let place = place();
    let served = Served::start(&place, &[]);
    let used =
        |tokens: &str| event("x", "tokens", "a", "2026-10-01T00:00:00Z", &format!("{{\"tokens\":{tokens}}}"));
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let keys: String = (0..5_000).fold(String::new(), |mut keys, number| {
        let _ = write!(keys, "\"k{number}\":1,");
        keys
    });
    let cases: Vec<Vec<u8>> = vec![
        b"{".to_vec(),
        b"nonsense".to_vec(),
        b"{}".to_vec(),
        used("NaN").into(),
        used("1e400").into(),
        used("1e-30").into(),
        used(&"9".repeat(40)).into(),
        used(&"9".repeat(1_000_000)).into(),
        used("\"many\"").into(),
        used(&deep).into(),
        used(&format!("1,{keys}\"z\":1")).into(),
        used("1,\"tokens\":2").into(),
        used("1").replace("\"id\":\"x\"", "\"id\":\"\\ud800\"").into(),
        used("1").replace("\"id\":\"x\"", "\"id\":\"\\u0000\"").into(),
        used("1").replace("\"id\":\"x\"", "\"id\":\"a\u{202e}b\"").into(),
        used("1").replace("\"id\":\"x\"", "\"id\":\"ctrl\\r\\n\"").into(),
        [&b"{\"specversion\":\"1.0\",\"id\":\"\xff\xfe\","[..], b"\"source\":\"s\"}"].concat(),
    ];
    for (number, case) in cases.iter().enumerate() {
        let answer = served.post("/v1/events", "application/json", case);
        let shown = String::from_utf8_lossy(&case[..case.len().min(80)]).into_owned();
        assert!((400..500).contains(&answer.status), "{shown}: {}", answer.status);
        let problem = answer.json();
        assert!(answer.headers.contains("application/problem+json"), "{}", answer.headers);
        let has_reason = problem["remarks"][0]["reason"].is_string() || problem["code"] == "malformed_body";
        assert!(has_reason, "{shown}: {problem}");
        check_alive(&served, &format!("alive-{number}"));
    }
    // In a list the others count, and keep their places.
    let list = format!("[{},{},{}]", good("first"), used("NaN"), good("third"));
    let answer = served.post("/v1/events", BATCH, list);
    assert_eq!(answer.json()["verdicts"], json!(["accepted", "rejected", "accepted"]));
    assert_eq!(served.end(), 0);
    let kept: usize = place.query("SELECT count(*) FROM quarantine")[0][0].parse().unwrap();
    assert!(kept >= cases.len() - 1, "{kept} are in quarantine");
}

#[test]
fn f37_f39_conflicts_and_strange_times_have_their_verdict() {
    let place = place();
    let served = Served::start(&place, &[]);
    check_alive(&served, "one");
    let answer = served.post("/v1/events", "application/cloudevents+json", good("one").replace('5', "7"));
    assert_eq!((answer.status, &answer.json()["code"]), (409, &json!("conflict")));
    for (time, is_fine) in [
        ("2016-12-31T23:59:60Z", true),
        ("2026-10-01T00:00:00", false),
        ("0001-01-01T00:00:00Z", false),
        ("9999-12-31T23:59:59Z", false),
        ("2026-10-25T02:30:00+02:00", true),
        ("2026-10-01t00:00:00.123456z", true),
    ] {
        let sent = event(time, "tokens", "a", time, r#"{"tokens":5}"#);
        let answer = served.post("/v1/events", "application/cloudevents+json", sent);
        assert_eq!(answer.status == 200, is_fine, "{time}: {}", answer.json());
    }
    assert_eq!(served.end(), 0);
}

#[test]
fn f33_f34_bodies_that_are_too_large_are_refused_while_they_are_read() {
    let place = place();
    let settings =
        [("TALLYBOOK_LIMITS__BODY_BYTES_MAX", "4000000"), ("TALLYBOOK_LIMITS__REQUEST_EVENTS_MAX", "100")];
    let served = Served::start(&place, &settings);
    let zeros = vec![b' '; 100 << 20];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&zeros).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(&zeros[..], 3).unwrap();
    for (encoding, bomb) in [("gzip", gzip), ("zstd", zstd)] {
        let headers = format!("Content-Type: application/json\r\nContent-Encoding: {encoding}\r\n");
        let answer = served.request("POST", "/v1/events", &headers, &bomb).unwrap();
        assert_eq!(answer.status, 413, "{encoding}");
    }
    let answer = served.post("/v1/events", BATCH, &zeros[..5_000_000]);
    assert_eq!((answer.status, &answer.json()["code"]), (413, &json!("body_too_large")));
    let many: Vec<String> = (0..101).map(|number| good(&format!("event-{number}"))).collect();
    let answer = served.post("/v1/events", BATCH, format!("[{}]", many.join(",")));
    assert_eq!((answer.status, &answer.json()["code"]), (400, &json!("malformed_body")));
    assert!(memory_kib(served.id()) < 500_000, "{} KiB", memory_kib(served.id()));
    check_alive(&served, "after");
    assert_eq!(served.end(), 0);
}

/// The most memory that a process had.
fn memory_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn requests_that_make_no_sense_are_4xx_with_a_reason() {
    let place = place();
    let served = Served::start(&place, &[]);
    let body = format!("[{}]", good("one"));
    let cases: [(&str, &str, &str, &[u8], u16); 11] = [
        ("GET", "/v1/events", "", b"", 405),
        ("DELETE", "/v1/events", "", b"", 405),
        ("POST", "/v2/events", "", b"", 404),
        ("POST", "/v1/events", "", body.as_bytes(), 415),
        ("POST", "/v1/events", "Content-Type: text/plain\r\n", body.as_bytes(), 415),
        ("POST", "/v1/events", "Content-Type: application/cloudevents+json\r\n", body.as_bytes(), 400),
        ("POST", "/v1/events", "Content-Type: application/json\r\n", b"", 400),
        ("POST", "/v1/events", "Content-Type: application/json\r\n", b"[]", 400),
        ("POST", "/v1/events", "Content-Type: application/json\r\n", b"[{", 400),
        ("POST", "/v1/events?atomic=maybe", "Content-Type: application/json\r\n", body.as_bytes(), 400),
        (
            "POST",
            "/v1/events",
            "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
            b"no gzip",
            400,
        ),
    ];
    for (method, path, headers, body, status) in cases {
        let answer = served.request(method, path, headers, body).unwrap();
        let shown = format!("{method} {path} {headers:?} {}", String::from_utf8_lossy(body));
        assert_eq!(answer.status, status, "{shown}");
        assert!(answer.headers.contains("application/problem+json"), "{shown}: {}", answer.headers);
        assert!(!answer.json()["detail"].as_str().unwrap().is_empty(), "{shown}");
    }
    // Shapes that smuggle a request past a proxy, and no HTTP at all.
    let json = "Host: x\r\nContent-Type: application/json\r\n";
    for raw in [
        format!("POST /v1/events HTTP/1.1\r\n{json}Content-Length: 2\r\nContent-Length: 4\r\n\r\n[]  "),
        format!("POST /v1/events HTTP/1.1\r\n{json}Content-Length: nine\r\n\r\n[]"),
        format!(
            "POST /v1/events HTTP/1.1\r\n{json}Transfer-Encoding: chunked, identity\r\n\r\n2\r\n[]\r\n0\r\n\r\n"
        ),
        format!(
            "POST /v1/events HTTP/1.1\r\n{json}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n[]\r\n"
        ),
        "\x16\x03\x01\x02\x00\x01\x00\x01\x7c".to_owned(),
        "nonsense\r\n\r\n".to_owned(),
        format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(200_000)),
        format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{}\r\n", "a: b\r\n".repeat(5_000)),
    ] {
        let shown = raw.get(..80).unwrap_or(&raw).to_owned();
        // It may be closed without an answer.
        if let Ok(answer) = served.send(raw.as_bytes()) {
            assert!((400..500).contains(&answer.status), "{shown}: {}", answer.status);
        }
    }
    check_alive(&served, "after");
    assert_eq!(served.end(), 0);
}

#[test]
fn f72_slow_clients_are_cut_off_and_others_are_served() {
    let place = place();
    let settings =
        [("TALLYBOOK_LIMITS__HEADER_TIMEOUT_MS", "500"), ("TALLYBOOK_LIMITS__BODY_TIMEOUT_MS", "500")];
    let served = Served::start(&place, &settings);
    let mut idle: Vec<_> = (0..200).map(|_| served.connect().unwrap()).collect();
    let mut slow_head = served.connect().unwrap();
    slow_head.write_all(b"POST /v1/events HTTP/1.1\r\nHost: x\r\n").unwrap();
    let mut slow_body = served.connect().unwrap();
    let head = "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n[";
    slow_body.write_all(head.as_bytes()).unwrap();
    check_alive(&served, "meanwhile");
    let began = Instant::now();
    let mut bytes = Vec::new();
    slow_body.read_to_end(&mut bytes).unwrap();
    let answer = parse(&bytes).unwrap();
    assert_eq!((answer.status, &answer.json()["code"]), (408, &json!("too_slow")));
    for stream in idle.iter_mut().chain([&mut slow_head]) {
        let mut bytes = Vec::new();
        // Closed, with an answer or without.
        let _ = stream.read_to_end(&mut bytes);
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    check_alive(&served, "after");
    assert_eq!(served.end(), 0);
}

#[test]
fn f08_f70_where_there_is_no_room_clients_are_told_at_once_to_come_back() {
    let place = place();
    let served = Served::start(&place, &[("TALLYBOOK_LIMITS__WAITING_BYTES_MAX", "2000")]);
    let many: Vec<String> = (0..100).map(|number| good(&format!("event-{number}"))).collect();
    let answer = served.post("/v1/events", BATCH, format!("[{}]", many.join(",")));
    assert_eq!((answer.status, &answer.json()["code"]), (503, &json!("overloaded")));
    assert!(answer.headers.contains("retry-after: "), "{}", answer.headers);
    check_alive(&served, "small");
    assert_eq!(served.end(), 0);

    // More than any disk has must stay free.
    let full = [("TALLYBOOK_COMMIT__FREE_BYTES_MIN", "9000000000000000000")];
    let served = Served::start(&place, &full);
    crate::http_client::wait_until("a full disk", || served.get("/readyz").status == 503);
    assert_eq!(served.get("/readyz").json()["reason"], "disk_full");
    let answer = served.post("/v1/events", BATCH, format!("[{}]", good("late")));
    assert_eq!((answer.status, &answer.json()["code"]), (503, &json!("disk_full")));
    assert_eq!(served.get("/healthz").status, 200);
    assert_eq!(served.end(), 0);
}
