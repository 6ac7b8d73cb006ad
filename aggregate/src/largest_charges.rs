//! The largest charges of the newest billing periods, and what the charges of each meter come to: for people who look
//! at what the service does.
//!
//! It is found by two walks over all charges: about 10 ms for a million of them.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use schemas::currency::Currency;
use schemas::decimal::Decimal;
use schemas::meter::{Aggregation, Meter};
use schemas::money::{Amount, Money};
use serde::Serialize;

use crate::account_charges::{ChargeState, states};
use crate::charge::Charge;
use crate::decider::Decider;

/// Charges of the newest billing period that each contract line has usage in.
#[derive(Clone, Debug, Default)]
pub struct LargestCharges {
    /// All charges, by meter.
    pub meters: Vec<MeterTotal>,
    /// Those with the largest amounts of each currency, largest first, with the positions of their accounts.
    pub charges: Vec<(u32, ChargeState)>,
}

/// What the charges of a meter come to. Field names are wire names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MeterTotal {
    /// Meter.
    pub meter_id: String,
    /// Unit of its quantities.
    pub unit: Option<String>,
    /// How many charges there are.
    pub charges: u64,
    /// Their events.
    pub events: u64,
    /// Their usage; nothing where it does not add up, as with largest and distinct values.
    pub quantity: Option<String>,
    /// Their amounts, exactly, by currency.
    pub amounts: Vec<Money>,
}

/// A meter's sums.
#[derive(Default)]
struct Sums {
    charges: u64,
    events: u64,
    /// Nothing where it is too large.
    quantity: Option<i128>,
    amounts: BTreeMap<Currency, Option<Amount>>,
}

impl LargestCharges {
    /// Finds so many charges of each currency.
    #[must_use]
    pub fn find(decider: &Decider, count: usize) -> Self {
        let totals = &decider.totals;
        let catalog = &totals.catalog;
        let used = || totals.charges.all.iter().filter(|charge| charge.usage.events > 0);
        let mut newest = vec![i32::MIN; catalog.lines().len()];
        for charge in used() {
            if let Some(newest) = newest.get_mut(charge.key.line as usize) {
                *newest = charge.key.period_start.max(*newest);
            }
        }
        let mut sums: BTreeMap<u16, Sums> = BTreeMap::new();
        let mut largest: BTreeMap<Currency, BTreeSet<(Amount, usize)>> = BTreeMap::new();
        for (position, charge) in totals.charges.all.iter().enumerate() {
            let line = charge.key.line as usize;
            let is_newest = newest.get(line) == Some(&charge.key.period_start) && charge.usage.events > 0;
            let Some(currency) = catalog.lines().get(line).filter(|_| is_newest).map(|line| line.currency)
            else {
                continue;
            };
            let new = || Sums { quantity: Some(0), ..Sums::default() };
            sums.entry(charge.key.meter).or_insert_with(new).add(charge, currency);
            let of_currency = largest.entry(currency).or_default();
            of_currency.insert((charge.amount, position));
            if of_currency.len() > count {
                of_currency.pop_first();
            }
        }
        let positions = largest.values().flat_map(|set| set.iter().rev().map(|(_, position)| *position));
        let found: Vec<&Charge> = positions.filter_map(|position| totals.charges.all.get(position)).collect();
        let charges = found.iter().zip(states(decider, &found));
        let charges = charges.filter_map(|(charge, state)| Some((charge.key.account, state?))).collect();
        let meter = |(meter, sums): (u16, Sums)| Some(sums.total(catalog.meters().get(usize::from(meter))?));
        Self { meters: sums.into_iter().filter_map(meter).collect(), charges }
    }
}

impl Sums {
    fn add(&mut self, charge: &Charge, currency: Currency) {
        self.charges += 1;
        self.events += charge.usage.events;
        self.quantity = self.quantity.and_then(|sum| sum.checked_add(charge.usage.quantity));
        let sum = self.amounts.entry(currency).or_insert(Some(Amount::default()));
        *sum = sum.and_then(|sum| sum.checked_add(charge.amount).ok());
    }

    fn total(self, meter: &Meter) -> MeterTotal {
        let decimals = if meter.aggregation.is_numeric() { meter.decimals } else { 0 };
        let adds_up = matches!(meter.aggregation, Aggregation::Sum | Aggregation::Count);
        let amounts = self
            .amounts
            .into_iter()
            .filter_map(|(currency, amount)| Some(Money { amount: amount?, currency }));
        MeterTotal {
            meter_id: meter.id.to_string(),
            unit: meter.unit.clone(),
            charges: self.charges,
            events: self.events,
            quantity: self.quantity.filter(|_| adds_up).map(|sum| Decimal::new(sum, decimals).to_string()),
            amounts: amounts.collect(),
        }
    }
}
