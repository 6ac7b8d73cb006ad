//! The answer to a query, as a table for people or as CSV or NDJSON for programs.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use console::Term;
use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::csv::WriterBuilder;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::json::LineDelimitedWriter;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use schemas::printable::printable;

use crate::command_line::RowFormat;

/// Most rows shown in a table.
const TABLE_ROWS_MAX: usize = 1_000;

/// Shows the rows of an answer as they come.
///
/// # Errors
/// What the query fails with, and what writing fails with.
pub(super) async fn show(
    to: &mut impl Write,
    rows: SendableRecordBatchStream,
    format: RowFormat,
) -> Result<()> {
    let mut to = Watched { to, error: None };
    let shown = show_rows(&mut to, rows, format).await;
    // The writers of rows put the error into words of their own.
    to.error.map_or(shown, |error| Err(error.into()))
}

/// Keeps the error that writing failed with.
struct Watched<'a, W> {
    to: &'a mut W,
    error: Option<io::Error>,
}

impl<W: Write> Watched<'_, W> {
    fn watch<T>(&mut self, done: io::Result<T>) -> io::Result<T> {
        done.inspect_err(|error| {
            // Such a write is tried again.
            if error.kind() == io::ErrorKind::Interrupted {
                return;
            }
            let again = error.raw_os_error().map(io::Error::from_raw_os_error);
            self.error = Some(again.unwrap_or_else(|| error.kind().into()));
        })
    }
}

impl<W: Write> Write for Watched<'_, W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.to.write(buffer);
        self.watch(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.to.flush();
        self.watch(flushed)
    }
}

async fn show_rows(
    to: &mut impl Write,
    mut rows: SendableRecordBatchStream,
    format: RowFormat,
) -> Result<()> {
    match format {
        RowFormat::Table => show_table(to, rows).await?,
        RowFormat::Csv => {
            let mut writer = WriterBuilder::new().with_header(true).build(&mut *to);
            let mut is_empty = true;
            while let Some(batch) = rows.next().await {
                writer.write(&flat(&batch?)?)?;
                is_empty = false;
            }
            if is_empty {
                writer.write(&flat(&RecordBatch::new_empty(rows.schema()))?)?;
            }
        }
        RowFormat::Ndjson => {
            let mut writer = LineDelimitedWriter::new(&mut *to);
            while let Some(batch) = rows.next().await {
                writer.write(&batch?)?;
            }
            writer.finish()?;
        }
    }
    to.flush()?;
    Ok(())
}

async fn show_table(to: &mut impl Write, mut rows: SendableRecordBatchStream) -> Result<()> {
    let schema = rows.schema();
    let mut shown: Vec<Vec<String>> = Vec::new();
    let mut is_cut = false;
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        let room = TABLE_ROWS_MAX - shown.len();
        is_cut = batch.num_rows() > room;
        shown.extend(cells(&batch.slice(0, batch.num_rows().min(room)))?);
        if is_cut {
            break;
        }
    }
    if schema.fields().is_empty() {
        return Ok(());
    }
    let table = as_table(&schema, &shown);
    let width = table.lines().map(|line| line.chars().count()).max().unwrap_or(0);
    let is_too_wide = std::io::stdout().is_terminal() && width > usize::from(Term::stdout().size().1);
    if is_too_wide && !shown.is_empty() {
        for (number, row) in shown.iter().enumerate() {
            writeln!(to, "row {}", number + 1)?;
            // Spaces that fill a column up would go on over lines of a narrow terminal.
            for line in as_record(&schema, row).lines() {
                writeln!(to, "{}", line.trim_end())?;
            }
        }
    } else {
        writeln!(to, "{table}")?;
    }
    let rows = crate::summary::count(shown.len(), "row", "rows");
    if is_cut {
        writeln!(to, "the first {rows}; add a LIMIT, or print all with --format csv or ndjson")?;
    } else {
        writeln!(to, "{rows}")?;
    }
    Ok(())
}

/// One line per row.
fn as_table(schema: &SchemaRef, rows: &[Vec<String>]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(schema.fields().iter().map(|field| field.name().clone()));
    for row in rows {
        table.add_row(row.clone());
    }
    for (column, field) in table.column_iter_mut().zip(schema.fields()) {
        if field.data_type().is_numeric() {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// One line per column, for rows that are wider than the terminal.
fn as_record(schema: &SchemaRef, row: &[String]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    for (field, value) in schema.fields().iter().zip(row) {
        table.add_row([field.name(), value]);
    }
    table
}

/// A batch whose lists and structures are texts, which is all that CSV can hold.
pub(super) fn flat(batch: &RecordBatch) -> Result<RecordBatch> {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| {
        let is_nested = field.data_type().is_nested();
        let column = if is_nested { as_text(column)? } else { Arc::clone(column) };
        Ok((field.name().clone(), column))
    });
    Ok(RecordBatch::try_from_iter(columns.collect::<Result<Vec<_>>>()?)?)
}

fn as_text(column: &ArrayRef) -> Result<ArrayRef> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(column, &options)?;
    let texts = (0..column.len()).map(|row| formatter.value(row).try_to_string());
    Ok(Arc::new(StringArray::from_iter_values(texts.collect::<Result<Vec<_>, _>>()?)))
}

/// The values of a batch as text, row by row; decimals without the zeros that say nothing, and texts of
/// others without what they would do to a terminal.
fn cells(batch: &RecordBatch) -> Result<Vec<Vec<String>>> {
    let options = FormatOptions::default().with_null("null");
    let mut rows = vec![Vec::with_capacity(batch.num_columns()); batch.num_rows()];
    for column in batch.columns() {
        let formatter = ArrayFormatter::try_new(column, &options)?;
        let is_decimal = matches!(column.data_type(), DataType::Decimal128(..) | DataType::Decimal256(..));
        for (position, row) in rows.iter_mut().enumerate() {
            let mut text = formatter.value(position).try_to_string()?;
            if is_decimal && text.contains('.') {
                text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
            }
            row.push(printable(&text).into_owned());
        }
    }
    Ok(rows)
}
