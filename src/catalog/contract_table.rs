//! Contracts as tables: a row for each account and contract line, in CSV or Parquet.
//!
//! | column | |
//! |---|---|
//! | `contract`, `account`, `contract_line`, `legal_entity`, `currency`, `price_book` | needed |
//! | `version`, `effective_from`, `effective_to`, `billing_interval`, `billing_anchor` | of the contract |
//! | `meters` | of the line, separated by spaces |
//! | `line_effective_from`, `line_effective_to` | of the line |

use std::collections::HashSet;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use hashbrown::HashMap;
use rating::catalog::{Located, Origin};
use schemas::contract::{Contract, ContractLine};
use schemas::currency::UnknownCurrency;
use schemas::id::{AccountId, ContractId};
use serde::de::DeserializeOwned;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as ValueError, StrDeserializer};

use super::Loader;
use crate::summary::count;

/// What a file says that is not in the encoding of catalogs.
const NOT_UTF8: &str = "the file is not UTF-8";

/// What to do where rows of a contract differ.
const SAME_IN_ALL_ROWS: &str =
    "write the same in all rows of a contract, or number a further version in the column version";

const COLUMNS: [&str; 14] = [
    "contract",
    "account",
    "contract_line",
    "legal_entity",
    "currency",
    "price_book",
    "version",
    "effective_from",
    "effective_to",
    "billing_interval",
    "billing_anchor",
    "meters",
    "line_effective_from",
    "line_effective_to",
];

/// The first of the columns, which must be there.
const NEEDED: &[&str] = COLUMNS.split_at(6).0;

/// Reads contracts from CSV.
pub(super) fn read_csv(bytes: &[u8], file: &Arc<str>, loader: &mut Loader) {
    if let Err(error) = std::str::from_utf8(bytes) {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = before.split(|byte| *byte == b'\n').count() as u64;
        let origin = Origin { file: Arc::clone(file), line };
        return loader.problem(origin, "contracts".to_owned(), NOT_UTF8.to_owned(), "save it as UTF-8");
    }
    // A row of another length than the header is a problem of its own.
    let mut reader = csv::ReaderBuilder::new().has_headers(true).flexible(true).from_reader(bytes);
    let header: Vec<String> = match reader.headers() {
        Ok(header) => header.iter().map(ToOwned::to_owned).collect(),
        Err(error) => return unreadable(file, 1, &error.to_string(), loader),
    };
    let Some(mut table) = Table::new(&header, file, 1, loader) else { return };
    let mut record = csv::StringRecord::new();
    loop {
        match reader.read_record(&mut record) {
            Ok(true) => {
                let line = record.position().map_or(0, csv::Position::line);
                if record.len() == header.len() {
                    table.row(|column| record.get(column).unwrap_or_default(), line, loader);
                } else {
                    table.wrong_length(&record, header.len(), line, loader);
                }
            }
            Ok(false) => break,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                return unreadable(file, line, &error.to_string(), loader);
            }
        }
    }
    table.finish(loader);
}

/// Reads contracts from Parquet.
pub(super) fn read_parquet(content: Bytes, file: &Arc<str>, loader: &mut Loader) {
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(content).and_then(ParquetRecordBatchReaderBuilder::build);
    let batches = reader.map_err(|error| error.to_string()).and_then(|reader| {
        reader.collect::<Result<Vec<RecordBatch>, _>>().map_err(|error| error.to_string())
    });
    let batches = match batches {
        Ok(batches) => batches,
        Err(error) => return unreadable(file, 0, &error, loader),
    };
    let Some(first) = batches.first() else { return };
    let header: Vec<String> = first.schema().fields().iter().map(|field| field.name().clone()).collect();
    let Some(mut table) = Table::new(&header, file, 0, loader) else { return };
    if refuse_floats(&first.schema(), &table, loader) {
        return;
    }
    let mut number = 0;
    for batch in &batches {
        let columns: Result<Vec<ArrayRef>, _> = header.iter().zip(batch.columns()).map(as_texts).collect();
        let columns = match columns {
            Ok(columns) => columns,
            Err(error) => return unreadable(file, 0, &error, loader),
        };
        for row in 0..batch.num_rows() {
            let value = |column: usize| {
                let texts = columns.get(column).map(AsArray::as_string::<i32>);
                texts.filter(|texts| texts.is_valid(row)).map_or("", |texts| texts.value(row))
            };
            number += 1;
            table.row(value, number, loader);
        }
    }
    table.finish(loader);
}

/// A column as texts. A value that is none is an error, not a value left out.
fn as_texts((name, column): (&String, &ArrayRef)) -> Result<ArrayRef, String> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(column, &DataType::Utf8, &options).map_err(|error| format!("column {name}: {error}"))
}

/// Refuses numbers that are floats, which have no one text: an account `1` would become `1.0`.
fn refuse_floats(schema: &Schema, table: &Table, loader: &mut Loader) -> bool {
    let is_float =
        |column: usize| schema.fields().get(column).is_some_and(|field| field.data_type().is_floating());
    let columns = COLUMNS.into_iter().zip(table.columns);
    let mut floats: Vec<&str> =
        columns.filter(|(_, column)| column.is_some_and(is_float)).map(|(name, _)| name).collect();
    floats.sort_unstable();
    if floats.is_empty() {
        return false;
    }
    let message = format!("columns of floating point numbers: {}", floats.join(", "));
    let origin = Origin { file: Arc::clone(&table.file), line: 0 };
    loader.problem(origin, "contracts".to_owned(), message, "write them as texts or whole numbers");
    true
}

fn unreadable(file: &Arc<str>, line: u64, error: &str, loader: &mut Loader) {
    let origin = Origin { file: Arc::clone(file), line };
    let message = format!("the table cannot be read: {error}");
    loader.problem(origin, "contracts".to_owned(), message, "see docs/catalog.md for the columns");
}

/// Contracts that are being put together from rows.
struct Table {
    file: Arc<str>,
    /// Where the file has each column.
    columns: [Option<usize>; COLUMNS.len()],
    by_key: HashMap<(ContractId, u32), usize>,
    contracts: Vec<Located<Contract>>,
    /// Position of each account in its contract.
    accounts: HashMap<(usize, AccountId), usize>,
    /// Rows, as positions of contract, account and line.
    cells: Vec<(usize, usize, usize)>,
    /// Contracts of rows that could not be read.
    damaged: HashSet<String>,
}

impl Table {
    fn new(header: &[String], file: &Arc<str>, header_line: u64, loader: &mut Loader) -> Option<Self> {
        let mut columns = [None; COLUMNS.len()];
        let (mut unknown, mut repeated) = (Vec::new(), Vec::new());
        for (position, name) in header.iter().enumerate() {
            match COLUMNS.into_iter().zip(&mut columns).find(|(known, _)| known == name) {
                Some((known, column)) => {
                    if column.replace(position).is_some() {
                        repeated.push(known);
                    }
                }
                None => unknown.push(format!("{name:?}")),
            }
        }
        let mut problem = |message: String, mend: &str| {
            let origin = Origin { file: Arc::clone(file), line: header_line };
            loader.problem(origin, "contracts".to_owned(), message, mend);
        };
        if columns == [None; COLUMNS.len()] {
            let mend =
                "the first line names the columns, separated by commas; usage belongs in another directory";
            problem(format!("this is no table of contracts: it has no column {}", NEEDED.join(", ")), mend);
            return None;
        }
        if !unknown.is_empty() {
            let message = format!("a table of contracts has no columns {}", unknown.join(", "));
            problem(message, &format!("the columns are {}", COLUMNS.join(", ")));
        }
        if !repeated.is_empty() {
            problem(format!("columns are there twice: {}", repeated.join(", ")), "keep one of each");
        }
        let needed = NEEDED.iter().copied().zip(columns);
        let missing: Vec<&str> =
            needed.filter(|(_, column)| column.is_none()).map(|(name, _)| name).collect();
        if !missing.is_empty() {
            problem(format!("columns are missing: {}", missing.join(", ")), "add them");
        }
        if !missing.is_empty() || !repeated.is_empty() {
            return None;
        }
        Some(Self {
            file: Arc::clone(file),
            columns,
            by_key: HashMap::new(),
            contracts: Vec::new(),
            accounts: HashMap::new(),
            cells: Vec::new(),
            damaged: HashSet::new(),
        })
    }

    fn wrong_length(&mut self, record: &csv::StringRecord, width: usize, line: u64, loader: &mut Loader) {
        let [contract, ..] = self.columns.map(|column| column.and_then(|column| record.get(column)));
        let contract = contract.unwrap_or_default();
        self.damaged.insert(contract.to_owned());
        let message = format!("the row has {}, the header {width}", count(record.len(), "field", "fields"));
        let origin = Origin { file: Arc::clone(&self.file), line };
        let mend = "give every row as many; a field with a comma in it is quoted, and every quote closed";
        loader.problem(origin, format!("contract {contract}"), message, mend);
    }

    fn row<'a>(&mut self, value: impl Fn(usize) -> &'a str, line: u64, loader: &mut Loader) {
        let texts = self.columns.map(|column| column.map_or("", &value));
        let Err(Fault { column, message, mend }) = self.add(texts, line) else { return };
        let [contract, ..] = texts;
        self.damaged.insert(contract.to_owned());
        let origin = Origin { file: Arc::clone(&self.file), line };
        loader.problem(origin, format!("contract {contract}"), format!("column {column}: {message}"), mend);
    }

    fn add(&mut self, texts: [&str; COLUMNS.len()], row: u64) -> Result<(), Fault> {
        for (column, text) in COLUMNS.into_iter().zip(texts) {
            if text.trim().len() != text.len() {
                let message = format!("{text:?} begins or ends with a space");
                return Err(Fault { column, message, mend: "remove the space" });
            }
        }
        let [contract, account, line, legal_entity, currency, price_book, texts @ ..] = texts;
        let [version, effective_from, effective_to, billing_interval, billing_anchor, texts @ ..] = texts;
        let [meters, line_effective_from, line_effective_to] = texts;
        let version = match version {
            "" => 1,
            version => version.parse().map_err(|_| {
                Fault::of(
                    "version",
                    format!("expected a whole number from 0 to 4294967295, found {version:?}"),
                )
            })?,
        };
        let account: AccountId = parse("account", account)?;
        let line = ContractLine {
            id: parse("contract_line", line)?,
            price_book: parse("price_book", price_book)?,
            meters: match meters {
                "" => None,
                meters => {
                    let meters = meters.split_whitespace().map(|meter| parse("meters", meter));
                    Some(meters.collect::<Result<_, _>>()?)
                }
            },
            effective_from: read("line_effective_from", line_effective_from)?,
            effective_to: read("line_effective_to", line_effective_to)?,
        };
        let mut document = Contract {
            id: parse("contract", contract)?,
            version,
            accounts: Vec::new(),
            legal_entity: parse("legal_entity", legal_entity)?,
            currency: currency
                .parse()
                .map_err(|error: UnknownCurrency| Fault::of("currency", error.to_string()))?,
            effective_from: read("effective_from", effective_from)?,
            effective_to: read("effective_to", effective_to)?,
            billing_interval: read("billing_interval", billing_interval)?.unwrap_or_default(),
            billing_anchor: read("billing_anchor", billing_anchor)?,
            lines: Vec::new(),
        };
        let position = *self.by_key.entry((document.id.clone(), version)).or_insert(self.contracts.len());
        if let Some(Located { document: first, origin }) = self.contracts.get(position) {
            let columns = [
                ("legal_entity", legal_entity, first.legal_entity == document.legal_entity),
                ("currency", currency, first.currency == document.currency),
                ("effective_from", effective_from, first.effective_from == document.effective_from),
                ("effective_to", effective_to, first.effective_to == document.effective_to),
                ("billing_interval", billing_interval, first.billing_interval == document.billing_interval),
                ("billing_anchor", billing_anchor, first.billing_anchor == document.billing_anchor),
            ];
            if let Some((column, text, _)) = columns.into_iter().find(|(.., is_same)| !is_same) {
                let message = format!("{text:?} differs from the first row of the contract, {origin}");
                return Err(Fault { column, message, mend: SAME_IN_ALL_ROWS });
            }
        } else {
            // Most contracts have one of each.
            document.accounts.reserve_exact(1);
            document.lines.reserve_exact(1);
            let origin = Origin { file: Arc::clone(&self.file), line: row };
            self.contracts.push(Located { document, origin });
        }
        let Some(Located { document: contract, .. }) = self.contracts.get_mut(position) else {
            return Ok(());
        };
        let account = *self.accounts.entry((position, account)).or_insert_with_key(|(_, account)| {
            contract.accounts.push(account.clone());
            contract.accounts.len() - 1
        });
        let line = match contract.lines.iter().position(|other| other.id == line.id) {
            Some(known) if contract.lines.get(known) == Some(&line) => known,
            Some(_) => {
                let message =
                    format!("the line {} has another price book, meters or times in an earlier row", line.id);
                return Err(Fault {
                    column: "contract_line",
                    message,
                    mend: "write the same in all rows of a line",
                });
            }
            None => {
                contract.lines.push(line);
                contract.lines.len() - 1
            }
        };
        self.cells.push((position, account, line));
        Ok(())
    }

    /// Hands the contracts over. All accounts of a contract share all of its lines.
    fn finish(mut self, loader: &mut Loader) {
        self.cells.sort_unstable();
        self.cells.dedup();
        // The first row of a contract is always one of its cells, so that each has some.
        let cells = self.cells.chunk_by(|(one, ..), (other, ..)| one == other);
        for (located, cells) in self.contracts.into_iter().zip(cells) {
            let contract = &located.document;
            let (accounts, lines) = (contract.accounts.len(), contract.lines.len());
            // What is missing from a damaged contract has a problem already.
            if cells.len() == accounts * lines || self.damaged.contains(contract.id.as_str()) {
                loader.documents.contracts.push(located);
                continue;
            }
            let message = format!("its {accounts} accounts and {lines} lines do not all go together");
            let mend = "write a row for every account and line, or give accounts contracts of their own";
            let path = format!("contract {}", contract.id);
            loader.problem(located.origin, path, message, mend);
        }
    }
}

/// What is wrong with a value of a row.
struct Fault {
    column: &'static str,
    message: String,
    mend: &'static str,
}

impl Fault {
    fn of(column: &'static str, message: String) -> Self {
        Self { column, message, mend: "mend the value in this row" }
    }
}

fn parse<T: FromStr<Err: std::fmt::Display>>(column: &'static str, text: &str) -> Result<T, Fault> {
    text.parse().map_err(|error| Fault::of(column, format!("{text:?}: {error}")))
}

/// Reads a value in its wire form; an empty text is an absent one.
fn read<T: DeserializeOwned>(column: &'static str, text: &str) -> Result<Option<T>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    let deserializer: StrDeserializer<'_, ValueError> = text.into_deserializer();
    T::deserialize(deserializer).map(Some).map_err(|error| Fault::of(column, error.to_string()))
}
