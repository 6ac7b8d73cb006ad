//! Two writers at one table.

use arrow::array::{Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, TimeUnit};
use arrow::record_batch::RecordBatch;
use serde_json::json;

use super::*;
use crate::disk::DirectoryDisk;

const TABLE: &str = "tables/rated_usage";

fn at(millis: i64) -> Timestamp {
    Timestamp::from_micros(millis * 1_000)
}

fn schema() -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        Field::new("event_time", time, true),
        Field::new("account_id", DataType::Utf8, false),
        Field::new("epoch", DataType::Int64, false),
    ]))
}

fn open(disk: &DirectoryDisk) -> DeltaTable<'_> {
    DeltaTable::open(disk, TABLE, &schema(), "ledger", at(0)).unwrap()
}

/// A file with a row for each epoch, of an event so many microseconds after 1970.
fn file(table: &DeltaTable<'_>, name: &str, rows: &[(i64, Option<i64>)]) -> AddFile {
    let name = format!("{TABLE}/{name}");
    let times: TimestampMicrosecondArray = rows.iter().map(|row| row.1).collect();
    let accounts: StringArray = rows.iter().map(|row| Some(format!("account {}", row.0))).collect();
    let epochs: Int64Array = rows.iter().map(|row| Some(row.0)).collect();
    let columns: Vec<arrow::array::ArrayRef> =
        vec![Arc::new(times.with_timezone("UTC")), Arc::new(accounts), Arc::new(epochs)];
    let mut writer = Writer::create(table.disk, &name, &schema()).unwrap();
    writer.write(&RecordBatch::try_new(schema(), columns).unwrap()).unwrap();
    writer.finish().unwrap();
    table.add_file(&ParquetSource::open(table.disk, &name).unwrap(), at(0), true).unwrap()
}

fn change(add: Vec<AddFile>, partition: u32, epoch: u64) -> Change {
    let epochs = Some(EpochProgress { ledger_id: "ledger".to_owned(), partition, epoch });
    Change { operation: "WRITE", at: at(0), add, remove: Vec::new(), has_new_rows: true, epochs }
}

#[test]
fn epoch_1_epochs_that_another_writer_added_are_not_added_again() {
    let place = tempfile::tempdir().unwrap();
    let disk = DirectoryDisk::new(place.path());
    let (mut one, mut other) = (open(&disk), open(&disk));
    let same = change(vec![file(&one, "0-1-2.parquet", &[(1, None)])], 0, 2);
    assert_eq!(one.commit(&same, at(1)).unwrap(), Committed::Version(1));
    assert_eq!(other.commit(&same, at(1)).unwrap(), Committed::AlreadyThere);
    assert_eq!((other.version(), other.last_epoch("ledger", 0)), (1, Some(2)));
}

#[test]
fn a_version_of_another_partition_is_gone_past() {
    let place = tempfile::tempdir().unwrap();
    let disk = DirectoryDisk::new(place.path());
    let (mut one, mut other) = (open(&disk), open(&disk));
    let first = change(vec![file(&one, "0-1-2.parquet", &[(1, None)])], 0, 2);
    let second = change(vec![file(&one, "1-1-5.parquet", &[(1, None)])], 1, 5);
    one.commit(&first, at(1)).unwrap();
    assert_eq!(other.commit(&second, at(1)).unwrap(), Committed::Version(2));
    let read = DeltaTable::load(&disk, TABLE).unwrap().unwrap();
    assert_eq!((read.files().len(), read.last_epoch("ledger", 0)), (2, Some(2)));
    assert_eq!(read.last_epoch("ledger", 1), Some(5));
    assert_eq!((read.last_epoch("ledger", 2), read.last_epoch("another", 0)), (None, None));
}

#[test]
fn a_file_that_another_writer_removed_is_not_removed_again() {
    let place = tempfile::tempdir().unwrap();
    let disk = DirectoryDisk::new(place.path());
    let mut one = open(&disk);
    let add = vec![file(&one, "a.parquet", &[(1, None)])];
    one.commit(&change(add, 0, 1), at(1)).unwrap();
    let mut other = open(&disk);
    let join = Change { remove: vec!["a.parquet".to_owned()], epochs: None, ..change(Vec::new(), 0, 0) };
    one.commit(&join, at(2)).unwrap();
    let refused = other.commit(&join, at(2)).unwrap_err();
    assert!(matches!(refused, AggregateError::TableContended { version: 2, .. }));
    assert!(refused.to_string().contains("tallybook"), "{refused}");
}

#[test]
fn a_table_that_another_program_upgraded_is_left_alone() {
    let place = tempfile::tempdir().unwrap();
    let disk = DirectoryDisk::new(place.path());
    open(&disk);
    let version = disk.path(&format!("{TABLE}/_delta_log/00000000000000000001.json"));
    let upgraded =
        json!({ "protocol": { "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": [] } });
    std::fs::write(&version, upgraded.to_string()).unwrap();
    assert!(matches!(DeltaTable::load(&disk, TABLE), Err(AggregateError::TableLog { .. })));
    // What is no action of ours is passed over.
    std::fs::write(&version, json!({ "domainMetadata": { "domain": "x" } }).to_string() + "\n{\"txn\":null}")
        .unwrap();
    assert!(matches!(DeltaTable::load(&disk, TABLE), Err(AggregateError::TableLog { .. })));
    let known = json!({ "txn": { "appId": "other", "version": 3, "lastUpdated": 5 } });
    std::fs::write(&version, format!("{}\n{known}\n", json!({ "unknown": {} }))).unwrap();
    assert_eq!(DeltaTable::load(&disk, TABLE).unwrap().unwrap().version(), 1);
}

#[test]
fn bounds_hold_for_every_row_and_instants_are_rounded_apart() {
    let place = tempfile::tempdir().unwrap();
    let disk = DirectoryDisk::new(place.path());
    let table = open(&disk);
    let added = file(&table, "a.parquet", &[(7, Some(1_500)), (3, Some(2_001)), (5, None)]);
    let bounds: serde_json::Value = serde_json::from_str(&added.stats.unwrap()).unwrap();
    let expected = json!({
        "numRecords": 3,
        "minValues": { "event_time": "1970-01-01T00:00:00.001Z", "account_id": "account 3", "epoch": 3 },
        "maxValues": { "event_time": "1970-01-01T00:00:00.003Z", "account_id": "account 7", "epoch": 7 },
        "nullCount": { "event_time": 1, "account_id": 0, "epoch": 0 },
    });
    assert_eq!(bounds, expected);
    let nulls = file(&table, "b.parquet", &[(1, None)]).stats.unwrap();
    assert!(nulls.contains(r#""nullCount":{"account_id":0,"epoch":0,"event_time":1}"#), "{nulls}");
    assert!(!nulls.contains("1970"), "{nulls}");
}

#[test]
fn files_stay_until_they_are_old_or_needed_no_more() {
    let place = tempfile::tempdir().unwrap();
    let disk = DirectoryDisk::new(place.path());
    let mut table = open(&disk);
    let add = ["a", "b"].map(|name| file(&table, &format!("{name}.parquet"), &[(1, None)]));
    table.commit(&change(add.into(), 0, 1), at(1)).unwrap();
    for other in ["crashed", "next"] {
        file(&table, &format!("{other}.parquet"), &[(2, None)]);
    }
    let join = Change { remove: vec!["a.parquet".to_owned()], at: at(10), ..change(Vec::new(), 0, 2) };
    table.commit(&join, at(10)).unwrap();
    let keep = BTreeSet::from([format!("{TABLE}/next.parquet")]);
    let vacuumed = |now| table.vacuum(at(now), 100, &keep).unwrap();
    assert_eq!(vacuumed(109), [format!("{TABLE}/crashed.parquet")]);
    assert_eq!(vacuumed(110), [format!("{TABLE}/a.parquet")]);
    assert_eq!(disk.list(TABLE).unwrap(), ["_delta_log", "b.parquet", "next.parquet"]);
}
