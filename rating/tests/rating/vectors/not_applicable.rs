//! Vectors that no rate of a price book can express, with the reason.

/// Ids, and why they do not run.
pub(super) const NOT_APPLICABLE: &[(&[&str], &str)] = &[
    (
        &["om-package-002", "om-package-004", "om-dynamic-004"],
        "the whole figure is a minimum spend, which tops up an account's bill and is no price of usage",
    ),
    (
        &["om-flat-005"],
        "a fee in arrears for a period: when a fee falls due without usage is the billing system's; ours is \
         due with the first usage of the period",
    ),
    (
        &["om-unitconfig-002"],
        "not portable: that system converts and rounds every split line on its own, so that the lines of a \
         period sum to more than its total; ours converts the period's total",
    ),
    (
        &["kb-all-003", "kb-top-001", "kb-top-002", "kb-top-003"],
        "blocks of another size in every tier: a unit conversion has one factor for all tiers",
    ),
    (
        &["kb-capacity-005", "kb-capacity-007", "kb-capacity-009"],
        "one price for the largest of several units: a rate prices one meter",
    ),
];
