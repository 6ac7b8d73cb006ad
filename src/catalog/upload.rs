//! Replacing the files of a catalog directory, as a whole.
//!
//! Other files of the directory stay as they are: it may be a working copy of something. The new files are written into
//! one archive first, which takes their place in every reading until all of them lie where they belong: whenever the
//! process dies, the next reading sees the old files or the new ones, and never some of both.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path};

use aggregate::data_directory::directory_disk;
use aggregate::disk::{self, Disk, directory_of, replace};
use bytes::Bytes;

use super::CatalogError;
use super::files::{CatalogFiles, ending, find_files, is_catalog_file};

/// The archive, which is hidden and so no file of the catalog.
const ARCHIVE: &str = ".tallybook-upload.tar";

/// Puts files in the place of all files of the catalog in a directory.
///
/// # Errors
/// [`CatalogError::Read`] with what cannot be written; the next reading tries to go on with it.
pub(super) fn install(directory: &Path, files: &BTreeMap<String, Bytes>) -> Result<(), CatalogError> {
    let path = directory.join(ARCHIVE);
    let failed = |error| CatalogError::Read { path: path.clone(), error };
    let archive = CatalogFiles::of_files(directory, files.clone()).archive().map_err(failed)?;
    replace(&*directory_disk(directory), ARCHIVE, &archive.bytes).map_err(failed)?;
    lay_out(directory, files)
}

/// The files of an upload that was not laid out to its end, if there is one; it is, if it can be.
pub(super) fn interrupted(directory: &Path) -> Result<Option<CatalogFiles>, CatalogError> {
    let path = directory.join(ARCHIVE);
    let failed = |error| CatalogError::Read { path: path.clone(), error };
    let bytes = match disk::read(&*directory_disk(directory), ARCHIVE) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let files = CatalogFiles::of_archive(directory.to_owned(), &bytes).map_err(failed)?;
    let contents = files.contents();
    match lay_out(directory, &contents) {
        Ok(()) => Ok(None),
        // Whoever may only read sees the files all the same.
        Err(_) => Ok(Some(files)),
    }
}

/// Writes the files where they belong, removes those that are no more, and then the archive.
fn lay_out(directory: &Path, files: &BTreeMap<String, Bytes>) -> Result<(), CatalogError> {
    let disk = directory_disk(directory);
    let failed = |name: &str| {
        let path = directory.join(name);
        move |error| CatalogError::Read { path, error }
    };
    let mut present = Vec::new();
    find_files(directory, &mut present)?;
    for (name, content) in files {
        if disk::read(&*disk, name).is_ok_and(|found| found == *content) {
            continue;
        }
        let parent = directory_of(name);
        if !parent.is_empty() {
            disk.create_directory(parent).map_err(failed(name))?;
        }
        replace(&*disk, name, content).map_err(failed(name))?;
    }
    for path in present {
        let name = path.strip_prefix(directory).unwrap_or(&path).display().to_string();
        if !files.contains_key(&name) {
            remove(&*disk, &name).map_err(failed(&name))?;
        }
    }
    remove(&*disk, ARCHIVE).map_err(failed(ARCHIVE))
}

/// Removes a file for good.
fn remove(disk: &dyn Disk, name: &str) -> io::Result<()> {
    disk.remove(name)?;
    disk.sync_directory(directory_of(name))
}

/// The path of a catalog file as directories have it; none where it is no file of a catalog.
///
/// # Errors
/// A path that leads out of the directory.
pub(super) fn relative(path: &Path) -> Result<Option<String>, String> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(part) => parts.push(part.to_str().ok_or("a name is not UTF-8")?),
            _ => return Err(format!("{}: name files below the directory", path.display())),
        }
    }
    let is_hidden = parts.iter().any(|part| part.starts_with('.'));
    let name = parts.join("/");
    Ok((!is_hidden && is_catalog_file(&ending(path))).then_some(name))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn files(texts: &[(&str, &str)]) -> BTreeMap<String, Bytes> {
        texts.iter().map(|(name, text)| ((*name).to_owned(), Bytes::from((*text).to_owned()))).collect()
    }

    #[test]
    fn an_upload_that_was_interrupted_anywhere_is_read_whole() {
        let (old, new) = (
            files(&[("a.yaml", "old"), ("b.yaml", "old"), ("sub/c.csv", "old")]),
            files(&[("a.yaml", "new"), ("d/e.json", "new")]),
        );
        // How many of the new files were written, and was the first old one removed?
        for (written, is_removed) in [(0, false), (1, false), (2, false), (2, true)] {
            let place = tempfile::tempdir().unwrap();
            let directory = place.path();
            install(directory, &old).unwrap();
            fs::write(directory.join("README"), "kept").unwrap();
            let archive = CatalogFiles::of_files(directory, new.clone()).archive().unwrap();
            fs::write(directory.join(ARCHIVE), &archive.bytes).unwrap();
            for (name, content) in new.iter().take(written) {
                fs::create_dir_all(directory.join(name).parent().unwrap()).unwrap();
                fs::write(directory.join(name), content).unwrap();
            }
            if is_removed {
                fs::remove_file(directory.join("b.yaml")).unwrap();
            }
            let read = CatalogFiles::read(directory).unwrap();
            assert_eq!(read.contents(), new);
            assert_eq!(read.archive().unwrap().hash, archive.hash);
            assert!(!directory.join(ARCHIVE).exists() && directory.join("README").exists());
        }
    }

    #[test]
    fn names_lead_to_files_below_the_directory() {
        for (name, known) in [
            ("./a.yaml", Some("a.yaml")),
            ("sub/./b.csv", Some("sub/b.csv")),
            ("README.md", None),
            (".git/config.yaml", None),
            ("", None),
        ] {
            assert_eq!(relative(name.as_ref()), Ok(known.map(ToOwned::to_owned)), "{name}");
        }
        for name in ["../a.yaml", "/etc/a.yaml", "sub/../../a.yaml"] {
            assert!(relative(name.as_ref()).is_err(), "{name}");
        }
    }
}
