//! Compiles the models that price single events: shares of a value, and prices that come with the event.

use schemas::decimal::Decimal;
use schemas::meter::{Aggregation, EventPriceKind};
use schemas::money::AMOUNT_SCALE;
use schemas::quantity::UnitPrice;

use super::Compiler;
use crate::price::dynamic::Dynamic;
use crate::price::per_event::PerEvent;
use crate::price::percentage::Percentage;

impl Compiler<'_> {
    /// A share of the value in percent (2 places) or basis points (4 places).
    pub(super) fn share(&mut self, field: &str, share: Option<Decimal>, places: u8) -> Option<Percentage> {
        if self.meter.aggregation != Aggregation::Sum {
            let message = format!(
                "a share of the value needs a meter that sums it; {} aggregates by {}",
                self.meter.id,
                self.meter.aggregation.name()
            );
            self.fault("model", message, "use a meter with aggregation: sum");
        }
        let per_event = PerEvent {
            fee: self.optional_amount("per_event_fee", self.rate.per_event_fee).unwrap_or(0),
            minimum: self.optional_amount("per_event_minimum", self.rate.per_event_minimum),
            maximum: self.optional_amount("per_event_maximum", self.rate.per_event_maximum),
        };
        if let (Some(minimum), Some(maximum)) = (per_event.minimum, per_event.maximum)
            && minimum > maximum
        {
            let message = "it is above per_event_maximum".to_owned();
            self.fault("per_event_minimum", message, "exchange the two");
        }
        if per_event.has_bounds() {
            self.refuse_with_bounds("convert", self.rate.convert.is_some());
            self.refuse_with_bounds("free_quantity", self.rate.free_quantity.is_some());
            if self.meter.allow_negative {
                let message = format!(
                    "bounds per event have no meaning for values below zero, which the meter {} allows",
                    self.meter.id
                );
                let bound =
                    if per_event.minimum.is_some() { "per_event_minimum" } else { "per_event_maximum" };
                self.fault(bound, message, "use a meter without allow_negative, or remove the bounds");
            }
        }
        let share = share?;
        if share.is_negative() {
            self.fault(field, format!("{share} is below zero"), "use zero or more");
            return None;
        }
        let Ok(factor) = share.checked_mul(Decimal::new(1, places)) else {
            let message = format!("{share} has more digits than can be kept");
            self.fault(field, message, "use fewer decimal places");
            return None;
        };
        let count_share = self.count_price(field, UnitPrice(factor));
        Some(Percentage { count_share: count_share?, per_event })
    }

    fn refuse_with_bounds(&mut self, field: &str, written: bool) {
        if written {
            let message = "it applies to the whole period, bounds per event to single events".to_owned();
            self.fault(field, message, "use one or the other");
        }
    }

    pub(super) fn dynamic(&mut self) -> Option<Dynamic> {
        let Some(price) = &self.meter.event_price else {
            let message = format!("the meter {} reads no price from its events", self.meter.id);
            self.fault("model", message, "declare event_price in the meter");
            return None;
        };
        let multiplier = self.rate.multiplier.unwrap_or(Decimal::ONE);
        if multiplier.is_negative() {
            self.fault("multiplier", format!("{multiplier} is below zero"), "use zero or more");
        }
        let numeric = matches!(self.meter.aggregation, Aggregation::Sum | Aggregation::Count);
        if !numeric {
            let message = format!(
                "prices of single events need a meter that sums or counts; {} aggregates by {}",
                self.meter.id,
                self.meter.aggregation.name()
            );
            self.fault("model", message, "use a meter with aggregation: sum or count");
        }
        let unit_places = match price.is {
            EventPriceKind::Amount => 0,
            EventPriceKind::UnitPrice => self.decimals,
        };
        let places = price.decimals.saturating_add(multiplier.scale()).saturating_add(unit_places);
        if places > AMOUNT_SCALE {
            let message = format!(
                "an amount could have {places} decimal places ({} of the event's price, {unit_places} of its \
                 quantity, {} of the multiplier); {AMOUNT_SCALE} are kept",
                price.decimals,
                multiplier.scale()
            );
            self.fault("multiplier", message, "lower the decimals of the meter or of its event_price");
            return None;
        }
        let factor = multiplier.mantissa();
        let divisor = schemas::decimal::power_of_ten(multiplier.scale())?;
        Some(match price.is {
            EventPriceKind::Amount => Dynamic::Amount { factor, divisor },
            EventPriceKind::UnitPrice => {
                Dynamic::UnitPrice { factor, divisor, unit: schemas::decimal::power_of_ten(self.decimals)? }
            }
        })
    }
}
