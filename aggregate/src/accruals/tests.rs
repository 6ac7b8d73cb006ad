//! Accruals from the catalog and events up: quantities of days, and what they sum to.

use std::sync::Arc;

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use rating::catalog::{Catalog, Documents, Located, Origin, compile};
use schemas::ROUNDED_AMOUNT_SCALE;
use schemas::accrual::Accrual;
use schemas::decimal::Decimal;
use schemas::quantity::Quantity;
use schemas::timestamp::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::AccrualPlan;
use crate::accrual_record::{GroupRecord, RecordBuffers};
use crate::accrual_round::Revisions;
use crate::accrual_table::{AccrualBuffers, AccrualTable};
use crate::dimension_values::DimensionValues;
use crate::epoch_files::EpochFiles;
use crate::running_totals::{MeteredUsage, RunningTotals, UsageDetails};

#[derive(Debug)]
struct NoDetails;

impl UsageDetails for NoDetails {
    fn dimension(&self, _: usize) -> u32 {
        u32::MAX
    }

    fn identity(&self) -> (String, String) {
        (String::new(), String::new())
    }
}

/// Usage of the accounts `a` and `b`, under the one line of their contract.
#[derive(Clone, Debug)]
struct Event {
    account: u32,
    time: Timestamp,
    quantity: i64,
}

fn event(account: u32, time: &str, quantity: i64) -> Event {
    Event { account, time: time.parse().unwrap(), quantity }
}

fn located<T: DeserializeOwned>(document: Value) -> Vec<Located<T>> {
    let origin = Origin { file: Arc::from("test"), line: 1 };
    vec![Located { document: serde_json::from_value(document).unwrap(), origin }]
}

/// A seller in a time zone, a meter, and a contract of two accounts with these versions of prices.
fn catalog(timezone: &str, aggregation: &str, versions: impl Into<Value>) -> Arc<Catalog> {
    let documents = Documents {
        legal_entities: located(json!({ "id": "seller", "timezone": timezone })),
        meters: located(json!({
            "id": "bytes", "event_type": "sent", "aggregation": aggregation, "value": "$.n",
            "unit": "B", "decimals": 0, "allow_negative": true
        })),
        price_books: located(json!({ "id": "book", "currencies": ["EUR"], "versions": versions.into() })),
        contracts: located(json!({
            "id": "contract", "accounts": ["a", "b"], "legal_entity": "seller", "currency": "EUR",
            "lines": [{ "id": "line", "price_book": "book" }]
        })),
        ..Documents::default()
    };
    Arc::new(compile(&documents).unwrap_or_else(|problems| panic!("{problems:?}")))
}

/// A book with one version that holds always.
fn always(mut rate: Value) -> Value {
    rate["meter"] = "bytes".into();
    json!([{ "version": 1, "rates": [rate] }])
}

fn count(totals: &mut RunningTotals, events: &[Event]) {
    for event in events {
        let usage = MeteredUsage {
            account: event.account,
            meter: 0,
            time: event.time,
            measure: event.quantity.into(),
            event_price: 0,
            details: &NoDetails,
        };
        totals.rate(&usage, &DimensionValues::new(0, 1)).unwrap();
    }
}

fn totals(catalog: &Arc<Catalog>, events: &[Event]) -> RunningTotals {
    let mut totals = RunningTotals::new(Arc::clone(catalog));
    count(&mut totals, events);
    totals
}

/// The accruals of a round, and their revisions.
fn accrue(totals: &RunningTotals, epoch: u64) -> (Vec<Accrual>, Revisions) {
    let plan = AccrualPlan::new(totals);
    let (mut made, mut buffers) = (Vec::new(), RecordBuffers::default());
    let taken = plan.accrue(totals, 0..plan.len(), |groups| {
        for group in groups {
            let shared = GroupRecord::new(&totals.catalog, group, &mut buffers)?;
            for day in group.days() {
                let record = shared.day(day, &mut buffers)?;
                made.push(shared.accrual(day, &record, &buffers, epoch).unwrap());
            }
        }
        Ok::<(), rating::Overflow>(())
    });
    (made, taken.unwrap())
}

fn accruals(catalog: &Arc<Catalog>, events: &[Event]) -> Vec<Accrual> {
    accrue(&totals(catalog, events), 1).0
}

/// Metered, billable and allowance quantity of every day.
fn quantities(accruals: &[Accrual]) -> Vec<[String; 3]> {
    let shown = |accrual: &Accrual| {
        let quantities = [accrual.metered_quantity, accrual.billable_quantity, accrual.allowance_quantity];
        quantities.map(|quantity| quantity.to_string())
    };
    accruals.iter().map(shown).collect()
}

/// Kilobytes begun.
fn in_kilobytes(mut rate: Value) -> Value {
    rate["convert"] = json!({ "operation": "divide", "factor": "1000", "rounding": "ceiling", "unit": "kB" });
    rate
}

fn per_unit() -> Value {
    json!({ "model": "per_unit", "unit_price": "0.01" })
}

#[test]
fn accr_1_billable_quantities_of_days_add_up_to_the_period() {
    let free = |mut rate: Value| {
        rate["free_quantity"] = "3".into();
        rate
    };
    let tiers = |model: &str| {
        let mut tiers = json!([{ "up_to": "4", "flat_amount": "5" }, { "up_to": null, "flat_amount": "7" }]);
        if model != "stairstep" {
            tiers[0]["unit_price"] = "2".into();
            tiers[1]["unit_price"] = "1".into();
        }
        free(in_kilobytes(json!({ "model": model, "tiers": tiers })))
    };
    let package = json!({ "model": "package", "package_size": "2", "package_price": "1" });
    let flat = json!({ "model": "flat", "amount": "49" });
    let expected = [
        // 1.4 kB are 2 begun; 2.7 are 3, one more; 10 in all: 3 of them free.
        ["1400", "2", "2"],
        ["1300", "1", "1"],
        ["7300", "7", "0"],
        // A credit: 9 kB are left.
        ["-1000", "-1", "0"],
    ];
    let days =
        ["2026-10-01T08:00:00Z", "2026-10-02T08:00:00Z", "2026-10-05T08:00:00Z", "2026-10-31T23:59:59Z"];
    let amounts = [1400, 1300, 7300, -1000];
    let events: Vec<Event> =
        days.iter().zip(amounts).map(|(time, quantity)| event(0, time, quantity)).collect();
    let models = [
        free(in_kilobytes(per_unit())),
        tiers("graduated"),
        tiers("volume"),
        tiers("stairstep"),
        free(in_kilobytes(package)),
    ];
    for rate in models {
        let catalog = catalog("UTC", "sum", always(rate.clone()));
        assert_eq!(quantities(&accruals(&catalog, &events)), expected, "{rate}");
        // Late events end on their own days: the order of arrival plays no part.
        let late: Vec<Event> = events.iter().rev().cloned().collect();
        assert_eq!(accruals(&catalog, &late), accruals(&catalog, &events), "{rate}");
    }
    let unconverted = quantities(&accruals(&catalog("UTC", "sum", always(flat)), &events));
    let expected = amounts.map(|quantity| [quantity.to_string(), quantity.to_string(), "0".to_owned()]);
    assert_eq!(unconverted, expected);
}

#[test]
fn a_late_event_moves_the_allowance_to_its_day() {
    let mut rate = per_unit();
    rate["free_quantity"] = "10".into();
    let catalog = catalog("UTC", "sum", always(rate));
    let in_time = [event(0, "2026-10-20T00:00:00Z", 15)];
    assert_eq!(quantities(&accruals(&catalog, &in_time)), [["15", "15", "10"]]);
    let late = [in_time[0].clone(), event(0, "2026-10-02T00:00:00Z", 8)];
    assert_eq!(quantities(&accruals(&catalog, &late)), [["8", "8", "8"], ["15", "15", "2"]]);
}

#[test]
fn accounts_under_one_line_have_allowances_of_their_own() {
    let mut rate = in_kilobytes(per_unit());
    rate["free_quantity"] = "1".into();
    let catalog = catalog("UTC", "sum", always(rate));
    let events = [event(0, "2026-10-20T00:00:00Z", 1500), event(1, "2026-10-20T01:00:00Z", 100)];
    // 2 kB begun and 1: rounded for each, not 1.6 kB together.
    assert_eq!(quantities(&accruals(&catalog, &events)), [["1600", "3", "2"]]);
}

#[test]
fn a_largest_value_bills_what_it_grows_by() {
    let catalog = catalog("UTC", "max", always(in_kilobytes(per_unit())));
    let days =
        [("2026-10-01T00:00:00Z", 2500), ("2026-10-02T00:00:00Z", 900), ("2026-10-03T00:00:00Z", 4100)];
    let events = days.map(|(time, quantity)| event(0, time, quantity));
    let expected = [["2500", "3", "0"], ["0", "0", "0"], ["1600", "2", "0"]];
    assert_eq!(quantities(&accruals(&catalog, &events)), expected);
}

#[test]
fn a_price_change_converts_by_the_price_of_the_day() {
    let mut first = in_kilobytes(per_unit());
    first["meter"] = "bytes".into();
    let mut second = json!({ "model": "volume", "tiers": [{ "up_to": null, "unit_price": "0.01" }] });
    second["meter"] = "bytes".into();
    second["free_quantity"] = "2000".into();
    for (resets, allowance) in [(false, "500"), (true, "800")] {
        let versions = json!([
            { "version": 1, "effective_to": "2026-10-15", "rates": [first] },
            { "version": 2, "effective_from": "2026-10-15", "rates": [second],
              "tier_reset_on_price_change": resets }
        ]);
        let catalog = catalog("UTC", "sum", versions);
        let events = [event(0, "2026-10-14T23:59:59Z", 1500), event(0, "2026-10-15T00:00:00Z", 800)];
        let made = accruals(&catalog, &events);
        assert_eq!(quantities(&made), [["1500", "2", "0"], ["800", "800", allowance]], "{resets}");
        let units: Vec<_> = made.iter().map(|accrual| accrual.pricing_unit.as_deref()).collect();
        assert_eq!(units, [Some("kB"), Some("B")]);
        let retroactive: Vec<_> = made.iter().map(|accrual| accrual.retroactive_tiers).collect();
        assert_eq!(retroactive, [false, true]);
    }
}

#[test]
fn a_conversion_that_names_no_unit_leaves_it_unknown() {
    let mut unnamed = in_kilobytes(per_unit());
    unnamed["convert"].as_object_mut().unwrap().remove("unit");
    for (rate, expected) in [(per_unit(), Some("B")), (in_kilobytes(per_unit()), Some("kB")), (unnamed, None)]
    {
        let made = accruals(&catalog("UTC", "sum", always(rate)), &[event(0, "2026-10-20T00:00:00Z", 1)]);
        assert_eq!(made[0].pricing_unit.as_deref(), expected);
        assert_eq!(made[0].metered_unit.as_deref(), Some("B"));
    }
}

#[test]
fn billing_periods_begin_at_midnight_of_the_legal_entity() {
    let cases = [
        ("UTC", "2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z"),
        // Daylight saving ends in the period.
        ("Europe/Berlin", "2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z"),
        ("America/New_York", "2026-10-01T04:00:00Z", "2026-11-01T04:00:00Z"),
    ];
    for (timezone, start, end) in cases {
        let catalog = catalog(timezone, "sum", always(per_unit()));
        let made = accruals(&catalog, &[event(0, "2026-10-20T12:00:00Z", 1)]);
        let period = [made[0].billing_period_start, made[0].billing_period_end];
        assert_eq!(period.map(|instant| instant.to_string()), [start, end], "{timezone}");
    }
}

/// What a rate bills of a quantity, and what of it is free, reckoned apart from the code under test.
fn reference(quantity: i64, is_converted: bool, free: i64) -> (i64, i64) {
    let billable = if is_converted { -(-quantity).div_euclid(1000) } else { quantity };
    (billable, billable.min(free))
}

fn rates() -> impl Strategy<Value = Value> {
    let tiers = json!([{ "up_to": "5", "flat_amount": "5" }, { "up_to": null, "flat_amount": "7" }]);
    let mut priced = tiers.clone();
    priced[0]["unit_price"] = "2".into();
    priced[1]["unit_price"] = "1".into();
    prop::sample::select(vec![
        per_unit(),
        json!({ "model": "graduated", "tiers": priced }),
        json!({ "model": "volume", "tiers": priced }),
        json!({ "model": "stairstep", "tiers": tiers }),
        json!({ "model": "package", "package_size": "2", "package_price": "1" }),
        json!({ "model": "percentage", "percent": "3" }),
    ])
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let start: Timestamp = "2026-09-28T00:00:00Z".parse().unwrap();
    let time = (0i64..40 * 86_400).prop_map(move |second| start.micros() + second * 1_000_000);
    let event = (0u32..2, time, -3_000i64..9_000);
    let event = event.prop_map(|(account, time, quantity)| Event {
        account,
        time: Timestamp::from_micros(time),
        quantity,
    });
    prop::collection::vec(event, 1..40)
}

proptest! {
    #[test]
    fn accr_1_quantities_of_a_period_sum_to_those_of_its_usage(
        mut rate in rates(),
        is_converted in any::<bool>(),
        free in prop::option::of(0i64..20_000),
        events in events(),
    ) {
        if is_converted {
            rate = in_kilobytes(rate);
        }
        if let Some(free) = free {
            rate["free_quantity"] = free.to_string().into();
        }
        let catalog = catalog("UTC", "sum", always(rate));
        let made = accruals(&catalog, &events);
        let bounds = ["2026-09-01", "2026-10-01", "2026-11-01", "2026-12-01"]
            .map(|date| format!("{date}T00:00:00Z").parse::<Timestamp>().unwrap());
        for period in bounds.windows(2) {
            let mut expected = [0i64; 3];
            for account in 0..2 {
                let is_in = |event: &&Event| {
                    event.account == account && period[0] <= event.time && event.time < period[1]
                };
                let quantity: i64 = events.iter().filter(is_in).map(|event| event.quantity).sum();
                let is_used = events.iter().any(|event| is_in(&event));
                let (billable, allowance) = reference(quantity, is_converted, free.unwrap_or(0));
                let allowance = if free.is_some() && is_used { allowance } else { 0 };
                for (sum, part) in expected.iter_mut().zip([quantity, billable, allowance]) {
                    *sum += part;
                }
            }
            let of_period: Vec<_> =
                made.iter().filter(|accrual| accrual.billing_period_start == period[0]).collect();
            let sum = |quantity: fn(&Accrual) -> Quantity| -> i128 {
                of_period.iter().map(|accrual| quantity(accrual).units()).sum()
            };
            let sums = [
                sum(|accrual| accrual.metered_quantity),
                sum(|accrual| accrual.billable_quantity),
                sum(|accrual| accrual.allowance_quantity),
            ];
            prop_assert_eq!(sums, expected.map(|quantity| i128::from(quantity) * 10i128.pow(12)));
            if let Some(last) = of_period.last() {
                prop_assert_eq!(last.cumulative_quantity.units(), sums[0]);
            }
        }
    }
}

#[test]
fn the_table_says_what_the_events_say() {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType};

    let rate =
        json!({ "model": "volume", "free_quantity": "1", "tiers": [{ "up_to": null, "unit_price": "2" }] });
    let catalog = catalog("Europe/Berlin", "sum", always(in_kilobytes(rate)));
    let events = [event(0, "2026-10-01T08:00:00Z", 2500), event(0, "2026-11-02T08:00:00Z", 800)];
    let mut totals = totals(&catalog, &events);
    let (first, revisions) = accrue(&totals, 1);
    assert_eq!(quantities(&first), [["2500", "3", "1"], ["800", "1", "1"]]);
    totals.accrued(&revisions);
    // A late event, and one on a day that has none.
    count(&mut totals, &[event(0, "2026-10-01T07:00:00Z", 1600), event(0, "2026-10-02T08:00:00Z", 100)]);
    let (expected, _) = accrue(&totals, 2);

    let files = EpochFiles::numbered_in_memory(2);
    let mut table = AccrualTable::begin(&files, 0, AccrualBuffers::new().unwrap()).unwrap();
    let plan = AccrualPlan::new(&totals);
    plan.accrue(&totals, 0..plan.len(), |groups| table.append(&catalog, groups)).unwrap();
    let file = bytes::Bytes::from(table.finish().unwrap().0.inline);
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    assert_eq!(*reader.schema(), schemas::accrual::arrow_schema());
    let rows = reader.build().unwrap().next().unwrap().unwrap();
    let column = |name: &str| rows.column_by_name(name).unwrap();
    let text = |name: &str, row: usize| column(name).as_string::<i32>().value(row).to_owned();
    let instant = |name: &str, row: usize| {
        Timestamp::from_micros(column(name).as_primitive::<TimestampMicrosecondType>().value(row))
    };
    let quantity = |name: &str, row: usize| {
        Quantity::from_units(column(name).as_primitive::<Decimal128Type>().value(row))
    };
    let units = |name: &str, row: usize| column(name).as_primitive::<Decimal128Type>().value(row);
    let long = |name: &str, row: usize| column(name).as_primitive::<Int64Type>().value(row);
    let posted = |amount: Decimal| amount.to_scaled(ROUNDED_AMOUNT_SCALE).unwrap();
    assert_eq!(rows.num_rows(), expected.len());
    for (row, accrual) in expected.iter().enumerate() {
        assert_eq!(text("accrual_key", row), accrual.accrual_key);
        let revision = column("revision").as_primitive::<Int32Type>().value(row);
        assert_eq!(u32::try_from(revision).unwrap(), accrual.revision);
        assert_eq!(text("entry_kind", row), accrual.entry_kind.name());
        assert_eq!(units("net_amount", row), posted(accrual.net_amount));
        assert_eq!(units("previous_net_amount", row), posted(accrual.previous_net_amount));
        assert_eq!(units("delta_amount", row), posted(accrual.delta_amount));
        assert_eq!(units("net_amount_exact", row), accrual.net_amount_exact.units());
        assert_eq!(units("delta_amount_exact", row), accrual.delta_amount_exact.units());
        assert_eq!(quantity("delta_metered_quantity", row), accrual.delta_metered_quantity);
        assert_eq!(u64::try_from(long("event_count", row)).unwrap(), accrual.event_count);
        assert_eq!(long("delta_event_count", row), accrual.delta_event_count);
        assert_eq!((long("epoch", row), accrual.epoch), (2, 2));
        assert_eq!(column("retroactive_tiers").as_boolean().value(row), accrual.retroactive_tiers);
        assert_eq!(text("price_basis_time", row), accrual.price_basis_time.name());
        assert_eq!(instant("billing_period_start", row), accrual.billing_period_start);
        assert_eq!(instant("billing_period_end", row), accrual.billing_period_end);
        assert_eq!(quantity("metered_quantity", row), accrual.metered_quantity);
        assert_eq!(quantity("billable_quantity", row), accrual.billable_quantity);
        assert_eq!(quantity("allowance_quantity", row), accrual.allowance_quantity);
        assert_eq!(Some(text("pricing_unit", row)), accrual.pricing_unit);
        let tiers = column("tier_breakdown").as_list::<i32>().value(row);
        let tiers = tiers.as_struct();
        assert_eq!(tiers.len(), accrual.tier_breakdown.len());
        for (position, tier) in accrual.tier_breakdown.iter().enumerate() {
            let of = |name: &str| {
                let values = tiers.column_by_name(name).unwrap().as_primitive::<Decimal128Type>();
                values.is_valid(position).then(|| values.value(position))
            };
            assert_eq!(of("lo"), Some(tier.lo.units()));
            assert_eq!(of("hi"), tier.hi.map(Quantity::units));
            assert_eq!(of("qty"), Some(tier.qty.units()));
            assert_eq!(of("flat"), Some(tier.flat.units()));
            assert_eq!(of("amount"), Some(tier.amount.units()));
        }
    }
    let revisions: Vec<_> =
        expected.iter().map(|accrual| (accrual.revision, accrual.delta_event_count)).collect();
    assert_eq!(revisions, [(2, 1), (1, 1)]);
    assert_eq!(quantities(&expected), [["4100", "5", "1"], ["100", "0", "0"]]);
}
