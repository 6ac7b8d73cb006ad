//! The disk under a data directory: files by name, and what makes them durable.
//!
//! Everything a data directory holds is read and written through [`Disk`], so that a test can put a disk
//! under it that fails, tears, forgets or fills up at any call. Names are relative to the directory, with `/` between
//! parts.
//!
//! What an implementor must give: bytes that were written are durable once [`DiskFile::sync`] returned; a
//! name that was created, moved or removed is durable once [`Disk::sync_directory`] of its directory
//! returned. Nothing else is durable, and what is not may be there after a crash in part, in any order. An
//! error of a sync leaves unknown what is durable: it is never asked again, the caller stops.

mod directory;

use std::fmt::Debug;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use ingest::dedup::RunBytes;
use schemas::epoch::ContentHash;

pub use directory::DirectoryDisk;

/// A directory of files.
pub trait Disk: Debug + Send + Sync {
    /// Creates a file, or empties the one there is. The directory exists.
    ///
    /// # Errors
    /// What the disk says.
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file to write after its end.
    ///
    /// # Errors
    /// What the disk says.
    fn append(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file to read it.
    ///
    /// # Errors
    /// What the disk says.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskBytes>>;

    /// Names of the files and directories in a directory, sorted; none where it does not exist.
    ///
    /// # Errors
    /// What the disk says.
    fn list(&self, directory: &str) -> io::Result<Vec<String>>;

    /// Creates a directory and those it is in, and makes them durable; it may exist.
    ///
    /// # Errors
    /// What the disk says.
    fn create_directory(&self, name: &str) -> io::Result<()>;

    /// Gives a file another name, in place of a file that has it.
    ///
    /// # Errors
    /// What the disk says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Gives a file another name that no file has: [`io::ErrorKind::AlreadyExists`] if one does. After a
    /// crash the file may have both names.
    ///
    /// # Errors
    /// What the disk says.
    fn rename_new(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the disk says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Cuts a file to a length, and makes that durable.
    ///
    /// # Errors
    /// What the disk says.
    fn cut(&self, name: &str, length: u64) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// What the disk says.
    fn sync_directory(&self, name: &str) -> io::Result<()>;

    /// Keeps other processes out as long as the lock is held: [`io::ErrorKind::WouldBlock`] if another
    /// holds it.
    ///
    /// # Errors
    /// What the disk says.
    fn lock(&self, name: &str) -> io::Result<Box<dyn DiskLock>>;

    /// Bytes that can still be written; the most there are where nobody can tell.
    ///
    /// # Errors
    /// What the disk says.
    fn free_bytes(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    /// Where a file is, for messages and for readers of its own kind.
    fn path(&self, name: &str) -> PathBuf;
}

/// A file that is being written. Writes go to its end; they are not buffered.
pub trait DiskFile: Write + Debug + Send + Sync {
    /// Makes everything written durable.
    ///
    /// # Errors
    /// What the disk says; what is durable is unknown then.
    fn sync(&mut self) -> io::Result<()>;
}

/// The bytes of a file.
pub trait DiskBytes: Debug + Send + Sync {
    /// How many there are.
    fn length(&self) -> u64;

    /// Fills a buffer from an offset on: [`io::ErrorKind::UnexpectedEof`] if there are fewer bytes.
    ///
    /// # Errors
    /// What the disk says.
    fn read_at(&self, offset: u64, to: &mut [u8]) -> io::Result<()>;
}

/// A lock that is held; given back when it is dropped.
pub trait DiskLock: Debug + Send + Sync {}

/// Reads a whole file.
///
/// # Errors
/// What the disk says.
pub fn read(disk: &dyn Disk, name: &str) -> io::Result<Vec<u8>> {
    let file = disk.open(name)?;
    let length = usize::try_from(file.length()).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; length];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 20;

/// The length of a file, and the BLAKE3 of its bytes.
///
/// # Errors
/// What the disk says.
pub(crate) fn hash(disk: &dyn Disk, name: &str) -> io::Result<(u64, ContentHash)> {
    hash_bytes(&*disk.open(name)?)
}

/// The same of a file that is open.
pub(crate) fn hash_bytes(bytes: &dyn DiskBytes) -> io::Result<(u64, ContentHash)> {
    let (length, mut offset) = (bytes.length(), 0);
    let (mut hasher, mut buffer) = (blake3::Hasher::new(), vec![0; READ_BYTES]);
    while offset < length {
        let count = usize::try_from(length - offset).unwrap_or(READ_BYTES).min(READ_BYTES);
        buffer.truncate(count);
        bytes.read_at(offset, &mut buffer)?;
        hasher.update(&buffer);
        offset += count as u64;
    }
    Ok((length, ContentHash(*hasher.finalize().as_bytes())))
}

/// Writes a small file so that it is there whole or not at all, and durable, in place of one of that name.
///
/// # Errors
/// What the disk says.
pub fn replace(disk: &dyn Disk, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = format!("{name}.new");
    let mut file = disk.create(&new)?;
    file.write_all(bytes)?;
    file.sync()?;
    disk.rename(&new, name)?;
    disk.sync_directory(directory_of(name))
}

/// The directory a file is in.
#[must_use]
pub fn directory_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// A file as the bytes of a run of identities.
#[derive(Debug)]
pub(crate) struct RunFile(pub(crate) Arc<dyn DiskBytes>);

impl RunBytes for RunFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.length())
    }

    fn read_at(&self, offset: u64, to: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, to)
    }
}
