//! A run that is killed leaves no half table, and the next run to the same place succeeds.

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use crate::command_line::{good, place};

#[test]
fn a_killed_run_leaves_nothing_and_is_in_nobodys_way() {
    let place = place();
    let mut usage = String::new();
    for number in 0..100_000 {
        usage += &good(&format!("event-{number}"));
        usage.push('\n');
    }
    place.write("many.ndjson", usage);
    let mut is_interrupted = false;
    for attempt in 0..20u64 {
        let mut command = place.command(&["run", "-q", "-c", "catalog", "many.ndjson"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let began = Instant::now();
        while !place.path(".results.partial/rated_usage").exists()
            && began.elapsed() < Duration::from_secs(20)
        {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(attempt * 3));
        child.kill().unwrap();
        child.wait().unwrap();
        if place.path("results").exists() {
            // It was done before it was killed: then it is whole.
            assert_eq!(place.query("SELECT count(*) FROM rated_usage"), [["100000"]]);
            fs::remove_dir_all(place.path("results")).unwrap();
        } else {
            is_interrupted |= place.path(".results.partial").exists();
        }
    }
    assert!(is_interrupted, "no run was killed in the middle");
    place.run(&["many.ndjson"]);
    assert_eq!(place.query("SELECT count(*) FROM rated_usage"), [["100000"]]);
    assert!(!place.path(".results.partial").exists());
}

#[test]
fn two_runs_do_not_write_to_one_place() {
    let place = place();
    let arguments = ["run", "-q", "-c", "catalog", "-"];
    let mut first = place.command(&arguments).stdin(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while !place.path(".results.partial/rated_usage").exists() && began.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(1));
    }
    let second = place.call(&["run", "-q", "-c", "catalog", "good.ndjson"]);
    assert_eq!(second.code, 5);
    assert!(second.stderr.contains("another run is writing here"), "{}", second.stderr);
    drop(first.stdin.take());
    assert!(first.wait().unwrap().success());
}
