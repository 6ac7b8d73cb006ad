//! ACCR-1: accruals, worked out from usages at once, against their newest revisions and the sums of their deltas.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::numbers::{AMOUNT_PLACES, QUANTITY_PLACES, price, round};
use super::rated::Usage;
use super::rows::Row;
use super::{Audit, Epoch, rule};
use crate::catalog::{Account, Meter};

/// Decimal places of a rounded amount in tables.
const ROUNDED_PLACES: u32 = 4;

/// Contract line, meter and day.
type Key = (String, String, i128);

/// The numbers of an accrual that a consumer may add up or replace.
const NUMBERS: [(&str, Option<&str>, u32); 6] = [
    ("metered_quantity", Some("delta_metered_quantity"), QUANTITY_PLACES),
    ("event_count", Some("delta_event_count"), 0),
    ("net_amount_exact", Some("delta_amount_exact"), AMOUNT_PLACES),
    ("net_amount", Some("delta_amount"), ROUNDED_PLACES),
    ("cumulative_quantity", None, QUANTITY_PLACES),
    ("cumulative_amount_exact", None, AMOUNT_PLACES),
];

/// What is known of an accrual while epochs are read.
struct Standing<'a> {
    newest: &'a Row,
    deltas: [i128; NUMBERS.len()],
}

pub(crate) fn check(epochs: &[Arc<Epoch>], usages: &[Usage]) -> Audit<()> {
    let mut ids: BTreeMap<&[u8], &Row> = BTreeMap::new();
    let mut standing: BTreeMap<&str, Standing<'_>> = BTreeMap::new();
    let mut accrued = 0;
    for epoch in epochs {
        if epoch.document["is_accrued"] == true {
            accrued = epoch.number;
        }
        for row in epoch.rows("accruals") {
            let key = row.text("accrual_key")?;
            rule(row.integer("epoch")? == epoch.number.into(), || format!("{key} is of another epoch"))?;
            let id = row.bytes("accrual_id")?;
            rule(ids.insert(id, row).is_none_or(|other| other == row), || {
                format!("{key}: two contents of an id")
            })?;
            let before = standing.remove(key);
            let after =
                revise(row, before).map_err(|what| format!("epoch {}, {key}: {what}", epoch.number))?;
            standing.insert(key, after);
        }
    }
    let mut found: BTreeMap<Key, &Row> = BTreeMap::new();
    for (key, standing) in &standing {
        let row = standing.newest;
        for ((column, delta, places), sum) in NUMBERS.iter().zip(standing.deltas) {
            let now = row.decimal(column, *places)?;
            rule(delta.is_none() || now == sum, || {
                format!("{key}: {column} is {now}, its deltas add up to {sum}")
            })?;
        }
        let place = (row.text("contract_line_id")?.to_owned(), row.text("meter_id")?.to_owned());
        found.insert((place.0, place.1, row.integer("service_day")?), row);
    }
    rule(found.len() == standing.len(), || "two accruals of one line, meter and day".to_owned())?;
    let expected = expect(usages.iter().filter(|usage| usage.epoch <= accrued))?;
    for (key, (account, numbers)) in &expected {
        let row = found.remove(key).ok_or_else(|| format!("{key:?} has no accrual"))?;
        rule(row.text("currency")? == account.currency, || format!("{key:?} is in another currency"))?;
        for ((column, _, places), expected) in NUMBERS.iter().zip(numbers) {
            let found = row.decimal(column, *places)?;
            rule(found == *expected, || format!("{key:?}: {column} is {found}, not {expected}"))?;
        }
    }
    match found.iter().find(|(_, row)| row.decimal("net_amount_exact", AMOUNT_PLACES) != Ok(0)) {
        Some((key, _)) => Err(format!("{key:?} is accrued without usage")),
        None => Ok(()),
    }
}

/// The next revision of an accrual.
fn revise<'a>(row: &'a Row, before: Option<Standing<'a>>) -> Audit<Standing<'a>> {
    let previous = before.as_ref().map(|before| before.newest);
    let revision = row.integer("revision")?;
    let expected = previous.map_or(Ok(0), |previous| previous.integer("revision"))? + 1;
    rule(revision == expected, || format!("revision {revision} comes where {expected} is due"))?;
    let kind = row.text("entry_kind")?;
    rule(kind == if revision == 1 { "ACCRUE" } else { "TRUE_UP" }, || {
        format!("revision {revision} is {kind}")
    })?;
    let previous_net = row.decimal("previous_net_amount", ROUNDED_PLACES)?;
    let expected = previous.map_or(Ok(0), |previous| previous.decimal("net_amount", ROUNDED_PLACES))?;
    rule(previous_net == expected, || format!("it corrects {previous_net}, but {expected} stands"))?;
    let mut deltas = before.map_or([0; NUMBERS.len()], |before| before.deltas);
    for (sum, (_, delta, places)) in deltas.iter_mut().zip(NUMBERS) {
        if let Some(column) = delta {
            *sum += row.decimal(column, places)?;
        }
    }
    Ok(Standing { newest: row, deltas })
}

/// The accruals that usages come to, with their numbers in the order of [`NUMBERS`].
fn expect<'a>(
    usages: impl Iterator<Item = &'a Usage>,
) -> Audit<BTreeMap<Key, (&'static Account, [i128; NUMBERS.len()])>> {
    type Charge = (&'static Account, &'static Meter, BTreeMap<i64, (i128, i128)>);
    let mut charges: BTreeMap<(&str, &str, i64), Charge> = BTreeMap::new();
    for usage in usages {
        let key = (usage.account.id, usage.meter.id, usage.period());
        let (_, _, days) = charges.entry(key).or_insert((usage.account, usage.meter, BTreeMap::new()));
        let (quantity, events) = days.entry(usage.day).or_default();
        *quantity += usage.quantity;
        *events += 1;
    }
    let mut expected = BTreeMap::new();
    for (account, meter, days) in charges.into_values() {
        let unit = 10i128.pow(ROUNDED_PLACES - u32::from(account.exponent));
        let (mut total, mut amount, mut posted) = (0, 0, 0);
        for (day, (quantity, events)) in days {
            total += quantity;
            let amount_before = std::mem::replace(&mut amount, price(&meter.model, total)?);
            let posted_before =
                std::mem::replace(&mut posted, round(amount, account.exponent, account.rounding));
            let net = (posted - posted_before) * unit;
            let numbers = [quantity, events, amount - amount_before, net, total, amount];
            expected.insert((account.line.to_owned(), meter.id.to_owned(), day.into()), (account, numbers));
        }
    }
    Ok(expected)
}
