//! Tallybook's vocabulary: the canonical types and every wire contract, one per file.
//!
//! This crate does no IO and knows no other crate of the project. Each contract is a type whose
//! JSON Schema, Arrow schema and frozen samples are committed beside it; a test compares them, so
//! that a contract does not change unseen.
//!
//! | contract | form |
//! |---|---|
//! | [`usage_event`] | JSON in |
//! | [`meter`], [`price_book`], [`contract`], [`legal_entity`], [`csv_mapping`] | catalog documents |
//! | [`rated_usage`], [`accrual`], [`quarantine`], [`control_total`], [`epoch_table`] | tables out |
//! | [`epoch`] | document of the ledger |

pub mod accrual;
mod columns;
pub mod contract;
pub mod control_total;
pub mod csv_mapping;
pub mod currency;
pub mod date;
pub mod decimal;
pub mod effective_time;
pub mod epoch;
pub mod epoch_table;
pub mod id;
pub mod legal_entity;
pub mod meter;
pub mod money;
mod number_text;
pub mod period;
pub mod price_book;
pub mod printable;
pub mod quantity;
pub mod quarantine;
pub mod rated_usage;
pub mod settled_record;
pub mod time_zone;
pub mod timestamp;
pub mod usage_event;

pub use columns::{DECIMAL_PRECISION, ROUNDED_AMOUNT_SCALE};
