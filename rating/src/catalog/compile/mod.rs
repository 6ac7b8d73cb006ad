//! Validates catalog documents as a whole and compiles them. Every problem is reported, not the first.

mod assignments;
mod contracts;
mod csv_mappings;
mod meters;
mod price_books;

use std::collections::{BTreeMap, HashMap};

use schemas::currency::Currency;
use schemas::legal_entity::LegalEntity;

use super::{Catalog, Documents, Located, MeterSet, Origin, Problem, Unread};

/// Most names that are listed where a name is not known.
const KNOWN_SHOWN_MAX: usize = 8;

/// Compiles documents into a catalog.
///
/// # Errors
/// Every problem found, in order of file and line.
pub fn compile(documents: Documents) -> Result<Catalog, Vec<Problem>> {
    let Documents { legal_entities, meters, price_books, contracts, csv_mappings, unread } = documents;
    let mut compiler = Compiler { unread, ..Compiler::default() };
    compiler.legal_entities(legal_entities);
    compiler.meters(meters);
    compiler.price_books(&price_books);
    compiler.csv_mappings(csv_mappings);
    compiler.contracts(&price_books, contracts);
    compiler.refuse_overlapping_assignments();
    let Compiler { catalog, mut problems, .. } = compiler;
    if problems.is_empty() {
        return Ok(catalog);
    }
    // A price book is checked in the time zone of every seller that uses it.
    problems.sort();
    problems.dedup();
    Err(problems)
}

#[derive(Default)]
struct Compiler {
    catalog: Catalog,
    problems: Vec<Problem>,
    unread: Unread,
    /// Ids by kind of document, and where each was written first.
    ids: HashMap<(&'static str, String), Origin>,
    entity_by_id: HashMap<String, u32>,
    meter_by_id: HashMap<String, usize>,
    books: HashMap<String, Book>,
    accounts: HashMap<String, u32>,
    /// Where each account's assignments were written.
    assignment_places: Vec<Vec<(Origin, String)>>,
    lines: HashMap<String, u32>,
}

/// A price book as far as contracts need it.
struct Book {
    /// Position among the documents.
    document: usize,
    currencies: Vec<Currency>,
    /// Meters any version prices.
    meters: MeterSet,
    /// Position of its first version among the catalog's.
    first_version: u32,
    /// Timelines by name of time zone.
    timelines: BTreeMap<String, u32>,
}

impl Compiler {
    fn problem(&mut self, origin: &Origin, path: String, message: String, mend: &str) {
        self.problems.push(Problem { origin: origin.clone(), path, message, mend: mend.to_owned() });
    }

    /// Reports a name that no document has.
    fn unknown(&mut self, kind: &'static str, id: &str, origin: &Origin, path: String, mend: &str) {
        if !self.unread.may_be(kind, id) {
            self.problem(origin, path, format!("there is no {} {id}", kind.replace('_', " ")), mend);
        }
    }

    fn legal_entities(&mut self, documents: Vec<Located<LegalEntity>>) {
        for Located { document, origin } in documents {
            let position = number(self.catalog.legal_entities.len());
            self.claim_id("legal_entity", document.id.as_str(), &origin);
            self.entity_by_id.insert(document.id.to_string(), position);
            self.catalog.legal_entities.push(document);
        }
    }

    /// Refuses an id that another document of the kind has.
    fn claim_id(&mut self, kind: &'static str, id: &str, origin: &Origin) {
        if let Some(first) = self.ids.get(&(kind, id.to_owned())) {
            let message = format!("another {kind} has this id, in {first}");
            let mend = "give every document of a kind an id of its own";
            self.problem(origin, format!("{kind} {id}"), message, mend);
        } else {
            self.ids.insert((kind, id.to_owned()), origin.clone());
        }
    }
}

/// How to mend a name that nothing has: the names there are.
fn known(kind: &str, ids: &[&str]) -> String {
    let shown: Vec<&str> = ids.iter().copied().take(KNOWN_SHOWN_MAX).collect();
    let shown = shown.join(", ");
    match ids.len() {
        0 => format!("add a {} document", kind.replace(' ', "_")),
        1 => format!("mend the name, or add it (the only {kind} is {shown})"),
        many if many <= KNOWN_SHOWN_MAX => format!("mend the name, or add it (there are {shown})"),
        many => format!("mend the name, or add it (there are {many}: {shown}, ...)"),
    }
}

fn number(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}
