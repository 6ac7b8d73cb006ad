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

mod attacks;
mod charges;
mod failing_disk;
mod frames;
mod memory;
mod overload;
mod quarantine;
mod quotas;
mod streams;
mod support;
mod tokens;
