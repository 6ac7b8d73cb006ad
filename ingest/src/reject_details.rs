//! What quarantine says of refused records: the fault, then how to mend it, each once.

use std::sync::Arc;

use schemas::quarantine::RejectReason;

use crate::decoder::{Decoder, Records};
use crate::event_batch::EventBatch;
use crate::interner::Interner;
use crate::keyed_hash::HashKey;
use crate::metering::MeteringPlan;
use crate::scan::PADDING;

/// The reason and the explanation of a record's refusal.
fn refused(record: &[u8]) -> (RejectReason, String) {
    let meters = [
        r#"{"id":"used","event_type":"use","aggregation":"sum","value":"$.n","decimals":2,
            "dimensions":{"region":"$.region"}}"#,
        r#"{"id":"users","event_type":"login","aggregation":"unique","value":"$.user"}"#,
        r#"{"id":"sold","event_type":"sale","aggregation":"count",
            "event_price":{"property":"$.price","is":"amount","currency":"EUR","decimals":2}}"#,
    ];
    let meters = meters.map(|meter| serde_json::from_str(meter).unwrap());
    let plan = Arc::new(MeteringPlan::new(&meters));
    let mut batch = EventBatch::new(plan.dimensions().len());
    batch.bytes = [record, &[0; PADDING]].concat();
    let mut decoder = Decoder::new(0, plan, Arc::new(Interner::new(0)), HashKey::random().unwrap());
    decoder.decode(&mut batch, &Records::Lines);
    assert_eq!(batch.rejects.len(), 1, "{}", String::from_utf8_lossy(record));
    (batch.rejects[0].reason, batch.rejects[0].explanation())
}

/// An event of a type with this data.
fn event(event_type: &str, data: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"1","source":"s","type":"{event_type}","subject":"a","time":"2026-10-01T00:00:00Z","data":{data}}}"#
    )
}

#[test]
#[expect(clippy::too_many_lines, reason = "a row for every reason")]
fn every_refusal_says_what_is_wrong_and_how_to_mend_it_once() {
    use RejectReason as R;
    let good = event("use", r#"{"n":1}"#);
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replace(from, to).into_bytes()
    };
    let time = |time: &str| with("\"2026-10-01T00:00:00Z\"", time);
    let used = |data: &str| event("use", data).into_bytes();
    let other = |event_type: &str, data: &str| event(event_type, data).into_bytes();
    let nested = format!(r#"{{"n":{}1{}}}"#, "[".repeat(40), "]".repeat(40));
    let keys = (0..300).map(|key| format!("\"k{key}\":1")).collect::<Vec<_>>().join(",");
    let digits = "9".repeat(65);
    let times =
        "write times as 2026-10-31T23:59:59Z or 2026-10-31T23:59:59+01:00, in CSV as the mapping says";
    let text = "use 1 to 256 bytes of text without control or bidirectional characters";
    // A record, its reason, and what quarantine says.
    let cases: Vec<(Vec<u8>, R, String)> = vec![
        (
            b"{\"id\":\"\xff\"}".to_vec(),
            R::InvalidUtf8,
            "the bytes are not UTF-8 (byte 7 of the record): encode text as UTF-8".into(),
        ),
        (
            b"usage".to_vec(),
            R::MalformedJson,
            "expected a value (byte 0 of the record): send each event as one JSON object".into(),
        ),
        (
            format!("{good} x").into_bytes(),
            R::MalformedJson,
            format!(
                "something follows the event (byte {} of the record): send each event as one JSON object",
                good.len() + 1
            ),
        ),
        (
            format!("[{good}]").into_bytes(),
            R::NotAnObject,
            "the record is a list (byte 0 of the record): send a JSON object".into(),
        ),
        (
            used(&nested),
            R::NestingTooDeep,
            "the event is nested too deep (byte 142 of the record): nest at most 32 levels".into(),
        ),
        (
            used(&format!("{{{keys}}}")),
            R::TooManyKeys,
            "the event has too many keys (byte 2246 of the record): use at most 256 keys".into(),
        ),
        (
            used(r#"{"n":1,"n":2}"#),
            R::DuplicateKey,
            "the key \"n\" appears twice in one object (byte 114 of the record): use every key once".into(),
        ),
        (
            used(&format!("{{\"n\":{digits}}}")),
            R::NumberTooLong,
            "a number is too long (byte 112 of the record): write numbers of at most 64 digits".into(),
        ),
        (
            used(&format!("{{\"n\":\"{digits}\"}}")),
            R::NumberTooLong,
            "$.n has too many digits: write numbers of at most 64 digits".into(),
        ),
        (
            with("\"1.0\"", "\"0.3\""),
            R::UnsupportedSpecversion,
            "specversion is \"0.3\": send specversion \"1.0\"".into(),
        ),
        (
            with("\"specversion\":\"1.0\",", ""),
            R::UnsupportedSpecversion,
            "specversion is missing: send specversion \"1.0\"".into(),
        ),
        (
            with("\"id\":\"1\",", ""),
            R::MissingId,
            "the event has no id: give every event an id that is unique for its source".into(),
        ),
        (
            with("\"source\":\"s\",", ""),
            R::MissingSource,
            "the event has no source: name the producer in source".into(),
        ),
        (
            with("\"type\":\"use\",", ""),
            R::MissingType,
            "the event has no type: name the kind of usage in type".into(),
        ),
        (
            with("\"subject\":\"a\",", ""),
            R::MissingSubject,
            "the event has no subject: name the account in subject".into(),
        ),
        (
            with("\"time\":\"2026-10-01T00:00:00Z\",", ""),
            R::MissingTime,
            "the event has no time: say in time when the usage happened".into(),
        ),
        (with("\"id\":\"1\"", "\"id\":1"), R::InvalidAttribute, format!("id is 1: {text}")),
        (
            with("\"subject\":\"a\"", &format!("\"subject\":\"{}\"", "a".repeat(300))),
            R::InvalidAttribute,
            format!("subject has 300 bytes: {text}"),
        ),
        (
            with("\"id\":\"1\"", "\"id\":\"\\u202e1\""),
            R::InvalidAttribute,
            format!("id holds a forbidden character: {text}"),
        ),
        (
            time("\"2023-11-16 05:00:00\""),
            R::BadTime,
            format!("time is \"2023-11-16 05:00:00\", without an offset: {times}"),
        ),
        (time("\"yesterday\""), R::BadTime, format!("time is \"yesterday\", not an RFC 3339 time: {times}")),
        (time("1793491199"), R::BadTime, format!("time is 1793491199, not an RFC 3339 time: {times}")),
        (
            time("\"1969-12-31T23:59:59Z\""),
            R::TimeOutOfRange,
            "time is 1969-12-31T23:59:59Z: send event times from 1970 to 2099".into(),
        ),
        (
            with("\"id\":\"1\"", "\"id\":\"1\",\"sampledrate\":10"),
            R::SampledTelemetry,
            "sampledrate is 10: send every event, as sampled usage cannot be billed".into(),
        ),
        (used("{}"), R::MissingQuantity, "the event has no $.n: send the value the meter reads".into()),
        (
            other("login", r#"{"user":{}}"#),
            R::MissingQuantity,
            "$.user is an object or a list: send the value the meter reads".into(),
        ),
        (
            used(r#"{"n":"many"}"#),
            R::NonNumericQuantity,
            "$.n is \"many\", not a number: send a JSON number, or a number as text".into(),
        ),
        (
            used(r#"{"n":-1}"#),
            R::NegativeQuantity,
            "$.n is -1, below zero: send quantities of zero or more, or set allow_negative in the meter"
                .into(),
        ),
        (
            used(r#"{"n":0.125}"#),
            R::QuantityTooPrecise,
            "$.n is 0.125, finer than the 2 decimal places of its meter: send fewer decimal places, or \
             raise the meter's decimals"
                .into(),
        ),
        (
            used(r#"{"n":1e30}"#),
            R::QuantityOutOfRange,
            "$.n is 1e30, with more than 20 digits before the point: use a larger unit".into(),
        ),
        (
            used(&format!(r#"{{"n":1,"region":"{}"}}"#, "r".repeat(300))),
            R::InvalidDimension,
            "$.region has 300 bytes: use text, numbers or truth values of at most 256 bytes as dimensions"
                .into(),
        ),
        (
            used(r#"{"n":1,"region":[]}"#),
            R::InvalidDimension,
            "$.region is an object or a list: use text, numbers or truth values of at most 256 bytes as \
             dimensions"
                .into(),
        ),
        (
            other("sale", "{}"),
            R::InvalidEventPrice,
            "the event has no $.price: send the price or amount the meter declares".into(),
        ),
        (
            other("sale", r#"{"price":"0.125"}"#),
            R::InvalidEventPrice,
            "$.price is \"0.125\", with more than 2 decimal places: send the price or amount the meter \
             declares"
                .into(),
        ),
    ];
    for (record, reason, expected) in &cases {
        assert_eq!(refused(record), (*reason, expected.clone()), "{}", String::from_utf8_lossy(record));
    }
    // The reader refuses large records, CSV has rows, dedup knows what is too old, and mappings go missing only later.
    let elsewhere = [R::EventTooLarge, R::MalformedCsv, R::TooOld, R::NoCsvMapping];
    for reason in R::ALL {
        let is_here = cases.iter().any(|(_, other, _)| other == reason);
        assert!(is_here != elsewhere.contains(reason), "{reason}");
    }
}
