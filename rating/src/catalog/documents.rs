//! Catalog documents with the places they came from, and the problems found in them.

use std::fmt;
use std::sync::Arc;

use schemas::contract::Contract;
use schemas::csv_mapping::CsvMapping;
use schemas::legal_entity::LegalEntity;
use schemas::meter::Meter;
use schemas::price_book::PriceBook;

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
    /// Line of the document's beginning, from 1; 0 where the file has no lines.
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
        write!(formatter, "{}: {}: {}; {}", self.origin, self.path, self.message, self.mend)
    }
}
