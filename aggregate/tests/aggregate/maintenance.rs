//! Tables and checkpoints that are made while epochs are committed.

use aggregate::partition::PartitionOptions;
use aggregate::snapshot::SnapshotLimits;

use crate::partition::{Writing, open, state};
use crate::random_catalog::random_catalog;
use crate::running_totals::{event, line_of};

fn lines(events: std::ops::Range<usize>) -> Vec<String> {
    events.map(|id| line_of(&event(id, id as u64))).collect()
}

#[test]
fn epoch_1_tables_have_what_was_committed_when_they_were_begun_and_the_rest_later() {
    let place = tempfile::tempdir().unwrap();
    let catalog = random_catalog(7);
    let options = PartitionOptions::default();
    let mut writing = Writing::new(open(place.path(), &catalog, options).0);
    for first in [0, 10, 20] {
        writing.commit(&lines(first..first + 10), false).unwrap();
    }
    assert!(writing.writer.wants_maintenance(SnapshotLimits::NOTHING));
    let begun = writing.writer.begin_maintenance(SnapshotLimits::NOTHING).unwrap();
    writing.commit(&lines(30..40), true).unwrap();
    let done = begun.run();
    writing.commit(&lines(40..50), false).unwrap();
    assert_eq!(writing.writer.end_maintenance(done).unwrap(), 3);
    assert_eq!(writing.writer.partition().snapshotted(), 3);
    // What came meanwhile waits, and is not forgotten where nothing comes any more.
    assert!(writing.writer.wants_maintenance(SnapshotLimits::NOTHING));
    let done = writing.writer.begin_maintenance(SnapshotLimits::NOTHING).unwrap().run();
    assert_eq!(writing.writer.end_maintenance(done).unwrap(), 5);
    assert!(!writing.writer.wants_maintenance(SnapshotLimits::NOTHING));
    writing.commit(&lines(50..60), false).unwrap();
    assert!(!writing.writer.wants_maintenance(SnapshotLimits::default()), "it is little, and new");
    let kept = state(writing.writer.partition());
    drop(writing);
    let (partition, _) = open(place.path(), &catalog, options);
    assert_eq!(partition.snapshotted(), 5);
    assert!(state(&partition) == kept, "the states differ");
}

#[test]
fn ack_1_a_checkpoint_that_is_written_while_epochs_are_committed_is_of_the_epoch_it_was_begun_with() {
    let place = tempfile::tempdir().unwrap();
    let catalog = random_catalog(7);
    let options = PartitionOptions::default();
    let mut writing = Writing::new(open(place.path(), &catalog, options).0);
    // Beyond what is always folded.
    writing.commit(&lines(0..60_000), true).unwrap();
    for (round, first) in [60_000, 120_000, 180_000].into_iter().enumerate() {
        assert!(writing.writer.partition().wants_checkpoint(), "round {round}");
        let begun = writing.writer.begin_maintenance(SnapshotLimits::NOTHING).unwrap();
        writing.commit(&lines(first..first + 60_000), round == 1).unwrap();
        let done = begun.run();
        assert!(done.checkpoint_took.is_some());
        writing.writer.end_maintenance(done).unwrap();
    }
    // What came since the checkpoint was begun is not in it.
    assert!(writing.writer.partition().wants_checkpoint());
    let kept = state(writing.writer.partition());
    let again = writing.commit(&lines(100_000..100_100), false).unwrap();
    assert_eq!(again.counts.duplicate, 100);
    drop(writing);
    let (partition, recovered) = open(place.path(), &catalog, options);
    assert_eq!((recovered.checkpoint, recovered.folded), (3, 2));
    assert!(state(&partition) == kept, "the states differ");
}
