//! The files that epochs name: are they there, with the length and the hash that the epoch says?

use std::collections::BTreeSet;

use schemas::epoch::{ContentKind, EpochContent};

use super::finding::{Check, Finding};
use super::survey::Survey;
use super::{Examination, Watch};
use crate::disk;

/// Checks every file that an epoch of the ledger names. `gone` are those that upkeep may have removed.
pub(super) fn examine(
    examination: &mut Examination<'_>,
    survey: &Survey,
    gone: &BTreeSet<String>,
    watch: &mut Watch<'_>,
) {
    let total: u64 = survey.files.iter().map(|(_, content)| content.bytes).sum();
    let (mut done, mut files) = (0, 0_usize);
    for (epoch, content) in &survey.files {
        let Some(name) = &content.file else { continue };
        watch(Check::Contents, done, total);
        done += content.bytes;
        if gone.contains(name) {
            continue;
        }
        files += 1;
        if let Some(what) = problem(examination, content, name) {
            let finding = Finding::damage(Check::Contents, examination.directory.disk().path(name), what);
            examination.damaged_files.insert(name.clone(), content.kind);
            examination.find(finding.of_epoch(*epoch).means(meaning(survey, *epoch, content)));
        }
    }
    examination.checked(Check::Contents, format!("{files} files with {done} bytes"));
}

fn problem(examination: &Examination<'_>, content: &EpochContent, name: &str) -> Option<String> {
    match disk::hash(&**examination.directory.disk(), name) {
        Err(error) => Some(error.to_string()),
        Ok((length, _)) if length != content.bytes => {
            Some(format!("it has {length} bytes, the epoch says {}", content.bytes))
        }
        Ok((_, hash)) if hash != content.hash => {
            Some(format!("its hash is {hash}, the epoch says {}", content.hash))
        }
        Ok(_) => None,
    }
}

fn meaning(survey: &Survey, epoch: u64, content: &EpochContent) -> String {
    let rows = content.rows;
    match content.kind {
        ContentKind::RatedUsage => {
            let amounts = survey.epochs.get(&epoch).map(|figures| figures.rated.to_string());
            let amounts = amounts.unwrap_or_default();
            format!(
                "{rows} rows of rated usage, {amounts} in all, are missing from queries or are wrong there"
            )
        }
        ContentKind::Accruals => format!("{rows} accruals are missing from queries or are wrong there"),
        ContentKind::Quarantine => format!("{rows} records in quarantine cannot be read or settled"),
        ContentKind::Identities => {
            format!(
                "{rows} events would be counted again if they were sent again; no run starts without them"
            )
        }
        ContentKind::UsageDetails => {
            format!("{rows} rows cannot be rated again: no run starts where they are folded")
        }
    }
}
