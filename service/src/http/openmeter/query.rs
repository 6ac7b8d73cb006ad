//! `/api/v1/meters/{meter}/query`: what was used of a meter, by window, subject and group.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::tz::TimeZone;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use schemas::timestamp::Timestamp;
use serde_json::{Map, Value};

use super::meters::{find, named};
use crate::http::Service;
use crate::http::api::{Operation, Parameter};
use crate::http::body::read_small;
use crate::http::events::json;
use crate::http::problem::Problem;
use crate::http::query_string::QueryString;
use crate::http::segments::Segments;
use crate::http::usage::{ROWS_MAX, ask, check_times, dimension_of, window_of, zone_of};
use crate::usage::{Answer, AnswerRow, Filter, Question, Subjects, Test, UsageIndex};

/// The group that is no dimension.
const SUBJECT: &str = "subject";

const MINUTE_US: i64 = 60_000_000;

/// A question of a client, and what it is answered with besides values.
struct Asked {
    question: Question,
    /// Names of the dimensions that are grouped by.
    names: Vec<String>,
    window: Option<String>,
}

/// Times of a question.
const TIMES: [Parameter; 2] = [
    Parameter::time("from", "First event time."),
    Parameter::time("to", "Event time that is no longer asked for."),
];

/// What a question has besides times.
const PARAMETERS: [Parameter; 5] = [
    Parameter::one_of(
        &["MINUTE", "HOUR", "DAY", "MONTH"],
        "windowSize",
        "A value for each; one for all without.",
    ),
    Parameter::text("windowTimeZone", "IANA name: where windows begin. UTC where it is left out."),
    Parameter::texts("subject", "Whose usage; that of all accounts together where it is left out."),
    Parameter::texts("groupBy", "Dimensions of the meter, and `subject`: a value for each combination."),
    Parameter::members("filterGroupBy[", "Only usage with these values of dimensions."),
];

/// What a question in a body is. It is read as a query string is.
enum QueryBody {}

impl JsonSchema for QueryBody {
    fn schema_name() -> Cow<'static, str> {
        "OpenMeterQuery".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let members = TIMES.iter().chain(&PARAMETERS).map(Parameter::member);
        json_schema!({ "type": "object", "properties": members.collect::<Map<_, _>>() })
    }
}

/// What [`Asked::json`] writes.
enum QueryAnswer {}

impl JsonSchema for QueryAnswer {
    fn schema_name() -> Cow<'static, str> {
        "OpenMeterQueryAnswer".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let time = generator.subschema_for::<Timestamp>();
        json_schema!({
            "type": "object",
            "required": ["data"],
            "properties": {
                "from": time, "to": time, "windowSize": { "type": "string" },
                "data": { "type": "array", "items": {
                    "type": "object",
                    "required": ["value", "windowStart", "windowEnd", "subject", "groupBy"],
                    "properties": {
                        "value": { "description": "With all its digits.", "type": "number" },
                        "windowStart": time, "windowEnd": time,
                        "subject": { "type": ["string", "null"] },
                        "groupBy": { "type": "object", "additionalProperties": { "type": "string" } },
                    },
                } },
            },
        })
    }
}

/// What is said of [`get`].
pub(in crate::http) fn about_get(operation: Operation<'_>) -> Operation<'_> {
    asks(operation).parameters(&TIMES).parameters(&PARAMETERS)
}

/// What is said of [`post`].
pub(in crate::http) fn about_post(operation: Operation<'_>) -> Operation<'_> {
    asks(operation)
        .takes::<QueryBody>()
        .reads_small()
        .refuses(StatusCode::BAD_REQUEST, &["not_a_query", "bad_query"])
}

fn asks(operation: Operation<'_>) -> Operation<'_> {
    let codes = ["unsupported_parameter", "bad_window", "bad_time_zone", "bad_filter", "unknown_dimension"];
    let summary = "What was used of a meter";
    let description = "By window, subject and group. Values are numbers with all their digits. CSV where `Accept` asks for it.";
    of_usage(named(operation.says("OpenMeter", summary, description)))
        .answers::<QueryAnswer>(StatusCode::OK, "What was used.")
        .answers_as::<String>(StatusCode::OK, "text/csv", "What was used.")
        .refuses(StatusCode::BAD_REQUEST, &codes)
}

/// It asks the usage index.
fn of_usage(operation: Operation<'_>) -> Operation<'_> {
    let codes = ["bad_time", "usage_too_old", "usage_not_kept", "answer_too_large", "overflow"];
    operation.refuses(StatusCode::BAD_REQUEST, &codes).refuses(StatusCode::INTERNAL_SERVER_ERROR, &["failed"])
}

/// Answers a question in the query string.
pub(in crate::http) async fn get(
    State(service): State<Service>,
    Segments(id_or_slug): Segments<String>,
    headers: HeaderMap,
    query: QueryString,
) -> Result<Response, Problem> {
    answer(&service, &id_or_slug, &headers, &query).await
}

/// Answers a question in the body.
pub(in crate::http) async fn post(
    State(service): State<Service>,
    Segments(id_or_slug): Segments<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let bytes = read_small(&service, &headers, body).await?;
    let document: Map<String, Value> = serde_json::from_slice(&bytes)
        .map_err(|error| Problem::bad_request("not_a_query", format!("the body is no query: {error}")))?;
    let known = || TIMES.iter().chain(&PARAMETERS);
    if let Some((name, _)) =
        document.iter().find(|(name, value)| !known().all(|known| known.fits(name, value)))
    {
        let detail = format!("{name} is several values here: give one");
        return Err(Problem::bad_request("not_a_query", detail));
    }
    answer(&service, &id_or_slug, &headers, &QueryString::of(flattened(document))).await
}

/// The members of a JSON query as those of a query string.
fn flattened(document: Map<String, Value>) -> Vec<(String, String)> {
    let mut values = Vec::new();
    let mut add = |name: &str, value: Value| match value {
        Value::String(text) => values.push((name.to_owned(), text)),
        Value::Null => {}
        other => values.push((name.to_owned(), other.to_string())),
    };
    for (name, value) in document {
        match value {
            Value::Array(all) => all.into_iter().for_each(|value| add(&name, value)),
            Value::Object(members) => {
                for (key, value) in members {
                    let name = format!("{name}[{key}]");
                    match value {
                        Value::Array(all) => all.into_iter().for_each(|value| add(&name, value)),
                        value => add(&name, value),
                    }
                }
            }
            value => add(&name, value),
        }
    }
    values
}

async fn answer(
    service: &Service,
    id_or_slug: &str,
    headers: &HeaderMap,
    query: &QueryString,
) -> Result<Response, Problem> {
    let index = service.engine.usage();
    let (position, meter) = find(&index, id_or_slug)?;
    let asked = asked(&index, position, query)?;
    let answer = ask(&index, asked.question.clone()).await?;
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let is_csv = accept.split(',').any(|kind| kind.trim().starts_with("text/csv"));
    let (text, kind) = if is_csv {
        (asked.csv(&answer), HeaderValue::from_static("text/csv"))
    } else {
        (asked.json(&answer), HeaderValue::from_static("application/json"))
    };
    let mut response = (StatusCode::OK, text).into_response();
    let head = response.headers_mut();
    head.insert(header::CONTENT_TYPE, kind);
    if is_csv && let Ok(name) = HeaderValue::try_from(format!("attachment; filename={}.csv", meter.id)) {
        head.insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

fn asked(index: &UsageIndex, meter: u16, query: &QueryString) -> Result<Asked, Problem> {
    for name in ["filterCustomerId", "advancedMeterGroupByFilters"] {
        if query.all(name).chain(query.bracketed(name).map(|(key, _)| key)).next().is_some() {
            let detail = format!("{name} is not supported: use subject and filterGroupBy");
            return Err(Problem::bad_request("unsupported_parameter", detail));
        }
    }
    let subjects: Vec<String> = query.all(SUBJECT).map(ToOwned::to_owned).collect();
    let mut names: Vec<String> = Vec::new();
    for name in query.all("groupBy").filter(|name| !name.is_empty()) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    let by_account = !subjects.is_empty() || names.iter().any(|name| name == SUBJECT);
    names.retain(|name| name != SUBJECT);
    let group_by = names.iter().map(|name| dimension_of(index, meter, name)).collect::<Result<_, _>>()?;
    let window = query.one("windowSize")?;
    let question = Question {
        subjects: if subjects.is_empty() { Subjects::All } else { Subjects::Of(subjects) },
        meter,
        from: query.time("from")?,
        to: query.time("to")?,
        window: window.map(window_of).transpose()?,
        zone: zone_of(query.one("windowTimeZone")?.unwrap_or("UTC"))?,
        by_account,
        group_by,
        filters: filters(index, meter, query)?,
        rows_max: ROWS_MAX,
    };
    check_times(&question)?;
    Ok(Asked { question, names, window: window.map(str::to_ascii_uppercase) })
}

/// Several values of one key are alternatives. Some clients send all filters as one JSON object.
fn filters(index: &UsageIndex, meter: u16, query: &QueryString) -> Result<Vec<Filter>, Problem> {
    let mut given: Vec<(String, String)> = Vec::new();
    for (key, value) in query.bracketed("filterGroupBy") {
        given.push((key.to_owned(), value.to_owned()));
    }
    for text in query.all("filterGroupBy").filter(|text| !text.is_empty()) {
        let members: Map<String, Value> = serde_json::from_str(text).map_err(|_| {
            Problem::bad_request("bad_filter", "filterGroupBy is written as filterGroupBy[name]=value")
        })?;
        given.extend(flattened(members));
    }
    let mut filters: Vec<Filter> = Vec::new();
    for (key, value) in given {
        let dimension = dimension_of(index, meter, &key)?;
        match filters.iter_mut().find(|filter| filter.dimension == dimension) {
            Some(Filter { test: Test::OneOf(values), .. }) => values.push(value),
            _ => filters.push(Filter { dimension, test: Test::OneOf(vec![value]) }),
        }
    }
    Ok(filters)
}

impl Asked {
    /// Start and end of a row.
    fn window(&self, row: &AnswerRow, answer: &Answer) -> (Timestamp, Timestamp) {
        if let Some(window) = row.window {
            return window;
        }
        let span = answer.span.map(|(first, last)| (first.micros(), last.micros())).unwrap_or_default();
        let floor = Timestamp::from_micros(span.0.div_euclid(MINUTE_US) * MINUTE_US);
        let ceiling = Timestamp::from_micros((span.1.div_euclid(MINUTE_US) + 1) * MINUTE_US);
        (self.question.from.unwrap_or(floor), self.question.to.unwrap_or(ceiling))
    }

    /// The answer with numbers as they are: a float would lose digits.
    fn json(&self, answer: &Answer) -> String {
        let mut text = String::from("{");
        for (name, time) in [("from", self.question.from), ("to", self.question.to)] {
            if let Some(time) = time {
                let _ = write!(text, "\"{name}\":\"{time}\",");
            }
        }
        if let Some(window) = &self.window {
            let _ = write!(text, "\"windowSize\":{},", quoted(window));
        }
        text.push_str("\"data\":[");
        for (position, row) in answer.rows.iter().enumerate() {
            if position > 0 {
                text.push(',');
            }
            let (start, end) = self.window(row, answer);
            let subject = row.account.as_deref().map_or_else(|| "null".to_owned(), quoted);
            let groups = self.names.iter().zip(&row.group).map(|(name, value)| {
                format!("{}:{}", quoted(name), quoted(value.as_deref().unwrap_or_default()))
            });
            let groups = groups.collect::<Vec<_>>().join(",");
            let _ = write!(
                text,
                "{{\"value\":{},\"windowStart\":\"{start}\",\"windowEnd\":\"{end}\",\"subject\":{subject},\
                 \"groupBy\":{{{groups}}}}}",
                row.value
            );
        }
        text.push_str("]}");
        text
    }

    fn csv(&self, answer: &Answer) -> String {
        let mut text = String::from("window_start,window_end");
        if self.question.by_account {
            text.push_str(",subject");
        }
        for name in &self.names {
            text.push(',');
            text.push_str(&csv_field(name));
        }
        text.push_str(",value\n");
        for row in &answer.rows {
            let (start, end) = self.window(row, answer);
            let _ = write!(text, "{start},{end}");
            let groups = row.group.iter().map(|value| value.as_deref().unwrap_or_default());
            for field in row.account.as_deref().into_iter().chain(groups) {
                text.push(',');
                text.push_str(&csv_field(field));
            }
            let _ = writeln!(text, ",{}", row.value);
        }
        text
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A field of RFC 4180. What a spreadsheet would run as a formula is text.
fn csv_field(text: &str) -> String {
    let text =
        if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// What is said of [`subjects`].
pub(in crate::http) fn about_subjects(operation: Operation<'_>) -> Operation<'_> {
    of_usage(named(operation.says("OpenMeter", "Accounts with usage of a meter", "Sorted.")))
        .parameters(&TIMES)
        .answers::<Vec<String>>(StatusCode::OK, "The accounts.")
}

/// The subjects with usage of a meter.
pub(in crate::http) async fn subjects(
    State(service): State<Service>,
    Segments(id_or_slug): Segments<String>,
    query: QueryString,
) -> Result<Response, Problem> {
    let index = service.engine.usage();
    let (meter, _) = find(&index, &id_or_slug)?;
    let question = Question { by_account: true, ..of_all(meter, &query)? };
    let answer = ask(&index, question).await?;
    let mut subjects: Vec<String> = answer.rows.into_iter().filter_map(|row| row.account).collect();
    subjects.sort_unstable();
    Ok(json(StatusCode::OK, &subjects))
}

/// What is said of [`values`].
pub(in crate::http) fn about_values(operation: Operation<'_>) -> Operation<'_> {
    of_usage(named(operation.says(
        "OpenMeter",
        "Values of a dimension of a meter",
        "Sorted; no value is an empty one.",
    )))
    .path("key", "Dimension of the meter.")
    .parameters(&TIMES)
    .answers::<Vec<String>>(StatusCode::OK, "The values.")
    .refuses(StatusCode::BAD_REQUEST, &["unknown_dimension"])
}

/// The values of a dimension of a meter.
pub(in crate::http) async fn values(
    State(service): State<Service>,
    Segments((id_or_slug, key)): Segments<(String, String)>,
    query: QueryString,
) -> Result<Response, Problem> {
    let index: Arc<UsageIndex> = service.engine.usage();
    let (meter, _) = find(&index, &id_or_slug)?;
    let dimension = dimension_of(&index, meter, &key)?;
    let question = Question { group_by: vec![dimension], ..of_all(meter, &query)? };
    let answer = ask(&index, question).await?;
    let first = |row: AnswerRow| row.group.into_iter().next().flatten().unwrap_or_default();
    let mut values: Vec<String> = answer.rows.into_iter().map(first).collect();
    values.sort_unstable();
    values.dedup();
    Ok(json(StatusCode::OK, &values))
}

fn of_all(meter: u16, query: &QueryString) -> Result<Question, Problem> {
    let question = Question {
        subjects: Subjects::All,
        meter,
        from: query.time("from")?,
        to: query.time("to")?,
        window: None,
        zone: TimeZone::UTC,
        by_account: false,
        group_by: Vec::new(),
        filters: Vec::new(),
        rows_max: ROWS_MAX,
    };
    check_times(&question)?;
    Ok(question)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f77_text_that_is_a_formula_has_an_apostrophe_and_what_needs_quotes_has_them() {
        for (text, field) in [
            ("gpt-5", "gpt-5"),
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@sum", "'@sum"),
            ("\t=1", "'\t=1"),
            ("\r=1", "\"'\r=1\""),
            ("a\r\nb", "\"a\r\nb\""),
            ("=\"a\",b", "\"'=\"\"a\"\",b\""),
            ("", ""),
        ] {
            assert_eq!(csv_field(text), field, "{text:?}");
        }
    }
}
