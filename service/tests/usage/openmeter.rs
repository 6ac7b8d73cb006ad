//! `OpenMeter`'s contract.

use serde_json::{Value, json};
use service::engine::EngineOptions;

use crate::support::{Server, event};

const TIME: &str = "2026-11-20T10:00:00Z";

fn start(place: &std::path::Path) -> Server {
    // Days enough for times that are written here.
    let options = EngineOptions { free_bytes_min: 0, usage_days: 20_000, ..EngineOptions::default() };
    Server::start(place, &options)
}

fn post(server: &Server, kind: &str, body: &Value) -> (u16, String) {
    let body = serde_json::to_vec(body).unwrap();
    let (status, _, answer) = server.request("POST", "/api/v1/events", &[("content-type", kind)], &body);
    (status, answer)
}

#[test]
fn events_are_answered_as_openmeter_does() {
    let place = tempfile::tempdir().unwrap();
    let server = start(place.path());
    let one = event("1", "acme", TIME, &json!({ "tokens": 1 }));
    let no_time = json!({ "specversion": "1.0", "type": "use", "source": "s", "id": "2", "subject": "acme",
        "time": null, "data": { "tokens": 2 } });
    let bad = json!({ "specversion": "1.0", "type": "use", "source": "s", "id": "3", "time": TIME });
    let three = event("3", "acme", TIME, &json!({ "tokens": 3 }));
    let single = "application/cloudevents+json; charset=utf-8";
    let batch = "application/cloudevents-batch+json";
    let cases = [
        (single, one.clone(), 204),
        (single, one.clone(), 204),
        (batch, json!([one]), 204),
        ("application/json", no_time, 204),
        ("application/json", json!([]), 400),
        (batch, json!([three, bad]), 400),
        (batch, three.clone(), 400),
        (single, json!([three]), 400),
        ("text/plain", three.clone(), 400),
    ];
    for (kind, body, expected) in cases {
        let (status, answer) = post(&server, kind, &body);
        assert_eq!(status, expected, "{kind} {body}: {answer}");
        assert_eq!(answer.is_empty(), status == 204, "{answer}");
    }
    let (_, answer) = server.get("/api/v1/meters/tokens/query");
    // The third is in no batch that was counted.
    assert_eq!(answer["data"][0]["value"], 3);
    let (_, events) = server.get("/api/v1/events?limit=1");
    assert_eq!(events[0]["event"]["id"], "2");
    assert_eq!(events.as_array().unwrap().len(), 1);
    let (_, events) = server.get("/api/v1/events?subject=acm&to=2026-11-20T10:00:01Z");
    assert_eq!(events.as_array().unwrap().len(), 1);
    assert_eq!(events[0]["event"]["data"], json!({ "tokens": 1 }));
    server.end();
}

#[test]
fn meters_are_those_of_the_catalog() {
    let place = tempfile::tempdir().unwrap();
    let server = start(place.path());
    let (status, meters) = server.get("/api/v1/meters");
    assert_eq!((status, meters.as_array().unwrap().len()), (200, 7));
    let (_, meter) = server.get("/api/v1/meters/users");
    assert_eq!(meter["aggregation"], "UNIQUE_COUNT");
    assert_eq!(meter["groupBy"], json!({ "model": "$.model", "region": "$.region" }));
    let id = meter["id"].as_str().unwrap();
    assert_eq!(server.get(&format!("/api/v1/meters/{id}")).1, meter);
    assert_eq!(server.get("/api/v1/meters/nothing").0, 404);
    let draft = json!({ "slug": "new", "aggregation": "COUNT", "eventType": "use" }).to_string();
    let changes =
        [("POST", "/api/v1/meters"), ("PUT", "/api/v1/meters/users"), ("DELETE", "/api/v1/meters/users")];
    for (method, path) in changes {
        let (status, head, answer) = server.request(method, path, &[], draft.as_bytes());
        assert_eq!(status, 501, "{answer}");
        assert!(head.contains("application/problem+json"), "{head}");
    }
    server.end();
}

#[test]
fn queries_have_numbers_with_all_digits() {
    let place = tempfile::tempdir().unwrap();
    let server = start(place.path());
    server.send(&[
        event("1", "acme", TIME, &json!({ "tokens": "99999999999999999.000000001", "model": "a" })),
        event("2", "globex, inc", TIME, &json!({ "tokens": 1, "model": "=b" })),
        event("3", "globex, inc", "2026-11-20T11:00:00Z", &json!({ "tokens": 2 })),
    ]);
    let text = |path: &str| server.request("GET", &format!("/api/v1/meters/{path}"), &[], b"").2;
    assert_eq!(
        text("tokens/query?subject=acme&from=2026-11-20T00:00:00Z&to=2026-11-21T00:00:00Z"),
        concat!(
            r#"{"from":"2026-11-20T00:00:00Z","to":"2026-11-21T00:00:00Z","data":[{"value":99999999999999999.000000001,"#,
            r#""windowStart":"2026-11-20T00:00:00Z","windowEnd":"2026-11-21T00:00:00Z","subject":"acme","groupBy":{}}]}"#
        )
    );
    assert_eq!(
        text("calls/query?windowSize=HOUR&groupBy=model&filterGroupBy[model]=%3Db"),
        concat!(
            r#"{"windowSize":"HOUR","data":[{"value":1,"windowStart":"2026-11-20T10:00:00Z","#,
            r#""windowEnd":"2026-11-20T11:00:00Z","subject":null,"groupBy":{"model":"=b"}}]}"#
        )
    );
    assert_eq!(text("calls/query?from=2026-12-01T00:00:00Z"), r#"{"from":"2026-12-01T00:00:00Z","data":[]}"#);
    let asked =
        json!({ "groupBy": ["subject", "model"], "filterGroupBy": { "model": ["=b", ""] } }).to_string();
    let accept = ("accept", "text/csv");
    let (_, head, csv) = server.request("POST", "/api/v1/meters/tokens/query", &[accept], asked.as_bytes());
    assert!(head.contains("attachment; filename=tokens.csv"), "{head}");
    assert_eq!(
        csv,
        concat!(
            "window_start,window_end,subject,model,value\n",
            "2026-11-20T10:00:00Z,2026-11-20T11:01:00Z,\"globex, inc\",,2\n",
            "2026-11-20T10:00:00Z,2026-11-20T11:01:00Z,\"globex, inc\",'=b,1\n",
        )
    );
    assert_eq!(text("tokens/subjects").trim_end(), r#"["acme","globex, inc"]"#);
    assert_eq!(text("tokens/group-by/model/values").trim_end(), r#"["","=b","a"]"#);
    let (_, subjects) = server.get("/api/v1/subjects");
    assert_eq!(subjects[1]["key"], "globex, inc");
    assert_eq!(server.get("/api/v1/subjects/acme").0, 200);
    assert_eq!(server.get("/api/v1/subjects/stranger").0, 404);
    let bad = [
        "tokens/query?windowSize=WEEK",
        "tokens/query?groupBy=colour",
        "tokens/query?from=2026-11-21T00:00:00Z&to=2026-11-20T00:00:00Z",
        "tokens/query?windowTimeZone=Mars",
        "tokens/query?filterCustomerId=x",
    ];
    for path in bad {
        let (status, problem) = server.get(&format!("/api/v1/meters/{path}"));
        assert_eq!(status, 400, "{path}: {problem}");
    }
    // What would be left out in silence.
    for body in [json!({ "to": {} }), json!({ "to": [] }), json!({ "subject": { "a": "b" } })] {
        let body = body.to_string();
        let (status, _, problem) =
            server.request("POST", "/api/v1/meters/tokens/query", &[], body.as_bytes());
        assert!(status == 400 && problem.contains("not_a_query"), "{body}: {problem}");
    }
    server.end();
}
