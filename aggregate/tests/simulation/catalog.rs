//! What the simulation sells, to whom, and at which price.

use std::sync::Arc;

use rating::catalog::{Catalog, Documents, Located, Origin, compile};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A meter, with its price in the only price book.
#[derive(Debug)]
pub(crate) struct Meter {
    pub(crate) id: &'static str,
    pub(crate) event_type: &'static str,
    /// The property it sums up; none where it counts events.
    pub(crate) property: Option<&'static str>,
    pub(crate) decimals: u8,
    pub(crate) model: Model,
}

/// A price model, with its numbers as a catalog writes them.
#[derive(Debug)]
pub(crate) enum Model {
    PerUnit(&'static str),
    /// Upper bounds and prices of tiers; the last one is open.
    Graduated(&'static [(Option<&'static str>, &'static str)]),
    Flat(&'static str),
}

/// An account, with the only line of its only contract.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) id: &'static str,
    pub(crate) line: &'static str,
    pub(crate) entity: &'static str,
    pub(crate) currency: &'static str,
    /// Decimal places of the currency's minor unit.
    pub(crate) exponent: u8,
    pub(crate) rounding: Rounding,
}

/// How a legal entity rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    HalfAwayFromZero,
    HalfEven,
}

pub(crate) const METERS: &[Meter] = &[
    Meter {
        id: "calls",
        event_type: "api.call",
        property: None,
        decimals: 0,
        model: Model::PerUnit("0.0035"),
    },
    Meter {
        id: "tokens",
        event_type: "llm.completion",
        property: Some("tokens"),
        decimals: 0,
        model: Model::Graduated(&[(Some("1000"), "0.0123"), (Some("2500"), "0.004"), (None, "0.00125")]),
    },
    Meter {
        id: "completions",
        event_type: "llm.completion",
        property: None,
        decimals: 0,
        model: Model::Flat("12.345"),
    },
    Meter {
        id: "storage",
        event_type: "storage.used",
        property: Some("gib"),
        decimals: 3,
        model: Model::PerUnit("0.07"),
    },
];

pub(crate) const ACCOUNTS: &[Account] = &[
    Account {
        id: "acct-1",
        line: "L-1",
        entity: "us01",
        currency: "USD",
        exponent: 2,
        rounding: Rounding::HalfAwayFromZero,
    },
    Account {
        id: "acct-2",
        line: "L-2",
        entity: "de01",
        currency: "EUR",
        exponent: 2,
        rounding: Rounding::HalfEven,
    },
    Account {
        id: "acct-3",
        line: "L-3",
        entity: "jp01",
        currency: "JPY",
        exponent: 0,
        rounding: Rounding::HalfEven,
    },
];

/// An account that no contract names.
pub(crate) const UNKNOWN_ACCOUNT: &str = "acct-9";

/// A type that no meter counts.
pub(crate) const UNKNOWN_TYPE: &str = "api.mystery";

/// The meters that count a type.
pub(crate) fn meters_of(event_type: &str) -> impl Iterator<Item = &'static Meter> {
    METERS.iter().filter(move |meter| meter.event_type == event_type)
}

pub(crate) fn account(id: &str) -> Option<&'static Account> {
    ACCOUNTS.iter().find(|account| account.id == id)
}

/// The catalog as the program compiles it.
pub(crate) fn compiled() -> Arc<Catalog> {
    let meters = METERS.iter().map(|meter| {
        let mut document = json!({
            "id": meter.id,
            "event_type": meter.event_type,
            "aggregation": if meter.property.is_some() { "sum" } else { "count" },
            "decimals": meter.decimals,
        });
        if let Some(property) = meter.property {
            document["value"] = format!("$.{property}").into();
        }
        document
    });
    let rates: Vec<Value> = METERS.iter().map(rate).collect();
    let currencies: Vec<_> = ACCOUNTS.iter().map(|account| account.currency).collect();
    let book = json!({
        "id": "book",
        "currencies": currencies,
        "versions": [{ "version": 1, "rates": rates }],
    });
    let entities = ACCOUNTS.iter().map(|account| {
        let rounding = match account.rounding {
            Rounding::HalfAwayFromZero => "half_away_from_zero",
            Rounding::HalfEven => "half_even",
        };
        json!({ "id": account.entity, "timezone": "UTC", "rounding": rounding })
    });
    let contracts = ACCOUNTS.iter().map(|account| {
        json!({
            "id": format!("contract-{}", account.line),
            "version": 1,
            "accounts": [account.id],
            "legal_entity": account.entity,
            "currency": account.currency,
            "billing_anchor": "2026-01-01",
            "lines": [{ "id": account.line, "price_book": "book" }],
        })
    });
    let documents = Documents {
        meters: located(meters),
        price_books: located(std::iter::once(book)),
        legal_entities: located(entities),
        contracts: located(contracts),
        ..Documents::default()
    };
    Arc::new(compile(&documents).unwrap())
}

fn rate(meter: &Meter) -> Value {
    let mut rate = match meter.model {
        Model::PerUnit(price) => json!({ "model": "per_unit", "unit_price": price }),
        Model::Flat(amount) => json!({ "model": "flat", "amount": amount }),
        Model::Graduated(tiers) => {
            let tier = |(up_to, price): &(Option<&str>, &str)| json!({ "up_to": up_to, "unit_price": price });
            json!({ "model": "graduated", "tiers": tiers.iter().map(tier).collect::<Vec<_>>() })
        }
    };
    rate["meter"] = meter.id.into();
    rate
}

fn located<T: DeserializeOwned>(documents: impl Iterator<Item = Value>) -> Vec<Located<T>> {
    let origin = Origin { file: "simulation".into(), line: 0 };
    let locate =
        |document| Located { document: serde_json::from_value(document).unwrap(), origin: origin.clone() };
    documents.map(locate).collect()
}
