//! What helps a reader to find one id without reading all: the bounds of a chunk's ids, and a Bloom filter.
//!
//! Ids are looked up one by one, and nothing else says which row group has one. Bounds decide where ids follow
//! time, as version 7 UUIDs do. Random ids need a filter. It pays for accruals, which others refer to by id; for
//! events it would cost a tenth of a run, to save the reading of sixteen bytes a row.

use parquet::bloom_filter::Sbbf;
use parquet::errors::Result;

/// Ids the filter is made for: those of a full row group. With fewer it is folded.
const FILTER_IDS: u64 = 1 << 20;

/// Share of the ids not there that a filter takes for being there.
const FALSE_POSITIVES: f64 = 0.01;

/// The index of the chunk that is being filled.
pub(super) struct IdIndex {
    has_filter: bool,
    filter: Option<Sbbf>,
    bounds: Bounds,
}

/// The least and the greatest id of a chunk.
pub(super) type Bounds = Option<(Vec<u8>, Vec<u8>)>;

impl IdIndex {
    /// An empty index.
    pub(super) const fn new(has_filter: bool) -> Self {
        Self { has_filter, filter: None, bounds: None }
    }

    #[inline]
    pub(super) fn insert(&mut self, id: &[u8]) -> Result<()> {
        match &mut self.bounds {
            None => self.bounds = Some((id.to_vec(), id.to_vec())),
            Some((least, _)) if id < least.as_slice() => id.clone_into(least),
            Some((_, greatest)) if id > greatest.as_slice() => id.clone_into(greatest),
            Some(_) => {}
        }
        if self.has_filter {
            let filter = match &mut self.filter {
                Some(filter) => filter,
                None => self.filter.insert(Sbbf::new_with_ndv_fpp(FILTER_IDS, FALSE_POSITIVES)?),
            };
            filter.insert(id);
        }
        Ok(())
    }

    /// Takes the index of a chunk; nothing where it has no ids.
    pub(super) fn take(&mut self) -> (Bounds, Option<Sbbf>) {
        let filter = self.filter.take().map(|mut filter| {
            filter.fold_to_target_fpp(FALSE_POSITIVES);
            filter
        });
        (self.bounds.take(), filter)
    }
}
