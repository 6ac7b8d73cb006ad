//! Joins small files of a table into larger ones, so that readers have few to open.
//!
//! Which files is decided by [`plan`] from their sizes alone. The joined files are durable before one commit
//! puts them in the place of the others; the rows and their order stay. The others stay on disk for those who
//! read an older version, until the table is vacuumed.

use schemas::timestamp::Timestamp;

use crate::delta::{Change, Committed, DeltaTable, ParquetSource, TableFile, join, joined_schema};
use crate::disk::{self, Disk};
use crate::error::AggregateError;
use crate::parquet_columns::parquet_error;

/// When files are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactionLimits {
    /// A file of fewer bytes is small.
    pub small_bytes: u64,
    /// Small files that a table may have before they are joined.
    pub small_files_min: usize,
    /// Most bytes of files that are joined into one.
    pub joined_bytes_max: u64,
}

impl Default for CompactionLimits {
    fn default() -> Self {
        Self { small_bytes: 16 << 20, small_files_min: 8, joined_bytes_max: 256 << 20 }
    }
}

/// What was joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compaction {
    /// Files that were joined.
    pub files_before: usize,
    /// Files they are now.
    pub files_after: usize,
    /// Rows in them.
    pub rows: u64,
    /// The version of the table that has them.
    pub version: u64,
}

/// Which files become one: neighbours, from the oldest on. `files` are a table's, in its order.
#[must_use]
pub fn plan(files: &[TableFile], limits: CompactionLimits) -> Vec<Vec<TableFile>> {
    let is_small = |file: &TableFile| file.bytes < limits.small_bytes;
    if files.iter().filter(|file| is_small(file)).count() < limits.small_files_min.max(2) {
        return Vec::new();
    }
    let mut groups = Vec::new();
    let mut group = Vec::new();
    let mut bytes = 0_u64;
    for file in files {
        let fits = bytes.saturating_add(file.bytes) <= limits.joined_bytes_max;
        if !is_small(file) || !fits {
            groups.push(std::mem::take(&mut group));
            bytes = 0;
        }
        if is_small(file) {
            group.push(file.clone());
            bytes = bytes.saturating_add(file.bytes);
        }
    }
    groups.push(group);
    groups.retain(|group| group.len() > 1);
    groups
}

/// Joins what [`plan`] says; none if there is nothing to join.
///
/// # Errors
/// [`AggregateError`] when files cannot be read or written, or another writer is in the way.
pub fn compact(
    table: &mut DeltaTable<'_>,
    limits: CompactionLimits,
    now: Timestamp,
) -> Result<Option<Compaction>, AggregateError> {
    let groups = plan(&table.files(), limits);
    if groups.is_empty() {
        return Ok(None);
    }
    let disk = table.disk();
    let mut change = Change {
        operation: "OPTIMIZE",
        at: now,
        add: Vec::new(),
        remove: Vec::new(),
        has_new_rows: false,
        epochs: None,
    };
    let mut rows = 0;
    for (number, group) in groups.iter().enumerate() {
        for file in group {
            check_hash(disk, file)?;
        }
        let sources = group.iter().map(|file| ParquetSource::open(disk, &file.name));
        let sources = sources.collect::<Result<Vec<_>, _>>()?;
        let name = format!("{}/joined-{}-{number}.parquet", table.directory(), table.version() + 1);
        let schema = joined_schema(&sources.iter().map(ParquetSource::schema));
        let schema = schema.map_err(|error| parquet_error(&disk.path(&name), error.into()))?;
        join(disk, &name, &schema, &sources)?;
        let joined = ParquetSource::open(disk, &name)?;
        check_rows(table, &joined, &sources)?;
        rows += joined.rows();
        change.add.push(table.add_file(&joined, now, false)?);
        let removed = group.iter().filter_map(|file| table.path_of(&file.name));
        change.remove.extend(removed.map(str::to_owned));
    }
    let synced = disk.sync_directory(table.directory());
    synced.map_err(|error| AggregateError::Disk { path: table.path(), error })?;
    let (files_before, files_after) = (change.remove.len(), change.add.len());
    match table.commit(&change, now)? {
        Committed::Version(version) => Ok(Some(Compaction { files_before, files_after, rows, version })),
        Committed::AlreadyThere => Ok(None),
    }
}

/// What is joined gets a hash of its own: damage would be sound from then on.
fn check_hash(disk: &dyn Disk, file: &TableFile) -> Result<(), AggregateError> {
    let path = || disk.path(&file.name);
    let (_, found) =
        disk::hash(disk, &file.name).map_err(|error| AggregateError::Disk { path: path(), error })?;
    match &file.hash {
        Some(expected) if *expected != found.to_string() => {
            let problem = format!("its hash is {found}, and should be {expected}");
            Err(AggregateError::TableFile { path: path(), problem })
        }
        _ => Ok(()),
    }
}

/// A joined file has the rows of its sources; the rows are worth a second look before files are removed.
fn check_rows(
    table: &DeltaTable<'_>,
    joined: &ParquetSource,
    sources: &[ParquetSource],
) -> Result<(), AggregateError> {
    let expected: u64 = sources.iter().map(ParquetSource::rows).sum();
    if joined.rows() == expected {
        return Ok(());
    }
    let problem = format!("it has {} rows, but was made of {expected}", joined.rows());
    Err(AggregateError::TableFile { path: table.disk().path(&joined.name), problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_neighbours_are_joined_from_the_oldest_on() {
        let limits = CompactionLimits { small_bytes: 10, small_files_min: 3, joined_bytes_max: 12 };
        let cases: [(&[u64], &[&[u64]]); 6] = [
            (&[], &[]),
            (&[1, 2], &[]),
            (&[1, 2, 3], &[&[1, 2, 3]]),
            (&[9, 1, 2, 10, 4, 5], &[&[9, 1, 2], &[4, 5]]),
            (&[9, 9, 9], &[]),
            (&[5, 5, 5, 5, 5], &[&[5, 5], &[5, 5]]),
        ];
        for (sizes, expected) in cases {
            let file = |bytes: &u64| TableFile {
                name: String::new(),
                rows: None,
                bytes: *bytes,
                first_epoch: None,
                last_epoch: None,
                hash: None,
            };
            let files: Vec<_> = sizes.iter().map(file).collect();
            let groups = plan(&files, limits);
            let groups: Vec<Vec<u64>> =
                groups.iter().map(|group| group.iter().map(|file| file.bytes).collect()).collect();
            assert_eq!(groups, expected, "{sizes:?}");
        }
    }
}
