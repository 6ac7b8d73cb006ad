//! From the bytes of a file to columns of events.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use criterion::{Criterion, Throughput};
use flate2::Compression;
use flate2::write::GzEncoder;
use ingest::input::find_inputs;

use crate::workload::{EVENTS, EVENTS_AXIS, decode, workload};

pub(crate) fn bench(criterion: &mut Criterion) {
    let workload = workload();
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(EVENTS)).sample_size(10);
    group.bench_function(format!("format=ndjson/{EVENTS_AXIS}"), |bencher| {
        bencher.iter(|| {
            let mut received = 0;
            decode(workload.inputs.clone(), &workload.catalog, |batch| received += batch.received);
            assert_eq!(received, EVENTS);
        });
    });

    let gzip = workload.directory.path().join("events.ndjson.gz");
    let mut writer = GzEncoder::new(File::create(&gzip).unwrap(), Compression::fast());
    for input in &workload.inputs {
        writer.write_all(&fs::read(input.path.as_ref().unwrap()).unwrap()).unwrap();
    }
    writer.finish().unwrap();
    let inputs = find_inputs(&[gzip.display().to_string()], &[], None).unwrap();
    group.bench_function(format!("format=ndjson.gz/{EVENTS_AXIS}"), |bencher| {
        bencher.iter(|| {
            let mut received = 0;
            decode(inputs.clone(), &workload.catalog, |batch| received += batch.received);
            assert_eq!(received, EVENTS);
        });
    });

    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/llm-tokens");
    let catalog = tallybook::catalog::load(&example.join("catalog")).unwrap();
    let trace = example.join("usage/AzureLLMInferenceTrace_conv.csv").display().to_string();
    let inputs = find_inputs(&[trace], catalog.csv_mappings(), None).unwrap();
    group.throughput(Throughput::Elements(19_366));
    group.bench_function("format=csv/events=19k", |bencher| {
        bencher.iter(|| {
            let mut received = 0;
            decode(inputs.clone(), &catalog, |batch| received += batch.received);
            assert_eq!(received, 19_366);
        });
    });
    group.finish();
}
