//! Bearer tokens: who asks, and may they do it?

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};

use super::observed::note_token;
use super::problem::Problem;
use super::tokens::Tokens;
use crate::config::Scope;
use crate::engine::Bearer;

/// Who asks, if they may do it. Unknown and wrong tokens get one answer, after one time.
pub(super) fn check(tokens: &Tokens, headers: &HeaderMap, scope: Scope) -> Result<Arc<Bearer>, Problem> {
    if let Some(anybody) = tokens.anybody() {
        return Ok(Arc::clone(anybody));
    }
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok());
    let (scheme, secret) = value.and_then(|value| value.split_once(' ')).unwrap_or_default();
    let found = tokens.find(secret.trim());
    let Some(token) = found.filter(|_| scheme.eq_ignore_ascii_case("bearer")) else {
        let detail = "send `Authorization: Bearer` and a token that the service knows";
        let problem = Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail);
        return Err(problem.header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
    };
    note_token(token.name());
    if token.has(scope) {
        return Ok(Arc::clone(token.bearer()));
    }
    tracing::info!(token = token.name(), scope = scope.name(), "a token was used beyond its scopes");
    let detail = format!("this token does not have the scope {}", scope.name());
    Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail))
}
