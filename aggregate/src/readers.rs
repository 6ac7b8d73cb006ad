//! Readers of the ledger that go on where they stopped: what they have not read is not removed.

use std::io;

use schemas::epoch::ContentHash;
use serde::{Deserialize, Serialize};

use crate::data_directory::DataDirectory;
use crate::disk;
use crate::error::AggregateError;
use crate::ledger::hash_of;

/// Where they are.
const DIRECTORY: &str = "readers";

/// Ending of their names.
const ENDING: &str = ".json";

/// Longest name of a reader.
const NAME_BYTES_MAX: usize = 64;

/// How far a reader has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reader {
    /// Last epoch it has read to its end.
    pub epoch: u64,
    /// Rows of the next epoch that it has read as well, where it reads rows of one stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<ReadRows>,
    /// BLAKE3 of its name and the rest: a digit that has changed would skip epochs, or give them again.
    check: ContentHash,
}

/// Rows of an epoch that a reader has read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadRows {
    /// Wire name of the stream.
    pub stream: String,
    /// How many rows.
    pub rows: u64,
}

impl Reader {
    fn new(name: &str, epoch: u64, within: Option<ReadRows>) -> Self {
        let rows = within.as_ref().map(|ReadRows { stream, rows }| format!(" {stream} {rows}"));
        let check = hash_of(format!("{name} {epoch}{}", rows.unwrap_or_default()).as_bytes());
        Self { epoch, within, check }
    }
}

/// Is it a name that a reader may have?
#[must_use]
pub fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(is_plain)
}

/// How far a reader has come; `None` for one that is not known.
///
/// # Errors
/// [`AggregateError`] when it cannot be read.
pub fn position(directory: &DataDirectory, name: &str) -> Result<Option<u64>, AggregateError> {
    let known = list(directory)?;
    Ok(known.into_iter().find(|(known, _)| known == name).map(|(_, reader)| reader.epoch))
}

/// Notes how far a reader has come.
///
/// # Errors
/// [`AggregateError`] when it cannot be written.
pub fn advance(directory: &DataDirectory, name: &str, epoch: u64) -> Result<(), AggregateError> {
    advance_within(directory, name, epoch, None)
}

/// Notes how far a reader of the rows of one stream has come: an epoch that it has read to its end, and rows of the
/// next.
///
/// # Errors
/// [`AggregateError`] when it cannot be written.
pub fn advance_within(
    directory: &DataDirectory,
    name: &str,
    epoch: u64,
    within: Option<ReadRows>,
) -> Result<(), AggregateError> {
    let disk = &**directory.disk();
    let file = file_of(name);
    let path = disk.path(&file);
    let text = serde_json::to_vec(&Reader::new(name, epoch, within)).unwrap_or_default();
    disk::replace(disk, &file, &text).map_err(|error| AggregateError::Write { path, error })
}

/// All readers by name.
///
/// # Errors
/// [`AggregateError`] when one cannot be read: what it needs is not known then.
pub fn list(directory: &DataDirectory) -> Result<Vec<(String, Reader)>, AggregateError> {
    let names = names(directory)?;
    names.into_iter().map(|name| Ok((name.clone(), read(directory, &name)?))).collect()
}

/// The names of all readers.
///
/// # Errors
/// [`AggregateError`] when they cannot be listed.
pub(crate) fn names(directory: &DataDirectory) -> Result<Vec<String>, AggregateError> {
    let disk = &**directory.disk();
    let files = disk.list(DIRECTORY);
    let files = files.map_err(|error| AggregateError::Disk { path: disk.path(DIRECTORY), error })?;
    Ok(files.iter().filter_map(|file| file.strip_suffix(ENDING)).map(ToOwned::to_owned).collect())
}

/// Reads how far a reader has come.
///
/// # Errors
/// [`AggregateError`] when it cannot be read.
pub(crate) fn read(directory: &DataDirectory, name: &str) -> Result<Reader, AggregateError> {
    let disk = &**directory.disk();
    let file = file_of(name);
    let failed = |error| AggregateError::Disk { path: disk.path(&file), error };
    let text = disk::read(disk, &file).map_err(failed)?;
    let reader: Reader = serde_json::from_slice(&text).map_err(|error| failed(error.into()))?;
    if reader != Reader::new(name, reader.epoch, reader.within.clone()) {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidData, "it is not what was written")));
    }
    Ok(reader)
}

/// Forgets a reader: nothing is kept for it any more; was there one?
///
/// # Errors
/// [`AggregateError`] when it cannot be removed.
pub fn forget(directory: &DataDirectory, name: &str) -> Result<bool, AggregateError> {
    let disk = &**directory.disk();
    let file = file_of(name);
    match disk.remove(&file).and_then(|()| disk.sync_directory(DIRECTORY)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(AggregateError::Write { path: disk.path(&file), error }),
    }
}

/// The file of a reader.
pub(crate) fn file_of(name: &str) -> String {
    format!("{DIRECTORY}/{name}{ENDING}")
}

/// The epoch that all readers have read; `None` if there is no reader.
///
/// # Errors
/// [`AggregateError`] when one cannot be read.
pub fn slowest(directory: &DataDirectory) -> Result<Option<u64>, AggregateError> {
    Ok(list(directory)?.into_iter().map(|(_, reader)| reader.epoch).min())
}
