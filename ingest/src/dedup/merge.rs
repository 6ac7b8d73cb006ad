//! Merges runs, and says which to merge.

use std::io::Write;

use super::entry::Entry;
use super::error::RunError;
use super::month::Month;
use super::run::{Run, RunReader};
use super::run_writer::{RunSummary, RunWriter};
use crate::keyed_hash::HashKey;

/// A run is to have at least this many times the entries of all smaller ones together.
const SIZE_RATIO: u64 = 2;

/// Which runs to merge into one, as positions, given their sizes; `None` while all may stay.
///
/// Where it is followed each run has at least twice the entries of all smaller ones together, so there
/// are about log₃ of them: eight, when the largest is 2,000 times the smallest. A key that is merged
/// comes into a run half as large again as the one it was in at least, so it is rewritten O(log n) times.
#[must_use]
pub fn plan_merge(sizes: &[u64]) -> Option<Vec<usize>> {
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    let size = |run: &usize| sizes.get(*run).copied().unwrap_or(0);
    order.sort_by_key(size);
    let mut smaller = 0u64;
    let mut merged = 0;
    for (count, run) in order.iter().enumerate() {
        if count > 0 && size(run) < smaller.saturating_mul(SIZE_RATIO) {
            merged = count + 1;
        }
        smaller = smaller.saturating_add(size(run));
    }
    order.truncate(merged);
    order.sort_unstable();
    (merged > 0).then_some(order)
}

/// Merges runs into one, in constant memory: about half a megabyte a run. Entries of a month before
/// `forget_before` are left out; of entries of one identity the latest month stays (DEDUP-1).
///
/// # Errors
/// A run is damaged or cannot be read, or the new one cannot be written.
pub fn merge(
    runs: &[&Run],
    forget_before: Month,
    key: &HashKey,
    to: &mut impl Write,
) -> Result<RunSummary, RunError> {
    let mut writer = RunWriter::new(key, to)?;
    let mut readers: Vec<RunReader> = runs.iter().map(|run| RunReader::new(run)).collect();
    let mut heads = Vec::with_capacity(readers.len());
    for reader in &mut readers {
        heads.push(reader.next()?);
    }
    while let Some((position, entry)) = first_of(&heads) {
        if let (Some(head), Some(reader)) = (heads.get_mut(position), readers.get_mut(position)) {
            *head = reader.next()?;
        }
        if entry.month() >= forget_before {
            writer.push(entry)?;
        }
    }
    writer.finish()
}

/// The entry that comes next, and whose it is.
#[inline]
fn first_of(heads: &[Option<Entry>]) -> Option<(usize, Entry)> {
    let heads = heads.iter().enumerate().filter_map(|(position, head)| Some((position, (*head)?)));
    heads.min_by_key(|(_, entry)| entry.place())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn runs_stay_few_and_a_key_is_seldom_rewritten(sizes in prop::collection::vec(900u64..1100, 1..1000)) {
            // Of each run its entries, and their rewrites added up.
            let mut runs: Vec<(u64, u64)> = Vec::new();
            for size in sizes {
                runs.push((size, 0));
                while let Some(plan) = plan_merge(&runs.iter().map(|run| run.0).collect::<Vec<_>>()) {
                    prop_assert!(plan.len() > 1);
                    let merged: u64 = plan.iter().map(|run| runs[*run].0).sum();
                    let rewrites: u64 = plan.iter().map(|run| runs[*run].1).sum();
                    for run in plan.iter().rev() {
                        runs.swap_remove(*run);
                    }
                    runs.push((merged, rewrites + merged));
                }
                prop_assert!(runs.len() <= 8, "{runs:?}");
            }
            let (entries, rewrites) = runs.iter().fold((0, 0), |sum, run| (sum.0 + run.0, sum.1 + run.1));
            prop_assert!(rewrites <= entries * 10, "{rewrites} of {entries}");
        }
    }
}
