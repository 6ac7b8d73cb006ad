//! A test for each fault of process and disk that can be simulated, by the number that it has in the list of faults.

use crate::disk::{Call, CallKind, Crash, CrashKind, DiskError, Effect, Faults, Machine, Space, Survival};
use crate::random::Random;
use crate::subject::{Batch, Process, Program, Stop, Work};
use crate::tallybook::{Tallybook, TallybookProcess};
use crate::workers::first_failure;
use crate::workload::Workload;
use crate::world::{Plan, ProcessPlan, run};

/// A fault that has a test of its own, by name.
type FaultTest = (&'static str, fn(&Tallybook));

pub(crate) const TESTS: &[FaultTest] = &[
    ("f01_a_process_that_is_killed_loses_nothing", killed),
    ("f02_a_loss_of_power_loses_nothing", power_lost),
    ("f03_a_torn_end_of_the_ledger_is_cut_and_no_more", torn),
    ("f04_names_that_were_not_synced_are_lost_alone", names_lost),
    ("f05_a_failed_sync_is_never_tried_again_and_nothing_is_answered", sync_fails),
    ("f06_a_bit_that_was_turned_around_is_found", bit_turned_around),
    ("f07_bytes_from_another_place_or_time_are_found", misdirected),
    ("f08_a_full_disk_loses_nothing_and_goes_on_with_space", full),
    ("f09_a_disk_that_takes_no_writes_is_said_and_changes_nothing", read_only),
    ("f12_a_second_process_is_kept_out", second_process),
    ("f13_another_format_is_said_and_changes_nothing", other_format),
];

const NOW: i64 = 1_800_000_000_000_000;

/// Places that are tried of all there are.
const TRIED: usize = 25;

/// The calls of the first process of a plan in which nothing goes wrong.
fn calls(program: &Tallybook, seed: u64) -> Vec<Call> {
    let plan = Plan { seed, processes: vec![ProcessPlan::calm()], ..Plan::default() };
    run(program, &plan).unwrap().calls.swap_remove(0)
}

/// Runs plans with faults at some of the calls that are of interest.
fn try_some(program: &Tallybook, is_tried: impl Fn(&Call) -> bool, faults: impl Fn(&Call, u64) -> Faults) {
    let mut random = Random::new(1);
    let mut plans = Vec::new();
    for seed in 0.. {
        let mut calls: Vec<Call> = calls(program, seed).into_iter().filter(&is_tried).collect();
        random.shuffle(&mut calls);
        for call in calls.iter().take(TRIED / 3) {
            let process = ProcessPlan::with(faults(call, random.next()));
            plans.push(Plan { seed, processes: vec![process], ..Plan::default() });
        }
        if plans.len() >= TRIED {
            break;
        }
    }
    run_all(program, &plans);
}

fn run_all(program: &Tallybook, plans: &[Plan]) {
    let failure = first_failure(plans, |plan| run(program, plan).map(drop));
    assert_eq!(failure, None);
}

fn crash(call: &Call, effect: Effect, kind: CrashKind) -> Faults {
    Faults { crash: Some(Crash { call: call.number, effect, kind }), ..Faults::default() }
}

fn killed(program: &Tallybook) {
    try_some(
        program,
        |call| call.kind.changes_something(),
        |call, seed| {
            let effects = [Effect::None, Effect::Part, Effect::Whole];
            crash(call, effects[Random::new(seed).below(3)], CrashKind::Kill)
        },
    );
}

fn power_lost(program: &Tallybook) {
    try_some(
        program,
        |call| call.kind.changes_something(),
        |call, seed| crash(call, Effect::Part, CrashKind::PowerLoss(Survival::Some(seed))),
    );
}

fn torn(program: &Tallybook) {
    let is_epoch = |call: &Call| call.kind == CallKind::Write && call.name.ends_with(".epochs");
    try_some(program, is_epoch, |call, seed| {
        crash(call, Effect::Part, CrashKind::PowerLoss(Survival::Some(seed)))
    });
    // What follows the last marker is cut, and the epochs before it are there.
    let (machine, name) = committed(program, 5);
    let before = machine.files()[&name].clone();
    machine.put(&name, &[&before[..], b"EPOC and what was not written"].concat());
    drop(open(program, &machine).unwrap());
    assert!(machine.files()[&name] == before, "only the torn end is cut");
}

fn names_lost(program: &Tallybook) {
    try_some(
        program,
        |call| matches!(call.kind, CallKind::SyncDirectory | CallKind::CreateDirectory),
        |call, _| crash(call, Effect::None, CrashKind::PowerLoss(Survival::Nothing)),
    );
}

fn sync_fails(program: &Tallybook) {
    let is_sync = |call: &Call| matches!(call.kind, CallKind::Sync | CallKind::SyncDirectory);
    try_some(program, is_sync, |call, _| Faults {
        errors: [(call.number, DiskError::Broken)].into(),
        ..Faults::default()
    });
    let machine = Machine::new(1);
    let first = machine.start(Faults::default());
    let mut process = program.open(&first, NOW).unwrap();
    send(&mut process, 1);
    process.commit(true, NOW).unwrap();
    let syncs = |calls: &[Call]| calls.iter().filter(|call| call.kind == CallKind::Sync).count();
    send(&mut process, 2);
    // The next sync of the segment fails.
    machine.fail_next(&first, CallKind::Sync);
    let done = syncs(&first.calls());
    let failed = process.commit(true, NOW).unwrap_err();
    assert!(matches!(&failed, Stop::Failed(text) if text.contains("start it again")), "{failed:?}");
    for _ in 0..3 {
        assert!(matches!(process.commit(true, NOW), Err(Stop::Failed(_))));
    }
    assert_eq!(syncs(&first.calls()), done + 1, "it is not tried again");
}

fn bit_turned_around(program: &Tallybook) {
    let plan = |damage| {
        let damaged = ProcessPlan { damage: Some(damage), ..ProcessPlan::calm() };
        Plan { seed: damage % 4, processes: vec![ProcessPlan::calm(), damaged], ..Plan::default() }
    };
    run_all(program, &(0..TRIED as u64).map(plan).collect::<Vec<_>>());
    let (machine, name) = committed(program, 5);
    machine.flip(&name, 1_000, 3);
    let Err(Stop::Corrupt(text)) = open(program, &machine).map(drop) else { panic!("it is not found") };
    assert!([&name, "byte", "expected", "found"].iter().all(|word| text.contains(*word)), "{text}");
}

fn misdirected(program: &Tallybook) {
    let (machine, last) = committed(program, 12);
    open(program, &machine).unwrap().maintain(Work::Checkpoint, NOW).unwrap();
    let segments = || machine.files().into_iter().filter(|(name, _)| name.ends_with(".epochs"));
    let (first, first_bytes) = segments().next().unwrap();
    assert_ne!(first, last, "there are several segments");
    let last_bytes = machine.files()[&last].clone();
    let is_found = |name: &str, bytes: &[u8], what: &str| {
        let before = machine.files()[name].clone();
        machine.put(name, bytes);
        let opened = open(program, &machine).map(drop);
        assert!(matches!(opened, Err(Stop::Corrupt(_))), "{what}: {opened:?}");
        machine.put(name, &before);
    };
    is_found(&last, &first_bytes, "a segment in the place of another");
    let (other, other_last) = committed_on(program, Machine::new(2), 12);
    assert_eq!(last, other_last, "they have the same segments");
    is_found(&last, &other.files()[&last], "a segment of another ledger");
    // An older version, from before the epochs that a checkpoint is of.
    let older = last_bytes.len() / 2;
    is_found(&last, &last_bytes[..older], "a segment as it was");
    machine.remove(&last);
    assert!(matches!(open(program, &machine).map(drop), Err(Stop::Corrupt(_))), "a segment is missing");
    // Without a checkpoint all of them are read.
    is_found_at_first(program, &other, &first, &other_last);
}

fn is_found_at_first(program: &Tallybook, machine: &Machine, first: &str, last: &str) {
    let bytes = machine.files()[last].clone();
    machine.put(first, &bytes);
    let opened = open(program, machine).map(drop);
    assert!(
        matches!(opened, Err(Stop::Corrupt(_))),
        "the last segment in the place of the first: {opened:?}"
    );
}

fn full(program: &Tallybook) {
    let mut plans = Vec::new();
    for seed in 0..3 {
        for bytes in [0, 300, 3_000, 20_000, 60_000, 120_000, 200_000] {
            let faults = Faults { space: Some(Space { bytes, until: u64::MAX }), ..Faults::default() };
            let processes = vec![ProcessPlan::with(faults.clone()), ProcessPlan::with(faults)];
            plans.push(Plan { seed, processes, ..Plan::default() });
        }
    }
    run_all(program, &plans);
}

fn read_only(program: &Tallybook) {
    let (machine, _) = committed(program, 4);
    let before = machine.files();
    let errors = (0..10_000).map(|call| (call, DiskError::ReadOnly)).collect();
    let disk = machine.start(Faults { errors, ..Faults::default() });
    let opened = program.open(&disk, NOW).map(drop);
    assert!(matches!(&opened, Err(Stop::Failed(text)) if text.contains("Read-only")), "{opened:?}");
    assert!(machine.files() == before, "nothing is changed");
    assert!(disk.calls().len() < 100, "nothing is tried again and again");
    machine.crash(&disk, CrashKind::Kill);
    open(program, &machine).unwrap();
}

fn second_process(program: &Tallybook) {
    let machine = Machine::new(1);
    let first = machine.start(Faults::default());
    let mut process = program.open(&first, NOW).unwrap();
    for number in 0..3 {
        let before = machine.files();
        assert_eq!(open(program, &machine).map(drop), Err(Stop::Busy));
        assert!(machine.files() == before, "the second one changes nothing");
        send(&mut process, number);
        process.commit(true, NOW).unwrap();
    }
    machine.crash(&first, CrashKind::Kill);
    open(program, &machine).unwrap();
}

fn other_format(program: &Tallybook) {
    let (machine, segment) = committed(program, 4);
    let replaced = |name: &str, from: &[u8], to: &[u8]| {
        let mut bytes = machine.files()[name].clone();
        let at = bytes.windows(from.len()).position(|part| part == from).unwrap();
        bytes.splice(at..at + from.len(), to.iter().copied());
        bytes
    };
    for (name, bytes) in [
        ("tallybook.json", replaced("tallybook.json", b"\"format\": 1", b"\"format\": 2")),
        (&segment, replaced(&segment, b"tallybook-ledger\x01", b"tallybook-ledger\x02")),
    ] {
        let sound = machine.files()[name].clone();
        machine.put(name, &bytes);
        let before = machine.files();
        let opened = open(program, &machine).map(drop);
        let is_said = |text: &String| text.contains("format 2") && text.contains("use a newer one");
        assert!(matches!(&opened, Err(Stop::Corrupt(text)) if is_said(text)), "{name}: {opened:?}");
        assert!(machine.files() == before, "{name}: nothing is changed");
        machine.put(name, &sound);
    }
    open(program, &machine).unwrap();
}

/// A machine whose ledger has so many epochs, and the name of its newest segment.
fn committed(program: &Tallybook, epochs: u64) -> (Machine, String) {
    committed_on(program, Machine::new(1), epochs)
}

fn committed_on(program: &Tallybook, machine: Machine, epochs: u64) -> (Machine, String) {
    let disk = machine.start(Faults::default());
    let mut process = program.open(&disk, NOW).unwrap();
    for number in 0..epochs {
        send(&mut process, number);
        process.commit(number % 2 == 1, NOW).unwrap();
    }
    process.close().unwrap();
    machine.crash(&disk, CrashKind::Kill);
    let last = machine.files().into_keys().rfind(|name| name.ends_with(".epochs")).unwrap();
    (machine, last)
}

/// Opens the directory in a process of its own, which ends with what is returned.
fn open(program: &Tallybook, machine: &Machine) -> Result<TallybookProcess, Stop> {
    program.open(&machine.start(Faults::default()), NOW)
}

fn send(process: &mut TallybookProcess, number: u64) {
    let events = Workload::new(&mut Random::new(number), 8).pushed;
    process.send(&Batch { events, place: None }).unwrap();
}
