//! Columns of the large tables, encoded straight into Parquet pages.
//!
//! The rows of a run come as numbers of texts and as whole numbers. A general Parquet writer would turn
//! numbers into texts and hash each to find its number again; writing the pages here costs a small part
//! of that. Page headers and the footer are the parquet crate's.

mod chunk;
mod column;
mod decimal;
mod delta;
mod file;
mod hybrid;
mod id_index;
mod lists;
mod plain;
mod repeating;
mod table;

pub(crate) use column::{LongColumn, TextColumn};
pub(crate) use decimal::DecimalColumn;
pub(crate) use file::{FileSchema, ParquetFile, RowGroup, parquet_error};
pub(crate) use id_index::FALSE_POSITIVES;
pub(crate) use plain::{PlainColumn, UuidColumn};
pub(crate) use repeating::RepeatingColumn;
pub(crate) use table::{Layout, Rows, TableBuffers, TableWriter};
