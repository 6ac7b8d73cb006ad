//! RATE-1: quantities of rated usage are those of the events, and its amounts add up to the price of their sum.

use std::collections::BTreeMap;

use super::counted::Counted;
use super::numbers::{AMOUNT_PLACES, QUANTITY_PLACES, price, units};
use super::rows::Row;
use super::{Audit, rule};
use crate::calendar::{DAY, month_start};
use crate::catalog::{Account, Meter, account};
use crate::history::{Event, Sent};

/// What one event is under one meter that has a price.
#[derive(Debug)]
pub(crate) struct Usage {
    pub(crate) epoch: u64,
    pub(crate) account: &'static Account,
    pub(crate) meter: &'static Meter,
    /// Days since 1970.
    pub(crate) day: i64,
    pub(crate) quantity: i128,
}

impl Usage {
    /// First day of the billing period.
    pub(crate) fn period(&self) -> i64 {
        month_start(self.day)
    }
}

/// Is a row of an event?
pub(crate) fn is_of(row: &Row, event: &Event) -> Audit<bool> {
    let Some(meter) = event.meters().find(|meter| row.text("meter_id") == Ok(meter.id)) else {
        return Ok(false);
    };
    Ok(row.text("account_id")? == event.account
        && row.integer("event_time")? == event.time.into()
        && row.decimal("quantity", QUANTITY_PLACES)? == quantity(event, meter)?)
}

fn quantity(event: &Event, meter: &Meter) -> Audit<i128> {
    match meter.property {
        None => units("1", QUANTITY_PLACES),
        Some(property) => {
            let value = event.value.as_ref().ok_or_else(|| format!("an event without {property}"))?;
            units(value, QUANTITY_PLACES)
        }
    }
}

/// Checks the rows of every event, and the sums of every charge; the usages.
pub(crate) fn check(counted: &Counted, history: &[Sent]) -> Audit<Vec<Usage>> {
    let mut usages = Vec::new();
    let mut sums: BTreeMap<(&str, &str, i64), (&Meter, i128, i128)> = BTreeMap::new();
    let mut by_identity: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for sent in history {
        by_identity.entry(&sent.event.identity).or_default().push(&sent.event);
    }
    for (identity, counted) in &counted.events {
        let events = by_identity.get(identity).map_or(&[][..], |events| events);
        let Some(event) = events.iter().find(|event| counted.is(event)) else {
            return Err(format!("{identity:?} is counted as what nobody sent"));
        };
        let account = account(&event.account);
        let expected: Vec<&Meter> = if account.is_some() { event.meters().collect() } else { Vec::new() };
        rule(expected.iter().map(|meter| meter.id).all(|meter| counted.rated.contains_key(meter)), || {
            format!("{identity:?} is rated by {:?} only", counted.rated.keys())
        })?;
        rule(
            expected.len() == counted.rated.len() && expected.is_empty() == counted.unrated.is_some(),
            || format!("{identity:?} is rated by {:?}, unrated {:?}", counted.rated.keys(), counted.unrated),
        )?;
        let Some(account) = account else { continue };
        for meter in expected {
            let day = event.time.div_euclid(DAY);
            let usage =
                Usage { epoch: counted.epoch, account, meter, day, quantity: quantity(event, meter)? };
            let row = &counted.rated[meter.id];
            let is_placed = row.text("contract_line_id")? == account.line
                && row.text("currency")? == account.currency
                && row.text("legal_entity_id")? == account.entity
                && row.integer("service_day")? == day.into()
                && row.integer("billing_period_start")? == usage.period().into();
            rule(is_placed, || format!("{identity:?} is rated in the wrong place: {row:?}"))?;
            let (_, quantity, amount) =
                sums.entry((account.id, meter.id, usage.period())).or_insert((meter, 0, 0));
            *quantity += usage.quantity;
            *amount += row.decimal("amount", AMOUNT_PLACES)?;
            usages.push(usage);
        }
    }
    for (charge, (meter, quantity, amount)) in sums {
        let expected = price(&meter.model, quantity)?;
        rule(amount == expected, || {
            format!("the amounts of {charge:?} add up to {amount}, not to {expected}")
        })?;
    }
    Ok(usages)
}
