//! The meters of the workload: how much they are used, and what they read.

/// A meter, and how usage of it looks.
#[derive(Debug)]
pub(super) struct WorkloadMeter {
    /// Its id, and the type of its events.
    pub(super) name: &'static str,
    /// Events in a hundred.
    pub(super) share: u64,
    /// Property with the quantity; none where events or users are counted.
    pub(super) property: Option<&'static str>,
    /// Decimal places of the quantity.
    pub(super) decimals: u8,
    /// Mean and deviation of the quantity's logarithm to the base two, in hundredths, and its limit.
    pub(super) quantity: (i64, i64, u64),
    /// Price of a unit in the first price book, in `10^-12`.
    pub(super) unit_price: i128,
    /// Upper bounds of the first two tiers, in units.
    pub(super) bounds: (i128, i128),
}

/// Number of meters.
pub(super) const METERS: usize = 8;

/// Position of the meter that counts requests.
pub(super) const REQUESTS: usize = 0;
/// Position of the meter that defective events without a quantity are moved to.
pub(super) const TOKENS: usize = 1;
/// Position of the meter whose largest quantities are beyond 2^53.
pub(super) const EGRESS: usize = 4;
/// Position of the meter that counts distinct users.
pub(super) const SEATS: usize = 5;

/// The meters.
pub(super) const WORKLOAD_METERS: [WorkloadMeter; METERS] = [
    WorkloadMeter {
        name: "api.request",
        share: 35,
        property: None,
        decimals: 0,
        quantity: (0, 0, 1),
        unit_price: 400_000_000,
        bounds: (100, 10_000),
    },
    WorkloadMeter {
        name: "llm.tokens",
        share: 25,
        property: Some("tokens"),
        decimals: 0,
        quantity: (938, 173, 2_000_000),
        unit_price: 2_000_000,
        bounds: (100_000, 10_000_000),
    },
    WorkloadMeter {
        name: "storage.gb_hours",
        share: 5,
        property: Some("gb_hours"),
        decimals: 6,
        quantity: (2_380, 216, 1_000_000_000_000),
        unit_price: 40_000_000,
        bounds: (1_000, 50_000),
    },
    WorkloadMeter {
        name: "compute.seconds",
        share: 7,
        property: Some("seconds"),
        decimals: 3,
        quantity: (1_443, 216, 1_000_000_000),
        unit_price: 50_000_000,
        bounds: (10_000, 1_000_000),
    },
    WorkloadMeter {
        name: "egress.bytes",
        share: 10,
        property: Some("bytes"),
        decimals: 0,
        quantity: (2_092, 317, 1_000_000_000_000),
        unit_price: 90,
        bounds: (10_000_000_000, 1_000_000_000_000),
    },
    WorkloadMeter {
        name: "seats.active",
        share: 4,
        property: None,
        decimals: 0,
        quantity: (0, 0, 1),
        unit_price: 15_000_000_000_000,
        bounds: (5, 50),
    },
    WorkloadMeter {
        name: "build.minutes",
        share: 2,
        property: Some("minutes"),
        decimals: 2,
        quantity: (837, 144, 10_000_000),
        unit_price: 8_000_000_000,
        bounds: (500, 20_000),
    },
    WorkloadMeter {
        name: "db.rows_read",
        share: 12,
        property: Some("rows"),
        decimals: 0,
        quantity: (1_010, 289, 1_000_000_000),
        unit_price: 200_000,
        bounds: (1_000_000, 100_000_000),
    },
];

/// Shares of the meters.
pub(super) const SHARES: [u64; METERS] = {
    let [a, b, c, d, e, f, g, h] = &WORKLOAD_METERS;
    [a.share, b.share, c.share, d.share, e.share, f.share, g.share, h.share]
};
