//! Work that may take its time, off the event loop.

use std::fmt::Display;

use axum::http::StatusCode;

use super::problem::Problem;

/// Does work on a thread of its own.
pub(super) async fn off_the_loop<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|error| unreadable(&error))
}

/// Reads what the data directory has.
pub(super) async fn read_off_the_loop<T: Send + 'static, E: Display + Send + 'static>(
    read: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, Problem> {
    off_the_loop(read).await?.map_err(|error| unreadable(&error))
}

/// Does what has to be ended once it is begun, also where the client goes away meanwhile.
pub(super) async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    tokio::spawn(work).await.map_err(|error| unreadable(&error))?
}

/// What is told of data that cannot be read; the log says why.
fn unreadable(error: &dyn Display) -> Problem {
    tracing::error!(%error, "the data directory cannot be read");
    let detail =
        "the data cannot be read: the log of the service says why, and `tallybook doctor` what is affected";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "unreadable", detail)
}
