//! Ingest from outside: the reader and the decoder against a slow model, in any order, cut and form.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod csv_rows;
mod decoded;
mod differential;
mod event_text;
mod events;
mod hostile;
mod meters;
mod model;
mod model_json;
mod positions;
mod random;
mod replay;
