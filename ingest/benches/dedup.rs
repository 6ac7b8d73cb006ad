//! Admitting identities: `dedup/keys=10m/new`, with all keys hot, and `dedup/keys=1b-disk/new`, with all in
//! runs on disk. Making the identities is not measured.
//!
//! Sizes above ten million take gigabytes of memory and of disk: `TALLYBOOK_BENCH_DEDUP=100m` or `=1b-disk` asks for
//! them, and `TALLYBOOK_BENCH_DEDUP_KEYS` for another number of keys on disk. Runs are written under the
//! directory for temporary files and removed afterwards.

use std::fs::File;
use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::sync::Arc;

use criterion::{BatchSize, BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use ingest::dedup::{Admit, Dedup, Entry, Month, Placement, Run, write_run};
use ingest::keyed_hash::HashKey;

/// Events decided at a time, as many as a batch holds.
const BATCH: usize = 1_800;

/// Event times, in microseconds since 1970.
const TIME: i64 = 1_700_000_000_000_000;

/// Runs on disk: more than merging leaves, usually.
const RUNS: u64 = 8;

/// Memory of the hot part while keys are on disk.
const HOT_BYTES_MAX: usize = 1 << 30;

/// An identity that looks like a hash.
fn identity(number: u64) -> u128 {
    let low = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let high = (low ^ (low >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    u128::from(low) << 64 | u128::from(high)
}

/// The content of an event: of all there is one.
fn content(number: u64) -> u64 {
    number << 11
}

/// The keys of events, new ones from a number on, and every so often one of those known.
#[derive(Clone, Copy)]
struct Keys {
    known: u64,
    every: u64,
    next: u64,
}

impl Keys {
    fn take(&mut self, events: u64) -> (Vec<u128>, Vec<u64>) {
        let from = self.next;
        self.next += events;
        let key = |event: u64| {
            let is_known = event % self.every == self.every - 1;
            if is_known { event.wrapping_mul(0x9e37_79b9_7f4a_7c15) % self.known } else { event }
        };
        (from..self.next).map(key).map(|key| (identity(key), content(key))).unzip()
    }
}

fn admit(dedup: &mut Dedup, identities: &[u128], contents: &[u64]) -> usize {
    let (mut verdicts, mut admitted) = (Vec::new(), Vec::new());
    let times = [TIME; BATCH];
    let mut duplicates = 0;
    for (identities, contents) in identities.chunks(BATCH).zip(contents.chunks(BATCH)) {
        verdicts.clear();
        admitted.clear();
        dedup.admit_all(identities, contents, &times, &mut verdicts, &mut admitted).unwrap();
        duplicates += verdicts.iter().filter(|verdict| **verdict == Admit::Duplicate).count();
    }
    duplicates
}

/// Measures events against an index that knows the keys below a number.
fn measure(group: &mut BenchmarkGroup<'_, WallTime>, axis: &str, dedup: &mut Dedup, known: u64, events: u64) {
    let mut next = known;
    for (every, axis_of_events) in [(u64::MAX, "new"), (100, "1pct"), (1, "duplicate")] {
        let mut keys = Keys { known, every, next };
        let mut found = Vec::new();
        group.throughput(Throughput::Elements(events)).sample_size(10);
        group.bench_function(format!("keys={axis}/{axis_of_events}"), |bencher| {
            bencher.iter_batched(
                || keys.take(events),
                |(identities, contents)| found.push(admit(dedup, &identities, &contents)),
                BatchSize::PerIteration,
            );
        });
        let counted = u64::try_from(black_box(&found).iter().sum::<usize>()).unwrap();
        let expected = (next..keys.next).filter(|event| event % every == every - 1).count() as u64;
        assert_eq!(counted, expected);
        next = keys.next;
    }
    println!("keys={axis}: {} bytes of memory a key", dedup.memory_bytes() as u64 / dedup.len());
}

fn hot(group: &mut BenchmarkGroup<'_, WallTime>, axis: &str, known: u64) {
    let mut dedup = Dedup::new(&HashKey::fixed(7), usize::try_from(known * 24).unwrap());
    dedup.reserve(usize::try_from(known).unwrap());
    let mut keys = Keys { known, every: u64::MAX, next: 0 };
    while keys.next < known {
        let (identities, contents) = keys.take(known.min(1_000_000));
        admit(&mut dedup, &identities, &contents);
    }
    measure(group, axis, &mut dedup, known, (known / 100).min(100_000));
}

fn on_disk(group: &mut BenchmarkGroup<'_, WallTime>, axis: &str, known: u64) {
    let key = HashKey::fixed(7);
    let placement = Placement::new(&key);
    let directory = tempfile::tempdir().unwrap();
    let mut dedup = Dedup::new(&key, HOT_BYTES_MAX);
    for number in 0..RUNS {
        let (from, to) = (known * number / RUNS, known * (number + 1) / RUNS);
        let entry = |key| placement.entry(identity(key), content(key), Month::of(TIME));
        let mut entries: Vec<Entry> = (from..to).map(entry).collect();
        let path = directory.path().join(number.to_string());
        let mut file = BufWriter::new(File::create_new(&path).unwrap());
        write_run(&mut entries, &key, &mut file).unwrap();
        file.flush().unwrap();
        let file = Arc::new(File::open(&path).unwrap());
        dedup.add_run(Run::open(number.to_string(), file, &key).unwrap());
    }
    measure(group, axis, &mut dedup, known, (known / 100).min(20_000));
}

pub(crate) fn bench(criterion: &mut Criterion) {
    let asked = std::env::var("TALLYBOOK_BENCH_DEDUP").unwrap_or_default();
    let is_test = std::env::args().any(|argument| argument == "--test");
    let size = |known: u64| if is_test { known.min(20_000) } else { known };
    let mut group = criterion.benchmark_group("dedup");
    if is_test || asked.is_empty() {
        hot(&mut group, "10m", size(10_000_000));
    }
    if is_test || asked == "100m" {
        hot(&mut group, "100m", size(100_000_000));
    }
    if is_test || asked == "1b-disk" {
        let keys = std::env::var("TALLYBOOK_BENCH_DEDUP_KEYS").ok().and_then(|keys| keys.parse().ok());
        on_disk(&mut group, "1b-disk", size(keys.unwrap_or(1_000_000_000)));
    }
    group.finish();
}
