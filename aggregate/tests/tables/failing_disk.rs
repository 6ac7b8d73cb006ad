//! A disk that fails from some call on, as if the process died there.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aggregate::disk::{DirectoryDisk, Disk, DiskBytes, DiskFile, DiskLock};

/// A directory that fails from change `fails_at` on, which still takes effect, a write by half. Syncs do
/// nothing but count: what is durable is not what this disk tries.
#[derive(Clone, Debug)]
pub(crate) struct FailingDisk {
    under: DirectoryDisk,
    calls: Arc<AtomicU64>,
    fails_at: u64,
}

/// What to do at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Works,
    FailsAfter,
    Fails,
}

impl FailingDisk {
    pub(crate) fn new(under: DirectoryDisk, fails_at: u64) -> Self {
        Self { under, calls: Arc::default(), fails_at }
    }

    /// One that works.
    pub(crate) fn working(under: DirectoryDisk) -> Self {
        Self::new(under, u64::MAX)
    }

    /// Changes so far.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    fn fate(&self) -> Fate {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        match call.cmp(&self.fails_at) {
            std::cmp::Ordering::Less => Fate::Works,
            std::cmp::Ordering::Equal => Fate::FailsAfter,
            std::cmp::Ordering::Greater => Fate::Fails,
        }
    }

    /// Reads have no effect: they fail after a change did.
    fn read<T>(&self, works: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if self.calls() > self.fails_at { Err(dead()) } else { works() }
    }

    fn call<T>(&self, works: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self.fate() {
            Fate::Works => works(),
            Fate::FailsAfter => works().and(Err(dead())),
            Fate::Fails => Err(dead()),
        }
    }
}

fn dead() -> io::Error {
    io::Error::other("the disk is gone")
}

impl Disk for FailingDisk {
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = self.call(|| self.under.create(name))?;
        Ok(Box::new(FailingFile { file, disk: self.clone() }))
    }

    fn append(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.call(|| self.under.append(name))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskBytes>> {
        self.read(|| self.under.open(name))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        self.read(|| self.under.list(directory))
    }

    fn create_directory(&self, name: &str) -> io::Result<()> {
        self.call(|| self.under.create_directory(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.call(|| self.under.rename(from, to))
    }

    /// Two calls, as the file may have both names between them.
    fn rename_new(&self, from: &str, to: &str) -> io::Result<()> {
        self.call(|| std::fs::hard_link(self.path(from), self.path(to)))?;
        self.call(|| self.under.remove(from))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.call(|| self.under.remove(name))
    }

    fn cut(&self, name: &str, length: u64) -> io::Result<()> {
        self.call(|| self.under.cut(name, length))
    }

    fn sync_directory(&self, _name: &str) -> io::Result<()> {
        self.call(|| Ok(()))
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn DiskLock>> {
        self.call(|| self.under.lock(name))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.under.path(name)
    }
}

#[derive(Debug)]
struct FailingFile {
    file: Box<dyn DiskFile>,
    disk: FailingDisk,
}

impl Write for FailingFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self.disk.fate() {
            Fate::Works => self.file.write(buffer),
            Fate::FailsAfter => {
                self.file.write_all(&buffer[..buffer.len() / 2])?;
                Err(dead())
            }
            Fate::Fails => Err(dead()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for FailingFile {
    fn sync(&mut self) -> io::Result<()> {
        self.disk.call(|| Ok(()))
    }
}
