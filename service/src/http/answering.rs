//! What every request goes through: it gets an id, is let in or not, is answered, and is told of.
//!
//! It is one handler around another, and not layers of the router: those put each request into boxes of their own, which
//! takes longer than what they do.

use std::sync::Arc;

use axum::extract::Request;
use axum::handler::Handler;
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;

use super::Service;
use super::auth::check;
use super::observed::observe;
use super::tokens::Tokens;
use crate::config::Scope;

/// A handler with what is done before and after it.
#[derive(Clone, Debug)]
pub(super) struct Answering<H> {
    /// Who may ask; everybody where it is left out.
    guard: Option<(Arc<Tokens>, Scope)>,
    handler: H,
}

impl<H> Answering<H> {
    /// Answers those who may do what a scope says.
    pub(super) const fn guarded(tokens: Arc<Tokens>, scope: Scope, handler: H) -> Self {
        Self { guard: Some((tokens, scope)), handler }
    }

    /// Answers everybody.
    pub(super) const fn open(handler: H) -> Self {
        Self { guard: None, handler }
    }
}

impl<H: Handler<T, Service>, T: 'static> Handler<T, Service> for Answering<H> {
    type Future = BoxFuture<'static, Response>;

    fn call(self, request: Request, service: Service) -> Self::Future {
        Box::pin(observe(service.clone(), request, async move |mut request: Request| {
            if let Some((tokens, scope)) = self.guard {
                tokens.refresh().await;
                match check(&tokens, request.headers(), scope) {
                    Ok(bearer) => request.extensions_mut().insert(bearer),
                    Err(problem) => return problem.into_response(),
                };
            }
            self.handler.call(request, service).await
        }))
    }
}
