//! The wire contracts: generated schemas equal their committed text, and frozen samples still decode.
//!
//! A schema that changes shows up here before it reaches anyone who reads our output. Each contract is
//! three files: `json/` or `arrow/` (what it is), and `samples/` (what it has looked like since its
//! version was published).

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod arrow_schemas;
mod contracts;
mod golden;
mod json_schemas;
mod samples;
mod schema_check;
