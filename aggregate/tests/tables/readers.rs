//! Tables for other readers of Delta Lake: written where `TALLYBOOK_DELTA_TABLES` says, which
//! `tests/delta_readers.py` then reads.

use aggregate::compaction::compact;
use aggregate::delta::{CHECKPOINT_VERSIONS, DeltaTable};
use aggregate::disk::DirectoryDisk;
use aggregate::snapshot::{self, SnapshotTable};

use crate::failing_disk::FailingDisk;
use crate::random_epochs::JOIN_ALL;
use crate::rows::rows;
use crate::sample::{Content, LEDGER, epochs, recorded_at};

#[test]
#[ignore = "writes tables for other readers"]
fn tables_for_other_readers() {
    let place = std::env::var("TALLYBOOK_DELTA_TABLES").unwrap();
    let disk = FailingDisk::working(DirectoryDisk::new(std::path::Path::new(&place)));
    let count = CHECKPOINT_VERSIONS + 10;
    let contents: Vec<_> = (0..count)
        .map(|number| Content {
            rated: number % 7,
            is_bulk: number % 10 == 3,
            dimensions: [vec![], vec!["model"], vec!["region", "model"]]
                [usize::try_from(number / 40).unwrap()]
            .clone(),
            others: number % 3,
        })
        .collect();
    let epochs = epochs(&disk, &contents);
    for last in 1..=epochs.len() {
        snapshot::take(&disk, LEDGER, &epochs[..last], recorded_at(last as u64)).unwrap();
        if last % 30 == 0 {
            for table in SnapshotTable::ALL {
                let mut table = DeltaTable::load(&disk, &table.directory()).unwrap().unwrap();
                compact(&mut table, JOIN_ALL, recorded_at(last as u64)).unwrap();
            }
        }
    }
    for table in SnapshotTable::ALL {
        let (_, rows) = rows(&disk, table).unwrap();
        let units: i128 = rows.iter().map(|row| row.2).sum();
        println!("{} rows={} units={units}", table.name(), rows.len());
    }
}
