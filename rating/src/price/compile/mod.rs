//! Compiles a rate of a price book into a [`Price`], or says everything that is wrong with it.

mod events;
mod matrix;
mod numbers;
mod quantity;
mod tiers;

use std::collections::BTreeSet;

use schemas::id::DimensionName;
use schemas::meter::Meter;
use schemas::price_book::{PriceModelName, Rate};
use schemas::quantity::Quantity;

use super::basis_points::BasisPoints;
use super::flat::Flat;
use super::graduated::Graduated;
use super::package::Package;
use super::per_unit::PerUnit;
use super::stairstep::Stairstep;
use super::volume::Volume;
use super::{Model, Price};

/// Something wrong with a rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateFault {
    /// Where in the rate: `tiers[1].up_to`.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub mend: String,
}

/// Compiles a rate for its meter.
///
/// `group` names the dimensions whose values a charge of this rate is told apart by, in order; it holds
/// all that the rate's matrix looks at.
///
/// # Errors
/// All that is wrong with the rate.
pub fn compile_rate(rate: &Rate, meter: &Meter, group: &[DimensionName]) -> Result<Price, Vec<RateFault>> {
    let mut compiler = Compiler { rate, meter, faults: Vec::new(), decimals: meter_decimals(meter) };
    compiler.refuse_unused_fields();
    compiler.check_dimensions();
    let conversion = compiler.conversion();
    let free_quantity = compiler.free_quantity();
    let model = compiler.model(group);
    let Compiler { faults, decimals, .. } = compiler;
    match model {
        Some(model) if faults.is_empty() => {
            Ok(Price { conversion, free_quantity, model, priced_decimals: decimals })
        }
        _ => Err(faults),
    }
}

/// Decimal places of a meter's quantity: none where events or values are counted.
fn meter_decimals(meter: &Meter) -> u8 {
    if meter.aggregation.is_numeric() { meter.decimals } else { 0 }
}

struct Compiler<'a> {
    rate: &'a Rate,
    meter: &'a Meter,
    faults: Vec<RateFault>,
    /// Decimal places of the quantity that is priced.
    decimals: u8,
}

impl Compiler<'_> {
    fn fault(&mut self, field: &str, message: String, mend: &str) {
        self.faults.push(RateFault { field: field.to_owned(), message, mend: mend.to_owned() });
    }

    /// A field the model does not use is a misunderstanding, and ignoring it a wrong bill.
    fn refuse_unused_fields(&mut self) {
        let rate = self.rate;
        let written = [
            ("convert", rate.convert.is_some()),
            ("free_quantity", rate.free_quantity.is_some()),
            ("amount", rate.amount.is_some()),
            ("prorate", rate.prorate.is_some()),
            ("unit_price", rate.unit_price.is_some()),
            ("tiers", rate.tiers.is_some()),
            ("flat_amount_at_zero", rate.flat_amount_at_zero.is_some()),
            ("package_size", rate.package_size.is_some()),
            ("package_price", rate.package_price.is_some()),
            ("percent", rate.percent.is_some()),
            ("basis_points", rate.basis_points.is_some()),
            ("per_event_fee", rate.per_event_fee.is_some()),
            ("per_event_minimum", rate.per_event_minimum.is_some()),
            ("per_event_maximum", rate.per_event_maximum.is_some()),
            ("matrix", rate.matrix.is_some()),
            ("default_unit_price", rate.default_unit_price.is_some()),
            ("multiplier", rate.multiplier.is_some()),
        ];
        let used = used_fields(rate.model);
        for (field, _) in written.iter().filter(|(field, written)| *written && !used.contains(field)) {
            let message = format!("the model {} does not use {field}", rate.model.name());
            let mend = format!("remove it ({} uses {})", rate.model.name(), used.join(", "));
            self.fault(field, message, &mend);
        }
    }

    fn check_dimensions(&mut self) {
        let known = &self.meter.dimensions;
        let mut asked: Vec<(String, &DimensionName)> = Vec::new();
        for (position, name) in self.rate.group_by.iter().enumerate() {
            asked.push((format!("group_by[{position}]"), name));
        }
        for (position, entry) in self.rate.matrix.iter().flatten().enumerate() {
            asked.extend(entry.when.keys().map(|name| (format!("matrix[{position}].when.{name}"), name)));
        }
        let present = known.keys().map(DimensionName::as_str).collect::<Vec<_>>().join(", ");
        for (field, name) in asked {
            if !known.contains_key(name) {
                let message = format!("the meter {} has no dimension {name}", self.meter.id);
                let present = if present.is_empty() { "none" } else { &present };
                let mend = format!("mend the name, or add it to the meter's dimensions (it has {present})");
                self.fault(&field, message, &mend);
            }
        }
    }

    fn model(&mut self, group: &[DimensionName]) -> Option<Model> {
        match self.rate.model {
            PriceModelName::Flat => {
                let amount = self.required_amount("amount", self.rate.amount)?;
                Some(Model::Flat(Flat { amount, prorate: self.rate.prorate.unwrap_or(false) }))
            }
            PriceModelName::PerUnit => {
                let count_price = self.required_count_price("unit_price", self.rate.unit_price)?;
                let unit = schemas::decimal::power_of_ten(self.decimals)?;
                Some(Model::PerUnit(PerUnit::new(count_price, unit)))
            }
            PriceModelName::Graduated => self.tiers(true).map(Graduated).map(Model::Graduated),
            PriceModelName::Volume => self.tiers(true).map(Volume).map(Model::Volume),
            PriceModelName::Stairstep => self.tiers(false).map(Stairstep).map(Model::Stairstep),
            PriceModelName::Package => self.package(),
            PriceModelName::Percentage => {
                let percent = self.required("percent", self.rate.percent);
                self.share("percent", percent, 2).map(Model::Percentage)
            }
            PriceModelName::BasisPoints => {
                let basis_points = self.required("basis_points", self.rate.basis_points);
                self.share("basis_points", basis_points, 4).map(BasisPoints).map(Model::BasisPoints)
            }
            PriceModelName::Matrix => self.matrix(group).map(Model::Matrix),
            PriceModelName::Dynamic => self.dynamic().map(Model::Dynamic),
        }
    }

    fn package(&mut self) -> Option<Model> {
        let size = self.required("package_size", self.rate.package_size);
        let price = self.required("package_price", self.rate.package_price);
        let price = price.and_then(|price| self.amount("package_price", price.0));
        let size = size.and_then(|size| {
            if size <= Quantity::ZERO {
                self.fault("package_size", format!("{size} is not above zero"), "use a size above zero");
            }
            self.counts("package_size", size)
        });
        Some(Model::Package(Package { size: size?, price: price? }))
    }
}

/// The fields of a rate a model uses, besides `meter`, `model` and `group_by`.
const fn used_fields(model: PriceModelName) -> &'static [&'static str] {
    match model {
        PriceModelName::Flat => &["amount", "prorate"],
        PriceModelName::PerUnit => &["unit_price", "convert", "free_quantity"],
        PriceModelName::Graduated | PriceModelName::Volume | PriceModelName::Stairstep => {
            &["tiers", "flat_amount_at_zero", "convert", "free_quantity"]
        }
        PriceModelName::Package => &["package_size", "package_price", "convert", "free_quantity"],
        PriceModelName::Percentage => &[
            "percent",
            "per_event_fee",
            "per_event_minimum",
            "per_event_maximum",
            "convert",
            "free_quantity",
        ],
        PriceModelName::BasisPoints => &[
            "basis_points",
            "per_event_fee",
            "per_event_minimum",
            "per_event_maximum",
            "convert",
            "free_quantity",
        ],
        PriceModelName::Matrix => &["matrix", "default_unit_price", "convert"],
        PriceModelName::Dynamic => &["multiplier"],
    }
}

/// The dimensions a charge of a rate is told apart by: those it groups by and those its matrix looks at.
#[must_use]
pub(crate) fn group_dimensions(rate: &Rate) -> Vec<DimensionName> {
    let matrix = rate.matrix.iter().flatten().flat_map(|entry| entry.when.keys());
    let names: BTreeSet<&DimensionName> = rate.group_by.iter().chain(matrix).collect();
    names.into_iter().cloned().collect()
}
