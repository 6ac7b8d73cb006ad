//! How far each input was read: what is behind a position is counted, and is never read again.
//!
//! A file is known by its path, size and time of change. One that differs in any of them is another file,
//! read from its beginning: events that were counted are duplicates then, and nothing is lost.

use std::collections::BTreeMap;

use schemas::epoch::{Epoch, InputFile};
use serde::{Deserialize, Serialize};

/// How far a file was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePosition {
    /// Bytes done, after decompression.
    pub offset: u64,
    /// Lines done.
    pub line: u64,
    /// Was it read to its end?
    pub is_complete: bool,
}

/// How far every file was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(InputFile, FilePosition)>", into = "Vec<(InputFile, FilePosition)>")]
pub struct Positions(BTreeMap<InputFile, FilePosition>);

impl Positions {
    /// How far a file was read; `None` if it was not begun.
    #[must_use]
    pub fn of(&self, file: &InputFile) -> Option<FilePosition> {
        self.0.get(file).copied()
    }

    /// Moves to where an epoch read to.
    pub(crate) fn advance(&mut self, epoch: &Epoch) {
        for progress in &epoch.positions {
            let Some(file) = &progress.file else { continue };
            let position = FilePosition {
                offset: progress.to_offset,
                line: progress.to_line,
                is_complete: progress.is_complete,
            };
            self.0.insert(file.clone(), position);
        }
    }
}

impl From<Vec<(InputFile, FilePosition)>> for Positions {
    fn from(positions: Vec<(InputFile, FilePosition)>) -> Self {
        Self(positions.into_iter().collect())
    }
}

impl From<Positions> for Vec<(InputFile, FilePosition)> {
    fn from(positions: Positions) -> Self {
        positions.0.into_iter().collect()
    }
}
