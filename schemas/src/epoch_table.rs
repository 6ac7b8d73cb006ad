//! Epochs as a table: a row per commit, so that what a partition has done can be queried.
//!
//! The chain is in it: `previous` of an epoch is `hash` of the one before (EPOCH-1). It is made from the
//! ledger's documents; positions and contents are in these alone.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};

use crate::columns::{amount, text, timestamp};

/// The columns of the epochs table.
#[must_use]
pub fn arrow_schema() -> SchemaRef {
    let count = |name: &str| Field::new(name, DataType::Int64, false);
    let flag = |name: &str| Field::new(name, DataType::Boolean, false);
    Arc::new(Schema::new(vec![
        Field::new("partition", DataType::Int32, false),
        count("epoch"),
        timestamp("recorded_at", false),
        text("tallybook_version", false),
        text("cause", false),
        text("hash", false),
        text("previous", false),
        text("catalog", false),
        count("received"),
        count("rated"),
        count("unrated"),
        count("duplicate"),
        count("conflict"),
        count("rejected"),
        count("voided"),
        count("settled"),
        count("rated_usage_rows"),
        count("accrual_rows"),
        count("quarantine_rows"),
        sums("rated_amounts"),
        sums("accrued_amounts"),
        sums("posted_amounts"),
        flag("is_accrued"),
        timestamp("forgets_before", true),
    ]))
}

/// Amounts by currency.
fn sums(name: &str) -> Field {
    let members: Fields = vec![text("currency", false), amount("amount", false)].into();
    let item = Field::new("item", DataType::Struct(members), false);
    Field::new(name, DataType::List(Arc::new(item)), false)
}
