//! The charges of an account: what it has used, what that costs so far, and what the next unit would cost.
//!
//! Charges lie in order of appearance. Their accounts are indexed as they appear: four bytes for a charge, and a look
//! at every charge once.

use std::collections::{BTreeMap, BTreeSet};

use rating::price::{Price, Terms, TierLine, Usage};
use schemars::JsonSchema;
use schemas::date::Date;
use schemas::decimal::{Decimal, power_of_ten};
use schemas::money::Amount;
use schemas::price_book::PriceModelName;
use serde::Serialize;

use crate::charge::Charge;
use crate::decider::Decider;
use crate::running_totals::{NO_CHARGE, RunningTotals};

/// Which charges are of which account.
#[derive(Debug, Default)]
pub struct AccountCharges {
    /// By account, its charge that appeared last.
    heads: Vec<u32>,
    /// By charge, the one of its account that appeared before.
    next: Vec<u32>,
}

/// A charge. Field names are wire names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ChargeState {
    /// Contract line.
    pub contract_line_id: String,
    /// Its contract.
    pub contract_id: String,
    /// Meter.
    pub meter_id: String,
    /// First day of the billing period.
    pub billing_period_start: Date,
    /// The day after its last.
    pub billing_period_end: Date,
    /// Values of the dimensions that tell charges of the line and the meter apart.
    pub group: BTreeMap<String, Option<String>>,
    /// Usage so far, of the billing period or since the price book counts anew.
    pub quantity: String,
    /// Events of it.
    pub events: u64,
    /// What it costs so far, exactly.
    pub amount: Amount,
    /// ISO 4217 code.
    pub currency: String,
    /// Price book of the newest price.
    pub price_book_id: String,
    /// Its version.
    pub price_book_version: u32,
    /// Price model.
    pub price_model: PriceModelName,
    /// Tier that the usage has reached; nothing where the model has none, or nothing was used.
    pub tier: Option<TierState>,
    /// What one unit more costs, exactly; nothing where that depends on the event.
    pub next_unit_amount: Option<Amount>,
}

/// A tier. Field names are wire names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TierState {
    /// Its position, from 1; 0 for the free quantity.
    pub number: u32,
    /// Quantities above this.
    pub above: String,
    /// Up to and including this; nothing for no bound.
    pub up_to: Option<String>,
    /// Quantity that is priced in it so far.
    pub quantity: String,
    /// Price of a unit in it, where there is one.
    pub unit_price: Option<Amount>,
}

impl AccountCharges {
    /// Learns the charges that have appeared since.
    pub fn follow(&mut self, totals: &RunningTotals) {
        for charge in totals.charges.all.get(self.next.len()..).unwrap_or_default() {
            let account = charge.key.account as usize;
            if self.heads.len() <= account {
                self.heads.resize(account + 1, NO_CHARGE);
            }
            // There are fewer than 2^32 charges.
            let position = u32::try_from(self.next.len()).unwrap_or(NO_CHARGE);
            let before = self.heads.get_mut(account).map(|head| std::mem::replace(head, position));
            self.next.push(before.unwrap_or(NO_CHARGE));
        }
    }

    /// The charges of an account, the newest first.
    #[must_use]
    pub fn of(&self, decider: &Decider, account: u32) -> Vec<ChargeState> {
        let totals = &decider.totals;
        let first = self.heads.get(account as usize).copied();
        let positions = std::iter::successors(first, |at| self.next.get(*at as usize).copied());
        let charges: Vec<&Charge> =
            positions.map_while(|position| totals.charges.all.get(position as usize)).collect();
        let charges: Vec<&Charge> = charges.into_iter().filter(|charge| charge.usage.events > 0).collect();
        states(decider, &charges).into_iter().flatten().collect()
    }
}

/// What is told of charges, in their order; nothing of one that the catalog does not know.
pub(crate) fn states(decider: &Decider, charges: &[&Charge]) -> Vec<Option<ChargeState>> {
    let totals = &decider.totals;
    let groups: BTreeSet<u32> =
        charges.iter().map(|charge| charge.key.group).filter(|group| *group > 0).collect();
    let mut named = BTreeMap::new();
    if !groups.is_empty() {
        // All combinations are looked at: they are found by what they are, not by their numbers.
        for (combination, number) in totals.groups.iter().filter(|(_, number)| groups.contains(number)) {
            named.insert(*number, group(decider, combination));
        }
    }
    let state = |charge: &&Charge| {
        let group = named.get(&charge.key.group).cloned().unwrap_or_default();
        state(totals, charge, group)
    };
    charges.iter().map(state).collect()
}

/// The dimensions and values of a combination.
fn group(decider: &Decider, combination: &[u32]) -> BTreeMap<String, Option<String>> {
    let (pairs, _) = combination.as_chunks::<2>();
    let named = pairs.iter().filter_map(|[dimension, value]| {
        let name = decider.totals.catalog.dimensions().get(*dimension as usize)?;
        let text = decider.values.text(*dimension as usize, *value).map(ToOwned::to_owned);
        Some((name.to_string(), text))
    });
    named.collect()
}

fn state(
    totals: &RunningTotals,
    charge: &Charge,
    group: BTreeMap<String, Option<String>>,
) -> Option<ChargeState> {
    let catalog = &totals.catalog;
    let line = catalog.lines().get(charge.key.line as usize)?;
    let meter = catalog.meters().get(usize::from(charge.key.meter))?;
    let price = &catalog.rates().get(charge.rate as usize)?.price;
    let version = catalog.price_book_versions().get(charge.price_book_version as usize)?;
    let decimals = if meter.aggregation.is_numeric() { meter.decimals } else { 0 };
    let (start, end) = line.cycle.period_of(Date::from_days(charge.key.period_start));
    Some(ChargeState {
        contract_line_id: line.id.to_string(),
        contract_id: line.contract.to_string(),
        meter_id: meter.id.to_string(),
        billing_period_start: start,
        billing_period_end: end,
        group,
        quantity: Decimal::new(charge.usage.quantity, decimals).to_string(),
        events: charge.usage.events,
        amount: charge.amount,
        currency: line.currency.code().to_owned(),
        price_book_id: version.price_book.to_string(),
        price_book_version: version.version,
        price_model: price.model_name(),
        tier: tier(price, charge.terms, &charge.usage),
        next_unit_amount: next_unit(price, charge.terms, &charge.usage, decimals),
    })
}

/// The last tier that usage has entered.
fn tier(price: &Price, terms: Terms, usage: &Usage) -> Option<TierState> {
    let has_tiers = matches!(
        price.model_name(),
        PriceModelName::Graduated | PriceModelName::Volume | PriceModelName::Stairstep
    );
    let mut lines = Vec::new();
    price.breakdown(terms, usage, &mut lines).ok()?;
    let used = |line: &&TierLine| line.quantity != 0 && (has_tiers || line.tier == 0);
    let line = lines.iter().rev().find(used)?;
    let quantity = |counts: i128| Decimal::new(counts, price.priced_decimals).to_string();
    Some(TierState {
        number: line.tier,
        above: quantity(line.lower_bound),
        up_to: line.upper_bound.map(quantity),
        quantity: quantity(line.quantity),
        unit_price: line.unit_price.map(Amount::from_units),
    })
}

/// What a unit more adds to the amount.
fn next_unit(price: &Price, terms: Terms, usage: &Usage, decimals: u8) -> Option<Amount> {
    if price.prices_events() {
        return None;
    }
    let quantity = usage.quantity.checked_add(power_of_ten(decimals)?)?;
    let after = Usage { quantity, events: usage.events.checked_add(1)?, ..*usage };
    price.amount(terms, &after).ok()?.checked_sub(price.amount(terms, usage).ok()?).ok()
}
