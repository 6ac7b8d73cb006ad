//! A reader that begins at the end of a batch hands out what follows it, whatever the format (RATE-2).

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ingest::decoder::Decoder;
use ingest::event_batch::{BatchOrigin, EventBatch, LineCount, Reject, Span};
use ingest::input::{Input, InputError};
use ingest::interner::Interner;
use ingest::keyed_hash::HashKey;
use ingest::position::InputPosition;
use ingest::reader::Reader;
use proptest::prelude::*;
use schemas::csv_mapping::CsvMapping;
use schemas::usage_event::EVENT_BYTES_MAX;
use serde_json::json;

use crate::differential::{cases, gzip, zstd};
use crate::meters::plan;
use crate::random::Random;

/// How records follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Lines,
    List,
    Values,
    Rows,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stored {
    Plain,
    Gzip,
    Zstd,
}

const FORMATS: [Format; 4] = [Format::Lines, Format::List, Format::Values, Format::Rows];
const STORED: [Stored; 3] = [Stored::Plain, Stored::Gzip, Stored::Zstd];

/// What is in a batch, and what was made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Batch {
    origin: BatchOrigin,
    bytes: Vec<u8>,
    spans: Vec<Span>,
    ids: Vec<String>,
    rejects: Vec<Reject>,
    received: u64,
}

fn mapping() -> CsvMapping {
    let mapping = json!({
        "id": "mapping",
        "files": [],
        "source": { "value": "s" },
        "event_id": "file_and_line",
        "type": { "value": "c" },
        "subject": { "column": "account" },
        "time": { "column": "time", "epoch": "seconds" },
    });
    serde_json::from_value(mapping).unwrap()
}

/// A file in a directory.
struct Stage {
    _directory: tempfile::TempDir,
    path: PathBuf,
    format: Format,
    batch_bytes: usize,
}

impl Stage {
    fn new(format: Format, stored: Stored, bytes: &[u8], batch_bytes: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let name = match format {
            Format::Lines => "usage.ndjson",
            Format::List | Format::Values => "usage.json",
            Format::Rows => "usage.csv",
        };
        let path = directory.path().join(name);
        let bytes = match stored {
            Stored::Plain => bytes.to_vec(),
            Stored::Gzip => gzip(bytes),
            Stored::Zstd => zstd(bytes),
        };
        std::fs::write(&path, bytes).unwrap();
        Self { _directory: directory, path, format, batch_bytes }
    }

    /// The batches from a position on.
    fn read(&self, from: Option<InputPosition>) -> Result<Vec<Batch>, InputError> {
        let input = Input::file(self.path.clone(), (self.format == Format::Rows).then_some(0));
        let plan = plan();
        // An input before it, whose lines are none of its.
        let before = Input::file(self.other(), None);
        let progress = Arc::new(AtomicU64::new(0));
        let inputs = vec![(before.clone(), None), (input.clone(), from)];
        let mut reader = Reader::new(inputs, vec![mapping()], Arc::clone(&plan), Arc::clone(&progress))
            .with_batch_bytes(self.batch_bytes);
        let mut decoder = Decoder::new(0, Arc::clone(&plan), Arc::new(Interner::new(1)), HashKey::fixed(1));
        let (mut batch, mut lines) = (EventBatch::new(plan.dimensions().len()), LineCount::default());
        let mut batches = Vec::new();
        while let Some(records) = reader.next(&mut batch)? {
            decoder.decode(&mut batch, &records);
            lines.place(&mut batch);
            if batch.origin.input == 1 {
                batches.push(Batch {
                    origin: BatchOrigin { sequence: 0, ..batch.origin.clone() },
                    bytes: batch.bytes.clone(),
                    spans: batch.events.text.iter().map(|text| text.span).collect(),
                    ids: (0..batch.len()).map(|event| batch.event_id(event)).collect(),
                    rejects: batch.rejects.clone(),
                    received: batch.received,
                });
            }
            batch.clear();
        }
        let stored = before.bytes().unwrap() + input.bytes().unwrap();
        assert_eq!(progress.load(Ordering::Relaxed), stored, "all stored bytes are read or passed over");
        Ok(batches)
    }

    fn other(&self) -> PathBuf {
        let path = self.path.with_file_name("other.ndjson");
        std::fs::write(&path, b"{}\n\n{}\n").unwrap();
        path
    }

    /// Goes on from every batch, and fails to from everywhere else.
    fn check(&self, bytes: &[u8], is_plain: bool) {
        let whole = self.read(None).unwrap();
        let first = whole[0].origin.clone();
        let start = InputPosition { offset: first.offset, line: first.line - 1 };
        assert_eq!(self.read(Some(start)).unwrap(), whole);
        for (position, batch) in whole.iter().enumerate() {
            assert!(batch.bytes.len() < self.batch_bytes + 1_000, "a batch ends after a record");
            let rest = self.read(Some(batch.origin.end)).unwrap();
            if batch.origin.is_last {
                assert_eq!(position + 1, whole.len());
                let end = batch.origin.end;
                let origin = BatchOrigin { offset: end.offset, line: end.line + 1, ..batch.origin.clone() };
                assert_eq!((rest.len(), &rest[0].origin, rest[0].received), (1, &origin, 0));
            } else {
                assert_eq!(rest, whole[position + 1..], "after {:?}", batch.origin);
            }
        }
        let cuts: Vec<u64> = whole.iter().map(|batch| batch.origin.end.offset).collect();
        let length = u64::try_from(bytes.len()).unwrap();
        let step = bytes.len() / 12 + 1;
        for offset in (1..length + 2).step_by(step).filter(|offset| *offset != start.offset) {
            let is_cut = cuts.contains(&offset);
            let place = usize::try_from(offset).unwrap();
            let is_line = is_plain && self.format == Format::Lines && bytes.get(place - 1) == Some(&b'\n');
            let read = self.read(Some(InputPosition { offset, line: 0 }));
            match read {
                Ok(_) => assert!(is_line || is_cut, "{offset} is where a batch ends"),
                Err(InputError::Position { offset: told, .. }) => {
                    assert!(told == offset && !is_line);
                    // The line is known to be wrong as well, where the reader counts lines.
                    assert!(!is_cut || self.format != Format::Lines, "{offset} is where a batch ends");
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// A record of about so many bytes, an event or not.
fn record(random: &mut Random, format: Format, length: usize) -> Vec<u8> {
    let filler = "x".repeat(random.below(length + 1));
    if format == Format::Rows {
        let quoted = ["plain", "\"a,b\"", "\"a\nb\"", "\"a\r\nb\"\"c\"", "\"\"", ""];
        let account = random.pick(&quoted);
        return format!("{account},{},{filler}", random.below(9)).into_bytes();
    }
    let id = random.next();
    let event = format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"s","type":"c","subject":"a","time":"2026-10-31T10:00:00Z","note":"{filler}"}}"#
    );
    let texts = [&event, "{}", r#"{"a":["]",{"b":"\""}]}"#, "17", "null", "\"x\"", &event, &event];
    random.pick(&texts).as_bytes().to_vec()
}

/// A file of records.
fn content(random: &mut Random, format: Format, records: usize, length: usize) -> Vec<u8> {
    let mut bytes = random.pick(&[&b""[..], b"\xef\xbb\xbf"]).to_vec();
    let line_end = random.pick(&[&b"\n"[..], b"\r\n"]);
    let between: &[&[u8]] = match format {
        Format::Lines => &[line_end, line_end, b"\n\n", b" \r\n"],
        Format::List => &[b",", b",\n", b" ,\r\n  ", b"\n,"],
        Format::Values => &[b"\n", b" ", b"\r\n\n", b"\n \n"],
        Format::Rows => &[line_end, line_end, b"\n\r\n"],
    };
    bytes.extend_from_slice(match format {
        Format::Lines => b"",
        Format::List => b"[ ",
        Format::Values => b" ",
        Format::Rows => b"account,time,\"no\nte\"\n",
    });
    for number in 0..records {
        if number > 0 {
            bytes.extend_from_slice(random.pick(between));
        }
        bytes.extend(record(random, format, length));
    }
    bytes.extend_from_slice(match format {
        Format::List => random.pick(&[&b"]"[..], b"\n]\n", b"] \n\n"]),
        _ => random.pick(&[&b""[..], b"\n", b"\r\n", b"\n\n"]),
    });
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(6), max_shrink_time: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn going_on_from_any_batch_is_as_if_undisturbed(seed in any::<u64>(), records in 0usize..30, length in 0usize..200, batch_bytes in 20usize..900) {
        for format in FORMATS {
            let bytes = content(&mut Random::new(seed), format, records, length);
            for stored in STORED {
                Stage::new(format, stored, &bytes, batch_bytes).check(&bytes, stored == Stored::Plain);
            }
        }
    }
}

#[test]
fn going_on_after_records_larger_than_a_batch_or_than_any_event() {
    let record = |format: Format, length: usize| match format {
        Format::Rows => format!("a,1,{}", "x".repeat(length)),
        _ => format!("{{\"note\":\"{}\"}}", "x".repeat(length)),
    };
    for format in FORMATS {
        let lengths = [10, EVENT_BYTES_MAX * 2, 10, 700_000, 10, EVENT_BYTES_MAX, EVENT_BYTES_MAX + 7, 10];
        let records: Vec<String> = lengths.iter().map(|length| record(format, *length)).collect();
        let text = match format {
            Format::Rows => format!("account,time,note\n{}\n", records.join("\n")),
            Format::List => format!("[{}]", records.join(",\n")),
            _ => records.join("\n"),
        };
        let stage = Stage::new(format, Stored::Plain, text.as_bytes(), 300_000);
        let whole = stage.read(None).unwrap();
        assert!(whole.iter().filter(|batch| !batch.rejects.is_empty()).count() >= 2);
        for (position, batch) in whole.iter().enumerate().filter(|(_, batch)| !batch.origin.is_last) {
            let rest = stage.read(Some(batch.origin.end)).unwrap();
            assert!(rest == whole[position + 1..], "{format:?} after {:?}", batch.origin);
        }
    }
}

#[test]
fn a_position_beyond_the_end_or_in_no_file_is_refused() {
    let stage = Stage::new(Format::Lines, Stored::Plain, b"{}\n{}", 100);
    let error = stage.read(Some(InputPosition { offset: 6, line: 1 })).unwrap_err();
    assert!(matches!(error, InputError::Position { offset: 6, .. }), "{error}");
    let from = Some(InputPosition { offset: 3, line: 1 });
    let open = |input| {
        let mut reader = Reader::new(vec![(input, from)], Vec::new(), plan(), Arc::default());
        reader.next(&mut EventBatch::new(plan().dimensions().len())).unwrap_err().to_string()
    };
    let expected = "standard input: cannot go on after 3 bytes: only a file can be read again: read this input \
                    from its beginning, or store it in a file";
    assert_eq!(open(Input::standard(None)), expected);
    let device = open(Input::file("/dev/null".into(), None));
    assert!(device.starts_with("/dev/null: cannot go on"), "{device}");
    let missing = open(Input::file("/missing".into(), None));
    assert!(missing.contains("No such file"), "{missing}");
}
