//! From bytes to usage events that are counted once.
//!
//! ```text
//! inputs -> reader -> decoder (parallel) -> dedup (in input order)
//!           cuts      parses, validates,    admits each identity once
//!           batches   reads the meters
//! ```
//!
//! It knows meters, because what an event measures is part of its validity; it does not know prices.
//! Every record ends as an event or as a [`event_batch::Reject`] with its place and reason: nothing is
//! skipped.

#![expect(
    clippy::unnecessary_box_returns,
    reason = "a fault is rare and large: boxed, it keeps results small"
)]

pub mod body;
mod csv_rows;
pub mod decoder;
pub mod dedup;
pub mod event_batch;
mod event_parser;
mod event_time;
pub mod fingerprint;
pub mod input;
pub mod interner;
mod json;
mod key_tree;
pub mod keyed_hash;
pub mod metering;
pub mod position;
pub mod reader;
#[cfg(test)]
mod reject_details;
pub mod replay;
mod scan;
mod split;
pub mod uuid;

pub use csv_rows::{CsvColumns, HeaderError};
