//! Benchmarks of ingestion, each named by its axes and checked against what it has to find: `cargo bench -p ingest`
//! runs them, with `-- --test` each once and small.

#![allow(missing_docs, reason = "criterion's macros make functions without")]
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a benchmark fails by panicking")]

mod dedup;

criterion::criterion_group!(benches, dedup::bench);
criterion::criterion_main!(benches);
