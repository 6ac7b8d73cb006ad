//! The catalog of a service: a directory, and the catalogs that its data directory was rated with.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use aggregate::disk::Disk;
use bytes::Bytes;
use schemas::epoch::ContentHash;
use service::catalog_source::{Candidate, CatalogRefusal, CatalogSource};

use super::files::CatalogFiles;
use super::store::CatalogStore;
use super::{CatalogError, compile_files, upload};

/// The most files of a catalog that is sent.
const FILES_MAX: usize = 10_000;

/// A catalog directory, beside a data directory.
#[derive(Debug)]
pub struct DirectoryCatalogs {
    directory: PathBuf,
    store: CatalogStore,
}

impl DirectoryCatalogs {
    /// The catalog of a directory, for the data of a disk.
    #[must_use]
    pub fn new(directory: PathBuf, disk: &Arc<dyn Disk>) -> Self {
        Self { directory, store: CatalogStore::new(disk) }
    }
}

impl CatalogSource for DirectoryCatalogs {
    fn read(&self) -> Result<Candidate, CatalogRefusal> {
        candidate(&CatalogFiles::read(&self.directory)?)
    }

    fn check(&self, files: BTreeMap<String, Bytes>) -> Result<Candidate, CatalogRefusal> {
        let mut known = BTreeMap::new();
        for (name, content) in files {
            let name = upload::relative(name.as_ref()).map_err(CatalogRefusal::Unusable)?;
            known.extend(name.map(|name| (name, content)));
        }
        candidate(&CatalogFiles::of_files("the catalog", known))
    }

    fn unpack(&self, archive: &[u8]) -> Result<BTreeMap<String, Bytes>, CatalogRefusal> {
        let damaged = |error: std::io::Error| {
            CatalogRefusal::Unusable(format!(
                "this is no tar archive: {error}; make it with `tar -C catalog -c .`"
            ))
        };
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(archive).entries().map_err(damaged)? {
            let mut entry = entry.map_err(damaged)?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let path = entry.path().map_err(damaged)?.into_owned();
            let Some(name) = upload::relative(&path).map_err(CatalogRefusal::Unusable)? else { continue };
            let mut content = Vec::new();
            entry.read_to_end(&mut content).map_err(damaged)?;
            if files.len() >= FILES_MAX || files.insert(name, content.into()).is_some() {
                let what = format!("a file is there twice, or there are more than {FILES_MAX}");
                return Err(CatalogRefusal::Unusable(what));
            }
        }
        Ok(files)
    }

    fn keep(&self, candidate: &Candidate) -> Result<(), CatalogRefusal> {
        let files = CatalogFiles::of_files(&self.directory, candidate.files.clone());
        let archive = files.archive().map_err(|error| CatalogRefusal::Storage(error.to_string()))?;
        Ok(self.store.keep(&archive)?)
    }

    fn kept(&self, hash: ContentHash) -> Result<Option<Vec<u8>>, CatalogRefusal> {
        self.store.archive(&hash).map_err(|error| CatalogRefusal::Storage(error.to_string()))
    }

    fn install(&self, files: &BTreeMap<String, Bytes>) -> Result<(), CatalogRefusal> {
        Ok(upload::install(&self.directory, files)?)
    }
}

/// A catalog of files, if it is sound.
fn candidate(files: &CatalogFiles) -> Result<Candidate, CatalogRefusal> {
    let catalog = Arc::new(compile_files(files)?);
    let archive = files.archive().map_err(|error| CatalogRefusal::Storage(error.to_string()))?;
    Ok(Candidate { hash: archive.hash, catalog, files: files.contents() })
}

impl From<CatalogError> for CatalogRefusal {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Problems(problems) => Self::Problems(problems),
            CatalogError::Empty(_) => Self::Unusable(error.to_string()),
            CatalogError::Read { .. } | CatalogError::NoDirectory(_) => Self::Storage(error.to_string()),
        }
    }
}
