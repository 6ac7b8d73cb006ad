//! A rate as the table tests of the models write it: numbers are text, in and out.

use schemas::decimal::Decimal;
use schemas::id::DimensionName;
use schemas::money::AMOUNT_SCALE;
use schemas::price_book::RoundingMode;
use serde_json::{Value, json};

use super::{ActiveDays, Price, RateFault, Terms, TierLine, Usage, compile_rate, group_dimensions};

pub(crate) struct Example {
    pub(crate) price: Price,
    decimals: u8,
}

/// A meter that sums quantities with so many decimal places.
pub(crate) fn meter(decimals: u8) -> Value {
    json!({
        "id": "usage",
        "event_type": "usage",
        "aggregation": "sum",
        "value": "$.value",
        "decimals": decimals,
        "dimensions": { "model": "$.model", "region": "$.region" }
    })
}

impl Example {
    /// A rate for a meter that sums.
    pub(crate) fn new(rate: Value, decimals: u8) -> Self {
        Self::of_meter(rate, meter(decimals)).unwrap()
    }

    pub(crate) fn of_meter(mut rate: Value, meter: Value) -> Result<Self, Vec<RateFault>> {
        rate["meter"] = meter["id"].clone();
        let rate = serde_json::from_value(rate).unwrap();
        let meter: schemas::meter::Meter = serde_json::from_value(meter).unwrap();
        let group: Vec<DimensionName> = group_dimensions(&rate);
        let decimals = if meter.aggregation.is_numeric() { meter.decimals } else { 0 };
        Ok(Self { price: compile_rate(&rate, &meter, &group)?, decimals })
    }

    /// Usage of one event.
    pub(crate) fn event(&self, quantity: &str) -> Usage {
        self.priced_event(quantity, "0")
    }

    /// Usage of one event that states its own price or amount.
    pub(crate) fn priced_event(&self, quantity: &str, event_price: &str) -> Usage {
        let quantity = counts(quantity, self.decimals);
        let event_amounts = self.price.event_amount(quantity, counts(event_price, AMOUNT_SCALE)).unwrap();
        Usage { quantity, events: 1, event_amounts }
    }

    /// Usage of several events, summed.
    pub(crate) fn events(&self, quantities: &[&str]) -> Usage {
        let mut usage = Usage::default();
        for event in quantities.iter().map(|quantity| self.event(quantity)) {
            usage.quantity += event.quantity;
            usage.events += event.events;
            usage.event_amounts = usage.event_amounts.checked_add(event.event_amounts).unwrap();
        }
        usage
    }

    pub(crate) fn amount(&self, usage: &Usage) -> String {
        self.price.amount(Terms::default(), usage).unwrap().to_string()
    }

    /// Checks `f` of quantities, each as usage of one event, and that its lines sum to it.
    pub(crate) fn check(&self, cases: &[(&str, &str)]) {
        for (quantity, expected) in cases {
            let usage = self.event(quantity);
            assert_eq!(self.amount(&usage), *expected, "f({quantity})");
            let lines: i128 = self.lines(&usage).iter().map(|line| line.amount).sum();
            assert_eq!(Decimal::new(lines, AMOUNT_SCALE).to_string(), *expected, "lines of f({quantity})");
        }
        assert_eq!(self.amount(&Usage::default()), "0", "no events cost nothing");
    }

    pub(crate) fn lines(&self, usage: &Usage) -> Vec<TierLine> {
        let mut lines = Vec::new();
        self.price.breakdown(Terms::default(), usage, &mut lines).unwrap();
        lines
    }

    /// Tier, quantity and amount of every line.
    pub(crate) fn shares(&self, quantity: &str) -> Vec<(u32, String, String)> {
        let lines = self.lines(&self.event(quantity)).into_iter();
        let share = |line: TierLine| {
            let quantity = Decimal::new(line.quantity, self.price.priced_decimals);
            (line.tier, quantity.to_string(), Decimal::new(line.amount, AMOUNT_SCALE).to_string())
        };
        lines.map(share).collect()
    }
}

/// Fields a rate is refused for.
pub(crate) fn refused(rate: Value, meter: Value) -> Vec<String> {
    let faults = Example::of_meter(rate, meter).err().unwrap_or_default();
    faults.into_iter().map(|fault| fault.field).collect()
}

/// A billing period of which a contract line is in force on some days.
pub(crate) fn days(active: i32, period: i32, currency: &str, rounding: RoundingMode) -> ActiveDays {
    ActiveDays { active, period, currency: currency.parse().unwrap(), rounding }
}

fn counts(number: &str, scale: u8) -> i128 {
    number.parse::<Decimal>().unwrap().to_scaled(scale).unwrap()
}
