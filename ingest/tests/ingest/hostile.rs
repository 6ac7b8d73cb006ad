//! Inputs made to be large, slow or confusing: their cost is bounded, and they take nothing else along.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use ingest::decoder::Decoder;
use ingest::event_batch::EventBatch;
use ingest::input::{Input, InputError};
use ingest::interner::Interner;
use ingest::keyed_hash::HashKey;
use ingest::position::InputPosition;
use ingest::reader::{BATCH_BYTES, Reader};
use schemas::quarantine::RejectReason;
use schemas::usage_event::EVENT_BYTES_MAX;

use crate::decoded::{File, Outcome, Record, check_replay, decode};
use crate::meters::plan;

/// Far more than any of these takes where cost is proportional to size, in a build without optimisation
/// on a busy machine; far less than where it is not.
const TIME_MAX: Duration = Duration::from_mins(1);

fn read(name: &'static str, bytes: Vec<u8>) -> Result<Vec<Record>, InputError> {
    let start = Instant::now();
    let records = decode(vec![File { name, bytes }], 1, &plan(), None);
    assert!(start.elapsed() < TIME_MAX, "{name} took {:?}", start.elapsed());
    if let Ok(records) = &records {
        check_replay(records, name, &plan(), None, BATCH_BYTES);
    }
    records
}

/// An event of exactly so many bytes.
fn event_of(id: usize, length: usize) -> Vec<u8> {
    let head = format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"s","type":"c","subject":"a","time":"2026-10-31T10:00:00Z","note":""#
    );
    let mut event = head.into_bytes();
    event.resize(length.max(event.len() + 2) - 2, b'x');
    event.extend_from_slice(b"\"}");
    event
}

/// What became of the records: the ids of events, and the reasons of rejects with their length.
fn outcomes(records: &[Record]) -> Vec<String> {
    let outcome = |record: &Record| match &record.outcome {
        Outcome::Accepted(event) => event.id.clone(),
        Outcome::Rejected { reason, .. } => reason.to_string(),
    };
    records.iter().map(outcome).collect()
}

#[test]
fn an_event_may_be_as_large_as_the_limit_and_no_larger_wherever_it_is() {
    let small = event_of(1, 0);
    let last = event_of(9, 0);
    for (length, expected) in [
        (EVENT_BYTES_MAX, "2"),
        (EVENT_BYTES_MAX + 1, "event_too_large"),
        (EVENT_BYTES_MAX * 3, "event_too_large"),
    ] {
        let large = event_of(2, length);
        for end in [&b"\n"[..], b"\r\n"] {
            let lines = |events: &[&[u8]]| events.join(end);
            let cases = [
                (lines(&[&large, &last]), vec![expected, "9"]),
                (lines(&[&small, &large, &last]), vec!["1", expected, "9"]),
                (lines(&[&small, &large]), vec!["1", expected]),
                (lines(&[&small, &large, b""]), vec!["1", expected]),
                (
                    lines(&[&event_of(1, 400_000), &event_of(3, 400_000), &large, &last]),
                    vec!["1", "3", expected, "9"],
                ),
            ];
            for (bytes, expected) in cases {
                for name in ["events.ndjson", "events.json"] {
                    let got = outcomes(&read(name, bytes.clone()).unwrap());
                    assert_eq!(got, expected, "{name} with an event of {length} bytes");
                }
            }
        }
        let list = |between: &[u8]| {
            let elements = [&small[..], &large, &last].join(&[b",", between].concat()[..]);
            [b"[", between, &elements, between, b"]"].concat()
        };
        for between in [&b""[..], b"\n", b"    "] {
            let got = outcomes(&read("events.json", list(between)).unwrap());
            assert_eq!(got, ["1", expected, "9"], "a list with an event of {length} bytes");
        }
    }
}

#[test]
fn what_is_inside_an_event_that_is_too_large_is_no_event() {
    let inner = String::from_utf8(event_of(5, 200)).unwrap();
    let outer = format!("{{\"batch\":[\n{}\n{}\n]}}", format!("{inner},\n").repeat(8_000), inner);
    let last = String::from_utf8(event_of(9, 0)).unwrap();
    assert!(outer.len() > EVENT_BYTES_MAX);
    for (text, line) in [(format!("{outer}\n{last}\n"), 8_005), (format!("[{outer},\n{last}]\n"), 8_005)] {
        let records = read("events.json", text.into_bytes()).unwrap();
        assert_eq!(outcomes(&records), ["event_too_large", "9"]);
        assert_eq!(records[1].line, line);
    }
}

#[test]
fn a_list_without_end_is_told_however_large_its_last_element() {
    for length in [1_000, EVENT_BYTES_MAX * 3] {
        let mut text = [b"[", &event_of(1, 0)[..], b",", &event_of(2, length)].concat();
        text.truncate(text.len() - 1);
        let error = read("events.json", text).unwrap_err();
        assert!(matches!(error, InputError::Truncated { .. }), "{error}");
    }
}

#[test]
fn blank_lines_cost_no_more_than_their_bytes() {
    let event = event_of(1, 0);
    for blank in [&b"\n"[..], b"\r\n", b" \n", b"\t \r\n"] {
        let blanks = blank.repeat(1_000_000);
        for name in ["events.ndjson", "events.json"] {
            let records = read(name, [&blanks, &event[..], &blanks].concat()).unwrap();
            assert_eq!(outcomes(&records), ["1"], "{name}");
            assert_eq!(records[0].line, 1_000_001);
            assert_eq!(read(name, blanks.clone()).unwrap(), []);
        }
        let list = [b"[", &blanks[..], &event, &blanks, b"]", &blanks].concat();
        assert_eq!(outcomes(&read("events.json", list).unwrap()), ["1"]);
    }
}

#[test]
fn nesting_and_keys_without_end_are_refused_at_the_limit() {
    let cases = [
        ("[".repeat(500_000), RejectReason::NestingTooDeep),
        (r#"{"a":"#.repeat(100_000), RejectReason::NestingTooDeep),
        (r#"{"data":"#.repeat(100_000), RejectReason::NestingTooDeep),
        (r#"[{"v":"#.repeat(100_000), RejectReason::NestingTooDeep),
        (
            format!("{{{}", (0..80_000).map(|key| format!("\"{key}\":1")).collect::<Vec<_>>().join(",")),
            RejectReason::TooManyKeys,
        ),
        (format!("[{}", r#"{"a":1},"#.repeat(80_000)), RejectReason::TooManyKeys),
        ("9".repeat(1_000_000), RejectReason::NumberTooLong),
        (format!("1e{}", "9".repeat(1_000_000)), RejectReason::NumberTooLong),
    ];
    for place in ["data", "other"] {
        for (value, expected) in &cases {
            let records = read("events.ndjson", format!("{{\"{place}\":{value}\n").into_bytes()).unwrap();
            assert_eq!(outcomes(&records), [expected.code()], "{place}");
        }
    }
}

/// Most memory the process has used, in bytes.
#[cfg(target_os = "linux")]
fn memory_peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[cfg(target_os = "linux")]
#[test]
fn a_line_without_end_is_not_held_in_memory() {
    // A file with a hole: zeros that take no room on disk.
    const LENGTH: u64 = 160 << 20;
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(LENGTH).unwrap();
    let before = memory_peak();
    let input = Input::file(file.path().to_owned(), None);
    let plan = plan();
    let mut reader =
        Reader::new(vec![(input, None)], Vec::new(), Arc::clone(&plan), Arc::new(AtomicU64::new(0)));
    let mut batch = EventBatch::new(plan.dimensions().len());
    let records = reader.next(&mut batch).unwrap().unwrap();
    Decoder::new(0, plan, Arc::new(Interner::new(1)), HashKey::fixed(1)).decode(&mut batch, &records);
    assert_eq!((batch.len(), batch.rejects.len(), batch.rejects[0].length), (0, 1, LENGTH));
    assert_eq!(batch.rejects[0].reason, RejectReason::EventTooLarge);
    assert_eq!((batch.origin.end, batch.origin.is_last), (InputPosition { offset: LENGTH, line: 0 }, true));
    batch.clear();
    assert!(reader.next(&mut batch).unwrap().is_none());
    // Other tests run at the same time, none of which uses so much. The kernel's count is not exact: it may
    // even be less than before.
    let grown = memory_peak().saturating_sub(before);
    assert!(grown < LENGTH / 2, "{grown} bytes");
}

#[test]
fn a_compression_bomb_is_refused_before_it_has_grown_far() {
    use std::io::Write;
    let blanks = vec![b' '; 8 << 20];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&blanks).unwrap();
    let (gzip, zstd) = (gzip.finish().unwrap(), zstd::encode_all(&blanks[..], 3).unwrap());
    for (name, bomb) in [("events.ndjson.gz", gzip.repeat(20)), ("events.ndjson.zst", zstd.repeat(20))] {
        let error = read(name, bomb).unwrap_err();
        assert!(matches!(error, InputError::DecompressionBomb { .. }), "{name}: {error}");
    }
}

#[test]
fn compressed_input_that_is_cut_short_is_an_error_and_never_a_shorter_input() {
    use std::io::Write;
    let lines: Vec<Vec<u8>> = (0..200).map(|id| event_of(id, 150 + id)).collect();
    let bytes = lines.join(&b'\n');
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&bytes).unwrap();
    for (name, whole) in [
        ("events.ndjson.gz", gzip.finish().unwrap()),
        ("events.ndjson.zst", zstd::encode_all(&bytes[..], 3).unwrap()),
    ] {
        assert_eq!(read(name, whole.clone()).unwrap().len(), 200);
        for length in (5..whole.len()).step_by(7) {
            let error = read(name, whole[..length].to_vec());
            assert!(error.is_err(), "{name} of {} bytes, cut to {length}", whole.len());
        }
    }
}

#[test]
fn many_distinct_texts_are_all_kept_apart() {
    let line = |at: usize| {
        format!(
            r#"{{"specversion":"1.0","id":"{at}","source":"source-{at}","type":"type-{at}","subject":"subject-{at}","time":"2026-10-31T10:00:00Z","data":{{"key-{at}":{at}}}}}"#
        )
    };
    let lines: Vec<String> = (0..20_000).map(line).collect();
    let records = read("events.ndjson", lines.join("\n").into_bytes()).unwrap();
    assert_eq!(records.len(), lines.len());
    for (at, record) in records.iter().enumerate() {
        let Outcome::Accepted(event) = &record.outcome else { panic!("{record:?}") };
        let expected = [format!("source-{at}"), format!("type-{at}"), format!("subject-{at}")];
        assert_eq!([&event.source, &event.event_type, &event.subject], expected.each_ref());
    }
}
