//! Bearer tokens: who asks, and what they may do.

use std::fs;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use crate::config::{ConfigError, Scope, TokenConfig};

/// Shortest secret that cannot be guessed.
const SECRET_BYTES_MIN: usize = 16;

/// The tokens that are known, by the hash of their secrets.
#[derive(Clone, Debug, Default)]
pub(super) struct Tokens(Vec<Token>);

#[derive(Clone, Debug)]
struct Token {
    name: String,
    hash: blake3::Hash,
    scopes: Vec<Scope>,
}

impl Tokens {
    /// Reads the secrets of a configuration.
    pub(super) fn read(configured: &[TokenConfig]) -> Result<Self, ConfigError> {
        let token = |token: &TokenConfig| {
            let secret = match (&token.token, &token.token_file) {
                (Some(secret), _) => secret.clone(),
                (None, Some(path)) => {
                    let read = fs::read_to_string(path);
                    read.map_err(|error| ConfigError::File { path: path.clone(), error })?
                }
                (None, None) => return Err(ConfigError::NoSecret(token.name.clone())),
            };
            let secret = secret.trim();
            if secret.len() < SECRET_BYTES_MIN {
                return Err(ConfigError::ShortSecret(token.name.clone()));
            }
            let hash = blake3::hash(secret.as_bytes());
            Ok(Token { name: token.name.clone(), hash, scopes: token.scopes.clone() })
        };
        configured.iter().map(token).collect::<Result<_, _>>().map(Self)
    }

    /// May everybody do everything?
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Who asks, if they may do it. Unknown and wrong tokens get one answer, after one time: hashes are compared,
    /// all of them.
    fn check(&self, headers: &HeaderMap, scope: Scope) -> Result<(), Problem> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let value = values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok());
        let (scheme, secret) = value.and_then(|value| value.split_once(' ')).unwrap_or_default();
        let hash = blake3::hash(secret.trim().as_bytes());
        let found =
            self.0.iter().fold(None, |found, token| if token.hash == hash { Some(token) } else { found });
        let Some(token) = found.filter(|_| scheme.eq_ignore_ascii_case("bearer")) else {
            let detail = "send `Authorization: Bearer` and a token that the service knows";
            let problem = Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail);
            return Err(problem.header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
        };
        if token.scopes.contains(&scope) {
            return Ok(());
        }
        tracing::info!(token = token.name, scope = scope.name(), "a token was used beyond its scopes");
        let detail = format!("this token does not have the scope {}", scope.name());
        Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail))
    }
}

/// Lets requests through that may do what a scope says.
pub(super) async fn require(
    State((tokens, scope)): State<(Tokens, Scope)>,
    request: Request,
    next: Next,
) -> Response {
    match tokens.check(request.headers(), scope) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}
