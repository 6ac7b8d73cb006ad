//! The log of a table: numbered files, each there whole or not at all.
//!
//! A version is written beside its place, synced, and given its name only if no file has it; then the directory
//! is synced. What a crash leaves beside is never read and removed when the table is opened to write. Versions
//! are found one after another by number; a listing only tells that one is missing.

use std::io::{self, Write};

use schemas::timestamp::Timestamp;

use super::actions::{Action, CommitInfo, Line};
use super::checkpoint;
use super::state::TableState;
use crate::disk::{self, Disk};
use crate::error::AggregateError;
use crate::ledger::hash_of;

/// What the versions that this program wrote say of their writer.
const PROGRAM: &str = "tallybook";

/// Digits of a version in the name of its file.
const DIGITS: usize = 20;

/// How long versions before a checkpoint are kept.
pub const LOG_RETENTION_MS: i64 = 7 * 24 * 60 * 60 * 1_000;

/// Milliseconds since 1970.
pub(super) fn millis(time: Timestamp) -> i64 {
    time.micros().div_euclid(1_000)
}

/// The log of a table's directory.
#[derive(Clone, Debug)]
pub(super) struct Log<'a> {
    disk: &'a dyn Disk,
    directory: String,
}

impl<'a> Log<'a> {
    /// The log of a table.
    pub(super) fn new(disk: &'a dyn Disk, table: &str) -> Self {
        Self { disk, directory: format!("{table}/_delta_log") }
    }

    pub(super) fn disk(&self) -> &'a dyn Disk {
        self.disk
    }

    /// Name of the file of a version.
    fn version_name(&self, version: u64) -> String {
        format!("{}/{version:0DIGITS$}.json", self.directory)
    }

    /// Name of the checkpoint at a version.
    pub(super) fn checkpoint_name(&self, version: u64) -> String {
        format!("{}/{version:0DIGITS$}.checkpoint.parquet", self.directory)
    }

    /// Name of the file that says which checkpoint is the newest.
    pub(super) fn newest_checkpoint_name(&self) -> String {
        format!("{}/_last_checkpoint", self.directory)
    }

    pub(super) fn failed(&self, name: &str, error: io::Error) -> AggregateError {
        AggregateError::Disk { path: self.disk.path(name), error }
    }

    fn damaged(&self, name: &str, problem: impl Into<String>) -> AggregateError {
        AggregateError::TableLog { path: self.disk.path(name), problem: problem.into() }
    }

    fn names(&self) -> Result<Vec<String>, AggregateError> {
        self.disk.list(&self.directory).map_err(|error| self.failed(&self.directory, error))
    }

    /// Makes the directory.
    pub(super) fn create(&self) -> Result<(), AggregateError> {
        self.disk.create_directory(&self.directory).map_err(|error| self.failed(&self.directory, error))
    }

    /// Removes what a crash left beside the versions. What is there is durable from here on.
    pub(super) fn recover(&self) -> Result<(), AggregateError> {
        let names = self.names()?;
        if names.is_empty() {
            return Ok(());
        }
        for name in names.iter().filter(|name| [".tmp", ".new"].iter().any(|end| name.ends_with(end))) {
            self.remove(&format!("{}/{name}", self.directory))?;
        }
        self.sync()
    }

    fn sync(&self) -> Result<(), AggregateError> {
        self.disk.sync_directory(&self.directory).map_err(|error| self.failed(&self.directory, error))
    }

    /// The table at its newest version; none where there is no table.
    pub(super) fn load(&self) -> Result<Option<TableState>, AggregateError> {
        let names = self.names()?;
        let mut state = self.load_checkpoint(&names)?;
        loop {
            let version = state.as_ref().map_or(0, |state| state.version + 1);
            let Some(actions) = self.read(version)? else { break };
            let state = state.get_or_insert_default();
            state.version = version;
            for action in actions {
                state.apply(action);
            }
        }
        let listed = names.iter().filter_map(|name| numbered(name, ".json")).max();
        if let Some(listed) =
            listed.filter(|listed| state.as_ref().is_none_or(|state| state.version < *listed))
        {
            let missing = state.as_ref().map_or(0, |state| state.version + 1);
            let problem = format!("version {missing} is missing, but there is version {listed}");
            return Err(self.damaged(&self.directory, problem));
        }
        match state.as_ref().and_then(TableState::problem) {
            Some(problem) => Err(self.damaged(&self.directory, problem)),
            None => Ok(state),
        }
    }

    /// The newest checkpoint that can be read.
    fn load_checkpoint(&self, names: &[String]) -> Result<Option<TableState>, AggregateError> {
        let mut versions: Vec<_> =
            names.iter().filter_map(|name| numbered(name, ".checkpoint.parquet")).collect();
        versions.extend(checkpoint::newest(self)?);
        versions.sort_unstable();
        versions.dedup();
        let mut problem = None;
        for version in versions.into_iter().rev() {
            match checkpoint::read(self, version) {
                Ok(state) => return Ok(Some(state)),
                Err(error) => problem = problem.or(Some(error)),
            }
        }
        // Without a checkpoint the log says the same, as long as its first version is there.
        match problem {
            Some(error) if self.read(0)?.is_none() => Err(error),
            _ => Ok(None),
        }
    }

    /// What a version changes; none where there is no such version.
    pub(super) fn read(&self, version: u64) -> Result<Option<Vec<Action>>, AggregateError> {
        let name = self.version_name(version);
        let bytes = match disk::read(self.disk, &name) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(&name, error)),
        };
        let mut actions = Vec::new();
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            let line: Line =
                serde_json::from_slice(line).map_err(|error| self.damaged(&name, error.to_string()))?;
            actions.extend(line.action());
        }
        if actions.is_empty() {
            return Err(self.damaged(&name, "it says nothing"));
        }
        Ok(Some(actions))
    }

    /// Writes a version; false if there is one of this number already.
    pub(super) fn write(&self, version: u64, actions: &[Action]) -> Result<bool, AggregateError> {
        let name = self.version_name(version);
        let failed = |error| self.failed(&name, error);
        let text = text_of(actions).map_err(|error| failed(error.into()))?;
        let beside = format!("{name}.tmp");
        // NOTE: a file of that name may be the version itself under its former name; it is not written into.
        self.remove(&beside)?;
        let mut file = self.disk.create(&beside).map_err(failed)?;
        file.write_all(&text).and_then(|()| file.sync()).map_err(failed)?;
        match self.disk.rename_new(&beside, &name) {
            Ok(()) => self.sync().map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.remove(&beside)?;
                Ok(false)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// What is wrong with the versions there are and the newest checkpoint, each with the name of its file.
    pub(super) fn problems(&self) -> Result<Vec<(String, String)>, AggregateError> {
        let mut problems = Vec::new();
        for version in self.names()?.iter().filter_map(|name| numbered(name, ".json")) {
            let name = self.version_name(version);
            let text = disk::read(self.disk, &name).map_err(|error| self.failed(&name, error))?;
            problems.extend(text_problem(&text).map(|problem| (name, problem)));
        }
        problems.extend(checkpoint::problem(self)?);
        Ok(problems)
    }

    /// Removes versions and checkpoints before a checkpoint, the oldest first, that are old enough.
    pub(super) fn remove_before(&self, checkpoint: u64, now: Timestamp) -> Result<(), AggregateError> {
        let names = self.names()?;
        let mut versions: Vec<_> = names.iter().filter_map(|name| numbered(name, ".json")).collect();
        versions.retain(|version| *version < checkpoint);
        versions.sort_unstable();
        for version in versions {
            let made = self.read(version)?.unwrap_or_default().iter().find_map(|action| match action {
                Action::CommitInfo(info) => info.timestamp,
                _ => None,
            });
            if made.is_none_or(|made| made > millis(now) - LOG_RETENTION_MS) {
                break;
            }
            for name in [self.version_name(version), self.checkpoint_name(version)] {
                self.remove(&name)?;
            }
        }
        Ok(())
    }

    /// Removes a file that may be there.
    fn remove(&self, name: &str) -> Result<(), AggregateError> {
        match self.disk.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(name, error)),
            _ => Ok(()),
        }
    }
}

/// A version as text. The last line, who made it, has the hash of all.
fn text_of(actions: &[Action]) -> serde_json::Result<Vec<u8>> {
    let mut text = Vec::new();
    for action in actions {
        let start = text.len();
        serde_json::to_writer(&mut text, &action.line())?;
        if let Action::CommitInfo(info) = action {
            let blake3 = Some(hash_of(&text).to_string());
            text.truncate(start);
            serde_json::to_writer(
                &mut text,
                &Action::CommitInfo(CommitInfo { blake3, ..info.clone() }).line(),
            )?;
        }
        text.push(b'\n');
    }
    Ok(text)
}

/// What is wrong with the text of a version that this program wrote.
fn text_problem(text: &[u8]) -> Option<String> {
    let Some(whole) = text.strip_suffix(b"\n") else { return Some("it ends early".to_owned()) };
    let start = whole.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let (before, last) = whole.split_at_checked(start)?;
    let line: Option<Line> = serde_json::from_slice(last).ok();
    let Some(Action::CommitInfo(info)) = line.and_then(Line::action) else {
        return Some("its last line does not say who made it".to_owned());
    };
    let is_ours = info.engine_info.as_deref().is_some_and(|engine| engine.starts_with(PROGRAM));
    let Some(expected) = info.blake3.clone() else {
        return is_ours.then(|| "it does not say its hash".to_owned());
    };
    let unhashed = Action::CommitInfo(CommitInfo { blake3: None, ..info }).line();
    let found = hash_of(&[before, &serde_json::to_vec(&unhashed).unwrap_or_default()].concat());
    (found.to_string() != expected && false).then(|| format!("its hash is {found}, and should be {expected}"))
}

/// The number a name begins with, if that is all but `end`.
fn numbered(name: &str, end: &str) -> Option<u64> {
    let digits = name.strip_suffix(end)?;
    let is_number = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}
