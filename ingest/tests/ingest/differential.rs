//! Streams of random events: what the decoder makes of each record is what the model says, and nothing
//! but the record decides it.

use std::collections::HashMap;
use std::io::Write;

use proptest::prelude::*;
use schemas::meter::Meter;
use schemas::quarantine::RejectReason;

use crate::decoded::{Accepted, File, Outcome, Record, check_replay, decode};
use crate::event_text::{Style, Writer, damage, event};
use crate::meters::{meters, plan};
use crate::model::{Event, Expected, Measure, expect};
use crate::model_json::read;
use crate::random::Random;

/// Seeds of the events of a stream: few, so that events come again in other writings.
const EVENTS: u64 = 40;

/// A record, from seeds: one of the stream's events in one of its writings, or something broken.
fn record(stream: u64, seed: u64, line_ends: bool) -> Vec<u8> {
    let random = &mut Random::new(seed);
    let tree = event(stream.wrapping_mul(EVENTS).wrapping_add(random.next() % EVENTS));
    let style = Style::any(random);
    let odd = random.once_in(3);
    let mut writer = Writer { random, style, odd, line_ends, text: String::new() };
    writer.write(&tree);
    let mut bytes = writer.text.into_bytes();
    if random.once_in(12) {
        damage(random, &mut bytes);
    }
    bytes
}

/// A line of a stream of lines: a record, or nothing.
fn line(stream: u64, seed: u64) -> Vec<u8> {
    let random = &mut Random::new(!seed);
    let mut line = match random.below(40) {
        0 => Vec::new(),
        1 => b" \t ".to_vec(),
        2 => random
            .pick(&[&b"null"[..], b"1", b"\"text\"", b"true", b"}", b"{", b"{}", b"\0", b"nonsense"])
            .to_vec(),
        _ => record(stream, seed, false),
    };
    line.retain(|byte| *byte != b'\n');
    if random.once_in(10) {
        line.push(b'\r');
    }
    line
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
}

/// A list would begin with a bracket, and what follows would be its elements.
fn lines_of(stream: u64, seeds: &[u64]) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = seeds.iter().map(|seed| line(stream, *seed)).collect();
    lines.insert(0, b"{}".to_vec());
    lines
}

fn joined(lines: &[Vec<u8>]) -> Vec<u8> {
    lines.join(&b'\n')
}

fn ndjson(bytes: Vec<u8>) -> File {
    File { name: "events.ndjson", bytes }
}

/// Pairs that must be one to one: a text and the hash that stands for it.
#[derive(Default)]
struct OneToOne {
    hashes: HashMap<String, u128>,
    texts: HashMap<u128, String>,
}

impl OneToOne {
    fn check(&mut self, text: &str, hash: u128) {
        let known = *self.hashes.entry(text.to_owned()).or_insert(hash);
        assert_eq!(known, hash, "equal texts have one hash: {text}");
        let known = self.texts.entry(hash).or_insert_with(|| text.to_owned());
        assert_eq!(known, text, "other texts have other hashes");
    }
}

#[derive(Default)]
struct Hashes {
    identities: OneToOne,
    contents: OneToOne,
    distinct: OneToOne,
}

fn check(record: &Record, meters: &[Meter], hashes: &mut Hashes) {
    let text = String::from_utf8_lossy(&record.bytes);
    match (&record.outcome, expect(&record.bytes, meters)) {
        (Outcome::Accepted(got), Expected::Accepted(event)) => check_event(&text, got, &event, hashes),
        (Outcome::Rejected { reason, detail, attributes }, Expected::Rejected(fault)) => {
            assert!(fault.reasons.contains(reason), "{reason} ({detail}), not {:?}: {text}", fault.reasons);
            if let Some(expected) = &fault.attributes {
                assert_eq!(attributes, expected, "{text}");
            }
        }
        (got, expected) => panic!("{got:?}, not {expected:?}: {text}"),
    }
}

fn check_event(text: &str, got: &Accepted, event: &Event, hashes: &mut Hashes) {
    let texts = [&got.source, &got.id, &got.event_type, &got.subject];
    assert_eq!(texts, event.texts.each_ref(), "{text}");
    assert_eq!((got.time, got.metered), (event.time, event.metered), "{text}");
    hashes.identities.check(&format!("{:?} {:?}", got.source, got.id), got.identity);
    hashes.contents.check(&event.content, u128::from(got.content));
    assert_eq!(got.usages.len(), event.usages.len(), "{text}");
    for (got, expected) in got.usages.iter().zip(&event.usages) {
        assert_eq!((got.meter, got.event_price), (expected.meter, expected.event_price), "{text}");
        assert_eq!(got.dimensions, expected.dimensions, "{text}");
        match &expected.measure {
            Measure::Number(number) => assert_eq!(got.measure, *number, "{text}"),
            Measure::Distinct(value) => hashes.distinct.check(value, got.measure.cast_unsigned()),
        }
    }
}

/// What became of the records, wherever they were.
fn outcomes(records: Vec<Record>) -> Vec<(String, Outcome)> {
    let text = |record: &Record| String::from_utf8_lossy(&record.bytes).into_owned();
    records.into_iter().map(|record| (text(&record), record.outcome)).collect()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(48), max_shrink_time: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_record_becomes_what_the_model_says(stream in any::<u64>(), seeds in prop::collection::vec(any::<u64>(), 1..120), mark in any::<bool>()) {
        let lines = lines_of(stream, &seeds);
        let mut bytes = joined(&lines);
        if mark {
            bytes.splice(0..0, *b"\xef\xbb\xbf");
        }
        let records = decode(vec![ndjson(bytes)], 1, &plan(), None).unwrap();
        let expected: Vec<(u64, &[u8])> =
            (1..).zip(lines.iter().map(Vec::as_slice)).filter(|(_, line)| !is_blank(line)).collect();
        let got: Vec<(u64, &[u8])> = records.iter().map(|record| (record.line, record.bytes.as_slice())).collect();
        prop_assert_eq!(got, expected, "every line that is not blank is one record");
        let (meters, mut hashes) = (meters(), Hashes::default());
        for record in &records {
            check(record, &meters, &mut hashes);
        }
        check_replay(&records, "events.ndjson", &plan(), None, 1 + lines.len() * 40);
    }

    #[test]
    fn order_cuts_and_compression_change_nothing(
        stream in any::<u64>(),
        seeds in prop::collection::vec(any::<u64>(), 1..60),
        in_file in 1usize..20,
        decoders in 2usize..4,
        cut in any::<prop::sample::Index>(),
    ) {
        let plan = plan();
        let lines = lines_of(stream, &seeds);
        let bytes = joined(&lines);
        let expected = outcomes(decode(vec![ndjson(bytes.clone())], 1, &plan, None).unwrap());

        let mut turned: Vec<Vec<u8>> = lines.iter().rev().cloned().collect();
        turned.insert(0, b"{}".to_vec());
        let mut backwards = outcomes(decode(vec![ndjson(joined(&turned))], 1, &plan, None).unwrap());
        backwards.remove(0);
        backwards.reverse();
        prop_assert_eq!(&backwards, &expected, "backwards");

        let files = lines.chunks(in_file).map(|lines| ndjson([&b"{}\n"[..], &joined(lines)].concat())).collect();
        let mut apart = decode(files, decoders, &plan, None).unwrap();
        let mut before = None;
        apart.retain(|record| before.replace(record.input) == Some(record.input));
        prop_assert_eq!(&outcomes(apart), &expected, "in several files, by several decoders");

        let (head, tail) = bytes.split_at(cut.index(bytes.len()));
        for (how, compressed) in [
            ("gzip", gzip(&bytes)),
            ("zstd", zstd(&bytes)),
            ("gzip in two members", [gzip(head), gzip(tail)].concat()),
            ("zstd in two frames", [zstd(head), zstd(tail)].concat()),
        ] {
            let got = outcomes(decode(vec![ndjson(compressed)], 1, &plan, None).unwrap());
            prop_assert_eq!(&got, &expected, "{}", how);
        }
    }

    #[test]
    fn a_list_or_a_row_of_values_is_read_like_lines(
        stream in any::<u64>(),
        seeds in prop::collection::vec(any::<u64>(), 1..60),
        line_ends in any::<bool>(),
        is_list in any::<bool>(),
    ) {
        let plan = plan();
        let is_json = |record: &Vec<u8>| std::str::from_utf8(record).is_ok_and(|text| {
            !read(text).faults.contains(&RejectReason::MalformedJson)
        });
        let trim = |record: Vec<u8>| record.trim_ascii().to_vec();
        let records: Vec<Vec<u8>> =
            seeds.iter().map(|seed| record(stream, *seed, line_ends)).filter(is_json).map(trim).collect();
        let random = &mut Random::new(stream);
        let mut text = random.pick(&[&b"\xef\xbb\xbf"[..], b"", b"\n", b"  "]).to_vec();
        text.extend_from_slice(if is_list { b"[" } else { b"" });
        for (position, record) in records.iter().enumerate() {
            if is_list && position > 0 {
                text.extend_from_slice(random.pick(&[b",", b" , ", b",\n", b"\n,\n"]));
            }
            text.extend_from_slice(record);
            // A number and a number must be kept apart.
            text.extend_from_slice(if is_list { random.pick(&[b"", b" ", b"\r\n"]) } else { random.pick(&[b"\n", b" ", b"\r\n"]) });
        }
        text.extend_from_slice(if is_list { b"]\n" } else { b"" });
        let decoded = decode(vec![File { name: "events.json", bytes: text.clone() }], 1, &plan, None).unwrap();
        let (meters, mut hashes) = (meters(), Hashes::default());
        for record in &decoded {
            check(record, &meters, &mut hashes);
            let before = &text[..usize::try_from(record.offset).unwrap()];
            let lines = String::from_utf8_lossy(before).matches('\n').count();
            prop_assert_eq!(record.line, u64::try_from(lines).unwrap() + 1);
        }
        check_replay(&decoded, "events.json", &plan, None, 1 + records.len() * 40);
        let got: Vec<Vec<u8>> = decoded.into_iter().map(|record| record.bytes).collect();
        prop_assert_eq!(got, records);
    }
}

/// As many cases as asked for, or a few.
pub(crate) fn cases(few: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(few)
}
