//! Mending what can be mended without losing anything.
//!
//! IMPORTANT: the ledger is never changed, but for bytes at its end that were never committed. What is removed is
//! either named by nothing, or made again from the ledger before this ends, or by the next run.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use super::checkpoints::Checkpoints;
use super::finding::{Diagnosis, Severity};
use super::survey::Survey;
use super::{Examination, Watch};
use crate::checkpoint;
use crate::clock::Clock;
use crate::data_directory::{DataDirectory, DirectoryError};
use crate::disk::{Disk, directory_of};
use crate::error::AggregateError;
use crate::ledger::{Ledger, LedgerReader, SEGMENT_BYTES, SealedEpoch};
use crate::partition::Catalogs;
use crate::snapshot::{CommittedEpoch, SnapshotTable, take_table};

/// Bytes of rows that are in memory while a table is made again, about.
const REBUILD_BYTES: u64 = 256 << 20;

/// What mends a finding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Repair {
    /// Cuts what was never committed from the end of the ledger.
    CutTail,
    /// Removes a checkpoint; a start takes an older one, or folds all epochs.
    RemoveCheckpoint(u64),
    /// Makes a table again from the ledger.
    RebuildTable(SnapshotTable),
    /// Removes a file that nothing needs.
    RemoveFile(String),
}

/// What a repair did.
#[derive(Clone, Debug, Serialize)]
pub struct Repaired {
    /// What was found before.
    pub before: Diagnosis,
    /// What was done, in words.
    pub done: Vec<String>,
    /// What is found now.
    pub after: Diagnosis,
}

/// Decides for every finding whether it can be mended, and says so.
pub(super) fn settle(examination: &mut Examination<'_>, survey: &Survey, checkpoints: &Checkpoints) {
    let mut findings = std::mem::take(&mut examination.diagnosis.findings);
    let removed: BTreeSet<u64> = findings
        .iter()
        .filter_map(|finding| match finding.repair {
            Some(Repair::RemoveCheckpoint(epoch)) => Some(epoch),
            _ => None,
        })
        .collect();
    let is_damaged = findings.iter().any(|finding| finding.severity == Severity::Damage);
    for finding in &mut findings {
        let Some(repair) = &finding.repair else { continue };
        let refused = if !survey.is_sound {
            Some("the ledger has to be sound before anything is mended")
        } else if is_damaged && matches!(repair, Repair::RemoveFile(_)) {
            Some("what is damaged may have named it: mend that first")
        } else if examination.is_ledger_behind {
            Some("epochs are missing at the end of the ledger")
        } else {
            refusal(examination, survey, checkpoints, &removed, repair)
        };
        match refused {
            Some(why) => {
                finding.remedy = match finding.severity {
                    Severity::Damage => {
                        format!("restore it from a copy of this directory; it is not mended, as {why}")
                    }
                    Severity::Notice => format!("it is left as it is, as {why}"),
                };
                finding.repair = None;
            }
            None => {
                if finding.severity == Severity::Damage {
                    finding.remedy = repair.promise();
                }
            }
        }
    }
    examination.diagnosis.findings = findings;
}

/// Why something cannot be mended.
fn refusal(
    examination: &Examination<'_>,
    survey: &Survey,
    checkpoints: &Checkpoints,
    removed: &BTreeSet<u64>,
    repair: &Repair,
) -> Option<&'static str> {
    match repair {
        Repair::CutTail | Repair::RemoveFile(_) => None,
        Repair::RemoveCheckpoint(_) => {
            let is_needed = !checkpoints.can_do_without(removed, survey, examination);
            is_needed
                .then_some("there is no sound checkpoint besides, and the ledger alone does not say enough")
        }
        Repair::RebuildTable(_) if !survey.is_whole() => {
            Some("the ledger does not have all epochs any more: the table alone says what they were")
        }
        Repair::RebuildTable(table) => {
            let is_damaged = |kind| examination.damaged_files.values().any(|damaged| *damaged == kind);
            table
                .content()
                .filter(|kind| is_damaged(*kind))
                .map(|_| "files of epochs in the table are damaged")
        }
    }
}

impl Repair {
    /// What --repair would do.
    fn promise(&self) -> String {
        match self {
            Self::CutTail => "--repair cuts it away".to_owned(),
            Self::RemoveCheckpoint(_) => "--repair removes it, and a later run writes a new one".to_owned(),
            Self::RebuildTable(table) => format!("--repair makes {} again from the ledger", table.name()),
            Self::RemoveFile(_) => "--repair removes it".to_owned(),
        }
    }
}

/// Examines a data directory, mends what can be mended, and examines it again.
///
/// # Errors
/// [`AggregateError`]: another process writes, or the disk fails. It can be done again.
pub fn repair(
    disk: &Arc<dyn Disk>,
    catalogs: &dyn Catalogs,
    partition: u32,
    clock: &dyn Clock,
    watch: &mut Watch<'_>,
) -> Result<Repaired, AggregateError> {
    let (before, directory) = super::examine_once(disk, catalogs, partition, watch)?;
    let Some(directory) = directory else {
        return Ok(Repaired { after: before.clone(), done: Vec::new(), before });
    };
    if !directory.is_writable() {
        return Err(DirectoryError::Busy(directory.path()).into());
    }
    let mut repairs: Vec<Repair> = Vec::new();
    for repair in before.findings.iter().filter_map(|finding| finding.repair.clone()) {
        if !repairs.contains(&repair) {
            repairs.push(repair);
        }
    }
    // The end of the ledger comes first: tables are made from it.
    repairs.sort();
    let mut done = Vec::new();
    for repair in &repairs {
        done.push(repair.perform(&directory, partition, clock)?);
    }
    drop(directory);
    let after =
        if done.is_empty() { before.clone() } else { super::examine(disk, catalogs, partition, watch)? };
    Ok(Repaired { before, done, after })
}

impl Repair {
    /// Does it; what was done.
    fn perform(
        &self,
        directory: &DataDirectory,
        partition: u32,
        clock: &dyn Clock,
    ) -> Result<String, AggregateError> {
        let disk = directory.disk();
        match self {
            Self::CutTail => {
                let (_, recovery) = Ledger::open(disk, directory.ledger(partition), SEGMENT_BYTES)?;
                Ok(format!(
                    "cut {} bytes that were never committed from the end of the ledger",
                    recovery.cut_bytes
                ))
            }
            Self::RemoveCheckpoint(epoch) => remove(&**disk, &checkpoint::name_of(partition, *epoch)),
            Self::RemoveFile(name) => remove(&**disk, name),
            Self::RebuildTable(table) => rebuild(directory, partition, *table, clock),
        }
    }
}

fn remove(disk: &dyn Disk, name: &str) -> Result<String, AggregateError> {
    let path = disk.path(name);
    let removed = disk.remove(name).and_then(|()| disk.sync_directory(directory_of(name)));
    removed.map_err(|error| AggregateError::Write { path: path.clone(), error })?;
    Ok(format!("removed {}", path.display()))
}

/// Makes a table again: its log and the files that were made from epochs go, the files of epochs stay.
fn rebuild(
    directory: &DataDirectory,
    partition: u32,
    table: SnapshotTable,
    clock: &dyn Clock,
) -> Result<String, AggregateError> {
    let disk = &**directory.disk();
    let identity = directory.ledger(partition);
    let reader = LedgerReader::open(directory.disk(), identity.clone())?;
    let mut named = std::collections::BTreeSet::new();
    reader.read(1, |sealed: SealedEpoch| {
        named.extend(sealed.epoch.contents.into_iter().filter_map(|content| content.file));
        Ok::<_, AggregateError>(())
    })?;
    let place = table.directory();
    let log = format!("{place}/_delta_log");
    // The log goes first, the newest version before the others: what is left of it is a table all the time.
    for (directory, is_log) in [(&log, true), (&place, false)] {
        let listed = disk.list(directory);
        let listed = listed.map_err(|error| AggregateError::Disk { path: disk.path(directory), error })?;
        for file in listed.iter().rev() {
            let name = format!("{directory}/{file}");
            if is_log || (file.ends_with(".parquet") && !named.contains(&name)) {
                remove(disk, &name)?;
            }
        }
    }
    let now = clock.now();
    let (mut waiting, mut bytes): (Vec<CommittedEpoch>, u64) = (Vec::new(), 0);
    take_table(disk, &identity.ledger_id, table, &[], now)?;
    reader.read(1, |sealed: SealedEpoch| {
        bytes += sealed.inline.iter().map(|content| content.len() as u64).sum::<u64>();
        waiting.push(sealed.into());
        if bytes >= REBUILD_BYTES {
            take_table(disk, &identity.ledger_id, table, &waiting, now)?;
            waiting.clear();
            bytes = 0;
        }
        Ok::<_, AggregateError>(())
    })?;
    take_table(disk, &identity.ledger_id, table, &waiting, now)?;
    Ok(format!("made {} again from the ledger", table.name()))
}
