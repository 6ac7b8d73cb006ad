//! In what two catalogs differ where usage has been rated already.
//!
//! Only what decides about usage that is there counts: what people read, what events are refused for, and
//! what is new, may change.

use rating::catalog::{Catalog, PriceBookVersion, Rate};
use schemas::legal_entity::LegalEntity;

/// Names what differs.
fn differing<const N: usize>(parts: [(&'static str, bool); N]) -> Vec<&'static str> {
    parts.into_iter().filter(|(_, is_same)| !is_same).map(|(name, _)| name).collect()
}

/// In what a meter differs.
pub(super) fn meter_differences(before: (&Catalog, u32), now: (&Catalog, u32)) -> Vec<&'static str> {
    let of = |(catalog, meter): (&Catalog, u32)| catalog.meters().get(meter as usize).cloned();
    let (Some(before), Some(now)) = (of(before), of(now)) else { return Vec::new() };
    let has_dimensions = before.dimensions.iter().all(|(name, path)| now.dimensions.get(name) == Some(path));
    differing([
        ("event_type", before.event_type == now.event_type),
        ("aggregation", before.aggregation == now.aggregation),
        ("value", before.value == now.value),
        ("unit", before.unit == now.unit),
        ("decimals", before.decimals == now.decimals),
        ("dimensions", has_dimensions),
        ("filter", before.filter == now.filter),
        ("event_price", before.event_price == now.event_price),
    ])
}

/// In what a contract line differs, or its seller.
pub(super) fn line_differences(before: (&Catalog, u32), now: (&Catalog, u32)) -> Vec<&'static str> {
    let (Some((before, seller_before)), Some((now, seller_now))) =
        (line_and_seller(before), line_and_seller(now))
    else {
        return Vec::new();
    };
    differing([
        ("contract", before.contract == now.contract),
        ("currency", before.currency == now.currency),
        ("billing cycle", before.cycle == now.cycle),
        ("legal entity", seller_before.id == seller_now.id),
        ("time zone of its legal entity", seller_before.timezone == seller_now.timezone),
        ("rounding of its legal entity", seller_before.rounding == seller_now.rounding),
    ])
}

fn line_and_seller((catalog, line): (&Catalog, u32)) -> Option<(&rating::catalog::Line, &LegalEntity)> {
    let line = catalog.lines().get(line as usize)?;
    Some((line, catalog.legal_entities().get(line.legal_entity as usize)?))
}

/// In what a rate of a price book version differs.
pub(super) fn rate_differences(
    before: (&Catalog, &PriceBookVersion, &Rate),
    now: (&Catalog, &PriceBookVersion, &Rate),
) -> Vec<&'static str> {
    let names = |(catalog, _, rate): (&Catalog, &PriceBookVersion, &Rate)| -> Vec<Option<String>> {
        let name = |dimension: &usize| catalog.dimensions().get(*dimension).map(ToString::to_string);
        rate.group.iter().map(name).collect()
    };
    differing([
        ("price", before.2.price == now.2.price),
        ("group_by", names(before) == names(now)),
        ("pricing unit", before.2.pricing_unit == now.2.pricing_unit),
        ("tier_reset_on_price_change", before.1.resets_tiers == now.1.resets_tiers),
    ])
}
