//! Compiles the tiers of a rate.

use schemas::price_book::Tier;
use schemas::quantity::Quantity;

use super::Compiler;
use crate::price::tiers::Tiers;

/// The upper bound of a tier; `None` for the open end.
struct UpperBound(Option<i128>);

impl Compiler<'_> {
    pub(super) fn tiers(&mut self, have_unit_prices: bool) -> Option<Tiers> {
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
            if let (Some(UpperBound(bound)), Some(count_price), Some(flat_amount)) =
                (bound, count_price, flat_amount)
            {
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

    /// The upper bound of a tier as counts; `None` where it is wrong.
    fn tier_bound(
        &mut self,
        field: &str,
        up_to: Option<Quantity>,
        previous: Option<Quantity>,
        is_last: bool,
    ) -> Option<UpperBound> {
        let Some(bound) = up_to else {
            if !is_last {
                let message = "only the last tier may be open".to_owned();
                self.fault(field, message, "give this tier an upper bound, or remove the tiers after it");
                return None;
            }
            return Some(UpperBound(None));
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
        self.counts(field, bound).map(|counts| UpperBound(Some(counts)))
    }
}
