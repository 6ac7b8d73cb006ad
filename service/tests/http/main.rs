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
mod document;
mod ending;
mod failing_disk;
mod frames;
mod lines;
mod memory;
mod metrics;
mod overload;
mod pauses;
mod quarantine;
mod quotas;
mod readiness;
mod refusals;
mod request_ids;
mod status;
mod streams;
mod support;
mod tls;
mod tokens;
