//! Rating from outside: published vectors, the properties of RATE-1, and the figures of the documents.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod charge;
mod document;
mod published;
mod rate_1;
mod vectors;
