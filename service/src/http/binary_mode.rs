//! Events whose attributes are headers: they become the JSON that others send.

use axum::http::{HeaderMap, header};
use serde_json::{Map, Value};

use super::problem::Problem;

/// What the headers of attributes begin with.
const PREFIX: &str = "ce-";

/// An event in JSON.
pub(super) fn event(headers: &HeaderMap, body: &[u8]) -> Result<Vec<u8>, Problem> {
    let mut event = Map::new();
    for (name, value) in headers {
        let Some(attribute) = name.as_str().strip_prefix(PREFIX) else { continue };
        let text = value.to_str().ok().and_then(decoded);
        let text = text.ok_or_else(|| {
            Problem::bad_request("bad_attribute", format!("{name} is no text: write other characters as %XX"))
        })?;
        if event.insert(attribute.to_owned(), Value::String(text)).is_some() {
            return Err(Problem::bad_request(
                "bad_attribute",
                format!("{name} is there twice: send it once"),
            ));
        }
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_json = kind.is_none_or(|kind| {
        let media = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        media == "application/json" || media.ends_with("+json")
    });
    if !is_json {
        let detail = "data is read as JSON: send Content-Type: application/json";
        return Err(Problem::bad_request("data_is_not_json", detail));
    }
    let mut bytes = serde_json::to_vec(&event).unwrap_or_default();
    let data: &[u8] = if body.iter().all(u8::is_ascii_whitespace) { b"null" } else { body };
    if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(data) {
        return Err(Problem::bad_request("data_is_not_json", format!("the body is no JSON value: {error}")));
    }
    // As it is: numbers keep their digits.
    bytes.pop();
    bytes.extend_from_slice(b",\"data\":");
    bytes.extend_from_slice(data);
    bytes.push(b'}');
    Ok(bytes)
}

/// A header value of the CloudEvents binding: `%XX` for what headers cannot hold, quotes around it if its sender
/// likes.
fn decoded(value: &str) -> Option<String> {
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}
