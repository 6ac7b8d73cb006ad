//! Tables: their logs and files as they were written, and per epoch the rows and sums that the epoch says (EPOCH-1).

use std::collections::BTreeMap;

use super::figures::EpochFigures;
use super::finding::{Check, Finding};
use super::repair::Repair;
use super::survey::Survey;
use super::table_figures::{self, TableFigures};
use super::{Examination, Watch};
use crate::delta::{DeltaTable, FileProblem, table_id};
use crate::error::AggregateError;
use crate::snapshot::SnapshotTable;

/// What the tables say, as far as they can be read.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// By table, the last epoch in it.
    pub(super) last: BTreeMap<SnapshotTable, u64>,
    /// By table, what it says of each epoch.
    pub(super) figures: BTreeMap<SnapshotTable, BTreeMap<u64, TableFigures>>,
}

impl Tables {
    /// What the epochs table says of an epoch.
    pub(super) fn epoch(&self, epoch: u64) -> Option<&EpochFigures> {
        self.figures.get(&SnapshotTable::Epochs)?.get(&epoch)?.document.as_ref()
    }
}

/// Checks all tables.
pub(super) fn examine(
    examination: &mut Examination<'_>,
    survey: &Survey,
    watch: &mut Watch<'_>,
) -> Result<Tables, AggregateError> {
    let mut tables = Tables::default();
    let (mut files, mut rows) = (0, 0);
    for (number, table) in SnapshotTable::ALL.into_iter().enumerate() {
        watch(Check::Tables, number as u64, SnapshotTable::ALL.len() as u64);
        if let Some(figures) = read(examination, survey, table, &mut tables, &mut files)? {
            rows += figures.values().map(|figures| figures.rows).sum::<u64>();
            tables.figures.insert(table, figures);
        }
    }
    for table in SnapshotTable::ALL {
        compare(examination, survey, &tables, table);
    }
    chain(examination, survey, &tables);
    let last = tables.last.values().min().copied().unwrap_or(0);
    examination.checked(Check::Tables, format!("{rows} rows in {files} files, up to epoch {last}"));
    Ok(tables)
}

/// Checks a table alone, and reads its figures.
fn read(
    examination: &mut Examination<'_>,
    survey: &Survey,
    table: SnapshotTable,
    tables: &mut Tables,
    files: &mut usize,
) -> Result<Option<BTreeMap<u64, TableFigures>>, AggregateError> {
    let disk = std::sync::Arc::clone(examination.directory.disk());
    let name = table.directory();
    let found = |path, what: String| {
        let means =
            format!("queries over {} fail or show wrong rows; the ledger is not affected", table.name());
        Finding::damage(Check::Tables, path, what).means(means).repair(Repair::RebuildTable(table))
    };
    let mut is_sound = true;
    for FileProblem { path, problem } in DeltaTable::verify_log(&*disk, &name)? {
        examination.find(found(path, problem));
        is_sound = false;
    }
    if !is_sound {
        return Ok(None);
    }
    let delta = match DeltaTable::load(&*disk, &name) {
        Ok(Some(delta)) => delta,
        Ok(None) => {
            tables.last.insert(table, 0);
            if survey.oldest > 1 {
                let what = format!("there is no table, and the ledger begins with epoch {}", survey.oldest);
                let means = format!("rows of {} of the epochs before are nowhere", table.name());
                let finding = found(disk.path(&name), what).means(means);
                examination.find(Finding { repair: None, ..finding });
                return Ok(None);
            }
            return Ok(Some(BTreeMap::new()));
        }
        Err(error) if error.is_storage() => return Err(error),
        Err(error) => {
            examination.find(found(disk.path(&name), without_path(&error)));
            return Ok(None);
        }
    };
    let identity = examination.directory.ledger(examination.partition);
    if delta.id() != Some(table_id(&identity.ledger_id, table.name()).as_str()) {
        let what = "it is the table of another directory: it was copied here by mistake";
        examination.find(found(delta.path(), what.to_owned()));
        return Ok(None);
    }
    if delta.has_other_ledger(&identity.ledger_id) {
        let what = "its log has epochs of another ledger: part of it was copied here by mistake";
        examination.find(found(delta.path(), what.to_owned()));
        return Ok(None);
    }
    let last = delta.last_epoch(&identity.ledger_id, identity.partition).unwrap_or(0);
    tables.last.insert(table, last);
    if last > survey.last && survey.is_sound {
        let what = format!("it has epoch {last}, and the ledger ends with epoch {}", survey.last);
        let means =
            "epochs that were committed are gone from the ledger, or the table says more than there is";
        let finding = found(delta.path(), what).of_epoch(last).means(means);
        examination.find(
            Finding { repair: None, ..finding }
                .remedy("restore the ledger from a copy that is as new as the table"),
        );
        examination.is_ledger_behind = true;
    } else if last + 1 < survey.oldest {
        let what = format!("it ends with epoch {last}, and the ledger begins with epoch {}", survey.oldest);
        let means = format!("rows of {} of the epochs between are nowhere", table.name());
        let finding = found(delta.path(), what).of_epoch(last + 1).means(means);
        examination.find(Finding { repair: None, ..finding });
        is_sound = false;
    }
    *files += delta.files().len();
    for FileProblem { path, problem } in delta.verify() {
        is_sound = false;
        // What epochs name was looked at with them.
        if !examination.damaged_files.keys().any(|name| disk.path(name) == path) {
            examination.find(found(path, problem));
        }
    }
    if !is_sound {
        return Ok(None);
    }
    match table_figures::read(&*disk, table, &delta.files()) {
        Ok(figures) => Ok(Some(figures)),
        Err(error) if error.is_storage() => Err(error),
        Err(error) => {
            examination.find(found(delta.path(), without_path(&error)));
            Ok(None)
        }
    }
}

/// Compares a table with what epochs say.
fn compare(examination: &mut Examination<'_>, survey: &Survey, tables: &Tables, table: SnapshotTable) {
    let (Some(found), Some(last)) = (tables.figures.get(&table), tables.last.get(&table)) else { return };
    let nothing = TableFigures::default();
    let mut first: Option<(u64, String)> = None;
    let mut others = 0_usize;
    let mut tell = |epoch: u64, what: String| match first {
        None => first = Some((epoch, what)),
        Some(_) => others += 1,
    };
    for epoch in 1..=*last {
        let expected = survey.epochs.get(&epoch).or_else(|| tables.epoch(epoch));
        let Some(expected) = expected else {
            // The epochs table tells of epochs that the ledger does not have any more.
            if table == SnapshotTable::Epochs && epoch < survey.oldest {
                tell(epoch, "there is no row of it".to_owned());
            }
            continue;
        };
        if let Some(what) = found.get(&epoch).unwrap_or(&nothing).difference(table, expected) {
            tell(epoch, what);
        }
    }
    for (epoch, figures) in found.range(last + 1..) {
        tell(*epoch, format!("there are {} rows of it, but the log ends with epoch {last}", figures.rows));
    }
    if let Some((_, figures)) = found.range(..1).next() {
        tell(0, format!("{} rows are of no epoch", figures.rows));
    }
    let Some((epoch, mut what)) = first else { return };
    if others > 0 {
        what = format!("{what}; {others} other epochs differ too");
    }
    let path = examination.directory.disk().path(&table.directory());
    let finding = Finding::damage(Check::Tables, path, what).of_epoch(epoch);
    let means = format!("queries over {} show other figures than were committed", table.name());
    examination.find(finding.means(means).repair(Repair::RebuildTable(table)));
}

/// The epochs table goes on in the ledger: each hash is what the next epoch names.
fn chain(examination: &mut Examination<'_>, survey: &Survey, tables: &Tables) {
    let mut next = Some(examination.directory.ledger(examination.partition).genesis());
    for epoch in 1..=survey.oldest {
        let found =
            if epoch == survey.oldest { survey.before } else { tables.epoch(epoch).map(|row| row.previous) };
        if let (Some(expected), Some(found)) = (next, found)
            && expected != found
        {
            let path = examination.directory.disk().path(&SnapshotTable::Epochs.directory());
            let what = format!("it follows an epoch with hash {found}, and the epoch before has {expected}");
            let means =
                "the history of epochs that the ledger does not have any more is not what was committed";
            return examination.find(Finding::damage(Check::Tables, path, what).of_epoch(epoch).means(means));
        }
        next = tables.epoch(epoch).map(|row| row.hash);
    }
}

/// An error in words, without the path that the finding names.
fn without_path(error: &AggregateError) -> String {
    match error {
        AggregateError::TableLog { problem, .. }
        | AggregateError::TableColumns { problem, .. }
        | AggregateError::TableFile { problem, .. } => problem.clone(),
        AggregateError::Parquet { error, .. } => error.to_string(),
        error => error.to_string(),
    }
}
