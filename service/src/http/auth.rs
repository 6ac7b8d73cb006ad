//! Bearer tokens: who asks, and may they do it?

use std::sync::Arc;

use axum::extract::Request;
use axum::handler::Handler;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;

use super::Service;
use super::observed::note_token;
use super::problem::Problem;
use super::tokens::Tokens;
use crate::config::Scope;
use crate::engine::Bearer;

/// Who asks, if they may do it. Unknown and wrong tokens get one answer, after one time.
fn check(tokens: &Tokens, headers: &HeaderMap, scope: Scope) -> Result<Arc<Bearer>, Problem> {
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

/// Lets requests through to a handler that may do what a scope says, and says whose they are.
#[derive(Clone, Debug)]
pub(super) struct Guarded<H> {
    pub(super) tokens: Arc<Tokens>,
    pub(super) scope: Scope,
    pub(super) handler: H,
}

impl<H: Handler<T, Service>, T: 'static> Handler<T, Service> for Guarded<H> {
    type Future = BoxFuture<'static, Response>;

    fn call(self, mut request: Request, service: Service) -> Self::Future {
        let Self { tokens, scope, handler } = self;
        Box::pin(async move {
            tokens.refresh().await;
            match check(&tokens, request.headers(), scope) {
                Ok(bearer) => {
                    request.extensions_mut().insert(bearer);
                    handler.call(request, service).await
                }
                Err(problem) => problem.into_response(),
            }
        })
    }
}
