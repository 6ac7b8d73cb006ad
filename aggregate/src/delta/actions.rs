//! The actions of a Delta log: what a version changes, one JSON object in each line.
//!
//! Names and meanings are those of the Delta protocol (reader version 1, writer version 2). Actions that
//! are not here are passed over, as the protocol asks.

use std::collections::BTreeMap;

use schemas::epoch::ContentHash;
use serde::{Deserialize, Serialize};

/// What a version changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// What a reader and a writer must understand.
    Protocol(Protocol),
    /// What the table is.
    MetaData(MetaData),
    /// A file belongs to the table from here on.
    Add(AddFile),
    /// A file no longer belongs to the table.
    Remove(RemoveFile),
    /// How far an application has come.
    Transaction(Transaction),
    /// Who made the version.
    CommitInfo(CommitInfo),
}

/// A line of the log, and a row of a checkpoint: one member is there.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    protocol: Option<Protocol>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    meta_data: Option<MetaData>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    add: Option<AddFile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    remove: Option<RemoveFile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    txn: Option<Transaction>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    commit_info: Option<CommitInfo>,
}

/// What a reader and a writer must understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Protocol {
    /// Least version of a reader.
    pub(super) min_reader_version: i32,
    /// Least version of a writer.
    pub(super) min_writer_version: i32,
}

/// What a table is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MetaData {
    /// A UUID of the table.
    pub(super) id: String,
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    /// Form of the files.
    pub(super) format: Format,
    /// The columns, as JSON.
    pub(super) schema_string: String,
    /// Columns that are in the paths of files: none.
    pub(super) partition_columns: Vec<String>,
    /// Properties.
    pub(super) configuration: BTreeMap<String, Option<String>>,
    /// When the table was made, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) created_time: Option<i64>,
}

/// Form of the files of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Format {
    /// `parquet`.
    pub(super) provider: String,
    /// Options: none.
    #[serde(default)]
    pub(super) options: BTreeMap<String, Option<String>>,
}

/// A file that belongs to a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AddFile {
    /// Name below the table's directory.
    pub(crate) path: String,
    /// Values of the partition columns: none.
    #[serde(default)]
    pub(crate) partition_values: BTreeMap<String, Option<String>>,
    /// Length in bytes.
    pub(crate) size: i64,
    /// When it was made, in milliseconds since 1970.
    pub(crate) modification_time: i64,
    /// Are its rows new to the table?
    pub(crate) data_change: bool,
    /// Its rows and bounds, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stats: Option<String>,
}

/// A file that no longer belongs to a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RemoveFile {
    /// Name below the table's directory.
    pub(super) path: String,
    /// When it was removed, in milliseconds since 1970.
    #[serde(default)]
    pub(super) deletion_timestamp: Option<i64>,
    /// Do its rows leave the table?
    pub(super) data_change: bool,
}

/// How far an application has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Transaction {
    /// The application.
    pub(super) app_id: String,
    /// How far it has come.
    pub(super) version: i64,
}

/// Who made a version, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CommitInfo {
    /// When, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) timestamp: Option<i64>,
    /// What for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) operation: Option<String>,
    /// The program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) engine_info: Option<String>,
    /// Hash of the lines before, where this program made the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) lines_hash: Option<ContentHash>,
}

impl Action {
    /// The action as a line.
    pub(super) fn line(&self) -> Line {
        let mut line = Line::default();
        match self.clone() {
            Self::Protocol(protocol) => line.protocol = Some(protocol),
            Self::MetaData(metadata) => line.meta_data = Some(metadata),
            Self::Add(file) => line.add = Some(file),
            Self::Remove(file) => line.remove = Some(file),
            Self::Transaction(transaction) => line.txn = Some(transaction),
            Self::CommitInfo(info) => line.commit_info = Some(info),
        }
        line
    }
}

impl Line {
    /// The action of the line; none where it is of a kind that is passed over.
    pub(super) fn action(self) -> Option<Action> {
        let protocol = self.protocol.map(Action::Protocol);
        protocol
            .or_else(|| self.meta_data.map(Action::MetaData))
            .or_else(|| self.add.map(Action::Add))
            .or_else(|| self.remove.map(Action::Remove))
            .or_else(|| self.txn.map(Action::Transaction))
            .or_else(|| self.commit_info.map(Action::CommitInfo))
    }
}
