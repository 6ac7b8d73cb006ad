//! Identities of events: every run that recovery needs, whole; and as many identities as events were counted, in
//! every month that is not forgotten (DEDUP-1).

use std::collections::{BTreeMap, BTreeSet};

use schemas::epoch::ContentKind;

use super::checkpoints::Checkpoints;
use super::figures::Months;
use super::finding::{Check, Finding};
use super::survey::Survey;
use super::{Examination, Watch};
use crate::error::AggregateError;
use crate::fold::open_run;

/// Checks the runs, and counts.
pub(super) fn examine(
    examination: &mut Examination<'_>,
    survey: &Survey,
    checkpoints: &Checkpoints,
    counted: Option<&Months>,
    watch: &mut Watch<'_>,
) {
    let needed = checkpoints.needed_runs(survey);
    let (mut runs, mut months) = (BTreeMap::new(), BTreeMap::new());
    for (number, name) in needed.iter().enumerate() {
        watch(Check::Identities, number as u64, needed.len() as u64);
        let mut found = Months::new();
        let verified = open_run(&examination.directory, name).and_then(|run| {
            Ok(run.verify_each(|entry| *found.entry(entry.month().number()).or_default() += 1)?)
        });
        match verified {
            Ok(()) => drop(runs.insert(name.as_str(), found)),
            // Told already, with the epoch that names it.
            Err(_) if examination.damaged_files.contains_key(name) => {}
            Err(error) => {
                let path = examination.directory.disk().path(name);
                let finding = Finding::damage(Check::Identities, path, words(&error));
                examination.damaged_files.insert(name.clone(), ContentKind::Identities);
                examination.find(finding.means(
                    "events that were counted would be counted again if they were sent again; no run starts",
                ));
            }
        }
    }
    let is_complete = needed.len() == runs.len() && survey.is_sound;
    let (Some(counted), true) = (counted, is_complete) else {
        let why = "what was counted is not known, because of other damage";
        return examination.skipped(Check::Identities, format!("{} runs; {why}", runs.len()));
    };
    // What the newest sound checkpoint names, and what came after it, is each identity once.
    let mut current: BTreeSet<&str> = checkpoints.runs_of_newest().collect();
    let from = checkpoints.newest().map_or(0, |standing| standing.epoch);
    let later = survey
        .files
        .iter()
        .filter(|(epoch, content)| *epoch > from && content.kind == ContentKind::Identities);
    current.extend(later.filter_map(|(_, content)| content.file.as_deref()));
    let in_runs = current.iter().filter_map(|name| runs.get(name));
    let loose = survey.identities.range(from + 1..).map(|(_, months)| months);
    for (month, count) in in_runs.chain(loose).flatten() {
        *months.entry(*month).or_insert(0) += count;
    }
    compare(examination, checkpoints.first_month(survey), counted, &months);
    let all: i64 = months.values().sum();
    examination.checked(Check::Identities, format!("{all} identities, {} runs", runs.len()));
}

fn compare(examination: &mut Examination<'_>, first_month: u16, counted: &Months, found: &Months) {
    let all: BTreeSet<u16> =
        counted.range(first_month..).chain(found.range(first_month..)).map(|(month, _)| *month).collect();
    for month in all {
        let of = |months: &Months| months.get(&month).copied().unwrap_or(0);
        let (events, identities) = (of(counted), of(found));
        if events == identities {
            continue;
        }
        let (year, number) = (1970 + month / 12, month % 12 + 1);
        let path = examination.directory.disk().path("identities");
        let what = format!(
            "{year}-{number:02}: {events} events were counted, and there are {identities} identities"
        );
        let means = "events may have been counted twice, or would be if they were sent again";
        examination.find(Finding::damage(Check::Identities, path, what).means(means));
    }
}

/// An error without the path that the finding names.
fn words(error: &AggregateError) -> String {
    match error {
        AggregateError::Disk { error, .. } => error.to_string(),
        error => error.to_string(),
    }
}
