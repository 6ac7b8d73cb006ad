//! Clients of the service on a machine that crashes, fails and forgets: everything but the connections is real.
//!
//! ```text
//! cargo test -p service --test simulation -- [--seeds N] [--seed S]
//! ```
//!
//! What goes wrong, what is sent and where a process crashes follow from a seed; who comes first among the threads of an
//! engine and its clients does not, so a seed that fails is repeated more than once.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod client;
mod oracle;
#[path = "../../../ingest/tests/ingest/random.rs"]
#[allow(dead_code, reason = "what other tests use of it")]
mod random;
mod reader;
mod service_process;
mod world;

/// The machine of the simulation below the service.
#[path = "../../../aggregate/tests/simulation"]
mod machine {
    #[allow(dead_code, reason = "what the other simulation uses of it")]
    pub(crate) mod disk;
}

#[path = "../http/support.rs"]
#[allow(
    dead_code,
    clippy::panic,
    clippy::format_push_string,
    clippy::needless_pass_by_value,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what other tests use of it"
)]
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use world::{Ran, run};

/// What the command line asks for.
struct Options {
    name: String,
    first: u64,
    seeds: u64,
}

impl Options {
    fn read() -> Option<Self> {
        let mut options = Self { name: String::new(), first: 0, seeds: 40 };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--seeds" => options.seeds = arguments.next()?.parse().ok()?,
                "--seed" => (options.first, options.seeds) = (arguments.next()?.parse().ok()?, 1),
                name if !name.starts_with('-') => name.clone_into(&mut options.name),
                // What other test programs of the run are told.
                _ => {}
            }
        }
        Some(options)
    }
}

fn main() -> ExitCode {
    let Some(options) = Options::read() else {
        eprintln!("usage: [NAME] [--seeds N] [--seed S]");
        return ExitCode::from(2);
    };
    let name = "clients_of_seeds_have_every_acknowledged_event_once";
    if !name.contains(&options.name) {
        return ExitCode::SUCCESS;
    }
    let began = Instant::now();
    let next = AtomicU64::new(0);
    let (sum, failure) = (Mutex::new(Ran::default()), Mutex::new(None));
    let work = || {
        loop {
            let position = next.fetch_add(1, Ordering::SeqCst);
            if position >= options.seeds {
                return;
            }
            let seed = options.first + position;
            let result = catch_unwind(AssertUnwindSafe(|| run(seed)));
            match result.unwrap_or_else(|_| Err("panicked".to_owned())) {
                Ok(ran) => sum.lock().unwrap().add(&ran),
                Err(what) => {
                    next.store(options.seeds, Ordering::SeqCst);
                    failure.lock().unwrap().get_or_insert((seed, what));
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    if let Some((seed, what)) = failure.into_inner().unwrap() {
        eprintln!("{name}: seed {seed} (repeat with `-- --seed {seed}`): {what}");
        return ExitCode::FAILURE;
    }
    println!("{name}: {}, {} ms", sum.into_inner().unwrap(), began.elapsed().as_millis());
    ExitCode::SUCCESS
}
