//! ACK-1, EPOCH-1: a run that is killed anywhere and started again comes to what an undisturbed run comes to,
//! byte for byte.
//!
//! `TALLYBOOK_KILLS` says how often runs are killed; a release build takes more events then.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::support::{Workplace, check_same_files};

/// Kills, when nobody says.
const KILLS: u32 = 20;

/// Events of the runs.
const EVENTS: &str = if cfg!(debug_assertions) { "30000" } else { "600000" };

/// Numbers that look random.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end.max(1)
    }
}

/// A run into a data directory, in epochs of a batch each.
fn command(place: &Workplace, data: &str) -> Command {
    let mut command =
        place.command(&["run", "-q", "--json", "-c", "workload/catalog", "-d", data, "workload/usage"]);
    command.args(["--epoch-events", "1000"]);
    command
}

fn finish(place: &Workplace, data: &str) -> Value {
    let output = command(place, data).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// An empty directory with the secret of another: both name identities alike.
fn begin(data: &Path, like: &Path) {
    fs::create_dir(data).unwrap();
    fs::copy(like.join("identity.key"), data.join("identity.key")).unwrap();
}

#[test]
fn epoch_1_killed_runs_come_to_what_an_undisturbed_run_comes_to() {
    let place = Workplace::new();
    let generate = ["generate", "--events", EVENTS, "--accounts", "300", "--output", "workload"];
    assert_eq!(place.call(&generate).code, 0);
    let began = Instant::now();
    let undisturbed = finish(&place, "undisturbed");
    let duration = u64::try_from(began.elapsed().as_micros()).unwrap();
    let epochs = undisturbed["epochs"][1].as_u64().unwrap();
    assert!(epochs > 10, "{epochs} epochs");

    let expected = answers(&place, "undisturbed");
    let seed = SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
    eprintln!("seed {seed}, an undisturbed run takes {duration} µs for {epochs} epochs");
    let mut random = Random(seed.into());
    let wanted = std::env::var("TALLYBOOK_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let (mut kills, mut resumed, mut rounds) = (0, 0, 0);
    while kills < wanted {
        rounds += 1;
        let data = format!("killed-{rounds}");
        begin(&place.path(&data), &place.path("undisturbed"));
        let mut is_done = false;
        while !is_done && kills < wanted {
            let mut command = command(&place, &data);
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            thread::sleep(Duration::from_micros(random.below(duration)));
            child.kill().unwrap();
            is_done = child.wait().unwrap().success();
            kills += u32::from(!is_done);
            resumed += u32::from(!is_done && has_some(&place.path(&data)));
        }
        let last = finish(&place, &data);
        assert_eq!(last["data"], undisturbed["data"], "round {rounds}");
        check_same_files(&place.path("undisturbed"), &place.path(&data));
        assert_eq!(answers(&place, &data), expected, "round {rounds}");
        fs::remove_dir_all(place.path(&data)).unwrap();
    }
    eprintln!("{kills} kills in {rounds} rounds, {resumed} with some of the epochs committed");
    assert!(resumed > wanted / 10, "{resumed} of {kills} kills were in the middle");
}

/// Are there epochs, but no tables yet, which are made when all are committed?
fn has_some(data: &Path) -> bool {
    let has_epochs = fs::read_dir(data.join("ledger/0")).is_ok_and(|mut segments| segments.next().is_some());
    has_epochs && !data.join("tables/rated_usage/_delta_log").exists()
}

/// What queries say that does not depend on when epochs were committed.
fn answers(place: &Workplace, data: &str) -> String {
    let queries = "
        SELECT count(*), sum(amount), sum(quantity) FROM rated_usage;
        SELECT epoch, meter_id, currency, count(*), sum(amount) FROM rated_usage GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
        SELECT count(*), sum(delta_amount), sum(delta_amount_exact), sum(delta_event_count) FROM accruals;
        SELECT class, reason, count(*) FROM open_quarantine GROUP BY 1, 2 ORDER BY 1, 2;
        SELECT * EXCLUDE (recorded_at, previous, hash) FROM epochs ORDER BY epoch;
        SELECT sum(received), sum(abs(missing)) FROM conservation;
        SELECT sum(rated), sum(accrued), sum(abs(missing)) FROM reconciliation;";
    let called = place.call(&["query", "--format", "csv", "--data", data, queries]);
    assert_eq!(called.code, 0, "{}", called.stderr);
    called.stdout
}

#[test]
fn f11_a_run_that_finds_no_memory_ends_and_the_next_one_goes_on() {
    let place = Workplace::new();
    let generate = ["generate", "--events", "20000", "--accounts", "100", "--output", "workload"];
    assert_eq!(place.call(&generate).code, 0);
    let undisturbed = finish(&place, "undisturbed");
    let program = env!("CARGO_BIN_EXE_tallybook");
    let arguments = "run -q -c workload/catalog -d data workload/usage --epoch-events 1000 --threads 1";
    let mut failed = 0;
    for mebibytes in (50..5_000).step_by(50) {
        let script = format!("ulimit -v {}; exec {program} {arguments}", mebibytes << 10);
        let mut command = Command::new("bash");
        let command = command.args(["-c", &script]).current_dir(place.path(""));
        if command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success() {
            break;
        }
        failed += 1;
    }
    assert!(failed > 0, "it needs no memory");
    let last = finish(&place, "data");
    for figure in ["received", "rated", "duplicate"] {
        assert!(last["data"][figure].is_number());
        assert_eq!(last["data"][figure], undisturbed["data"][figure], "{figure}");
    }
    let count = |data: &str| {
        let sql = "SELECT count(*), sum(amount) FROM rated_usage";
        place.call(&["query", "--format", "csv", "--data", data, sql]).stdout
    };
    assert_eq!(count("data"), count("undisturbed"));
    let doctor = place.call(&["doctor", "data"]);
    assert_eq!(doctor.code, 0, "{}", doctor.stdout);
}
