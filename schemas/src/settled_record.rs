//! The table of quarantined records that are settled: what became of each, and by which epoch.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::columns::text;

/// The columns of the table.
#[must_use]
pub fn arrow_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        text("quarantine_id", false),
        text("outcome", false),
        Field::new("epoch", DataType::Int64, false),
    ]))
}
