//! Events that are no events: each is in quarantine with its reason, place and bytes, and the rest of
//! the input counts.

use crate::command_line::{good, place};
use crate::support::event;

/// An event with this data.
fn with(data: &str) -> String {
    event("x", "tokens", "a", "2026-10-01T00:00:00Z", data)
}

fn at(time: &str) -> String {
    event("x", "tokens", "a", time, r#"{"tokens":1}"#)
}

#[test]
fn every_bad_event_is_in_quarantine_with_its_reason_and_bytes() {
    let digits = "9".repeat(1_000);
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let many = (0..300).map(|n| format!(r#""k{n}":1"#)).collect::<Vec<_>>().join(",");
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"not json".to_vec(), "malformed_json"),
        (b"{\"specversion\":\"1.0\"".to_vec(), "malformed_json"),
        (with("{\"tokens\":NaN}").into_bytes(), "malformed_json"),
        (with("{\"tokens\":Infinity}").into_bytes(), "malformed_json"),
        (with("{\"tokens\":01}").into_bytes(), "malformed_json"),
        (good("x").replace("test", "t\u{0}st").into_bytes(), "malformed_json"),
        (
            [good("x").as_bytes().split_at(20).0, b"\xff\xfe", good("x").as_bytes().split_at(20).1].concat(),
            "invalid_utf8",
        ),
        (with(&format!("{{\"tokens\":{deep}}}")).into_bytes(), "nesting_too_deep"),
        (with(&format!("{{{many}}}")).into_bytes(), "too_many_keys"),
        (with("{\"tokens\":1,\"tokens\":2}").into_bytes(), "duplicate_key"),
        (with("{\"tokens\":1,\"\\u0074okens\":2}").into_bytes(), "duplicate_key"),
        (with(&format!("{{\"tokens\":{digits}}}")).into_bytes(), "number_too_long"),
        (with("{\"tokens\":1e999999999}").into_bytes(), "quantity_out_of_range"),
        (with("{\"tokens\":1e-999999999}").into_bytes(), "quantity_too_precise"),
        (with("{\"tokens\":123456789012345678901}").into_bytes(), "quantity_out_of_range"),
        (with("{\"tokens\":0.1234567891}").into_bytes(), "quantity_too_precise"),
        (with("{\"tokens\":\"NaN\"}").into_bytes(), "non_numeric_quantity"),
        (with("{\"tokens\":true}").into_bytes(), "non_numeric_quantity"),
        (with("{\"tokens\":-1}").into_bytes(), "negative_quantity"),
        (with("{}").into_bytes(), "missing_quantity"),
        (at("2026-10-01T00:00:00").into_bytes(), "bad_time"),
        (at("2026-13-01T00:00:00Z").into_bytes(), "bad_time"),
        (at("yesterday").into_bytes(), "bad_time"),
        (at("1969-12-31T23:59:59Z").into_bytes(), "time_out_of_range"),
        (at("2100-01-01T00:00:00Z").into_bytes(), "time_out_of_range"),
        (good("").into_bytes(), "missing_id"),
        (good(&"x".repeat(300)).into_bytes(), "invalid_attribute"),
        (good("x").replace("\"1.0\"", "\"0.3\"").into_bytes(), "unsupported_specversion"),
        (good("x").replace("\"subject\"", "\"object\"").into_bytes(), "missing_subject"),
        (good("x").replace("\"source\"", "\"origin\"").into_bytes(), "missing_source"),
        (good("x").replace("\"type\"", "\"kind\"").into_bytes(), "missing_type"),
        (good("x").replace("\"time\"", "\"when\"").into_bytes(), "missing_time"),
        (format!("[{}]", good("x")).into_bytes(), "not_an_object"),
        (format!("\"{}\"", "x".repeat(2 << 20)).into_bytes(), "event_too_large"),
    ];
    let place = place();
    let mut input = Vec::new();
    for (number, (bytes, _)) in cases.iter().enumerate() {
        input.extend_from_slice(bytes);
        input.extend_from_slice(format!("\n{}\n", good(&format!("good-{number}"))).as_bytes());
    }
    place.write("events.ndjson", &input);
    let report = place.run(&["events.ndjson"]);
    assert_eq!(report["received"], (cases.len() * 2) as u64);
    assert_eq!(report["rated"], cases.len() as u64, "what is good counts");
    let rows = place.query("SELECT reason, line, \"offset\", length, record FROM quarantine ORDER BY line");
    assert_eq!(rows.len(), cases.len());
    for (number, ((bytes, reason), row)) in cases.iter().zip(&rows).enumerate() {
        let shown: String = String::from_utf8_lossy(bytes).chars().take(300).collect();
        assert_eq!(row[0], *reason, "{shown}");
        assert_eq!(row[1], (number * 2 + 1).to_string(), "{shown}");
        let offset: usize = row[2].parse().unwrap();
        let length: usize = row[3].parse().unwrap();
        assert!(input[offset..].starts_with(&bytes[..bytes.len().min(1000)]), "{shown}");
        assert_eq!(length, bytes.len(), "{shown}");
        let kept = String::from_utf8_lossy(bytes);
        assert!(kept.starts_with(&*row[4]) || kept == row[4], "{shown}");
    }
}

#[test]
fn dedup_1_the_first_event_of_an_identity_stays() {
    let place = place();
    let other = good("one").replace('5', "6");
    let spaced = good("one").replace(':', " : ").replace("2026-10-01T00 : 00 : 00Z", "2026-10-01T00:00:00Z");
    place.write("events.ndjson", [good("one"), spaced, other, good("two")].join("\n"));
    let report = place.run(&["events.ndjson"]);
    let counts = ["received", "rated", "duplicate", "conflict"].map(|count| report[count].as_u64().unwrap());
    assert_eq!(counts, [4, 2, 1, 1]);
    assert_eq!(place.query("SELECT reason, line FROM quarantine"), [["conflict", "3"]]);
    assert_eq!(place.query("SELECT sum(quantity) FROM rated_usage"), [["10"]]);
}

#[test]
fn usage_without_a_price_is_kept_with_its_reason() {
    let place = place();
    let time = "2026-10-01T00:00:00Z";
    let events = [
        event("1", "unheard", "a", time, "{}"),
        event("2", "tokens", "stranger", time, r#"{"tokens":7}"#),
        good("3"),
    ];
    place.write("events.ndjson", events.join("\n"));
    let report = place.run(&["events.ndjson"]);
    assert_eq!((&report["rated"], &report["unrated"]), (&1.into(), &2.into()));
    let rows = place.query("SELECT class, reason, account_id, record FROM quarantine ORDER BY line");
    assert_eq!(rows[0][..3], ["unrated", "unknown_event_type", "a"]);
    assert_eq!(rows[1][..3], ["unrated", "unknown_account", "stranger"]);
    assert_eq!(rows[1][3], events[1]);
}

/// A line of 2 GB is longer than memory should hold; it is refused, and the next line counts.
#[test]
fn a_line_of_2_gb_is_refused_in_little_memory() {
    use std::io::Write;
    use std::process::Stdio;
    let place = place();
    let program = env!("CARGO_BIN_EXE_tallybook");
    // The address space is limited to less than the line.
    let script = format!("ulimit -v 1500000; exec {program} run -q --json --threads 1 -c catalog -");
    let mut command = std::process::Command::new("bash");
    command.args(["-c", &script]).current_dir(place.path(""));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let block = vec![b'x'; 1 << 20];
    for _ in 0..2_048 {
        input.write_all(&block).unwrap();
    }
    input.write_all(format!("\n{}\n", good("after")).as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["rated"], &report["rejected"]), (&1.into(), &1.into()));
    let rows = place.query("SELECT reason, length FROM quarantine");
    assert_eq!(rows, [["event_too_large".to_owned(), (2_048u64 << 20).to_string()]]);
}
