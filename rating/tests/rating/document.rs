//! The figures of `docs/price-models.md`: every table is computed from the YAML above it.

use rating::price::{ActiveDays, Usage};
use rating::rounding::rescale_rounded;
use saphyr_parser::{Event, Parser, ScalarStyle};
use schemas::decimal::Decimal;
use schemas::price_book::RoundingMode;
use serde_json::{Map, Value, json};

use crate::charge::{Charge, decimal, difference, whole_period};
use crate::rate_1::plus;

const DOCUMENT: &str = include_str!("../../../docs/price-models.md");

/// A part of the document that figures come from.
enum Part<'a> {
    Yaml(Value),
    /// Rows of cells, the first with the names of the columns.
    Table(Vec<Vec<&'a str>>),
}

fn parts() -> Vec<Part<'static>> {
    let mut parts = Vec::new();
    let mut lines = DOCUMENT.lines().peekable();
    while let Some(line) = lines.next() {
        if line == "```yaml" {
            let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            parts.push(Part::Yaml(yaml(&text.join("\n"))));
        } else if line.starts_with('|') {
            let mut rows = vec![cells(line)];
            lines.next();
            while let Some(row) = lines.next_if(|line| line.starts_with('|')) {
                rows.push(cells(row));
            }
            parts.push(Part::Table(rows));
        }
    }
    parts
}

fn cells(row: &str) -> Vec<&str> {
    row.trim_matches('|').split('|').map(str::trim).collect()
}

/// YAML as JSON: numbers become text, as a catalog reads them, but for counts of decimal places.
fn yaml(text: &str) -> Value {
    let mut open: Vec<(Value, Option<String>)> = Vec::new();
    let mut root = Value::Null;
    for event in Parser::new_from_str(text) {
        let done = match event.unwrap().0 {
            Event::MappingStart(..) => {
                open.push((Value::Object(Map::new()), None));
                continue;
            }
            Event::SequenceStart(..) => {
                open.push((json!([]), None));
                continue;
            }
            Event::MappingEnd | Event::SequenceEnd => open.pop().unwrap().0,
            Event::Scalar(text, style, ..) => match (&*text, open.last_mut()) {
                (name, Some((Value::Object(_), key @ None))) => {
                    *key = Some(name.to_owned());
                    continue;
                }
                ("null", _) if style == ScalarStyle::Plain => Value::Null,
                ("true", _) => Value::Bool(true),
                (number, Some((_, Some(key)))) if key == "decimals" => number.parse::<u8>().unwrap().into(),
                (text, _) => text.into(),
            },
            _ => continue,
        };
        match open.last_mut() {
            Some((Value::Object(members), key)) => {
                members.insert(key.take().unwrap(), done);
            }
            Some((Value::Array(items), _)) => items.push(done),
            _ => root = done,
        }
    }
    root
}

/// The meter a rate prices: one the document writes, or one that sums what the figures use.
fn meter_of(rate: &Value, meters: &[Value]) -> Value {
    if let Some(meter) = meters.iter().find(|meter| meter["id"] == rate["meter"]) {
        return meter.clone();
    }
    json!({
        "id": rate["meter"],
        "event_type": "usage",
        "aggregation": "sum",
        "value": "$.value",
        "decimals": 6,
        "dimensions": { "model": "$.model", "region": "$.region" }
    })
}

fn charge(rate: &Value, meters: &[Value]) -> Charge {
    let mut meter = meter_of(rate, meters);
    meter.as_object_mut().unwrap().remove("kind");
    Charge::of_meter(rate.clone(), meter, &[]).unwrap()
}

/// Usage of the events in a cell: `100, -40`.
fn usage(charge: &Charge, cell: &str) -> Usage {
    let events = cell.split(", ").map(|value| charge.event(decimal(value)));
    events.fold(Usage::default(), |usage, event| plus(&usage, &event))
}

/// What a row's figure should be, by the columns of its table; `None` for tables without figures.
fn figure(columns: &[&str], row: &[&str], rate: &Value, meters: &[Value]) -> Option<(String, String)> {
    let expected = |cell: &str| decimal(cell).to_string();
    match columns {
        ["usage" | "events", "amount", ..] => {
            let charge = charge(rate, meters);
            Some((charge.amount(&usage(&charge, row[0])).to_string(), expected(row[1])))
        }
        ["before", "after", "rated amount", ..] => {
            let charge = charge(rate, meters);
            let f = |cell: &str| charge.amount_of(decimal(cell));
            Some((difference(f(row[1]), f(row[0])).to_string(), expected(row[2])))
        }
        ["usage", "the event states", "amount", ..] => {
            let charge = charge(rate, meters);
            let decimals = u8::try_from(meter_of(rate, meters)["decimals"].as_u64().unwrap()).unwrap();
            let scaled = |cell: &str, scale| decimal(cell).to_scaled(scale).unwrap();
            let quantity = scaled(row[0], decimals);
            let event_amounts = charge.price.event_amount(quantity, scaled(row[1], 18)).unwrap();
            let usage = Usage { quantity, events: 1, event_amounts };
            Some((charge.amount(&usage).to_string(), expected(row[2])))
        }
        ["days in force", "days of the period", "fee", ..] => {
            let charge = charge(rate, meters);
            let (active, period) = (row[0].parse().unwrap(), row[1].parse().unwrap());
            let days = ActiveDays { active, period, ..whole_period() };
            let fee = charge.price.terms(&[], &days).unwrap().constant;
            Some((Decimal::new(fee, 18).to_string(), expected(row[2])))
        }
        ["model", "region", "usage", "amount", ..] => {
            let dimensions = [("model", "any"), ("region", "any")];
            let charge = Charge::of_meter(rate.clone(), meter_of(rate, meters), &dimensions).unwrap();
            let values = [row[0], row[1]].map(|value| Some(value).filter(|value| !value.is_empty()));
            let got = match charge.price.terms(&values, &whole_period()) {
                Ok(terms) => charge.price.amount(terms, &charge.event(decimal(row[2]))).unwrap().to_string(),
                Err(reason) => reason.to_string(),
            };
            Some((got, row[3].to_owned()))
        }
        _ => None,
    }
}

#[test]
fn every_figure_in_the_document_is_what_the_rate_gives() {
    let (mut rate, mut meters, mut models, mut figures) = (Value::Null, Vec::new(), Vec::new(), 0);
    for part in parts() {
        match part {
            Part::Yaml(document) if document["kind"] == "meter" => meters.push(document),
            Part::Yaml(document) => {
                models.push(document["model"].as_str().unwrap().to_owned());
                rate = document;
            }
            Part::Table(rows) => {
                for row in &rows[1..] {
                    if let Some((got, expected)) = figure(&rows[0], row, &rate, &meters) {
                        assert_eq!(got, expected, "{rate} {row:?}");
                        figures += 1;
                    }
                }
            }
        }
    }
    models.sort_unstable();
    models.dedup();
    assert_eq!(models.len(), 10, "every model has an example: {models:?}");
    // A table whose columns are not known would be passed over.
    assert_eq!(figures, 69, "figures in the document");
}

#[test]
fn the_rounding_table_in_the_document_is_what_the_modes_give() {
    let is_rounding = |rows: &Vec<Vec<&str>>| rows[0].starts_with(&["mode", "0.5"]);
    let mut tables = parts().into_iter().filter_map(|part| match part {
        Part::Table(rows) => Some(rows).filter(is_rounding),
        Part::Yaml(_) => None,
    });
    let table = tables.next().unwrap();
    assert_eq!(table.len(), 5);
    for row in &table[1..] {
        let mode: RoundingMode = serde_json::from_value(row[0].into()).unwrap();
        for (number, expected) in table[0].iter().zip(row).skip(1).filter(|(number, _)| !number.is_empty()) {
            let tenths = decimal(number).to_scaled(1).unwrap();
            assert_eq!(
                rescale_rounded(tenths, 1, 0, mode),
                Ok(expected.parse().unwrap()),
                "{mode:?} {number}"
            );
        }
    }
}
