//! End to end: the program as a user runs it, on real files.
//!
//! One binary with a module per subject, because each binary links DataFusion again.

mod bad_catalog;
mod bad_input;
mod command_line;
mod every_model;
mod examples;
mod interrupted;
mod order;
mod sql;
mod support;
mod workload;
