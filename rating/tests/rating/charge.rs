//! A charge as tests see it: a rate compiled for a meter, and what usage of it costs.

use rating::price::{ActiveDays, Price, RateFault, Terms, TierLine, Usage, compile_rate};
use rating::rounding::rescale_rounded;
use schemas::currency::Currency;
use schemas::decimal::Decimal;
use schemas::id::DimensionName;
use schemas::meter::Meter;
use schemas::money::AMOUNT_SCALE;
use schemas::price_book::{Rate, RoundingMode};
use serde_json::{Value, json};

pub(crate) struct Charge {
    pub(crate) price: Price,
    pub(crate) terms: Terms,
    decimals: u8,
}

impl Charge {
    /// The charge of a rate in JSON; the meter sums quantities with so many decimal places.
    pub(crate) fn new(rate: Value, decimals: u8) -> Result<Self, Vec<RateFault>> {
        let mut meter = json!({
            "id": "usage",
            "event_type": "usage",
            "aggregation": "sum",
            "value": "$.value",
            "decimals": decimals,
        });
        if rate["model"] == "dynamic" {
            meter["event_price"] = json!({ "property": "$.amount", "is": "amount", "currency": "USD" });
        }
        Self::of_meter(rate, meter, &[])
    }

    /// The charge of a rate and a meter in JSON, for usage with these dimension values.
    pub(crate) fn of_meter(
        mut rate: Value,
        meter: Value,
        dimensions: &[(&str, &str)],
    ) -> Result<Self, Vec<RateFault>> {
        rate["meter"] = meter["id"].clone();
        let meter: Meter = serde_json::from_value(meter).unwrap();
        let rate: Rate = serde_json::from_value(rate).unwrap();
        let group: Vec<DimensionName> = dimensions.iter().map(|(name, _)| name.parse().unwrap()).collect();
        let price = compile_rate(&rate, &meter, &group)?;
        let values: Vec<Option<&str>> = dimensions.iter().map(|(_, value)| Some(*value)).collect();
        let terms = price.terms(&values, &whole_period()).unwrap();
        Ok(Self { price, terms, decimals: meter.decimals })
    }

    /// Usage of one event with this quantity, which is also its amount where events state theirs.
    pub(crate) fn event(&self, quantity: Decimal) -> Usage {
        let counts = quantity.to_scaled(self.decimals).unwrap();
        let own_amount = quantity.to_scaled(AMOUNT_SCALE).unwrap();
        let event_amounts = self.price.event_amount(counts, own_amount).unwrap();
        Usage { quantity: counts, events: 1, event_amounts }
    }

    /// `f(usage)`.
    pub(crate) fn amount(&self, usage: &Usage) -> Decimal {
        self.price.amount(self.terms, usage).unwrap().to_decimal()
    }

    /// `f` of a cumulative quantity; of zero it is the amount of usage that sums to zero.
    pub(crate) fn amount_of(&self, quantity: Decimal) -> Decimal {
        self.amount(&self.event(quantity))
    }

    pub(crate) fn breakdown(&self, usage: &Usage) -> Vec<TierLine> {
        let mut lines = Vec::new();
        self.price.breakdown(self.terms, usage, &mut lines).unwrap();
        lines
    }

    /// A quantity of a breakdown line.
    pub(crate) fn priced(&self, counts: i128) -> Decimal {
        Decimal::new(counts, self.price.priced_decimals)
    }
}

/// A contract line that is in force for the whole billing period.
pub(crate) fn whole_period() -> ActiveDays {
    ActiveDays {
        active: 31,
        period: 31,
        currency: Currency::from_code("USD").unwrap(),
        rounding: RoundingMode::HalfAwayFromZero,
    }
}

pub(crate) fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

pub(crate) fn sum(left: Decimal, right: Decimal) -> Decimal {
    left.checked_add(right).unwrap()
}

pub(crate) fn difference(left: Decimal, right: Decimal) -> Decimal {
    left.checked_sub(right).unwrap()
}

/// An amount as it is posted.
pub(crate) fn rounded(amount: Decimal, places: u8) -> Decimal {
    rounded_with(amount, places, RoundingMode::HalfAwayFromZero)
}

pub(crate) fn rounded_with(number: Decimal, places: u8, mode: RoundingMode) -> Decimal {
    let scale = number.scale().max(places);
    let units = rescale_rounded(number.to_scaled(scale).unwrap(), scale, places, mode);
    Decimal::new(units.unwrap(), places)
}
