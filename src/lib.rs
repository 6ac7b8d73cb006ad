//! Tallybook: usage metering and rating. The parts are wired together here; what computes is in the
//! crates `ingest`, `rating` and `aggregate`, and the vocabulary in `schemas`.

pub mod catalog;
pub mod pipeline;
pub mod report;
