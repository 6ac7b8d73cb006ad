//! Tallybook: usage metering and rating. The parts are wired together here; what computes is in the
//! crates `ingest`, `rating` and `aggregate`, and the vocabulary in `schemas`.

pub mod catalog;
pub mod command_line;
pub mod commands;
pub mod exit_code;
pub mod generate;
mod opening;
pub mod pipeline;
pub mod progress;
mod progress_display;
pub mod quarantine;
pub mod report;
pub mod sql;
mod summary;
