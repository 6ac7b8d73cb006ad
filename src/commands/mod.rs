//! What the program does, one command per file: read the arguments, do the work, show the outcome.

mod check;
mod demo;
mod generate;
mod quarantine;
mod query;
mod run;

pub use check::check;
pub use demo::demo;
pub use generate::generate;
pub use quarantine::quarantine;
pub use query::query;
pub use run::run;
