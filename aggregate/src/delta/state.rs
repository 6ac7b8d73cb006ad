//! What a table is at a version: the fold of its log.

use std::collections::BTreeMap;

use super::actions::{Action, AddFile, MetaData, Protocol, Transaction};

/// Reader version this program understands.
pub(super) const READER_VERSION: i32 = 1;

/// Writer version this program understands.
pub(super) const WRITER_VERSION: i32 = 2;

/// A table at a version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TableState {
    /// The version.
    pub(super) version: u64,
    /// Version of the checkpoint it was read from, or written to.
    pub(super) checkpoint: Option<u64>,
    pub(super) protocol: Option<Protocol>,
    pub(super) metadata: Option<MetaData>,
    /// Files of the table, by name.
    pub(super) files: BTreeMap<String, AddFile>,
    /// When files were removed, in milliseconds since 1970, by name.
    pub(super) removed: BTreeMap<String, i64>,
    /// How far applications have come.
    pub(super) transactions: BTreeMap<String, i64>,
}

impl TableState {
    /// Takes an action in.
    pub(super) fn apply(&mut self, action: Action) {
        match action {
            Action::Protocol(protocol) => self.protocol = Some(protocol),
            Action::MetaData(metadata) => self.metadata = Some(metadata),
            Action::Add(file) => {
                self.removed.remove(&file.path);
                self.files.insert(file.path.clone(), file);
            }
            Action::Remove(file) => {
                self.files.remove(&file.path);
                self.removed.insert(file.path, file.deletion_timestamp.unwrap_or_default());
            }
            Action::Transaction(Transaction { app_id, version }) => {
                self.transactions.insert(app_id, version);
            }
            Action::CommitInfo(_) => {}
        }
    }

    /// What is wrong with the table as a whole.
    pub(super) fn problem(&self) -> Option<String> {
        let Some(protocol) = self.protocol else {
            return Some("the log has no protocol".to_owned());
        };
        if self.metadata.is_none() {
            return Some("the log has no metadata".to_owned());
        }
        let Protocol { min_reader_version: reader, min_writer_version: writer } = protocol;
        let is_known = reader <= READER_VERSION && writer <= WRITER_VERSION;
        (!is_known).then(|| {
            format!(
                "the table needs reader version {reader} and writer version {writer}, this program has \
                 {READER_VERSION} and {WRITER_VERSION}: another program has upgraded it"
            )
        })
    }
}
