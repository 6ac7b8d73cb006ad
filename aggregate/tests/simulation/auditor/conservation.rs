//! CONS-1: the counts and sums of an epoch's document, against each other and against its rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::numbers::{AMOUNT_PLACES, units};
use super::{Audit, Epoch, rule};

pub(crate) const COUNTS: [&str; 7] =
    ["received", "rated", "unrated", "duplicate", "conflict", "rejected", "voided"];

/// Bytes of an identity that follows a document.
const IDENTITY_BYTES: u64 = 24;

pub(crate) fn check(epochs: &[Arc<Epoch>]) -> Audit<()> {
    epochs
        .iter()
        .try_for_each(|epoch| check_epoch(epoch).map_err(|what| format!("epoch {}: {what}", epoch.number)))
}

fn check_epoch(epoch: &Epoch) -> Audit<()> {
    let document = &epoch.document;
    let counts = read_counts(&document["counts"])?;
    let [received, rated, unrated, _, conflict, rejected, _] = counts;
    rule(received == counts[1..].iter().sum::<i64>(), || format!("{received} received, but {counts:?}"))?;
    let mut by_total = [0; 7];
    for total in document["control_totals"].as_array().into_iter().flatten() {
        let counts = read_counts(&total["counts"])?;
        rule(counts[0] == counts[1..].iter().sum::<i64>(), || format!("a control total: {counts:?}"))?;
        by_total.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    rule(by_total == counts, || format!("the counts are {counts:?}, the control totals {by_total:?}"))?;

    let of_class = |class: &'static str| {
        epoch.rows("quarantine").filter(move |row| row.text("class").is_ok_and(|found| found == class))
    };
    let found = |class| i64::try_from(of_class(class).count()).unwrap_or(i64::MAX);
    rule(found("conflict") == conflict, || format!("{conflict} conflicts, {} rows", found("conflict")))?;
    rule(found("rejected") == rejected, || format!("{rejected} rejected, {} rows", found("rejected")))?;
    let by_reason = sum(&document["rejected_by_reason"]);
    rule(by_reason == rejected, || format!("{rejected} rejected, {by_reason} with a reason"))?;
    let by_reason = sum(&document["unrated_by_reason"]);
    rule(by_reason == found("unrated"), || {
        format!("{} unrated rows, {by_reason} with a reason", found("unrated"))
    })?;

    let mut with_price = BTreeSet::new();
    for row in epoch.rows("rated_usage") {
        with_price.insert((row.text("source")?, row.event_id()?));
    }
    let mut without_price = BTreeSet::new();
    for row in of_class("unrated") {
        without_price.insert((row.text("source")?, row.text("event_id")?.to_owned()));
    }
    let all = with_price.union(&without_price).count();
    rule(i64::try_from(without_price.len()) == Ok(unrated), || {
        format!("{unrated} unrated: {without_price:?}")
    })?;
    rule(i64::try_from(all) == Ok(rated + unrated), || {
        format!("{rated} rated, {unrated} unrated, but {all} ids")
    })?;
    let mut remembered = 0;
    for content in epoch.contents.iter().filter(|content| content.kind == "identities") {
        let bytes = content.bytes.len() as u64;
        rule(content.file.is_some() || bytes == content.row_count * IDENTITY_BYTES, || {
            format!("{} identities in {bytes} bytes", content.row_count)
        })?;
        remembered += content.row_count;
    }
    rule(remembered == all as u64, || format!("{all} ids are counted, {remembered} remembered"))?;

    money(document, "rated", epoch, "rated_usage", "amount")?;
    money(document, "accrued", epoch, "accruals", "delta_amount_exact")?;
    money(document, "posted", epoch, "accruals", "delta_amount")
}

/// Counts in the order of [`COUNTS`].
pub(crate) fn read_counts(counts: &Value) -> Audit<[i64; 7]> {
    let count = |name: &&str| counts[*name].as_i64().ok_or_else(|| format!("{name} is no count: {counts}"));
    let found = COUNTS.iter().map(count).collect::<Audit<Vec<i64>>>()?;
    found.try_into().map_err(|_| "counts are missing".to_owned())
}

fn sum(counts: &Value) -> i64 {
    counts.as_object().into_iter().flatten().filter_map(|(_, count)| count.as_i64()).sum()
}

/// Is a sum of the document the sum of a column, by currency?
fn money(document: &Value, field: &str, epoch: &Epoch, kind: &str, column: &str) -> Audit<()> {
    let mut by_currency: BTreeMap<&str, i128> = BTreeMap::new();
    for row in epoch.rows(kind) {
        *by_currency.entry(row.text("currency")?).or_default() += row.decimal(column, AMOUNT_PLACES)?;
    }
    for money in document[field].as_array().ok_or_else(|| format!("{field} is missing"))? {
        let (amount, currency) = (money["amount"].as_str(), money["currency"].as_str());
        let (amount, currency) =
            amount.zip(currency).ok_or_else(|| format!("{field} is no money: {money}"))?;
        *by_currency.entry(currency).or_default() -= units(amount, AMOUNT_PLACES)?;
    }
    match by_currency.iter().find(|(_, rest)| **rest != 0) {
        Some((currency, rest)) => {
            Err(format!("{field} is not the sum of {column} by {rest} units of {currency}"))
        }
        None => Ok(()),
    }
}
