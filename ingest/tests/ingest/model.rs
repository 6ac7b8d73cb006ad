//! What a record is, worked out slowly: the rules of the event contract one after another, over a tree.

use std::collections::{BTreeMap, BTreeSet};

use schemas::id::check_id;
use schemas::meter::{Aggregation, EventPrice, IfMissing, Meter, PropertyPath};
use schemas::quarantine::RejectReason;
use schemas::timestamp::{Timestamp, TimestampError};
use schemas::usage_event::{EVENT_TIME_END, EVENT_TIME_MIN, SENDING_CONTEXT};

use crate::decoded::Attributes;
use crate::model_json::{Value, read};

/// What a record should become.
#[derive(Debug)]
pub(crate) enum Expected {
    Accepted(Event),
    Rejected(Fault),
}

/// The reasons it may be refused with, and what the refusal says of it where that is certain.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) reasons: BTreeSet<RejectReason>,
    pub(crate) attributes: Option<Attributes>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Source, id, type and subject.
    pub(crate) texts: [String; 4],
    pub(crate) time: i64,
    /// One text per content: equal where the contents are.
    pub(crate) content: String,
    pub(crate) metered: bool,
    pub(crate) usages: Vec<Usage>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) meter: u16,
    pub(crate) measure: Measure,
    pub(crate) event_price: i128,
    pub(crate) dimensions: Vec<Option<String>>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    Number(i128),
    Distinct(String),
}

/// Reads the bytes of a record.
pub(crate) fn expect(bytes: &[u8], meters: &[Meter]) -> Expected {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return rejected(RejectReason::InvalidUtf8, Some(Attributes::default()));
    };
    let read = read(text);
    let is_object = matches!(read.value, Some(Value::Object(_)));
    let mut reasons = read.faults;
    // What begins with something else is told as that, whatever follows it.
    let begins_otherwise = !text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{');
    if begins_otherwise || (read.value.is_some() && !is_object) {
        reasons.insert(RejectReason::NotAnObject);
    }
    match read.value {
        Some(value) if reasons.is_empty() => event(&value, meters),
        _ => Expected::Rejected(Fault { reasons, attributes: None }),
    }
}

fn rejected(reason: RejectReason, attributes: Option<Attributes>) -> Expected {
    Expected::Rejected(Fault { reasons: BTreeSet::from([reason]), attributes })
}

/// A member that is there; null stands for one that is not.
fn present<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.member(name).filter(|member| **member != Value::Null)
}

/// What an event in the form of a tree should become.
pub(crate) fn event(value: &Value, meters: &[Meter]) -> Expected {
    let mut faults = BTreeSet::new();
    if value.member("specversion") != Some(&Value::Text("1.0".to_owned())) {
        faults.insert(RejectReason::UnsupportedSpecversion);
    }
    let names = ["source", "id", "type", "subject"];
    let missing = [
        RejectReason::MissingSource,
        RejectReason::MissingId,
        RejectReason::MissingType,
        RejectReason::MissingSubject,
    ];
    let mut texts = [const { String::new() }; 4];
    let mut readable = [const { None }; 4];
    for (position, (name, missing)) in names.iter().zip(missing).enumerate() {
        match present(value, name) {
            None => {
                faults.insert(missing);
            }
            Some(Value::Text(text)) if text.is_empty() => {
                faults.insert(missing);
            }
            Some(Value::Text(text)) => {
                if check_id(text).is_err() {
                    faults.insert(RejectReason::InvalidAttribute);
                }
                readable[position] = Some(text.clone()).filter(|text| text.len() <= 256);
                texts[position].clone_from(text);
            }
            Some(_) => {
                faults.insert(RejectReason::InvalidAttribute);
            }
        }
    }
    let time = time(value);
    let readable = Attributes { texts: readable, time: time.ok() };
    faults.extend(time.err());
    let sampled = present(value, "sampledrate");
    if !matches!(sampled, None | Some(Value::Number(_) | Value::Text(_)))
        || matches!(sampled, Some(Value::Number(rate) | Value::Text(rate)) if rate != "1")
    {
        faults.insert(RejectReason::SampledTelemetry);
    }
    if let Some(first) = faults.first() {
        return rejected(*first, Some(readable));
    }
    let mut usages = Vec::new();
    let mut reasons = BTreeSet::new();
    for (position, meter) in meters.iter().enumerate().filter(|(_, meter)| meter.event_type == texts[2]) {
        let data = value.member("data");
        if !passes(data, meter) {
            continue;
        }
        match usage(data, meters, u16::try_from(position).unwrap()) {
            Ok(usage) => usages.extend(usage),
            Err(faults) => reasons.extend(faults),
        }
    }
    if !reasons.is_empty() {
        return Expected::Rejected(Fault { reasons, attributes: Some(readable) });
    }
    let time = readable.time.unwrap();
    let metered = meters.iter().any(|meter| meter.event_type == texts[2]);
    Expected::Accepted(Event { content: content(value, time), texts, time, metered, usages })
}

fn time(value: &Value) -> Result<i64, RejectReason> {
    let text = match present(value, "time") {
        None => return Err(RejectReason::MissingTime),
        Some(Value::Text(text)) => text,
        Some(_) => return Err(RejectReason::BadTime),
    };
    let time: Result<Timestamp, TimestampError> = text.parse();
    let time = time.map_err(|_| RejectReason::BadTime)?;
    if time < EVENT_TIME_MIN || time >= EVENT_TIME_END {
        return Err(RejectReason::TimeOutOfRange);
    }
    Ok(time.micros())
}

/// All that makes the event this one, keys in order, numbers and times in one form.
fn content(value: &Value, time: i64) -> String {
    let Value::Object(members) = value else { return String::new() };
    let is_content =
        |name: &str| !["id", "source", "time"].contains(&name) && !SENDING_CONTEXT.contains(&name);
    // An attribute that is null is none.
    let members = members.iter().filter(|(name, value)| is_content(name) && *value != Value::Null);
    format!("{time} {}", object(members))
}

fn object<'a>(members: impl Iterator<Item = &'a (String, Value)>) -> String {
    let members: BTreeMap<&str, &Value> = members.map(|(name, value)| (name.as_str(), value)).collect();
    let member = |(name, value)| format!("{name:?}: {}", canonical(value));
    format!("{{{}}}", members.into_iter().map(member).collect::<Vec<_>>().join(", "))
}

fn canonical(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(text) => Number::read(text).unwrap().canonical(),
        Value::Text(text) => format!("{text:?}"),
        Value::List(elements) => {
            format!("[{}]", elements.iter().map(canonical).collect::<Vec<_>>().join(", "))
        }
        Value::Object(members) => object(members.iter()),
    }
}

fn property<'a>(data: Option<&'a Value>, path: &PropertyPath) -> Option<&'a Value> {
    path.segments().iter().try_fold(data?, |value, name| value.member(name))
}

/// A scalar as text.
pub(crate) fn text_of(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::Null | Value::List(_) | Value::Object(_) => None,
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(text) => Some(Number::read(text).unwrap().canonical()),
        Value::Text(text) => Some(text.clone()),
    }
}

fn passes(data: Option<&Value>, meter: &Meter) -> bool {
    let holds = |(path, values): (&PropertyPath, &Vec<String>)| {
        let property = property(data, path);
        let Some(text) = text_of(property) else { return false };
        match property {
            // Numbers are equal as numbers, however either is written.
            Some(Value::Number(_)) => values.iter().any(|value| {
                Number::read_json(value).map_or_else(|| value.clone(), |number| number.canonical()) == text
            }),
            _ => values.contains(&text),
        }
    };
    let filter = &meter.filter;
    filter.include.iter().all(holds) && !filter.exclude.iter().any(|entry| entry.iter().all(holds))
}

/// The usage of an event under a meter, if there is any.
fn usage(
    data: Option<&Value>,
    meters: &[Meter],
    position: u16,
) -> Result<Option<Usage>, BTreeSet<RejectReason>> {
    let meter = &meters[usize::from(position)];
    let value = meter.value.as_ref().map(|path| property(data, path));
    let measure = match (meter.aggregation, value) {
        (Aggregation::Count, _) | (_, None) => Some(Measure::Number(1)),
        (Aggregation::Unique, Some(value)) => distinct(value, meter)?,
        (_, Some(value)) => number(value, meter)?,
    };
    let Some(measure) = measure else { return Ok(None) };
    let mut faults = BTreeSet::new();
    let mut event_price = 0;
    if let Some(price) = &meter.event_price {
        match amount(data, price) {
            Some(amount) => event_price = amount,
            None => {
                faults.insert(RejectReason::InvalidEventPrice);
            }
        }
    }
    let names: BTreeSet<_> = meters.iter().flat_map(|meter| meter.dimensions.keys()).collect();
    let mut dimensions = Vec::new();
    for name in names {
        let value = meter.dimensions.get(name).and_then(|path| property(data, path));
        let text = text_of(value);
        let is_container = matches!(value, Some(Value::List(_) | Value::Object(_)));
        if is_container || text.as_ref().is_some_and(|text| text.len() > 256) {
            faults.insert(RejectReason::InvalidDimension);
        }
        dimensions.push(text);
    }
    if faults.is_empty() {
        Ok(Some(Usage { meter: position, measure, event_price, dimensions }))
    } else {
        Err(faults)
    }
}

fn missing(meter: &Meter) -> Result<Option<Measure>, BTreeSet<RejectReason>> {
    match meter.if_missing {
        IfMissing::Ignore => Ok(None),
        IfMissing::Reject => Err(BTreeSet::from([RejectReason::MissingQuantity])),
    }
}

fn distinct(value: Option<&Value>, meter: &Meter) -> Result<Option<Measure>, BTreeSet<RejectReason>> {
    match (text_of(value), value) {
        (Some(text), _) => Ok(Some(Measure::Distinct(text))),
        (None, None | Some(Value::Null)) => missing(meter),
        (None, Some(_)) => Err(BTreeSet::from([RejectReason::MissingQuantity])),
    }
}

fn number(value: Option<&Value>, meter: &Meter) -> Result<Option<Measure>, BTreeSet<RejectReason>> {
    let text = match value {
        Some(Value::Number(text) | Value::Text(text)) => text,
        None => return missing(meter),
        Some(Value::Null) if meter.if_missing == IfMissing::Ignore => return Ok(None),
        Some(_) => return Err(BTreeSet::from([RejectReason::NonNumericQuantity])),
    };
    let Some(number) = Number::read(text) else {
        return Err(BTreeSet::from([RejectReason::NonNumericQuantity]));
    };
    if number.written_digits > 64 {
        return Err(BTreeSet::from([RejectReason::NumberTooLong]));
    }
    let mut faults = BTreeSet::new();
    if number.negative && !meter.allow_negative {
        faults.insert(RejectReason::NegativeQuantity);
    }
    if number.places() > i128::from(meter.decimals) {
        faults.insert(RejectReason::QuantityTooPrecise);
    }
    if number.whole_digits() > 20 {
        faults.insert(RejectReason::QuantityOutOfRange);
    }
    if faults.is_empty() { Ok(Some(Measure::Number(number.scaled(meter.decimals)))) } else { Err(faults) }
}

/// The price or amount of an event, in `10^-18`.
fn amount(data: Option<&Value>, price: &EventPrice) -> Option<i128> {
    let (Value::Number(text) | Value::Text(text)) = property(data, &price.property)? else { return None };
    let number = Number::read(text).filter(|number| number.written_digits <= 64)?;
    let fits = number.places() <= i128::from(price.decimals) && number.whole_digits() + 18 <= 38;
    fits.then(|| number.scaled(18))
}

/// A number by its digits: `digits × 10^exponent`, no zeros at either end.
#[derive(Debug)]
pub(crate) struct Number {
    negative: bool,
    digits: String,
    exponent: i128,
    /// Digits of the text, exponent excluded.
    written_digits: usize,
}

impl Number {
    /// Reads a number as JSON writes it.
    pub(crate) fn read_json(text: &str) -> Option<Self> {
        let whole = text.strip_prefix('-').unwrap_or(text);
        let is_json = !whole.starts_with('+')
            && (!whole.starts_with('0') || !whole[1..].starts_with(|c: char| c.is_ascii_digit()));
        if is_json { Self::read(text) } else { None }
    }

    /// Reads a number; zeros and a plus sign before it do not matter.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let negative = text.starts_with('-');
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (plain, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((plain, exponent)) => {
                let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
                // One that needs more than 64 bits is as good as any other.
                let limit = if exponent.starts_with('-') { i64::MIN / 2 } else { i64::MAX / 2 };
                all_digits(digits)?;
                (plain, i128::from(exponent.parse::<i64>().unwrap_or(limit)))
            }
            None => (unsigned, 0),
        };
        let (whole, fraction) = match plain.split_once('.') {
            Some((whole, fraction)) => (all_digits(whole)?, all_digits(fraction)?),
            None => (all_digits(plain)?, ""),
        };
        let written = format!("{whole}{fraction}");
        let digits = written.trim_start_matches('0');
        let significant = digits.trim_end_matches('0');
        if significant.is_empty() {
            return Some(Self {
                negative: false,
                digits: String::new(),
                exponent: 0,
                written_digits: written.len(),
            });
        }
        let dropped = digits.len() - significant.len();
        let exponent = exponent - as_i128(fraction.len()) + as_i128(dropped);
        Some(Self { negative, digits: significant.to_owned(), exponent, written_digits: written.len() })
    }

    /// Decimal places.
    pub(crate) fn places(&self) -> i128 {
        (-self.exponent).max(0)
    }

    /// Digits before the point.
    pub(crate) fn whole_digits(&self) -> i128 {
        if self.digits.is_empty() { 0 } else { (as_i128(self.digits.len()) + self.exponent).max(0) }
    }

    /// As a count of `10^-decimals`, which it is.
    pub(crate) fn scaled(&self, decimals: u8) -> i128 {
        if self.digits.is_empty() {
            return 0;
        }
        let zeros = usize::try_from(self.exponent + i128::from(decimals)).unwrap();
        let magnitude: i128 = format!("{}{}", self.digits, "0".repeat(zeros)).parse().unwrap();
        if self.negative { -magnitude } else { magnitude }
    }

    /// The one text of the number: plain as far as 64 places either way, else with an exponent.
    pub(crate) fn canonical(&self) -> String {
        let sign = if self.negative { "-" } else { "" };
        let (digits, count) = (&self.digits, as_i128(self.digits.len()));
        let point = count + self.exponent;
        let zeros = |count: i128| "0".repeat(usize::try_from(count).unwrap());
        if digits.is_empty() {
            "0".to_owned()
        } else if self.exponent >= 0 && point <= 64 {
            format!("{sign}{digits}{}", zeros(self.exponent))
        } else if self.exponent < 0 && point > 0 {
            let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap());
            format!("{sign}{whole}.{fraction}")
        } else if self.exponent < 0 && -self.exponent <= 64 {
            format!("{sign}0.{}{digits}", zeros(-point))
        } else {
            format!("{sign}{digits}e{}", self.exponent)
        }
    }
}

fn all_digits(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}

fn as_i128(length: usize) -> i128 {
    i128::try_from(length).unwrap()
}
