//! What went wrong, as `application/problem+json` (RFC 9457): what, where, and how to mend it.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::observed::request_id;
use crate::engine::{EngineError, Verdicts};

/// An answer that is no success.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    /// Closed code, in one word.
    code: &'static str,
    detail: String,
    /// Seconds after which it is worth another try.
    retry_after: Option<u32>,
    /// Members that only some problems have.
    members: Map<String, Value>,
    /// A header that the answer has to have.
    header: Option<Box<(header::HeaderName, HeaderValue)>>,
}

/// An answer that is no success (RFC 9457).
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(super) struct ProblemDocument<'a> {
    /// The code as a URN.
    #[serde(rename = "type")]
    kind: String,
    /// The status in words.
    title: &'a str,
    /// The status of the answer.
    status: u16,
    /// What is wrong, and how to mend it.
    detail: &'a str,
    /// What is wrong, in one word, for programs.
    code: &'a str,
    /// What the request is found by in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(flatten)]
    members: &'a Map<String, Value>,
}

impl Problem {
    /// A problem of a status, with its code and what to do.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let (detail, members) = (detail.into(), Map::new());
        Self { status, code, detail, retry_after: None, members, header: None }
    }

    /// A request that makes no sense.
    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// The same, worth another try after so many seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// The same, with what became of each event.
    #[must_use]
    pub fn verdicts(self, verdicts: &Verdicts) -> Self {
        self.member("verdicts", &verdicts.verdicts).member("remarks", &verdicts.remarks)
    }

    /// The same, with a member of its own.
    #[must_use]
    pub fn member(mut self, name: &str, value: &impl Serialize) -> Self {
        // What is told has only texts as keys, so it can be written.
        self.members.insert(name.to_owned(), serde_json::to_value(value).unwrap_or_default());
        self
    }

    /// The same, with a header.
    #[must_use]
    pub fn header(self, name: header::HeaderName, value: HeaderValue) -> Self {
        Self { header: Some(Box::new((name, value))), ..self }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.code, self.detail)
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        let (code, seconds) = match &error {
            EngineError::Overloaded => ("overloaded", 1),
            EngineError::OverQuota(over) => ("over_quota", over.seconds),
            EngineError::DiskFull => ("disk_full", 30),
            EngineError::Ending => ("ending", 5),
            EngineError::Stopped(_) => ("stopped", 10),
            EngineError::Failed(what) => {
                return Self::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", what.clone());
            }
        };
        let status = match &error {
            EngineError::OverQuota(_) => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        let detail = match &error {
            // What the disk said is for the log.
            EngineError::Stopped(_) => "the service cannot commit and has to be started again".to_owned(),
            error => error.to_string(),
        };
        let detail = format!("{detail}; sending the events again later is safe");
        Self::new(status, code, detail).retry_after(seconds)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemDocument {
            kind: format!("urn:tallybook:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Problem"),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            request_id: request_id(),
            members: &self.members,
        };
        // A problem has only texts as keys, so writing it cannot fail.
        let mut body = serde_json::to_vec(&body).unwrap_or_default();
        // For terminals.
        body.push(b'\n');
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        headers.extend(self.header.map(|header| *header));
        response
    }
}
