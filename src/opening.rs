//! Opening a data directory to write, under a catalog.

use std::io::{Write, stderr};
use std::sync::Arc;

use aggregate::clock::SystemClock;
use aggregate::data_directory::DataDirectory;
use aggregate::disk::Disk;
use aggregate::error::AggregateError;
use aggregate::partition::{Partition, PartitionOptions, Recovered};
use anyhow::Result;
use rating::catalog::Catalog;
use schemas::printable::printable;

use crate::catalog::files::CatalogArchive;
use crate::catalog::store::CatalogStore;
use crate::summary::count;

/// Opens the partition of a directory to go on under a catalog, which is kept.
///
/// # Errors
/// What cannot be read, used or written.
pub(crate) fn open(
    disk: &Arc<dyn Disk>,
    archive: &CatalogArchive,
    catalog: &Arc<Catalog>,
    options: PartitionOptions,
) -> Result<(Partition, Recovered)> {
    let directory = Arc::new(DataDirectory::open(disk).map_err(AggregateError::from)?);
    let catalogs = CatalogStore::new(disk);
    let in_force = (archive.hash, Arc::clone(catalog));
    let (mut partition, recovered) =
        Partition::open(directory, &catalogs, in_force, Arc::new(SystemClock), options)?;
    // IMPORTANT: before the first epoch that names it, and not if it is refused.
    catalogs.keep(archive)?;
    partition.record_catalog()?;
    Ok((partition, recovered))
}

/// Says what was found that a person may want to know.
///
/// # Errors
/// What writing fails with.
pub(crate) fn tell(recovered: &Recovered) -> Result<()> {
    let mut to = stderr().lock();
    for skipped in &recovered.skipped {
        let path = skipped.path.display().to_string();
        let path = printable(&path);
        writeln!(to, "warning: {path}: the checkpoint was not used: {}; an older one was", skipped.what)?;
    }
    if recovered.cut_bytes > 0 {
        let bytes = usize::try_from(recovered.cut_bytes).unwrap_or(usize::MAX);
        let bytes = count(bytes, "byte", "bytes");
        writeln!(
            to,
            "note: an earlier run ended in the middle of a commit; {bytes} that were not committed are removed"
        )?;
    }
    Ok(())
}
