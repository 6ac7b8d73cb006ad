//! Quarantined rows whose mapping changed since: those alone are refused.

use ingest::replay::{QuarantinedRecord, RowOrigin};
use schemas::csv_mapping::CsvMapping;
use schemas::quarantine::RejectReason;
use serde_json::json;

use crate::decoded::{Outcome, replay};
use crate::meters::plan;

fn mapping(id: &str, account: &str) -> CsvMapping {
    let mapping = json!({
        "id": id,
        "files": [],
        "source": { "value": "s" },
        "event_id": "file_and_line",
        "type": { "value": "c" },
        "subject": { "column": account },
        "time": { "column": "time", "epoch": "seconds" },
    });
    serde_json::from_value(mapping).unwrap()
}

#[test]
fn a_row_whose_mapping_is_gone_or_no_longer_fits_is_refused_and_the_others_are_read() {
    let record = |bytes: &'static str, line, row| QuarantinedRecord {
        bytes: bytes.as_bytes(),
        length: bytes.len() as u64,
        input: "exports/usage.csv.gz",
        line,
        row,
    };
    let row = |mapping, header| Some(RowOrigin { mapping, header });
    let header = "account,time\r\n";
    let event = r#"{"specversion":"1.0","id":"7","source":"s","type":"c","subject":"a","time":"2026-10-31T10:00:00Z","data":{"v":1}}"#;
    let cases = [
        (record("acme,1", 12, row("known", header)), Ok("usage.csv.gz:12")),
        (
            record("acme,1", 2, row("gone", header)),
            Err((RejectReason::NoCsvMapping, "the catalog has no csv_mapping \"gone\"")),
        ),
        (
            record("acme,1", 3, row("changed", header)),
            Err((
                RejectReason::NoCsvMapping,
                "no column \"customer\", which the csv_mapping \"changed\" reads; the file has account, time",
            )),
        ),
        (record("acme,1", 3, row("changed", "customer,time")), Ok("usage.csv.gz:3")),
        (record(event, 4, None), Ok("7")),
        (record("1,acme", 5, row("known", "time,account\n")), Ok("usage.csv.gz:5")),
        (
            record("acme,1\nacme,2", 6, row("known", header)),
            Err((RejectReason::MalformedCsv, "the record is more than one row")),
        ),
        (
            record("", 7, row("known", header)),
            Err((RejectReason::MalformedCsv, "the row has 0 fields, the header 2")),
        ),
        (
            QuarantinedRecord { length: 2_000_000, ..record(event, 4, None) },
            Err((RejectReason::EventTooLarge, "the record has 2000000 bytes")),
        ),
    ];
    let records = cases.map(|(record, _)| record);
    let mappings = [mapping("changed", "customer"), mapping("known", "account")];
    for batch_bytes in [1, 20, 1_000] {
        let outcomes = replay(&records, &plan(), &mappings, batch_bytes);
        let got = outcomes.iter().map(|outcome| match outcome {
            Outcome::Accepted(event) => Ok(event.id.as_str()),
            Outcome::Rejected { reason, detail, .. } => Err((*reason, detail.as_str())),
        });
        assert_eq!(got.collect::<Vec<_>>(), cases.map(|(_, expected)| expected));
    }
}
