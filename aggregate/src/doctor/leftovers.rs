//! Readers of the ledger, and files that nothing needs: what a crash left, or what somebody else put here.

use std::collections::BTreeSet;
use std::path::Path;

use schemas::epoch::ContentKind;

use super::Examination;
use super::checkpoints::Checkpoints;
use super::finding::{Check, Finding};
use super::repair::Repair;
use super::survey::Survey;
use crate::data_directory::{DIRECTORY_FILE, KEY_FILE, LOCK_FILE};
use crate::delta::DeltaTable;
use crate::epoch_files::{content_directory, epoch_of};
use crate::error::AggregateError;
use crate::readers;
use crate::snapshot::SnapshotTable;

/// What unfinished files end with.
const UNFINISHED: [&str; 2] = [".new", ".tmp"];

/// What is in a data directory.
const KNOWN: [&str; 11] = [
    DIRECTORY_FILE,
    KEY_FILE,
    LOCK_FILE,
    "ledger",
    "identities",
    "usage_details",
    "checkpoints",
    "catalogs",
    "tables",
    "readers",
    "lost+found",
];

/// Checks how far readers have come.
pub(super) fn readers(examination: &mut Examination<'_>, survey: &Survey) -> Result<(), AggregateError> {
    let disk = std::sync::Arc::clone(examination.directory.disk());
    let listed = readers::names(&examination.directory)?;
    for name in &listed {
        let path = disk.path(&readers::file_of(name));
        let what = match readers::read(&examination.directory, name) {
            Ok(reader) if reader.epoch > survey.last && survey.is_sound => {
                examination.is_ledger_behind = true;
                format!("it has read epoch {}, and the ledger ends with epoch {}", reader.epoch, survey.last)
            }
            Ok(_) => continue,
            Err(AggregateError::Disk { error, .. }) => error.to_string(),
            Err(error) => return Err(error),
        };
        let finding = Finding::damage(Check::Readers, path, what);
        let means = "what this reader has been given is not known, so nothing it may need can be removed";
        let remedy = format!(
            "find out which epoch it had last, then `tallybook export --forget {name}` and export anew with --after"
        );
        examination.find(finding.means(means).remedy(remedy));
    }
    examination.checked(Check::Readers, format!("{} readers", listed.len()));
    Ok(())
}

/// Finds files that nothing names.
pub(super) fn examine(
    examination: &mut Examination<'_>,
    survey: &Survey,
    checkpoints: &Checkpoints,
) -> Result<(), AggregateError> {
    if examination.is_written {
        examination
            .skipped(Check::Leftovers, "a process may be writing files that it has not named yet".to_owned());
        return Ok(());
    }
    let found = Leftovers { examination, survey, checkpoints, count: 0 }.find()?;
    examination.checked(Check::Leftovers, format!("{found} files that nothing needs"));
    Ok(())
}

struct Leftovers<'a, 'b> {
    examination: &'a mut Examination<'b>,
    survey: &'a Survey,
    checkpoints: &'a Checkpoints,
    count: usize,
}

impl Leftovers<'_, '_> {
    fn find(mut self) -> Result<usize, AggregateError> {
        for name in self.list("")? {
            if is_unfinished(&name) {
                self.unfinished(&name);
            } else if !KNOWN.contains(&name.as_str()) {
                self.foreign(&name);
            }
        }
        for place in ["checkpoints", "catalogs", "readers"] {
            self.unfinished_in(place)?;
        }
        let segments = self.examination.directory.ledger(self.examination.partition).directory();
        self.unfinished_in(&segments)?;
        for kind in [ContentKind::Identities, ContentKind::UsageDetails] {
            self.contents(kind)?;
        }
        for table in SnapshotTable::ALL {
            self.table(table)?;
        }
        Ok(self.count)
    }

    fn list(&self, place: &str) -> Result<Vec<String>, AggregateError> {
        let disk = self.examination.directory.disk();
        disk.list(place).map_err(|error| AggregateError::Disk { path: disk.path(place), error })
    }

    fn unfinished_in(&mut self, place: &str) -> Result<(), AggregateError> {
        for name in self.list(place)?.iter().filter(|name| is_unfinished(name)) {
            self.unfinished(&format!("{place}/{name}"));
        }
        Ok(())
    }

    /// Identities and usage details: those that an epoch or a checkpoint names are needed.
    fn contents(&mut self, kind: ContentKind) -> Result<(), AggregateError> {
        let place = content_directory(kind);
        let named = self.named(kind);
        for file in self.list(&place)? {
            let name = format!("{place}/{file}");
            if is_unfinished(&file) {
                self.unfinished(&name);
            } else if !named.contains(&name) {
                self.unnamed(&name, &file, kind == ContentKind::Identities);
            }
        }
        Ok(())
    }

    fn named(&self, kind: ContentKind) -> BTreeSet<String> {
        let files = self.survey.files.iter().filter(|(_, content)| content.kind == kind);
        let named = files.filter_map(|(_, content)| content.file.clone());
        match kind {
            ContentKind::Identities => named.chain(self.checkpoints.needed_runs(self.survey)).collect(),
            _ => named.collect(),
        }
    }

    /// Parquet files of a table: those that its log or an epoch names are needed, and for some time those
    /// that the log named.
    fn table(&mut self, table: SnapshotTable) -> Result<(), AggregateError> {
        let place = table.directory();
        self.unfinished_in(&format!("{place}/_delta_log"))?;
        let disk = std::sync::Arc::clone(self.examination.directory.disk());
        // What a damaged log does not name may be needed all the same.
        let rebuilt = Some(Repair::RebuildTable(table));
        let is_damaged = self.examination.diagnosis.damages().any(|finding| finding.repair == rebuilt);
        if is_damaged {
            return Ok(());
        }
        let Ok(delta) = DeltaTable::load(&*disk, &place) else { return Ok(()) };
        let named = table.content().map(|kind| self.named(kind)).unwrap_or_default();
        for file in self.list(&place)? {
            let name = format!("{place}/{file}");
            let is_known = delta.as_ref().is_some_and(|delta| delta.knows(&file));
            if is_unfinished(&file) {
                self.unfinished(&name);
            } else if !is_known && !named.contains(&name) && file.ends_with(".parquet") {
                self.unnamed(&name, &file, true);
            }
        }
        Ok(())
    }

    fn unfinished(&mut self, name: &str) {
        self.tell(name, "it was not finished", true);
    }

    /// A file of an epoch that no epoch names. Where the ledger is not all there, its epoch may be.
    fn unnamed(&mut self, name: &str, file: &str, is_derived: bool) {
        let is_new = epoch_of(file).is_some_and(|(_, epoch)| epoch > self.survey.last);
        let is_known = self.survey.is_sound && !self.checkpoints.is_any_damaged();
        let what = if is_new { "it is of an epoch that was not committed" } else { "nothing names it" };
        self.tell(name, what, is_known && (is_new || is_derived));
    }

    fn foreign(&mut self, name: &str) {
        self.tell(name, "it is no part of a data directory", false);
    }

    fn tell(&mut self, name: &str, what: &str, may_go: bool) {
        self.count += 1;
        let path = self.examination.directory.disk().path(name);
        let finding = Finding::notice(Check::Leftovers, path, what).means("no figure depends on it");
        let finding = if may_go {
            finding.remedy("--repair removes it").repair(Repair::RemoveFile(name.to_owned()))
        } else {
            finding
        };
        self.examination.find(finding);
    }
}

fn is_unfinished(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| UNFINISHED.iter().any(|end| end.strip_prefix('.') == Some(extension)))
}
