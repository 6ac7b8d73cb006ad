//! Readers of the ledger that go on where they stopped: what they have not read is not removed.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::data_directory::DataDirectory;
use crate::disk;
use crate::error::AggregateError;

/// Where they are.
const DIRECTORY: &str = "readers";

/// Ending of their names.
const ENDING: &str = ".json";

/// Longest name of a reader.
const NAME_BYTES_MAX: usize = 64;

/// How far a reader has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reader {
    /// Last epoch it has read.
    pub epoch: u64,
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
    let disk = &**directory.disk();
    let file = format!("{DIRECTORY}/{name}{ENDING}");
    let path = disk.path(&file);
    let text = serde_json::to_vec(&Reader { epoch }).unwrap_or_default();
    disk::replace(disk, &file, &text).map_err(|error| AggregateError::Write { path, error })
}

/// All readers by name.
///
/// # Errors
/// [`AggregateError`] when one cannot be read: what it needs is not known then.
pub fn list(directory: &DataDirectory) -> Result<Vec<(String, Reader)>, AggregateError> {
    let disk = &**directory.disk();
    let failed = |path: PathBuf, error| AggregateError::Disk { path, error };
    let names = disk.list(DIRECTORY).map_err(|error| failed(disk.path(DIRECTORY), error))?;
    let mut readers = Vec::new();
    for name in names {
        let Some(reader) = name.strip_suffix(ENDING) else { continue };
        let path = disk.path(&format!("{DIRECTORY}/{name}"));
        let text = disk::read(disk, &format!("{DIRECTORY}/{name}"));
        let text = text.map_err(|error| failed(path.clone(), error))?;
        let position = serde_json::from_slice(&text).map_err(|error| failed(path, error.into()))?;
        readers.push((reader.to_owned(), position));
    }
    Ok(readers)
}

/// The epoch that all readers have read; `None` if there is no reader.
///
/// # Errors
/// [`AggregateError`] when one cannot be read.
pub fn slowest(directory: &DataDirectory) -> Result<Option<u64>, AggregateError> {
    Ok(list(directory)?.into_iter().map(|(_, reader)| reader.epoch).min())
}
