//! The output directory of a run: written beside its place, and moved there when it is whole.
//!
//! Until [`Output::publish`] nothing appears under the directory's own name, so a run that is killed
//! leaves no half table; what it leaves is removed by the next run to the same place. Every file and
//! directory is synced before the move.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::AggregateError;

/// Name of the file whose lock says that a run is writing.
const LOCK: &str = ".lock";

/// Name of a directory that only tries the way to the place of the results.
const EMPTY: &str = ".empty";

/// An output directory that is being written.
#[derive(Debug)]
pub struct Output {
    /// Where the results will be, as it was named.
    target: PathBuf,
    /// The same, behind links.
    place: PathBuf,
    /// Where they are written.
    staging: PathBuf,
    lock: File,
    is_published: bool,
}

impl Output {
    /// Begins an output. The directory must not exist, or be empty.
    ///
    /// # Errors
    /// [`AggregateError`] when there is something already, or the place cannot be written.
    pub fn create(target: &Path) -> Result<Self, AggregateError> {
        let occupied = match fs::read_dir(target) {
            Ok(mut entries) => entries.next().is_some(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(write_error(target, error)),
        };
        if occupied {
            return Err(AggregateError::OutputExists(target.to_owned()));
        }
        let place = match target.symlink_metadata() {
            Ok(_) => Some(target.canonicalize().map_err(|error| write_error(target, error))?),
            Err(_) => None,
        };
        if place.is_some() && place == std::env::current_dir().and_then(|here| here.canonicalize()).ok() {
            return Err(AggregateError::OutputInUse(target.to_owned()));
        }
        let exists = place.is_some();
        let place = place.unwrap_or_else(|| target.to_owned());
        let name =
            place.file_name().map_or_else(|| "output".into(), |name| name.to_string_lossy().into_owned());
        let parent = match place.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(parent).map_err(|error| write_error(parent, error))?;
        let staging = parent.join(format!(".{name}.partial"));
        fs::create_dir_all(&staging).map_err(|error| write_error(&staging, error))?;
        let lock_path = staging.join(LOCK);
        let lock = File::create(&lock_path).map_err(|error| write_error(&lock_path, error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(AggregateError::OutputBusy(target.to_owned())),
            Err(fs::TryLockError::Error(error)) => return Err(write_error(&lock_path, error)),
        }
        let output = Self { target: target.to_owned(), place, staging, lock, is_published: false };
        output.remove_leftovers()?;
        if exists {
            output.try_to_replace()?;
        }
        Ok(output)
    }

    /// Replaces the empty directory there is by another, as publishing will: better that it fails now
    /// than after a long run.
    fn try_to_replace(&self) -> Result<(), AggregateError> {
        let empty = self.staging.join(EMPTY);
        fs::create_dir(&empty).map_err(|error| write_error(&empty, error))?;
        fs::rename(&empty, &self.place).map_err(|error| match error.kind() {
            io::ErrorKind::ResourceBusy | io::ErrorKind::CrossesDevices => {
                AggregateError::OutputInUse(self.target.clone())
            }
            _ => write_error(&self.target, error),
        })
    }

    /// Removes what a run that was killed left behind.
    fn remove_leftovers(&self) -> Result<(), AggregateError> {
        let failed = |error| write_error(&self.staging, error);
        for entry in fs::read_dir(&self.staging).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.file_name().is_some_and(|name| name == LOCK) {
                continue;
            }
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(|error| write_error(&path, error))?;
        }
        Ok(())
    }

    /// Where the results will be.
    #[must_use]
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Creates a file, with the directories it is in.
    ///
    /// # Errors
    /// [`AggregateError::Write`].
    pub fn create_file(&self, name: &str) -> Result<OutputFile, AggregateError> {
        let path = self.staging.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|error| write_error(parent, error))?;
        }
        let file = File::create(&path).map_err(|error| write_error(&path, error))?;
        Ok(OutputFile { shown: self.target.join(name), writer: BufWriter::with_capacity(1 << 20, file) })
    }

    /// Moves the results to their place.
    ///
    /// # Errors
    /// [`AggregateError::Write`].
    pub fn publish(mut self) -> Result<(), AggregateError> {
        sync_directories(&self.staging)?;
        let lock_path = self.staging.join(LOCK);
        fs::remove_file(&lock_path).map_err(|error| write_error(&lock_path, error))?;
        fs::rename(&self.staging, &self.place).map_err(|error| write_error(&self.target, error))?;
        self.is_published = true;
        if let Some(parent) = self.place.parent().filter(|parent| *parent != Path::new("")) {
            sync_directory(parent)?;
        }
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if !self.is_published {
            // The run failed and says why; that it could not clean up adds nothing.
            let _ = self.lock.unlock();
            let _ = fs::remove_dir_all(&self.staging);
        }
    }
}

fn sync_directories(directory: &Path) -> Result<(), AggregateError> {
    for entry in fs::read_dir(directory).map_err(|error| write_error(directory, error))? {
        let path = entry.map_err(|error| write_error(directory, error))?.path();
        if path.is_dir() {
            sync_directories(&path)?;
        }
    }
    sync_directory(directory)
}

fn sync_directory(directory: &Path) -> Result<(), AggregateError> {
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|error| write_error(directory, error))
}

pub(crate) fn write_error(path: &Path, error: io::Error) -> AggregateError {
    AggregateError::Write { path: path.to_owned(), error }
}

/// A file of an output.
#[derive(Debug)]
pub struct OutputFile {
    /// Where it will be.
    shown: PathBuf,
    writer: BufWriter<File>,
}

impl OutputFile {
    /// Where it will be, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shown
    }

    /// Writes what is left and syncs the file.
    ///
    /// # Errors
    /// [`AggregateError::Write`].
    pub fn finish(self) -> Result<(), AggregateError> {
        let path = self.shown;
        let file = self.writer.into_inner().map_err(io::IntoInnerError::into_error);
        file.and_then(|file| file.sync_all()).map_err(|error| write_error(&path, error))
    }
}

impl Write for OutputFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.writer.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(output: &Output, name: &str) {
        let mut file = output.create_file(name).unwrap();
        file.write_all(b"rows").unwrap();
        file.finish().unwrap();
    }

    #[test]
    fn nothing_appears_before_it_is_published() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("out");
        let output = Output::create(&target).unwrap();
        write(&output, "table/part.parquet");
        assert!(!target.exists());
        output.publish().unwrap();
        assert_eq!(fs::read(target.join("table/part.parquet")).unwrap(), b"rows");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "nothing but the output is left");
    }

    #[test]
    fn a_run_that_fails_leaves_nothing() {
        let place = tempfile::tempdir().unwrap();
        let output = Output::create(&place.path().join("out")).unwrap();
        write(&output, "part.parquet");
        drop(output);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_run_left_is_removed() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("out");
        let staging = place.path().join(".out.partial");
        fs::create_dir_all(staging.join("old")).unwrap();
        fs::write(staging.join("old/part.parquet"), b"half").unwrap();
        let output = Output::create(&target).unwrap();
        write(&output, "new.parquet");
        output.publish().unwrap();
        let names: Vec<_> = fs::read_dir(&target).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["new.parquet"]);
    }

    #[test]
    fn an_occupied_place_is_refused_and_an_empty_one_taken() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("out");
        fs::create_dir(&target).unwrap();
        Output::create(&target).unwrap().publish().unwrap();
        fs::write(target.join("mine"), b"").unwrap();
        assert!(matches!(Output::create(&target), Err(AggregateError::OutputExists(_))));
    }

    #[test]
    fn a_link_is_followed_to_the_place_it_names() {
        let place = tempfile::tempdir().unwrap();
        let dangling = place.path().join("dangling");
        std::os::unix::fs::symlink("nowhere", &dangling).unwrap();
        assert!(matches!(Output::create(&dangling), Err(AggregateError::Write { .. })));
        let (real, link) = (place.path().join("real"), place.path().join("link"));
        fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink("real", &link).unwrap();
        let output = Output::create(&link).unwrap();
        write(&output, "part.parquet");
        output.publish().unwrap();
        assert!(link.is_symlink() && real.join("part.parquet").is_file());
    }

    #[test]
    fn two_runs_do_not_write_to_one_place() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("out");
        let first = Output::create(&target).unwrap();
        assert!(matches!(Output::create(&target), Err(AggregateError::OutputBusy(_))));
        drop(first);
        assert!(Output::create(&target).is_ok());
    }
}
