//! Routes, each with what the document of the API says of it: there is none without the other.

mod document;
mod operation;
mod parameter;

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, on};
use bytes::Bytes;

use super::Service;
use super::answering::Answering;
use super::tokens::Tokens;
use crate::config::Scope;
use document::Document;
pub(super) use operation::Operation;
pub(super) use parameter::Parameter;

/// Says what an operation takes, and what it answers.
pub(super) type Describe = for<'a> fn(Operation<'a>) -> Operation<'a>;

/// Routes that are being put together.
pub(super) struct Api {
    tokens: Arc<Tokens>,
    router: Router<Service>,
    document: Document,
}

impl Api {
    /// No routes yet.
    pub(super) fn new(tokens: Arc<Tokens>) -> Self {
        Self { tokens, router: Router::new(), document: Document::new() }
    }

    /// `GET`, for those who may do what a scope says; for everybody where there is none.
    pub(super) fn get<H: Handler<T, Service>, T: 'static>(
        self,
        path: &'static str,
        scope: impl Into<Option<Scope>>,
        handler: H,
        about: Describe,
    ) -> Self {
        self.on((&Method::GET, MethodFilter::GET), path, scope.into(), handler, about)
    }

    /// `POST`; see [`Self::get`].
    pub(super) fn post<H: Handler<T, Service>, T: 'static>(
        self,
        path: &'static str,
        scope: impl Into<Option<Scope>>,
        handler: H,
        about: Describe,
    ) -> Self {
        self.on((&Method::POST, MethodFilter::POST), path, scope.into(), handler, about)
    }

    /// `PUT`; see [`Self::get`].
    pub(super) fn put<H: Handler<T, Service>, T: 'static>(
        self,
        path: &'static str,
        scope: impl Into<Option<Scope>>,
        handler: H,
        about: Describe,
    ) -> Self {
        self.on((&Method::PUT, MethodFilter::PUT), path, scope.into(), handler, about)
    }

    /// `DELETE`; see [`Self::get`].
    pub(super) fn delete<H: Handler<T, Service>, T: 'static>(
        self,
        path: &'static str,
        scope: impl Into<Option<Scope>>,
        handler: H,
        about: Describe,
    ) -> Self {
        self.on((&Method::DELETE, MethodFilter::DELETE), path, scope.into(), handler, about)
    }

    fn on<H: Handler<T, Service>, T: 'static>(
        mut self,
        (method, filter): (&Method, MethodFilter),
        path: &'static str,
        scope: Option<Scope>,
        handler: H,
        about: Describe,
    ) -> Self {
        let route = match scope {
            Some(scope) => on(filter, Answering::guarded(Arc::clone(&self.tokens), scope, handler)),
            None => on(filter, Answering::open(handler)),
        };
        self.document.add(method, path, scope, about);
        Self { router: self.router.route(path, route), ..self }
    }

    /// The routes, and their document in JSON.
    pub(super) fn into_parts(self) -> (Router<Service>, Bytes) {
        (self.router, self.document.into_json())
    }
}
