//! Contracts as tables: a row for each account and contract line, in CSV or Parquet.
//!
//! | column | |
//! |---|---|
//! | `contract`, `account`, `contract_line`, `legal_entity`, `currency`, `price_book` | needed |
//! | `version`, `effective_from`, `effective_to`, `billing_interval`, `billing_anchor` | of the contract |
//! | `meters` | of the line, separated by spaces |
//! | `line_effective_from`, `line_effective_to` | of the line |

use std::collections::HashMap;
use std::fs::File;
use std::str::FromStr;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rating::catalog::{Located, Origin};
use schemas::contract::{Contract, ContractLine};
use schemas::id::AccountId;
use serde::de::DeserializeOwned;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as ValueError, StrDeserializer};

use super::Loader;

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
    let mut reader = csv::ReaderBuilder::new().has_headers(true).from_reader(bytes);
    let header: Vec<String> = match reader.headers() {
        Ok(header) => header.iter().map(ToOwned::to_owned).collect(),
        Err(error) => return unreadable(file, 1, &error.to_string(), loader),
    };
    let Some(mut table) = Table::new(&header, file, loader) else { return };
    let mut record = csv::StringRecord::new();
    loop {
        match reader.read_record(&mut record) {
            Ok(true) => {
                let line = record.position().map_or(0, csv::Position::line);
                table.row(|column| record.get(column).unwrap_or_default(), line, loader);
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
    let Some(mut table) = Table::new(&header, file, loader) else { return };
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
            table.row(value, 0, loader);
        }
    }
    table.finish(loader);
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
}

impl Table {
    fn new(header: &[String], file: &Arc<str>, loader: &mut Loader) -> Option<Self> {
        let origin = || Origin { file: Arc::clone(file), line: 1 };
        let mut columns = HashMap::new();
        let known = || NEEDED.iter().chain(&OPTIONAL);
        for (position, name) in header.iter().enumerate() {
            match known().find(|known| *known == name) {
                Some(known) => {
                    columns.insert(*known, position);
                }
                None => {
                    let message = format!("there is no column {name:?} in a table of contracts");
                    let known: Vec<&str> = known().copied().collect();
                    loader.problem(
                        origin(),
                        "contracts".to_owned(),
                        message,
                        &format!("the columns are {}", known.join(", ")),
                    );
                }
            }
        }
        let missing: Vec<&str> = NEEDED.iter().filter(|name| !columns.contains_key(*name)).copied().collect();
        if !missing.is_empty() {
            let message = format!("columns are missing: {}", missing.join(", "));
            loader.problem(origin(), "contracts".to_owned(), message, "add them");
            return None;
        }
        Some(Self {
            file: Arc::clone(file),
            columns: Arc::new(columns),
            by_key: HashMap::new(),
            contracts: Vec::new(),
            accounts: HashMap::new(),
            cells: Vec::new(),
        })
    }

    fn row<'a>(&mut self, value: impl Fn(usize) -> &'a str, line: u64, loader: &mut Loader) {
        let origin = Origin { file: Arc::clone(&self.file), line };
        let columns = Arc::clone(&self.columns);
        let text = |name: &str| columns.get(name).map(|column| value(*column)).unwrap_or_default();
        match self.add(&text, &origin) {
            Ok(()) => {}
            Err((column, error)) => {
                let message = format!("column {column}: {error}");
                let path = format!("contract {}", text("contract"));
                loader.problem(origin, path, message, "mend the value in this row");
            }
        }
    }

    fn add<'a>(
        &mut self,
        text: &impl Fn(&str) -> &'a str,
        origin: &Origin,
    ) -> Result<(), (&'static str, String)> {
        let version: u32 = optional_number("version", text("version"))?.unwrap_or(1);
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
        let key = (text("contract").to_owned(), version);
        let position = match self.by_key.get(&key) {
            Some(position) => *position,
            None => {
                let document = Contract {
                    id: parse("contract", text("contract"))?,
                    version,
                    accounts: Vec::new(),
                    legal_entity: parse("legal_entity", text("legal_entity"))?,
                    currency: parse("currency", text("currency"))?,
                    effective_from: read("effective_from", text("effective_from"))?,
                    effective_to: read("effective_to", text("effective_to"))?,
                    billing_interval: read("billing_interval", text("billing_interval"))?.unwrap_or_default(),
                    billing_anchor: read("billing_anchor", text("billing_anchor"))?,
                    lines: Vec::new(),
                };
                self.contracts.push(Located { document, origin: origin.clone() });
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
            ("legal_entity", contract.legal_entity.as_str() == text("legal_entity")),
            ("currency", contract.currency.code() == text("currency")),
        ] {
            if !is_same {
                return Err((
                    column,
                    format!("{:?} differs from an earlier row of the contract", text(column)),
                ));
            }
        }
        let account = *self.accounts.entry((position, account.clone())).or_insert_with(|| {
            contract.accounts.push(account);
            contract.accounts.len() - 1
        });
        let line = match contract.lines.iter().position(|other| other.id == line.id) {
            Some(known) if contract.lines.get(known) == Some(&line) => known,
            Some(_) => return Err(("contract_line", "differs from an earlier row of the line".to_owned())),
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

fn parse<T: FromStr<Err: std::fmt::Display>>(
    column: &'static str,
    text: &str,
) -> Result<T, (&'static str, String)> {
    text.parse().map_err(|error| (column, format!("{text:?}: {error}")))
}

fn optional_number(column: &'static str, text: &str) -> Result<Option<u32>, (&'static str, String)> {
    if text.is_empty() { Ok(None) } else { parse(column, text).map(Some) }
}

/// Reads a value in its wire form; an empty text is an absent one.
fn read<T: DeserializeOwned>(column: &'static str, text: &str) -> Result<Option<T>, (&'static str, String)> {
    if text.is_empty() {
        return Ok(None);
    }
    let deserializer: StrDeserializer<'_, ValueError> = text.into_deserializer();
    T::deserialize(deserializer).map(Some).map_err(|error| (column, error.to_string()))
}
