//! What the program does, one command per file: read the arguments, do the work, show the outcome.

mod check;
mod config;
mod demo;
mod doctor;
mod export;
mod generate;
mod inspect;
mod quarantine;
mod query;
mod run;
mod serve;

pub use check::check;
pub use config::config;
pub use demo::demo;
pub use doctor::{DamageFound, doctor};
pub use export::export;
pub use generate::generate;
pub use inspect::{NoEpoch, inspect};
pub use quarantine::quarantine;
pub use query::query;
pub use run::run;
pub use serve::{DEFAULT_CONFIG, StoppedService, serve};

/// The partition of a data directory.
const PARTITION: u32 = 0;

/// Cores that the process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
