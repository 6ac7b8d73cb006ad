//! A catalog with many mistakes: each is named, with its place and how to mend it, in one go.

use crate::support::Workplace;

const MISTAKES: &str = "kind: legal_entity
id: seller
timezone: Mars/Olympus
---
kind: legal_entity
id: buyer
---
kind: meter
id: tokens
event_type: tokens
aggregation: sum
---
kind: meter
id: calls
event_type: call
aggregation: count
decimal: 2
---
kind: meter
id: seats
event_type: seat
aggregation: unique
value: $.user
---
kind: price_book
id: book
currencies: [USD]
versions:
  - version: 1
    rates:
      - {meter: seats, model: graduated, tiers: [{up_to: 10, unit_price: 1}, {up_to: 5, unit_price: 2}]}
      - {meter: wishes, model: per_unit, unit_price: 1}
  - version: 2
    effective_from: 2026-01-01
    rates:
      - {meter: seats, model: per_unit, unit_price: 1, package_size: 10}
---
kind: price_book
id: overlapping
currencies: [USD]
versions:
  - {version: 1, effective_to: 2026-03-01, rates: [{meter: seats, model: per_unit, unit_price: 1}]}
  - {version: 2, effective_from: 2026-02-01, rates: [{meter: seats, model: per_unit, unit_price: 1}]}
---
kind: contract
id: one
accounts: [a]
legal_entity: buyer
currency: XYZ
lines: [{id: one-1, price_book: book}]
---
kind: contract
id: two
accounts: [b]
legal_entity: nobody
currency: USD
lines: [{id: two-1, price_book: overlapping}]
---
kind: contract
id: three
accounts: [c]
legal_entity: buyer
currency: USD
lines:
  - {id: three-1, price_book: overlapping}
  - {id: three-2, price_book: overlapping}
---
kind: voucher
id: v
";

#[test]
fn every_mistake_is_reported_at_once_with_its_place() {
    let place = Workplace::with_catalog(MISTAKES);
    let called = place.call(&["check", "catalog"]);
    assert_eq!(called.code, 3);
    // Where, and what.
    let expected = [
        ("catalog.yaml:3", "Mars/Olympus"),
        ("catalog.yaml:8", "meter tokens"),
        ("catalog.yaml:17", "decimal"),
        ("catalog.yaml:25", "tiers[1]"),
        ("catalog.yaml:25", "wishes"),
        ("catalog.yaml:25", "package_size"),
        ("catalog.yaml:38", "overlapping"),
        ("catalog.yaml:49", "XYZ"),
        ("catalog.yaml:52", "nobody"),
        ("catalog.yaml:59", "two lines"),
        ("catalog.yaml:68", "voucher"),
    ];
    for (origin, what) in expected {
        let is_there = |line: &str| {
            line.starts_with(&format!("{origin}:")) && line.contains(what) && line.contains("; ")
        };
        assert!(called.stderr.lines().any(is_there), "{origin} {what}\n{}", called.stderr);
    }
    assert!(called.stderr.contains("problems"), "{}", called.stderr);
    let run = place.call(&["run", "-q", "-c", "catalog", "nothing.ndjson"]);
    assert_eq!((run.code, run.stderr.lines().last()), (3, called.stderr.lines().last()));
}

#[test]
fn what_is_no_catalog_is_explained() {
    let place = Workplace::new();
    place.write("empty/readme.txt", "");
    place.write("broken/catalog.yaml", "kind: [meter\n");
    place.write("latin/catalog.yaml", b"kind: meter # caf\xe9\n");
    place.write("csv/contracts.csv", "contract,account\nc,a\n");
    let cases = [
        ("missing", "missing: No such file"),
        ("empty", "holds no catalog document"),
        ("broken", "catalog.yaml"),
        ("latin", "not UTF-8"),
        ("csv", "contracts.csv"),
    ];
    for (directory, message) in cases {
        let called = place.call(&["check", directory]);
        assert_eq!(called.code, 3, "{directory}");
        assert!(called.stderr.contains(message), "{directory}: {}", called.stderr);
    }
}
