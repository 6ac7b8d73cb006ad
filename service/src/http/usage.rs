//! `GET /v1/usage`: what an account has used of a meter, up to the last commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use schemas::decimal::Decimal;
use schemas::timestamp::Timestamp;
use serde::Serialize;

use super::Service;
use super::api::{Operation, Parameter};
use super::events::json;
use super::problem::Problem;
use super::query_string::QueryString;
use crate::usage::{Answer, Filter, Question, Subjects, Test, UsageError, UsageIndex, WindowSize};

/// Most rows of an answer.
pub(super) const ROWS_MAX: usize = 10_000;

/// What may be asked with.
const PARAMETERS: [Parameter; 8] = [
    Parameter::text("account", "Whose usage.").required(),
    Parameter::text("meter", "Id of a meter of the catalog.").required(),
    Parameter::time("from", "First event time; a `+` of an offset is `%2B`."),
    Parameter::time("to", "Event time that is no longer asked for."),
    Parameter::one_of(
        &["minute", "hour", "day", "month"],
        "window",
        "A value for each; one for all of the time without.",
    ),
    Parameter::text("time_zone", "IANA name: where windows begin. UTC where it is left out."),
    Parameter::texts(
        "group_by",
        "Dimensions of the meter: a value for each combination. Also with commas between.",
    ),
    Parameter::members("filter[", "Only usage with these values of dimensions; an empty one means no value."),
];

/// What was used. Field names are wire names.
#[derive(Debug, Serialize, JsonSchema)]
struct UsageAnswer<'a> {
    /// All of this epoch and those before is in it; later usage may be.
    epoch: u64,
    account: &'a str,
    meter: &'a str,
    aggregation: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    window: Option<&'static str>,
    time_zone: &'a str,
    rows: Vec<UsageRow<'a>>,
}

/// A value. Field names are wire names.
#[derive(Debug, Serialize, JsonSchema)]
struct UsageRow<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    window_start: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window_end: Option<Timestamp>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    group: BTreeMap<&'a str, Option<&'a str>>,
    value: Decimal,
}

/// What is said of [`get`].
pub(super) fn about(operation: Operation<'_>) -> Operation<'_> {
    let codes = [
        "unknown_parameter",
        "missing_parameter",
        "bad_time",
        "bad_window",
        "bad_time_zone",
        "unknown_dimension",
        "usage_too_old",
        "usage_not_kept",
        "answer_too_large",
        "overflow",
    ];
    operation
        .says(
            "Usage",
            "What an account has used of a meter",
            "By window and group, up to the last commit: whoever was told that an event is counted finds it here. \
             Values are exact, or an error. Rows without usage are left out.",
        )
        .parameters(&PARAMETERS)
        .answers::<UsageAnswer<'_>>(StatusCode::OK, "What was used.")
        .refuses(StatusCode::BAD_REQUEST, &codes)
        .refuses(StatusCode::NOT_FOUND, &["unknown_meter"])
        .refuses(StatusCode::INTERNAL_SERVER_ERROR, &["failed"])
}

/// Answers what was used.
pub(super) async fn get(State(service): State<Service>, query: QueryString) -> Result<Response, Problem> {
    query.check_names(&PARAMETERS.map(|parameter| parameter.name))?;
    // IMPORTANT: before the index is asked, which then has all of this epoch.
    let epoch = service.engine.progress().borrow().epoch;
    let index = service.engine.usage();
    let (account, id) = (query.required("account")?, query.required("meter")?);
    let (position, meter) = index.meter(id).ok_or_else(|| unknown_meter(id))?;
    let window = query.one("window")?.map(window_of).transpose()?;
    let zone = query.one("time_zone")?.unwrap_or("UTC");
    let names: Vec<&str> = query.all("group_by").flat_map(|names| names.split(',')).collect();
    let dimension = |name: &str| dimension_of(&index, position, name);
    let filter = |(name, value): (&str, &str)| {
        Ok(Filter { dimension: dimension(name)?, test: Test::OneOf(vec![value.to_owned()]) })
    };
    let question = Question {
        subjects: Subjects::Of(vec![account.to_owned()]),
        meter: position,
        from: query.time("from")?,
        to: query.time("to")?,
        window,
        zone: zone_of(zone)?,
        by_account: false,
        group_by: names.iter().map(|name| dimension(name)).collect::<Result<_, _>>()?,
        filters: query.bracketed("filter").map(filter).collect::<Result<_, Problem>>()?,
        rows_max: ROWS_MAX,
    };
    check_times(&question)?;
    let (from, to) = (question.from, question.to);
    let answer = ask(&index, question).await?;
    let rows = answer.rows.iter().map(|row| UsageRow {
        window_start: row.window.map(|window| window.0),
        window_end: row.window.map(|window| window.1),
        group: names.iter().copied().zip(row.group.iter().map(Option::as_deref)).collect(),
        value: row.value,
    });
    Ok(json(
        StatusCode::OK,
        &UsageAnswer {
            epoch,
            account,
            meter: id,
            aggregation: meter.aggregation.name(),
            unit: meter.unit.as_deref(),
            from,
            to,
            window: window.map(WindowSize::name),
            time_zone: zone,
            rows: rows.collect(),
        },
    ))
}

/// Asks the index on a thread that may take its time.
pub(super) async fn ask(index: &Arc<UsageIndex>, question: Question) -> Result<Answer, Problem> {
    let index = Arc::clone(index);
    let answer = tokio::task::spawn_blocking(move || index.ask(&question)).await;
    let failed = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", "the question was given up");
    Ok(answer.map_err(failed)??)
}

pub(super) fn check_times(question: &Question) -> Result<(), Problem> {
    match (question.from, question.to) {
        (Some(from), Some(to)) if from >= to => {
            Err(Problem::bad_request("bad_time", "from is not before to: ask for [from, to)"))
        }
        _ => Ok(()),
    }
}

pub(super) fn unknown_meter(id: &str) -> Problem {
    let detail = format!("the catalog has no meter {id:?}");
    Problem::new(StatusCode::NOT_FOUND, "unknown_meter", detail)
}

pub(super) fn window_of(name: &str) -> Result<WindowSize, Problem> {
    let unknown = || Problem::bad_request("bad_window", "windows are minute, hour, day or month");
    WindowSize::of_name(&name.to_ascii_lowercase()).ok_or_else(unknown)
}

pub(super) fn zone_of(name: &str) -> Result<TimeZone, Problem> {
    TimeZone::get(name).map_err(|_| {
        let detail = format!("{name:?} is not an IANA time zone, such as UTC or Europe/Berlin");
        Problem::bad_request("bad_time_zone", detail)
    })
}

/// The position of a dimension that a meter has.
pub(super) fn dimension_of(index: &UsageIndex, meter: u16, name: &str) -> Result<usize, Problem> {
    let meter = index.catalog().meters().get(usize::from(meter));
    let dimensions = index.catalog().dimensions();
    let has_it = meter.is_some_and(|meter| meter.dimensions.keys().any(|known| known.as_str() == name));
    let position = dimensions.iter().position(|known| known.as_str() == name);
    position.filter(|_| has_it).ok_or_else(|| {
        let known = meter.map(|meter| meter.dimensions.keys().map(ToString::to_string).collect::<Vec<_>>());
        let known =
            known.filter(|known| !known.is_empty()).map_or("none".to_owned(), |known| known.join(", "));
        let detail = format!("the meter has no dimension {name:?}: there are {known}");
        Problem::bad_request("unknown_dimension", detail)
    })
}

impl From<UsageError> for Problem {
    fn from(error: UsageError) -> Self {
        let code = match &error {
            UsageError::TooOld(_) => "usage_too_old",
            UsageError::NotKept { .. } => "usage_not_kept",
            UsageError::TooManyRows(_) | UsageError::TooManyWindows(_) => "answer_too_large",
            UsageError::Overflow => "overflow",
            UsageError::Time => "bad_time",
            UsageError::UnknownMeter => "unknown_meter",
        };
        Self::bad_request(code, error.to_string())
    }
}
