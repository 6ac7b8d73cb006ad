//! The texts that appeared as values of dimensions, by number, in order of first appearance.

use ingest::interner::Interner;

/// Texts of each dimension of the catalog.
#[derive(Debug)]
pub struct DimensionValues {
    pub(crate) dimensions: Vec<Interner>,
}

impl DimensionValues {
    /// No texts yet, for a number of dimensions. A secret seed keeps senders from choosing texts that
    /// collide.
    #[must_use]
    pub fn new(dimensions: usize, seed: u64) -> Self {
        Self { dimensions: (0..dimensions).map(|_| Interner::new(seed)).collect() }
    }

    /// The number of a text, new or known.
    pub fn number(&mut self, dimension: usize, text: &str) -> u32 {
        self.dimensions.get_mut(dimension).map_or(u32::MAX, |texts| texts.intern(text.as_bytes()).number())
    }

    /// The text of a number; `None` where an event has no value.
    #[must_use]
    pub fn text(&self, dimension: usize, number: u32) -> Option<&str> {
        let text = self.dimensions.get(dimension)?.text(number)?;
        std::str::from_utf8(text).ok()
    }

    /// The number of a text, if it was met.
    #[must_use]
    pub(crate) fn find(&self, dimension: usize, text: &str) -> Option<u32> {
        self.dimensions.get(dimension)?.find(text.as_bytes())
    }

    /// The texts of a dimension.
    #[must_use]
    pub(crate) fn texts(&self, dimension: usize) -> Option<&Interner> {
        self.dimensions.get(dimension)
    }

    /// Number of texts of a dimension.
    #[must_use]
    pub fn len(&self, dimension: usize) -> usize {
        self.dimensions.get(dimension).map_or(0, Interner::len)
    }
}
