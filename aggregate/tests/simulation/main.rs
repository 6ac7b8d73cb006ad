//! The pipeline on a machine that crashes, tears and forgets, against an auditor that shares no code with it.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod disk;
#[path = "../../../ingest/tests/ingest/random.rs"]
mod random;

fn main() {
    for (name, check) in disk::checks::CHECKS {
        check();
        println!("{name}");
    }
}
