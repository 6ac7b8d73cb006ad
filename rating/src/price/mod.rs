//! What usage costs: one price model per file.
//!
//! A [`Price`] is compiled from a [`schemas::price_book::Rate`] for a meter: quantities are counts of
//! `10^-decimals` of the meter, amounts counts of `10^-18`, and a unit price is the amount of one such
//! count, so that pricing is multiplying whole numbers. Compilation refuses what could not be exact.

mod basis_points;
mod billable;
mod compile;
mod dynamic;
#[cfg(test)]
mod example;
mod flat;
mod free_allowance;
mod graduated;
mod matrix;
mod package;
mod per_event;
mod per_unit;
mod percentage;
mod stairstep;
mod tiers;
mod unit_conversion;
mod volume;

use schemas::money::Amount;
use schemas::price_book::PriceModelName;
use schemas::quarantine::UnratedReason;

use crate::Overflow;

pub use billable::Billable;
pub(crate) use compile::group_dimensions;
pub use compile::{RateFault, compile_rate};
pub use flat::ActiveDays;

/// What a charge has used in its billing period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Aggregated quantity, a count of `10^-decimals` of the meter's unit.
    pub quantity: i128,
    /// Number of events; with none there is nothing to pay.
    pub events: u64,
    /// Sum of the events' own amounts, where the model prices events one by one.
    pub event_amounts: Amount,
}

/// A compiled rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    conversion: Option<unit_conversion::UnitConversion>,
    free_quantity: Option<i128>,
    model: Model,
    /// Decimal places of the quantity that is priced, after the conversion.
    pub priced_decimals: u8,
}

/// A compiled price model.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Model {
    Flat(flat::Flat),
    PerUnit(per_unit::PerUnit),
    Graduated(graduated::Graduated),
    Volume(volume::Volume),
    Stairstep(stairstep::Stairstep),
    Package(package::Package),
    Percentage(percentage::Percentage),
    BasisPoints(basis_points::BasisPoints),
    Matrix(matrix::Matrix),
    Dynamic(dynamic::Dynamic),
}

/// What a price fixes once for a charge: the fee of its period, or the price for its dimensions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The fee, or the amount of one count; 0 where the model needs neither.
    pub constant: i128,
}

/// The part of an amount that one tier, or one price, contributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierLine {
    /// Position of the tier, from 1; 0 for the free quantity.
    pub tier: u32,
    /// Quantities above this, a count of `10^-priced_decimals`.
    pub lower_bound: i128,
    /// Up to and including this; `None` for no bound.
    pub upper_bound: Option<i128>,
    /// Quantity priced here.
    pub quantity: i128,
    /// Amount of one unit, a count of `10^-18`, where there is one.
    pub unit_price: Option<i128>,
    /// Flat part of the amount.
    pub flat_amount: i128,
    /// The amount.
    pub amount: i128,
}

impl Price {
    /// The model's name.
    #[must_use]
    pub const fn model_name(&self) -> PriceModelName {
        match &self.model {
            Model::Flat(_) => PriceModelName::Flat,
            Model::PerUnit(_) => PriceModelName::PerUnit,
            Model::Graduated(_) => PriceModelName::Graduated,
            Model::Volume(_) => PriceModelName::Volume,
            Model::Stairstep(_) => PriceModelName::Stairstep,
            Model::Package(_) => PriceModelName::Package,
            Model::Percentage(_) => PriceModelName::Percentage,
            Model::BasisPoints(_) => PriceModelName::BasisPoints,
            Model::Matrix(_) => PriceModelName::Matrix,
            Model::Dynamic(_) => PriceModelName::Dynamic,
        }
    }

    /// Is it a fee for the days the contract line is in force?
    #[must_use]
    pub const fn is_prorated(&self) -> bool {
        matches!(&self.model, Model::Flat(flat::Flat { prorate: true, .. }))
    }

    /// Does the amount depend on single events, not on their aggregate alone?
    #[must_use]
    pub fn prices_events(&self) -> bool {
        match &self.model {
            Model::Percentage(percentage) => percentage.prices_events(),
            Model::BasisPoints(basis_points) => basis_points.prices_events(),
            Model::Dynamic(_) => true,
            _ => false,
        }
    }

    /// What is fixed once for a charge with these dimension values, whose contract line is in force
    /// on these days of the billing period.
    ///
    /// # Errors
    /// [`UnratedReason`] when no price fits the dimension values.
    pub fn terms(&self, values: &[Option<&str>], days: &ActiveDays) -> Result<Terms, UnratedReason> {
        let constant = match &self.model {
            Model::Flat(flat) => flat.fee(days).map_err(|Overflow| UnratedReason::AmountOverflow)?,
            Model::Matrix(matrix) => matrix.unit_price(values)?,
            _ => 0,
        };
        Ok(Terms { constant })
    }

    /// The amount of one event, where the model prices events one by one; otherwise zero.
    ///
    /// `measure` is the event's quantity, `event_price` its own price or amount in `10^-18`.
    ///
    /// # Errors
    /// [`Overflow`].
    #[inline]
    pub fn event_amount(&self, measure: i128, event_price: i128) -> Result<Amount, Overflow> {
        match &self.model {
            Model::Percentage(percentage) => percentage.event_amount(measure),
            Model::BasisPoints(basis_points) => basis_points.event_amount(measure),
            Model::Dynamic(dynamic) => dynamic.event_amount(measure, event_price),
            _ => Ok(0),
        }
        .map(Amount::from_units)
    }

    /// The exact amount of a charge: `f(usage)`.
    ///
    /// # Errors
    /// [`Overflow`].
    #[inline]
    pub fn amount(&self, terms: Terms, usage: &Usage) -> Result<Amount, Overflow> {
        if usage.events == 0 {
            return Ok(Amount::ZERO);
        }
        let quantity = self.priced_quantity(usage.quantity)?;
        let units = match &self.model {
            Model::Flat(_) => Ok(terms.constant),
            Model::PerUnit(per_unit) => per_unit.amount(quantity),
            Model::Graduated(graduated) => graduated.amount(quantity),
            Model::Volume(volume) => volume.amount(quantity),
            Model::Stairstep(stairstep) => stairstep.amount(quantity),
            Model::Package(package) => package.amount(quantity),
            Model::Percentage(percentage) => percentage.amount(quantity, usage),
            Model::BasisPoints(basis_points) => basis_points.amount(quantity, usage),
            Model::Matrix(_) => quantity.checked_mul(terms.constant).ok_or(Overflow),
            Model::Dynamic(_) => Ok(usage.event_amounts.units()),
        };
        units.map(Amount::from_units)
    }

    /// Appends the amount by tier; the lines sum to [`Price::amount`].
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn breakdown(&self, terms: Terms, usage: &Usage, lines: &mut Vec<TierLine>) -> Result<(), Overflow> {
        if usage.events == 0 {
            return Ok(());
        }
        let Billable { quantity, allowance } = self.billable(usage)?;
        let quantity = quantity.checked_sub(allowance).ok_or(Overflow)?;
        if self.free_quantity.is_some() {
            lines.push(free_allowance::line(allowance));
        }
        match &self.model {
            Model::Graduated(graduated) => graduated.breakdown(quantity, lines)?,
            Model::Volume(volume) => volume.breakdown(quantity, lines)?,
            Model::Stairstep(stairstep) => stairstep.breakdown(quantity, lines)?,
            Model::PerUnit(per_unit) => lines.push(per_unit.line(quantity)?),
            Model::Matrix(_) => {
                lines.push(per_unit::PerUnit::new(terms.constant, self.unit()).line(quantity)?);
            }
            _ => {
                let amount = self.amount(terms, usage)?.units();
                lines.push(TierLine::whole(quantity, amount));
            }
        }
        Ok(())
    }

    /// Counts in one unit of the priced quantity.
    fn unit(&self) -> i128 {
        schemas::decimal::power_of_ten(self.priced_decimals).unwrap_or(1)
    }

    #[inline]
    fn converted(&self, quantity: i128) -> Result<i128, Overflow> {
        match &self.conversion {
            Some(conversion) => conversion.convert(quantity),
            None => Ok(quantity),
        }
    }

    /// The quantity the model prices: converted, and without what is free.
    #[inline]
    fn priced_quantity(&self, quantity: i128) -> Result<i128, Overflow> {
        let converted = self.converted(quantity)?;
        match self.free_quantity {
            Some(free) => free_allowance::beyond(converted, free),
            None => Ok(converted),
        }
    }
}

impl TierLine {
    /// One line for a model without tiers or unit prices.
    pub(crate) const fn whole(quantity: i128, amount: i128) -> Self {
        Self {
            tier: 1,
            lower_bound: 0,
            upper_bound: None,
            quantity,
            unit_price: None,
            flat_amount: 0,
            amount,
        }
    }
}
