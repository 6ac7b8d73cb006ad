//! RATE-1, RATE-2 and ACCR-1 through the whole program: for every price model and aggregation, whatever
//! the order of the events and however they are split into files, the exact amounts of rated usage and of
//! accruals are the price of the aggregate, and the accruals are the same bytes.
//!
//! The expected amounts are worked out here from the events, with whole numbers: quantities in tenths,
//! amounts in units of `10^-6`.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::support::{Workplace, event, shortest, table_files};

/// The meters of the catalog.
const METERS: [&str; 18] = [
    "flat",
    "per_unit",
    "graduated",
    "volume",
    "stairstep",
    "package",
    "percentage",
    "basis_points",
    "matrix",
    "free",
    "convert",
    "dynamic",
    "grouped",
    "max",
    "min",
    "latest",
    "unique",
    "changed",
];

/// Two accounts, each with a contract line for all meters. The price book changes on 16 October, within
/// a billing period, in the price of one meter; for all others the old version and the new are the same.
fn catalog() -> String {
    let tiers = |factor: u32| {
        let price = |price: u32| format!("{}.{:02}", price * factor / 100, price * factor % 100);
        format!(
            "tiers: [{{up_to: 10, unit_price: '{}', flat_amount: '{}'}}, {{up_to: 100, unit_price: '{}'}},
                     {{up_to: null, unit_price: '{}', flat_amount: '{}'}}]",
            price(100),
            price(500),
            price(50),
            price(25),
            price(200)
        )
    };
    let rates = |factor: u32| {
        let models = [
            "{meter: flat, model: flat, amount: '7.5'}".to_owned(),
            "{meter: per_unit, model: per_unit, unit_price: '0.0003'}".to_owned(),
            format!("{{meter: graduated, model: graduated, {}}}", tiers(1)),
            format!("{{meter: volume, model: volume, {}}}", tiers(1)),
            "{meter: stairstep, model: stairstep, tiers: [{up_to: 10, flat_amount: 5},
              {up_to: 100, flat_amount: 20}, {up_to: null, flat_amount: 100}]}"
                .to_owned(),
            "{meter: package, model: package, package_size: 7, package_price: '1.5'}".to_owned(),
            "{meter: percentage, model: percentage, percent: '2.9', per_event_fee: '0.3',
              per_event_minimum: '0.5', per_event_maximum: 4}"
                .to_owned(),
            "{meter: basis_points, model: basis_points, basis_points: 50, per_event_maximum: '0.7'}"
                .to_owned(),
            "{meter: matrix, model: matrix, default_unit_price: '0.15', matrix: [
              {when: {region: eu}, unit_price: '0.11'}, {when: {region: us}, unit_price: '0.09'}]}"
                .to_owned(),
            "{meter: free, model: per_unit, free_quantity: 13, unit_price: 1}".to_owned(),
            "{meter: convert, model: per_unit, unit_price: 2,
              convert: {operation: divide, factor: 60, rounding: ceiling}}"
                .to_owned(),
            "{meter: dynamic, model: dynamic}".to_owned(),
            format!("{{meter: grouped, model: graduated, group_by: [region], {}}}", tiers(1)),
            "{meter: max, model: per_unit, unit_price: 2}".to_owned(),
            "{meter: min, model: per_unit, unit_price: 2}".to_owned(),
            "{meter: latest, model: per_unit, unit_price: 2}".to_owned(),
            format!("{{meter: unique, model: volume, {}}}", tiers(1)),
            format!("{{meter: changed, model: graduated, {}}}", tiers(factor)),
        ];
        models.map(|model| format!("\n      - {model}")).concat()
    };
    let mut catalog = format!(
        "kind: legal_entity\nid: seller\n---\nkind: price_book\nid: book\ncurrencies: [USD]\nversions:
  - version: 1\n    rates:{}\n  - version: 2\n    effective_from: 2026-10-16\n    rates:{}\n",
        rates(1),
        rates(2)
    );
    for meter in METERS {
        let reads = match meter {
            "max" | "min" | "latest" => format!("aggregation: {meter}, value: $.value"),
            "unique" => "aggregation: unique, value: $.who".to_owned(),
            "dynamic" => "aggregation: sum, value: $.value,
                event_price: {property: $.price, is: amount, currency: USD, decimals: 1}"
                .to_owned(),
            _ => "aggregation: sum, value: $.value".to_owned(),
        };
        catalog += &format!(
            "---\n{{kind: meter, id: {meter}, event_type: {meter}, {reads}, dimensions: {{region: $.region}}}}\n"
        );
    }
    for account in ["one", "two"] {
        catalog += &format!(
            "---\n{{kind: contract, id: {account}, accounts: [{account}], legal_entity: seller, currency: USD,
              lines: [{{id: {account}, price_book: book}}]}}\n"
        );
    }
    catalog
}

/// Tenths of a unit in a unit.
const UNIT: i128 = 10;

/// One usage, as the test makes it.
#[derive(Clone, Debug)]
struct Usage {
    id: usize,
    meter: &'static str,
    account: &'static str,
    day: u8,
    second: u32,
    tenths: i128,
    region: &'static str,
}

impl Usage {
    fn json(&self) -> String {
        let (month, day) = if self.day < 31 { (10, self.day + 1) } else { (11, self.day - 30) };
        let (hour, minute, second) = (self.second / 3600, self.second / 60 % 60, self.second % 60);
        let time = format!("2026-{month}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
        let value = format!("{}.{}", self.tenths / UNIT, self.tenths % UNIT);
        let data = format!(
            r#"{{"value":{value},"price":"{value}","region":"{}","who":"{}"}}"#,
            self.region,
            self.tenths % 7
        );
        event(&format!("event-{:04}", self.id), self.meter, self.account, &time, &data)
    }

    const fn month(&self) -> u8 {
        if self.day < 31 { 10 } else { 11 }
    }

    fn at(&self) -> (u8, u32, usize) {
        (self.day, self.second, self.id)
    }
}

/// The tiers of graduated and volume rates: upper bound in tenths, price of a unit, flat amount.
const TIERS: [(i128, i128, i128); 3] =
    [(10 * UNIT, 1_000_000, 5_000_000), (100 * UNIT, 500_000, 0), (i128::MAX, 250_000, 2_000_000)];

fn graduated(quantity: i128) -> i128 {
    let mut lower = 0;
    let mut amount = 0;
    for (upper, price, flat) in TIERS {
        if quantity > lower {
            amount += (quantity.min(upper) - lower) * price / UNIT + flat;
        }
        lower = upper;
    }
    amount
}

fn volume(quantity: i128) -> i128 {
    let tier = TIERS.iter().find(|(upper, ..)| quantity <= *upper);
    let (_, price, flat) = tier.expect("the last tier is open");
    if quantity == 0 { 0 } else { quantity * price / UNIT + flat }
}

fn stairstep(quantity: i128) -> i128 {
    match quantity {
        0 => 0,
        1..=100 => 5_000_000,
        101..=1000 => 20_000_000,
        _ => 100_000_000,
    }
}

/// What the usages of one meter, account and month cost, in `10^-6`.
fn price(meter: &str, usages: &[&Usage]) -> i128 {
    let sum: i128 = usages.iter().map(|usage| usage.tenths).sum();
    let each = |amount: fn(i128) -> i128| usages.iter().map(|usage| amount(usage.tenths)).sum();
    let values = || usages.iter().map(|usage| usage.tenths);
    match meter {
        "flat" => 7_500_000,
        "per_unit" => sum * 300 / UNIT,
        "graduated" => graduated(sum),
        "volume" => volume(sum),
        "stairstep" => stairstep(sum),
        "package" => (sum + 7 * UNIT - 1) / (7 * UNIT) * 1_500_000,
        // 2.9 % and 0.30 for each event, at least 0.50 and at most 4.00.
        "percentage" => each(|tenths| (tenths * 2_900 + 300_000).clamp(500_000, 4_000_000)),
        // 0.5 %, at most 0.70 for each event.
        "basis_points" => each(|tenths| (tenths * 500).min(700_000)),
        "matrix" => usages
            .iter()
            .map(|usage| {
                usage.tenths
                    * match usage.region {
                        "eu" => 110_000,
                        "us" => 90_000,
                        _ => 150_000,
                    }
                    / UNIT
            })
            .sum(),
        "free" => (sum - 13 * UNIT).max(0) * 1_000_000 / UNIT,
        // Seconds to minutes, a started minute counts whole.
        "convert" => (sum + 60 * UNIT - 1) / (60 * UNIT) * 2_000_000,
        "dynamic" => sum * 1_000_000 / UNIT,
        "grouped" => ["eu", "us", "ap"]
            .iter()
            .map(|region| {
                graduated(usages.iter().filter(|usage| usage.region == *region).map(|u| u.tenths).sum())
            })
            .sum(),
        "max" => values().max().unwrap_or(0) * 2_000_000 / UNIT,
        "min" => values().min().unwrap_or(0) * 2_000_000 / UNIT,
        "latest" => {
            usages.iter().max_by_key(|usage| usage.at()).map_or(0, |last| last.tenths) * 2_000_000 / UNIT
        }
        "unique" => {
            let who: BTreeSet<_> = values().map(|tenths| tenths % 7).collect();
            volume(who.len() as i128 * UNIT)
        }
        // From 16 October on tiers go on where they were, at prices twice as high.
        "changed" => {
            let before = usages.iter().filter(|usage| usage.day < 15).map(|usage| usage.tenths).sum();
            graduated(before) + 2 * (graduated(sum) - graduated(before))
        }
        other => unreachable!("{other}"),
    }
}

fn usages() -> impl Strategy<Value = Vec<Usage>> {
    let choice = prop::sample::select;
    let usage = (
        choice(METERS.to_vec()),
        choice(vec!["one", "two"]),
        0u8..61,
        0u32..86_400,
        0i128..1_500,
        choice(vec!["eu", "us", "ap"]),
    );
    prop::collection::vec(usage, 1..200).prop_map(|usages| {
        let numbered = usages.into_iter().enumerate();
        numbered
            .map(|(id, (meter, account, day, second, tenths, region))| Usage {
                id,
                meter,
                account,
                day,
                second,
                tenths,
                region,
            })
            .collect()
    })
}

/// An amount in `10^-6` as a query shows it.
fn shown(amount: i128) -> String {
    let sign = if amount < 0 { "-" } else { "" };
    let amount = amount.abs();
    shortest(&format!("{sign}{}.{:06}", amount / 1_000_000, amount % 1_000_000))
}

/// Half away from zero, to cents.
fn posted(amount: i128) -> String {
    shown((amount.abs() + 5_000) / 10_000 * 10_000 * amount.signum())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 40, ..ProptestConfig::default() })]

    #[test]
    fn rate_1_rate_2_accr_1_hold_for_every_model_in_any_order_and_split(
        (usages, shuffled, split) in usages().prop_flat_map(|usages| {
            let events = usages.len();
            (Just(usages.clone()), Just(usages).prop_shuffle(), 0..=events)
        })
    ) {
        let place = Workplace::with_catalog(&catalog());
        let lines = |usages: &[Usage]| usages.iter().map(|usage| usage.json() + "\n").collect::<String>();
        place.write("in-order.ndjson", lines(&usages));
        place.write("shuffled-1.ndjson", lines(&shuffled[..split]));
        place.write("shuffled-2.ndjson", lines(&shuffled[split..]));
        place.run_to("in-order", &["in-order.ndjson"]);
        place.run_to("shuffled", &["shuffled-*.ndjson"]);

        let mut by_line: BTreeMap<(&str, &str, u8), Vec<&Usage>> = BTreeMap::new();
        for usage in &usages {
            by_line.entry((usage.account, usage.meter, usage.month())).or_default().push(usage);
        }
        let expected: Vec<Vec<String>> = by_line
            .iter()
            .map(|((account, meter, month), usages)| {
                let amount = price(meter, usages);
                let start = format!("2026-{month}-01");
                vec![
                    (*account).to_owned(), (*meter).to_owned(), start, shown(amount), shown(amount),
                    posted(amount), usages.len().to_string(),
                ]
            })
            .collect();
        for data in ["in-order", "shuffled"] {
            let totals = crate::support::query(
                &place.path(data),
                "SELECT a.contract_line_id, a.meter_id, r.billing_period_start, r.amount, a.exact, a.posted,
                        a.events
                 FROM (SELECT contract_line_id, meter_id, billing_period_start, sum(event_count) AS events,
                              sum(net_amount_exact) AS exact, sum(delta_amount) AS posted
                       FROM accruals GROUP BY ALL) a
                 JOIN (SELECT contract_line_id, meter_id, billing_period_start, sum(amount) AS amount
                       FROM rated_usage GROUP BY ALL) r
                 ON a.contract_line_id = r.contract_line_id AND a.meter_id = r.meter_id
                    AND CAST(a.billing_period_start AS DATE) = r.billing_period_start
                 ORDER BY 1, 2, 3",
            );
            prop_assert_eq!(&totals, &expected, "{}", data);
        }
        let accruals = |data: &str| table_files(&place.path(data), "accruals");
        prop_assert!(accruals("in-order") == accruals("shuffled"), "accruals differ in their bytes");
    }
}
