//! `tallybook generate`: a reference workload.

use std::io::{Write, stdout};

use anyhow::Result;

use crate::command_line::GenerateArguments;
use crate::generate::{self, GeneratePlan};
use crate::progress_display::bar;
use crate::summary::{grouped, next_run};

/// Writes a reference workload with its catalog and its truth.
///
/// # Errors
/// [`generate::GenerateError`].
pub fn generate(arguments: &GenerateArguments) -> Result<()> {
    let plan = GeneratePlan {
        events: arguments.events,
        accounts: arguments.accounts,
        seed: arguments.seed,
        output: arguments.output.clone(),
    };
    let bar = bar();
    bar.set_prefix("generated");
    bar.set_length(plan.events);
    let report = generate::generate(&plan, |lines| bar.set_position(lines));
    bar.finish_and_clear();
    let truth = report?.truth;
    let mut to = stdout().lock();
    writeln!(
        to,
        "{} events of {} accounts in {}: usage/, catalog/, and truth.json with what a run has to find.\n",
        grouped(&truth.received.to_string()),
        grouped(&truth.accounts.to_string()),
        plan.output.display(),
    )?;
    next_run(&mut to, &plan.output)?;
    Ok(())
}
