//! Where the rows of each epoch are: in which file of a table or of the ledger, from which row on.

use std::ops::RangeInclusive;
use std::path::Path;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use arrow::error::ArrowError;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReaderBuilder, RowSelection, RowSelector};
use parquet::errors::ParquetError;

use crate::delta::{ParquetBytes, ParquetSource};
use crate::disk::Disk;
use crate::error::AggregateError;
use crate::parquet_columns::parquet_error;
use crate::snapshot::TableView;

/// Rows that are read at once.
const BATCH_ROWS: usize = 1 << 13;

/// Rows of one epoch that follow each other in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Piece {
    epoch: u64,
    /// Position of the file.
    source: usize,
    start: usize,
    rows: usize,
}

/// The rows of a table, in order.
#[derive(Debug)]
pub(super) struct Pieces {
    table: std::path::PathBuf,
    sources: Vec<ParquetSource>,
    /// By epoch, file and row.
    order: Vec<Piece>,
}

impl Pieces {
    /// Finds the rows of a table.
    pub(super) fn find(disk: &dyn Disk, view: Option<TableView>) -> Result<Self, AggregateError> {
        let mut found = Self { table: disk.path("tables"), sources: Vec::new(), order: Vec::new() };
        let Some(view) = view else { return Ok(found) };
        found.table = disk.path(&view.table.directory());
        for name in &view.files {
            found.sources.push(ParquetSource::open(disk, name)?);
        }
        for bytes in view.inline {
            let name = format!("{}/ledger", view.table.directory());
            found.sources.push(ParquetSource::read(disk, &name, ParquetBytes::Memory(bytes))?);
        }
        for source in 0..found.sources.len() {
            found.add(source)?;
        }
        found.order.sort_unstable();
        Ok(found)
    }

    fn add(&mut self, source: usize) -> Result<(), AggregateError> {
        let mut start = 0;
        let mut pieces: Vec<Piece> = Vec::new();
        self.read_file(source, None, Some(&["epoch"]), |batch| {
            for (epoch, rows) in runs(&batch).map_err(|error| self.failed(error))? {
                match pieces.last_mut() {
                    Some(last) if last.epoch == epoch => last.rows += rows,
                    _ => pieces.push(Piece { epoch, source, start, rows }),
                }
                start += rows;
            }
            Ok::<_, AggregateError>(())
        })?;
        self.order.append(&mut pieces);
        Ok(())
    }

    /// How many rows epochs have.
    pub(super) fn rows(&self, epochs: RangeInclusive<u64>) -> u64 {
        self.of(&epochs).iter().map(|piece| piece.rows as u64).sum()
    }

    fn of(&self, epochs: &RangeInclusive<u64>) -> &[Piece] {
        let from = self.order.partition_point(|piece| piece.epoch < *epochs.start());
        let to = self.order.partition_point(|piece| piece.epoch <= *epochs.end());
        self.order.get(from..to).unwrap_or_default()
    }

    /// Reads the rows of epochs, in order, with some columns or all; each batch is of one epoch.
    pub(super) fn read<E: From<AggregateError>>(
        &self,
        epochs: RangeInclusive<u64>,
        columns: Option<&[&str]>,
        mut take: impl FnMut(u64, RecordBatch) -> Result<(), E>,
    ) -> Result<(), E> {
        let follows =
            |one: &Piece, next: &Piece| one.source == next.source && one.start + one.rows == next.start;
        // What follows each other in a file is read at once: an epoch may be a few rows.
        for pieces in self.of(&epochs).chunk_by(follows) {
            let Some(first) = pieces.first() else { continue };
            let rows = pieces.iter().map(|piece| piece.rows).sum();
            let mut left = pieces.iter().copied();
            let mut piece = left.next();
            self.read_file(first.source, Some((first.start, rows)), columns, |batch| {
                let mut from = 0;
                while let Some(current) = &mut piece
                    && from < batch.num_rows()
                {
                    let count = current.rows.min(batch.num_rows() - from);
                    take(current.epoch, batch.slice(from, count))?;
                    from += count;
                    current.rows -= count;
                    if current.rows == 0 {
                        piece = left.next();
                    }
                }
                Ok::<_, E>(())
            })?;
        }
        Ok(())
    }

    /// Reads rows of a file: so many from one on, or all.
    fn read_file<E: From<AggregateError>>(
        &self,
        source: usize,
        rows: Option<(usize, usize)>,
        columns: Option<&[&str]>,
        mut take: impl FnMut(RecordBatch) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(source) = self.sources.get(source) else { return Ok(()) };
        let selection = rows.map(|(start, count)| vec![RowSelector::skip(start), RowSelector::select(count)]);
        read_rows(source, &self.table, selection, columns, &mut take)
    }

    /// Rows that cannot be read as what they are.
    pub(super) fn failed(&self, error: ArrowError) -> AggregateError {
        parquet_error(&self.table, ParquetError::from(error))
    }
}

/// Reads rows of a file, those that are selected or all, with some columns or all.
pub(super) fn read_rows<E: From<AggregateError>>(
    source: &ParquetSource,
    table: &Path,
    selection: Option<Vec<RowSelector>>,
    columns: Option<&[&str]>,
    take: &mut impl FnMut(RecordBatch) -> Result<(), E>,
) -> Result<(), E> {
    let name = Path::new(&source.name).file_name().unwrap_or_default();
    let failed = |error| source.bytes().failed(table.join(name), error);
    let mut builder =
        ParquetRecordBatchReaderBuilder::new_with_metadata(source.bytes().clone(), source.metadata.clone());
    if let Some(columns) = columns {
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
        builder = builder.with_projection(mask);
    }
    if let Some(selection) = selection {
        builder = builder.with_row_selection(RowSelection::from(selection));
    }
    for batch in builder.with_batch_size(BATCH_ROWS).build().map_err(failed)? {
        take(batch.map_err(|error| failed(error.into()))?)?;
    }
    Ok(())
}

/// The epochs of a batch, with how many rows follow each other.
pub(super) fn runs(batch: &RecordBatch) -> Result<Vec<(u64, usize)>, ArrowError> {
    let epochs = batch.column_by_name("epoch").and_then(|column| column.as_primitive_opt::<Int64Type>());
    let epochs = epochs.ok_or_else(|| ArrowError::SchemaError("there is no column epoch".to_owned()))?;
    let runs = epochs.values().chunk_by(|one, next| one == next);
    let run =
        |rows: &[i64]| (rows.first().and_then(|epoch| u64::try_from(*epoch).ok()).unwrap_or(0), rows.len());
    Ok(runs.map(run).collect())
}
