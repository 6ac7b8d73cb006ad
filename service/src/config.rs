//! What the service is told at its start.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;

use serde::Deserialize;

use crate::engine::EngineOptions;

/// The configuration, as a file has it. Field names are wire names.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceConfig {
    /// Data directory.
    pub data: PathBuf,
    /// Directory of the catalog.
    pub catalog: PathBuf,
    /// Months for which an event is told from a repeat of it.
    pub dedup_months: u16,
    /// Most memory for identities of events, in MiB.
    pub dedup_memory_mib: u32,
    /// Days of usage that `GET /v1/usage` can be asked for; they are in memory.
    pub usage_days: u16,
    /// Threads that decode; one per core when left out.
    pub threads: Option<u16>,
    /// What is logged: error, warn, info, debug or trace.
    pub log: String,
    /// Is the log JSON, for machines?
    pub log_json: bool,
    /// Address to listen on.
    pub listen: SocketAddr,
    /// May an address that others can reach be served without TLS and tokens?
    pub insecure: bool,
    /// Certificate and key; without them the service speaks plain HTTP.
    pub tls: Option<TlsConfig>,
    /// Who may do what; without any, everybody on this machine may do everything.
    pub tokens: Vec<TokenConfig>,
    /// Time after which files with secrets of tokens are read again, in milliseconds.
    pub token_files_interval_ms: u64,
    /// What a client may ask for.
    pub limits: Limits,
    /// How events are committed.
    pub commit: CommitConfig,
    /// What a query may take.
    pub query: QueryConfig,
}

/// Files in PEM form.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The certificate, and those that it needs.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// A token, and what its bearer may do.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    /// Name, for logs.
    pub name: String,
    /// The secret. Better: in a file of its own.
    #[serde(default)]
    pub token: Option<String>,
    /// File that holds the secret.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// What may be done.
    pub scopes: Vec<Scope>,
    /// Events that may be sent in a second, on average; as many as there are where nobody says.
    #[serde(default)]
    pub events_per_second: Option<NonZeroU64>,
    /// Events that may be sent at once after a pause; those of a second where nobody says.
    #[serde(default)]
    pub events_burst: Option<NonZeroU64>,
}

impl fmt::Debug for TokenConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, scopes, .. } = self;
        formatter
            .debug_struct("TokenConfig")
            .field("name", name)
            .field("scopes", scopes)
            .finish_non_exhaustive()
    }
}

/// What a token allows.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Sending events.
    Ingest,
    /// Reading usage, rated usage, accruals, quarantine and figures of operation.
    Read,
    /// Changing the catalog, and replaying quarantine.
    Admin,
}

impl Scope {
    /// Wire name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }
}

/// What a client may ask for.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections at once.
    pub connections_max: usize,
    /// Connections at once of one address; of version 6, of one network of 64 bits.
    pub connections_per_address_max: usize,
    /// Bytes of a body, decompressed.
    pub body_bytes_max: usize,
    /// How many times larger a body may become when it is decompressed; small ones may always.
    pub compression_ratio_max: usize,
    /// Events of a request, those that are streamed as lines excepted.
    pub request_events_max: usize,
    /// Bytes of requests that wait for their commit, with a KiB for each of them.
    pub waiting_bytes_max: usize,
    /// Time for the headers of a request, in milliseconds.
    pub header_timeout_ms: u64,
    /// Time without a byte of a body, in milliseconds.
    pub body_timeout_ms: u64,
    /// Bytes of a body that have to arrive in a second, on average.
    pub body_bytes_per_second_min: u64,
    /// Time without a client taking anything of an answer that waits for it, in milliseconds.
    pub answer_timeout_ms: u64,
    /// Bytes of the headers of a request.
    pub header_bytes_max: usize,
    /// Requests at once on a connection of HTTP/2.
    pub streams_max: u32,
}

/// How events are committed.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CommitConfig {
    /// Events of an epoch.
    pub epoch_events_max: u64,
    /// Time between rounds of accruals, in milliseconds.
    pub accrual_interval_ms: u64,
    /// Bytes that stay free on the disk: events are refused before it is full.
    pub free_bytes_min: u64,
}

/// What a query may take.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueryConfig {
    /// Queries at once, each on a thread of its own.
    pub at_once: u16,
    /// Seconds.
    pub seconds_max: u32,
    /// Memory, in MiB.
    pub memory_mib: u32,
    /// Rows of an answer.
    pub rows_max: u32,
    /// Bytes of an answer.
    pub answer_bytes_max: u64,
}

impl Default for QueryConfig {
    fn default() -> Self {
        Self { at_once: 2, seconds_max: 30, memory_mib: 256, rows_max: 100_000, answer_bytes_max: 64 << 20 }
    }
}

impl Default for ServiceConfig {
    fn default() -> Self {
        Self {
            data: PathBuf::from("data"),
            catalog: PathBuf::from("catalog"),
            dedup_months: 13,
            dedup_memory_mib: 1024,
            usage_days: 62,
            threads: None,
            log: "info".to_owned(),
            log_json: false,
            listen: SocketAddr::from(([127, 0, 0, 1], 8484)),
            insecure: false,
            tls: None,
            tokens: Vec::new(),
            token_files_interval_ms: 10_000,
            limits: Limits::default(),
            commit: CommitConfig::default(),
            query: QueryConfig::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            connections_per_address_max: 2_000,
            body_bytes_max: 10 << 20,
            compression_ratio_max: 100,
            request_events_max: 10_000,
            waiting_bytes_max: 64 << 20,
            header_timeout_ms: 10_000,
            body_timeout_ms: 10_000,
            body_bytes_per_second_min: 1_024,
            answer_timeout_ms: 30_000,
            header_bytes_max: 32 << 10,
            streams_max: 128,
        }
    }
}

impl Default for CommitConfig {
    fn default() -> Self {
        Self { epoch_events_max: 1 << 17, accrual_interval_ms: 60_000, free_bytes_min: 256 << 20 }
    }
}

/// What variables of the environment begin with.
const VARIABLES: &str = "TALLYBOOK_";

/// Sets what a path of names with `__` between them says.
fn set(table: &mut toml::Table, path: &str, text: &str) -> Option<()> {
    let (name, rest) = path.split_once("__").map_or((path, None), |(name, rest)| (name, Some(rest)));
    if let Some(rest) = rest {
        let inner = table.entry(name).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        return set(inner.as_table_mut()?, rest, text);
    }
    // Numbers and truth values are what they look like; everything else is text.
    let value = match text.parse::<i64>() {
        Ok(number) => toml::Value::Integer(number),
        Err(_) => text.parse().map_or_else(|_| toml::Value::String(text.to_owned()), toml::Value::Boolean),
    };
    table.insert(name.to_owned(), value);
    Some(())
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be understood.
    #[error("{0}")]
    Unreadable(String),
    /// A variable of the environment names no setting.
    #[error("the variable {0} names no setting: `tallybook config show` has all of them")]
    Variable(String),
    /// Others could read and send everything.
    #[error(
        "{0} can be reached from other machines: set tls and tokens, or `insecure = true` where something else protects it"
    )]
    Open(SocketAddr),
    /// A token has no secret.
    #[error("token {0:?} has neither token nor token_file: give it one of them")]
    NoSecret(String),
    /// A secret can be guessed.
    #[error(
        "token {0:?} is shorter than 16 bytes: make a longer one, for instance with `openssl rand -hex 32`"
    )]
    ShortSecret(String),
    /// A burst of no rate.
    #[error("token {0:?} has events_burst and no events_per_second: give it both, or the second one")]
    BurstAlone(String),
    /// A file cannot be read.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: std::io::Error,
    },
    /// A certificate or a key cannot be used.
    #[error("{path}: {what}")]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A limit that lets nothing through.
    #[error("{0} is 0: nothing could be done")]
    Zero(&'static str),
}

impl ServiceConfig {
    /// Reads a configuration in TOML, with settings of the environment over it: `TALLYBOOK_LISTEN` is `listen`, and
    /// `TALLYBOOK_LIMITS__BODY_BYTES_MAX` is `body_bytes_max` in `limits`.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`] with the place.
    pub fn read(
        text: &str,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let unreadable = |error: toml::de::Error| ConfigError::Unreadable(error.to_string());
        // With the place of what is wrong in the text.
        let _: Self = toml::from_str(text).map_err(unreadable)?;
        let mut table: toml::Table = toml::from_str(text).map_err(unreadable)?;
        let mut variables = Vec::new();
        for (name, value) in environment {
            let Some(path) = name.strip_prefix(VARIABLES) else { continue };
            if path.starts_with("TEST_") {
                continue;
            }
            set(&mut table, &path.to_ascii_lowercase(), &value)
                .ok_or_else(|| ConfigError::Variable(name.clone()))?;
            variables.push(name);
        }
        table.try_into().map_err(|error: toml::de::Error| {
            ConfigError::Unreadable(format!("{error} (in {})", variables.join(", ")))
        })
    }

    /// How an engine works under it, with so many threads that decode.
    #[must_use]
    pub const fn engine_options(&self, decoders: usize) -> EngineOptions {
        EngineOptions {
            decoders,
            waiting_bytes_max: self.limits.waiting_bytes_max,
            request_events_max: self.limits.request_events_max,
            epoch_events_max: self.commit.epoch_events_max,
            accrual_interval_ms: self.commit.accrual_interval_ms,
            free_bytes_min: self.commit.free_bytes_min,
            usage_days: self.usage_days,
        }
    }

    /// Looks for what would make the service useless or open to everybody.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn check(&self) -> Result<(), ConfigError> {
        let is_protected = self.tls.is_some() && !self.tokens.is_empty();
        if !self.listen.ip().is_loopback() && !is_protected && !self.insecure {
            return Err(ConfigError::Open(self.listen));
        }
        let limits = &self.limits;
        let zero = [
            ("limits.connections_max", limits.connections_max),
            ("limits.connections_per_address_max", limits.connections_per_address_max),
            ("limits.body_bytes_max", limits.body_bytes_max),
            ("limits.request_events_max", limits.request_events_max),
            ("limits.waiting_bytes_max", limits.waiting_bytes_max),
            ("limits.header_bytes_max", limits.header_bytes_max),
            ("query.at_once", self.query.at_once.into()),
        ];
        zero.into_iter()
            .find(|(_, value)| *value == 0)
            .map_or(Ok(()), |(name, _)| Err(ConfigError::Zero(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is delivered as the configuration to begin with.
    const DELIVERED: &str = include_str!("../../deploy/tallybook.toml");

    fn read(text: &str) -> ServiceConfig {
        ServiceConfig::read(text, std::iter::empty()).unwrap()
    }

    #[test]
    fn the_delivered_configuration_says_what_holds_without_it_and_has_every_setting() {
        assert_eq!(format!("{:?}", read(DELIVERED)), format!("{:?}", ServiceConfig::default()));
        // What it has as a comment can be uncommented.
        let is_setting = |line: &str| line.starts_with('[') || line.split(' ').nth(1) == Some("=");
        let uncomment =
            |line: &'static str| line.strip_prefix("# ").filter(|rest| is_setting(rest)).unwrap_or(line);
        let whole: Vec<&str> = DELIVERED.lines().map(uncomment).collect();
        let config = read(&whole.join("\n"));
        assert!(config.tls.is_some() && config.tokens.len() == 1 && config.threads.is_some(), "{config:?}");
        let named: toml::Table = toml::from_str(&whole.join("\n")).unwrap();
        let shown = format!("{:?}", ServiceConfig::default());
        let settings = shown.split([' ', '{']).filter_map(|word| word.strip_suffix(':'));
        for setting in settings {
            let is_in =
                |table: &toml::Value| table.as_table().is_some_and(|table| table.contains_key(setting));
            assert!(named.contains_key(setting) || named.values().any(is_in), "{setting} is not in it");
        }
    }
}
