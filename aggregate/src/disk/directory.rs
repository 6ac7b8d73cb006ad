//! A directory of the operating system.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Disk, DiskBytes, DiskFile, DiskLock};

/// Files below a directory of the operating system.
#[derive(Clone, Debug)]
pub struct DirectoryDisk {
    root: PathBuf,
}

impl DirectoryDisk {
    /// The files below a directory.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }
}

impl Disk for DirectoryDisk {
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        File::create(self.path(name))?;
        self.append(name)
    }

    fn append(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(Written(OpenOptions::new().append(true).open(self.path(name))?)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskBytes>> {
        let file = File::open(self.path(name))?;
        let length = file.metadata()?.len();
        Ok(Arc::new(Bytes { file, length }))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.path(directory)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
        let mut names = entries.map(name).collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    fn create_directory(&self, name: &str) -> io::Result<()> {
        let path = self.path(name);
        let missing = path.ancestors().take_while(|above| !above.as_os_str().is_empty() && !above.is_dir());
        let missing = missing.count();
        fs::create_dir_all(&path)?;
        // A directory is durable when the one it is in is synced. Who made one that is there may have died before.
        let inside = path.ancestors().take_while(|above| above.starts_with(&self.root)).count();
        for made in path.ancestors().take(inside.max(missing)) {
            let above = made.parent().filter(|above| !above.as_os_str().is_empty());
            sync(above.unwrap_or_else(|| Path::new(".")))?;
        }
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn rename_new(&self, from: &str, to: &str) -> io::Result<()> {
        fs::hard_link(self.path(from), self.path(to))?;
        fs::remove_file(self.path(from))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn cut(&self, name: &str, length: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.path(name))?;
        file.set_len(length)?;
        file.sync_all()
    }

    fn sync_directory(&self, name: &str) -> io::Result<()> {
        sync(&self.path(name))
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn DiskLock>> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(self.path(name))?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(Lock { _file: file })),
            Err(fs::TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let space = rustix::fs::statvfs(&self.root)?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }

    fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.root.clone() } else { self.root.join(name) }
    }
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[derive(Debug)]
struct Written(File);

impl Write for Written {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl DiskFile for Written {
    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[derive(Debug)]
struct Bytes {
    file: File,
    length: u64,
}

impl DiskBytes for Bytes {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, to: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(to, offset)
    }
}

/// Closing the file gives the lock back.
#[derive(Debug)]
struct Lock {
    _file: File,
}

impl DiskLock for Lock {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{read, replace};

    #[test]
    fn files_are_written_after_their_end_and_read_anywhere() {
        let place = tempfile::tempdir().unwrap();
        let disk = DirectoryDisk::new(place.path());
        disk.create_directory("a/b").unwrap();
        disk.create("a/b/file").unwrap().write_all(b"first").unwrap();
        let mut file = disk.append("a/b/file").unwrap();
        file.write_all(b", second").unwrap();
        file.sync().unwrap();
        let bytes = disk.open("a/b/file").unwrap();
        let mut part = [0; 6];
        bytes.read_at(7, &mut part).unwrap();
        assert_eq!((bytes.length(), &part), (13, b"second"));
        assert_eq!(bytes.read_at(8, &mut part).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        disk.cut("a/b/file", 5).unwrap();
        assert_eq!(read(&disk, "a/b/file").unwrap(), b"first");
        assert_eq!(disk.list("a/b").unwrap(), ["file"]);
        assert!(disk.list("nowhere").unwrap().is_empty());
    }

    #[test]
    fn a_new_name_is_refused_where_a_file_has_it() {
        let place = tempfile::tempdir().unwrap();
        let disk = DirectoryDisk::new(place.path());
        replace(&disk, "one", b"1").unwrap();
        replace(&disk, "two", b"2").unwrap();
        assert_eq!(disk.rename_new("one", "two").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        disk.rename_new("one", "three").unwrap();
        assert_eq!(disk.list("").unwrap(), ["three", "two"]);
        replace(&disk, "two", b"new").unwrap();
        assert_eq!(read(&disk, "two").unwrap(), b"new");
    }

    #[test]
    fn a_lock_keeps_a_second_holder_out() {
        let place = tempfile::tempdir().unwrap();
        let disk = DirectoryDisk::new(place.path());
        let held = disk.lock("lock").unwrap();
        assert_eq!(disk.lock("lock").unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(held);
        disk.lock("lock").unwrap();
    }
}
