//! What queries see: of every table the files of its newest version, and the rows of the epochs that are in the
//! ledger but not in the table yet, all at one epoch (EPOCH-1). Every committed row is seen once.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;

use schemas::id::DimensionName;
use schemas::rated_usage;

use super::{CommittedEpoch, Rows, SnapshotTable, joined_schema};
use crate::data_directory::DataDirectory;
use crate::delta::{DeltaTable, ParquetBytes, ParquetSource};
use crate::error::AggregateError;
use crate::ledger::{LedgerReader, SealedEpoch};

/// A table as it is at an epoch.
#[derive(Clone, Debug)]
pub struct TableView {
    /// The table.
    pub table: SnapshotTable,
    /// Its columns.
    pub schema: SchemaRef,
    /// Parquet files of its rows, below the data directory.
    pub files: Vec<String>,
    /// Parquet files that are in the ledger.
    pub inline: Vec<Bytes>,
    /// Rows that the documents of epochs say.
    pub batches: Vec<RecordBatch>,
}

/// All tables at the newest epoch of a partition, and that epoch. Another process may commit, or take a snapshot,
/// meanwhile.
///
/// # Errors
/// [`AggregateError`] when a table or the ledger cannot be read.
pub fn views(directory: &DataDirectory, partition: u32) -> Result<(u64, Vec<TableView>), AggregateError> {
    let disk = &**directory.disk();
    let identity = directory.ledger(partition);
    // IMPORTANT: tables first. What is in a table is in the ledger, so the ledger read after it is never behind.
    let mut tables = Vec::new();
    for table in SnapshotTable::ALL {
        let delta = DeltaTable::load(disk, &table.directory())?;
        let last = delta.as_ref().and_then(|delta| delta.last_epoch(&identity.ledger_id, partition));
        tables.push((table, delta, last.unwrap_or(0)));
    }
    let first = tables.iter().map(|(_, _, last)| last + 1).min().unwrap_or(1);
    let reader = LedgerReader::open(directory.disk(), identity)?;
    let mut epochs: Vec<CommittedEpoch> = Vec::new();
    reader.read(first, |sealed: SealedEpoch| {
        epochs.push(sealed.into());
        Ok::<_, AggregateError>(())
    })?;
    let newest = epochs.last().map_or(first - 1, |epoch| epoch.document.epoch);
    let views = tables.into_iter().map(|(table, delta, last)| {
        let tail = epochs.get(epochs.partition_point(|epoch| epoch.document.epoch <= last)..);
        view(directory, table, delta.as_ref(), tail.unwrap_or_default())
    });
    Ok((newest, views.collect::<Result<_, _>>()?))
}

fn view(
    directory: &DataDirectory,
    table: SnapshotTable,
    delta: Option<&DeltaTable<'_>>,
    tail: &[CommittedEpoch],
) -> Result<TableView, AggregateError> {
    let disk = &**directory.disk();
    let rows = Rows::read(disk, table, tail)?;
    let known = known_schema(table, delta);
    let schemas = std::iter::once(&known).chain(rows.sources().map(ParquetSource::schema));
    let joined = joined_schema(&schemas);
    let schema = joined.map_err(|error| super::differing(disk, &table.directory(), &error))?;
    let mut files: Vec<String> =
        delta.map(DeltaTable::files).unwrap_or_default().into_iter().map(|file| file.name).collect();
    files.extend(rows.files.iter().map(|(source, _)| source.name.clone()));
    let inline = rows.inline.iter().filter_map(|source| match source.bytes() {
        ParquetBytes::Memory(bytes) => Some(bytes.clone()),
        ParquetBytes::Disk(_) => None,
    });
    let inline = inline.collect();
    Ok(TableView { table, schema, files, inline, batches: rows.batches.clone() })
}

/// The columns of a table with the dimensions that its rows have.
fn known_schema(table: SnapshotTable, delta: Option<&DeltaTable<'_>>) -> SchemaRef {
    match (table, delta) {
        (SnapshotTable::RatedUsage, Some(delta)) => {
            let names = delta.struct_members("dimensions");
            let names: Vec<DimensionName> = names.iter().filter_map(|name| name.parse().ok()).collect();
            rated_usage::arrow_schema(&names)
        }
        _ => table.schema(),
    }
}
