//! Rules of the event contract, each with an event that tries to slip past it.

use schemas::quarantine::RejectReason;

use crate::decoded::{Accepted, File, Outcome, Record, decode};
use crate::meters::plan;

fn read(text: &str) -> Vec<Record> {
    let file = File { name: "events.ndjson", bytes: text.as_bytes().to_vec() };
    decode(vec![file], 1, &plan(), None).unwrap()
}

/// An event of type `t` with more members, or members that replace others.
fn event(members: &str) -> String {
    let mut event = r#"{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"acme","time":"2026-10-31T10:00:00Z""#.to_owned();
    for name in ["id", "source", "subject", "type", "time"] {
        if members.contains(&format!("\"{name}\":")) {
            let start = event.find(&format!(",\"{name}\":")).unwrap();
            let end = event[start + 1..].find(",\"").map_or(event.len(), |end| start + 1 + end);
            event.replace_range(start..end, "");
        }
    }
    format!("{event},{members}}}")
}

fn accepted(event: &str) -> Accepted {
    match read(event).remove(0).outcome {
        Outcome::Accepted(accepted) => accepted,
        Outcome::Rejected { reason, detail, .. } => panic!("{reason}: {detail}: {event}"),
    }
}

fn refused(event: &str) -> (RejectReason, String) {
    match read(event).remove(0).outcome {
        Outcome::Accepted(_) => panic!("accepted: {event}"),
        Outcome::Rejected { reason, detail, .. } => (reason, detail),
    }
}

#[test]
fn an_attribute_that_is_null_is_not_there() {
    let without = accepted(&event(r#""data":{"v":1}"#));
    let with = accepted(&event(r#""data":{"v":1},"sampledrate":null,"sequence":null,"dataschema":null"#));
    assert_eq!(with, without);
    let of_property = accepted(&event(r#""data":{"v":1,"note":null}"#));
    assert_ne!(of_property.content, without.content, "what is in data is content, null too");
}

#[test]
fn a_filter_sees_the_number_and_not_its_writing() {
    let meters = |members: &str| -> Vec<u16> {
        let event = event(&format!(r#""data":{{"v":1,{members}}}"#));
        accepted(&event).usages.iter().map(|usage| usage.meter).collect()
    };
    let cases: &[(&str, &[u16])] = &[
        (r#""flag":1"#, &[0, 1]),
        (r#""flag":1.0"#, &[0, 1]),
        (r#""flag":10e-1"#, &[0, 1]),
        (r#""flag":"1""#, &[0, 1]),
        (r#""flag":"1.0""#, &[0]),
        (r#""flag":2.5"#, &[0, 1]),
        (r#""flag":2.50"#, &[0, 1]),
        (r#""flag":"2.50""#, &[0, 1]),
        (r#""flag":"2.5""#, &[0]),
        (r#""flag":true"#, &[0, 1]),
        (r#""flag":1,"q":1e2"#, &[0]),
    ];
    for (members, expected) in cases {
        assert_eq!(meters(members), *expected, "{members}");
    }
}

#[test]
fn numbers_far_from_the_point_are_dimensions_with_an_exponent() {
    let cases = [
        ("1e64", "1e64"),
        ("10e63", "1e64"),
        ("1e63", &format!("1{}", "0".repeat(63))),
        ("-1e-64", &format!("-0.{}1", "0".repeat(63))),
        ("1e-65", "1e-65"),
        ("100e999999999999999999", "1e1000000000000000001"),
        // An exponent that needs more than 64 bits is as good as any other.
        ("1e99999999999999999999", "1e4611686018427387903"),
        ("-1e-99999999999999999999", "-1e-4611686018427387904"),
    ];
    for (number, expected) in cases {
        let event = accepted(&event(&format!(r#""data":{{"v":1,"region":{number}}}"#)));
        assert_eq!(event.usages[0].dimensions[3].as_deref(), Some(expected), "{number}");
    }
}

#[test]
fn of_several_faults_the_first_counts() {
    let cases = [
        (r#""id":5,"source":null"#, RejectReason::MissingSource),
        (r#""id":{},"subject":"""#, RejectReason::MissingSubject),
        (r#""source":true,"time":null"#, RejectReason::MissingTime),
        (r#""source":true,"time":"yesterday""#, RejectReason::InvalidAttribute),
    ];
    for (members, expected) in cases {
        assert_eq!(refused(&event(members)).0, expected, "{members}");
    }
}

#[test]
fn an_event_that_is_cut_short_has_no_faults_of_the_next_line() {
    let cut = [
        (r#"{"specversion":"1.0","id":"1","source":"#, r#""of the next line""#),
        (r#"{"specversion":"1.0","id":"1","source":"#, r#""of the \u006eext line""#),
        (r#"{"specversion":"1.0","#, r#""specversion":"1.0"}"#),
        (r#"{"data":"#, r#"{"a":1,"a":2}"#),
        (r#"{"data":["#, r"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["),
        (r#"{"data":"text"#, r#"" }"#),
        (r#"{"data""#, ":01}"),
        (r#"{"data":1"#, "}"),
    ];
    for (record, next) in cut {
        let alone = &read(record)[0];
        for text in [format!("{record}\n{next}"), format!("{record}\n\n \n"), format!("{record}\r\n{next}\n")]
        {
            let with_next = &read(&text)[0];
            let detail = |record: &Record| match &record.outcome {
                Outcome::Rejected { reason, detail, attributes } => {
                    (*reason, detail.clone(), attributes.clone())
                }
                Outcome::Accepted(_) => panic!("accepted: {text}"),
            };
            assert_eq!(detail(with_next).0, RejectReason::MalformedJson, "{text}");
            assert_eq!(detail(alone).0, RejectReason::MalformedJson, "{text}");
            if !text.contains('\r') {
                assert_eq!(detail(with_next), detail(alone), "{text}");
            }
        }
    }
}
