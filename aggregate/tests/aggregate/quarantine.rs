//! The quarantine table: what is in it can be read again, and no part of it takes much memory.

use std::path::Path;
use std::sync::Arc;

use aggregate::decider::{DecidedBatch, Decider};
use aggregate::disk::{DirectoryDisk, Disk};
use aggregate::epoch_files::EpochFiles;
use aggregate::quarantine_table::{EventTexts, QuarantineTable, QuarantineTotals};
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use ingest::decoder::Decoder;
use ingest::event_batch::{EventBatch, LineCount};
use ingest::input::Input;
use ingest::interner::Interner;
use ingest::keyed_hash::HashKey;
use ingest::metering::MeteringPlan;
use ingest::reader::Reader;
use ingest::replay::{QuarantinedRecord, Replay, RowOrigin};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rating::catalog::Catalog;
use schemas::usage_event::EVENT_BYTES_MAX;
use serde_json::json;

use crate::decided::catalog;

struct NoTexts;

impl EventTexts for NoTexts {
    fn source(&self, _: u32) -> Option<&str> {
        None
    }

    fn event_type(&self, _: u32) -> Option<&str> {
        None
    }
}

fn catalog_of_counts() -> Arc<Catalog> {
    catalog(&json!({
        "legal_entities": [{ "id": "entity" }],
        "meters": [{ "id": "m", "event_type": "used", "aggregation": "count" }],
        "price_books": [{ "id": "book", "currencies": ["USD"], "versions": [
            { "version": 1, "rates": [{ "meter": "m", "model": "per_unit", "unit_price": "1" }] },
        ] }],
        "contracts": [{ "id": "c", "accounts": ["a"], "legal_entity": "entity", "currency": "USD",
            "lines": [{ "id": "l", "price_book": "book" }] }],
        "csv_mappings": [{ "id": "rows", "files": ["*.csv"], "source": { "value": "s" },
            "event_id": "file_and_line", "type": { "value": "used" }, "subject": { "column": "account" },
            "time": { "column": "time", "epoch": "seconds" } }],
    }))
    .unwrap()
}

/// Writes the quarantine of files in epoch 7, and reads the table: the rows of each row group.
fn quarantine(files: &[(&Path, Option<usize>)]) -> (QuarantineTotals, Vec<RecordBatch>) {
    let catalog = catalog_of_counts();
    let inputs: Vec<Input> =
        files.iter().map(|(path, mapping)| Input::file((*path).to_owned(), *mapping)).collect();
    let place = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(place.path().join("tables/quarantine")).unwrap();
    let disk: Arc<dyn Disk> = Arc::new(DirectoryDisk::new(place.path()));
    let files = EpochFiles::new(&disk, 0, 7);
    let names = inputs.iter().map(|input| input.name.clone()).collect();
    let mut table = QuarantineTable::new(files.clone(), names);
    let plan = Arc::new(MeteringPlan::new(catalog.meters()));
    let inputs = inputs.into_iter().map(|input| (input, None)).collect();
    let mut reader = Reader::new(inputs, catalog.csv_mappings().to_vec(), Arc::clone(&plan), Arc::default());
    let key = HashKey::fixed(1);
    // No account is known, so that nothing has a price.
    let mut decoder = Decoder::new(0, Arc::clone(&plan), Arc::new(Interner::new(0)), key);
    let mut decider = Decider::new(Arc::clone(&catalog), &key, 1);
    let (mut batch, mut decided) = (EventBatch::new(0), DecidedBatch::default());
    let mut lines = LineCount::default();
    while let Some(records) = reader.next(&mut batch).unwrap() {
        decoder.decode(&mut batch, &records);
        lines.place(&mut batch);
        decider.decide(batch, &mut decided).unwrap();
        table.append(&catalog, &decided, &NoTexts, &[]).unwrap();
        batch = decided.recycle();
    }
    let (made, totals) = table.end(files).unwrap();
    let made = made.unwrap();
    let bytes = match &made.content.file {
        Some(name) => std::fs::read(place.path().join(name)).unwrap(),
        None => made.inline,
    };
    let bytes = bytes::Bytes::from(bytes);
    let open = || ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).unwrap();
    let groups = open().metadata().num_row_groups();
    let group = |group| {
        let reader = open().with_row_groups(vec![group]).with_batch_size(1 << 20).build().unwrap();
        let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
        assert_eq!(batches.len(), 1);
        batches[0].clone()
    };
    (totals, (0..groups).map(group).collect())
}

fn text<'a>(rows: &'a RecordBatch, column: &str, row: usize) -> &'a str {
    rows.column_by_name(column).unwrap().as_string::<i32>().value(row)
}

#[test]
fn a_row_group_ends_by_its_bytes_and_events_are_kept_whole() {
    const EVENTS: usize = 150;
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("events.ndjson");
    let event = |number: usize| {
        let head = format!("{{\"id\":\"{number}\",\"note\":\"");
        head.clone() + &"x".repeat(EVENT_BYTES_MAX - head.len() - 2) + "\"}"
    };
    std::fs::write(&path, (0..EVENTS).map(|number| event(number) + "\n").collect::<String>()).unwrap();
    let (totals, groups) = quarantine(&[(&path, None)]);
    assert_eq!(totals, QuarantineTotals { rejected: 150, ..QuarantineTotals::default() });
    let counts: Vec<usize> = groups.iter().map(RecordBatch::num_rows).collect();
    assert_eq!(counts, [64, 64, 22]);
    let rows = groups.iter().flat_map(|rows| (0..rows.num_rows()).map(move |row| (rows, row)));
    for (number, (rows, row)) in rows.enumerate() {
        assert_eq!(text(rows, "quarantine_id", row), format!("7-{}", number + 1));
        let column = |name: &str| rows.column_by_name(name).unwrap();
        assert!(column("bytes").as_binary::<i32>().value(row) == event(number).as_bytes());
        assert_eq!(column("epoch").as_primitive::<Int64Type>().value(row), 7);
        assert!(column("csv_mapping").is_null(row) && column("csv_header").is_null(row));
    }
}

#[test]
fn rows_of_csv_files_are_read_again_from_the_table_alone() {
    let place = tempfile::tempdir().unwrap();
    let paths = ["events.ndjson", "one.csv", "two.csv"].map(|name| place.path().join(name));
    let event = r#"{"specversion":"1.0","id":"7","source":"s","type":"used","subject":"b","time":"2026-10-31T10:00:00Z"}"#;
    std::fs::write(&paths[0], event).unwrap();
    std::fs::write(&paths[1], "account,time\r\na,1\r\nb,soon\r\n\"c\nd\",3\r\n").unwrap();
    std::fs::write(&paths[2], "time,note,account\n1,x,a\n2,y\n").unwrap();
    let (totals, groups) = quarantine(&[(&paths[0], None), (&paths[1], Some(0)), (&paths[2], Some(0))]);
    assert_eq!((totals.rejected, totals.unrated), (3, 3));
    let rows = &groups[0];
    let longs = |name: &str| rows.column_by_name(name).unwrap().as_primitive::<Int64Type>();
    let unsigned = |number: i64| u64::try_from(number).unwrap();
    let record = |row: usize| QuarantinedRecord {
        bytes: rows.column_by_name("bytes").unwrap().as_binary::<i32>().value(row),
        length: unsigned(longs("length").value(row)),
        input: text(rows, "input", row),
        line: unsigned(longs("line").value(row)),
        row: rows.column_by_name("csv_mapping").unwrap().is_valid(row).then(|| RowOrigin {
            mapping: text(rows, "csv_mapping", row),
            header: text(rows, "csv_header", row),
        }),
    };
    let records: Vec<QuarantinedRecord<'_>> = (0..rows.num_rows()).map(record).collect();
    let catalog = catalog_of_counts();
    let plan = Arc::new(MeteringPlan::new(catalog.meters()));
    let mut replay = Replay::new(&records, catalog.csv_mappings(), Arc::clone(&plan));
    let mut batch = EventBatch::new(0);
    let layout = replay.next(&mut batch).unwrap();
    Decoder::new(0, plan, Arc::new(Interner::new(0)), HashKey::fixed(1)).decode(&mut batch, &layout);
    for (event, row) in batch.replayed.events.iter().enumerate() {
        let row = *row as usize;
        assert_eq!(text(rows, "class", row), "unrated");
        assert_eq!(batch.event_id(event), text(rows, "event_id", row));
    }
    for (reject, row) in batch.rejects.iter().zip(&batch.replayed.rejects) {
        let row = *row as usize;
        assert_eq!(text(rows, "class", row), "rejected");
        assert_eq!(
            (reject.reason.code(), &*reject.explanation()),
            (text(rows, "reason", row), text(rows, "detail", row))
        );
    }
    assert_eq!((batch.len(), batch.rejects.len()), (3, 3));
    assert!(replay.next(&mut batch).is_none());
}
