//! Compiles a rate of a price book into a [`Price`], or says everything that is wrong with it.

use std::collections::BTreeSet;

use schemas::decimal::Decimal;
use schemas::id::DimensionName;
use schemas::meter::{Aggregation, EventPriceKind, Meter};
use schemas::money::AMOUNT_SCALE;
use schemas::price_book::{ConversionOperation, PriceModelName, Rate, Tier};
use schemas::quantity::{QUANTITY_SCALE, Quantity, UnitPrice};

use super::basis_points::BasisPoints;
use super::dynamic::Dynamic;
use super::flat::Flat;
use super::graduated::Graduated;
use super::matrix::{Entry, Matrix};
use super::package::Package;
use super::per_event::PerEvent;
use super::per_unit::PerUnit;
use super::percentage::Percentage;
use super::stairstep::Stairstep;
use super::tiers::Tiers;
use super::unit_conversion::{ConversionFault, UnitConversion};
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
            self.fault(field, message, &format!("remove it; {} uses {}", rate.model.name(), used.join(", ")));
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
                let mend = format!("add it to the meter's dimensions (it has: {present})");
                self.fault(&field, message, &mend);
            }
        }
    }

    fn conversion(&mut self) -> Option<UnitConversion> {
        let convert = self.rate.convert.as_ref()?;
        if convert.rounding.is_none() && convert.decimals.is_some() {
            let message = "decimals is given without a rounding mode".to_owned();
            self.fault("convert.decimals", message, "add rounding, or remove decimals to convert exactly");
        }
        if convert.decimals.is_some_and(|decimals| decimals > QUANTITY_SCALE) {
            let message = format!("more than {QUANTITY_SCALE} decimal places");
            self.fault("convert.decimals", message, "use 0 to 12");
            return None;
        }
        let rounded_to = convert.rounding.map(|rounding| (convert.decimals.unwrap_or(0), rounding));
        let is_division = convert.operation == ConversionOperation::Divide;
        match UnitConversion::compile(is_division, convert.factor, self.decimals, rounded_to) {
            Ok((conversion, decimals)) if decimals <= QUANTITY_SCALE => {
                self.decimals = decimals;
                Some(conversion)
            }
            Ok(_) | Err(ConversionFault::TooPrecise) => {
                let message = format!("the exact result can have more than {QUANTITY_SCALE} decimal places");
                self.fault("convert", message, "add rounding and decimals");
                None
            }
            Err(ConversionFault::Endless) => {
                let message =
                    format!("a division by {} can have endlessly many decimal places", convert.factor);
                self.fault("convert", message, "add rounding and decimals");
                None
            }
            Err(ConversionFault::NotPositive) => {
                self.fault(
                    "convert.factor",
                    "the factor is not above zero".to_owned(),
                    "use a factor above zero",
                );
                None
            }
        }
    }

    fn free_quantity(&mut self) -> Option<i128> {
        let free = self.rate.free_quantity?;
        self.counts("free_quantity", free)
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

    fn tiers(&mut self, have_unit_prices: bool) -> Option<Tiers> {
        let tiers: &[Tier] = self.required("tiers", self.rate.tiers.as_deref())?;
        if tiers.is_empty() {
            self.fault(
                "tiers",
                "there is no tier".to_owned(),
                "write at least one, the last with up_to: null",
            );
            return None;
        }
        let mut parts = Vec::with_capacity(tiers.len());
        let mut previous: Option<Quantity> = None;
        for (position, tier) in tiers.iter().enumerate() {
            let field = |name: &str| format!("tiers[{position}].{name}");
            let is_last = position.checked_add(1) == Some(tiers.len());
            let bound = self.tier_bound(&field("up_to"), tier.up_to, previous, is_last);
            previous = tier.up_to.or(previous);
            let count_price = match (have_unit_prices, tier.unit_price) {
                (true, price) => self.required_count_price(&field("unit_price"), price),
                (false, Some(_)) => {
                    let message = "a stairstep tier has no unit price".to_owned();
                    self.fault(&field("unit_price"), message, "write its whole price as flat_amount");
                    None
                }
                (false, None) => Some(0),
            };
            let flat_amount = match (have_unit_prices, tier.flat_amount) {
                (true, None) => Some(0),
                (_, amount) => self.required_amount(&field("flat_amount"), amount),
            };
            if let (Some(bound), Some(count_price), Some(flat_amount)) = (bound, count_price, flat_amount) {
                parts.push((bound, count_price, flat_amount));
            }
        }
        if !self.faults.is_empty() {
            return None;
        }
        let unit = schemas::decimal::power_of_ten(self.decimals)?;
        let tiers = Tiers::new(&parts, self.rate.flat_amount_at_zero.unwrap_or(false), unit);
        if tiers.is_err() {
            self.fault("tiers", "full tiers cost more than 38 digits".to_owned(), "check bounds and prices");
        }
        tiers.ok()
    }

    /// The upper bound of a tier as counts; `Some(None)` where there is none.
    fn tier_bound(
        &mut self,
        field: &str,
        up_to: Option<Quantity>,
        previous: Option<Quantity>,
        is_last: bool,
    ) -> Option<Option<i128>> {
        let Some(bound) = up_to else {
            if !is_last {
                let message = "only the last tier may be open".to_owned();
                self.fault(field, message, "give this tier an upper bound, or remove the tiers after it");
                return None;
            }
            return Some(None);
        };
        if is_last {
            let message = format!("the last tier ends at {bound}: usage beyond it would have no price");
            self.fault(field, message, "write up_to: null, or add a tier with up_to: null");
        }
        if bound <= previous.unwrap_or_default() {
            let message = match previous {
                Some(previous) => format!("{bound} is not above the bound before it, {previous}"),
                None => format!("{bound} is not above zero"),
            };
            self.fault(field, message, "write the tiers from low to high, each bound above the one before");
        }
        self.counts(field, bound).map(Some)
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

    /// A share of the value in percent (2 places) or basis points (4 places).
    fn share(&mut self, field: &str, share: Option<Decimal>, places: u8) -> Option<Percentage> {
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
            let message = "per_event_minimum is above per_event_maximum".to_owned();
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
                self.fault("per_event_minimum", message, "use a meter without allow_negative");
            }
        }
        let share = share?;
        if share.is_negative() {
            self.fault(field, format!("{share} is below zero"), "use zero or more");
        }
        let hundredth = Decimal::new(1, places);
        let factor = share.checked_mul(hundredth).ok();
        let count_share = factor.and_then(|factor| self.count_price(field, UnitPrice(factor)));
        Some(Percentage { count_share: count_share?, per_event })
    }

    fn refuse_with_bounds(&mut self, field: &str, written: bool) {
        if written {
            let message = format!("{field} applies to the whole period, bounds per event to single events");
            self.fault(field, message, "use one or the other");
        }
    }

    fn matrix(&mut self, group: &[DimensionName]) -> Option<Matrix> {
        let written = self.required("matrix", self.rate.matrix.as_deref())?;
        if written.is_empty() {
            self.fault("matrix", "there is no entry".to_owned(), "write at least one entry");
        }
        let default = self.rate.default_unit_price;
        let default = default.and_then(|price| self.count_price("default_unit_price", price));
        let dimensions: BTreeSet<&DimensionName> =
            written.iter().flat_map(|entry| entry.when.keys()).collect();
        let positions: Vec<usize> =
            dimensions.iter().filter_map(|name| group.iter().position(|other| other == *name)).collect();
        let mut entries = Vec::with_capacity(written.len());
        let mut seen: Vec<(Vec<Option<String>>, usize)> = Vec::new();
        for (position, entry) in written.iter().enumerate() {
            let value = |name: &&DimensionName| entry.when.get(*name).filter(|value| *value != "*").cloned();
            let values: Vec<Option<String>> = dimensions.iter().map(value).collect();
            if let Some((_, first)) = seen.iter().find(|(other, _)| *other == values) {
                let message = format!("the same combination as matrix[{first}]");
                self.fault(&format!("matrix[{position}].when"), message, "remove one of the two");
            }
            seen.push((values.clone(), position));
            let field = format!("matrix[{position}].unit_price");
            if let Some(count_price) = self.count_price(&field, entry.unit_price) {
                entries.push(Entry { values, count_price });
            }
        }
        // A stable sort: the entry with most values first, then as written.
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.values.iter().flatten().count()));
        Some(Matrix { entries, default, positions })
    }

    fn dynamic(&mut self) -> Option<Dynamic> {
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

    fn required<T>(&mut self, field: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            let message = format!("the model {} needs {field}", self.rate.model.name());
            self.fault(field, message, "write it");
        }
        value
    }

    fn required_amount(&mut self, field: &str, amount: Option<Decimal>) -> Option<i128> {
        let amount = self.required(field, amount)?;
        self.amount(field, amount)
    }

    fn optional_amount(&mut self, field: &str, amount: Option<Decimal>) -> Option<i128> {
        self.amount(field, amount?)
    }

    /// An amount in `10^-18`, zero or more.
    fn amount(&mut self, field: &str, amount: Decimal) -> Option<i128> {
        if amount.is_negative() {
            self.fault(field, format!("{amount} is below zero"), "use zero or more");
        }
        let units = amount.to_scaled(AMOUNT_SCALE);
        if let Err(error) = units {
            self.fault(field, format!("{amount} has {error}"), "use at most 18 decimal places");
        }
        units.ok()
    }

    fn required_count_price(&mut self, field: &str, price: Option<UnitPrice>) -> Option<i128> {
        let price = self.required(field, price)?;
        self.count_price(field, price)
    }

    /// The amount of one count of the quantity: the price of a unit, `10^decimals` counts, shared out.
    fn count_price(&mut self, field: &str, price: UnitPrice) -> Option<i128> {
        let UnitPrice(price) = price;
        if price.is_negative() {
            self.fault(field, format!("{price} is below zero"), "use zero or more");
        }
        let places = AMOUNT_SCALE.saturating_sub(self.decimals);
        let units = price.to_scaled(places);
        if units.is_err() {
            let message = format!(
                "{price} has {} decimal places and the quantity {}: their product needs more than the \
                 {AMOUNT_SCALE} that are kept",
                price.scale(),
                self.decimals
            );
            let enough = AMOUNT_SCALE.saturating_sub(price.scale());
            let mend = format!("set decimals of the meter {} to {enough} or less", self.meter.id);
            self.fault(field, message, &mend);
        }
        units.ok()
    }

    /// A quantity as counts of the quantity that is priced, zero or more.
    fn counts(&mut self, field: &str, quantity: Quantity) -> Option<i128> {
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
