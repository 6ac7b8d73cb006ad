//! Control totals: where every event went, so that conservation can be queried (CONS-1).
//!
//! `received = rated + unrated + duplicate + conflict + rejected + voided`, in every row. A row is what one
//! epoch changed, so that counts add up over epochs: an event that is read again and priced then is one less
//! rejected and one more rated, and not received again.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::columns::{epoch, text};

/// Where the events of one source, type and calendar month (UTC) went in an epoch; a count is negative
/// where earlier epochs counted events that went elsewhere since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ControlTotal {
    /// Producer; absent for events whose source could not be read.
    pub source: Option<String>,
    /// Event type; absent where it could not be read.
    pub event_type: Option<String>,
    /// Calendar month of the event time, `2026-10`; absent where it could not be read.
    pub month: Option<String>,
    /// Events read.
    pub received: i64,
    /// Events with a price under every meter that counts them.
    pub rated: i64,
    /// Events that were counted but lack a price under a meter that counts them.
    pub unrated: i64,
    /// Events seen before with the same content.
    pub duplicate: i64,
    /// Events seen before with other content.
    pub conflict: i64,
    /// Events that are not valid.
    pub rejected: i64,
    /// Events taken back.
    pub voided: i64,
    /// Number of the epoch that committed it.
    pub epoch: i64,
}

/// The columns of the control totals table.
#[must_use]
pub fn arrow_schema() -> SchemaRef {
    let count = |name: &str| Field::new(name, DataType::Int64, false);
    Arc::new(Schema::new(vec![
        text("source", true),
        text("event_type", true),
        text("month", true),
        count("received"),
        count("rated"),
        count("unrated"),
        count("duplicate"),
        count("conflict"),
        count("rejected"),
        count("voided"),
        epoch(),
    ]))
}
