//! A place to run the program in, and ways to look at what it did.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// A directory with a catalog and usage, which goes when it is dropped.
pub(crate) struct Workplace {
    directory: TempDir,
}

/// What a call of the program left behind.
pub(crate) struct Called {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Workplace {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    /// A place with a catalog of one document file.
    pub(crate) fn with_catalog(yaml: &str) -> Self {
        let place = Self::new();
        place.write("catalog/catalog.yaml", yaml);
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Calls the program in this place.
    pub(crate) fn call(&self, arguments: &[&str]) -> Called {
        called(&self.command(arguments).output().unwrap())
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command.args(arguments).current_dir(self.directory.path());
        command
    }

    /// Runs inputs with the catalog of this place into `data`, and gives the report.
    pub(crate) fn run(&self, inputs: &[&str]) -> Value {
        self.run_to("data", inputs)
    }

    pub(crate) fn run_to(&self, data: &str, inputs: &[&str]) -> Value {
        let fixed = ["run", "--quiet", "--json", "--catalog", "catalog", "--data", data];
        let called = self.call(&[&fixed, inputs].concat());
        assert_eq!(called.code, 0, "{}", called.stderr);
        serde_json::from_str(&called.stdout).unwrap()
    }

    /// Runs an example into `data`, and gives the report.
    pub(crate) fn run_example(&self, name: &str) -> Value {
        let [catalog, usage] =
            ["catalog", "usage"].map(|part| example(name).join(part).display().to_string());
        let called = self.call(&["run", "--quiet", "--json", "--catalog", &catalog, &usage]);
        assert_eq!(called.code, 0, "{}", called.stderr);
        serde_json::from_str(&called.stdout).unwrap()
    }

    /// Has a run committed anything to `data`?
    pub(crate) fn has_epochs(&self) -> bool {
        let ledger = self.path("data/ledger");
        ledger.exists() && !files(&ledger).is_empty()
    }

    /// The rows of a query, as text; decimals without zeros at their end.
    pub(crate) fn query(&self, sql: &str) -> Vec<Vec<String>> {
        query(&self.path("data"), sql)
    }
}

/// The directory of an example.
pub(crate) fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

/// Holds the counts of a report against those that are expected.
pub(crate) fn check_counts(report: &Value, expected: &Value) {
    let counts = [
        "received",
        "rated",
        "unrated",
        "duplicate",
        "conflict",
        "rejected",
        "rejected_by_reason",
        "unrated_by_reason",
    ];
    for count in counts {
        assert_eq!(report[count], expected[count], "{count}");
    }
}

/// The program under test, without the variables of the test itself.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tallybook"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TALLYBOOK_") {
            command.env_remove(name);
        }
    }
    command
}

pub(crate) fn called(output: &Output) -> Called {
    Called {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// All rows of a table but these columns, sorted.
pub(crate) fn sorted_rows(data: &Path, table: &str, except: &[&str]) -> Vec<Vec<String>> {
    let except = if except.is_empty() { String::new() } else { format!("EXCLUDE ({})", except.join(", ")) };
    let mut rows = query(data, &format!("SELECT * {except} FROM {table}"));
    rows.sort();
    rows
}

pub(crate) fn query(data: &Path, sql: &str) -> Vec<Vec<String>> {
    let output = program().args(["query", "--format", "csv", "--data"]).arg(data).arg(sql).output();
    let called = called(&output.unwrap());
    assert_eq!(called.code, 0, "{sql}: {}", called.stderr);
    let mut reader = csv::Reader::from_reader(called.stdout.as_bytes());
    reader.records().map(|row| row.unwrap().iter().map(shortest).collect()).collect()
}

/// A number without the zeros that say nothing; any other text as it is.
pub(crate) fn shortest(text: &str) -> String {
    let is_decimal = text.contains('.') && text.bytes().all(|byte| b"-.0123456789".contains(&byte));
    if is_decimal { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() }
}

/// The files below a directory with their bytes, by name.
pub(crate) fn files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.append(&mut self::files(&path));
        } else {
            files.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    files.sort();
    files
}

/// The Parquet files of a table of a data directory with their bytes, by name.
pub(crate) fn table_files(data: &Path, table: &str) -> Vec<(String, Vec<u8>)> {
    let directory = data.join("tables").join(table);
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|ending| ending == "parquet"));
    let mut files: Vec<_> = files.map(|path| (name(&path), fs::read(&path).unwrap())).collect();
    files.sort();
    files
}

/// The tables whose rows follow from events and catalog alone: `epochs` says when besides.
pub(crate) const REPEATABLE_TABLES: [&str; 5] =
    ["rated_usage", "accruals", "quarantine", "control_totals", "settled"];

/// Holds the table files of two data directories against each other, names and bytes.
pub(crate) fn check_same_files(one: &Path, other: &Path) {
    for table in REPEATABLE_TABLES {
        let files = [one, other].map(|data| table_files(data, table));
        let names = files.each_ref().map(|files| files.iter().map(|(name, _)| name).collect::<Vec<_>>());
        assert_eq!(names[0], names[1], "{table}");
        for ((name, bytes), (_, others)) in files[0].iter().zip(&files[1]) {
            assert!(bytes == others, "{table}: {name} differs");
        }
    }
}

/// A usage event in JSON.
pub(crate) fn event(id: &str, event_type: &str, account: &str, time: &str, data: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"test","type":"{event_type}","subject":"{account}","time":"{time}","data":{data}}}"#
    )
}
