//! What helps a reader to find one id without reading all: the bounds of a chunk's ids, and a Bloom filter.
//!
//! Ids are looked up one by one, and nothing else says which row group has one. Bounds decide where ids follow
//! time, as version 7 UUIDs do; the filter decides where they are random.

use parquet::bloom_filter::Sbbf;
use parquet::errors::Result;

/// Ids the filter is made for: those of a full row group. With fewer it is folded.
const FILTER_IDS: u64 = 1 << 20;

/// Share of the ids not there that a filter takes for being there.
const FALSE_POSITIVES: f64 = 0.01;

/// The index of the chunk that is being filled.
#[derive(Default)]
pub(super) struct IdIndex {
    filter: Option<Sbbf>,
    least: Vec<u8>,
    greatest: Vec<u8>,
}

/// The least and the greatest id of a chunk.
pub(super) type Bounds = Option<(Vec<u8>, Vec<u8>)>;

impl IdIndex {
    pub(super) fn insert(&mut self, id: &[u8]) -> Result<()> {
        let filter = match &mut self.filter {
            Some(filter) => filter,
            None => {
                (self.least, self.greatest) = (id.to_vec(), id.to_vec());
                self.filter.insert(Sbbf::new_with_ndv_fpp(FILTER_IDS, FALSE_POSITIVES)?)
            }
        };
        filter.insert(id);
        if id < self.least.as_slice() {
            self.least.clear();
            self.least.extend_from_slice(id);
        }
        if id > self.greatest.as_slice() {
            self.greatest.clear();
            self.greatest.extend_from_slice(id);
        }
        Ok(())
    }

    /// Takes the index of a chunk; nothing where it has no ids.
    pub(super) fn take(&mut self) -> (Bounds, Option<Sbbf>) {
        let Self { filter, least, greatest } = std::mem::take(self);
        let filter = filter.map(|mut filter| {
            filter.fold_to_target_fpp(FALSE_POSITIVES);
            filter
        });
        (filter.is_some().then_some((least, greatest)), filter)
    }
}
