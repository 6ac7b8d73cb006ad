//! The tokens that are known: their secrets, which are read again when their files change, and what they may do.
//!
//! A token whose file is gone, or has no secret that can be used, is unknown from then on: taking a file away revokes it.

use std::fs;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use crate::config::{ConfigError, Scope, ServiceConfig, TokenConfig};
use crate::engine::{Bearer, Quota};

/// Shortest secret that cannot be guessed.
const SECRET_BYTES_MIN: usize = 16;

/// Time after which files are read again while one of them has no secret: it may have been about to be written.
const REVOKED_INTERVAL: Duration = Duration::from_secs(1);

/// The tokens of a configuration.
#[derive(Debug)]
pub(super) struct Tokens {
    all: Arc<[Token]>,
    /// Who asks where there are no tokens.
    anybody: Arc<Bearer>,
    interval: Duration,
    /// When files were read.
    read_at: RwLock<Instant>,
    /// Held by who reads them.
    reading: Mutex<()>,
}

/// A token that is known.
#[derive(Debug)]
pub(super) struct Token {
    configured: TokenConfig,
    bearer: Arc<Bearer>,
    /// Of its secret; nothing where it is revoked.
    hash: RwLock<Option<blake3::Hash>>,
}

impl Token {
    fn read(configured: &TokenConfig, is_sharing: bool) -> Result<Self, ConfigError> {
        let hash = hash_of(configured)?;
        let TokenConfig { name, events_per_second, events_burst, .. } = configured;
        let quota = match (*events_per_second, *events_burst) {
            (Some(rate), burst) => Some(Quota::new(rate, burst.unwrap_or(rate), Instant::now())),
            (None, None) => None,
            (None, Some(_)) => return Err(ConfigError::BurstAlone(name.clone())),
        };
        let bearer = Arc::new(Bearer::new(quota, is_sharing));
        Ok(Self { configured: configured.clone(), bearer, hash: RwLock::new(Some(hash)) })
    }

    pub(super) fn name(&self) -> &str {
        &self.configured.name
    }

    pub(super) fn has(&self, scope: Scope) -> bool {
        self.configured.scopes.contains(&scope)
    }

    pub(super) fn bearer(&self) -> &Arc<Bearer> {
        &self.bearer
    }

    /// Is this the hash of its secret?
    fn is_of(&self, hash: &blake3::Hash) -> bool {
        self.hash.read().unwrap_or_else(PoisonError::into_inner).is_some_and(|known| known == *hash)
    }

    fn is_revoked(&self) -> bool {
        self.hash.read().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Reads its file again.
    fn refresh(&self) {
        let read = hash_of(&self.configured);
        let mut hash = self.hash.write().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(read) if *hash == Some(read) => {}
            Ok(read) => {
                *hash = Some(read);
                tracing::info!(token = self.name(), "the secret of a token has changed");
            }
            Err(error) if hash.is_some() => {
                *hash = None;
                tracing::warn!(token = self.name(), %error, "a token is revoked: its secret cannot be read");
            }
            Err(_) => {}
        }
    }
}

impl Tokens {
    /// Reads the secrets of a configuration.
    pub(super) fn read(config: &ServiceConfig) -> Result<Self, ConfigError> {
        let senders = config.tokens.iter().filter(|token| token.scopes.contains(&Scope::Ingest)).count();
        let tokens = config.tokens.iter().map(|token| Token::read(token, senders > 1));
        Ok(Self {
            all: tokens.collect::<Result<_, _>>()?,
            anybody: Arc::default(),
            interval: Duration::from_millis(config.token_files_interval_ms),
            read_at: RwLock::new(Instant::now()),
            reading: Mutex::default(),
        })
    }

    /// Who asks where there are no tokens: they may do everything.
    pub(super) fn anybody(&self) -> Option<&Arc<Bearer>> {
        self.all.is_empty().then_some(&self.anybody)
    }

    /// The token with a secret. All of them are compared, by their hashes, so that it takes one time whatever comes of it.
    pub(super) fn find(&self, secret: &str) -> Option<&Token> {
        let hash = blake3::hash(secret.as_bytes());
        self.all.iter().fold(None, |found, token| if token.is_of(&hash) { Some(token) } else { found })
    }

    /// Reads files again, where they were not for a while. Whoever asks meanwhile waits: no secret that is older is used.
    pub(super) async fn refresh(&self) {
        if !self.is_due() {
            return;
        }
        let _reading = self.reading.lock().await;
        if !self.is_due() {
            return;
        }
        let tokens = Arc::clone(&self.all);
        let read = spawn_blocking(move || {
            let filed = tokens.iter().filter(|token| token.configured.token.is_none());
            filed.for_each(Token::refresh);
        });
        if read.await.is_ok() {
            *self.read_at.write().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
    }

    /// Are there files that were not read for a while?
    fn is_due(&self) -> bool {
        let read_at = *self.read_at.read().unwrap_or_else(PoisonError::into_inner);
        let interval = if self.all.iter().any(Token::is_revoked) {
            self.interval.min(REVOKED_INTERVAL)
        } else {
            self.interval
        };
        self.all.iter().any(|token| token.configured.token.is_none()) && read_at.elapsed() >= interval
    }
}

fn hash_of(token: &TokenConfig) -> Result<blake3::Hash, ConfigError> {
    let secret = match (&token.token, &token.token_file) {
        (Some(secret), _) => secret.clone(),
        (None, Some(path)) => secret_in(path)?,
        (None, None) => return Err(ConfigError::NoSecret(token.name.clone())),
    };
    let secret = secret.trim();
    if secret.len() < SECRET_BYTES_MIN {
        return Err(ConfigError::ShortSecret(token.name.clone()));
    }
    Ok(blake3::hash(secret.as_bytes()))
}

fn secret_in(path: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(path).map_err(|error| ConfigError::File { path: path.to_owned(), error })
}
