//! `tallybook doctor` and `tallybook inspect`, as a person on call meets them.

use std::fs;

use serde_json::Value;

use crate::command_line::{good, place};
use crate::support::{Called, Workplace};

fn run(place: &Workplace, name: &str) {
    place.write(&format!("{name}.ndjson"), good(name) + "\n");
    let called = place.call(&["run", "-q", "--data", "data", "-c", "catalog", &format!("{name}.ndjson")]);
    assert_eq!(called.code, 0, "{}", called.stderr);
}

fn doctor(place: &Workplace, arguments: &[&str]) -> Called {
    place.call(&[&["doctor", "data"], arguments].concat())
}

/// The only file of a directory.
fn only_file(place: &Workplace, directory: &str) -> std::path::PathBuf {
    let mut files = fs::read_dir(place.path(directory)).unwrap();
    files.next().unwrap().unwrap().path()
}

#[test]
fn a_healthy_directory_is_0_and_every_check_is_named() {
    let place = place();
    run(&place, "one");
    run(&place, "two");
    let called = doctor(&place, &[]);
    assert_eq!((called.code, &*called.stderr), (0, ""), "{}", called.stdout);
    for check in
        ["directory", "ledger", "contents", "catalogs", "identities", "checkpoints", "books", "tables"]
    {
        let is_sound = |line: &str| line.starts_with(check) && line.contains(" sound ");
        assert!(called.stdout.lines().any(is_sound), "{check}: {}", called.stdout);
    }
    assert!(called.stdout.ends_with("Healthy.\n"), "{}", called.stdout);
    let called = doctor(&place, &["--json"]);
    let diagnosis: Value = serde_json::from_str(&called.stdout).unwrap();
    assert_eq!((&diagnosis["epoch"], &diagnosis["findings"]), (&2.into(), &Value::Array(Vec::new())));
}

#[test]
fn f06_damage_is_7_and_says_what_where_and_what_to_do() {
    let place = place();
    run(&place, "one");
    let catalog = only_file(&place, "data/catalogs");
    let mut bytes = fs::read(&catalog).unwrap();
    let sound = bytes.clone();
    bytes[600] ^= 1;
    fs::write(&catalog, bytes).unwrap();
    let called = doctor(&place, &[]);
    assert_eq!(called.code, 7, "{}", called.stdout);
    for said in
        ["damage: data/catalogs/", ", epoch 1: ", "  means: usage from epoch 1 on", "  to do: restore it"]
    {
        assert!(called.stdout.contains(said), "{said}: {}", called.stdout);
    }
    assert!(called.stderr.starts_with("error: 1 finding of damage"), "{}", called.stderr);
    fs::write(&catalog, sound).unwrap();
    assert_eq!(doctor(&place, &[]).code, 0);
    fs::remove_file(place.path("data/tallybook.json")).unwrap();
    assert_eq!(doctor(&place, &[]).code, 7);
}

#[test]
fn a_directory_that_is_not_there_is_6() {
    let place = place();
    for arguments in [&["doctor"][..], &["inspect"], &["export", "accruals"]] {
        assert_eq!(place.call(arguments).code, 6, "{arguments:?}");
    }
}

#[test]
fn a_repaired_table_answers_as_before_and_the_next_run_goes_on() {
    let place = place();
    run(&place, "one");
    run(&place, "two");
    let sums = "SELECT count(*), sum(delta_amount_exact) FROM accruals";
    let query = || place.call(&["query", "--data", "data", "--format", "csv", sums]).stdout;
    let before = query();
    let log = place.path("data/tables/accruals/_delta_log/00000000000000000001.json");
    let text = fs::read_to_string(&log).unwrap();
    fs::write(&log, text.replace("\"version\":1", "\"version\":2")).unwrap();
    assert_eq!(doctor(&place, &[]).code, 7);
    let called = doctor(&place, &["--repair"]);
    assert_eq!(called.code, 0, "{}", called.stdout);
    assert!(called.stdout.contains("repaired: made accruals again from the ledger"), "{}", called.stdout);
    assert_eq!(query(), before);
    run(&place, "three");
    assert_eq!(doctor(&place, &[]).code, 0);
}

#[test]
fn an_epoch_is_shown_with_its_rows() {
    let place = place();
    run(&place, "one");
    run(&place, "two");
    let called = place.call(&["inspect", "last", "--rows", "--data", "data"]);
    let lines: Vec<Value> = called.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["epoch"], &lines[0]["counts"]["rated"]), (&2.into(), &1.into()));
    let tables: Vec<_> = lines[1..].iter().map(|line| line["table"].as_str().unwrap()).collect();
    assert_eq!(tables, ["rated_usage", "accruals", "identities"]);
    assert_eq!(lines[1]["row"]["amount"], "0.050000000000000000");
    assert_eq!(lines[3]["row"]["entry"].as_str().unwrap().len(), 48);
    for (epoch, said) in [("3", "there is none; the last is 2"), ("0", "there is none")] {
        let called = place.call(&["inspect", epoch, "--data", "data"]);
        assert_eq!(called.code, 6);
        assert!(called.stderr.contains(said), "{}", called.stderr);
    }
    let called = place.call(&["inspect", "--json", "--data", "data"]);
    let overview: Value = serde_json::from_str(&called.stdout).unwrap();
    assert_eq!((&overview["last_epoch"], &overview["books"]["counts"]["rated"]), (&2.into(), &2.into()));
    assert!(place.call(&["inspect", "--data", "data"]).stdout.contains("rated: 0.1 USD, all of it accrued"));
}
