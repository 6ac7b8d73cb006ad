//! A whole run: from files to published results.

use std::fs;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput};
use tallybook::pipeline::{RunPlan, run};
use tallybook::progress::Progress;

use crate::workload::{EVENTS, EVENTS_AXIS, workload};

pub(crate) fn bench(criterion: &mut Criterion) {
    let workload = workload();
    let mut group = criterion.benchmark_group("pipeline");
    group.throughput(Throughput::Elements(EVENTS)).sample_size(10);
    for decoders in [1, 2] {
        group.bench_function(format!("decoders={decoders}/{EVENTS_AXIS}"), |bencher| {
            bencher.iter_batched(
                || workload.scratch(),
                |output| {
                    let plan = RunPlan {
                        inputs: workload.inputs.clone(),
                        catalog: Arc::clone(&workload.catalog),
                        output: output.clone(),
                        decoders,
                        accrual_events: false,
                    };
                    let report = run(&plan, &Progress::default()).unwrap();
                    assert_eq!(report.rated, workload.truth.rated);
                    fs::remove_dir_all(output).unwrap();
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}
