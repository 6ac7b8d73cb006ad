//! A catalog with many mistakes reports all of them at once.

use serde_json::json;

use super::problems::{book, contract, legal_entity, line, meter, per_unit, reports};

#[test]
fn a_catalog_with_many_mistakes_reports_them_all() {
    let tier = |up_to: Option<&str>| json!({ "up_to": up_to, "unit_price": "1" });
    let mut in_euro = contract("C3", "acct-3", &json!([line("L3")]));
    in_euro["currency"] = "EUR".into();
    let written = [
        legal_entity(),
        legal_entity(),
        meter("calls"),
        meter("bytes"),
        book(
            "list",
            &json!([
                { "meter": "calls", "model": "graduated", "tiers": [tier(Some("200")), tier(Some("100")), tier(None)] },
                { "meter": "bytes", "model": "volume", "tiers": [tier(Some("100"))] },
                { "meter": "tokens", "model": "per_unit", "unit_price": "1" }
            ]),
        ),
        json!({ "kind": "price_book", "id": "negotiated", "currencies": ["USD"], "versions": [
            { "version": 1, "effective_to": "2026-11-01", "rates": [
                { "meter": "calls", "model": "flat", "amount": "5", "package_size": "10" }
            ] },
            { "version": 2, "effective_from": "2026-10-15", "rates": [
                { "meter": "calls", "model": "matrix", "matrix": [
                    { "when": { "tier": "gold" }, "unit_price": "1" }
                ] },
                { "meter": "bytes", "model": "dynamic" },
                per_unit("calls")
            ] }
        ] }),
        contract("C1", "acct-1", &json!([line("L1"), line("L2")])),
        contract("C2", "acct-2", &json!([{ "id": "L4", "price_book": "lst" }])),
        in_euro,
        contract("C4", "acct-4", &json!([{ "id": "L5", "price_book": "list", "meters": ["call"] }])),
    ];
    let expected = [
        "contracts.yaml:1: contract C1 lines[1]: for account acct-1 the meter calls has two lines \
         (always): this one and contract C1 lines[0] in contracts.yaml:1; let one end when the other \
         begins, or list meters that differ",
        "contracts.yaml:11: contract C2 lines[0].price_book: there is no price book lst; mend the name, \
         or add it (there are list, negotiated)",
        "contracts.yaml:21: contract C3 lines[0].price_book: the price book list has prices in USD, the \
         contract is in EUR; use a price book in the contract's currency",
        "contracts.yaml:31: contract C4 lines[0].meters[0]: there is no meter call; mend the name, or \
         add it (there are calls, bytes)",
        "legal_entities.yaml:11: legal_entity us01: another legal_entity has this id, in \
         legal_entities.yaml:1; give every document of a kind an id of its own",
        "price_books.yaml:1: price_book list versions[0].rates[0].tiers[1].up_to: 100 is not above the \
         bound before it, 200; write the tiers from low to high, each bound above the one before",
        "price_books.yaml:1: price_book list versions[0].rates[1].tiers[0].up_to: the last tier ends at \
         100: usage beyond it would have no price; write up_to: null, or add a tier with up_to: null",
        "price_books.yaml:1: price_book list versions[0].rates[2].meter: there is no meter tokens; mend \
         the name, or add it (there are calls, bytes)",
        "price_books.yaml:11: price_book negotiated versions[0].rates[0].package_size: the model flat \
         does not use package_size; remove it (flat uses amount, prorate)",
        "price_books.yaml:11: price_book negotiated versions[1].effective_from: the versions overlap: \
         the one before ends at 2026-11-01, this one begins at 2026-10-15; let one end when the next \
         begins, or leave effective_to out",
        "price_books.yaml:11: price_book negotiated versions[1].rates[0].matrix[0].when.tier: the meter \
         calls has no dimension tier; mend the name, or add it to the meter's dimensions (it has \
         region)",
        "price_books.yaml:11: price_book negotiated versions[1].rates[1].model: the meter bytes reads \
         no price from its events; declare event_price in the meter",
        "price_books.yaml:11: price_book negotiated versions[1].rates[2].meter: the meter calls has \
         another rate in this version; keep one rate per meter and version",
    ];
    assert_eq!(reports(&written), expected);
}
