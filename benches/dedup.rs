//! Admitting identities, with tables that fit the cache and tables that do not. Making the identities is not
//! measured.

use criterion::{BatchSize, Criterion, Throughput};
use ingest::dedup::{Admit, Dedup};
use ingest::keyed_hash::HashKey;

/// Events decided at a time, as many as a batch holds.
const BATCH: usize = 1_800;

/// Events measured.
const EVENTS: u64 = 100_000;

/// An identity that looks like a hash.
fn identity(number: u64) -> u128 {
    let low = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let high = (low ^ (low >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    u128::from(low) << 64 | u128::from(high)
}

/// Identities and contents of events: new ones from a number on, and every so often one of those known.
fn events(from: u64, known: u64, every: u64) -> (Vec<u128>, Vec<u64>) {
    let key = |event: u64| if event % every == every - 1 { event * 97 % known } else { from + event };
    (0..EVENTS).map(key).map(|key| (identity(key), key)).unzip()
}

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dedup");
    group.throughput(Throughput::Elements(EVENTS)).sample_size(10);
    for (keys, keys_axis) in [(10_000u64, "10k"), (1_000_000, "1m"), (10_000_000, "10m")] {
        for (every, duplicates_axis) in [(u64::MAX, "0"), (100, "1pct"), (2, "50pct")] {
            let mut dedup = Dedup::new(&HashKey::fixed(7));
            dedup.reserve(usize::try_from(keys + EVENTS).unwrap());
            for key in 0..keys {
                dedup.admit(identity(key), key);
            }
            let mut next = keys;
            let mut verdicts = Vec::new();
            group.bench_function(format!("keys={keys_axis}/duplicates={duplicates_axis}"), |bencher| {
                bencher.iter_batched(
                    || {
                        next += EVENTS;
                        events(next, keys, every)
                    },
                    |(identities, contents)| {
                        verdicts.clear();
                        for (identities, contents) in identities.chunks(BATCH).zip(contents.chunks(BATCH)) {
                            dedup.admit_all(identities, contents, &mut verdicts);
                        }
                    },
                    BatchSize::PerIteration,
                );
                let found = verdicts.iter().filter(|verdict| **verdict == Admit::Duplicate).count() as u64;
                assert_eq!(found, EVENTS / every);
            });
        }
    }
    group.finish();
}
