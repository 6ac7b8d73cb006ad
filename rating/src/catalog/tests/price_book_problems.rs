//! Mistakes in price books, each with its report.

use serde_json::json;

use super::problems::{BOOK, METER, check, reports, sound};

#[test]
fn mistakes_in_the_versions_of_a_price_book() {
    let cases: &[(&str, &[&str])] = &[
        (
            r#"{"/currencies": []}"#,
            &["currencies: no currency is listed; list the currency the prices are in"],
        ),
        (r#"{"/versions": []}"#, &["versions: there is no version; write at least one version"]),
        (
            r#"{"/versions/0/rates": []}"#,
            &["versions[0].rates: there is no rate; write at least one; to end the book's prices, use \
                 effective_to"],
        ),
        (
            r#"{"/versions": [{"effective_to": "2026-10-20", "rates": [{"meter": "calls",
               "model": "per_unit", "unit_price": "1"}], "version": 1}, {"effective_from": "2026-10-15",
               "rates": [{"meter": "calls", "model": "per_unit", "unit_price": "1"}],
               "version": 1}, {"rates": [{"meter": "calls", "model": "per_unit", "unit_price": "1"}],
               "version": 3}]}"#,
            &[
                "versions[1].effective_from: the versions overlap: the one before ends at 2026-10-20, \
                 this one begins at 2026-10-15; let one end when the next begins, or leave effective_to \
                 out",
                "versions[1].version: version 1 is there twice; number versions apart",
                "versions[2].effective_from: it is missing, and only the first version may begin with \
                 time itself; say when this version takes effect",
            ],
        ),
        (
            r#"{"/versions": [{"effective_to": "2026-10-10", "rates": [{"meter": "calls",
               "model": "per_unit", "unit_price": "1"}], "version": 1}, {"effective_from": "2026-10-15",
               "rates": [{"meter": "calls", "model": "per_unit", "unit_price": "1"}],
               "version": 2}]}"#,
            &["versions[1].effective_from: the versions leave a gap: the one before ends at \
                 2026-10-10, this one begins at 2026-10-15; let one end when the next begins, or leave \
                 effective_to out"],
        ),
        (
            r#"{"/versions": [{"effective_from": "2026-10-20", "effective_to": "2026-10-20",
               "rates": [{"meter": "calls", "model": "per_unit", "unit_price": "1"}],
               "version": 1}, {"effective_from": "2026-10-15", "rates": [{"meter": "calls",
               "model": "per_unit", "unit_price": "1"}], "version": 2}]}"#,
            &[
                "versions[0].effective_to: 2026-10-20 is not after effective_from, 2026-10-20; let it \
                 end after it begins",
                "versions[1].effective_from: 2026-10-15 is not after 2026-10-20, when the version \
                 before begins; write the versions in order of time",
            ],
        ),
    ];
    check(BOOK, "price_books.yaml:1: price_book list", cases);
}

#[test]
fn mistakes_in_a_rate() {
    let cases: &[(&str, &[&str])] = &[
        (
            r#"{"/versions/0/rates/0/meter": "cals"}"#,
            &["versions[0].rates[0].meter: there is no meter cals; mend the name, or add it (there \
                 are calls, bytes)"],
        ),
        (
            r#"{"/versions/0/rates/0/meter": "bytes"}"#,
            &["versions[0].rates[1].meter: the meter bytes has another rate in this version; keep one \
                 rate per meter and version"],
        ),
        (
            r#"{"/versions/0/rates/0/amount": "5"}"#,
            &["versions[0].rates[0].amount: the model per_unit does not use amount; remove it \
                 (per_unit uses unit_price, convert, free_quantity)"],
        ),
        (
            r#"{"/versions/0/rates/0": {"matrix": [{"unit_price": "1", "when": {"color": "red"}}],
               "meter": "calls", "model": "matrix"}}"#,
            &["versions[0].rates[0].matrix[0].when.color: the meter calls has no dimension color; \
                 mend the name, or add it to the meter's dimensions (it has region)"],
        ),
        (
            r#"{"/versions/0/rates/0": {"group_by": ["color"], "meter": "calls", "model": "per_unit",
               "unit_price": "1"}}"#,
            &["versions[0].rates[0].group_by[0]: the meter calls has no dimension color; mend the \
                 name, or add it to the meter's dimensions (it has region)"],
        ),
        (
            r#"{"/versions/0/rates/0": {"meter": "calls", "model": "dynamic"}}"#,
            &["versions[0].rates[0].model: the meter calls reads no price from its events; declare \
                 event_price in the meter"],
        ),
        (
            r#"{"/versions/0/rates/0": {"meter": "calls", "model": "package", "package_price": "-1",
               "package_size": "0"}}"#,
            &[
                "versions[0].rates[0].package_price: -1 is below zero; use zero or more",
                "versions[0].rates[0].package_size: 0 is not above zero; use a size above zero",
            ],
        ),
        (
            r#"{"/versions/0/rates/0": {"free_quantity": "1", "meter": "calls", "model": "percentage",
               "per_event_maximum": "2", "per_event_minimum": "3", "percent": "2"}}"#,
            &[
                "versions[0].rates[0].free_quantity: it applies to the whole period, bounds per event \
                 to single events; use one or the other",
                "versions[0].rates[0].per_event_minimum: it is above per_event_maximum; exchange the \
                 two",
            ],
        ),
        (
            r#"{"/versions/0/rates/0": {"convert": {"factor": "3", "operation": "divide"},
               "meter": "calls", "model": "per_unit", "unit_price": "1"}}"#,
            &["versions[0].rates[0].convert: a division by 3 can have endlessly many decimal places; \
                 add a rounding mode, such as rounding: half_even, and the decimals to round to"],
        ),
        (
            r#"{"/versions/0/rates/0": {"convert": {"decimals": 13, "factor": "0", "operation": "divide"},
               "meter": "calls", "model": "per_unit", "unit_price": "1"}}"#,
            &[
                "versions[0].rates[0].convert.decimals: it is more than the 12 decimal places that are \
                 kept; use 0 to 12",
                "versions[0].rates[0].convert.decimals: there is no rounding, so nothing is rounded to \
                 these decimals; add rounding, or remove decimals to convert exactly",
                "versions[0].rates[0].convert.factor: 0 is not above zero; use a factor above zero",
            ],
        ),
    ];
    check(BOOK, "price_books.yaml:1: price_book list", cases);
}

#[test]
fn mistakes_in_tiers() {
    let cases: &[(&str, &[&str])] = &[
        (
            r#"{"/versions/0/rates/0": {"meter": "calls", "model": "graduated"}}"#,
            &["versions[0].rates[0].tiers: it is missing; write it: the model graduated needs it"],
        ),
        (
            r#"{"/versions/0/rates/0": {"meter": "calls", "model": "graduated", "tiers": []}}"#,
            &["versions[0].rates[0].tiers: there is no tier; write at least one, the last with up_to: \
                 null"],
        ),
        (
            r#"{"/versions/0/rates/0": {"meter": "calls", "model": "graduated", "tiers": [
               {"unit_price": "1", "up_to": "10"}, {"unit_price": "1", "up_to": "10"},
               {"unit_price": "1", "up_to": "5"}]}}"#,
            &[
                "versions[0].rates[0].tiers[1].up_to: 10 is not above the bound before it, 10; write \
                 the tiers from low to high, each bound above the one before",
                "versions[0].rates[0].tiers[2].up_to: 5 is not above the bound before it, 10; write the \
                 tiers from low to high, each bound above the one before",
                "versions[0].rates[0].tiers[2].up_to: the last tier ends at 5: usage beyond it would \
                 have no price; write up_to: null, or add a tier with up_to: null",
            ],
        ),
        (
            r#"{"/versions/0/rates/0": {"meter": "calls", "model": "volume", "tiers": [
               {"unit_price": "1", "up_to": null}, {"unit_price": "1", "up_to": "0"}, {
               "up_to": null}]}}"#,
            &[
                "versions[0].rates[0].tiers[0].up_to: only the last tier may be open; give this tier an \
                 upper bound, or remove the tiers after it",
                "versions[0].rates[0].tiers[1].up_to: 0 is not above zero; write the tiers from low to \
                 high, each bound above the one before",
                "versions[0].rates[0].tiers[2].unit_price: it is missing; write it: the model volume \
                 needs it",
            ],
        ),
        (
            r#"{"/versions/0/rates/0": {"meter": "calls", "model": "volume", "tiers": [
               {"unit_price": "1", "up_to": "1.5"}, {"unit_price": "0.0000000000000000001",
               "up_to": null}]}}"#,
            &[
                "versions[0].rates[0].tiers[0].up_to: 1.5 is finer than the 0 decimal places of the \
                 quantity; use fewer decimal places, or raise the meter's decimals",
                "versions[0].rates[0].tiers[1].unit_price: the price of one unit, \
                 0.0000000000000000001, has 19 decimal places and the quantity 0: their product needs \
                 more than the 18 that are kept; use at most 18 decimal places",
            ],
        ),
        (
            r#"{"/versions/0/rates/0": {"meter": "calls", "model": "stairstep", "tiers": [
               {"flat_amount": "1", "unit_price": "1", "up_to": null}]}}"#,
            &["versions[0].rates[0].tiers[0].unit_price: a stairstep tier has no unit price; write \
                 its whole price as flat_amount"],
        ),
    ];
    check(BOOK, "price_books.yaml:1: price_book list", cases);
}

#[test]
fn a_price_that_comes_with_events_has_its_currency() {
    let mut written = sound();
    written[METER]["event_price"] = json!({ "property": "$.price", "is": "amount", "currency": "EUR" });
    written[BOOK]["versions"][0]["rates"][0] =
        json!({ "meter": "calls", "model": "dynamic", "multiplier": "-1" });
    assert_eq!(
        reports(&written),
        [
            "price_books.yaml:1: price_book list versions[0].rates[0].model: the events of calls are priced in \
             EUR; use a price book whose only currency is EUR",
            "price_books.yaml:1: price_book list versions[0].rates[0].multiplier: -1 is below zero; use zero or \
             more",
        ]
    );
}
