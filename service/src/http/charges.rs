//! `GET /v1/accounts/{id}/charges`: what an account has used and owes so far, and what the next unit costs.
//!
//! The writing thread answers, between two commits: what is told is committed, and whole. It costs a walk over the
//! charges of the account, and waiting for the commit that is under way.

use aggregate::account_charges::ChargeState;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::Service;
use super::events::json;
use super::problem::Problem;

/// `GET /v1/accounts/{id}/charges`.
pub(super) async fn charges(
    State(service): State<Service>,
    Path(account_id): Path<String>,
) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Answer {
        account_id: String,
        /// Everything up to this epoch counts.
        epoch: u64,
        charges: Vec<ChargeState>,
    }
    let known = service.engine.charges(&account_id).await?;
    let Some((epoch, charges)) = known else {
        let detail = "no contract of the catalog names this account";
        return Err(Problem::new(StatusCode::NOT_FOUND, "unknown_account", detail));
    };
    Ok(json(StatusCode::OK, &Answer { account_id, epoch, charges }))
}
