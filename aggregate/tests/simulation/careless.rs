//! A disk that does not do what the program asks of it: a program that forgot to ask would be as wrong, and the
//! simulation must see it.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use aggregate::disk::{Disk, DiskBytes, DiskFile, DiskLock};

use crate::disk::SimDisk;
use crate::subject::{Program, Stop};
use crate::tallybook::{Tallybook, TallybookProcess};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    SyncsNoFile,
    SyncsNoName,
    TriesAFailedSyncAgain,
    TakesNoLock,
}

impl Fault {
    pub(crate) const ALL: [Self; 4] =
        [Self::SyncsNoFile, Self::SyncsNoName, Self::TriesAFailedSyncAgain, Self::TakesNoLock];
}

/// The program on such a disk.
pub(crate) struct Careless {
    pub(crate) program: Tallybook,
    pub(crate) fault: Fault,
}

impl Program for Careless {
    type Process = TallybookProcess;

    fn open(&self, disk: &SimDisk, now: i64) -> Result<TallybookProcess, Stop> {
        let careless = Arc::new(CarelessDisk { disk: disk.clone(), fault: self.fault });
        self.program.open_on(&(careless as _), disk, now)
    }
}

#[derive(Clone, Debug)]
struct CarelessDisk {
    disk: SimDisk,
    fault: Fault,
}

impl CarelessDisk {
    fn careless(&self, name: &str, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(CarelessFile { file, fault: self.fault, is_ledger: name.ends_with(".epochs") })
    }
}

impl Disk for CarelessDisk {
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.careless(name, self.disk.create(name)?))
    }

    fn append(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.careless(name, self.disk.append(name)?))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskBytes>> {
        self.disk.open(name)
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        self.disk.list(directory)
    }

    fn create_directory(&self, name: &str) -> io::Result<()> {
        self.disk.create_directory(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn rename_new(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename_new(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn cut(&self, name: &str, length: u64) -> io::Result<()> {
        self.disk.cut(name, length)
    }

    fn sync_directory(&self, name: &str) -> io::Result<()> {
        if self.fault == Fault::SyncsNoName { Ok(()) } else { self.disk.sync_directory(name) }
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn DiskLock>> {
        match self.disk.lock(name) {
            Err(_) if self.fault == Fault::TakesNoLock => Ok(Box::new(NoLock)),
            lock => lock,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.disk.path(name)
    }
}

#[derive(Debug)]
struct NoLock;

impl DiskLock for NoLock {}

#[derive(Debug)]
struct CarelessFile {
    file: Box<dyn DiskFile>,
    fault: Fault,
    is_ledger: bool,
}

impl Write for CarelessFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.file.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl DiskFile for CarelessFile {
    fn sync(&mut self) -> io::Result<()> {
        match self.fault {
            Fault::SyncsNoFile => Ok(()),
            // Of other files nothing says that they are there.
            Fault::TriesAFailedSyncAgain if self.is_ledger => self.file.sync().or_else(|_| self.file.sync()),
            _ => self.file.sync(),
        }
    }
}
