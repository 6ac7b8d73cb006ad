//! Reads a catalog directory: documents in YAML or JSON, contracts also as tables.
//!
//! Everything that is wrong is reported at once, with the file, the place, and how to mend it.

mod contract_table;
pub mod files;
mod node;
pub mod source;
pub mod store;
mod upload;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rating::catalog::{Catalog, Documents, Located, Origin, Problem, compile};
use schemas::contract::{Contract, ContractLine};
use schemas::price_book::{PriceBook, Rate};
use serde::de::DeserializeOwned;

use files::{CatalogArchive, CatalogFile, CatalogFiles, ending};
use node::{Node, NodeError, Value};

/// Why a catalog cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// A file or directory cannot be read.
    #[error("{path}: {error}")]
    Read {
        /// What cannot be read.
        path: PathBuf,
        /// What the operating system says.
        error: std::io::Error,
    },
    /// Something else than a directory.
    #[error("{0}: a catalog is a directory: name the one that its files are in")]
    NoDirectory(PathBuf),
    /// There is nothing in it.
    #[error(
        "{0}: the directory holds no catalog document (.yaml, .yml, .json, .ndjson, .jsonl, .csv, .parquet)"
    )]
    Empty(PathBuf),
    /// Its documents are wrong.
    #[error("the catalog has {} problem{}", .0.len(), if .0.len() == 1 { "" } else { "s" })]
    Problems(Vec<Problem>),
}

/// Kinds of documents, as `kind` names them.
const KINDS: &str = "legal_entity, meter, price_book, contract or csv_mapping";

/// Kinds that other documents name.
const NAMED_KINDS: [&str; 3] = ["legal_entity", "meter", "price_book"];

/// Reads, validates and compiles a catalog directory.
///
/// # Errors
/// [`CatalogError`]: what cannot be read, or every problem of the documents.
pub fn load(directory: &Path) -> Result<Catalog, CatalogError> {
    compile_files(&CatalogFiles::read(directory)?)
}

/// Reads a catalog directory for who rates with it: the catalog, and the archive by which epochs name it.
///
/// # Errors
/// [`CatalogError`]: what cannot be read, or every problem of the documents.
pub fn load_to_rate(directory: &Path) -> Result<(Arc<Catalog>, CatalogArchive), CatalogError> {
    let files = CatalogFiles::read(directory)?;
    let catalog = Arc::new(compile_files(&files)?);
    let failed = |error| CatalogError::Read { path: directory.to_owned(), error };
    Ok((catalog, files.archive().map_err(failed)?))
}

/// Validates and compiles the files of a catalog.
///
/// # Errors
/// [`CatalogError`]: every problem of the documents.
pub fn compile_files(files: &CatalogFiles) -> Result<Catalog, CatalogError> {
    let mut loader = Loader::default();
    for file in &files.files {
        loader.file(file);
    }
    let Loader { documents, mut problems } = loader;
    if documents.is_empty() && problems.is_empty() {
        return Err(CatalogError::Empty(files.place.clone()));
    }
    match compile(&documents) {
        Ok(catalog) if problems.is_empty() => Ok(catalog),
        Ok(_) => Err(CatalogError::Problems(problems)),
        Err(more) => {
            problems.extend(more);
            problems.sort();
            Err(CatalogError::Problems(problems))
        }
    }
}

/// Collects documents and problems.
#[derive(Default)]
struct Loader {
    documents: Documents,
    problems: Vec<Problem>,
}

impl Loader {
    fn file(&mut self, from: &CatalogFile) {
        let file: Arc<str> = from.name.as_str().into();
        let Some(content) = &from.content else {
            let message = "this is no regular file".to_owned();
            self.unread(None);
            self.problem(Origin { file, line: 0 }, String::new(), message, "move it out of the catalog");
            return;
        };
        match &*ending(Path::new(&from.name)) {
            "parquet" => contract_table::read_parquet(content.clone(), &file, self),
            "csv" => contract_table::read_csv(content, &file, self),
            kind => match str::from_utf8(content) {
                Ok(text) if matches!(kind, "ndjson" | "jsonl") => self.lines(text, &file),
                Ok(text) => self.documents(text, &file),
                Err(_) => {
                    self.unread(None);
                    let origin = Origin { file, line: 0 };
                    let message = "the file is not UTF-8".to_owned();
                    self.problem(origin, String::new(), message, "save it as UTF-8");
                }
            },
        }
    }

    /// Notes what could not be read and may be a document of any kind; without id, any of them.
    fn unread(&mut self, id: Option<&str>) {
        for kind in NAMED_KINDS {
            self.documents.unread.document(kind, id);
        }
    }

    fn problem(&mut self, origin: Origin, path: String, message: String, mend: &str) {
        self.problems.push(Problem { origin, path, message, mend: mend.to_owned() });
    }

    /// Reads a file of documents.
    fn documents(&mut self, text: &str, file: &Arc<str>) {
        match node::parse(text) {
            Ok(documents) => {
                for document in documents {
                    self.document(document, file);
                }
            }
            Err(error) => {
                self.unread(None);
                self.unreadable(file, "document", &error);
            }
        }
    }

    /// Reads one document per line; a line without `kind` is a contract.
    fn lines(&mut self, text: &str, file: &Arc<str>) {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (number, line) in (1u64..).zip(text.lines()) {
            if line.trim().is_empty() {
                continue;
            }
            let origin = Origin { file: Arc::clone(file), line: number };
            if !line.contains("\"kind\"") {
                match serde_json::from_str::<Contract>(line) {
                    Ok(document) => self.documents.contracts.push(Located { document, origin }),
                    Err(_) if line.contains("\"specversion\"") => {
                        let message = "this line is a usage event".to_owned();
                        let mend = "keep usage in another directory than the catalog";
                        return self.problem(origin, "contract".to_owned(), message, mend);
                    }
                    Err(error) => {
                        let error = error.to_string();
                        // Its line is the one in this text.
                        let error = error.split(" at line ").next().unwrap_or_default();
                        let message = format!("this line is no contract: {error}");
                        self.problem(
                            origin,
                            "contract".to_owned(),
                            message,
                            "write one JSON contract per line",
                        );
                    }
                }
                continue;
            }
            match node::parse(line) {
                Ok(documents) => {
                    for mut document in documents {
                        document.set_line(number);
                        self.document(document, file);
                    }
                }
                Err(error) => {
                    self.unread(None);
                    self.unreadable(file, "document", &error.on_line(number));
                }
            }
        }
    }

    fn unreadable(&mut self, file: &Arc<str>, what: &str, error: &NodeError) {
        let origin = Origin { file: Arc::clone(file), line: error.line };
        let path = [what, &error.path()].join(" ").trim_end().to_owned();
        self.problem(origin, path, error.message.clone(), "see docs/catalog.md for the form");
    }

    fn document(&mut self, mut document: Node, file: &Arc<str>) {
        if document.text().is_some_and(str::is_empty) {
            return;
        }
        let origin = Origin { file: Arc::clone(file), line: document.line };
        let kind = document.take("kind");
        if let Value::Sequence(_) = document.value {
            self.unread(None);
            let message = "a list is no document".to_owned();
            let mend =
                "write documents without the list: in YAML with --- between them, in .ndjson one per line";
            return self.problem(origin, "document".to_owned(), message, mend);
        }
        let Some(kind) = kind.as_ref().and_then(Node::text) else {
            self.unread(id_of(&document));
            let message = "the document does not say what it is".to_owned();
            self.problem(origin, "kind".to_owned(), message, &format!("begin it with kind: {KINDS}"));
            return;
        };
        match kind {
            "legal_entity" => {
                if let Some(located) = self.read(&document, "legal_entity", origin) {
                    self.documents.legal_entities.push(located);
                }
            }
            "meter" => {
                if let Some(located) = self.read(&document, "meter", origin) {
                    self.documents.meters.push(located);
                }
            }
            "csv_mapping" => {
                if let Some(located) = self.read(&document, "csv_mapping", origin) {
                    self.documents.csv_mappings.push(located);
                }
            }
            "price_book" => self.price_book(document, origin),
            "contract" => self.contract(document, origin),
            other => {
                self.unread(id_of(&document));
                let message = format!("there is no kind {other:?}");
                self.problem(origin, "kind".to_owned(), message, &format!("write {KINDS}"));
            }
        }
    }

    fn read<T: DeserializeOwned>(&mut self, node: &Node, kind: &str, origin: Origin) -> Option<Located<T>> {
        let name = name_of(node, kind);
        match node.read() {
            Ok(document) => Some(Located { document, origin }),
            Err(error) => {
                self.documents.unread.document(kind, id_of(node));
                self.unreadable(&origin.file, &name, &error);
                None
            }
        }
    }

    /// Reads a price book rate by rate, so that each can have its own problem.
    fn price_book(&mut self, mut document: Node, origin: Origin) {
        let name = name_of(&document, "price_book");
        let mut rates: Vec<Vec<Option<Rate>>> = Vec::new();
        for (position, version) in document.items_mut("versions").iter_mut().enumerate() {
            let path = format!("{name} versions[{position}].rates");
            let items = version.take_items("rates");
            rates.push(self.items(&items, &path, &origin));
        }
        let Some(mut located) = self.read::<PriceBook>(&document, "price_book", origin) else { return };
        let book = self.documents.price_books.len();
        for (position, (version, rates)) in located.document.versions.iter_mut().zip(rates).enumerate() {
            for (rate, _) in rates.iter().enumerate().filter(|(_, rate)| rate.is_none()) {
                self.documents.unread.rate(book, position, rate);
            }
            version.rates = rates.into_iter().flatten().collect();
        }
        self.documents.price_books.push(located);
    }

    /// Reads a contract line by line, so that each can have its own problem.
    fn contract(&mut self, mut document: Node, origin: Origin) {
        let name = name_of(&document, "contract");
        let items = document.take_items("lines");
        let lines: Option<Vec<ContractLine>> =
            self.items(&items, &format!("{name} lines"), &origin).into_iter().collect();
        let Some(mut located) = self.read::<Contract>(&document, "contract", origin) else { return };
        if let Some(lines) = lines {
            located.document.lines = lines;
            self.documents.contracts.push(located);
        }
    }

    /// Reads the items of a list; `None` in the place of one that cannot be read.
    fn items<T: DeserializeOwned>(&mut self, items: &[Node], path: &str, origin: &Origin) -> Vec<Option<T>> {
        let mut read = Vec::with_capacity(items.len());
        for (position, item) in items.iter().enumerate() {
            match item.read() {
                Ok(item) => read.push(Some(item)),
                Err(error) => {
                    read.push(None);
                    let inner = error.path();
                    let dot = if inner.is_empty() { "" } else { "." };
                    let path = format!("{path}[{position}]{dot}{inner}");
                    let origin = Origin { file: Arc::clone(&origin.file), line: error.line };
                    self.problem(origin, path, error.message, "see docs/catalog.md for the form");
                }
            }
        }
        read
    }
}

/// The id of a document, as it is written.
fn id_of(document: &Node) -> Option<&str> {
    document.get("id").and_then(Node::text).filter(|id| !id.is_empty())
}

fn name_of(node: &Node, kind: &str) -> String {
    match id_of(node) {
        Some(id) => format!("{kind} {id}"),
        None => kind.to_owned(),
    }
}
