//! Published vectors: what other systems' public tests say events add up to.
//!
//! Every vector either runs or is in [`NOT_APPLICABLE`] with its reason.

use std::collections::BTreeMap;

use schemas::decimal::Decimal;
use schemas::legal_entity::LegalEntity;
use schemas::quantity::Quantity;
use serde_json::{Value, json};

use crate::decided::{Decided, accruals, catalog, decide};

const VECTORS: &str = include_str!("../vectors/aggregation_vectors.jsonl");

/// Ids, and why they do not run.
const NOT_APPLICABLE: [(&str, &str); 3] = [
    (
        "om-query-002",
        "windows of a minute: totals are kept by service day; finer ones are a query over rated usage",
    ),
    (
        "om-parse-003",
        "a missing dimension is null here and empty text in that system; the two must not be merged",
    ),
    ("kb-trans-002", "no events: a period without usage has no total, and nothing is written for it"),
];

fn vectors() -> Vec<Value> {
    VECTORS.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn number(value: &Value) -> Decimal {
    text(value).parse().unwrap()
}

/// Meters and contracts whose usage costs one a unit: a contract with one line per account.
struct Setting {
    meters: Vec<Value>,
    accounts: Vec<String>,
    timezone: String,
    contract: Value,
}

impl Setting {
    fn new(aggregation: &str, property: &str) -> Self {
        let mut meter = json!({ "id": "usage", "event_type": "usage", "aggregation": aggregation });
        if aggregation != "count" {
            meter["value"] = json!(property);
        }
        let (accounts, timezone) = (vec!["customer".to_owned()], "UTC".to_owned());
        Self { meters: vec![meter], accounts, timezone, contract: json!({}) }
    }

    fn documents(&self) -> Value {
        let rate = |meter: &Value| json!({ "meter": meter["id"], "model": "per_unit", "unit_price": "1" });
        let rates: Vec<Value> = self.meters.iter().map(rate).collect();
        let contract = |account: &String| {
            let mut contract = self.contract.clone();
            contract["id"] = json!(account);
            contract["accounts"] = json!([account]);
            contract["legal_entity"] = json!("entity");
            contract["currency"] = json!("USD");
            contract["lines"] = json!([{ "id": account, "price_book": "book" }]);
            contract
        };
        json!({
            "legal_entities": [{ "id": "entity", "timezone": self.timezone }],
            "meters": self.meters,
            "price_books": [{ "id": "book", "currencies": ["USD"], "versions": [{ "version": 1, "rates": rates }] }],
            "contracts": self.accounts.iter().map(contract).collect::<Vec<_>>(),
        })
    }

    fn run(&self, events: &[String]) -> Outcome {
        let catalog = catalog(&self.documents()).unwrap();
        let (decided, totals) = decide(&catalog, events);
        let mut quantities = Vec::new();
        for ((line, meter, period), days) in accruals(&totals) {
            for (day, accrual) in days {
                let line = catalog.lines()[line as usize].id.to_string();
                let meter = catalog.meters()[usize::from(meter)].id.to_string();
                // A unit costs one.
                assert_eq!(accrual.amount, accrual.quantity * 1_000_000, "the amount of a quantity");
                quantities.push(Quantities { line, meter, period, day, quantity: accrual.quantity });
            }
        }
        Outcome { decided, quantities }
    }
}

struct Outcome {
    decided: Decided,
    quantities: Vec<Quantities>,
}

struct Quantities {
    line: String,
    meter: String,
    period: i32,
    day: i32,
    /// In `10^-12`.
    quantity: i128,
}

impl Outcome {
    fn sums<K: Ord>(&self, key: impl Fn(&Quantities) -> K) -> BTreeMap<K, Decimal> {
        let mut sums: BTreeMap<K, i128> = BTreeMap::new();
        for quantity in &self.quantities {
            *sums.entry(key(quantity)).or_default() += quantity.quantity;
        }
        sums.into_iter().map(|(key, sum)| (key, Quantity::from_units(sum).to_decimal())).collect()
    }

    fn total(&self) -> Decimal {
        self.sums(|_| ()).remove(&()).unwrap_or(Decimal::ZERO)
    }
}

/// An event with the defaults of a vector that does not say more.
fn event(id: &str, event_type: &str, subject: &str, time: &str, data: Option<&str>) -> String {
    let mut event = json!({
        "specversion": "1.0", "id": id, "source": "test", "type": event_type, "subject": subject, "time": time,
    })
    .to_string();
    if let Some(data) = data {
        event.truncate(event.len() - 1);
        return format!("{event},\"data\":{data}}}");
    }
    event
}

const TIME: &str = "2024-01-01T00:00:00Z";

/// Windows of a day, or groups by subject.
fn sums(vector: &Value) {
    let params = &vector["params"];
    let mut setting = Setting::new("sum", "$.value");
    params["timezone"].as_str().unwrap_or("UTC").clone_into(&mut setting.timezone);
    let events = vector["input"]["events"].as_array().unwrap();
    let subject = |event: &Value| event["subject"].as_str().unwrap_or("customer").to_owned();
    setting.accounts = events.iter().map(subject).collect();
    setting.accounts.sort();
    setting.accounts.dedup();
    let lines: Vec<String> = (0..)
        .zip(events)
        .map(|(id, given): (usize, &Value)| {
            let data = json!({ "value": given["value"] }).to_string();
            event(&id.to_string(), "usage", &subject(given), text(&given["time"]), Some(&data))
        })
        .collect();
    let outcome = setting.run(&lines);
    assert_eq!((outcome.decided.rejected.len(), outcome.decided.unrated.len()), (0, 0));
    if params.get("group_by").is_some() {
        let groups = vector["expected"]["groups"].as_array().unwrap().iter();
        let expected =
            groups.map(|group| (text(&group["group"]["subject"]).to_owned(), number(&group["value"])));
        assert_eq!(outcome.sums(|quantity| quantity.line.clone()), expected.collect());
        return;
    }
    assert_eq!(params["window"], "DAY");
    let entity: LegalEntity =
        serde_json::from_value(json!({ "id": "entity", "timezone": setting.timezone })).unwrap();
    let windows = vector["expected"]["windows"].as_array().unwrap().iter();
    let expected: BTreeMap<i32, Decimal> = windows
        .map(|window| {
            let start = text(&window["window_start"]).parse().unwrap();
            let (date, period) = entity.timezone.day_of(start);
            let times = (period.start.to_string(), period.end.to_string());
            assert_eq!((&*times.0, &*times.1), (text(&window["window_start"]), text(&window["window_end"])));
            (date.days(), number(&window["value"]))
        })
        .collect();
    assert_eq!(outcome.sums(|quantity| quantity.day), expected);
}

/// One identity, sent many times.
fn repeated(vector: &Value) {
    let given = &vector["input"]["event"];
    let count: usize = text(&vector["input"]["repeat"]).parse().unwrap();
    let lines: Vec<String> = (0..count)
        .map(|second| {
            let time = format!("2024-01-01T00:{:02}:{:02}Z", second / 60, second % 60);
            event(text(&given["id"]), "usage", "customer", &time, None)
        })
        .collect();
    let outcome = Setting::new("count", "").run(&lines);
    assert_eq!(outcome.total(), number(&vector["expected"]["value"]));
    // The others say something else under the same identity, and are told.
    assert_eq!((outcome.decided.identities, outcome.decided.conflicts), (1, count - 1));
}

/// Events with and without a value.
fn sum_of_field(vector: &Value) {
    let input = &vector["input"];
    let requests = input["requests"].as_array().cloned().unwrap_or_else(|| vec![input.clone()]);
    let events = requests.iter().flat_map(|request| request["events"].as_array().unwrap());
    let lines: Vec<String> = events
        .map(|given| {
            let data = given.get("data").map(ToString::to_string);
            event(text(&given["id"]), "usage", "customer", TIME, data.as_deref())
        })
        .collect();
    let outcome = Setting::new("sum", text(&vector["params"]["field"])).run(&lines);
    assert_eq!(outcome.total(), number(&vector["expected"]["value"]));
    let rejected = outcome.decided.rejected.iter().map(|(id, _)| id.clone().unwrap()).collect::<Vec<_>>();
    let expected: Vec<&str> =
        vector["expected"]["rejected_ids"].as_array().into_iter().flatten().map(text).collect();
    assert_eq!(rejected, expected);
}

/// What a meter reads from one payload.
fn value_extraction(vector: &Value) {
    let (params, input, expected) = (&vector["params"], &vector["input"], &vector["expected"]);
    let aggregation = match text(&params["aggregation"]) {
        "unique_count" => "unique",
        other => other,
    };
    let mut setting = Setting::new(aggregation, text(&params["value_property"]));
    let group = expected["group"].as_object().cloned().unwrap_or_default();
    for name in group.keys() {
        setting.meters[0]["dimensions"][name] = json!(format!("$.{name}"));
    }
    let payload = input["data_json"].as_str().map_or_else(|| input["data"].to_string(), ToOwned::to_owned);
    let payload = Some(&*payload).filter(|payload| !payload.is_empty());
    let given = event("1", "usage", "customer", TIME, payload);
    let outcome = setting.run(std::slice::from_ref(&given));
    if expected["error"] == true {
        assert_eq!((outcome.decided.rejected.len(), outcome.quantities.len()), (1, 0));
        return;
    }
    assert_eq!(outcome.decided.rejected, []);
    if let Some(value) = expected["value"].as_str() {
        assert_eq!(outcome.total(), value.parse().unwrap());
        let dimensions = &outcome.decided.dimensions[&("1".to_owned(), 0)];
        let expected: Vec<Option<String>> =
            group.values().map(|value| Some(text(value).to_owned())).collect();
        assert_eq!(*dimensions, expected);
    } else {
        // A distinct value is the text that was read: the same one adds nothing, another does.
        let value = text(&expected["value_string"]);
        let name = text(&params["value_property"]).trim_start_matches("$.");
        let other =
            |id, value: &str| event(id, "usage", "customer", TIME, Some(&json!({ name: value }).to_string()));
        let lines = [given, other("2", value), other("3", "another")];
        assert_eq!(setting.run(&lines[..2]).total(), Decimal::ONE);
        assert_eq!(setting.run(&lines).total(), "2".parse().unwrap());
    }
}

/// Days summed over billing periods that begin in mid-month.
fn rollup(vector: &Value) {
    let periods = vector["params"]["periods"].as_array().unwrap();
    let (first, last) = (&periods[0][0], &periods[periods.len() - 1][1]);
    let mut setting = Setting::new("sum", "$.value");
    let meter = setting.meters.remove(0);
    for unit in ["unit", "unit2"] {
        let mut meter = meter.clone();
        meter["id"] = json!(unit);
        meter["event_type"] = json!(unit);
        setting.meters.push(meter);
    }
    setting.contract = json!({ "billing_anchor": first, "effective_from": first, "effective_to": last });
    let daily = vector["input"]["daily"].as_array().unwrap();
    let lines: Vec<String> = (0..)
        .zip(daily)
        .map(|(id, given): (usize, &Value)| {
            let time = format!("2014-{}T00:00:00Z", text(&given["date"]));
            let data = json!({ "value": given["value"] }).to_string();
            event(&id.to_string(), text(&given["unit"]), "customer", &time, Some(&data))
        })
        .collect();
    let outcome = setting.run(&lines);
    let sums = outcome.sums(|quantity| (quantity.period, quantity.meter.clone()));
    let mut periods_with_usage = 0;
    for (period, expected) in periods.iter().zip(vector["expected"]["periods"].as_array().unwrap()) {
        let start: schemas::date::Date = text(&period[0]).parse().unwrap();
        for (unit, value) in expected.as_object().unwrap() {
            let sum = sums.get(&(start.days(), unit.clone())).copied();
            periods_with_usage += usize::from(sum.is_some());
            assert_eq!(sum.unwrap_or(Decimal::ZERO), number(value), "{unit} from {start}");
        }
    }
    assert_eq!(sums.len(), periods_with_usage, "there are no other periods");
    assert_eq!(outcome.decided.unrated.len(), 2, "usage before and after the contract has no price");
}

fn run(vector: &Value) {
    match (text(&vector["model"]), vector["id"].as_str().unwrap()) {
        ("value_extraction", _) => value_extraction(vector),
        ("count", _) => repeated(vector),
        ("sum", id) if id.starts_with("kb-rollup") => rollup(vector),
        ("sum", _) if vector["params"].get("field").is_some() => sum_of_field(vector),
        ("sum", _) => sums(vector),
        (model, id) => panic!("{id}: no way to run the model {model}"),
    }
}

#[test]
fn every_applicable_vector_gives_the_published_figure() {
    let mut failed = Vec::new();
    for vector in vectors().iter().filter(|vector| is_applicable(vector)) {
        if std::panic::catch_unwind(|| run(vector)).is_err() {
            failed.push(text(&vector["id"]).to_owned());
        }
    }
    assert!(failed.is_empty(), "vectors that give another figure: {failed:?}");
}

fn is_applicable(vector: &Value) -> bool {
    NOT_APPLICABLE.iter().all(|(id, _)| vector["id"] != *id)
}

#[test]
fn every_vector_runs_or_has_a_reason_not_to() {
    let vectors = vectors();
    let mut ids: Vec<&str> = vectors.iter().map(|vector| text(&vector["id"])).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), vectors.len(), "an id is there twice");
    for (id, _) in NOT_APPLICABLE {
        assert!(ids.contains(&id), "{id} is excepted but is no vector");
    }
    let run = vectors.iter().filter(|vector| is_applicable(vector)).count();
    assert_eq!((run, NOT_APPLICABLE.len(), vectors.len()), (19, 3, 22));
}
