//! A billing system that reads a stream by its cursor, whatever becomes of the service.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use serde_json::Value;
use tokio::time::sleep;

use crate::service_process::Requests;

const PAUSE: Duration = Duration::from_micros(500);

/// Answers in a row that say that the disk cannot be read, after which a reader waits for the next process.
const FAILURES_MAX: u32 = 20;

/// What it has.
pub(crate) struct Reader {
    path: &'static str,
    cursor: String,
    pub(crate) events: Vec<Value>,
}

impl Reader {
    pub(crate) const fn new(path: &'static str) -> Self {
        Self { path, cursor: String::new(), events: Vec::new() }
    }

    /// Reads on while there is a process and a client of it that sends.
    pub(crate) async fn run(
        mut self,
        requests: Requests,
        is_over: impl Fn() -> bool,
    ) -> Result<Self, String> {
        let mut failures = 0;
        while requests.is_running() && !is_over() && failures < FAILURES_MAX {
            match self.read(&requests).await? {
                Some(true) => failures = 0,
                Some(false) => sleep(PAUSE).await,
                None => {
                    failures += 1;
                    sleep(PAUSE).await;
                }
            }
        }
        Ok(self)
    }

    /// Reads to the end of what there is.
    pub(crate) async fn read_to_the_end(&mut self, requests: &Requests) -> Result<(), String> {
        while self.read(requests).await?.ok_or("nobody answers a reader")? {}
        Ok(())
    }

    /// Reads the next events: are there more? Nothing where nobody answers.
    async fn read(&mut self, requests: &Requests) -> Result<Option<bool>, String> {
        let limit = 1 + self.events.len() * 5 % 9;
        let path = format!("{}?limit={limit}&after={}", self.path, self.cursor);
        let Some(heard) = requests.send(Request::get(path).body(Body::empty()).unwrap(), None).await else {
            return Ok(None);
        };
        match heard.status {
            200 => {}
            500 if !requests.is_calm() => return Ok(None),
            status => return Err(format!("a reader was told {status}: {}", heard.text)),
        }
        let answered: Value = serde_json::from_str(&heard.text).map_err(|error| error.to_string())?;
        self.events.extend_from_slice(answered["events"].as_array().ok_or("no events")?);
        answered["cursor"].as_str().ok_or("no cursor")?.clone_into(&mut self.cursor);
        Ok(Some(answered["is_last"] == false))
    }
}
