//! `GET /v1/accounts/{id}/charges`: what an account has used and owes so far, and what the next unit costs.
//!
//! The writing thread answers, between two commits: what is told is committed, and whole. It costs a walk over the
//! charges of the account, and waiting for the commit that is under way.

use aggregate::account_charges::ChargeState;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use super::Service;
use super::api::Operation;
use super::events::json;
use super::problem::Problem;
use super::segments::Segments;

/// The charges of an account. Field names are wire names.
#[derive(Debug, Serialize, JsonSchema)]
struct AccountAnswer {
    account_id: String,
    /// Everything up to this epoch counts.
    epoch: u64,
    /// By contract line, meter, billing period and group; the newest first.
    charges: Vec<ChargeState>,
}

/// What is said of [`charges`].
pub(super) fn about(operation: Operation<'_>) -> Operation<'_> {
    operation
        .says(
            "Billing",
            "What an account has used and owes so far",
            "Per contract line, meter, billing period and group: quantity and exact amount so far, price model, the \
             tier that is reached, and what one unit more costs. What is told is committed, and whole.",
        )
        .path("id", "Account, as events name it in `subject`.")
        .answers::<AccountAnswer>(StatusCode::OK, "The charges.")
        .refuses(StatusCode::NOT_FOUND, &["unknown_account"])
        .waits()
}

/// `GET /v1/accounts/{id}/charges`.
pub(super) async fn charges(
    State(service): State<Service>,
    Segments(account_id): Segments<String>,
) -> Result<Response, Problem> {
    let known = service.engine.charges(&account_id).await?;
    let Some((epoch, charges)) = known else {
        let detail = "no contract of the catalog names this account";
        return Err(Problem::new(StatusCode::NOT_FOUND, "unknown_account", detail));
    };
    Ok(json(StatusCode::OK, &AccountAnswer { account_id, epoch, charges }))
}
