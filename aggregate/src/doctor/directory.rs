//! What the directory says of itself, its key, and whether a process writes there.

use std::sync::Arc;

use super::finding::{Check, Checked, Diagnosis, Finding, Outcome};
use crate::data_directory::{
    DIRECTORY_FILE, DIRECTORY_FORMAT, DataDirectory, DirectoryError, KEY_FILE, LOCK_FILE,
};
use crate::disk::Disk;
use crate::error::AggregateError;
use crate::ledger::LEDGER_FORMAT;

/// A directory to examine, or all that can be said of it.
type Opened = Result<(DataDirectory, Diagnosis), Box<Diagnosis>>;

/// Opens a directory, and keeps writers out if none writes.
pub(super) fn open(disk: &Arc<dyn Disk>) -> Result<Opened, AggregateError> {
    let mut directory = match DataDirectory::read(disk) {
        Ok(directory) => directory,
        Err(error) => return unreadable(&**disk, error).map(|finding| Err(Box::new(alone(finding)))),
    };
    let mut diagnosis = Diagnosis { ledger_id: Some(directory.ledger(0).ledger_id), ..Diagnosis::default() };
    let unlocked = match directory.lock() {
        Ok(true) => None,
        Ok(false) => {
            Some("a process is writing here; what it did not commit yet was not looked at".to_owned())
        }
        // A disk that may only be read can be examined too.
        Err(DirectoryError::Disk { error, .. }) => {
            Some(format!("writers cannot be kept out ({error}); what one may be doing was not looked at"))
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(what) = unlocked {
        diagnosis.is_written = true;
        diagnosis.findings.push(Finding::notice(Check::Directory, disk.path(LOCK_FILE), what));
    }
    diagnosis.checks.push(Checked {
        check: Check::Directory,
        outcome: Outcome::Sound,
        seen: format!("format {DIRECTORY_FORMAT}, ledger format {LEDGER_FORMAT}"),
    });
    Ok(Ok((directory, diagnosis)))
}

/// What is wrong with a directory that cannot be opened.
fn unreadable(disk: &dyn Disk, error: DirectoryError) -> Result<Finding, AggregateError> {
    let damage = |name: &str, what: String| Finding::damage(Check::Directory, disk.path(name), what);
    let finding = match error {
        DirectoryError::Missing(path) => {
            let has_ledger = disk.list("ledger").is_ok_and(|names| !names.is_empty());
            if !has_ledger {
                return Err(DirectoryError::Missing(path).into());
            }
            damage(DIRECTORY_FILE, "it is missing, and there is a ledger".to_owned())
        }
        DirectoryError::Disk { path, error }
            if path == disk.path(KEY_FILE) && error.kind() == std::io::ErrorKind::NotFound =>
        {
            damage(KEY_FILE, "it is missing".to_owned())
                .means("identities of events cannot be told: every event would be counted again")
        }
        DirectoryError::Disk { path, error } => {
            return Err(DirectoryError::Disk { path, error }.into());
        }
        DirectoryError::OtherFormat { found, .. } => {
            let what = format!("format {found} is not known to this program, which reads {DIRECTORY_FORMAT}");
            damage(DIRECTORY_FILE, what).remedy("use a newer program")
        }
        DirectoryError::Unreadable { path, what } => Finding::damage(Check::Directory, path, what),
        error => damage(DIRECTORY_FILE, error.to_string()).remedy("name another directory"),
    };
    let means = "nothing here can be read as what it is, until this is mended";
    Ok(if finding.means.is_empty() { finding.means(means) } else { finding })
}

/// All that can be said where nothing else can be looked at.
fn alone(finding: Finding) -> Diagnosis {
    let checks = Check::ALL.into_iter().map(|check| match check {
        Check::Directory => Checked { check, outcome: Outcome::Damaged, seen: finding.what.clone() },
        check => {
            Checked { check, outcome: Outcome::Skipped, seen: "the directory cannot be opened".to_owned() }
        }
    });
    Diagnosis { checks: checks.collect(), findings: vec![finding], ..Diagnosis::default() }
}
