//! Benchmarks of the parts of the hot path and of the whole, each named by its axes and checked against what
//! it has to find: `cargo bench -- decode` runs one part, `cargo bench -- --test` each once.

#![allow(missing_docs, reason = "criterion's macros make functions without")]
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a benchmark fails by panicking")]

mod decode;
mod pipeline;
mod price_models;
mod recovery;
mod service;
mod small_epochs;
mod snapshot;
mod workload;

criterion::criterion_group!(
    benches,
    decode::bench,
    price_models::bench,
    snapshot::bench,
    pipeline::bench,
    recovery::bench,
    small_epochs::bench,
    service::bench
);
criterion::criterion_main!(benches);
