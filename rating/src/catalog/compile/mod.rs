//! Validates catalog documents as a whole and compiles them. Every problem is reported, not the first.

mod assignments;
mod contracts;
mod csv_mappings;
mod meters;
mod price_books;

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use schemas::currency::Currency;

use self::contracts::PlacedLine;
use super::{Catalog, Documents, Located, MeterSet, Origin, Problem};

/// Most names that are listed where a name is not known.
const KNOWN_SHOWN_MAX: usize = 8;

/// Compiles documents into a catalog.
///
/// # Errors
/// Every problem found, in order of file and line.
pub fn compile(documents: &Documents) -> Result<Catalog, Vec<Problem>> {
    let mut compiler = Compiler {
        documents,
        catalog: Catalog::default(),
        problems: Vec::new(),
        ids: HashMap::new(),
        entity_by_id: HashMap::new(),
        meter_by_id: HashMap::new(),
        books: HashMap::new(),
        accounts: HashMap::new(),
        lines: HashMap::new(),
        placed_lines: Vec::new(),
    };
    compiler.legal_entities();
    compiler.meters();
    compiler.price_books();
    compiler.csv_mappings();
    compiler.contracts();
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

struct Compiler<'a> {
    documents: &'a Documents,
    catalog: Catalog,
    problems: Vec<Problem>,
    /// Ids by kind of document, and where each was written first.
    ids: HashMap<(&'static str, &'a str), &'a Origin>,
    entity_by_id: HashMap<&'a str, u32>,
    meter_by_id: HashMap<&'a str, usize>,
    books: HashMap<&'a str, Book<'a>>,
    accounts: HashMap<&'a str, u32>,
    lines: HashMap<&'a str, u32>,
    /// Where the catalog's terms were written.
    placed_lines: Vec<PlacedLine<'a>>,
}

/// A price book as far as contracts need it.
struct Book<'a> {
    /// Position among the documents.
    document: usize,
    currencies: &'a [Currency],
    /// Meters any version prices.
    meters: Arc<MeterSet>,
    /// Position of its first version among the catalog's.
    first_version: u32,
    /// Timelines by name of time zone.
    timelines: BTreeMap<String, u32>,
}

impl<'a> Compiler<'a> {
    fn problem(&mut self, origin: &Origin, path: String, message: String, mend: &str) {
        self.problems.push(Problem { origin: origin.clone(), path, message, mend: mend.to_owned() });
    }

    /// Reports a name that no document has.
    fn unknown(&mut self, kind: &'static str, id: &str, origin: &Origin, path: String, mend: &str) {
        if !self.documents.unread.may_be(kind, id) {
            self.problem(origin, path, format!("there is no {} {id}", kind.replace('_', " ")), mend);
        }
    }

    fn legal_entities(&mut self) {
        for Located { document, origin } in &self.documents.legal_entities {
            let position = number(self.catalog.legal_entities.len());
            self.claim_id("legal_entity", document.id.as_str(), origin);
            self.entity_by_id.insert(document.id.as_str(), position);
            self.catalog.legal_entities.push(document.clone());
        }
    }

    /// Refuses an id that another document of the kind has.
    fn claim_id(&mut self, kind: &'static str, id: &'a str, origin: &'a Origin) {
        let first = *self.ids.entry((kind, id)).or_insert(origin);
        if !std::ptr::eq(first, origin) {
            let message = format!("another {kind} has this id, in {first}");
            let mend = "give every document of a kind an id of its own";
            self.problem(origin, format!("{kind} {id}"), message, mend);
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
