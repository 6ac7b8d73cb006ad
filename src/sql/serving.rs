//! Queries of clients: each is answered by a process of its own, which is ended when it takes too long.
//!
//! A query may be anything: whatever it makes of the SQL engine, the service goes on. What the process does is in
//! [`answering`](super::answering).

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::{Map, Value};
use service::config::QueryConfig;
use service::query_source::{QueryError, QuerySource, Rows, RowsFormat, RowsSeen};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::answering::{Header, Refused};

/// This program, also after its file was replaced by another version.
const PROGRAM: &str = "/proc/self/exe";

/// Bytes of an answer beside its rows.
const HEADER_BYTES: u64 = 1 << 20;

/// Answers queries over a data directory.
#[derive(Clone, Debug)]
pub struct Queries {
    data: PathBuf,
    limits: QueryConfig,
    turns: Arc<Semaphore>,
}

impl Queries {
    /// Answers queries over a directory, within limits.
    #[must_use]
    pub fn new(data: PathBuf, limits: QueryConfig) -> Self {
        Self { data, limits, turns: Arc::new(Semaphore::new(limits.at_once.into())) }
    }

    /// Answers a query when it is its turn.
    async fn answer(self, sql: String, format: RowsFormat) -> Result<Rows, QueryError> {
        let _turn = self.turns.try_acquire().map_err(|_| QueryError::Busy)?;
        // Dropped with this future, the process is ended.
        let child = self.start(format).map_err(failed)?;
        let patience = Duration::from_secs(self.limits.seconds_max.into());
        match timeout(patience, self.ask(child, sql)).await {
            Ok(answer) => answer,
            Err(_) => Err(self.too_long()),
        }
    }

    fn too_long(&self) -> QueryError {
        let seconds = self.limits.seconds_max;
        QueryError::TooLarge(format!("the query takes more than {seconds} s: ask for less"))
    }

    fn start(&self, format: RowsFormat) -> std::io::Result<Child> {
        let program =
            if cfg!(target_os = "linux") { PathBuf::from(PROGRAM) } else { std::env::current_exe()? };
        let limits = &self.limits;
        let format = match format {
            RowsFormat::Json => "json",
            RowsFormat::Csv => "csv",
            RowsFormat::Arrow => "arrow",
        };
        let mut command = Command::new(program);
        command.arg("answer-query").arg("--data").arg(&self.data).args(["--format", format]);
        command.args(["--memory-mib", &limits.memory_mib.to_string()]);
        command.args(["--rows-max", &limits.rows_max.to_string()]);
        command.args(["--bytes-max", &limits.answer_bytes_max.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn()
    }

    async fn ask(&self, mut child: Child, sql: String) -> Result<Rows, QueryError> {
        let (Some(mut stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(QueryError::Failed("the query has no pipes".to_owned()));
        };
        let send = async move {
            // A process that ended early says why.
            let _ = stdin.write_all(sql.as_bytes()).await;
        };
        let (mut bytes, mut said) = (Vec::new(), Vec::new());
        let mut answer = stdout.take(self.limits.answer_bytes_max.saturating_add(HEADER_BYTES));
        let mut words = stderr.take(HEADER_BYTES);
        let (read, _, ()) = tokio::join!(answer.read_to_end(&mut bytes), words.read_to_end(&mut said), send);
        read.map_err(failed)?;
        let ended = child.wait().await.map_err(failed)?;
        let border = bytes.iter().position(|byte| *byte == b'\n');
        let header = bytes.get(..border.unwrap_or(0)).and_then(|line| serde_json::from_slice(line).ok());
        match header {
            Some(Header::Rows { epoch, count }) if ended.success() => {
                bytes.drain(..=border.unwrap_or(0));
                Ok(Rows { epoch, count, bytes })
            }
            Some(Header::Refused(Refused::Wrong(text))) => Err(QueryError::Wrong(text)),
            Some(Header::Refused(Refused::TooLarge(text))) => Err(QueryError::TooLarge(text)),
            Some(Header::Refused(Refused::Failed(text))) => Err(QueryError::Failed(text)),
            _ => {
                let said = String::from_utf8_lossy(&said);
                tracing::warn!(%ended, %said, "a query ended its process");
                let what = "the query takes more memory or depth than there is: ask for less";
                Err(QueryError::TooLarge(what.to_owned()))
            }
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what results are mapped with")]
fn failed(error: std::io::Error) -> QueryError {
    QueryError::Failed(error.to_string())
}

impl QuerySource for Queries {
    fn query(&self, sql: String, format: RowsFormat) -> BoxFuture<'static, Result<Rows, QueryError>> {
        Box::pin(self.clone().answer(sql, format))
    }

    fn rows(&self, sql: String) -> BoxFuture<'static, Result<RowsSeen, QueryError>> {
        #[derive(serde::Deserialize)]
        struct Document {
            epoch: u64,
            rows: Vec<Map<String, Value>>,
        }
        let answered = self.clone().answer(sql, RowsFormat::Json);
        Box::pin(async move {
            let document: Document = serde_json::from_slice(&answered.await?.bytes)
                .map_err(|error| QueryError::Failed(error.to_string()))?;
            Ok((document.epoch, document.rows))
        })
    }
}
