//! Writing the tables of epochs, and their accruals.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use aggregate::accrual_round::Revisions;
use aggregate::accrual_table::{AccrualBuffers, AccrualTable, AccrualTotals};
use aggregate::accruals::AccrualPlan;
use aggregate::committer::EpochDraft;
use aggregate::decider::DecidedBatch;
use aggregate::epoch_files::{EpochFiles, MadeContent};
use aggregate::epoch_tables::EpochTables;
use aggregate::error::AggregateError;
use aggregate::running_totals::RunningTotals;
use crossbeam_channel::{Receiver, Sender};
use ingest::event_batch::EventBatch;
use rating::catalog::Catalog;
use schemas::epoch::EpochCause;

use super::commit::Made;
use super::epochs::EpochCut;
use super::{Decided, RunError, RunPlan, spawn};
use crate::progress::Progress;

/// Contract lines, meters and periods in a part of the accruals table.
const ACCRUAL_PART_GROUPS: usize = 1 << 16;

/// Writes what is decided until there is no more; epochs that are whole go to the committer.
pub(super) fn write(
    tables: &mut EpochTables,
    decided: &Receiver<Decided>,
    used: &Sender<DecidedBatch>,
    empty: &Sender<EventBatch>,
    made: &Sender<Made>,
) -> Result<(), AggregateError> {
    while let Ok(decided) = decided.recv() {
        match decided {
            Decided::Batch(mut batch) => {
                tables.append(&batch)?;
                // At the end of the input nobody takes batches any more.
                let _ = empty.send(batch.recycle());
                let _ = used.send(batch);
            }
            Decided::Cut(mut cut) => {
                let state = cut.state.take();
                let draft = end_epoch(tables, cut)?;
                // The committer ended early, and says why.
                if made.send(Made { draft, state }).is_err() {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// Ends the tables of an epoch.
pub(super) fn end_epoch(tables: &mut EpochTables, cut: EpochCut) -> Result<EpochDraft, AggregateError> {
    let written = tables.end()?;
    Ok(EpochDraft {
        cause: EpochCause::Usage,
        positions: cut.positions,
        tally: cut.tally,
        rated: written.rated,
        quarantine: written.quarantine,
        accruals: None,
        settled: Vec::new(),
        contents: written.contents,
    })
}

/// The accruals of an epoch.
pub(super) struct Accrued {
    pub(super) totals: AccrualTotals,
    pub(super) revisions: Revisions,
    pub(super) contents: Vec<MadeContent>,
}

/// Makes accruals on all cores, each core a part of the table at a time.
///
/// Which groups are in which part depends on the groups alone, so the parts are the same however many
/// cores make them.
pub(super) fn write_accruals(
    plan: &RunPlan,
    progress: &Progress,
    files: &EpochFiles,
    catalog: &Catalog,
    totals: &RunningTotals,
) -> Result<Accrued, RunError> {
    let accrual_plan = AccrualPlan::new(totals);
    let groups = accrual_plan.len();
    progress.groups_total.store(groups as u64, Ordering::Relaxed);
    let parts = groups.div_ceil(ACCRUAL_PART_GROUPS);
    let next = AtomicUsize::new(0);
    let write_parts = || {
        let (mut written, mut buffers) = (Vec::new(), AccrualBuffers::new()?);
        loop {
            let part = next.fetch_add(1, Ordering::Relaxed);
            if part >= parts {
                return Ok::<_, AggregateError>(written);
            }
            let from = part * ACCRUAL_PART_GROUPS;
            let mut table = AccrualTable::begin(files, part, buffers)?;
            let revisions =
                accrual_plan.accrue(totals, from..groups.min(from + ACCRUAL_PART_GROUPS), |groups| {
                    progress.groups.fetch_add(groups.len() as u64, Ordering::Relaxed);
                    table.append(catalog, groups)
                })?;
            let (made, totals);
            (made, totals, buffers) = table.finish()?;
            written.push((part, made, totals, revisions));
        }
    };
    let mut written = thread::scope(|scope| {
        let others = (1..plan.decoders.min(parts)).map(|_| spawn(scope, "accrue", write_parts));
        let others = others.collect::<Result<Vec<_>, _>>()?;
        let mut written = write_parts()?;
        for other in others {
            written.append(&mut other.join().map_err(|_| RunError::StageLost)??);
        }
        Ok::<_, RunError>(written)
    })?;
    written.sort_by_key(|(part, ..)| *part);
    let mut accrued =
        Accrued { totals: AccrualTotals::default(), revisions: Revisions::default(), contents: Vec::new() };
    for (_, made, mut totals, mut revisions) in written {
        accrued.totals.append(&mut totals);
        accrued.revisions.append(&mut revisions);
        if made.content.rows > 0 {
            accrued.contents.push(made);
        }
    }
    Ok(accrued)
}
