//! Where catalogs come from: the program gives the service one.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use rating::catalog::{Catalog, Problem};
use schemas::epoch::ContentHash;

/// Files of a catalog, by their paths below its directory.
pub type CatalogFiles = BTreeMap<String, Bytes>;

/// A catalog that is sound, and can be taken into force.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its hash.
    pub hash: ContentHash,
    /// The catalog.
    pub catalog: Arc<Catalog>,
    /// Its files.
    pub files: CatalogFiles,
}

/// Why a catalog cannot be used, or not be changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogRefusal {
    /// Its documents are wrong.
    #[error("the catalog has {} problem{}", .0.len(), if .0.len() == 1 { "" } else { "s" })]
    Problems(Vec<Problem>),
    /// There is no catalog in what was sent.
    #[error("{0}")]
    Unusable(String),
    /// Files cannot be read or written here.
    #[error("{0}")]
    Storage(String),
}

/// Reads catalogs, keeps them, and puts them where the next start finds them. Every method may block.
pub trait CatalogSource: Debug + Send + Sync {
    /// The catalog that the next start would read.
    ///
    /// # Errors
    /// [`CatalogRefusal`].
    fn read(&self) -> Result<Candidate, CatalogRefusal>;

    /// A catalog of files.
    ///
    /// # Errors
    /// [`CatalogRefusal`].
    fn check(&self, files: CatalogFiles) -> Result<Candidate, CatalogRefusal>;

    /// The files of an archive in tar form.
    ///
    /// # Errors
    /// [`CatalogRefusal::Unusable`].
    fn unpack(&self, archive: &[u8]) -> Result<CatalogFiles, CatalogRefusal>;

    /// Keeps a catalog for as long as an epoch may name it.
    ///
    /// # Errors
    /// [`CatalogRefusal::Storage`].
    fn keep(&self, candidate: &Candidate) -> Result<(), CatalogRefusal>;

    /// A catalog that is kept, as an archive in tar form.
    ///
    /// # Errors
    /// [`CatalogRefusal::Storage`].
    fn kept(&self, hash: ContentHash) -> Result<Option<Vec<u8>>, CatalogRefusal>;

    /// Puts files in the place of those that the next start would read.
    ///
    /// # Errors
    /// [`CatalogRefusal::Storage`].
    fn install(&self, files: &CatalogFiles) -> Result<(), CatalogRefusal>;
}
