//! Every mistake is reported, and each report says where, what, and how to mend it.

use serde_json::{Value, json};

use super::catalog;

/// Reports of a catalog's problems, as they are printed.
pub(super) fn reports(written: &[Value]) -> Vec<String> {
    catalog(written).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

pub(super) fn legal_entity() -> Value {
    json!({ "kind": "legal_entity", "id": "us01" })
}

pub(super) fn meter(id: &str) -> Value {
    json!({
        "kind": "meter",
        "id": id,
        "event_type": "call",
        "aggregation": "sum",
        "value": "$.value",
        "decimals": 0,
        "dimensions": { "region": "$.region" }
    })
}

pub(super) fn per_unit(meter: &str) -> Value {
    json!({ "meter": meter, "model": "per_unit", "unit_price": "1" })
}

pub(super) fn book(id: &str, rates: &Value) -> Value {
    json!({ "kind": "price_book", "id": id, "currencies": ["USD"], "versions": [{ "version": 1, "rates": rates }] })
}

pub(super) fn line(id: &str) -> Value {
    json!({ "id": id, "price_book": "list" })
}

pub(super) fn contract(id: &str, account: &str, lines: &Value) -> Value {
    json!({
        "kind": "contract",
        "id": id,
        "accounts": [account],
        "legal_entity": "us01",
        "currency": "USD",
        "lines": lines
    })
}

/// A catalog with nothing wrong, whose documents tests change.
pub(super) fn sound() -> [Value; 5] {
    [
        legal_entity(),
        meter("calls"),
        meter("bytes"),
        book("list", &json!([per_unit("calls"), per_unit("bytes")])),
        contract("C1", "acct-1", &json!([line("L1")])),
    ]
}

pub(super) const METER: usize = 1;
pub(super) const BOOK: usize = 3;
const CONTRACT: usize = 4;

#[test]
fn a_sound_catalog_has_no_problems() {
    assert_eq!(reports(&sound()), [""; 0]);
}

/// Patches a document of the sound catalog, by JSON pointers, and compares the reports that follow. The
/// reports are written without the place they begin with, which is one for all.
pub(super) fn check(document: usize, place: &str, cases: &[(&str, &[&str])]) {
    for (patch, expected) in cases {
        let mut written = sound();
        let patch: Value = serde_json::from_str(patch).unwrap();
        for (pointer, value) in patch.as_object().unwrap() {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            match written[document].pointer_mut(parent).unwrap() {
                Value::Array(items) => items[name.parse::<usize>().unwrap()] = value.clone(),
                object => object[name] = value.clone(),
            }
        }
        let expected: Vec<String> = expected.iter().map(|report| format!("{place} {report}")).collect();
        assert_eq!(reports(&written), expected, "{patch}");
    }
}

#[test]
fn mistakes_in_a_meter() {
    let cases: &[(&str, &[&str])] = &[
        (r#"{"/event_type": ""}"#, &["event_type: it is empty; name the type of the usage events"]),
        (
            r#"{"/value": null}"#,
            &["value: aggregation sum needs a value; write the property to read, such as $.tokens"],
        ),
        (
            r#"{"/aggregation": "count"}"#,
            &["value: a meter that counts events reads no value; remove it, or use another \
                 aggregation"],
        ),
        (
            r#"{"/decimals": 13}"#,
            &["decimals: 13 is more than the 12 decimal places that are kept; use 0 to 12"],
        ),
        (
            r#"{"/event_price": {"currency": "USD", "decimals": 19, "is": "amount", "property": "$.p"}}"#,
            &["event_price.decimals: 19 is more than the 18 decimal places that are kept; use 0 to 18"],
        ),
        (
            r#"{"/filter": {"exclude": [{}], "include": {"$.a": []}}}"#,
            &[
                "filter.exclude: an entry without properties excludes every event; remove the entry, or \
                 name properties",
                "filter.include $.a: no value is listed, so it can never hold; list at least one value",
            ],
        ),
    ];
    check(METER, "meters.yaml:1: meter calls", cases);
}

#[test]
fn mistakes_in_a_contract() {
    let cases: &[(&str, &[&str])] = &[
        (
            r#"{"/legal_entity": "us02"}"#,
            &["legal_entity: there is no legal entity us02; mend the name, or add it (the only legal \
                 entity is us01)"],
        ),
        (
            r#"{"/currency": "EUR"}"#,
            &["lines[0].price_book: the price book list has prices in USD, the contract is in EUR; \
                 use a price book in the contract's currency"],
        ),
        (r#"{"/accounts": []}"#, &["accounts: no account is listed; list the accounts it covers"]),
        (
            r#"{"/accounts": ["acct-1", "acct-2", "acct-1"]}"#,
            &["accounts[2]: acct-1 is listed twice; remove one of the two"],
        ),
        (r#"{"/lines": []}"#, &["lines: there is no contract line; write at least one line"]),
        (
            r#"{"/lines/0/price_book": "lst"}"#,
            &["lines[0].price_book: there is no price book lst; mend the name, or add it (the only \
                 price book is list)"],
        ),
        (
            r#"{"/lines/0/meters": []}"#,
            &["lines[0].meters: no meter is listed; list meters, or leave meters out to cover all \
                 that the price book has"],
        ),
        (
            r#"{"/lines/0/meters": ["calls", "cals"]}"#,
            &["lines[0].meters[1]: there is no meter cals; mend the name, or add it (there are calls, \
                 bytes)"],
        ),
        (
            r#"{"/lines": [{"id": "L1", "price_book": "list"}, {"effective_from": "2026-10-01",
               "id": "L2", "price_book": "list"}]}"#,
            &["lines[1]: for account acct-1 the meter calls has two lines (from \
                 2026-10-01T00:00:00Z): this one and contract C1 lines[0] in contracts.yaml:1; let one \
                 end when the other begins, or list meters that differ"],
        ),
        (
            r#"{"/accounts": ["acct-1", "acct-2", "acct-3"], "/lines": [{"id": "L1", "price_book": "list"},
               {"id": "L2", "price_book": "list"}]}"#,
            &["lines[1]: for 3 accounts (acct-1 first) the meter calls has two lines (always): this \
                 one and contract C1 lines[0] in contracts.yaml:1; let one end when the other begins, \
                 or list meters that differ"],
        ),
        (
            r#"{"/effective_from": "2026-10-01", "/effective_to": "2026-10-01"}"#,
            &["effective_to: 2026-10-01 is not after effective_from, 2026-10-01; let it end after it \
                 begins"],
        ),
        (
            r#"{"/effective_from": "2026-10-01", "/lines/0/effective_to": "2026-09-01"}"#,
            &["lines[0]: it is never in force, because its contract is in force from \
                 2026-10-01T00:00:00Z; let the line's times overlap the contract's, or remove it"],
        ),
    ];
    check(CONTRACT, "contracts.yaml:1: contract C1", cases);
}

#[test]
fn mistakes_between_documents() {
    let csv_mapping = |id: &str| {
        json!({
            "kind": "csv_mapping",
            "id": id,
            "files": ["*.csv", "["],
            "delimiter": "é",
            "source": { "value": "export" },
            "event_id": "file_and_line",
            "type": { "column": "type" },
            "subject": { "column": "account" },
            "time": { "column": "time", "timezone": "UTC", "epoch": "seconds" }
        })
    };
    let mend_id = "give every document of a kind an id of its own";
    let cases: Vec<(Vec<Value>, Vec<String>)> = vec![
        (
            vec![legal_entity()],
            vec![format!(
                "legal_entities.yaml:11: legal_entity us01: another legal_entity has this id, in \
                 legal_entities.yaml:1; {mend_id}"
            )],
        ),
        (
            vec![meter("calls")],
            vec![format!("meters.yaml:21: meter calls: another meter has this id, in meters.yaml:1; {mend_id}")],
        ),
        (
            vec![book("list", &json!([per_unit("calls")]))],
            vec![format!(
                "price_books.yaml:11: price_book list: another price_book has this id, in price_books.yaml:1; \
                 {mend_id}"
            )],
        ),
        (
            vec![contract("C1", "acct-9", &json!([line("L1")]))],
            vec![
                "contracts.yaml:11: contract C1 version: version 1 of the contract is there twice, first in \
                 contracts.yaml:1; number versions apart, and let one end when the next begins"
                    .to_owned(),
            ],
        ),
        (
            vec![contract("C2", "acct-9", &json!([line("L1")]))],
            vec![
                "contracts.yaml:11: contract C2 lines[0].id L1: the contract C1 has a line with this id; give \
                 the line an id of its own"
                    .to_owned(),
            ],
        ),
        (
            vec![contract("C2", "acct-1", &json!([line("L9")]))],
            vec![
                "contracts.yaml:11: contract C2 lines[0]: for account acct-1 the meter calls has two lines \
                 (always): this one and contract C1 lines[0] in contracts.yaml:1; let one end when the other \
                 begins, or list meters that differ"
                    .to_owned(),
            ],
        ),
        (
            vec![csv_mapping("export")],
            vec![
                "csv_mappings.yaml:1: csv_mapping export delimiter: 'é' is not an ASCII character; use a \
                 character such as , ; | or a tab"
                    .to_owned(),
                "csv_mappings.yaml:1: csv_mapping export files[1]: \"[\" is no pattern: Pattern syntax error \
                 near position 0: invalid range pattern; use * and ? for parts of a name"
                    .to_owned(),
                "csv_mappings.yaml:1: csv_mapping export time: a number of seconds has no time zone; keep \
                 timezone or epoch, not both"
                    .to_owned(),
            ],
        ),
    ];
    for (more, expected) in cases {
        let written = [sound().to_vec(), more].concat();
        assert_eq!(reports(&written), expected);
    }
}

/// A second version of the contract that overlaps the first, or changes what its line is.
#[test]
fn mistakes_between_versions_of_a_contract() {
    let version = |number: u32, from: &str, to: &str| {
        let mut contract = contract("C1", "acct-1", &json!([line("L1")]));
        contract["version"] = number.into();
        contract["effective_from"] = from.into();
        contract["effective_to"] = to.into();
        contract
    };
    let mut quarterly = version(2, "2026-10-01", "2027-01-01");
    quarterly["billing_interval"] = "quarter".into();
    let cases = [
        (version(2, "2026-10-01", "2027-01-01"), vec![]),
        (
            version(2, "2026-09-15", "2027-01-01"),
            vec![
                "contracts.yaml:11: contract C1 lines[0]: for account acct-1 the meter calls has two lines \
                 ([2026-09-15T00:00:00Z, 2026-10-01T00:00:00Z)): this one and contract C1 lines[0] in \
                 contracts.yaml:1; let one end when the other begins, or list meters that differ",
                "contracts.yaml:11: contract C1 version: version 2 overlaps version 1 in contracts.yaml:1, which \
                 is in force [2026-01-01T00:00:00Z, 2026-10-01T00:00:00Z); number versions apart, and let one end \
                 when the next begins",
            ],
        ),
        (
            quarterly,
            vec![
                "contracts.yaml:11: contract C1 lines[0].id L1: the line changes its seller, currency or billing \
                 cycle between versions; give the line an id of its own",
            ],
        ),
    ];
    for (second, expected) in cases {
        let mut written = sound().to_vec();
        written[CONTRACT] = version(1, "2026-01-01", "2026-10-01");
        written.push(second);
        assert_eq!(reports(&written), expected);
    }
}

#[test]
fn mappings_that_can_read_nothing() {
    let csv_mapping = |delimiter: &str, file: &str, source: &str| {
        json!({
            "kind": "csv_mapping",
            "id": "export",
            "files": [file],
            "delimiter": delimiter,
            "source": { "value": source },
            "event_id": "file_and_line",
            "type": { "column": "type" },
            "subject": { "column": "account" },
            "time": { "column": "time" }
        })
    };
    for (delimiter, file, source, expected) in [
        ("\t", "*.csv", "export", None),
        ("\"", "*.csv", "export", Some("delimiter: '\"' separates no fields")),
        ("\n", "*.csv", "export", Some("delimiter: '\\n' separates no fields")),
        (",", "usage/*.csv", "export", Some("files[0]: \"usage/*.csv\" fits no file")),
        (",", "*.csv", "", Some("source: the value is empty, and every event needs one")),
    ] {
        let reports = reports(&[sound().to_vec(), vec![csv_mapping(delimiter, file, source)]].concat());
        let found = reports.iter().map(String::as_str).collect::<String>();
        assert_eq!(reports.len(), usize::from(expected.is_some()), "{found}");
        assert!(found.contains(expected.unwrap_or_default()), "{found}");
    }
}
