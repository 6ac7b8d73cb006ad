//! The catalog of the workload: documents as people write them, and contracts as a table.

use std::fmt::{self, Write};

use schemas::decimal::Decimal;

use super::customers::{CURRENCIES, Customers, LEGAL_ENTITIES};
use super::meters::{SEATS, WORKLOAD_METERS, WorkloadMeter};
use super::prices::{PRICE_BOOKS, PriceBooks, Pricing, meter_at};

/// Decimal places of prices.
const PRICE_PLACES: u8 = 12;

/// The legal entities, meters and price books, as YAML.
pub(super) fn documents(books: &PriceBooks) -> Result<String, fmt::Error> {
    let mut text = String::from("# The reference workload's catalog, made by `tallybook generate`.\n");
    for id in LEGAL_ENTITIES {
        writeln!(text, "---\nkind: legal_entity\nid: {id}")?;
    }
    for (position, meter) in WORKLOAD_METERS.iter().enumerate() {
        writeln!(text, "---\nkind: meter\nid: {0}\nevent_type: {0}", meter.name)?;
        match meter.property {
            Some(property) => writeln!(text, "aggregation: sum\nvalue: $.{property}")?,
            None if position == SEATS => writeln!(text, "aggregation: unique\nvalue: $.user_id")?,
            None => writeln!(text, "aggregation: count")?,
        }
        writeln!(text, "decimals: {}", meter.decimals)?;
        writeln!(text, "dimensions: {{ user_id: $.user_id, region: $.region, model: $.model }}")?;
    }
    for (book, id) in PRICE_BOOKS.iter().enumerate() {
        writeln!(text, "---\n# Prices hold in the currency of the contract.\nkind: price_book\nid: {id}")?;
        writeln!(text, "currencies: [{}]", CURRENCIES.join(", "))?;
        writeln!(text, "versions:\n  - version: 1\n    rates:")?;
        for (meter, WorkloadMeter { name, .. }) in WORKLOAD_METERS.iter().enumerate() {
            let pricing = books.pricing(book, meter);
            writeln!(text, "      - meter: {name}\n        model: {}", pricing.model())?;
            rate(&mut text, pricing, meter_at(meter).decimals)?;
        }
    }
    Ok(text)
}

/// The fields of a rate after its model.
fn rate(text: &mut String, pricing: Pricing, decimals: u8) -> fmt::Result {
    let counts = i128::from(10u64.pow(decimals.into()));
    let unit_price = |price: i128| Decimal::new(price * counts, PRICE_PLACES);
    let units = |quantity: i128| Decimal::new(quantity, decimals);
    match pricing {
        Pricing::PerUnit { price } => writeln!(text, "        unit_price: \"{}\"", unit_price(price)),
        Pricing::FreeAllowance { free, price } => {
            writeln!(text, "        free_quantity: \"{}\"", units(free))?;
            writeln!(text, "        unit_price: \"{}\"", unit_price(price))
        }
        Pricing::Package { size, price } => {
            writeln!(text, "        package_size: \"{}\"", units(size))?;
            writeln!(text, "        package_price: \"{}\"", Decimal::new(price, PRICE_PLACES))
        }
        Pricing::Graduated { bounds, prices } | Pricing::Volume { bounds, prices } => {
            writeln!(text, "        tiers:")?;
            let bounds = [Some(bounds.0), Some(bounds.1), None];
            for (bound, price) in bounds.into_iter().zip(prices) {
                let bound = bound.map_or_else(|| "null".to_owned(), |bound| format!("\"{}\"", units(bound)));
                writeln!(text, "          - {{ up_to: {bound}, unit_price: \"{}\" }}", unit_price(price))?;
            }
            Ok(())
        }
    }
}

/// The contracts, as CSV: one for each contract line, with all of its accounts.
pub(super) fn contracts(customers: &Customers) -> Result<String, fmt::Error> {
    let mut text = String::from("contract,account,contract_line,legal_entity,currency,price_book\n");
    for account in 0..customers.accounts() {
        let line = customers.line_of(account);
        let terms = customers.terms(line);
        writeln!(
            text,
            "CL-{line:06},acct-{account:06},CL-{line:06},{},{},{}",
            LEGAL_ENTITIES.get(terms.legal_entity).copied().unwrap_or_default(),
            CURRENCIES.get(terms.currency).copied().unwrap_or_default(),
            PRICE_BOOKS.get(terms.price_book).copied().unwrap_or_default(),
        )?;
    }
    Ok(text)
}
