//! A whole run: from files to a data directory.

use std::fs;

use criterion::{BatchSize, Criterion, Throughput};

use crate::workload::{EVENTS, EVENTS_AXIS, workload};

pub(crate) fn bench(criterion: &mut Criterion) {
    let workload = workload();
    let mut group = criterion.benchmark_group("pipeline");
    group.throughput(Throughput::Elements(EVENTS)).sample_size(10);
    for decoders in [1, 2] {
        group.bench_function(format!("decoders={decoders}/{EVENTS_AXIS}"), |bencher| {
            bencher.iter_batched(
                || workload.scratch(),
                |data| {
                    let report = workload.run(&data, decoders);
                    assert_eq!(report.run.counts.rated.unsigned_abs(), workload.truth.rated);
                    fs::remove_dir_all(data).unwrap();
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}
