//! `GET /v1/usage`: exact, live, and the same after a restart.

use schemas::timestamp::{MICROS_PER_DAY, Timestamp};
use serde_json::{Value, json};
use service::engine::EngineOptions;

use crate::support::{Server, event};

fn options() -> EngineOptions {
    EngineOptions { free_bytes_min: 0, ..EngineOptions::default() }
}

/// The day before yesterday, so that the index has it whenever the test runs.
fn day() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_micros()).unwrap();
    let day = Timestamp::from_micros((now / MICROS_PER_DAY - 2) * MICROS_PER_DAY).to_string();
    day[..10].to_owned()
}

fn events(day: &str) -> Vec<Value> {
    let at = |time: &str| format!("{day}T{time}Z");
    let mut events = vec![
        event(
            "1",
            "acme",
            &at("10:00:00.000001"),
            &json!({ "tokens": "0.000000001", "model": "a", "user": "u1" }),
        ),
        event(
            "2",
            "acme",
            &at("10:00:59.999999"),
            &json!({ "tokens": 2, "model": "b", "user": "u2", "region": "eu" }),
        ),
        event(
            "3",
            "acme",
            &at("10:01:00"),
            &json!({ "tokens": "99999999999999999.5", "model": "a", "user": "u1" }),
        ),
        event("4", "acme", &at("11:00:00"), &json!({ "model": "a", "user": 7, "login": "x" })),
        // The larger id decides between events of one time.
        event("6", "acme", &at("12:00:00"), &json!({ "tokens": 6, "model": "c" })),
        event("5", "acme", &at("12:00:00"), &json!({ "tokens": 5, "model": "d" })),
    ];
    // Without a contract, and so without a price.
    events.push(event("7", "nobody", &at("10:00:00"), &json!({ "tokens": 4, "user": "u3", "login": "y" })));
    events.push(event("8", "nobody", &at("10:30:00"), &json!({ "tokens": 8, "user": "u3", "login": "z" })));
    events
}

/// Values by question.
fn cases(day: &str) -> Vec<(String, Value)> {
    let values = |texts: &[&str]| json!(texts);
    let of = |query: &str| format!("{query}&from={day}T00:00:00Z&to={day}T23:00:00Z");
    vec![
        (of("account=acme&meter=calls"), values(&["6"])),
        (of("account=acme&meter=tokens"), values(&["100000000000000012.500000001"])),
        (of("account=acme&meter=largest"), values(&["99999999999999999.5"])),
        (of("account=acme&meter=smallest"), values(&["0.000000001"])),
        (of("account=acme&meter=level"), values(&["6"])),
        (of("account=acme&meter=users"), values(&["3"])),
        (of("account=acme&meter=logins"), values(&["1"])),
        (of("account=acme&meter=tokens&filter[model]=a"), values(&["99999999999999999.500000001"])),
        (of("account=acme&meter=calls&filter[region]="), values(&["5"])),
        (of("account=acme&meter=calls&group_by=model"), values(&["3", "1", "1", "1"])),
        (of("account=acme&meter=calls&group_by=model,region&filter[model]=b"), values(&["1"])),
        (of("account=acme&meter=calls&window=minute"), values(&["2", "1", "1", "2"])),
        (of("account=acme&meter=tokens&window=hour"), values(&["100000000000000001.500000001", "11"])),
        (of("account=acme&meter=calls&window=day&time_zone=Pacific/Auckland"), values(&["4", "2"])),
        (of("account=nobody&meter=tokens"), values(&["12"])),
        (of("account=nobody&meter=users"), values(&["1"])),
        (of("account=nobody&meter=logins"), values(&["2"])),
        (of("account=stranger&meter=tokens"), values(&[])),
        // [from, to), to the microsecond.
        (
            format!("account=acme&meter=calls&from={day}T10:00:00.000002Z&to={day}T10:00:59.999999Z"),
            values(&[]),
        ),
        (format!("account=acme&meter=calls&from={day}T10:00:00.000001Z&to={day}T10:01:00Z"), values(&["2"])),
        ("account=acme&meter=calls".to_owned(), values(&["6"])),
    ]
}

fn check(server: &Server, day: &str) -> Vec<Value> {
    let mut answers = Vec::new();
    for (query, expected) in cases(day) {
        let (status, mut answer) = server.get(&format!("/v1/usage?{query}"));
        assert_eq!(status, 200, "{query}: {answer}");
        let rows = answer["rows"].as_array().unwrap();
        let values: Vec<Value> = rows.iter().map(|row| row["value"].clone()).collect();
        // Auckland is 12 or 13 hours ahead: what is at noon is there in the next day in summer alone.
        if query.contains("Auckland") {
            let is_known = json!(values) == json!(["4", "2"]) || json!(values) == json!(["3", "3"]);
            assert!(is_known, "{query}: {values:?}");
        } else {
            assert_eq!(json!(values), expected, "{query}");
        }
        answer.as_object_mut().unwrap().remove("epoch");
        answers.push(answer);
    }
    answers
}

#[test]
fn usage_1_usage_2_answers_have_the_last_commit_and_are_the_same_after_a_restart() {
    let (place, day) = (tempfile::tempdir().unwrap(), day());
    let server = Server::start(place.path(), &options());
    for event in events(&day) {
        let account = event["subject"].as_str().unwrap().to_owned();
        let path = format!("/v1/usage?account={account}&meter=calls");
        let before = server.get(&path).1["rows"][0]["value"].as_str().map_or(0, |text| text.parse().unwrap());
        server.send(std::slice::from_ref(&event));
        // A repeat changes nothing.
        server.send(&[event]);
        let after: u64 = server.get(&path).1["rows"][0]["value"].as_str().unwrap().parse().unwrap();
        assert_eq!(after, before + 1);
    }
    let answers = check(&server, &day);
    server.end();
    // The tables have everything now: rated usage is read from files.
    let server = Server::start(place.path(), &options());
    assert_eq!(check(&server, &day), answers);
    let late = event("9", "acme", &format!("{day}T09:00:00Z"), &json!({ "model": "a", "tokens": 1 }));
    server.send(&[late]);
    let (_, answer) = server.get("/v1/usage?account=acme&meter=calls&group_by=model");
    assert_eq!(answer["rows"][0], json!({ "group": { "model": "a" }, "value": "4" }));
    server.end();
}

#[test]
fn usage_3_what_is_not_in_memory_is_no_answer() {
    let place = tempfile::tempdir().unwrap();
    let options = EngineOptions { usage_days: 10, ..options() };
    let mut server = Server::start(place.path(), &options);
    let data = json!({ "tokens": 1 });
    server.send(&[event("1", "acme", &format!("{}T10:00:00Z", day()), &data)]);
    let whole = "/v1/usage?account=acme&meter=tokens";
    assert_eq!(server.get(whole).1["rows"][0]["value"], "1");
    let old = Timestamp::from_micros(
        format!("{}T10:00:00Z", day()).parse::<Timestamp>().unwrap().micros() - 20 * MICROS_PER_DAY,
    );
    server.send(&[event("2", "acme", &old.to_string(), &data)]);
    for restarts in 0..2 {
        let (status, problem) = server.get(whole);
        assert_eq!((status, &problem["code"]), (400, &json!("usage_too_old")), "{restarts}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains("/v1/query"));
        let (status, answer) = server.get(&format!("{whole}&from={}T00:00:00Z", day()));
        assert_eq!((status, &answer["rows"][0]["value"]), (200, &json!("1")));
        server.end();
        server = Server::start(place.path(), &options);
    }
    server.end();
}

#[test]
fn questions_without_sense_are_refused_with_what_is_wrong() {
    let place = tempfile::tempdir().unwrap();
    let server = Server::start(place.path(), &options());
    let cases = [
        ("meter=tokens", 400, "missing_parameter"),
        ("account=acme", 400, "missing_parameter"),
        ("account=acme&meter=nothing", 404, "unknown_meter"),
        ("account=acme&meter=tokens&window=week", 400, "bad_window"),
        ("account=acme&meter=tokens&time_zone=Mars", 400, "bad_time_zone"),
        ("account=acme&meter=tokens&from=yesterday", 400, "bad_time"),
        (
            "account=acme&meter=tokens&from=2026-01-01T00:00:00%2B01:00&to=2025-01-01T00:00:00Z",
            400,
            "bad_time",
        ),
        ("account=acme&meter=tokens&group_by=colour", 400, "unknown_dimension"),
        ("account=acme&meter=tokens&filter[colour]=red", 400, "unknown_dimension"),
        ("account=acme&meter=tokens&account=other", 400, "bad_query"),
        ("account=acme&meter=tokens&windows=day", 400, "unknown_parameter"),
    ];
    for (query, status, code) in cases {
        let (found, problem) = server.get(&format!("/v1/usage?{query}"));
        assert_eq!((found, &problem["code"]), (status, &json!(code)), "{query}: {problem}");
    }
    server.end();
}
