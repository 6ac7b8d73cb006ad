//! Checkpoints of a log: a table at a version as one Parquet file, so that a reader need not begin at the
//! first version.
//!
//! A row is an action, in the same form as a line of the log. A checkpoint is given its name when it is
//! durable, and `_last_checkpoint` names it after that: whichever is missing after a crash, the log says the same.

use std::io;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::{LineDelimitedWriter, ReaderBuilder};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use schemas::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

use super::actions::{Action, Line, RemoveFile, Transaction};
use super::log::{LOG_RETENTION_MS, Log, millis};
use super::parquet_file::{ParquetBytes, Writer};
use super::state::TableState;
use crate::disk::{self, directory_of};
use crate::error::AggregateError;
use crate::parquet_columns::parquet_error;

/// Actions that are turned into columns at once.
const BATCH_ROWS: usize = 1 << 12;

/// Which checkpoint is the newest.
#[derive(Debug, Serialize, Deserialize)]
struct NewestCheckpoint {
    version: u64,
    /// Actions in it.
    size: u64,
    /// BLAKE3 of the checkpoint.
    #[serde(default)]
    blake3: Option<String>,
}

/// The version of the newest checkpoint, as far as the log says; a file that says nothing readable is passed over.
pub(super) fn newest(log: &Log<'_>) -> Result<Option<u64>, AggregateError> {
    let bytes = read_newest(log)?;
    let newest = bytes.and_then(|bytes| serde_json::from_slice::<NewestCheckpoint>(&bytes).ok());
    Ok(newest.map(|newest| newest.version))
}

fn read_newest(log: &Log<'_>) -> Result<Option<Vec<u8>>, AggregateError> {
    let name = log.newest_checkpoint_name();
    match disk::read(log.disk(), &name) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(log.failed(&name, error)),
    }
}

/// What is wrong with the newest checkpoint, and the name of its file.
pub(super) fn problem(log: &Log<'_>) -> Result<Option<(String, String)>, AggregateError> {
    let Some(bytes) = read_newest(log)? else { return Ok(None) };
    let newest: NewestCheckpoint = match serde_json::from_slice(&bytes) {
        Ok(newest) => newest,
        Err(error) => return Ok(Some((log.newest_checkpoint_name(), error.to_string()))),
    };
    let name = log.checkpoint_name(newest.version);
    let found = match disk::hash(log.disk(), &name) {
        Ok((_, found)) => found.to_string(),
        Err(error) => return Ok(Some((name, error.to_string()))),
    };
    let expected = newest.blake3.unwrap_or_default();
    let problem = format!("its hash is {found}, _last_checkpoint says {expected:?}");
    Ok((found != expected).then_some((name, problem)))
}

/// Reads a checkpoint.
pub(super) fn read(log: &Log<'_>, version: u64) -> Result<TableState, AggregateError> {
    let name = log.checkpoint_name(version);
    let path = || log.disk().path(&name);
    let bytes = disk::read(log.disk(), &name).map_err(|error| log.failed(&name, error))?;
    let unreadable = |error| parquet_error(&path(), error);
    let bytes = ParquetBytes::Memory(bytes.into());
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(unreadable)?;
    let mut state = TableState { version, checkpoint: Some(version), ..TableState::default() };
    for batch in reader.with_batch_size(BATCH_ROWS).build().map_err(unreadable)? {
        let lines = batch.and_then(|batch| lines(&batch)).map_err(|error| unreadable(error.into()))?;
        lines.into_iter().filter_map(Line::action).for_each(|action| state.apply(action));
    }
    match state.problem() {
        Some(problem) => Err(AggregateError::TableLog { path: path(), problem }),
        None => Ok(state),
    }
}

/// Writes a table as a checkpoint at its version. Files that were removed long ago are left out.
pub(super) fn write(log: &Log<'_>, state: &TableState, now: Timestamp) -> Result<(), AggregateError> {
    let name = log.checkpoint_name(state.version);
    let beside = format!("{name}.tmp");
    let schema = schema();
    let actions = actions(state, now);
    let mut writer = Writer::create(log.disk(), &beside, &schema)?;
    for part in actions.chunks(BATCH_ROWS) {
        let lines: Vec<_> = part.iter().map(Action::line).collect();
        let batch = batch(&schema, &lines);
        writer.write(&batch.map_err(|error| parquet_error(&log.disk().path(&name), error.into()))?)?;
    }
    writer.finish()?;
    let directory = directory_of(&name);
    let named = log.disk().rename(&beside, &name).and_then(|()| log.disk().sync_directory(directory));
    named.map_err(|error| log.failed(&name, error))?;
    let (_, hash) = disk::hash(log.disk(), &name).map_err(|error| log.failed(&name, error))?;
    let newest = NewestCheckpoint {
        version: state.version,
        size: actions.len() as u64,
        blake3: Some(hash.to_string()),
    };
    let name = log.newest_checkpoint_name();
    let text = serde_json::to_vec(&newest).map_err(|error| log.failed(&name, error.into()))?;
    disk::replace(log.disk(), &name, &text).map_err(|error| log.failed(&name, error))
}

/// The actions that make the table.
fn actions(state: &TableState, now: Timestamp) -> Vec<Action> {
    let mut actions = Vec::new();
    actions.extend(state.protocol.map(Action::Protocol));
    actions.extend(state.metadata.clone().map(Action::MetaData));
    let transactions = state.transactions.iter();
    actions.extend(transactions.map(|(app_id, version)| {
        Action::Transaction(Transaction { app_id: app_id.clone(), version: *version })
    }));
    let removed = state.removed.iter().filter(|(_, when)| **when > millis(now) - LOG_RETENTION_MS);
    actions.extend(removed.map(|(path, when)| {
        let (path, deletion_timestamp) = (path.clone(), Some(*when));
        Action::Remove(RemoveFile { path, deletion_timestamp, data_change: false })
    }));
    // What was new to the table once is no change for who reads a checkpoint.
    let files = state.files.values().cloned();
    actions.extend(files.map(|mut file| {
        file.data_change = false;
        Action::Add(file)
    }));
    actions
}

/// Lines as columns.
fn batch(schema: &SchemaRef, lines: &[Line]) -> Result<RecordBatch, ArrowError> {
    let mut decoder =
        ReaderBuilder::new(Arc::clone(schema)).with_batch_size(lines.len().max(1)).build_decoder()?;
    decoder.serialize(lines)?;
    Ok(decoder.flush()?.unwrap_or_else(|| RecordBatch::new_empty(Arc::clone(schema))))
}

/// Columns as lines.
fn lines(batch: &RecordBatch) -> Result<Vec<Line>, ArrowError> {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(batch)?;
    writer.finish()?;
    let text = writer.into_inner();
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let read = |line| serde_json::from_slice(line).map_err(|error| ArrowError::JsonError(error.to_string()));
    lines.map(read).collect()
}

/// The columns of a checkpoint.
fn schema() -> SchemaRef {
    let long = |name: &str| Field::new(name, DataType::Int64, true);
    let integer = |name: &str| Field::new(name, DataType::Int32, true);
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let flag = |name: &str| Field::new(name, DataType::Boolean, true);
    let members = |name: &str, members: Vec<Field>| Field::new_struct(name, members, true);
    let texts = |name: &str| {
        let (key, value) = (Field::new("key", DataType::Utf8, false), text("value"));
        let entries = Field::new_struct("key_value", Fields::from(vec![key, value]), false);
        Field::new(name, DataType::Map(Arc::new(entries), false), true)
    };
    let format = members("format", vec![text("provider"), texts("options")]);
    let partitions = DataType::List(Arc::new(text("element")));
    Arc::new(Schema::new(vec![
        members("txn", vec![text("appId"), long("version")]),
        members(
            "add",
            vec![
                text("path"),
                texts("partitionValues"),
                long("size"),
                long("modificationTime"),
                flag("dataChange"),
                text("stats"),
                texts("tags"),
            ],
        ),
        members("remove", vec![text("path"), long("deletionTimestamp"), flag("dataChange")]),
        members(
            "metaData",
            vec![
                text("id"),
                text("name"),
                format,
                text("schemaString"),
                Field::new("partitionColumns", partitions, true),
                texts("configuration"),
                long("createdTime"),
            ],
        ),
        members("protocol", vec![integer("minReaderVersion"), integer("minWriterVersion")]),
    ]))
}
