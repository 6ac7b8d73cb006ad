//! `tallybook run`: from usage files to rated usage and accruals, committed to a data directory.

use std::io::{IsTerminal, Write, stderr, stdout};
use std::path::Path;
use std::sync::Arc;

use aggregate::data_directory::directory_disk;
use aggregate::partition::PartitionOptions;
use aggregate::snapshot::SnapshotLimits;
use anyhow::Result;
use ingest::input::{STANDARD_INPUT, find_inputs};

use crate::catalog::load_to_rate;
use crate::command_line::{OutputArguments, RunArguments};
use crate::commands::cores;
use crate::opening;
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
    show(&report, &arguments.data, arguments.show)
}

/// Performs a run.
pub(super) fn perform(arguments: &RunArguments) -> Result<RunReport> {
    let progress = Arc::new(Progress::default());
    let display = ProgressDisplay::start(&progress, arguments.show.quiet);
    progress.begin(Stage::Catalog);
    let (catalog, archive) = load_to_rate(&arguments.catalog)?;
    let inputs = find_inputs(&arguments.inputs, catalog.csv_mappings(), arguments.csv_mapping.as_ref())?;
    let decoders = arguments.threads.map_or_else(cores, usize::from);
    let plan = RunPlan { inputs, decoders, epoch_events: arguments.epoch_events };

    progress.begin(Stage::Recovering);
    let disk = directory_disk(&arguments.data);
    let options = PartitionOptions {
        decoders: plan.decoders,
        identity_bytes_max: (arguments.dedup_memory as usize) << 20,
        horizon_months: arguments.dedup_months,
        ..PartitionOptions::default()
    };
    let (mut partition, recovered) = opening::open(&disk, &archive, &catalog, options)?;
    drop(archive);
    let report = pipeline::run(&plan, &mut partition, &progress)?;
    partition.maintain(SnapshotLimits::NOTHING)?;
    progress.begin(Stage::Done);
    drop(display);
    opening::tell(&recovered)?;
    // The process is about to end: it need not free state and catalog piece by piece.
    std::mem::forget((partition, catalog));
    Ok(report)
}

/// Shows what a run did, and what to do with it.
pub(super) fn show(report: &RunReport, data: &Path, arguments: OutputArguments) -> Result<()> {
    let mut to = stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut to, report).map_err(std::io::Error::from)?;
        writeln!(to)?;
    } else {
        show_report(&mut to, report, data)?;
        show_next_commands(&mut to, report, data)?;
    }
    Ok(())
}
