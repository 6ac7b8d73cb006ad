//! Writing tables: rated usage as it is decided, accruals at the end.

use std::sync::Arc;

use aggregate::accrual_table::{AccrualBuffers, AccrualTable};
use aggregate::accruals::AccrualPlan;
use aggregate::data_directory::directory_disk;
use aggregate::decider::{DecidedBatch, Decider};
use aggregate::disk::Disk;
use aggregate::epoch_files::{EpochFiles, content_directory};
use aggregate::error::AggregateError;
use aggregate::rated_usage_table::RatedUsageTable;
use criterion::{BatchSize, Criterion, Throughput};
use ingest::event_batch::NewTexts;
use ingest::keyed_hash::HashKey;
use schemas::epoch::ContentKind;

use crate::workload::{Workload, decode, workload};

pub(crate) fn bench(criterion: &mut Criterion) {
    let workload = workload();
    let catalog = &workload.catalog;
    let mut decider = Decider::new(Arc::clone(catalog), &HashKey::fixed(7), 1);
    let mut decided = Vec::new();
    decode(workload.inputs.clone(), catalog, |batch| {
        let mut into = DecidedBatch::default();
        decider.decide(batch, &mut into).unwrap();
        decided.push(into);
    });
    let totals = decider.into_totals();

    let mut group = criterion.benchmark_group("snapshot");
    group.sample_size(10);
    let rows = workload.truth.rated_usage_rows;
    group.throughput(Throughput::Elements(rows));
    group.bench_function(format!("table=rated_usage/rows={rows}"), |bencher| {
        bencher.iter_batched(
            || files(workload),
            |files| {
                let mut table = RatedUsageTable::new(files.clone(), catalog, &NewTexts::default()).unwrap();
                for batch in &decided {
                    table.append(batch).unwrap();
                }
                assert_eq!(table.end(files).unwrap().1.rows, rows);
            },
            BatchSize::PerIteration,
        );
    });

    let plan = AccrualPlan::new(&totals);
    let mut rows = 0;
    plan.accrue::<AggregateError>(&totals, 0..plan.len(), |groups| {
        rows += groups.iter().map(|group| group.days().len() as u64).sum::<u64>();
        Ok(())
    })
    .unwrap();
    group.throughput(Throughput::Elements(rows));
    group.bench_function(format!("table=accruals/rows={rows}"), |bencher| {
        bencher.iter_batched(
            || files(workload),
            |files| {
                let mut table = AccrualTable::begin(&files, 0, AccrualBuffers::new().unwrap()).unwrap();
                plan.accrue(&totals, 0..plan.len(), |groups| table.append(catalog, groups)).unwrap();
                assert_eq!(table.finish().unwrap().1.rows, rows);
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// Where the contents of an epoch go.
fn files(workload: &Workload) -> EpochFiles {
    let disk: Arc<dyn Disk> = directory_disk(&workload.scratch());
    for kind in [ContentKind::RatedUsage, ContentKind::Accruals] {
        disk.create_directory(&content_directory(kind)).unwrap();
    }
    EpochFiles::new(&disk, 0, 1)
}
