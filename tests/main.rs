//! End to end: the program as a user runs it, on real files.
//!
//! One binary with a module per subject, because each binary links DataFusion again.

#![allow(
    clippy::expect_used,
    clippy::format_push_string,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod again;
mod bad_catalog;
mod bad_input;
mod changes;
mod command_line;
mod contract_tables;
mod csv_usage;
mod data_directory;
mod delta;
mod doctor;
mod every_model;
mod examples;
mod export;
mod http_client;
mod interrupted;
mod order;
mod quarantine;
mod serve;
mod serve_catalog;
mod serve_hostile;
mod serve_killed;
mod serve_query;
mod sql;
mod support;
mod tables;
mod workload;
