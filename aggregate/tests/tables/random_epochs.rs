//! Any epochs, in any snapshots, with compaction and vacuum between them: every row is there once.

use std::collections::BTreeSet;

use aggregate::compaction::{CompactionLimits, compact};
use aggregate::delta::DeltaTable;
use aggregate::disk::DirectoryDisk;
use aggregate::snapshot::{self, SnapshotTable};
use proptest::prelude::*;

use crate::failing_disk::FailingDisk;
use crate::rows::{expected, rows};
use crate::sample::{Content, LEDGER, bulk_name, epochs, recorded_at};

/// Joins whatever can be joined.
pub(crate) const JOIN_ALL: CompactionLimits =
    CompactionLimits { small_bytes: u64::MAX, small_files_min: 2, joined_bytes_max: u64::MAX };

fn content() -> impl Strategy<Value = Content> {
    let dimensions = proptest::sample::subsequence(vec!["model", "region", "tier"], 0..=3).prop_shuffle();
    (0..4_u64, any::<bool>(), dimensions, 0..3_u64).prop_map(|(rated, is_bulk, dimensions, others)| Content {
        rated,
        is_bulk,
        dimensions,
        others,
    })
}

/// What is done after a number of epochs.
#[derive(Clone, Copy, Debug)]
enum Step {
    Snapshot,
    Compact,
    Vacuum,
}

fn step() -> impl Strategy<Value = (usize, Step)> {
    let step = prop_oneof![Just(Step::Snapshot), Just(Step::Compact), Just(Step::Vacuum)];
    (0..12_usize, step)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn epoch_1_every_row_of_the_epochs_is_in_the_tables_once(
        contents in proptest::collection::vec(content(), 1..12),
        mut steps in proptest::collection::vec(step(), 0..12),
    ) {
        let place = tempfile::tempdir().unwrap();
        let disk = FailingDisk::working(DirectoryDisk::new(place.path()));
        let epochs = epochs(&disk, &contents);
        let keep: BTreeSet<_> = epochs.iter().map(|epoch| bulk_name(epoch.document.epoch)).collect();
        steps.sort_by_key(|(after, _)| *after);
        steps.push((epochs.len(), Step::Snapshot));
        let mut done = 0;
        for (after, step) in steps {
            let committed = &epochs[..after.min(epochs.len())];
            let now = recorded_at(100 + after as u64);
            match step {
                Step::Snapshot => {
                    snapshot::take(&disk, LEDGER, committed, now).unwrap();
                    done = committed.len();
                }
                Step::Compact | Step::Vacuum => {
                    for table in SnapshotTable::ALL {
                        let Some(mut table) = DeltaTable::load(&disk, &table.directory()).unwrap() else { continue };
                        if matches!(step, Step::Compact) {
                            compact(&mut table, JOIN_ALL, now).unwrap();
                        } else {
                            table.vacuum(now, 0, &keep).unwrap();
                        }
                    }
                }
            }
            for table in SnapshotTable::ALL {
                let found = rows(&disk, table).map_or((0, Vec::new()), |found| found);
                prop_assert_eq!(found, (done as u64, expected(table, &epochs[..done])), "{:?}", table);
            }
        }
    }
}
