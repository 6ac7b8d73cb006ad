//! The contents of an epoch that is being made: in memory while they are small, in a file of their own
//! when they are not.
//!
//! A content is part of nothing until the epoch's document names it: a file that no epoch names is a leftover.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemas::epoch::{ContentHash, ContentKind, EpochContent};

use crate::disk::{Disk, DiskFile, directory_of};
use crate::error::AggregateError;

/// Most bytes of a content that are kept within the ledger.
pub const INLINE_BYTES_MAX: usize = 256 << 10;

/// Bytes that are written to a file at a time.
const WRITE_BYTES: usize = 1 << 20;

/// Where the contents of an epoch go.
#[derive(Clone, Debug)]
pub struct EpochFiles {
    disk: Arc<dyn Disk>,
    partition: u32,
    epoch: u64,
    inline_bytes_max: usize,
}

impl EpochFiles {
    /// Contents for an epoch that is being made.
    #[must_use]
    pub fn new(disk: &Arc<dyn Disk>, partition: u32, epoch: u64) -> Self {
        Self { disk: Arc::clone(disk), partition, epoch, inline_bytes_max: INLINE_BYTES_MAX }
    }

    /// Keeps contents of so many bytes within the ledger.
    #[must_use]
    pub fn with_inline_bytes_max(self, inline_bytes_max: usize) -> Self {
        Self { inline_bytes_max, ..self }
    }

    /// The most bytes of a content that are kept within the ledger.
    #[must_use]
    pub const fn inline_bytes_max(&self) -> usize {
        self.inline_bytes_max
    }

    /// Contents for the epoch after this one.
    #[must_use]
    pub fn next(&self) -> Self {
        Self { epoch: self.epoch + 1, ..self.clone() }
    }

    /// Contents of an epoch of a test, which are to be small.
    #[cfg(test)]
    pub(crate) fn in_memory() -> Self {
        let disk: Arc<dyn Disk> = Arc::new(crate::disk::DirectoryDisk::new(Path::new("nowhere")));
        Self::new(&disk, 0, 1)
    }

    /// Contents of an epoch of a test, by its number.
    #[cfg(test)]
    pub(crate) fn numbered_in_memory(epoch: u64) -> Self {
        Self { epoch, ..Self::in_memory() }
    }

    /// Number of the epoch.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Begins a content; `part` tells those of a kind apart.
    #[must_use]
    pub fn begin(&self, kind: ContentKind, part: usize) -> ContentFile {
        let name = content_name(kind, self.partition, self.epoch, part);
        ContentFile {
            disk: Arc::clone(&self.disk),
            path: self.disk.path(&name),
            kind,
            name,
            waiting: Vec::new(),
            file: None,
            length: 0,
            inline_bytes_max: self.inline_bytes_max,
            hasher: blake3::Hasher::new(),
        }
    }
}

/// Where the contents of a kind that have files are.
#[must_use]
pub fn content_directory(kind: ContentKind) -> String {
    match kind {
        ContentKind::RatedUsage | ContentKind::Quarantine | ContentKind::Accruals => {
            format!("tables/{}", kind.name())
        }
        ContentKind::Identities | ContentKind::UsageDetails => kind.name().to_owned(),
    }
}

/// The file of a content.
fn content_name(kind: ContentKind, partition: u32, epoch: u64, part: usize) -> String {
    let ending = match kind {
        ContentKind::RatedUsage | ContentKind::Quarantine | ContentKind::Accruals => "parquet",
        ContentKind::Identities => "run",
        ContentKind::UsageDetails => "details",
    };
    format!("{}/{partition}-{epoch:020}-{part:05}.{ending}", content_directory(kind))
}

/// The partition and epoch of a file of an epoch's content.
pub(crate) fn epoch_of(file_name: &str) -> Option<(u32, u64)> {
    parts_of(file_name).map(|(partition, epoch, _)| (partition, epoch))
}

/// The part that a file of an epoch's content is.
pub(crate) fn part_of(file_name: &str) -> Option<usize> {
    parts_of(file_name).map(|(_, _, part)| part)
}

fn parts_of(file_name: &str) -> Option<(u32, u64, usize)> {
    let (stem, _) = file_name.split_once('.')?;
    let mut parts = stem.split('-');
    let (partition, epoch, part) = (parts.next()?, parts.next()?, parts.next()?);
    let is_content = epoch.len() == 20 && part.len() == 5 && parts.next().is_none();
    if is_content { Some((partition.parse().ok()?, epoch.parse().ok()?, part.parse().ok()?)) } else { None }
}

/// A content that is being written.
#[derive(Debug)]
pub struct ContentFile {
    disk: Arc<dyn Disk>,
    kind: ContentKind,
    name: String,
    path: PathBuf,
    /// What is not in the file and not hashed yet.
    waiting: Vec<u8>,
    file: Option<Box<dyn DiskFile>>,
    length: u64,
    inline_bytes_max: usize,
    hasher: blake3::Hasher,
}

impl ContentFile {
    /// Where it is, or would be; for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it a file, whatever its size.
    ///
    /// # Errors
    /// What the disk says.
    pub fn spill(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            self.file = Some(self.disk.create(&self.name)?);
        }
        Ok(())
    }

    fn write_out(&mut self) -> io::Result<()> {
        self.spill()?;
        self.hasher.update(&self.waiting);
        if let Some(file) = &mut self.file {
            file.write_all(&self.waiting)?;
        }
        self.waiting.clear();
        Ok(())
    }

    /// Ends it with so many rows.
    ///
    /// # Errors
    /// [`AggregateError::Write`].
    pub fn finish(mut self, rows: u64) -> Result<MadeContent, AggregateError> {
        if self.file.is_some() {
            self.write_out().map_err(|error| AggregateError::Write { path: self.path.clone(), error })?;
        } else {
            self.hasher.update(&self.waiting);
        }
        let content = EpochContent {
            kind: self.kind,
            rows,
            bytes: self.length,
            hash: ContentHash(*self.hasher.finalize().as_bytes()),
            file: self.file.as_ref().map(|_| self.name.clone()),
        };
        Ok(MadeContent { content, inline: self.waiting, file: self.file, disk: self.disk, path: self.path })
    }
}

impl Write for ContentFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.write_all(buffer)?;
        Ok(buffer.len())
    }

    fn write_all(&mut self, buffer: &[u8]) -> io::Result<()> {
        self.length += buffer.len() as u64;
        let limit = if self.file.is_some() { WRITE_BYTES } else { self.inline_bytes_max };
        if self.waiting.len() + buffer.len() > limit {
            self.write_out()?;
        }
        match &mut self.file {
            Some(file) if buffer.len() >= WRITE_BYTES => {
                self.hasher.update(buffer);
                file.write_all(buffer)
            }
            _ => {
                self.waiting.extend_from_slice(buffer);
                Ok(())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A content that is whole.
#[derive(Debug)]
pub struct MadeContent {
    /// What the document says of it.
    pub content: EpochContent,
    /// Its bytes, where it has no file.
    pub inline: Vec<u8>,
    file: Option<Box<dyn DiskFile>>,
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

impl MadeContent {
    /// Makes its bytes durable, where it has a file. Its name is not yet.
    ///
    /// # Errors
    /// [`AggregateError::Sync`].
    pub(crate) fn sync(&mut self) -> Result<(), AggregateError> {
        match &mut self.file {
            Some(file) => {
                file.sync().map_err(|error| AggregateError::Sync { path: self.path.clone(), error })
            }
            None => Ok(()),
        }
    }
}

/// Makes contents and their names durable.
///
/// # Errors
/// [`AggregateError::Sync`]: what the document would name may not be durable.
pub(crate) fn sync_contents(contents: &mut [MadeContent]) -> Result<(), AggregateError> {
    let mut directories: Vec<(String, Arc<dyn Disk>)> = Vec::new();
    for made in contents.iter_mut() {
        made.sync()?;
        let Some(name) = &made.content.file else { continue };
        let directory = directory_of(name);
        if !directories.iter().any(|(known, _)| known == directory) {
            directories.push((directory.to_owned(), Arc::clone(&made.disk)));
        }
    }
    for (directory, disk) in directories {
        let synced = disk.sync_directory(&directory);
        synced.map_err(|error| AggregateError::Sync { path: disk.path(&directory), error })?;
    }
    Ok(())
}
