//! The pipeline on a machine that crashes, tears and forgets, against an auditor that shares no code with it.
//!
//! ```text
//! cargo test -p aggregate --test simulation -- [NAME] [--seeds N] [--seed S] [--enumerate]
//! ```
//!
//! `--seeds` is the number of schedules, `--seed` repeats one, `--enumerate` tries every place for a fault instead of
//! some, and every place in the recoveries from 100 of them. A name runs what has it in its name.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod auditor;
mod calendar;
mod careless;
mod catalog;
mod disk;
mod enumeration;
#[expect(clippy::panic, reason = "a test fails by panicking")]
mod faults;
mod history;
#[path = "../../../ingest/tests/ingest/random.rs"]
mod random;
mod subject;
mod tallybook;
mod workers;
mod workload;
mod world;

use std::fmt;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use careless::{Careless, Fault};
use random::Random;
use subject::Program;
use tallybook::Tallybook;
use workers::first_failure;
use world::{Plan, Ran, Size, World, run};

/// Seeds in which a careless disk must be seen.
const SEEDS_OF_CARE: u64 = 200;

/// Seeds whose runs are enumerated.
const SEEDS_ENUMERATED: u64 = 4;

/// Seeds that are run twice.
const SEEDS_REPEATED: u64 = 20;

/// What the command line asks for.
struct Options {
    name: String,
    seeds: u64,
    seed: Option<u64>,
    is_complete: bool,
}

impl Options {
    fn read() -> Option<Self> {
        let mut options = Self { name: String::new(), seeds: 40, seed: None, is_complete: false };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--seeds" => options.seeds = arguments.next()?.parse().ok()?,
                "--seed" => options.seed = Some(arguments.next()?.parse().ok()?),
                "--enumerate" => options.is_complete = true,
                name if !name.starts_with('-') => name.clone_into(&mut options.name),
                // What other test programs of the run are told.
                _ => {}
            }
        }
        Some(options)
    }

    fn asks_for(&self, name: &str) -> bool {
        name.contains(&self.name)
    }
}

fn main() -> ExitCode {
    let Some(options) = Options::read() else {
        eprintln!("usage: [NAME] [--seeds N] [--seed S] [--enumerate]");
        return ExitCode::from(2);
    };
    let checks = disk::checks::CHECKS.iter().chain(auditor::checks::CHECKS);
    for (name, check) in checks.filter(|(name, _)| options.asks_for(name)) {
        check();
        println!("{name}");
    }
    let program = Tallybook::new();
    for (name, test) in faults::TESTS.iter().filter(|(name, _)| options.asks_for(name)) {
        test(&program);
        println!("{name}");
    }
    let result = simulate(&program, &options)
        .and_then(|()| repeat(&program, &options))
        .and_then(|()| enumerate(&program, &options))
        .and_then(|()| be_careless(&options));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("{what}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the schedules of seeds.
fn simulate<P: Program>(program: &P, options: &Options) -> Result<(), String> {
    let name = "schedules_of_seeds_keep_every_promise";
    if !options.asks_for(name) {
        return Ok(());
    }
    let seeds = options.seed.map_or(0..options.seeds, |seed| seed..seed + 1);
    let plans: Vec<Plan> = seeds.map(Plan::random).collect();
    report(name, program, &plans)
}

/// A seed is a proof only if it goes the same way again: the same calls with the same bytes.
fn repeat<P: Program>(program: &P, options: &Options) -> Result<(), String> {
    let name = "a_seed_makes_the_same_calls_again";
    if !options.asks_for(name) {
        return Ok(());
    }
    let seeds = options.seed.map_or(0..SEEDS_REPEATED, |seed| seed..seed + 1);
    let plans: Vec<Plan> = seeds.map(Plan::random).collect();
    let failure = first_failure(&plans, |plan| {
        let (first, again) = (run(program, plan)?, run(program, plan)?);
        if first.calls == again.calls { Ok(()) } else { Err("its calls differ".to_owned()) }
    });
    if let Some((position, what)) = failure {
        return Err(format!("{name}: seed {}: {what}", plans[position].seed));
    }
    println!("{name}: {} seeds", plans.len());
    Ok(())
}

/// Runs every place for a fault, or some of them.
fn enumerate<P: Program>(program: &P, options: &Options) -> Result<(), String> {
    let names = [
        "a_crash_at_any_call_loses_nothing",
        "an_error_of_any_call_loses_nothing",
        "a_crash_at_any_call_of_a_recovery_loses_nothing",
    ];
    if !names.iter().any(|name| options.asks_for(name)) {
        return Ok(());
    }
    let [of_crashes, of_errors, of_recoveries] = names;
    let seed = options.seed.unwrap_or(0);
    let mut random = Random::new(seed);
    let all = options.is_complete;
    let mut some = |mut plans: Vec<Plan>, count: usize| {
        random.shuffle(&mut plans);
        plans.truncate(count);
        plans
    };
    let limit = |count| if all { usize::MAX } else { count };
    let (mut crashes, mut errors) = (Vec::new(), Vec::new());
    let seeds = if all && options.seed.is_none() { SEEDS_ENUMERATED } else { 1 };
    for seed in seed..seed + seeds {
        for size in [Size::Small, Size::Large] {
            crashes.extend(enumeration::crashes(program, size, seed)?);
            errors.extend(enumeration::errors(program, size, seed)?);
        }
    }
    if options.asks_for(of_crashes) {
        println!("{} crashes", crashes.len());
        report(of_crashes, program, &some(crashes.clone(), limit(40)))?;
    }
    if options.asks_for(of_errors) {
        println!("{} errors", errors.len());
        report(of_errors, program, &some(errors, limit(40)))?;
    }
    if options.asks_for(of_recoveries) {
        let mut sum = Sum::default();
        for first in some(crashes, if all { 100 } else { 5 }) {
            let mut world = World::new(program, &first);
            let result = world.live_through(&first.processes);
            result.map_err(|what| format!("{of_recoveries}: {what}"))?;
            let plans = some(enumeration::crashes_in_recovery(&world, &first)?, limit(10));
            sum.add_all(of_recoveries, &plans, |plan| {
                let mut world = world.fork();
                let result = world.live_through(&plan.processes[first.processes.len()..]);
                let result = result.and_then(|()| world.finish());
                world.tell(plan, result)
            })?;
        }
        println!("{of_recoveries}: {sum}");
    }
    Ok(())
}

/// The simulation must see that a disk does not do what is asked of it.
fn be_careless(options: &Options) -> Result<(), String> {
    for fault in Fault::ALL {
        let name = format!("a_disk_that_{fault:?}_is_seen");
        if !options.asks_for(&name) {
            continue;
        }
        let program = Careless { program: Tallybook::new(), fault };
        let mut plans: Vec<Plan> = (0..SEEDS_OF_CARE).map(Plan::random).collect();
        if fault == Fault::TriesAFailedSyncAgain {
            plans = enumeration::errors(&program, Size::Small, 0)?;
        }
        let Some((position, what)) = first_failure(&plans, |plan| run(&program, plan).map(drop)) else {
            return Err(format!("{name}: not in {} runs", plans.len()));
        };
        println!("{name}: run {position}, {}", what.lines().next().unwrap_or_default());
    }
    Ok(())
}

/// What runs come to.
#[derive(Default)]
struct Sum {
    runs: usize,
    epochs: usize,
    events: usize,
    calls: usize,
    faults: usize,
    time: Duration,
}

impl Sum {
    /// Runs plans on all cores.
    fn add_all(
        &mut self,
        name: &str,
        plans: &[Plan],
        run: impl Fn(&Plan) -> Result<Ran, String> + Sync,
    ) -> Result<(), String> {
        let start = Instant::now();
        let sum = Mutex::new(self);
        let failure = first_failure(plans, |plan| {
            let ran = run(plan)?;
            let mut sum = sum.lock().unwrap();
            sum.runs += 1;
            sum.epochs += ran.epochs;
            sum.events += ran.events;
            sum.calls += ran.calls.iter().map(Vec::len).sum::<usize>();
            sum.faults += ran.faults;
            Ok(())
        });
        sum.into_inner().unwrap().time += start.elapsed();
        let Some((position, what)) = failure else { return Ok(()) };
        let seed = plans[position].seed;
        Err(format!("{name}: seed {seed} (repeat with `-- {name} --seed {seed}`): {what}"))
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, epochs, events, calls, faults, time } = self;
        write!(formatter, "{runs} runs, {epochs} epochs, {events} events sent, {calls} calls, ")?;
        write!(formatter, "{faults} processes with faults, {} ms", time.as_millis())
    }
}

fn report<P: Program>(name: &str, program: &P, plans: &[Plan]) -> Result<(), String> {
    let mut sum = Sum::default();
    sum.add_all(name, plans, |plan| run(program, plan))?;
    println!("{name}: {sum}");
    Ok(())
}
