//! Compiles what comes before the model: the unit conversion and the free quantity.

use schemas::price_book::ConversionOperation;
use schemas::quantity::QUANTITY_SCALE;

use super::Compiler;
use crate::price::unit_conversion::{ConversionFault, UnitConversion};

/// How to mend a conversion that cannot be exact.
const ROUND: &str = "add a rounding mode, such as rounding: half_even, and the decimals to round to";

impl Compiler<'_> {
    pub(super) fn conversion(&mut self) -> Option<UnitConversion> {
        let convert = self.rate.convert.as_ref()?;
        if convert.rounding.is_none() && convert.decimals.is_some() {
            let message = "there is no rounding, so nothing is rounded to these decimals".to_owned();
            self.fault("convert.decimals", message, "add rounding, or remove decimals to convert exactly");
        }
        if convert.decimals.is_some_and(|decimals| decimals > QUANTITY_SCALE) {
            let message = format!("it is more than the {QUANTITY_SCALE} decimal places that are kept");
            self.fault("convert.decimals", message, "use 0 to 12");
        }
        let places = convert.decimals.unwrap_or(0).min(QUANTITY_SCALE);
        let rounded_to = convert.rounding.map(|rounding| (places, rounding));
        let is_division = convert.operation == ConversionOperation::Divide;
        match UnitConversion::compile(is_division, convert.factor, self.decimals, rounded_to) {
            Ok((conversion, decimals)) if decimals <= QUANTITY_SCALE => {
                self.decimals = decimals;
                Some(conversion)
            }
            Ok(_) | Err(ConversionFault::TooPrecise) => {
                let message = format!("the exact result can have more than {QUANTITY_SCALE} decimal places");
                self.fault("convert", message, ROUND);
                None
            }
            Err(ConversionFault::Endless) => {
                let message =
                    format!("a division by {} can have endlessly many decimal places", convert.factor);
                self.fault("convert", message, ROUND);
                None
            }
            Err(ConversionFault::NotPositive) => {
                self.fault(
                    "convert.factor",
                    format!("{} is not above zero", convert.factor),
                    "use a factor above zero",
                );
                None
            }
        }
    }

    pub(super) fn free_quantity(&mut self) -> Option<i128> {
        let free = self.rate.free_quantity?;
        self.counts("free_quantity", free)
    }
}
