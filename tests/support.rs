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

    /// Runs inputs with the catalog of this place into `results`, and gives the report.
    pub(crate) fn run(&self, inputs: &[&str]) -> Value {
        self.run_to("results", inputs)
    }

    pub(crate) fn run_to(&self, results: &str, inputs: &[&str]) -> Value {
        let fixed = ["run", "--quiet", "--json", "--catalog", "catalog", "--output", results];
        let called = self.call(&[&fixed, inputs].concat());
        assert_eq!(called.code, 0, "{}", called.stderr);
        serde_json::from_str(&called.stdout).unwrap()
    }

    /// Runs an example into `results`, and gives the report.
    pub(crate) fn run_example(&self, name: &str) -> Value {
        let [catalog, usage] =
            ["catalog", "usage"].map(|part| example(name).join(part).display().to_string());
        let called = self.call(&["run", "--quiet", "--json", "--catalog", &catalog, &usage]);
        assert_eq!(called.code, 0, "{}", called.stderr);
        serde_json::from_str(&called.stdout).unwrap()
    }

    /// The rows of a query, as text; decimals without zeros at their end.
    pub(crate) fn query(&self, sql: &str) -> Vec<Vec<String>> {
        query(&self.path("results"), sql)
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

/// The program under test.
pub(crate) fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tallybook"))
}

pub(crate) fn called(output: &Output) -> Called {
    Called {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

pub(crate) fn query(results: &Path, sql: &str) -> Vec<Vec<String>> {
    let output = program().args(["query", "--format", "csv", "--data"]).arg(results).arg(sql).output();
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

/// A usage event in JSON.
pub(crate) fn event(id: &str, event_type: &str, account: &str, time: &str, data: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"test","type":"{event_type}","subject":"{account}","time":"{time}","data":{data}}}"#
    )
}
