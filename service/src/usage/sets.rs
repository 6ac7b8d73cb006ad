//! Sets of dimension values, each kept once.

use ingest::event_batch::NO_VALUE;
use ingest::interner::Interner;

/// Sets by number, and the texts of their values.
#[derive(Debug)]
pub(super) struct Sets {
    /// Per dimension.
    values: Vec<Interner>,
    /// As the numbers of their values, four bytes each.
    sets: Interner,
}

impl Sets {
    pub(super) fn new(dimensions: usize) -> Self {
        let values = std::iter::repeat_with(|| Interner::new(seed())).take(dimensions).collect();
        Self { values, sets: Interner::new(seed()) }
    }

    /// The number of a text of a dimension.
    pub(super) fn value(&mut self, dimension: usize, text: &str) -> u32 {
        self.values.get_mut(dimension).map_or(NO_VALUE, |texts| texts.intern(text.as_bytes()).number())
    }

    /// The number of the set with these values.
    pub(super) fn set(&mut self, values: &[u32]) -> u32 {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.sets.intern(&bytes).number()
    }

    /// The value of a dimension in a set; `None` where it has none.
    pub(super) fn text(&self, set: u32, dimension: usize) -> Option<&str> {
        let (values, _) = self.sets.text(set)?.as_chunks::<4>();
        let value = values.get(dimension).map(|value| u32::from_le_bytes(*value))?;
        std::str::from_utf8(self.values.get(dimension)?.text(value)?).ok()
    }
}

/// Keeps senders from choosing texts that collide.
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(())
}
