//! EPOCH-1: the tables show every epoch they say they have once, whole, and nothing else.
//!
//! It reads the log of a table line by line and the files by Parquet's row reader, and holds their rows against those
//! of the epochs.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use super::ledger::hex;
use super::rows::{Row, read_rows};
use super::{Audit, Epoch, Files, rule};

/// The tables, and the contents of epochs that are their rows; none where the documents are.
const TABLES: [(&str, Option<&str>); 6] = [
    ("rated_usage", Some("rated_usage")),
    ("accruals", Some("accruals")),
    ("quarantine", Some("quarantine")),
    ("control_totals", None),
    ("settled", None),
    ("epochs", None),
];

/// What was read and checked before.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownTables {
    /// Rows of files, by the hash of the file.
    rows: HashMap<[u8; 32], Arc<Vec<Row>>>,
    /// Hashes of tables, with all their files and the epochs that they have.
    sound: HashSet<[u8; 32]>,
}

/// A table at its newest version.
#[derive(Debug, Default)]
struct Table {
    /// Length and rows of its files, by name.
    files: BTreeMap<String, (u64, u64)>,
    /// The last epoch it says it has.
    last_epoch: u64,
}

/// The last epoch that all tables have.
pub(crate) fn check(files: &Files, epochs: &[Arc<Epoch>], known: &mut KnownTables) -> Audit<u64> {
    let mut last = u64::MAX;
    for (name, kind) in TABLES {
        let checked = check_table(files, name, kind, epochs, known);
        last = last.min(checked.map_err(|what| format!("table {name}: {what}"))?);
    }
    Ok(last)
}

fn check_table(
    files: &Files,
    name: &str,
    kind: Option<&str>,
    epochs: &[Arc<Epoch>],
    known: &mut KnownTables,
) -> Audit<u64> {
    let directory = format!("tables/{name}/");
    let Some(table) = read_log(files, &directory)? else { return Ok(0) };
    let last = usize::try_from(table.last_epoch).unwrap_or(usize::MAX);
    let shown = epochs.get(..last).ok_or_else(|| {
        format!("it has epoch {}, the last one there is is {}", table.last_epoch, epochs.len())
    })?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(name.as_bytes());
    hasher.update(shown.last().map_or(&[], |epoch| &epoch.hash[..]));
    let mut sources = Vec::new();
    for (file, (length, count)) in &table.files {
        let bytes = files.get(&format!("{directory}{file}")).ok_or_else(|| format!("{file} is missing"))?;
        rule(bytes.len() as u64 == *length, || format!("{file} has {} bytes, not {length}", bytes.len()))?;
        let hash = *blake3::hash(bytes).as_bytes();
        hasher.update(&hash);
        hasher.update(&count.to_le_bytes());
        sources.push((file, bytes, hash, count));
    }
    let whole = *hasher.finalize().as_bytes();
    if known.sound.contains(&whole) {
        return Ok(table.last_epoch);
    }
    let mut rows = Vec::new();
    for (file, bytes, hash, count) in sources {
        let of_file = known.rows(bytes, hash).map_err(|what| format!("{file}: {what}"))?;
        rule(of_file.len() as u64 == *count, || format!("{file} has {} rows, not {count}", of_file.len()))?;
        rows.push(of_file);
    }
    let rows = rows.iter().flat_map(|rows| rows.iter());
    match (kind, name) {
        (Some(kind), _) => same_rows(rows, shown.iter().flat_map(|epoch| epoch.rows(kind)))?,
        (None, "epochs") => {
            let expected = shown.iter().map(|epoch| (i128::from(epoch.number), hex(&epoch.hash)));
            let found = rows.map(|row| Ok((row.integer("epoch")?, row.text("hash")?.to_owned())));
            same(found, expected)?;
        }
        (None, "control_totals") => {
            let totals = |epoch: &Arc<Epoch>| {
                let totals = epoch.document["control_totals"].as_array().cloned().unwrap_or_default();
                let number = i128::from(epoch.number);
                totals.into_iter().map(move |total| {
                    let received = total["counts"]["received"].as_i64().unwrap_or(0);
                    (number, total["source"].as_str().map(ToOwned::to_owned), i128::from(received))
                })
            };
            let found = rows.map(|row| {
                let source = row.text_if_any("source")?.map(ToOwned::to_owned);
                Ok((row.integer("epoch")?, source, row.integer("received")?))
            });
            same(found, shown.iter().flat_map(totals))?;
        }
        (None, _) => same(rows.map(|row| row.integer("epoch")), std::iter::empty())?,
    }
    known.sound.insert(whole);
    Ok(table.last_epoch)
}

/// Folds the log of a table; none where there is no table.
fn read_log(files: &Files, directory: &str) -> Audit<Option<Table>> {
    let log = format!("{directory}_delta_log/");
    let mut table = None;
    let mut next = 0u64;
    for (name, bytes) in files.range(log.clone()..).take_while(|(name, _)| name.starts_with(&log)) {
        let Some(version) = name.strip_prefix(&log).and_then(|name| name.strip_suffix(".json")) else {
            continue;
        };
        rule(version.len() == 20 && version.parse() == Ok(next), || {
            format!("version {version} where {next} is due")
        })?;
        next += 1;
        let table: &mut Table = table.get_or_insert_default();
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line: Value =
                serde_json::from_slice(line).map_err(|error| format!("version {version}: {error}"))?;
            table.apply(&line).map_err(|what| format!("version {version}: {what}"))?;
        }
    }
    Ok(table)
}

impl Table {
    fn apply(&mut self, line: &Value) -> Audit<()> {
        let path = |action: &Value| action["path"].as_str().unwrap_or_default().to_owned();
        if let Some(add) = line.get("add") {
            let statistics: Value =
                serde_json::from_str(add["stats"].as_str().unwrap_or("{}")).unwrap_or_default();
            let rows = statistics["numRecords"].as_u64().ok_or("a file does not say its rows")?;
            let size = add["size"].as_u64().ok_or("a file does not say its length")?;
            let is_new = self.files.insert(path(add), (size, rows)).is_none();
            rule(is_new, || format!("{} is added twice", path(add)))?;
        }
        if let Some(remove) = line.get("remove") {
            let was_there = self.files.remove(&path(remove)).is_some();
            rule(was_there, || format!("{} is removed, and was not there", path(remove)))?;
        }
        if let Some(transaction) = line.get("txn") {
            let epoch = transaction["version"].as_u64().ok_or("a transaction without a version")?;
            rule(epoch > self.last_epoch, || format!("epoch {epoch} after {}", self.last_epoch))?;
            self.last_epoch = epoch;
        }
        Ok(())
    }
}

impl KnownTables {
    fn rows(&mut self, bytes: &[u8], hash: [u8; 32]) -> Audit<Arc<Vec<Row>>> {
        if let Some(rows) = self.rows.get(&hash) {
            return Ok(Arc::clone(rows));
        }
        let rows = Arc::new(read_rows(bytes.to_vec())?);
        self.rows.insert(hash, Arc::clone(&rows));
        Ok(rows)
    }
}

/// Are they the same rows, in any order?
fn same_rows<'a>(found: impl Iterator<Item = &'a Row>, expected: impl Iterator<Item = &'a Row>) -> Audit<()> {
    let mut prints: BTreeMap<u64, (i64, &Row)> = BTreeMap::new();
    for row in expected {
        prints.entry(row.print()).or_insert((0, row)).0 -= 1;
    }
    for row in found {
        prints.entry(row.print()).or_insert((0, row)).0 += 1;
    }
    match prints.values().find(|(count, _)| *count != 0) {
        Some((count, row)) => Err(format!("a row is there {count:+} times more than in the epochs: {row:?}")),
        None => Ok(()),
    }
}

/// Are they the same, in any order?
fn same<T: Ord + std::fmt::Debug>(
    found: impl Iterator<Item = Audit<T>>,
    expected: impl Iterator<Item = T>,
) -> Audit<()> {
    let mut found = found.collect::<Audit<Vec<T>>>()?;
    let mut expected: Vec<T> = expected.collect();
    found.sort();
    expected.sort();
    rule(found == expected, || format!("it has {found:?}, the epochs {expected:?}"))
}
