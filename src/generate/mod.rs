//! The reference workload: usage with everything that happens to usage, its catalog, and what a run over it
//! has to find.
//!
//! It is what benchmarks run on, and anybody can make it: the same plan gives the same bytes on every
//! platform. It is not usage of anybody. Of a million lines about
//!
//! - 15,000 send an earlier line again, most of them soon after, and 100 with other content;
//! - 1,000 are refused, for one of five reasons, and 2,000 name an account that no contract has;
//! - 5,000 come up to three days late;
//! - 100 have the id of another source's event, and count all the same.
//!
//! Activity of accounts follows Zipf's law, quantities are log-normal with up to six decimal places, and some
//! are too large for a 64-bit float. Five price books put every meter under five price models; a fifth of the
//! accounts share a contract line with another.
//!
//! ```text
//! DIR/usage/events-00000.ndjson ...   500,000 lines each
//! DIR/catalog/catalog.yaml            legal entities, meters, price books
//! DIR/catalog/contracts.csv
//! DIR/truth.json                      the exact result, see Truth
//! ```
//!
//! The truth shares no code with rating: it prices the totals of the month by closed formulas. Everything is
//! whole numbers; no float touches a quantity, a time or an amount.

mod catalog_files;
mod customers;
mod event;
mod fixed_point;
mod meters;
mod prices;
mod random;
mod truth;
mod workload;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use customers::Customers;
use prices::PriceBooks;
use truth::TruthTotals;
use workload::Workload;

pub use truth::{CurrencyTruth, TotalTruth, Truth};

/// Accounts of the catalog, unless somebody says otherwise.
pub const ACCOUNTS_DEFAULT: u32 = 100_000;

/// Most accounts of the catalog: numbers from here on are those of unknown accounts.
pub const ACCOUNTS_MAX: u32 = event::UNKNOWN_ACCOUNTS_FROM;

/// Lines in a file of usage.
const LINES_PER_FILE: u64 = 500_000;

/// Bytes that are collected before they are written.
const WRITE_BYTES: usize = 1 << 20;

/// Lines between two reports of progress.
const PROGRESS_LINES: u64 = 10_000;

/// What is to be generated.
#[derive(Clone, Debug)]
pub struct GeneratePlan {
    /// Lines of usage, one at least.
    pub events: u64,
    /// Accounts of the catalog, from 1 to [`ACCOUNTS_MAX`].
    pub accounts: u32,
    /// Number that everything follows from.
    pub seed: u64,
    /// Directory to write to; it must not exist, or be empty.
    pub output: PathBuf,
}

/// What was generated.
#[derive(Clone, Debug)]
pub struct GenerateReport {
    /// Files of usage.
    pub files: u64,
    /// What a run has to find.
    pub truth: Truth,
}

/// Why nothing, or not everything, was generated.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The plan has no events.
    #[error("a workload of no events: ask for one at least")]
    NoEvents,
    /// The plan has no accounts, or too many.
    #[error("a workload of {0} accounts: ask for 1 to {ACCOUNTS_MAX}")]
    Accounts(u32),
    /// There is something where the workload is to go.
    #[error("{0}: the directory is not empty; name a new one, or remove it")]
    NotEmpty(PathBuf),
    /// Something cannot be written.
    #[error("{path}: {error}")]
    Write {
        /// What cannot be written.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
}

/// Generates a workload. `progress` is told from time to time how many lines are written.
///
/// # Errors
/// [`GenerateError`]; what was written before it stays.
pub fn generate(plan: &GeneratePlan, progress: impl FnMut(u64)) -> Result<GenerateReport, GenerateError> {
    if plan.events == 0 {
        return Err(GenerateError::NoEvents);
    }
    if plan.accounts == 0 || plan.accounts > ACCOUNTS_MAX {
        return Err(GenerateError::Accounts(plan.accounts));
    }
    let (usage, catalog) = (plan.output.join("usage"), plan.output.join("catalog"));
    let is_empty = fs::read_dir(&plan.output).is_ok_and(|mut entries| entries.next().is_none());
    if plan.output.exists() && !is_empty {
        return Err(GenerateError::NotEmpty(plan.output.clone()));
    }
    for directory in [&usage, &catalog] {
        fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
    }
    let customers = Customers::new(plan.accounts, plan.seed);
    let books = PriceBooks::new();
    let no_memory = |_| io::Error::other("a text cannot be put together");
    let documents = catalog_files::documents(&books).map_err(no_memory);
    write(&catalog.join("catalog.yaml"), documents)?;
    write(&catalog.join("contracts.csv"), catalog_files::contracts(&customers).map_err(no_memory))?;
    let (files, truth) = write_usage(plan, &usage, &customers, &books, progress)?;
    let text = serde_json::to_string_pretty(&truth).map_err(io::Error::from).map(|text| text + "\n");
    write(&plan.output.join("truth.json"), text)?;
    Ok(GenerateReport { files, truth })
}

/// Writes the files of usage; their number, and what they add up to.
fn write_usage(
    plan: &GeneratePlan,
    directory: &Path,
    customers: &Customers,
    books: &PriceBooks,
    mut progress: impl FnMut(u64),
) -> Result<(u64, Truth), GenerateError> {
    let workload = Workload::new(customers, plan.events, plan.seed);
    let mut totals = TruthTotals::new(customers, plan.seed);
    let files = plan.events.div_ceil(LINES_PER_FILE);
    let mut bytes = 0;
    for file in 0..files {
        let path = directory.join(format!("events-{file:05}.ndjson"));
        let mut output = File::create_new(&path).map_err(|error| failed(&path, error))?;
        let first = file * LINES_PER_FILE;
        let mut buffer = Vec::with_capacity(WRITE_BYTES + WRITE_BYTES / 8);
        for number in first..plan.events.min(first + LINES_PER_FILE) {
            let line = workload.line(number);
            line.event.write(&mut buffer);
            totals.count(&line);
            if buffer.len() >= WRITE_BYTES {
                bytes += flush(&mut output, &mut buffer).map_err(|error| failed(&path, error))?;
            }
            if (number + 1) % PROGRESS_LINES == 0 {
                progress(number + 1);
            }
        }
        bytes += flush(&mut output, &mut buffer).map_err(|error| failed(&path, error))?;
    }
    progress(plan.events);
    Ok((files, totals.finish(books, bytes)))
}

fn flush(output: &mut File, buffer: &mut Vec<u8>) -> io::Result<u64> {
    output.write_all(buffer)?;
    let written = buffer.len() as u64;
    buffer.clear();
    Ok(written)
}

fn write(path: &Path, text: Result<String, io::Error>) -> Result<(), GenerateError> {
    text.and_then(|text| fs::write(path, text)).map_err(|error| failed(path, error))
}

fn failed(path: &Path, error: io::Error) -> GenerateError {
    GenerateError::Write { path: path.to_owned(), error }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(events: u64, seed: u64, output: PathBuf) -> GeneratePlan {
        GeneratePlan { events, accounts: 1_000, seed, output }
    }

    /// FNV-1a, which is written in a line and changes with every bit.
    fn hash(bytes: &[u8]) -> u64 {
        bytes
            .iter()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
    }

    fn files(directory: &Path) -> Vec<Vec<u8>> {
        ["usage/events-00000.ndjson", "catalog/catalog.yaml", "catalog/contracts.csv", "truth.json"]
            .map(|name| fs::read(directory.join(name)).unwrap())
            .to_vec()
    }

    #[test]
    fn a_seed_gives_the_same_bytes_everywhere() {
        let directory = tempfile::tempdir().unwrap();
        let [first, second, other] = ["first", "second", "other"].map(|name| directory.path().join(name));
        let mut told = Vec::new();
        generate(&plan(25_000, 42, first.clone()), |lines| told.push(lines)).unwrap();
        generate(&plan(25_000, 42, second.clone()), |_| ()).unwrap();
        generate(&plan(25_000, 43, other.clone()), |_| ()).unwrap();
        assert_eq!(told, [10_000, 20_000, 25_000]);
        assert_eq!(files(&first), files(&second));
        assert_ne!(files(&first), files(&other));
        let hashes: Vec<u64> = files(&first).iter().map(|bytes| hash(bytes)).collect();
        let golden =
            [0x2e65_ea95_9612_86a2, 0x5adb_6c56_cf67_ba78, 0x3330_e0c1_895a_ad3f, 0x8310_5594_dd63_afc7];
        assert_eq!(hashes, golden, "{hashes:x?}");
    }

    #[test]
    fn the_truth_is_consistent_in_itself() {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("workload");
        let report = generate(&plan(30_000, 1, output.clone()), |_| ()).unwrap();
        let truth = report.truth;
        assert_eq!(report.files, 1);
        let usage = fs::read(output.join("usage/events-00000.ndjson")).unwrap();
        let lines = usage.split_inclusive(|byte| *byte == b'\n').count() as u64;
        assert_eq!((truth.received, truth.bytes), (lines, usage.len() as u64));
        let outcomes = truth.rated + truth.unrated + truth.duplicate + truth.conflict + truth.rejected;
        assert_eq!(outcomes, 30_000);
        assert_eq!(truth.rejected_by_reason.values().sum::<u64>(), truth.rejected);
        assert_eq!(truth.unrated_by_reason.values().sum::<u64>(), truth.unrated);
        assert_eq!(truth.totals.iter().map(|total| total.events).sum::<u64>(), truth.rated);
        for amount in &truth.amounts {
            let sum = |field: fn(&TotalTruth) -> &String| {
                let totals = truth.totals.iter().filter(|total| total.currency == amount.currency);
                let numbers = totals.map(|total| field(total).parse().unwrap());
                numbers.fold(schemas::decimal::Decimal::new(0, 0), |sum, number| {
                    sum.checked_add(number).unwrap()
                })
            };
            assert_eq!(sum(|total| &total.exact).to_string(), amount.exact);
            assert_eq!(sum(|total| &total.posted).to_string(), amount.posted);
        }
    }

    #[test]
    fn plans_that_cannot_be_followed() {
        let directory = tempfile::tempdir().unwrap();
        let empty = directory.path().to_owned();
        assert!(matches!(generate(&plan(0, 1, empty.clone()), |_| ()), Err(GenerateError::NoEvents)));
        let crowded = GeneratePlan { accounts: ACCOUNTS_MAX + 1, ..plan(1, 1, empty.clone()) };
        assert!(matches!(generate(&crowded, |_| ()), Err(GenerateError::Accounts(_))));
        generate(&plan(1, 1, empty.clone()), |_| ()).unwrap();
        assert!(matches!(generate(&plan(1, 1, empty), |_| ()), Err(GenerateError::NotEmpty(_))));
    }
}
