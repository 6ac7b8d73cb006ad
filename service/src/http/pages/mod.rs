//! Pages for people, and what they are made of. All of it is in the program: no other machine is asked for anything.
//!
//! A page may load and ask this service alone, and runs no script but its own (`Content-Security-Policy`); what comes
//! from events and catalogs is put into it as text.

mod status;

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Service;
use super::api::Operation;
use super::problem::Problem;
use super::segments::Segments;
use super::status::Status;

/// Headers of all pages and of what they are made of.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    // The next version of the program has others.
    (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
];

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";

/// What pages are made of, by name, with media types.
const ASSETS: [(&str, &str, &str); 4] = [
    ("docs.js", "text/javascript; charset=utf-8", include_str!("assets/docs.js")),
    ("icon.svg", "image/svg+xml", include_str!("assets/icon.svg")),
    ("status.js", "text/javascript; charset=utf-8", include_str!("assets/status.js")),
    ("page.css", "text/css; charset=utf-8", include_str!("assets/page.css")),
];

fn sent(kind: &'static str, text: impl IntoResponse) -> Response {
    let mut response = text.into_response();
    response.headers_mut().extend(HEADERS);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// What is said of [`status`].
pub(super) fn about_status(operation: Operation<'_>) -> Operation<'_> {
    operation
        .says(
            "Operation",
            "The status, to look at",
            "A page that shows `GET /v1/status` and follows it. Where the configuration has tokens it is empty, and asks \
             for one.",
        )
        .answers_as::<String>(StatusCode::OK, "text/html", "The page.")
}

/// `GET /`.
pub(super) async fn status(State(service): State<Service>) -> Response {
    let status = service.tokens.anybody().is_some().then(|| Status::of(&service));
    let mut response = sent(HTML, status::page(status.as_ref()));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What is said of [`openapi`].
pub(super) fn about_openapi(operation: Operation<'_>) -> Operation<'_> {
    operation
        .says(
            "Operation",
            "This document",
            "In OpenAPI 3.1, made of the routes and types of the program that answers.",
        )
        .answers::<serde_json::Map<String, serde_json::Value>>(StatusCode::OK, "The document.")
}

/// `GET /openapi.json`.
pub(super) async fn openapi(State(service): State<Service>) -> Response {
    sent("application/json", service.document.get().cloned().unwrap_or_default())
}

/// What is said of [`docs`].
pub(super) fn about_docs(operation: Operation<'_>) -> Operation<'_> {
    operation
        .says("Operation", "This document, to read", "A page that asks no other machine for anything.")
        .answers_as::<String>(StatusCode::OK, "text/html", "The page.")
}

/// `GET /docs`.
pub(super) async fn docs() -> Response {
    sent(HTML, include_str!("assets/docs.html"))
}

/// What is said of [`asset`].
pub(super) fn about_asset(operation: Operation<'_>) -> Operation<'_> {
    operation
        .says("Operation", "What pages are made of", "Scripts, styles and pictures.")
        .path("name", "Name of a file.")
        .answers_as::<String>(StatusCode::OK, "text/javascript", "The file.")
        .answers_as::<String>(StatusCode::OK, "text/css", "The file.")
        .answers_as::<String>(StatusCode::OK, "image/svg+xml", "The file.")
        .refuses(StatusCode::NOT_FOUND, &["unknown_asset"])
}

/// `GET /assets/{name}`.
pub(super) async fn asset(Segments(name): Segments<String>) -> Result<Response, Problem> {
    let asset = ASSETS.into_iter().find(|(known, ..)| *known == name);
    let unknown =
        || Problem::new(StatusCode::NOT_FOUND, "unknown_asset", "no page has this: see / and /docs");
    let (_, kind, text) = asset.ok_or_else(unknown)?;
    Ok(sent(kind, text))
}
