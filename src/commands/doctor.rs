//! `tallybook doctor`: is a data directory what was committed to it?

use std::io::{self, Write, stdout};
use std::sync::Arc;

use aggregate::clock::SystemClock;
use aggregate::disk::{DirectoryDisk, Disk};
use aggregate::doctor::{self, Check, Diagnosis, Finding, Outcome, Severity};
use anyhow::Result;
use schemas::printable::printable;

use super::PARTITION;
use crate::catalog::store::CatalogStore;
use crate::command_line::DoctorArguments;
use crate::progress_display::bar;
use crate::summary::count;

/// A directory that is damaged.
#[derive(Debug, thiserror::Error)]
#[error("{0}; what is not listed above is sound")]
pub struct DamageFound(String);

/// Examines a data directory, mends it if that is asked for, and shows what was found.
///
/// # Errors
/// [`DamageFound`]; what cannot be read.
pub fn doctor(arguments: &DoctorArguments) -> Result<()> {
    let disk: Arc<dyn Disk> = Arc::new(DirectoryDisk::new(&arguments.data));
    let catalogs = CatalogStore::new(&disk);
    let bar = bar();
    let mut watch = |check: Check, done: u64, total: u64| {
        bar.set_prefix(check.name());
        bar.set_length(total);
        bar.set_position(done);
    };
    let mut to = stdout().lock();
    let diagnosis = if arguments.repair {
        let repaired = doctor::repair(&disk, &catalogs, PARTITION, &SystemClock, &mut watch);
        bar.finish_and_clear();
        let repaired = repaired?;
        if arguments.json {
            write_json(&mut to, &repaired)?;
        } else {
            for finding in repaired.before.damages() {
                show_finding(&mut to, finding)?;
            }
            for done in &repaired.done {
                writeln!(to, "repaired: {}", printable(done))?;
            }
            if repaired.done.is_empty() {
                writeln!(to, "There is nothing that can be mended.\n")?;
            } else {
                writeln!(to, "\nAfter that:\n")?;
            }
            show(&mut to, &repaired.after)?;
        }
        repaired.after
    } else {
        let examined = doctor::examine(&disk, &catalogs, PARTITION, &mut watch);
        bar.finish_and_clear();
        let diagnosis = examined?;
        if arguments.json {
            write_json(&mut to, &diagnosis)?;
        } else {
            show(&mut to, &diagnosis)?;
        }
        diagnosis
    };
    to.flush()?;
    if diagnosis.is_healthy() {
        return Ok(());
    }
    let damages = count(diagnosis.damages().count(), "finding of damage", "findings of damage");
    Err(DamageFound(damages).into())
}

fn write_json(to: &mut impl Write, value: &impl serde::Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *to, value)?;
    to.write_all(b"\n")
}

/// Shows a diagnosis for people: a line per check, then what was found.
fn show(to: &mut impl Write, diagnosis: &Diagnosis) -> io::Result<()> {
    for checked in &diagnosis.checks {
        let outcome = match checked.outcome {
            Outcome::Sound => "sound",
            Outcome::Damaged => "DAMAGED",
            Outcome::Skipped => "not checked",
        };
        writeln!(to, "{:<12} {outcome:<12} {}", checked.check.name(), printable(&checked.seen))?;
    }
    if let Some(quarantine) = diagnosis.quarantine {
        let (open, settled) = (quarantine.open, quarantine.settled);
        writeln!(to, "{:<12} {:<12} {open} records are open, {settled} settled", "quarantine", "")?;
    }
    writeln!(to)?;
    for finding in &diagnosis.findings {
        show_finding(to, finding)?;
    }
    if diagnosis.is_healthy() {
        writeln!(to, "Healthy.")?;
    }
    Ok(())
}

fn show_finding(to: &mut impl Write, finding: &Finding) -> io::Result<()> {
    let severity = match finding.severity {
        Severity::Damage => "damage",
        Severity::Notice => "notice",
    };
    let path = finding.path.display().to_string();
    write!(to, "{severity}: {}", printable(&path))?;
    if let Some(byte) = finding.byte {
        write!(to, ", byte {byte}")?;
    }
    if let Some(epoch) = finding.epoch {
        write!(to, ", epoch {epoch}")?;
    }
    writeln!(to, ": {}", printable(&finding.what))?;
    if !finding.means.is_empty() {
        writeln!(to, "  means: {}", printable(&finding.means))?;
    }
    writeln!(to, "  to do: {}\n", printable(&finding.remedy))
}
