//! Catalog documents with the places they came from, and the problems found in them.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;

use schemas::contract::Contract;
use schemas::csv_mapping::CsvMapping;
use schemas::legal_entity::LegalEntity;
use schemas::meter::Meter;
use schemas::price_book::PriceBook;
use schemas::printable::printable;

/// The documents of a catalog.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    /// Sellers.
    pub legal_entities: Vec<Located<LegalEntity>>,
    /// Meters.
    pub meters: Vec<Located<Meter>>,
    /// Price books.
    pub price_books: Vec<Located<PriceBook>>,
    /// Contracts.
    pub contracts: Vec<Located<Contract>>,
    /// CSV mappings.
    pub csv_mappings: Vec<Located<CsvMapping>>,
    /// What is written, but could not be read.
    pub unread: Unread,
}

impl Documents {
    /// Is there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.legal_entities.is_empty()
            && self.meters.is_empty()
            && self.price_books.is_empty()
            && self.contracts.is_empty()
            && self.csv_mappings.is_empty()
    }
}

/// What a catalog has, but could not be read. It has a problem of its own already, so that nothing is
/// said where it is missed.
#[derive(Clone, Debug, Default)]
pub struct Unread {
    /// Documents by kind and id; without id it may be any of the kind.
    documents: HashSet<(String, Option<String>)>,
    /// Positions of price books, their versions, and rates of these.
    rates: BTreeSet<(usize, usize, usize)>,
}

impl Unread {
    /// Notes a document that could not be read.
    pub fn document(&mut self, kind: &str, id: Option<&str>) {
        self.documents.insert((kind.to_owned(), id.map(ToOwned::to_owned)));
    }

    /// Notes a rate that could not be read: it is left out of its version. The price book is named by
    /// its position among the documents, the rate by its position as written.
    pub fn rate(&mut self, book: usize, version: usize, rate: usize) {
        self.rates.insert((book, version, rate));
    }

    pub(super) fn may_be(&self, kind: &str, id: &str) -> bool {
        let has = |id: Option<&str>| self.documents.contains(&(kind.to_owned(), id.map(ToOwned::to_owned)));
        has(Some(id)) || has(None)
    }

    pub(super) fn has_rate_of(&self, book: usize) -> bool {
        self.rates.range((book, 0, 0)..=(book, usize::MAX, usize::MAX)).next().is_some()
    }

    pub(super) fn has_rate_of_version(&self, book: usize, version: usize) -> bool {
        self.rates.range((book, version, 0)..=(book, version, usize::MAX)).next().is_some()
    }

    /// Where the rates of a version that could be read were written.
    pub(super) fn positions(&self, book: usize, version: usize) -> impl Iterator<Item = usize> {
        (0..).filter(move |rate| !self.rates.contains(&(book, version, *rate)))
    }
}

/// A document and where it was written.
#[derive(Clone, Debug)]
pub struct Located<T> {
    /// The document.
    pub document: T,
    /// Where it is.
    pub origin: Origin,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The file's name.
    pub file: Arc<str>,
    /// Line of the document's beginning, from 1; the row, of a table without lines; 0 for the whole file.
    pub line: u64,
}

/// Something wrong with a catalog.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The document it is in.
    pub origin: Origin,
    /// Where in the document: `price_book pb-1 versions[0].rates[2].tiers[1].up_to`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub mend: String,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(formatter, "{}", self.file)
        } else {
            write!(formatter, "{}:{}", self.file, self.line)
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { String::new() } else { format!("{}: ", self.path) };
        let problem = format!("{}: {path}{}; {}", self.origin, self.message, self.mend);
        // Names may hold anything; a problem is one line.
        formatter.write_str(&printable(&problem))
    }
}
