//! `POST /v1/query`: SQL over everything that is committed, which changes nothing.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Service;
use super::api::Operation;
use super::body::read_small;
use super::problem::Problem;
use crate::query_source::{QueryError, QuerySource, RowsFormat};

/// Bytes of a query.
const SQL_BYTES_MAX: usize = 64 << 10;

/// The media type of Arrow IPC streams.
const ARROW: &str = "application/vnd.apache.arrow.stream";

/// A query. Field names are wire names.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Question {
    /// One statement that reads.
    sql: String,
}

/// The rows of an answer in JSON.
#[derive(JsonSchema, Serialize)]
struct RowsDocument {
    /// The epoch it sees.
    epoch: u64,
    /// Names and types of the columns.
    columns: Vec<Map<String, Value>>,
    /// The rows; decimals are texts, exact.
    rows: Vec<Map<String, Value>>,
}

/// What is said of [`post`].
pub(super) fn about(operation: Operation<'_>) -> Operation<'_> {
    let description = "One statement that reads, over the tables and views that `tallybook query` has, at the last epoch. Its \
                       time, memory, rows and bytes are bounded by the configuration; what takes more is refused as a whole.";
    operation
        .says("Usage", "Ask in SQL", description)
        .takes::<Question>()
        .takes_as::<String>("application/sql")
        .reads_small()
        .answers::<RowsDocument>(StatusCode::OK, "The rows.")
        .answers_as::<String>(StatusCode::OK, "text/csv; charset=utf-8", "The rows.")
        .answers_as::<String>(StatusCode::OK, ARROW, "The rows.")
        .refuses(StatusCode::BAD_REQUEST, &["bad_query", "not_a_query"])
        .refuses(StatusCode::NOT_ACCEPTABLE, &["not_acceptable"])
        .refuses(StatusCode::PAYLOAD_TOO_LARGE, &["query_too_long"])
        .refuses(StatusCode::UNSUPPORTED_MEDIA_TYPE, &["unsupported_content_type"])
        .queries()
}

/// Answers a query, as JSON, CSV or Arrow IPC, as `Accept` asks for.
pub(super) async fn post(
    State(service): State<Service>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let source = service.queries()?;
    let bytes = read_small(&service, &headers, body).await?;
    let sql = sql_of(&headers, bytes)?;
    let format = format_of(&headers)?;
    let rows = source.query(sql, format).await?;
    let kind = match format {
        RowsFormat::Json => "application/json",
        RowsFormat::Csv => "text/csv; charset=utf-8",
        RowsFormat::Arrow => ARROW,
    };
    let mut response = rows.bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert("tallybook-epoch", rows.epoch.into());
    headers.insert("tallybook-rows", rows.count.into());
    Ok(response)
}

fn sql_of(headers: &HeaderMap, bytes: Vec<u8>) -> Result<String, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let sql = match media.as_str() {
        "application/json" => {
            let question: Question = serde_json::from_slice(&bytes).map_err(|error| {
                Problem::bad_request("not_a_query", format!("send {{\"sql\": \"SELECT ...\"}}: {error}"))
            })?;
            question.sql
        }
        "application/sql" | "text/plain" => String::from_utf8(bytes)
            .map_err(|_| Problem::bad_request("not_a_query", "the query is not UTF-8"))?,
        _ => {
            let detail = "send application/sql with the query, or application/json with {\"sql\": \"...\"}";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Problem::new(status, "unsupported_content_type", detail));
        }
    };
    if sql.len() > SQL_BYTES_MAX {
        let detail = format!("the query has more than {SQL_BYTES_MAX} bytes: make it shorter");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "query_too_long", detail));
    }
    Ok(sql)
}

/// The first format of `Accept` that there is.
fn format_of(headers: &HeaderMap) -> Result<RowsFormat, Problem> {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut accepted = accepted.flat_map(|value| value.split(',')).peekable();
    if accepted.peek().is_none() {
        return Ok(RowsFormat::Json);
    }
    let format = |media: &str| match media.split(';').next().unwrap_or_default().trim() {
        "application/json" | "application/*" | "*/*" => Some(RowsFormat::Json),
        "text/csv" | "text/*" => Some(RowsFormat::Csv),
        ARROW => Some(RowsFormat::Arrow),
        _ => None,
    };
    accepted.find_map(format).ok_or_else(|| {
        let detail = format!("rows can be had as application/json, text/csv or {ARROW}");
        Problem::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", detail)
    })
}

impl Service {
    fn queries(&self) -> Result<&Arc<dyn QuerySource>, Problem> {
        self.sources.get().and_then(|sources| sources.queries.as_ref()).ok_or_else(|| {
            let detail = "this service has no SQL: `tallybook query` reads its data directory";
            Problem::new(StatusCode::NOT_IMPLEMENTED, "no_queries", detail)
        })
    }

    /// The rows of a query of our own.
    pub(super) async fn rows(&self, sql: String) -> Result<(u64, Vec<Map<String, Value>>), Problem> {
        Ok(self.queries()?.rows(sql).await?)
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        let text = error.to_string();
        match error {
            QueryError::Wrong(_) => Self::bad_request("bad_query", text),
            QueryError::TooLarge(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "query_too_large", text),
            QueryError::Busy => Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", text).retry_after(1),
            QueryError::Failed(_) => {
                tracing::error!(error = text, "a query failed");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", "the data cannot be read: see the log")
            }
        }
    }
}

/// A text as a literal of SQL.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
