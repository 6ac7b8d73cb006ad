//! Folds epochs into the state they were made from and leave behind.
//!
//! An epoch is not decided again: its rated usage goes through the running totals once more, which have to
//! find the same charge and the same amount for every row. If they do not, the program or the data is not what it
//! was, and nothing goes on (RATE-2).

use std::sync::Arc;

use ingest::dedup::{Entry, Month, Run};
use schemas::epoch::{ContentKind, Epoch, EpochContent};

use crate::accruals::AccrualPlan;
use crate::data_directory::DataDirectory;
use crate::decider::Decider;
use crate::disk;
use crate::epoch_rows::{CatalogPositions, RatedRows, RowProblem};
use crate::error::{AggregateError, read_error};
use crate::ledger::{SealedEpoch, hash_of};
use crate::usage_details::UsageDetail;

/// Folds one epoch after another into a decider.
pub(crate) struct Folder<'a> {
    pub(crate) directory: &'a DataDirectory,
    pub(crate) decider: &'a mut Decider,
    /// Identities that are in no run.
    pub(crate) loose: &'a mut Vec<Entry>,
    /// Of the catalog, once they are needed.
    pub(crate) positions: &'a mut Option<CatalogPositions>,
}

impl Folder<'_> {
    /// Adds an epoch to the state.
    pub(crate) fn fold(&mut self, sealed: &SealedEpoch) -> Result<(), AggregateError> {
        let epoch = &sealed.epoch;
        if let Some(time) = epoch.forgets_before {
            self.decider.forget_before(Month::of(time.micros()));
        }
        for (position, content) in epoch.contents.iter().enumerate() {
            if content.kind == ContentKind::Identities {
                self.fold_identities(sealed, position, content)?;
            }
        }
        self.fold_charges(sealed)
    }

    /// Adds an epoch to the state, without its identities.
    pub(crate) fn fold_charges(&mut self, sealed: &SealedEpoch) -> Result<(), AggregateError> {
        let epoch = &sealed.epoch;
        self.decider.learn(&epoch.new_texts);
        let mut details = Vec::new();
        for (position, content) in epoch.contents.iter().enumerate() {
            if content.kind == ContentKind::UsageDetails {
                details = UsageDetail::read(&self.bytes(sealed, position, content)?);
            }
        }
        for (position, content) in epoch.contents.iter().enumerate() {
            if content.kind == ContentKind::RatedUsage {
                let bytes = self.bytes(sealed, position, content)?;
                self.fold_rated_usage(epoch, content, bytes, &details)?;
            }
        }
        if epoch.is_accrued {
            self.accrue()?;
        }
        Ok(())
    }

    /// The bytes of a content, which have the hash the document says.
    fn bytes(
        &self,
        sealed: &SealedEpoch,
        position: usize,
        content: &EpochContent,
    ) -> Result<Vec<u8>, AggregateError> {
        match &content.file {
            Some(name) => read_content(self.directory, content, name),
            // Verified with the document.
            None => Ok(sealed.inline_content(position).unwrap_or_default().to_vec()),
        }
    }

    fn fold_identities(
        &mut self,
        sealed: &SealedEpoch,
        position: usize,
        content: &EpochContent,
    ) -> Result<(), AggregateError> {
        if let Some(name) = &content.file {
            let run = open_run(self.directory, name)?;
            self.decider.dedup_mut().add_run(run);
            return Ok(());
        }
        let bytes = sealed.inline_content(position).unwrap_or_default();
        let entries: Vec<Entry> = bytes.as_chunks().0.iter().map(Entry::from_bytes).collect();
        self.decider.dedup_mut().insert_all(&entries);
        self.loose.extend(entries);
        Ok(())
    }

    fn fold_rated_usage(
        &mut self,
        epoch: &Epoch,
        content: &EpochContent,
        bytes: Vec<u8>,
        details: &[UsageDetail],
    ) -> Result<(), AggregateError> {
        let catalog = Arc::clone(&self.decider.totals().catalog);
        let failed = |problem: RowProblem| AggregateError::NotAsRated {
            epoch: epoch.epoch,
            row: problem.row,
            what: problem.what,
        };
        let positions = self.positions.get_or_insert_with(|| CatalogPositions::new(&catalog));
        let mut rows = RatedRows::open(&catalog, positions, bytes::Bytes::from(bytes)).map_err(failed)?;
        let (totals, values) = self.decider.totals_and_values();
        let mut count = 0;
        while let Some(batch) = rows.next(values, details).map_err(failed)? {
            for (row, rated) in batch.usages() {
                let found = totals.rate(&row.metered(), values).map_err(|reason| {
                    failed(RowProblem {
                        row: count,
                        what: format!("it has no price today: {}", reason.code()),
                    })
                })?;
                if found != rated {
                    let what = format!("it was {rated:?} and is {found:?} today");
                    return Err(failed(RowProblem { row: count, what }));
                }
                count += 1;
            }
        }
        if count != content.rows {
            let what = format!("there are {count} rows, and should be {}", content.rows);
            return Err(failed(RowProblem { row: count, what }));
        }
        Ok(())
    }

    /// Ends a round of accruals, as the epoch did.
    fn accrue(&mut self) -> Result<(), AggregateError> {
        let totals = self.decider.totals_mut();
        let plan = AccrualPlan::new(totals);
        let revisions = plan.accrue(totals, 0..plan.len(), |_| Ok::<_, AggregateError>(()))?;
        totals.accrued(&revisions);
        Ok(())
    }
}

/// Reads a content that is a file, and verifies it.
pub(crate) fn read_content(
    directory: &DataDirectory,
    content: &EpochContent,
    name: &str,
) -> Result<Vec<u8>, AggregateError> {
    let path = directory.disk().path(name);
    let bytes = disk::read(&**directory.disk(), name).map_err(|error| read_error(path.clone(), error))?;
    let found = hash_of(&bytes);
    if found == content.hash {
        Ok(bytes)
    } else {
        Err(AggregateError::Damaged { path, expected: content.hash, found })
    }
}

/// Opens a run of identities.
pub(crate) fn open_run(directory: &DataDirectory, name: &str) -> Result<Run, AggregateError> {
    let bytes = directory.disk().open(name);
    let bytes = bytes.map_err(|error| read_error(directory.disk().path(name), error))?;
    let bytes = Arc::new(crate::disk::RunFile(bytes));
    Ok(Run::open(name.to_owned(), bytes, directory.key())?)
}
