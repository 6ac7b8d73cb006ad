//! `tallybook export`: the same row is the same event, whenever it is exported and from wherever.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::command_line::place;
use crate::support::{Workplace, event};

const DAYS: [&str; 3] = ["2026-10-01", "2026-10-02", "2026-10-01"];

/// A run with two good events of a day and one that is refused.
fn run(place: &Workplace, number: usize) {
    let time = format!("{}T0{number}:00:00Z", DAYS[number]);
    let data = r#"{"tokens":5}"#;
    let mut usage = event(&format!("event-{number}"), "tokens", "a", &time, data);
    usage += "\n";
    usage += &event(&format!("00000000-0000-4000-8000-00000000000{number}"), "tokens", "a", &time, data);
    usage += "\n{\"id\":\n";
    place.write(&format!("{number}.ndjson"), usage);
    let called = place.call(&["run", "-q", "--data", "data", "-c", "catalog", &format!("{number}.ndjson")]);
    assert_eq!(called.code, 0, "{}", called.stderr);
}

fn export(place: &Workplace, arguments: &[&str]) -> String {
    let called = place.call(&[&["export", "--data", "data"], arguments].concat());
    assert_eq!(called.code, 0, "{arguments:?}: {}", called.stderr);
    called.stdout
}

fn events(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn rows_are_cloud_events_in_ledger_order_with_ids_and_sequences_of_their_own() {
    let place = place();
    for number in 0..3 {
        run(&place, number);
    }
    let rated = events(&export(&place, &["rated-usage"]));
    let ids: Vec<_> = rated.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["1-1", "1-2", "2-1", "2-2", "3-1", "3-2"]);
    let first = &rated[0];
    assert_eq!(
        (&first["specversion"], &first["type"]),
        (&"1.0".into(), &"com.tallybook.usage.rated.v1".into())
    );
    assert_eq!((&first["subject"], &first["time"]), (&"a".into(), &"2026-10-01T00:00:00Z".into()));
    assert_eq!((&first["data"]["event_id"], &first["data"]["amount"]), (&"event-0".into(), &"0.05".into()));
    assert_eq!(rated[1]["data"]["event_id"], "00000000-0000-4000-8000-000000000000");
    let accruals = events(&export(&place, &["accruals"]));
    let data = |event: &Value, name: &str| event["data"][name].clone();
    let told: Vec<_> = accruals
        .iter()
        .map(|event| (data(event, "epoch"), data(event, "service_day"), data(event, "delta_amount")))
        .collect();
    let expected = [(1, DAYS[0], "0.1"), (2, DAYS[1], "0.1"), (3, DAYS[0], "0.1")];
    assert_eq!(told[..3], expected.map(|(epoch, day, amount)| (epoch.into(), day.into(), amount.into())));
    assert!(accruals.iter().all(|event| event["id"] == event["data"]["accrual_id"]));
    let quarantine = events(&export(&place, &["quarantine"]));
    assert_eq!((&quarantine[2]["id"], quarantine.len()), (&"3-1".into(), 3));
    for events in [rated, accruals, quarantine] {
        let sequences: Vec<u64> =
            events.iter().map(|event| event["sequence"].as_str().unwrap().parse().unwrap()).collect();
        assert_eq!(sequences, (1..=events.len() as u64).collect::<Vec<_>>());
        let ids: BTreeSet<_> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), events.len());
    }
}

#[test]
fn parts_of_an_export_are_the_bytes_of_the_whole() {
    let place = place();
    for number in 0..3 {
        run(&place, number);
    }
    for what in ["rated-usage", "accruals", "quarantine"] {
        for format in ["json", "cloudevents"] {
            let part =
                |arguments: &[&str]| export(&place, &[&[what, "--format", format], arguments].concat());
            let parts = [part(&["--to", "1"]), part(&["--after", "1", "--to", "2"]), part(&["--after", "2"])];
            assert!(parts.iter().all(|part| !part.is_empty()));
            assert_eq!(parts.concat(), part(&[]), "{what} {format}");
        }
    }
}

#[test]
fn a_reader_goes_on_after_what_it_was_given_and_is_given_again_what_it_did_not_take() {
    let place = place();
    run(&place, 0);
    let reader = ["rated-usage", "--reader", "billing"];
    let first = export(&place, &reader);
    assert_eq!(export(&place, &reader), "");
    run(&place, 1);
    // Nobody takes what is written: it counts as not given.
    let program = env!("CARGO_BIN_EXE_tallybook");
    let script = format!("{program} export --data data rated-usage --reader billing > /dev/full");
    let failed = Command::new("bash").args(["-c", &script]).current_dir(place.path("")).output().unwrap();
    assert_eq!(failed.status.code(), Some(5));
    assert_eq!(export(&place, &["--list"]), "billing\t1\n");
    let second = export(&place, &reader);
    assert_eq!(first + &second, export(&place, &["rated-usage"]));
    assert_eq!(export(&place, &["--list"]), "billing\t2\n");
    assert_eq!(export(&place, &["--forget", "billing"]), "billing: nothing is kept for it any more\n");
    assert_eq!(export(&place, &["--list"]), "");
    // Whoever begins behind the end is given what comes next, not only what comes after that.
    export(&place, &["rated-usage", "--reader", "eager", "--after", "9"]);
    assert_eq!(export(&place, &["--list"]), "eager\t2\n");
    for wrong in [&["export"][..], &["export", "accruals", "--reader", "../up"]] {
        assert_eq!(place.call(wrong).code, 2, "{wrong:?}");
    }
}
