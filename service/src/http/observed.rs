//! What every request has: an id that it is found by, a line in the log, and its place in the metrics.
//!
//! What is logged of a request is of closed lists, or was checked: no client writes line ends or escapes into the log. Good answers
//! are logged at debug, so that a service that is asked much does not write much.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use tracing::field::Empty;
use tracing::{Instrument, Span, debug, info, warn};

use super::Service;

/// Header that carries the id of a request, both ways.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that a client may give.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// Route of requests for which there is none.
const NO_ROUTE: &str = "unknown";

tokio::task_local! {
    /// The id of the request that this task answers.
    static CURRENT: HeaderValue;
}

/// The id of the request that is being answered.
pub(super) fn request_id() -> Option<String> {
    let id = CURRENT.try_with(|id| id.to_str().map(ToOwned::to_owned));
    id.ok()?.ok()
}

/// Says who asks, by the name of a token.
pub(super) fn note_token(name: &str) {
    Span::current().record("token", name);
}

/// Says how many bytes of a body arrived.
pub(super) fn note_bytes(bytes: u64) {
    Span::current().record("bytes", bytes);
}

/// Answers a request under its id, and tells of it.
pub(super) async fn observe(
    service: Service,
    request: Request,
    answer: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let began = Instant::now();
    let id = given_id(request.headers()).unwrap_or_else(new_id);
    let method = name_of(request.method());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    let request_id = id.to_str().unwrap_or_default();
    let span = tracing::error_span!("request", request_id, method, route, token = Empty, bytes = Empty);
    let mut response = CURRENT.scope(id.clone(), answer(request)).instrument(span.clone()).await;
    let (status, took) = (response.status(), began.elapsed());
    service.engine.metrics().note_request(route, method, status.as_u16(), took);
    let _entered = span.enter();
    let (status, duration_us) = (status.as_u16(), u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    match response.status() {
        good if !good.is_client_error() && !good.is_server_error() => debug!(status, duration_us, "answered"),
        // There may be many of them, and metrics count them.
        StatusCode::SERVICE_UNAVAILABLE => info!(status, duration_us, "refused"),
        bad if bad.is_client_error() => info!(status, duration_us, "refused"),
        _ => warn!(status, duration_us, "failed"),
    }
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// The id that a client gives, if it is one that may be written anywhere.
fn given_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut values = headers.get_all(REQUEST_ID).iter();
    let (value, other) = (values.next()?, values.next());
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"'`\\".contains(byte);
    let bytes = value.as_bytes();
    let is_fine = (1..=REQUEST_ID_BYTES_MAX).contains(&bytes.len()) && bytes.iter().all(is_plain);
    (is_fine && other.is_none()).then(|| value.clone())
}

/// An id that no other request has: a random number of the process, and the number of the request.
fn new_id() -> HeaderValue {
    static PROCESS: OnceLock<u64> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let process = PROCESS.get_or_init(|| RandomState::new().build_hasher().finish());
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    // Hexadecimal digits are fine in a header.
    HeaderValue::from_str(&format!("{process:016x}{number:08x}"))
        .unwrap_or_else(|_| HeaderValue::from_static("-"))
}

fn name_of(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_a_client_is_kept_where_it_may_be_written_anywhere() {
        let longest = "a".repeat(REQUEST_ID_BYTES_MAX);
        let longer = format!("{longest}a");
        let cases: [(&[&[u8]], bool); 9] = [
            (&[b"trace-1/2:3"], true),
            (&[longest.as_bytes()], true),
            (&[longer.as_bytes()], false),
            (&[b""], false),
            (&[b"two words"], false),
            (&[b"\"quoted\""], false),
            (&[b"a\xffb"], false),
            (&[b"one", b"two"], false),
            (&[], false),
        ];
        for (values, is_kept) in cases {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(REQUEST_ID, HeaderValue::from_bytes(value).unwrap());
            }
            assert_eq!(given_id(&headers).is_some(), is_kept, "{values:?}");
        }
        assert_ne!(new_id(), new_id());
    }
}
