//! Versions are chosen by event time, from midnight in the time zone of the seller.

use schemas::quarantine::UnratedReason;
use serde_json::{Value, json};

use super::catalog;
use crate::catalog::Catalog;

/// Two sellers in two time zones sell from one price book whose price changes on a date.
fn two_sellers() -> Vec<Value> {
    let entity = |id: &str, zone: &str| json!({ "kind": "legal_entity", "id": id, "timezone": zone });
    let contract = |id: &str, entity: &str| {
        json!({
            "kind": "contract",
            "id": id,
            "accounts": [format!("acct-{entity}")],
            "legal_entity": entity,
            "currency": "USD",
            "effective_from": "2026-10-01",
            "effective_to": "2027-01-01",
            "lines": [{ "id": format!("{id}-1"), "price_book": "list" }]
        })
    };
    let rate = |price: &str| json!([{ "meter": "calls", "model": "per_unit", "unit_price": price }]);
    vec![
        entity("de", "Europe/Berlin"),
        entity("us", "America/Los_Angeles"),
        json!({ "kind": "meter", "id": "calls", "event_type": "call", "aggregation": "count" }),
        json!({ "kind": "price_book", "id": "list", "currencies": ["USD"], "versions": [
            { "version": 1, "rates": rate("0.1") },
            { "version": 2, "effective_from": "2026-10-15", "rates": rate("0.08") },
            { "version": 3, "effective_from": "2026-12-01T00:00:00Z", "effective_to": "2026-12-15", "rates": rate("0.07") }
        ] }),
        contract("C1", "de"),
        contract("C2", "us"),
    ]
}

/// The price book version in force, and for how long the answer holds.
fn version_at(catalog: &Catalog, account: &str, time: &str) -> Result<(u32, String), UnratedReason> {
    let account = catalog.accounts().position(|id| id.as_str() == account).unwrap();
    let resolution = catalog.resolve(u32::try_from(account).unwrap(), 0, time.parse().unwrap())?;
    let version = &catalog.price_book_versions()[resolution.price_book_version as usize];
    Ok((version.version, resolution.holds.to_string()))
}

#[test]
fn a_version_takes_effect_at_midnight_of_the_seller() {
    use UnratedReason::{NoContractLine, NoPriceBookVersion};
    let catalog = catalog(&two_sellers()).unwrap();
    let cases = [
        // Berlin is two hours ahead of UTC in October, one in winter.
        ("acct-de", "2026-09-30T21:59:59.999999Z", Err(NoContractLine)),
        ("acct-de", "2026-09-30T22:00:00Z", Ok((1, "[2026-09-30T22:00:00Z, 2026-10-14T22:00:00Z)"))),
        ("acct-de", "2026-10-14T21:59:59.999999Z", Ok((1, "[2026-09-30T22:00:00Z, 2026-10-14T22:00:00Z)"))),
        ("acct-de", "2026-10-14T22:00:00Z", Ok((2, "[2026-10-14T22:00:00Z, 2026-12-01T00:00:00Z)"))),
        ("acct-de", "2026-12-14T22:59:59Z", Ok((3, "[2026-12-01T00:00:00Z, 2026-12-14T23:00:00Z)"))),
        ("acct-de", "2026-12-14T23:00:00Z", Err(NoPriceBookVersion)),
        ("acct-de", "2026-12-31T23:00:00Z", Err(NoContractLine)),
        // Los Angeles is seven hours behind UTC in October, eight in winter.
        ("acct-us", "2026-10-14T22:00:00Z", Ok((1, "[2026-10-01T07:00:00Z, 2026-10-15T07:00:00Z)"))),
        ("acct-us", "2026-10-15T06:59:59.999999Z", Ok((1, "[2026-10-01T07:00:00Z, 2026-10-15T07:00:00Z)"))),
        ("acct-us", "2026-10-15T07:00:00Z", Ok((2, "[2026-10-15T07:00:00Z, 2026-12-01T00:00:00Z)"))),
        // An instant is the same everywhere.
        ("acct-us", "2026-12-01T00:00:00Z", Ok((3, "[2026-12-01T00:00:00Z, 2026-12-15T08:00:00Z)"))),
    ];
    for (account, time, expected) in cases {
        let expected = expected.map(|(version, holds)| (version, holds.to_owned()));
        assert_eq!(version_at(&catalog, account, time), expected, "{account} at {time}");
    }
}

#[test]
fn versions_of_a_contract_are_chosen_by_event_time() {
    let mut written = two_sellers();
    written.truncate(4);
    for (version, from, to, book) in
        [(1, None, Some("2026-10-15"), "list"), (2, Some("2026-10-15"), None, "special")]
    {
        written.push(json!({
            "kind": "contract",
            "id": "C1",
            "version": version,
            "accounts": ["acct-de"],
            "legal_entity": "de",
            "currency": "USD",
            "effective_from": from,
            "effective_to": to,
            "lines": [{ "id": "L1", "price_book": book }]
        }));
    }
    written.push(json!({ "kind": "price_book", "id": "special", "currencies": ["USD"], "versions": [
        { "version": 7, "rates": [{ "meter": "calls", "model": "per_unit", "unit_price": "0.05" }] }
    ] }));
    let catalog = catalog(&written).unwrap();
    // One line across both versions: its amounts accumulate under one id.
    assert_eq!(catalog.lines().len(), 1);
    let cases = [("2026-10-14T21:59:59Z", 1, 1), ("2026-10-14T22:00:00Z", 7, 2)];
    for (time, book_version, contract_version) in cases {
        let resolution = catalog.resolve(0, 0, time.parse().unwrap()).unwrap();
        let version = &catalog.price_book_versions()[resolution.price_book_version as usize];
        let terms = &catalog.terms()[resolution.terms as usize];
        let got = (version.version, terms.contract_version, terms.line);
        assert_eq!(got, (book_version, contract_version, 0), "{time}");
    }
}

/// In UTC the versions follow each other; in Los Angeles the first day would begin after the instant.
#[test]
fn versions_must_be_in_order_in_the_time_zone_of_every_seller() {
    let mut written = two_sellers();
    let rate = json!([{ "meter": "calls", "model": "per_unit", "unit_price": "1" }]);
    written[3]["versions"] = json!([
        { "version": 1, "effective_from": "2026-10-15", "rates": rate },
        { "version": 2, "effective_from": "2026-10-15T05:00:00Z", "rates": rate }
    ]);
    let problems: Vec<String> = catalog(&written).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "price_books.yaml:1: price_book list versions[1].effective_from: 2026-10-15T05:00:00Z is not after \
          2026-10-15, when the version before begins in America/Los_Angeles; write the versions in order of time"
        ]
    );
    written.truncate(5);
    assert!(catalog(&written).is_ok());
}

#[test]
fn why_nothing_applies() {
    use UnratedReason::{NoContractLine, NoRate, UnknownAccount};
    let mut written = two_sellers();
    written.push(json!({ "kind": "meter", "id": "bytes", "event_type": "call", "aggregation": "count" }));
    written[3]["versions"][1]["rates"][0]["meter"] = "bytes".into();
    let catalog = catalog(&written).unwrap();
    let cases = [
        // account, meter, time
        (0, 0, "2026-10-02T00:00:00Z", None),
        (0, 1, "2026-10-02T00:00:00Z", Some(NoRate)),
        (0, 0, "2026-10-20T00:00:00Z", Some(NoRate)),
        (0, 1, "2026-10-20T00:00:00Z", None),
        (0, 2, "2026-10-20T00:00:00Z", Some(NoContractLine)),
        (0, 0, "2025-10-20T00:00:00Z", Some(NoContractLine)),
        (9, 0, "2026-10-20T00:00:00Z", Some(UnknownAccount)),
    ];
    for (account, meter, time, expected) in cases {
        let got = catalog.resolve(account, meter, time.parse().unwrap()).err();
        assert_eq!(got, expected, "account {account} meter {meter} {time}");
    }
}

#[test]
fn days_in_force_are_calendar_days_of_the_seller() {
    let mut written = two_sellers();
    written[4]["effective_from"] = "2026-10-17".into();
    // Ends within a day, which counts.
    written[4]["effective_to"] = "2026-11-10T12:00:00Z".into();
    let catalog = catalog(&written).unwrap();
    let cases = [
        // terms, first day of the billing period, of the next, days in force
        (0, "2026-09-01", "2026-10-01", 0, 30),
        (0, "2026-10-01", "2026-11-01", 15, 31),
        (0, "2026-11-01", "2026-12-01", 10, 30),
        (0, "2026-12-01", "2027-01-01", 0, 31),
        (1, "2026-11-01", "2026-12-01", 30, 30),
        (1, "2026-10-15", "2026-11-15", 31, 31),
        (1, "2026-12-15", "2027-01-15", 17, 31),
    ];
    for (terms, start, end, active, period) in cases {
        let days = catalog.active_days(terms, start.parse().unwrap(), end.parse().unwrap()).unwrap();
        assert_eq!((days.active, days.period), (active, period), "{terms} {start}");
    }
    assert!(catalog.active_days(9, "2026-10-01".parse().unwrap(), "2026-11-01".parse().unwrap()).is_none());
}

/// Meters are a set of bits, more than one word of them.
#[test]
fn a_line_covers_the_meters_it_lists_among_many() {
    let meter = |number: usize| json!({ "kind": "meter", "id": format!("m{number}"), "event_type": "call", "aggregation": "count" });
    let rate = |number| json!({ "meter": format!("m{number}"), "model": "per_unit", "unit_price": "1" });
    let mut written: Vec<Value> = (0..200).map(meter).collect();
    let rates: Vec<Value> = (0..200).map(rate).collect();
    written.push(json!({ "kind": "legal_entity", "id": "de" }));
    written.push(json!({ "kind": "price_book", "id": "list", "currencies": ["USD"], "versions": [
        { "version": 1, "rates": rates }
    ] }));
    written.push(json!({
        "kind": "contract",
        "id": "C1",
        "accounts": ["a"],
        "legal_entity": "de",
        "currency": "USD",
        "lines": [{ "id": "L1", "price_book": "list", "meters": ["m0", "m63", "m64", "m128", "m199"] }]
    }));
    let catalog = catalog(&written).unwrap();
    let covered: Vec<u16> = (0..250)
        .filter(|meter| catalog.resolve(0, *meter, "2026-10-01T00:00:00Z".parse().unwrap()).is_ok())
        .collect();
    assert_eq!(covered, [0, 63, 64, 128, 199]);
}
