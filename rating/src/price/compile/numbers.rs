//! Compiles the numbers of a rate into counts, or says why they cannot be exact.

use schemas::decimal::{Decimal, DecimalError};
use schemas::money::AMOUNT_SCALE;
use schemas::quantity::{Quantity, UnitPrice};

use super::Compiler;

impl Compiler<'_> {
    pub(super) fn required<T>(&mut self, field: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            let mend = format!("write it: the model {} needs it", self.rate.model.name());
            self.fault(field, "it is missing".to_owned(), &mend);
        }
        value
    }

    pub(super) fn required_amount(&mut self, field: &str, amount: Option<Decimal>) -> Option<i128> {
        let amount = self.required(field, amount)?;
        self.amount(field, amount)
    }

    pub(super) fn optional_amount(&mut self, field: &str, amount: Option<Decimal>) -> Option<i128> {
        self.amount(field, amount?)
    }

    /// An amount in `10^-18`, zero or more.
    pub(super) fn amount(&mut self, field: &str, amount: Decimal) -> Option<i128> {
        if amount.is_negative() {
            self.fault(field, format!("{amount} is below zero"), "use zero or more");
        }
        let units = amount.to_scaled(AMOUNT_SCALE);
        if let Err(error) = units {
            let mend = "use at most 18 decimal places and 20 digits before the point";
            self.fault(field, format!("{amount} does not fit: {error}"), mend);
        }
        units.ok()
    }

    pub(super) fn required_count_price(&mut self, field: &str, price: Option<UnitPrice>) -> Option<i128> {
        let price = self.required(field, price)?;
        self.count_price(field, price)
    }

    /// The amount of one count of the quantity: the price of a unit, `10^decimals` counts, shared out.
    pub(super) fn count_price(&mut self, field: &str, price: UnitPrice) -> Option<i128> {
        let UnitPrice(price) = price;
        if price.is_negative() {
            self.fault(field, format!("{price} is below zero"), "use zero or more");
        }
        match price.to_scaled(AMOUNT_SCALE.saturating_sub(self.decimals)) {
            Ok(units) => return Some(units),
            Err(DecimalError::TooPrecise(_)) => self.product_too_precise(field, price),
            Err(error) => self.fault(field, format!("{price} does not fit: {error}"), "use a smaller price"),
        }
        None
    }

    /// Says that the product of a price and a quantity could not be kept exactly.
    fn product_too_precise(&mut self, field: &str, price: Decimal) {
        let message = format!(
            "the price of one unit, {price}, has {} decimal places and the quantity {}: their product needs \
             more than the {AMOUNT_SCALE} that are kept",
            price.scale(),
            self.decimals
        );
        let mend = match AMOUNT_SCALE.checked_sub(price.scale()) {
            None => format!("use at most {AMOUNT_SCALE} decimal places"),
            Some(enough) if self.rate.convert.is_some() => {
                format!("add rounding and decimals: {enough}, or less, to convert")
            }
            Some(enough) => format!("set decimals of the meter {} to {enough} or less", self.meter.id),
        };
        self.fault(field, message, &mend);
    }

    /// A quantity as counts of the quantity that is priced, zero or more.
    pub(super) fn counts(&mut self, field: &str, quantity: Quantity) -> Option<i128> {
        if quantity < Quantity::ZERO {
            self.fault(field, format!("{quantity} is below zero"), "use zero or more");
        }
        let counts = quantity.to_decimal().to_scaled(self.decimals);
        if counts.is_err() {
            let message =
                format!("{quantity} is finer than the {} decimal places of the quantity", self.decimals);
            self.fault(field, message, "use fewer decimal places, or raise the meter's decimals");
        }
        counts.ok()
    }
}
