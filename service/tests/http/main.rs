//! The service over real connections: an engine on a disk, an address, and a client that knows HTTP alone.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::format_push_string,
    clippy::needless_pass_by_value,
    clippy::assigning_clones,
    reason = "a test fails where it stands"
)]

mod charges;
mod document;
mod failing_disk;
mod quarantine;
mod status;
mod streams;
mod support;
