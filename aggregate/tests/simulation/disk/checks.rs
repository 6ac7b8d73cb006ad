//! The simulated disk against its own promise, and against a directory of the operating system.

use std::collections::BTreeSet;
use std::io::{self, Write};

use aggregate::disk::{DirectoryDisk, Disk, DiskFile, read, replace};

use super::{Crash, CrashKind, DiskError, Effect, Faults, Machine, SimDisk, Space, Survival};
use crate::random::Random;

pub(crate) const CHECKS: &[(&str, fn())] = &[
    ("disk_without_faults_it_does_what_a_directory_does", without_faults_it_does_what_a_directory_does),
    ("disk_what_was_synced_survives_every_crash", what_was_synced_survives_every_crash),
    ("disk_what_was_not_synced_survives_whole_torn_or_not", what_was_not_synced_survives_whole_torn_or_not),
    ("disk_a_name_that_was_not_synced_can_be_lost", a_name_that_was_not_synced_can_be_lost),
    ("disk_a_renamed_file_has_one_name_and_a_linked_one_or_two", a_renamed_file_has_one_name),
    ("disk_a_killed_process_leaves_its_writes_to_the_next", a_killed_process_leaves_its_writes_to_the_next),
    ("disk_a_failed_sync_loses_what_readers_still_see", a_failed_sync_loses_what_readers_still_see),
    ("disk_a_full_disk_takes_a_part_and_then_nothing", a_full_disk_takes_a_part_and_then_nothing),
    ("disk_an_error_comes_at_its_call_only", an_error_comes_at_its_call_only),
    ("disk_a_lock_ends_with_its_process", a_lock_ends_with_its_process),
    ("disk_a_process_that_ended_does_nothing", a_process_that_ended_does_nothing),
    ("disk_a_seed_repeats_everything", a_seed_repeats_everything),
];

const NAMES: [&str; 6] = ["a", "b", "x/a", "x/b", "x/y/a", "x/y/b"];

/// A call at random; what it said.
fn step(disk: &dyn Disk, files: &mut Vec<Box<dyn DiskFile>>, random: &mut Random) -> String {
    let (name, other) = (random.pick(&NAMES), random.pick(&NAMES));
    let told = |result: io::Result<()>| result.map_err(|error| error.kind());
    let length = random.below(1500);
    let bytes: Vec<u8> = (0..length).map(|_| u8::try_from(random.below(255) + 1).unwrap()).collect();
    let held = random.below(files.len().max(1));
    let choice = random.below(14);
    // A file that was created is written to where its handle stands, not after its end.
    if matches!(choice, 0 | 1 | 11) {
        files.clear();
    }
    match choice {
        0 => format!("{:?}", told(disk.create(name).map(|file| files.push(file)))),
        1 => format!("{:?}", told(disk.append(name).map(|file| files.push(file)))),
        2..=4 => match files.get_mut(held) {
            Some(file) => format!("{:?}", told(file.write_all(&bytes))),
            None => String::new(),
        },
        5 => match files.get_mut(held) {
            Some(file) => format!("{:?}", told(file.sync())),
            None => String::new(),
        },
        6 => format!("{:?}", disk.list(["", "x", "x/y", "z"][random.below(4)]).map_err(|error| error.kind())),
        7 => format!("{:?}", told(disk.create_directory(["x", "x/y"][random.below(2)]))),
        // A file that takes its own place is left where it is by a rename, and refused by a link.
        8 => format!("{:?}", told(disk.rename(name, other))),
        9 => format!("{:?}", told(disk.rename_new(name, other))),
        10 => format!("{:?}", told(disk.remove(name))),
        11 => {
            let length = read(disk, name).map_or(0, |bytes| bytes.len());
            format!("{:?}", told(disk.cut(name, random.below(length + 1) as u64)))
        }
        12 => format!("{:?}", told(disk.sync_directory(["", "x", "x/y"][random.below(3)]))),
        _ => format!("{:?}", read(disk, name).map_err(|error| error.kind())),
    }
}

fn without_faults_it_does_what_a_directory_does() {
    for seed in 0..150 {
        let place = tempfile::tempdir().unwrap();
        let directory = DirectoryDisk::new(place.path());
        let machine = Machine::new(seed);
        let simulated = machine.start(Faults::default());
        let (mut left, mut right) = (Random::new(seed), Random::new(seed));
        let (mut left_files, mut right_files) = (Vec::new(), Vec::new());
        for at in 0..80 {
            let said = step(&directory, &mut left_files, &mut left);
            assert_eq!(said, step(&simulated, &mut right_files, &mut right), "seed {seed}, call {at}");
        }
        for name in NAMES {
            assert!(read(&directory, name).ok() == read(&simulated, name).ok(), "seed {seed}, {name}");
        }
    }
}

fn some(seed: u64) -> CrashKind {
    CrashKind::PowerLoss(Survival::Some(seed))
}

fn what_was_synced_survives_every_crash() {
    for seed in 0..300 {
        let machine = Machine::new(seed);
        let disk = machine.start(Faults::default());
        let mut random = Random::new(seed);
        disk.create_directory("x/y").unwrap();
        let mut kept = Vec::new();
        for number in 0..12 {
            let name = format!("x/y/{number}");
            let mut file = disk.create(&name).unwrap();
            let (first, second) = (vec![1; random.below(2000)], vec![2; random.below(2000)]);
            file.write_all(&first).unwrap();
            file.sync().unwrap();
            let what = random.below(4);
            if what < 2 {
                disk.rename(&name, &format!("x/{number}")).unwrap();
                disk.sync_directory("x").unwrap();
                kept.push((format!("x/{number}"), first));
            } else if what < 3 {
                disk.sync_directory("x/y").unwrap();
                kept.push((name, first));
            }
            file.write_all(&second).unwrap();
        }
        if random.once_in(2) {
            machine.crash(&disk, CrashKind::Kill);
        }
        machine.crash(&disk, some(seed));
        let files = machine.files();
        for (name, bytes) in kept {
            assert!(files[&name].starts_with(&bytes), "seed {seed}: {name}");
        }
    }
}

/// A file with a durable name and these bytes unsynced, after a loss of power.
fn unsynced(seed: u64, writes: &[&[u8]]) -> Vec<u8> {
    let machine = Machine::new(0);
    let disk = machine.start(Faults::default());
    let mut file = disk.create("file").unwrap();
    disk.sync_directory("").unwrap();
    for bytes in writes {
        file.write_all(bytes).unwrap();
    }
    machine.crash(&disk, some(seed));
    machine.files().remove("file").unwrap()
}

fn what_was_not_synced_survives_whole_torn_or_not() {
    let (first, second) = (vec![1; 1300], vec![2; 1300]);
    let outcomes: BTreeSet<Vec<u8>> = (0..400).map(|seed| unsynced(seed, &[&first, &second])).collect();
    let whole = [first.clone(), second.clone()].concat();
    assert!(outcomes.contains(&Vec::new()) && outcomes.contains(&whole) && outcomes.contains(&first));
    let has = |holds: fn(&[u8]) -> bool| outcomes.iter().any(|bytes| holds(bytes));
    assert!(has(|bytes| bytes.len() % 512 != 0 && bytes.len() < 1300), "torn at any byte");
    assert!(has(|bytes| bytes.len() == 2600 && bytes[..512] == [0; 512] && bytes[512] == 1), "a lost sector");
    assert!(
        has(|bytes| bytes.len() == 2600 && bytes[..1300] == [0; 1300] && bytes[1300] == 2),
        "later alone"
    );
    assert!(
        has(|bytes| bytes.len() == 2600 && bytes.iter().all(|byte| *byte == 0)),
        "a length without bytes"
    );
}

fn a_name_that_was_not_synced_can_be_lost() {
    let names = |seed| {
        let machine = Machine::new(0);
        let disk = machine.start(Faults::default());
        disk.create("one").unwrap().sync().unwrap();
        disk.create("two").unwrap().sync().unwrap();
        machine.crash(&disk, some(seed));
        machine.files().into_keys().collect::<Vec<_>>()
    };
    let outcomes: BTreeSet<Vec<String>> = (0..100).map(names).collect();
    assert_eq!(outcomes.len(), 4, "each name alone: {outcomes:?}");
}

fn a_renamed_file_has_one_name() {
    let names = |seed, is_new| {
        let machine = Machine::new(0);
        let disk = machine.start(Faults::default());
        replace(&disk, "old", b"bytes").unwrap();
        if is_new { disk.rename_new("old", "new") } else { disk.rename("old", "new") }.unwrap();
        machine.crash(&disk, some(seed));
        let files = machine.files();
        assert!(files.values().all(|bytes| bytes == b"bytes"));
        files.into_keys().collect::<Vec<_>>().join(" ")
    };
    let outcomes = |is_new| (0..100).map(|seed| names(seed, is_new)).collect::<BTreeSet<_>>();
    assert_eq!(outcomes(false), ["new", "old"].map(str::to_owned).into());
    assert_eq!(outcomes(true), ["new", "new old", "old"].map(str::to_owned).into());
    // Between directories a sync of one keeps what its names need of the other.
    for (is_new, left) in [(false, vec!["y/new"]), (true, vec!["x/old", "y/new"])] {
        let machine = Machine::new(0);
        let disk = machine.start(Faults::default());
        disk.create_directory("x").and_then(|()| disk.create_directory("y")).unwrap();
        disk.create("x/old").unwrap().sync().unwrap();
        if is_new { disk.rename_new("x/old", "y/new") } else { disk.rename("x/old", "y/new") }.unwrap();
        disk.sync_directory("y").unwrap();
        machine.crash(&disk, CrashKind::PowerLoss(Survival::Nothing));
        assert_eq!(machine.files().into_keys().collect::<Vec<_>>(), left);
    }
}

fn a_killed_process_leaves_its_writes_to_the_next() {
    let machine = Machine::new(0);
    let disk = machine.start(Faults::default());
    disk.create("file").unwrap().write_all(b"bytes").unwrap();
    machine.crash(&disk, CrashKind::Kill);
    let next = machine.start(Faults::default());
    assert_eq!(read(&next, "file").unwrap(), b"bytes");
    machine.crash(&next, CrashKind::PowerLoss(Survival::Nothing));
    assert!(machine.files().is_empty());
}

fn a_failed_sync_loses_what_readers_still_see() {
    let failing = Faults { errors: [(3, DiskError::Broken)].into(), ..Faults::default() };
    let outcomes: BTreeSet<Vec<u8>> = (0..60)
        .map(|seed| {
            let machine = Machine::new(seed);
            let disk = machine.start(failing.clone());
            let mut file = disk.create("file").unwrap();
            disk.sync_directory("").unwrap();
            file.write_all(b"lost").unwrap();
            file.sync().unwrap_err();
            file.sync().unwrap();
            assert_eq!(read(&disk, "file").unwrap(), b"lost");
            machine.crash(&disk, CrashKind::Kill);
            machine.files().remove("file").unwrap()
        })
        .collect();
    assert!(outcomes.contains(&b""[..]) && outcomes.contains(&b"lost"[..]), "{outcomes:?}");
}

fn a_full_disk_takes_a_part_and_then_nothing() {
    let machine = Machine::new(0);
    let space = Some(Space { bytes: 10, until: 4 });
    let disk = machine.start(Faults { space, ..Faults::default() });
    let mut file = disk.create("file").unwrap();
    assert_eq!(file.write(&[1; 8]).unwrap(), 8);
    assert_eq!(file.write(&[2; 8]).unwrap(), 2);
    assert_eq!(file.write(&[2; 6]).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!((file.write(&[2; 6]).unwrap(), disk.faults_met()), (6, 1));
}

fn an_error_comes_at_its_call_only() {
    let errors = [(1, DiskError::Interrupted), (3, DiskError::Interrupted), (4, DiskError::NoSpace)].into();
    let machine = Machine::new(0);
    let disk = machine.start(Faults { errors, ..Faults::default() });
    let mut file = disk.create("file").unwrap();
    assert_eq!(file.write(b"a").unwrap_err().kind(), io::ErrorKind::Interrupted);
    assert_eq!(file.write(b"a").unwrap(), 1);
    file.sync().unwrap();
    disk.create("other").map(drop).unwrap_err();
    assert_eq!((disk.faults_met(), disk.list("").unwrap()), (2, vec!["file".to_owned()]));
}

fn a_lock_ends_with_its_process() {
    let machine = Machine::new(0);
    let (first, second) = (machine.start(Faults::default()), machine.start(Faults::default()));
    let held = first.lock("lock").unwrap();
    assert_eq!(second.lock("lock").map(drop).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    machine.crash(&first, CrashKind::Kill);
    let taken = second.lock("lock").unwrap();
    drop(held);
    let third = machine.start(Faults::default());
    third.lock("lock").map(drop).unwrap_err();
    drop(taken);
    third.lock("lock").unwrap();
    assert_eq!(third.held_most(), 1);
}

fn a_process_that_ended_does_nothing() {
    for effect in [Effect::None, Effect::Part, Effect::Whole] {
        let machine = Machine::new(3);
        let crash = Some(Crash { call: 1, effect, kind: CrashKind::Kill });
        let disk = machine.start(Faults { crash, ..Faults::default() });
        let mut file = disk.create("file").unwrap();
        file.write(&[7; 100]).unwrap_err();
        let written = machine.files()["file"].len();
        assert!(
            !disk.is_running()
                && (effect == Effect::Part || written == usize::from(effect == Effect::Whole) * 100)
        );
        file.write(b"later").unwrap_err();
        disk.create("later").map(drop).unwrap_err();
        assert_eq!((machine.files().len(), machine.files()["file"].len()), (1, written));
    }
}

fn a_seed_repeats_everything() {
    let run = |seed: u64| {
        let machine = Machine::new(seed);
        let crash = Some(Crash { call: 40, effect: Effect::Part, kind: some(seed) });
        let errors = [(20, DiskError::Broken), (30, DiskError::Broken)].into();
        let disk: SimDisk = machine.start(Faults { crash, errors, space: None });
        let (mut random, mut files) = (Random::new(seed), Vec::new());
        while disk.is_running() {
            step(&disk, &mut files, &mut random);
        }
        let calls: Vec<String> = machine.calls().iter().map(ToString::to_string).collect();
        (calls, machine.files())
    };
    for seed in 0..30 {
        assert_eq!(run(seed), run(seed));
    }
}
