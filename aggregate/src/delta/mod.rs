//! A table in Delta Lake format, written through the disk of its data directory.
//!
//! A table is a directory of Parquet files and a log that says which of them belong to it. A version of the
//! log is there whole or not at all, so what it adds becomes visible together or not (EPOCH-1); a version that adds
//! epochs also says up to which epoch, so none is added twice. Any reader of Delta tables can read them: no partitions,
//! files are skipped by the bounds the log has of them.
//!
//! ```text
//! tables/rated_usage/0-1-40.parquet
//!                    0-41-97.parquet
//!                    _delta_log/00000000000000000000.json      protocol, columns
//!                               00000000000000000001.json      add, txn = 40
//!                               00000000000000000002.json      add, txn = 97
//!                               00000000000000000100.checkpoint.parquet, _last_checkpoint
//! ```
//!
//! It is not a general Delta writer: there is one writer at a time, and another that shows up is named and
//! not fought. After a failure the table is as it was or as it was to be; what is left beside is removed
//! when the table is opened or vacuumed.

mod actions;
mod checkpoint;
mod log;
mod parquet_file;
mod schema;
mod state;
mod statistics;
#[cfg(test)]
mod tests;
mod vacuum;
mod verify;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use schemas::timestamp::Timestamp;

pub(crate) use actions::AddFile;
use actions::{Action, CommitInfo, Format, HASH_TAG, MetaData, Protocol, RemoveFile, Transaction};
pub use log::LOG_RETENTION_MS;
use log::{Log, millis};
pub(crate) use parquet_file::{ParquetBytes, ParquetSource, Writer, join, joined_schema};
use schema::Columns;
use state::{READER_VERSION, TableState, WRITER_VERSION};
use statistics::FileStatistics;
pub use vacuum::RETENTION_MS;
pub use verify::FileProblem;

use crate::disk::Disk;
use crate::error::AggregateError;

/// Versions between two checkpoints of the log.
pub const CHECKPOINT_VERSIONS: u64 = 100;

/// What the names of our applications begin with.
const APP: &str = "tallybook-";

/// Versions of other writers that a commit goes past before it gives up.
const ATTEMPTS_MAX: usize = 16;

/// A table.
#[derive(Clone, Debug)]
pub struct DeltaTable<'a> {
    disk: &'a dyn Disk,
    directory: String,
    log: Log<'a>,
    state: TableState,
}

/// A file of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFile {
    /// Name below the data directory.
    pub name: String,
    /// Rows, if the log says so.
    pub rows: Option<u64>,
    /// Length in bytes.
    pub bytes: u64,
    /// First epoch it has rows of, if the log says so.
    pub first_epoch: Option<i64>,
    /// Last epoch it has rows of, if the log says so.
    pub last_epoch: Option<i64>,
    /// BLAKE3 of its bytes, if the log says so.
    pub hash: Option<String>,
}

/// What a commit changes.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// What for, in the words of the Delta protocol: `WRITE`, `OPTIMIZE`.
    pub(crate) operation: &'static str,
    /// When.
    pub(crate) at: Timestamp,
    /// Files that belong to the table from here on.
    pub(crate) add: Vec<AddFile>,
    /// Names, below the table's directory, of files that no longer do.
    pub(crate) remove: Vec<String>,
    /// Are the rows new? If not, files were only written anew.
    pub(crate) has_new_rows: bool,
    /// How far the epochs of a partition are in the table.
    pub(crate) epochs: Option<EpochProgress>,
}

/// How far the epochs of a partition are in a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EpochProgress {
    /// The ledger.
    pub(crate) ledger_id: String,
    /// The partition.
    pub(crate) partition: u32,
    /// The last epoch.
    pub(crate) epoch: u64,
}

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Committed {
    /// It is this version.
    Version(u64),
    /// The epochs were in the table already.
    AlreadyThere,
}

impl<'a> DeltaTable<'a> {
    /// Opens a table to read it; none where there is no table.
    ///
    /// # Errors
    /// [`AggregateError`] when its log cannot be read.
    pub fn load(disk: &'a dyn Disk, directory: &str) -> Result<Option<Self>, AggregateError> {
        let log = Log::new(disk, directory);
        let state = log.load()?;
        Ok(state.map(|state| Self { disk, directory: directory.to_owned(), log, state }))
    }

    /// Opens a table to write to it, after what a crash may have left; none where there is no table.
    ///
    /// # Errors
    /// [`AggregateError`] when its log cannot be read or written.
    pub fn recover(disk: &'a dyn Disk, directory: &str) -> Result<Option<Self>, AggregateError> {
        Log::new(disk, directory).recover()?;
        Self::load(disk, directory)
    }

    /// Opens a table that was recovered to write to it, and makes it if there is none. Columns that `schema` has beyond those of
    /// the table become columns of it.
    ///
    /// # Errors
    /// [`AggregateError`] when it cannot be read or written, or its columns are others.
    pub fn open(
        disk: &'a dyn Disk,
        directory: &str,
        schema: &Schema,
        ledger_id: &str,
        now: Timestamp,
    ) -> Result<Self, AggregateError> {
        let columns = Columns::of(schema).map_err(|problem| columns_error(disk, directory, problem))?;
        let mut table = match Self::load(disk, directory)? {
            Some(table) => table,
            None => Self::create(disk, directory, &columns, ledger_id, now)?,
        };
        table.grow(&columns, now)?;
        Ok(table)
    }

    fn create(
        disk: &'a dyn Disk,
        directory: &str,
        columns: &Columns,
        ledger_id: &str,
        now: Timestamp,
    ) -> Result<Self, AggregateError> {
        let name = directory.rsplit('/').next().unwrap_or(directory);
        let metadata = MetaData {
            id: table_id(ledger_id, name),
            name: Some(name.to_owned()),
            format: Format { provider: "parquet".to_owned(), options: [].into() },
            schema_string: schema_string(disk, directory, columns)?,
            partition_columns: Vec::new(),
            configuration: [].into(),
            created_time: Some(millis(now)),
        };
        let protocol = Protocol { min_reader_version: READER_VERSION, min_writer_version: WRITER_VERSION };
        let actions = [
            Action::Protocol(protocol),
            Action::MetaData(metadata),
            Action::CommitInfo(commit_info("CREATE TABLE", now)),
        ];
        let log = Log::new(disk, directory);
        log.create()?;
        log.write(0, &actions)?;
        // Read again: if another has made it meanwhile, it is theirs.
        let state = log.load()?.unwrap_or_default();
        Ok(Self { disk, directory: directory.to_owned(), log, state })
    }

    /// Takes the columns of `newer` in; as long as there are no rows, they may be any.
    fn grow(&mut self, newer: &Columns, now: Timestamp) -> Result<(), AggregateError> {
        let Some(metadata) = self.state.metadata.clone() else { return Ok(()) };
        let refused = |problem| columns_error(self.disk, &self.directory, problem);
        let columns = self.columns()?;
        let is_empty = self.state.files.is_empty();
        let grown = if is_empty { newer.clone() } else { columns.grown(newer).map_err(refused)? };
        if grown == columns {
            return Ok(());
        }
        let schema_string = schema_string(self.disk, &self.directory, &grown)?;
        let metadata = Action::MetaData(MetaData { schema_string, ..metadata });
        let actions = vec![metadata, Action::CommitInfo(commit_info("ADD COLUMNS", now))];
        let version = self.state.version + 1;
        if !self.log.write(version, &actions)? {
            return Err(self.contended(version)?);
        }
        self.committed(version, actions, now)
    }

    /// Commits a change as the next version.
    ///
    /// Versions of others that came first are gone past if they touch nothing of it.
    ///
    /// # Errors
    /// [`AggregateError`] when it cannot be written, or another writer is in the way.
    pub(crate) fn commit(&mut self, change: &Change, now: Timestamp) -> Result<Committed, AggregateError> {
        let actions = actions(change);
        let metadata = self.state.metadata.clone();
        for _ in 0..ATTEMPTS_MAX {
            if let Some(epochs) = &change.epochs
                && self
                    .last_epoch(&epochs.ledger_id, epochs.partition)
                    .is_some_and(|last| last >= epochs.epoch)
            {
                return Ok(Committed::AlreadyThere);
            }
            let version = self.state.version + 1;
            if self.log.write(version, &actions)? {
                self.committed(version, actions, now)?;
                return Ok(Committed::Version(version));
            }
            self.reload()?;
            let is_gone = |path: &String| !self.state.files.contains_key(path);
            if self.state.metadata != metadata || change.remove.iter().any(is_gone) {
                return Err(self.contended(version)?);
            }
        }
        Err(self.contended(self.state.version)?)
    }

    fn reload(&mut self) -> Result<(), AggregateError> {
        if let Some(state) = self.log.load()? {
            self.state = state;
        }
        Ok(())
    }

    /// Takes in what was written, and writes a checkpoint when it is time.
    fn committed(
        &mut self,
        version: u64,
        actions: Vec<Action>,
        now: Timestamp,
    ) -> Result<(), AggregateError> {
        self.state.version = version;
        for action in actions {
            self.state.apply(action);
        }
        if version < self.state.checkpoint.unwrap_or_default() + CHECKPOINT_VERSIONS {
            return Ok(());
        }
        checkpoint::write(&self.log, &self.state, now)?;
        self.state.checkpoint = Some(version);
        self.log.remove_before(version, now)
    }

    fn contended(&self, version: u64) -> Result<AggregateError, AggregateError> {
        let actions = self.log.read(version)?.unwrap_or_default();
        let writer = actions.into_iter().find_map(|action| match action {
            Action::CommitInfo(info) => info.engine_info,
            _ => None,
        });
        let writer = writer.unwrap_or_else(|| "another program".to_owned());
        Ok(AggregateError::TableContended { path: self.path(), version, writer })
    }

    /// Where the table is, for messages and for readers.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.disk.path(&self.directory)
    }

    /// Its directory below the data directory.
    #[must_use]
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// The disk it is on.
    pub(crate) fn disk(&self) -> &'a dyn Disk {
        self.disk
    }

    /// Names of the members of a struct among its columns.
    pub(crate) fn struct_members(&self, name: &str) -> Vec<String> {
        let columns = self.state.metadata.as_ref();
        let columns =
            columns.and_then(|metadata| serde_json::from_str::<Columns>(&metadata.schema_string).ok());
        let members =
            columns.map(|columns| columns.members(name).into_iter().map(ToOwned::to_owned).collect());
        members.unwrap_or_default()
    }

    /// Its newest version.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.state.version
    }

    /// The Arrow schema that all its files can be read with: what a file lacks is null.
    ///
    /// # Errors
    /// [`AggregateError::TableColumns`] when another program has given it columns of other types.
    pub fn schema(&self) -> Result<SchemaRef, AggregateError> {
        let refused = |problem| columns_error(self.disk, &self.directory, problem);
        self.columns()?.arrow().map(Arc::new).map_err(refused)
    }

    fn columns(&self) -> Result<Columns, AggregateError> {
        let text = self.state.metadata.as_ref().map_or("", |metadata| metadata.schema_string.as_str());
        let refused = |error: serde_json::Error| columns_error(self.disk, &self.directory, error.to_string());
        serde_json::from_str(text).map_err(refused)
    }

    /// Its UUID.
    pub(crate) fn id(&self) -> Option<&str> {
        self.state.metadata.as_ref().map(|metadata| metadata.id.as_str())
    }

    /// Does its log have epochs of another ledger?
    pub(crate) fn has_other_ledger(&self, ledger_id: &str) -> bool {
        let ours = format!("{APP}{ledger_id}-");
        self.state.transactions.keys().any(|app| app.starts_with(APP) && !app.starts_with(&ours))
    }

    /// Is a file, by its name below the table's directory, part of the table, or was it?
    pub(crate) fn knows(&self, path: &str) -> bool {
        self.state.files.contains_key(path) || self.state.removed.contains_key(path)
    }

    /// The last epoch of a partition whose rows are in the table.
    #[must_use]
    pub fn last_epoch(&self, ledger_id: &str, partition: u32) -> Option<u64> {
        let version = self.state.transactions.get(&app_id(ledger_id, partition))?;
        u64::try_from(*version).ok()
    }

    /// Its files, by the first epoch they have rows of, then by name.
    #[must_use]
    pub fn files(&self) -> Vec<TableFile> {
        let mut files: Vec<_> = self.state.files.values().map(|file| self.table_file(file)).collect();
        files.sort_by(|one, other| (one.first_epoch, &one.name).cmp(&(other.first_epoch, &other.name)));
        files
    }

    fn table_file(&self, file: &AddFile) -> TableFile {
        let statistics = file.stats.as_deref();
        let statistics = statistics.and_then(|text| serde_json::from_str::<FileStatistics>(text).ok());
        TableFile {
            name: format!("{}/{}", self.directory, file.path),
            rows: statistics.as_ref().map(|statistics| statistics.num_records),
            bytes: file.size.try_into().unwrap_or_default(),
            first_epoch: statistics.as_ref().and_then(FileStatistics::first_epoch),
            last_epoch: statistics.as_ref().and_then(FileStatistics::last_epoch),
            hash: file.tags.as_ref().and_then(|tags| tags.get(HASH_TAG)?.clone()),
        }
    }

    /// What adds a file of the table's directory whose footer was read.
    ///
    /// # Errors
    /// [`AggregateError::TableFile`] when its name cannot stand in a log.
    pub(crate) fn add_file(
        &self,
        source: &ParquetSource,
        at: Timestamp,
        has_new_rows: bool,
    ) -> Result<AddFile, AggregateError> {
        let refused =
            |problem: String| AggregateError::TableFile { path: self.disk.path(&source.name), problem };
        let path = self.path_of(&source.name).ok_or_else(|| {
            refused(format!(
                "it is not in {}, or its name is not of letters, digits, '-', '_' and '.'",
                self.directory
            ))
        })?;
        let statistics = FileStatistics::of(source.metadata.metadata());
        let unread = |error| AggregateError::Disk { path: self.disk.path(&source.name), error };
        let hash = source.hash().map_err(unread)?;
        Ok(AddFile {
            path: path.to_owned(),
            partition_values: [].into(),
            size: i64::try_from(source.length()).map_err(|error| refused(error.to_string()))?,
            modification_time: millis(at),
            data_change: has_new_rows,
            stats: Some(serde_json::to_string(&statistics).map_err(|error| refused(error.to_string()))?),
            tags: Some([(HASH_TAG.to_owned(), Some(hash.to_string()))].into()),
        })
    }

    /// The name of a file below the table's directory; paths in a log are URLs, so only what is the same in both.
    pub(crate) fn path_of<'name>(&self, name: &'name str) -> Option<&'name str> {
        let path = name.strip_prefix(&self.directory)?.strip_prefix('/')?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        (!path.is_empty() && path.bytes().all(is_plain)).then_some(path)
    }

    /// Files that are in the table, by name below its directory.
    fn paths(&self) -> BTreeSet<&str> {
        self.state.files.keys().map(String::as_str).collect()
    }
}

/// The application of a partition, as the log names it.
fn app_id(ledger_id: &str, partition: u32) -> String {
    format!("{APP}{ledger_id}-{partition}")
}

fn actions(change: &Change) -> Vec<Action> {
    let mut actions = Vec::new();
    actions.extend(change.remove.iter().map(|path| {
        let (path, deletion_timestamp) = (path.clone(), Some(millis(change.at)));
        Action::Remove(RemoveFile { path, deletion_timestamp, data_change: change.has_new_rows })
    }));
    actions.extend(change.add.iter().cloned().map(Action::Add));
    actions.extend(change.epochs.as_ref().and_then(|epochs| {
        let version = i64::try_from(epochs.epoch).ok()?;
        Some(Action::Transaction(Transaction {
            app_id: app_id(&epochs.ledger_id, epochs.partition),
            version,
        }))
    }));
    actions.push(Action::CommitInfo(commit_info(change.operation, change.at)));
    actions
}

fn commit_info(operation: &str, at: Timestamp) -> CommitInfo {
    CommitInfo {
        timestamp: Some(millis(at)),
        operation: Some(operation.to_owned()),
        engine_info: Some(crate::CREATED_BY.to_owned()),
        blake3: None,
    }
}

/// A UUID of a table, the same whenever it is made.
pub(crate) fn table_id(ledger_id: &str, table: &str) -> String {
    let hash = blake3::hash(format!("{ledger_id}/{table}").as_bytes()).to_hex();
    let digits: Vec<_> = hash.chars().collect();
    let part = |from: usize, count: usize| digits.iter().skip(from).take(count).collect::<String>();
    format!("{}-{}-8{}-8{}-{}", part(0, 8), part(8, 4), part(12, 3), part(15, 3), part(18, 12))
}

fn schema_string(disk: &dyn Disk, directory: &str, columns: &Columns) -> Result<String, AggregateError> {
    serde_json::to_string(columns).map_err(|error| columns_error(disk, directory, error.to_string()))
}

fn columns_error(disk: &dyn Disk, directory: &str, problem: String) -> AggregateError {
    AggregateError::TableColumns { path: disk.path(directory), problem }
}
