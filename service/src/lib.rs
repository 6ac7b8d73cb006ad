//! The HTTP service: takes events in, and answers when they are committed, counted once and rated.
//!
//! It knows HTTP and the engine; it does not know where catalogs come from, or SQL: the program gives it
//! both.

pub mod catalog_source;
pub mod config;
pub mod engine;
pub mod http;
pub mod log;
pub mod metrics;
pub mod query_source;
pub mod usage;
