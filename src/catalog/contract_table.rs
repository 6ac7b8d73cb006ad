//! Contracts as tables: a row for each account and contract line, in CSV or Parquet.
//!
//! | column | |
//! |---|---|
//! | `contract`, `account`, `contract_line`, `legal_entity`, `currency`, `price_book` | needed |
//! | `version`, `effective_from`, `effective_to`, `billing_interval`, `billing_anchor` | of the contract |
//! | `meters` | of the line, separated by spaces |
//! | `line_effective_from`, `line_effective_to` | of the line |

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::str::FromStr;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rating::catalog::{Located, Origin};
use schemas::contract::{Contract, ContractLine};
use schemas::currency::UnknownCurrency;
use schemas::id::AccountId;
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

const NEEDED: [&str; 6] = ["contract", "account", "contract_line", "legal_entity", "currency", "price_book"];
const OPTIONAL: [&str; 8] = [
    "version",
    "effective_from",
    "effective_to",
    "billing_interval",
    "billing_anchor",
    "meters",
    "line_effective_from",
    "line_effective_to",
];

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
pub(super) fn read_parquet(input: &File, file: &Arc<str>, loader: &mut Loader) {
    let batches = input.try_clone().map_err(|error| error.to_string()).and_then(|input| {
        let builder = ParquetRecordBatchReaderBuilder::try_new(input).map_err(|error| error.to_string())?;
        let reader = builder.build().map_err(|error| error.to_string())?;
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
        let columns: Result<Vec<ArrayRef>, _> =
            batch.columns().iter().map(|column| cast(column, &DataType::Utf8)).collect();
        let columns = match columns {
            Ok(columns) => columns,
            Err(error) => return unreadable(file, 0, &error.to_string(), loader),
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

/// Refuses numbers that are floats, which have no one text: an account `1` would become `1.0`.
fn refuse_floats(schema: &Schema, table: &Table, loader: &mut Loader) -> bool {
    let is_float =
        |column: &usize| schema.fields().get(*column).is_some_and(|field| field.data_type().is_floating());
    let mut floats: Vec<&str> =
        table.columns.iter().filter(|(_, column)| is_float(column)).map(|(name, _)| *name).collect();
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
    columns: Arc<HashMap<&'static str, usize>>,
    by_key: HashMap<(String, u32), usize>,
    contracts: Vec<Located<Contract>>,
    /// Position of each account in its contract.
    accounts: HashMap<(usize, AccountId), usize>,
    /// Rows of each contract, as positions of account and line.
    cells: Vec<Vec<(usize, usize)>>,
    /// Contracts of rows that could not be read.
    damaged: HashSet<String>,
}

impl Table {
    fn new(header: &[String], file: &Arc<str>, header_line: u64, loader: &mut Loader) -> Option<Self> {
        let mut columns = HashMap::new();
        let known = || NEEDED.iter().chain(&OPTIONAL);
        let (mut unknown, mut repeated) = (Vec::new(), Vec::new());
        for (position, name) in header.iter().enumerate() {
            match known().find(|known| *known == name) {
                Some(known) if columns.insert(*known, position).is_some() => repeated.push(*known),
                Some(_) => {}
                None => unknown.push(format!("{name:?}")),
            }
        }
        let mut problem = |message: String, mend: &str| {
            let origin = Origin { file: Arc::clone(file), line: header_line };
            loader.problem(origin, "contracts".to_owned(), message, mend);
        };
        if columns.is_empty() {
            let mend =
                "the first line names the columns, separated by commas; usage belongs in another directory";
            problem(format!("this is no table of contracts: it has no column {}", NEEDED.join(", ")), mend);
            return None;
        }
        if !unknown.is_empty() {
            let message = format!("a table of contracts has no columns {}", unknown.join(", "));
            let known: Vec<&str> = known().copied().collect();
            problem(message, &format!("the columns are {}", known.join(", ")));
        }
        if !repeated.is_empty() {
            problem(format!("columns are there twice: {}", repeated.join(", ")), "keep one of each");
        }
        let missing: Vec<&str> = NEEDED.iter().filter(|name| !columns.contains_key(*name)).copied().collect();
        if !missing.is_empty() {
            problem(format!("columns are missing: {}", missing.join(", ")), "add them");
        }
        if !missing.is_empty() || !repeated.is_empty() {
            return None;
        }
        Some(Self {
            file: Arc::clone(file),
            columns: Arc::new(columns),
            by_key: HashMap::new(),
            contracts: Vec::new(),
            accounts: HashMap::new(),
            cells: Vec::new(),
            damaged: HashSet::new(),
        })
    }

    fn wrong_length(&mut self, record: &csv::StringRecord, width: usize, line: u64, loader: &mut Loader) {
        let contract =
            self.columns.get("contract").and_then(|column| record.get(*column)).unwrap_or_default();
        self.damaged.insert(contract.to_owned());
        let message = format!("the row has {}, the header {width}", count(record.len(), "field", "fields"));
        let origin = Origin { file: Arc::clone(&self.file), line };
        let mend = "give every row as many; a field with a comma in it is quoted, and every quote closed";
        loader.problem(origin, format!("contract {contract}"), message, mend);
    }

    fn row<'a>(&mut self, value: impl Fn(usize) -> &'a str, line: u64, loader: &mut Loader) {
        let origin = Origin { file: Arc::clone(&self.file), line };
        let columns = Arc::clone(&self.columns);
        let text = |name: &str| columns.get(name).map(|column| value(*column)).unwrap_or_default();
        match self.add(&text, &origin) {
            Ok(()) => {}
            Err(Fault { column, message, mend }) => {
                self.damaged.insert(text("contract").to_owned());
                let message = format!("column {column}: {message}");
                let path = format!("contract {}", text("contract"));
                loader.problem(origin, path, message, mend);
            }
        }
    }

    fn add<'a>(&mut self, text: &impl Fn(&str) -> &'a str, origin: &Origin) -> Result<(), Fault> {
        for column in NEEDED.into_iter().chain(OPTIONAL) {
            if text(column).trim() != text(column) {
                let message = format!("{:?} begins or ends with a space", text(column));
                return Err(Fault { column, message, mend: "remove the space" });
            }
        }
        let version = match text("version") {
            "" => 1,
            version => version.parse().map_err(|_| {
                Fault::of("version", format!("expected a whole number of zero or more, found {version:?}"))
            })?,
        };
        let account: AccountId = parse("account", text("account"))?;
        let line = ContractLine {
            id: parse("contract_line", text("contract_line"))?,
            price_book: parse("price_book", text("price_book"))?,
            meters: match text("meters") {
                "" => None,
                meters => {
                    let meters = meters.split_whitespace().map(|meter| parse("meters", meter));
                    Some(meters.collect::<Result<_, _>>()?)
                }
            },
            effective_from: read("line_effective_from", text("line_effective_from"))?,
            effective_to: read("line_effective_to", text("line_effective_to"))?,
        };
        let document = Contract {
            id: parse("contract", text("contract"))?,
            version,
            accounts: Vec::new(),
            legal_entity: parse("legal_entity", text("legal_entity"))?,
            currency: text("currency")
                .parse()
                .map_err(|error: UnknownCurrency| Fault::of("currency", error.to_string()))?,
            effective_from: read("effective_from", text("effective_from"))?,
            effective_to: read("effective_to", text("effective_to"))?,
            billing_interval: read("billing_interval", text("billing_interval"))?.unwrap_or_default(),
            billing_anchor: read("billing_anchor", text("billing_anchor"))?,
            lines: Vec::new(),
        };
        let key = (text("contract").to_owned(), version);
        let position = match self.by_key.get(&key) {
            Some(position) => *position,
            None => {
                self.contracts.push(Located { document: document.clone(), origin: origin.clone() });
                self.cells.push(Vec::new());
                self.by_key.insert(key, self.contracts.len() - 1);
                self.contracts.len() - 1
            }
        };
        let (Some(located), Some(cells)) = (self.contracts.get_mut(position), self.cells.get_mut(position))
        else {
            return Ok(());
        };
        let contract = &mut located.document;
        for (column, is_same) in [
            ("legal_entity", contract.legal_entity == document.legal_entity),
            ("currency", contract.currency == document.currency),
            ("effective_from", contract.effective_from == document.effective_from),
            ("effective_to", contract.effective_to == document.effective_to),
            ("billing_interval", contract.billing_interval == document.billing_interval),
            ("billing_anchor", contract.billing_anchor == document.billing_anchor),
        ] {
            if !is_same {
                let first = &located.origin;
                let message =
                    format!("{:?} differs from the first row of the contract, {first}", text(column));
                return Err(Fault { column, message, mend: SAME_IN_ALL_ROWS });
            }
        }
        let account = *self.accounts.entry((position, account.clone())).or_insert_with(|| {
            contract.accounts.push(account);
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
        cells.push((account, line));
        Ok(())
    }

    /// Hands the contracts over. All accounts of a contract share all of its lines.
    fn finish(self, loader: &mut Loader) {
        for (located, mut cells) in self.contracts.into_iter().zip(self.cells) {
            let contract = &located.document;
            if self.damaged.contains(contract.id.as_str()) {
                // What is missing has a problem already.
                loader.documents.contracts.push(located);
                continue;
            }
            cells.sort_unstable();
            cells.dedup();
            if cells.len() != contract.accounts.len() * contract.lines.len() {
                let message = format!(
                    "its {} accounts and {} lines do not all go together",
                    contract.accounts.len(),
                    contract.lines.len()
                );
                let mend = "write a row for every account and line, or give accounts contracts of their own";
                loader.problem(located.origin.clone(), format!("contract {}", contract.id), message, mend);
                continue;
            }
            loader.documents.contracts.push(located);
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
