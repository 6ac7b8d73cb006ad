//! What helps a reader to find one id without reading all: the bounds of a chunk's ids, and a Bloom filter.
//!
//! Ids are looked up one by one, and nothing else says which row group has one. Bounds decide where ids follow
//! time, as version 7 UUIDs do. Random ids need a filter. It pays for accruals, which others refer to by id; for
//! events it would cost a tenth of a run, to save the reading of sixteen bytes a row.

use parquet::bloom_filter::Sbbf;
use parquet::errors::Result;

use super::plain::UUID_BYTES;

/// Share of the ids not there that a filter takes for being there.
pub(crate) const FALSE_POSITIVES: f64 = 0.01;

/// The index of the UUIDs of the chunk that is being filled.
pub(super) struct IdIndex {
    /// The ids, if they get a filter: it is made when their number is known.
    ids: Option<Vec<[u8; UUID_BYTES]>>,
    bounds: UuidBounds,
}

/// The least and the greatest UUID of a chunk.
pub(super) type UuidBounds = Option<(u128, u128)>;

impl IdIndex {
    /// An empty index.
    pub(super) const fn new(has_filter: bool) -> Self {
        Self { ids: if has_filter { Some(Vec::new()) } else { None }, bounds: None }
    }

    /// Adds UUIDs that lie one after another.
    pub(super) fn extend(&mut self, ids: &[u8]) {
        let (ids, _) = ids.as_chunks::<UUID_BYTES>();
        let Some(first) = ids.first() else { return };
        let first = u128::from_be_bytes(*first);
        let bounds = self.bounds.unwrap_or((first, first));
        let bounds = ids
            .iter()
            .map(|id| u128::from_be_bytes(*id))
            .fold(bounds, |(least, greatest), id| (least.min(id), greatest.max(id)));
        self.bounds = Some(bounds);
        if let Some(all) = &mut self.ids {
            all.extend_from_slice(ids);
        }
    }

    /// Takes the index of a chunk; nothing where it has no ids.
    pub(super) fn take(&mut self) -> Result<(UuidBounds, Option<Sbbf>)> {
        let mut filter = None;
        if let Some(ids) = self.ids.as_mut().filter(|ids| !ids.is_empty()) {
            let filter = filter.insert(Sbbf::new_with_ndv_fpp(ids.len() as u64, FALSE_POSITIVES)?);
            for id in ids.drain(..) {
                filter.insert(id.as_slice());
            }
        }
        Ok((self.bounds.take(), filter))
    }
}
