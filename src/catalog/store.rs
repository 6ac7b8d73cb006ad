//! The catalogs that a data directory was rated with, by hash.

use std::io;
use std::sync::Arc;

use aggregate::disk::{self, Disk};
use aggregate::partition::Catalogs;
use rating::catalog::Catalog;
use schemas::epoch::ContentHash;

use super::files::{CatalogArchive, CatalogFiles};
use super::{CatalogError, compile_files};

/// Where they are.
const DIRECTORY: &str = "catalogs";

/// Catalogs on a disk.
#[derive(Debug)]
pub struct CatalogStore(Arc<dyn Disk>);

impl CatalogStore {
    /// The catalogs of a data directory.
    #[must_use]
    pub fn new(disk: &Arc<dyn Disk>) -> Self {
        Self(Arc::clone(disk))
    }

    /// Keeps a catalog. One that is there is written anew: who wrote it may have died before it was durable, and
    /// epochs that were rated with it cannot be read without it.
    ///
    /// # Errors
    /// [`CatalogError::Read`] when it cannot be written.
    pub fn keep(&self, archive: &CatalogArchive) -> Result<(), CatalogError> {
        let name = name_of(&archive.hash);
        let kept = disk::replace(&*self.0, &name, &archive.bytes);
        kept.map_err(|error| CatalogError::Read { path: self.0.path(&name), error })
    }

    /// The archive of a catalog, if it is kept.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn archive(&self, hash: &ContentHash) -> io::Result<Option<Vec<u8>>> {
        match disk::read(&*self.0, &name_of(hash)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn name_of(hash: &ContentHash) -> String {
    format!("{DIRECTORY}/{hash}.tar")
}

impl Catalogs for CatalogStore {
    fn load(&self, hash: &ContentHash) -> Result<Arc<Catalog>, String> {
        let name = name_of(hash);
        let path = self.0.path(&name);
        let shown = |what: &dyn ToString| format!("{}: {}", path.display(), what.to_string());
        let bytes = disk::read(&*self.0, &name).map_err(|error| shown(&error))?;
        let found = ContentHash(*blake3::hash(&bytes).as_bytes());
        if found != *hash {
            return Err(shown(&format!("its hash is {found}: it was changed; restore it from a copy")));
        }
        let files = CatalogFiles::of_archive(path.clone(), &bytes).map_err(|error| shown(&error))?;
        compile_files(&files).map(Arc::new).map_err(|error| match error {
            CatalogError::Problems(problems) => {
                let first = problems.first().map(ToString::to_string).unwrap_or_default();
                shown(&format!("this program finds it invalid: {first}"))
            }
            error => error.to_string(),
        })
    }
}
