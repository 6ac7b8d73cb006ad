//! `tallybook demo`: an hour of real LLM usage, from the files to the accruals.
//!
//! The files of `examples/llm-tokens` are part of the program, so the demo works wherever it is.

use std::fs;
use std::io::{Write, stdout};
use std::path::Path;

use anyhow::{Context, Result};

use super::run;
use crate::command_line::{DemoArguments, OutputArguments, RunArguments};
use crate::report::REPORT_FILE;

/// A file of the example.
macro_rules! example {
    ($name:literal) => {
        ($name, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/llm-tokens/", $name)))
    };
}

/// The files of the example.
const FILES: &[(&str, &[u8])] = &[];

/// Unpacks the demo and runs it.
///
/// # Errors
/// What cannot be written, and all that [`run::run`] fails with.
pub fn demo(arguments: &DemoArguments) -> Result<()> {
    let directory = &arguments.directory;
    unpack(directory)?;
    let results = directory.join("results");
    // Results of an earlier demo; anything else is not ours to remove.
    if results.join(REPORT_FILE).exists() {
        fs::remove_dir_all(&results).with_context(|| results.display().to_string())?;
    }
    let OutputArguments { json, quiet } = arguments.show;
    if !json && !quiet {
        writeln!(
            stdout(),
            "An hour of real LLM requests of two customers, counted in tokens and priced; unpacked to {}\n",
            directory.display()
        )?;
    }
    let arguments = RunArguments {
        inputs: vec![directory.join("usage").display().to_string()],
        catalog: directory.join("catalog"),
        output: results,
        csv_mapping: None,
        accrual_events: true,
        threads: None,
        show: arguments.show,
    };
    let report = run::perform(&arguments)?;
    run::show(&report, &arguments.output, arguments.show)
}

fn unpack(directory: &Path) -> Result<()> {
    for (name, bytes) in FILES {
        let path = directory.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
        }
        fs::write(&path, bytes).with_context(|| path.display().to_string())?;
    }
    Ok(())
}
