//! Opening a data directory after a run, or after one that was killed: from a checkpoint, or from the epochs.

use criterion::{Criterion, Throughput};

use crate::workload::{EVENTS, EVENTS_AXIS, workload};

pub(crate) fn bench(criterion: &mut Criterion) {
    let workload = workload();
    let data = workload.scratch();
    workload.run(&data, 2);
    let mut group = criterion.benchmark_group("recovery");
    group.throughput(Throughput::Elements(EVENTS)).sample_size(10);
    for from in ["checkpoint", "epochs"] {
        if from == "epochs" {
            std::fs::remove_dir_all(data.join("checkpoints")).unwrap();
        }
        group.bench_function(format!("from={from}/{EVENTS_AXIS}"), |bencher| {
            bencher.iter(|| {
                let (partition, recovered) = workload.open(&data, 2);
                assert_eq!(recovered.folded, u64::from(from == "epochs"));
                let counts = partition.committer.standing().books.counts;
                assert_eq!(counts.rated.unsigned_abs(), workload.truth.rated);
            });
        });
    }
    group.finish();
}
