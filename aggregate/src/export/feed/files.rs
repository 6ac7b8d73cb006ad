//! Files of a table, and which rows of them are of which epoch: found when it is asked for, and kept for a while.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::super::ExportTable;
use super::super::pieces::{read_rows, runs};
use super::super::records::texts;
use crate::delta::{DeltaTable, ParquetSource};
use crate::disk::Disk;
use crate::error::AggregateError;
use crate::parquet_columns::parquet_error;

/// Files whose rows are known at once.
const OPEN_MAX: usize = 32;

/// Accruals by legal entity; nothing for other rows.
pub(super) type Sellers = BTreeMap<String, u64>;

/// A file of the table, and the epochs of its rows: from the first to the last, and perhaps not all between.
#[derive(Clone, Debug)]
pub(super) struct FileSpan {
    pub(super) name: String,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) rows: u64,
}

/// Rows of one epoch that follow each other in a file.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) epoch: u64,
    pub(super) start: usize,
    pub(super) rows: usize,
    pub(super) sellers: Sellers,
}

/// A file whose footer was read.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) source: ParquetSource,
    pub(super) runs: Vec<Run>,
}

/// Reads files, and keeps what they say of their rows.
#[derive(Debug)]
pub(super) struct Files {
    disk: Arc<dyn Disk>,
    pub(super) kind: ExportTable,
    pub(super) table: PathBuf,
    /// The file that was used last is the first.
    open: Mutex<VecDeque<(String, Arc<OpenFile>)>>,
    sellers: Mutex<BTreeMap<String, Arc<Sellers>>>,
}

impl Files {
    pub(super) fn new(disk: &Arc<dyn Disk>, kind: ExportTable) -> Self {
        let table = disk.path(&kind.snapshot().directory());
        Self { disk: Arc::clone(disk), kind, table, open: Mutex::default(), sellers: Mutex::default() }
    }

    /// The files of a table, by their first epoch, then by name.
    pub(super) fn spans(&self, table: &DeltaTable<'_>) -> Result<Vec<FileSpan>, AggregateError> {
        let mut spans = Vec::new();
        for file in table.files() {
            let known = |epoch: Option<i64>| epoch.and_then(|epoch| u64::try_from(epoch).ok());
            let (first, last) = (known(file.first_epoch), known(file.last_epoch));
            let (first, last, rows) = match (first, last, file.rows) {
                (Some(first), Some(last), Some(rows)) => (first, last, rows),
                _ => {
                    let open = self.open(&file.name)?;
                    let epochs = || open.runs.iter().map(|run| run.epoch);
                    (epochs().min().unwrap_or(0), epochs().max().unwrap_or(0), open.source.rows())
                }
            };
            spans.push(FileSpan { name: file.name, first, last, rows });
        }
        let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
        let is_there = |name: &str| names.contains(&name);
        self.sellers.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, _| is_there(name));
        self.open.lock().unwrap_or_else(PoisonError::into_inner).retain(|(name, _)| is_there(name));
        Ok(spans)
    }

    /// A file with its rows by epoch.
    pub(super) fn open(&self, name: &str) -> Result<Arc<OpenFile>, AggregateError> {
        {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(found) = open.iter().position(|(known, _)| known == name)
                && let Some(file) = open.remove(found)
            {
                open.push_front(file.clone());
                return Ok(file.1);
            }
        }
        let source = ParquetSource::open(&*self.disk, name)?;
        let file = Arc::new(OpenFile { runs: self.runs(&source)?, source });
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.push_front((name.to_owned(), Arc::clone(&file)));
        open.truncate(OPEN_MAX);
        Ok(file)
    }

    /// The accruals of a file by legal entity.
    pub(super) fn sellers(&self, name: &str) -> Result<Arc<Sellers>, AggregateError> {
        let known = self.sellers.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let mut sellers = Sellers::new();
        for run in &self.open(name)?.runs {
            add(&mut sellers, &run.sellers);
        }
        let sellers = Arc::new(sellers);
        let mut all = self.sellers.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(name.to_owned(), Arc::clone(&sellers));
        Ok(sellers)
    }

    /// The rows of a file by epoch.
    pub(super) fn runs(&self, source: &ParquetSource) -> Result<Vec<Run>, AggregateError> {
        let has_sellers = self.kind == ExportTable::Accruals;
        let columns: &[&str] = if has_sellers { &["epoch", "legal_entity_id"] } else { &["epoch"] };
        let failed = |error: arrow::error::ArrowError| parquet_error(&self.table, error.into());
        let mut found: Vec<Run> = Vec::new();
        let mut start = 0;
        read_rows(source, &self.table, None, Some(columns), &mut |batch| {
            let sellers =
                has_sellers.then(|| texts(&batch, "legal_entity_id")).transpose().map_err(failed)?;
            let mut row = 0;
            for (epoch, rows) in runs(&batch).map_err(failed)? {
                if found.last().is_none_or(|last| last.epoch != epoch) {
                    found.push(Run { epoch, start, rows: 0, sellers: Sellers::new() });
                }
                if let Some(run) = found.last_mut() {
                    run.rows += rows;
                    for seller in sellers.iter().flat_map(|sellers| sellers.iter().skip(row).take(rows)) {
                        *run.sellers.entry(seller.unwrap_or_default().to_owned()).or_default() += 1;
                    }
                }
                start += rows;
                row += rows;
            }
            Ok::<_, AggregateError>(())
        })?;
        Ok(found)
    }
}

/// Adds accruals of legal entities to others.
pub(super) fn add(to: &mut Sellers, sellers: &Sellers) {
    for (seller, rows) in sellers {
        *to.entry(seller.clone()).or_default() += rows;
    }
}
