//! What helps a reader to find one id without reading all: the bounds of a chunk's ids, and a Bloom filter.
//!
//! Ids are looked up one by one, and nothing else says which row group has one. Bounds decide where ids follow
//! time, as version 7 UUIDs do. Random ids need a filter. It pays for accruals, which others refer to by id; for
//! events it would cost a tenth of a run, to save the reading of sixteen bytes a row.

use parquet::bloom_filter::Sbbf;
use parquet::errors::Result;

use super::plain::UUID_BYTES;

/// Ids the filter is made for: those of a full row group. With fewer it is folded.
const FILTER_IDS: u64 = 1 << 20;

/// Share of the ids not there that a filter takes for being there.
const FALSE_POSITIVES: f64 = 0.01;

/// The index of the UUIDs of the chunk that is being filled.
pub(super) struct IdIndex {
    has_filter: bool,
    filter: Option<Sbbf>,
    bounds: Option<(u128, u128)>,
}

impl IdIndex {
    /// An empty index.
    pub(super) const fn new(has_filter: bool) -> Self {
        Self { has_filter, filter: None, bounds: None }
    }

    /// Adds UUIDs that lie one after another.
    pub(super) fn extend(&mut self, ids: &[u8]) -> Result<()> {
        let (ids, _) = ids.as_chunks::<UUID_BYTES>();
        let Some(first) = ids.first() else { return Ok(()) };
        let first = u128::from_be_bytes(*first);
        let bounds = self.bounds.unwrap_or((first, first));
        let bounds = ids
            .iter()
            .map(|id| u128::from_be_bytes(*id))
            .fold(bounds, |(least, greatest), id| (least.min(id), greatest.max(id)));
        self.bounds = Some(bounds);
        if self.has_filter {
            let filter = match &mut self.filter {
                Some(filter) => filter,
                None => self.filter.insert(Sbbf::new_with_ndv_fpp(FILTER_IDS, FALSE_POSITIVES)?),
            };
            for id in ids {
                filter.insert(id.as_slice());
            }
        }
        Ok(())
    }

    /// Takes the index of a chunk; nothing where it has no ids.
    pub(super) fn take(&mut self) -> (Option<(u128, u128)>, Option<Sbbf>) {
        let filter = self.filter.take().map(|mut filter| {
            filter.fold_to_target_fpp(FALSE_POSITIVES);
            filter
        });
        (self.bounds.take(), filter)
    }
}
