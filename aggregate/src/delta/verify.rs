//! Are the files of a table what its log says they are?

use std::path::PathBuf;

use super::log::Log;
use super::{DeltaTable, ParquetSource, TableFile};
use crate::disk::{self, Disk};
use crate::error::AggregateError;

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileProblem {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub problem: String,
}

impl DeltaTable<'_> {
    /// Checks that every version of a table's log that is still there is as it was written, and the newest
    /// checkpoint; what is wrong.
    ///
    /// # Errors
    /// [`AggregateError::Disk`].
    pub fn verify_log(disk: &dyn Disk, directory: &str) -> Result<Vec<FileProblem>, AggregateError> {
        let problems = Log::new(disk, directory).problems()?;
        let problem = |(name, problem): (String, String)| FileProblem { path: disk.path(&name), problem };
        Ok(problems.into_iter().map(problem).collect())
    }

    /// Checks that every file is there with its size and its hash, that its footer can be read and has its rows;
    /// what is wrong.
    #[must_use]
    pub fn verify(&self) -> Vec<FileProblem> {
        let checked = self.files().into_iter().map(|file| (self.problem(&file), file.name));
        let problem = |(problem, name): (Option<String>, String)| {
            Some(FileProblem { path: self.disk.path(&name), problem: problem? })
        };
        checked.filter_map(problem).collect()
    }

    fn problem(&self, file: &TableFile) -> Option<String> {
        let (length, hash) = match disk::hash(self.disk, &file.name) {
            Ok(found) => found,
            Err(error) => return Some(error.to_string()),
        };
        if length != file.bytes {
            return Some(format!("it has {length} bytes, the log says {}", file.bytes));
        }
        // IMPORTANT: before the footer is read: what is damaged can make its reader panic.
        if let Some(expected) = file.hash.as_ref().filter(|expected| **expected != hash.to_string()) {
            return Some(format!("its hash is {hash}, the log says {expected}"));
        }
        let source = match ParquetSource::open(self.disk, &file.name) {
            Ok(source) => source,
            Err(AggregateError::Parquet { error, .. }) => return Some(error.to_string()),
            Err(error) => return Some(error.to_string()),
        };
        let (rows, said) = (source.rows(), file.rows?);
        (rows != said).then(|| format!("it has {rows} rows, the log says {said}"))
    }
}
