//! `tallybook demo`: an hour of real LLM usage, from the files to the accruals.
//!
//! The files of `examples/llm-tokens` are part of the program, so the demo works wherever it is.

use std::fs;
use std::io::{Write, stdout};
use std::path::Path;

use aggregate::data_directory::DIRECTORY_FILE;
use anyhow::{Context, Result, bail};

use super::run;
use crate::command_line::{DemoArguments, OutputArguments, RunArguments};
use crate::pipeline::EPOCH_EVENTS;

/// A file of the example.
macro_rules! example {
    ($name:literal) => {
        ($name, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/llm-tokens/", $name)))
    };
}

/// The files of the example.
const FILES: [(&str, &[u8]); 10] = [
    example!("README.md"),
    example!("NOTICE"),
    example!("catalog/contracts.yaml"),
    example!("catalog/csv_mappings.yaml"),
    example!("catalog/legal_entities.yaml"),
    example!("catalog/meters.yaml"),
    example!("catalog/price_books.yaml"),
    example!("usage/AzureLLMInferenceTrace_code.csv"),
    example!("usage/AzureLLMInferenceTrace_conv.csv"),
    example!("usage/cached-tokens-sample.ndjson"),
];

/// Unpacks the demo and runs it.
///
/// # Errors
/// What cannot be written, and all that [`run::run`] fails with.
pub fn demo(arguments: &DemoArguments) -> Result<()> {
    let directory = &arguments.directory;
    if !is_ours(directory) {
        bail!(
            "{}: there are other files than those of the demo: name another directory",
            directory.display()
        );
    }
    unpack(directory)?;
    let data = directory.join("data");
    // Data of an earlier demo.
    if data.join(DIRECTORY_FILE).exists() {
        fs::remove_dir_all(&data).with_context(|| data.display().to_string())?;
    }
    let OutputArguments { json, quiet } = arguments.show;
    if !json && !quiet {
        writeln!(
            stdout(),
            "One hour of real LLM requests, as the token usage of two customers. Its files are in {}\n",
            directory.display()
        )?;
    }
    let arguments = RunArguments {
        inputs: vec![directory.join("usage").display().to_string()],
        catalog: directory.join("catalog"),
        data,
        csv_mapping: None,
        threads: None,
        dedup_months: 13,
        dedup_memory: 1024,
        epoch_events: EPOCH_EVENTS,
        show: arguments.show,
    };
    let report = run::perform(&arguments)?;
    run::show(&report, &arguments.data, arguments.show)
}

/// Is there nothing in a directory but what a demo left?
fn is_ours(directory: &Path) -> bool {
    let is_empty = fs::read_dir(directory).map_or(true, |mut entries| entries.next().is_none());
    let has_notice = |(name, bytes): &(&str, &[u8])| {
        *name == "NOTICE" && fs::read(directory.join(name)).is_ok_and(|found| found == *bytes)
    };
    is_empty || FILES.iter().any(has_notice)
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
