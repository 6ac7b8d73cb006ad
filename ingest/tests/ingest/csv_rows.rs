//! CSV files written at random: rows are what was written, whatever the quotes, line ends and blank lines.

use std::sync::Arc;

use proptest::prelude::*;
use schemas::csv_mapping::{CsvMapping, EpochUnit};
use schemas::quarantine::RejectReason;
use schemas::timestamp::Timestamp;
use serde_json::json;

use crate::decoded::{Accepted, File, Outcome, check_replay, decode};
use crate::differential::cases;
use crate::meters::{meters, plan};
use crate::model::{Expected, Measure, Number, event};
use crate::model_json::Value;
use crate::random::Random;

const COLUMNS: [&str; 9] = ["id", "source", "type", "account", "time", "qty", "region", "user", "unread"];

const TEXTS: [&str; 20] = [
    "eu",
    "us",
    "",
    "NULL",
    "-",
    "a,b",
    "a;b",
    "say \"hi\"",
    "\"",
    "line one\nline two",
    "line one\r\nline two\r\n",
    "\n",
    "ünï",
    " spaced ",
    "1.10",
    "1e5",
    "007",
    "5\" pipe",
    "a text longer than thirty-two bytes, to be sure",
    "tab\there",
];
const QUANTITIES: [&str; 14] = [
    "1",
    "2.5",
    "0.10",
    "-3",
    "1e3",
    "+7",
    "007",
    "",
    "NULL",
    "n/a",
    "1e-10",
    "99999999999999999999",
    "100000000000000000000",
    "1,5",
];
const TIMES: [&str; 10] = [
    "2026-10-31T10:00:00Z",
    "2026-10-31 10:00:00",
    "2026-10-25 02:30:00",
    "2026-03-29 02:30:00.5",
    "2026-10-31T10:00:00+02:00",
    "yesterday",
    "",
    "2100-01-01T00:00:00Z",
    "1969-12-31 23:59:59",
    "2026-10-31",
];
const EPOCHS: [&str; 12] = [
    "1793440800",
    "1793440800.5",
    "1793440800123",
    "1793440800123456",
    "1793440800.1234567",
    "0",
    "-1",
    "1.5e9",
    "NULL",
    "soon",
    "4102444800",
    "99999999999999999999",
];

/// A file: its mapping, and how it is written.
struct Layout {
    mapping: CsvMapping,
    columns: Vec<&'static str>,
    delimiter: char,
    line_end: &'static str,
}

impl Layout {
    fn new(random: &mut Random) -> Self {
        let mut columns = COLUMNS.to_vec();
        random.shuffle(&mut columns);
        let delimiter = [',', ';', '\t'][random.below(3)];
        let either = |random: &mut Random, column: &str, value: &str| {
            if random.once_in(2) { json!({ "column": column }) } else { json!({ "value": value }) }
        };
        let time = match random.below(4) {
            0 => json!({ "column": "time" }),
            1 => json!({ "column": "time", "timezone": "Europe/Berlin" }),
            2 => json!({ "column": "time", "epoch": "seconds" }),
            _ => json!({ "column": "time", "epoch": *random.pick(&["milliseconds", "microseconds"]) }),
        };
        let mapping = json!({
            "id": "mapping",
            "files": [],
            "delimiter": delimiter,
            "null_values": ["NULL", "-"],
            "source": either(random, "source", "the source"),
            "event_id": if random.once_in(2) { json!({ "column": "id" }) } else { json!("file_and_line") },
            "type": either(random, "type", "t"),
            "subject": either(random, "account", "acme"),
            "time": time,
            "data": { "v": "qty", "region": "region", "u": "user", "flag": "user" },
        });
        let line_end = random.pick(&["\n", "\r\n", "\r"]);
        Self { mapping: serde_json::from_value(mapping).unwrap(), columns, delimiter, line_end }
    }

    /// Writes a field, in quotes where it must be and sometimes where it need not.
    fn field(&self, random: &mut Random, text: &str) -> String {
        let must = text.starts_with('"') || text.contains([self.delimiter, '\n', '\r']);
        if must || random.once_in(4) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
    }

    fn row(&self, random: &mut Random, fields: &[&str]) -> String {
        let fields: Vec<String> = fields.iter().map(|field| self.field(random, field)).collect();
        fields.join(&self.delimiter.to_string())
    }

    /// Fields of a row, which may be too many or too few.
    fn fields(&self, random: &mut Random) -> Vec<&'static str> {
        let mut fields: Vec<&str> = self
            .columns
            .iter()
            .map(|column| match *column {
                "type" => random.pick(&["t", "t", "u", "c", "p", "other", ""]),
                "time" if self.mapping.time.epoch.is_some() => random.pick(&EPOCHS),
                "time" => random.pick(&TIMES),
                "qty" => random.pick(&QUANTITIES),
                _ => random.pick(&TEXTS),
            })
            .collect();
        match random.below(20) {
            0 => drop(fields.pop()),
            1 => fields.push(random.pick(&TEXTS)),
            _ => {}
        }
        fields
    }

    /// The event of a row as a tree, or why there is none; `data` as it is read, and as it is compared.
    fn event(&self, fields: &[&str], line: u64) -> Result<[Value; 2], RejectReason> {
        if fields.len() != self.columns.len() {
            return Err(RejectReason::MalformedCsv);
        }
        let at = |column: &str| {
            let text = fields[self.columns.iter().position(|other| *other == column).unwrap()];
            (!["", "NULL", "-"].contains(&text)).then(|| text.to_owned())
        };
        let of = |field: &schemas::csv_mapping::CsvField| match field {
            schemas::csv_mapping::CsvField::Column(name) => at(name),
            schemas::csv_mapping::CsvField::Value(text) => Some(text.clone()),
        };
        let id = match &self.mapping.event_id {
            schemas::csv_mapping::CsvEventId::Column(name) => at(name),
            schemas::csv_mapping::CsvEventId::FileAndLine => Some(format!("usage.csv:{line}")),
        };
        let time = at("time").map(|text| self.time(&text)).transpose()?;
        let mut attributes = vec![("specversion".to_owned(), Value::Text("1.0".to_owned()))];
        let named = [
            ("id", id),
            ("source", of(&self.mapping.source)),
            ("type", of(&self.mapping.event_type)),
            ("subject", of(&self.mapping.subject)),
            ("time", time.map(|time| time.to_string())),
        ];
        attributes
            .extend(named.into_iter().filter_map(|(name, text)| Some((name.to_owned(), Value::Text(text?)))));
        let with = |value: &dyn Fn(String) -> Value| {
            let data = self.mapping.data.iter();
            let data: Vec<(String, Value)> =
                data.filter_map(|(name, column)| Some((name.clone(), value(at(column)?)))).collect();
            let mut members = attributes.clone();
            if !data.is_empty() {
                members.push(("data".to_owned(), Value::Object(data)));
            }
            Value::Object(members)
        };
        let number = |text: String| match Number::read_json(&text) {
            Some(_) => Value::Number(text),
            None => Value::Text(text),
        };
        Ok([with(&Value::Text), with(&number)])
    }

    fn time(&self, text: &str) -> Result<Timestamp, RejectReason> {
        let time = match (self.mapping.time.epoch, &self.mapping.time.timezone) {
            (Some(unit), _) => {
                let decimals = match unit {
                    EpochUnit::Seconds => 6,
                    EpochUnit::Milliseconds => 3,
                    EpochUnit::Microseconds => 0,
                };
                Number::read(text)
                    .filter(|number| number.places() <= decimals.into() && number.whole_digits() < 30)
                    .map(|number| number.scaled(decimals))
                    .and_then(|micros| i64::try_from(micros).ok())
                    .map(Timestamp::from_micros)
            }
            (None, Some(zone)) => match Timestamp::parse_local_as_utc(text.as_bytes()) {
                Ok(local) => Some(zone.from_local(local)),
                Err(_) => text.parse().ok(),
            },
            (None, None) => text.parse().ok(),
        };
        let time = time.ok_or(RejectReason::BadTime)?;
        let is_in_range = (0..4_102_444_800_000_000).contains(&time.micros());
        if is_in_range { Ok(time) } else { Err(RejectReason::TimeOutOfRange) }
    }
}

/// Lines that end in a text.
fn lines(text: &str) -> u64 {
    let line_feeds = text.matches('\n').count();
    let returns = text.matches('\r').count() - text.matches("\r\n").count();
    u64::try_from(line_feeds + returns).unwrap()
}

fn check(fields: &[&str], layout: &Layout, line: u64, outcome: &Outcome) {
    let meters = meters();
    let expected = match layout.event(fields, line) {
        Err(reason) => Err(vec![reason]),
        Ok([read, _]) => match event(&read, &meters) {
            Expected::Accepted(event) => Ok(event),
            Expected::Rejected(fault) => Err(fault.reasons.into_iter().collect()),
        },
    };
    match (outcome, expected) {
        (Outcome::Accepted(got), Ok(expected)) => {
            let texts = [&got.source, &got.id, &got.event_type, &got.subject];
            assert_eq!(texts, expected.texts.each_ref(), "{fields:?}");
            assert_eq!(got.time, expected.time, "{fields:?}");
            assert_eq!(got.usages.len(), expected.usages.len(), "{fields:?}");
            for (got, expected) in got.usages.iter().zip(&expected.usages) {
                assert_eq!(
                    (got.meter, &got.dimensions),
                    (expected.meter, &expected.dimensions),
                    "{fields:?}"
                );
                if let Measure::Number(number) = expected.measure {
                    assert_eq!(got.measure, number, "{fields:?}");
                }
            }
        }
        (Outcome::Rejected { reason, detail, .. }, Err(reasons)) => {
            assert!(reasons.contains(reason), "{reason} ({detail}), not {reasons:?}: {fields:?}");
        }
        (got, expected) => panic!("{got:?}, not {expected:?}: {fields:?}"),
    }
}

/// The event of a row, written as JSON.
fn json_of(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let member = |(name, value): &(String, Value)| format!("{}:{}", json!(name), json_of(value));
            format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
        }
        Value::Number(text) => text.clone(),
        Value::Text(text) => json!(text).to_string(),
        other => panic!("{other:?} is in no row"),
    }
}

fn accepted(outcome: &Outcome) -> Option<&Accepted> {
    match outcome {
        Outcome::Accepted(event) => Some(event),
        Outcome::Rejected { .. } => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(96), max_shrink_time: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_are_what_was_written(layout in any::<u64>(), seeds in prop::collection::vec(any::<u64>(), 0..40), mark in any::<bool>()) {
        let layout = Layout::new(&mut Random::new(layout));
        let plan = plan();
        let mut text = layout.row(&mut Random::new(1), &layout.columns) + layout.line_end;
        let mut rows = Vec::new();
        for (position, seed) in seeds.iter().enumerate() {
            let random = &mut Random::new(*seed);
            while random.once_in(6) {
                text += layout.line_end;
            }
            let fields = layout.fields(random);
            let row = layout.row(random, &fields);
            rows.push((lines(&text) + 1, row.clone(), fields));
            text += &row;
            if position + 1 < seeds.len() || random.once_in(2) {
                text += layout.line_end;
            }
        }
        let bytes = [if mark { &b"\xef\xbb\xbf"[..] } else { b"" }, text.as_bytes()].concat();
        let file = File { name: "usage.csv", bytes };
        let records = decode(vec![file], 1, &plan, Some(&layout.mapping)).unwrap();
        let got: Vec<(u64, String)> = records
            .iter()
            .map(|record| (record.line, String::from_utf8(record.bytes.clone()).unwrap()))
            .collect();
        let expected: Vec<(u64, String)> = rows.iter().map(|(line, row, _)| (*line, row.clone())).collect();
        prop_assert_eq!(got, expected, "{:?}", text);
        for (record, (line, _, fields)) in records.iter().zip(&rows) {
            check(fields, &layout, *line, &record.outcome);
        }

        check_replay(&records, "some/where/usage.csv", &plan, Some(&layout.mapping), 1 + rows.len() * 30);

        // The same events as JSON have the same identity and the same content.
        let json: Vec<(&Accepted, String)> = records
            .iter()
            .zip(&rows)
            .filter_map(|(record, (line, _, fields))| {
                let [_, compared] = layout.event(fields, *line).ok()?;
                Some((accepted(&record.outcome)?, json_of(&compared)))
            })
            .collect();
        let bytes = json.iter().map(|(_, line)| line.as_str()).collect::<Vec<_>>().join("\n").into_bytes();
        let as_json = decode(vec![File { name: "events.ndjson", bytes }], 1, &plan, None).unwrap();
        prop_assert_eq!(as_json.len(), json.len());
        for (record, (row, line)) in as_json.iter().zip(&json) {
            // A number written with a plus sign is one in CSV only.
            if let Some(event) = accepted(&record.outcome) {
                prop_assert_eq!((event.identity, event.content), (row.identity, row.content), "{}", line);
            }
        }
    }
}

/// Reads a file of accounts and times with the mapping's simplest form.
fn read(text: &str) -> Vec<(u64, Result<String, RejectReason>)> {
    let mapping = json!({
        "id": "mapping",
        "files": [],
        "source": { "value": "s" },
        "event_id": "file_and_line",
        "type": { "value": "t" },
        "subject": { "column": "account" },
        "time": { "column": "time", "epoch": "seconds" },
        "data": { "v": "qty", "region": "region" },
    });
    let mapping: CsvMapping = serde_json::from_value(mapping).unwrap();
    let file = File { name: "usage.csv", bytes: text.as_bytes().to_vec() };
    let records = decode(vec![file], 1, &Arc::clone(&plan()), Some(&mapping)).unwrap();
    let outcome = |outcome: &Outcome| match outcome {
        Outcome::Accepted(event) => {
            let region = event.usages[0].dimensions[3].clone().unwrap_or_default();
            Ok(format!("{} {} {region} {}", event.id, event.subject, event.usages[0].measure))
        }
        Outcome::Rejected { reason, .. } => Err(*reason),
    };
    records.iter().map(|record| (record.line, outcome(&record.outcome))).collect()
}

#[test]
fn a_file_whose_lines_end_in_carriage_returns_is_read_whole() {
    let text = "account,time,qty,region\ra,1,1,eu\rb,1,2,\"e\ru\"\r\rc,1,3,us";
    let expected = [(2, "a eu 1000000000"), (3, "b e\ru 2000000000"), (6, "c us 3000000000")];
    let expected = expected.map(|(line, rest)| (line, Ok(format!("usage.csv:{line} {rest}"))));
    assert_eq!(read(text), expected);
    let mixed = "account,time,qty,region\r\na,1,1,eu\nb,1,1,eu\rc,1,1,eu\r\n";
    assert_eq!(read(mixed).iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3, 4]);
}

#[test]
fn a_dimension_is_what_is_written_also_where_it_looks_like_a_number() {
    let row = |region: &str| read(&format!("account,time,qty,region\na,1,1.50,{region}\n")).remove(0).1;
    for region in ["1.10", "1.1", "1e5", "007", "0x10", "-0", "12345678901234567890.0"] {
        assert_eq!(row(region), Ok(format!("usage.csv:2 a {region} 1500000000")));
    }
}

#[test]
fn a_row_that_is_too_large_is_refused() {
    let limit = schemas::usage_event::EVENT_BYTES_MAX;
    let row = |length: usize| format!("a,1,1,{}\n", "x".repeat(length - 6));
    let text = format!("account,time,qty,region\n{}{}b,1,1,eu\n", row(limit), row(limit + 1));
    let reasons: Vec<_> = read(&text).into_iter().map(|(_, outcome)| outcome.err()).collect();
    assert_eq!(reasons, [Some(RejectReason::InvalidDimension), Some(RejectReason::EventTooLarge), None]);
}
