//! Sets of dimension values, each kept once.

use ingest::event_batch::NO_VALUE;
use ingest::interner::Interner;

/// Sets by number, and the texts of their values.
#[derive(Debug)]
pub(super) struct Sets {
    /// Per dimension.
    values: Vec<Interner>,
    /// As the numbers of their values, four bytes each.
    known: Interner,
    /// A set that is looked for.
    wanted: Vec<u8>,
}

impl Sets {
    pub(super) fn new(dimensions: usize) -> Self {
        let values = std::iter::repeat_with(|| Interner::new(seed())).take(dimensions).collect();
        Self { values, known: Interner::new(seed()), wanted: Vec::new() }
    }

    /// The number of a text of a dimension.
    pub(super) fn value(&mut self, dimension: usize, text: &str) -> u32 {
        self.values.get_mut(dimension).map_or(NO_VALUE, |texts| texts.intern(text.as_bytes()).number())
    }

    /// The number of the set with these values.
    pub(super) fn set(&mut self, values: impl Iterator<Item = u32>) -> u32 {
        self.wanted.clear();
        self.wanted.extend(values.flat_map(u32::to_le_bytes));
        self.known.intern(&self.wanted).number()
    }

    /// The value of a dimension in a set; `None` where it has none.
    pub(super) fn text(&self, set: u32, dimension: usize) -> Option<&str> {
        let (values, _) = self.known.text(set)?.as_chunks::<4>();
        let value = values.get(dimension).map(|value| u32::from_le_bytes(*value))?;
        std::str::from_utf8(self.values.get(dimension)?.text(value)?).ok()
    }
}

/// Keeps senders from choosing texts that collide.
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(())
}
