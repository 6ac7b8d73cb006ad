//! `tallybook run`: from usage files to rated usage and accruals.

use std::io::{IsTerminal, Write, stderr, stdout};
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use anyhow::Result;
use ingest::input::{STANDARD_INPUT, find_inputs};

use crate::catalog;
use crate::command_line::{OutputArguments, RunArguments};
use crate::pipeline::{self, RunPlan};
use crate::progress::{Progress, Stage};
use crate::progress_display::ProgressDisplay;
use crate::report::RunReport;
use crate::summary::{show_next_commands, show_report};

/// Performs a run and shows its report.
///
/// # Errors
/// What cannot be read or written, and a run that does not balance.
pub fn run(arguments: &RunArguments) -> Result<()> {
    if arguments.inputs.iter().any(|name| name == STANDARD_INPUT) && std::io::stdin().is_terminal() {
        writeln!(stderr(), "reading events from standard input; end with Ctrl-D")?;
    }
    let report = perform(arguments)?;
    show(&report, &arguments.output, arguments.show)
}

/// Performs a run.
pub(super) fn perform(arguments: &RunArguments) -> Result<RunReport> {
    let progress = Arc::new(Progress::default());
    let display = ProgressDisplay::start(&progress, arguments.show.quiet);
    progress.begin(Stage::Catalog);
    let catalog = Arc::new(catalog::load(&arguments.catalog)?);
    let inputs = find_inputs(&arguments.inputs, catalog.csv_mappings(), arguments.csv_mapping.as_ref())?;
    let cores = || thread::available_parallelism().map_or(1, NonZero::get);
    let plan = RunPlan {
        inputs,
        catalog,
        output: arguments.output.clone(),
        decoders: arguments.threads.map_or_else(cores, usize::from),
        accrual_events: arguments.accrual_events,
    };
    let report = pipeline::run(&plan, &progress);
    drop(display);
    // The process is about to end: it need not free a catalog piece by piece.
    std::mem::forget(plan);
    Ok(report?)
}

/// Shows what a run did, and what to do with it.
pub(super) fn show(report: &RunReport, output: &Path, arguments: OutputArguments) -> Result<()> {
    let mut to = stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut to, report).map_err(std::io::Error::from)?;
        writeln!(to)?;
    } else {
        show_report(&mut to, report, output)?;
        show_next_commands(&mut to, report, output)?;
    }
    Ok(())
}
