//! The files of a catalog: read from their directory, or from the archive of a data directory.
//!
//! An archive is a tar file with the files in order of their names and nothing that differs from one reading to the
//! next, so that its hash is that of the catalog: the same files have the same hash, wherever they are.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use schemas::epoch::ContentHash;

use super::{CatalogError, upload};

/// Endings of files that are catalog files.
const ENDINGS: [&str; 7] = ["yaml", "yml", "json", "ndjson", "jsonl", "csv", "parquet"];

/// The files of a catalog, in order of their names.
#[derive(Debug, Default)]
pub struct CatalogFiles {
    /// Where they come from, for messages.
    pub(super) place: PathBuf,
    pub(super) files: Vec<CatalogFile>,
}

/// A file of a catalog.
#[derive(Debug)]
pub(super) struct CatalogFile {
    /// Path below the directory.
    pub(super) name: String,
    /// What is in it; `None` where it is no regular file.
    pub(super) content: Option<Bytes>,
}

impl CatalogFiles {
    /// Reads the files below a directory.
    ///
    /// # Errors
    /// [`CatalogError`] when something cannot be read.
    pub fn read(directory: &Path) -> Result<Self, CatalogError> {
        if directory.is_file() {
            return Err(CatalogError::NoDirectory(directory.to_owned()));
        }
        if let Some(files) = upload::interrupted(directory)? {
            return Ok(files);
        }
        let mut paths = Vec::new();
        find_files(directory, &mut paths)?;
        let mut files = Vec::new();
        for path in paths {
            let failed = |error| CatalogError::Read { path: path.clone(), error };
            let is_file = fs::metadata(&path).map_err(failed)?.is_file();
            let content = if is_file { Some(fs::read(&path).map_err(failed)?.into()) } else { None };
            let name = path.strip_prefix(directory).unwrap_or(&path).display().to_string();
            files.push(CatalogFile { name, content });
        }
        Ok(Self { place: directory.to_owned(), files })
    }

    /// Files that come from elsewhere, by their paths below a directory.
    pub(super) fn of_files(place: impl Into<PathBuf>, files: BTreeMap<String, Bytes>) -> Self {
        let mut files: Vec<CatalogFile> =
            files.into_iter().map(|(name, content)| CatalogFile { name, content: Some(content) }).collect();
        // The order in which directories are read.
        files.sort_by(|one, other| Path::new(&one.name).cmp(Path::new(&other.name)));
        Self { place: place.into(), files }
    }

    /// What is in the files, by their paths.
    pub(super) fn contents(&self) -> BTreeMap<String, Bytes> {
        let files = self.files.iter().filter_map(|file| Some((file.name.clone(), file.content.clone()?)));
        files.collect()
    }

    /// The files as one archive.
    ///
    /// # Errors
    /// What cannot be archived.
    pub fn archive(&self) -> io::Result<CatalogArchive> {
        let mut archive = tar::Builder::new(Vec::new());
        for file in &self.files {
            let Some(content) = &file.content else { continue };
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, &file.name, content.as_ref())?;
        }
        let bytes = archive.into_inner()?;
        Ok(CatalogArchive { hash: ContentHash(*blake3::hash(&bytes).as_bytes()), bytes })
    }

    /// The files of an archive that is kept at a place.
    ///
    /// # Errors
    /// What is wrong with the archive.
    pub fn of_archive(place: PathBuf, bytes: &[u8]) -> io::Result<Self> {
        let mut files = Vec::new();
        for entry in tar::Archive::new(bytes).entries()? {
            let mut entry = entry?;
            let name = entry.path()?.display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            files.push(CatalogFile { name, content: Some(content.into()) });
        }
        Ok(Self { place, files })
    }
}

/// The files of a catalog in one.
#[derive(Debug)]
pub struct CatalogArchive {
    /// Hash of the archive, by which the catalog is known.
    pub hash: ContentHash,
    /// The archive.
    pub bytes: Vec<u8>,
}

/// Finds catalog files below a directory, in order of their names.
pub(super) fn find_files(directory: &Path, files: &mut Vec<PathBuf>) -> Result<(), CatalogError> {
    let failed = |error| CatalogError::Read { path: directory.to_owned(), error };
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        entries.push(entry.map_err(failed)?.path());
    }
    entries.sort();
    for path in entries {
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if is_hidden {
            continue;
        }
        if path.is_dir() {
            find_files(&path, files)?;
        } else if is_catalog_file(&ending(&path)) {
            files.push(path);
        }
    }
    Ok(())
}

/// Do files of a catalog have such an ending?
pub(super) fn is_catalog_file(ending: &str) -> bool {
    ENDINGS.contains(&ending)
}

/// The ending of a file's name, in lower case.
pub(super) fn ending(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}
