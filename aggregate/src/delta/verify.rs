//! Are the files of a table what its log says they are?

use std::path::PathBuf;

use super::{DeltaTable, ParquetSource, TableFile};
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
    /// Checks that every file is there with its size, that its footer can be read and has its rows; what is
    /// wrong.
    #[must_use]
    pub fn verify(&self) -> Vec<FileProblem> {
        let checked = self.files().into_iter().map(|file| (self.problem(&file), file.name));
        let problem = |(problem, name): (Option<String>, String)| {
            Some(FileProblem { path: self.disk.path(&name), problem: problem? })
        };
        checked.filter_map(problem).collect()
    }

    fn problem(&self, file: &TableFile) -> Option<String> {
        let length = match self.disk.open(&file.name) {
            Ok(bytes) => bytes.length(),
            Err(error) => return Some(error.to_string()),
        };
        if length != file.bytes {
            return Some(format!("it has {length} bytes, the log says {}", file.bytes));
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
