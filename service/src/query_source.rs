//! Who answers SQL: the program gives the service one.

use std::fmt::Debug;

use futures::future::BoxFuture;
use serde_json::{Map, Value};

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowsFormat {
    /// One JSON document.
    Json,
    /// CSV with a header.
    Csv,
    /// An Arrow IPC stream.
    Arrow,
}

/// The answer to a query.
#[derive(Clone, Debug)]
pub struct Rows {
    /// The epoch it sees.
    pub epoch: u64,
    /// How many there are.
    pub count: usize,
    /// The rows, as they were asked for.
    pub bytes: Vec<u8>,
}

/// Rows, and the epoch they are of.
pub type RowsSeen = (u64, Vec<Map<String, Value>>);

/// Why a query has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// It is no query, or asks for what there is not; or it would change something.
    #[error("{0}")]
    Wrong(String),
    /// It takes more of something than a query may.
    #[error("{0}")]
    TooLarge(String),
    /// As many are answered as may be at once.
    #[error("as many queries are being answered as may be at once")]
    Busy,
    /// The data cannot be read.
    #[error("{0}")]
    Failed(String),
}

/// Answers SQL over what is committed. Queries change nothing, and are bounded in time, memory and rows.
pub trait QuerySource: Debug + Send + Sync {
    /// Answers a query.
    fn query(&self, sql: String, format: RowsFormat) -> BoxFuture<'static, Result<Rows, QueryError>>;

    /// The rows of a query of our own, and the epoch it sees.
    fn rows(&self, sql: String) -> BoxFuture<'static, Result<RowsSeen, QueryError>>;
}
