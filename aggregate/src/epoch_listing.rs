//! The contents of an epoch, row by row, for people: a JSON object a line, with the name of its table.

use std::io::{self, Write};

use bytes::Bytes;
use ingest::dedup::Entry;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use schemas::epoch::{ContentKind, EpochContent};
use serde_json::{Value, json};

use crate::data_directory::DataDirectory;
use crate::error::AggregateError;
use crate::fold::{open_run, read_content};
use crate::json_rows;
use crate::ledger::SealedEpoch;
use crate::parquet_columns::parquet_error;
use crate::usage_details::UsageDetail;

/// Writes the rows of an epoch, once they are found to be what it says.
///
/// # Errors
/// [`AggregateError`] when a content cannot be read; the outer error is what `to` says.
pub fn list_rows(
    directory: &DataDirectory,
    sealed: &SealedEpoch,
    to: &mut impl Write,
) -> io::Result<Result<(), AggregateError>> {
    for (position, content) in sealed.epoch.contents.iter().enumerate() {
        let bytes = match &content.file {
            Some(name) => match read_content(directory, content, name) {
                Ok(bytes) => Bytes::from(bytes),
                Err(error) => return Ok(Err(error)),
            },
            None => Bytes::copy_from_slice(sealed.inline_content(position).unwrap_or_default()),
        };
        let written = match content.kind {
            ContentKind::RatedUsage | ContentKind::Quarantine | ContentKind::Accruals => {
                list_table(directory, content, bytes, to)?
            }
            ContentKind::Identities => list_identities(directory, content, &bytes, to)?,
            ContentKind::UsageDetails => list_details(&bytes, to)?,
        };
        if written.is_err() {
            return Ok(written);
        }
    }
    Ok(Ok(()))
}

fn write_row(to: &mut impl Write, kind: ContentKind, row: &Value) -> io::Result<()> {
    serde_json::to_writer(&mut *to, &json!({ "table": kind.name(), "row": row }))?;
    to.write_all(b"\n")
}

fn list_table(
    directory: &DataDirectory,
    content: &EpochContent,
    bytes: Bytes,
    to: &mut impl Write,
) -> io::Result<Result<(), AggregateError>> {
    let name = content.file.as_deref().unwrap_or("ledger");
    let failed = |error| parquet_error(&directory.disk().path(name), error);
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(bytes).and_then(ParquetRecordBatchReaderBuilder::build);
    let reader = match reader {
        Ok(reader) => reader,
        Err(error) => return Ok(Err(failed(error))),
    };
    for batch in reader {
        let rows = match batch.and_then(|batch| json_rows::rows(&batch)) {
            Ok(rows) => rows,
            Err(error) => return Ok(Err(failed(error.into()))),
        };
        for row in rows {
            write_row(to, content.kind, &row.into())?;
        }
    }
    Ok(Ok(()))
}

fn list_identities(
    directory: &DataDirectory,
    content: &EpochContent,
    bytes: &Bytes,
    to: &mut impl Write,
) -> io::Result<Result<(), AggregateError>> {
    let mut entries: Vec<Entry> = Vec::new();
    if let Some(name) = &content.file {
        let verified =
            open_run(directory, name).and_then(|run| Ok(run.verify_each(|entry| entries.push(entry))?));
        if verified.is_err() {
            return Ok(verified);
        }
    } else {
        entries.extend(bytes.as_chunks().0.iter().map(Entry::from_bytes));
    }
    for entry in entries {
        let digits = entry.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        let month = entry.month().number();
        let month = format!("{}-{:02}", 1970 + month / 12, month % 12 + 1);
        write_row(to, content.kind, &json!({ "entry": digits, "month": month }))?;
    }
    Ok(Ok(()))
}

fn list_details(bytes: &Bytes, to: &mut impl Write) -> io::Result<Result<(), AggregateError>> {
    for UsageDetail { row, measure, event_price } in UsageDetail::read(bytes) {
        // Wider than the numbers of JSON readers.
        let detail =
            json!({ "row": row, "measure": measure.to_string(), "event_price": event_price.to_string() });
        write_row(to, ContentKind::UsageDetails, &detail)?;
    }
    Ok(Ok(()))
}
