//! Commits epochs: what they refer to becomes durable first, then their document, then they count.
//!
//! IMPORTANT: the order is contents, their names, document, sync. An epoch that is in the ledger never names
//! what may be gone after a crash (EPOCH-1). The books are held against each other before the document is
//! written (CONS-1, ACCR-1): what does not balance is never committed.

use std::sync::Arc;

use ingest::dedup::{Entry, Month};
use rating::Overflow;
use rating::catalog::Catalog;
use schemas::epoch::{
    ContentHash, EPOCH_FORMAT, Epoch, EpochCause, EpochContent, EpochTexts, EventCounts, InputProgress,
    SettledRecord,
};
use schemas::timestamp::Timestamp;

use crate::accrual_table::AccrualTotals;
use crate::books::Books;
use crate::checkpoint::Standing;
use crate::clock::Clock;
use crate::data_directory::DataDirectory;
use crate::decider::EpochTally;
use crate::epoch_files::{EpochFiles, INLINE_BYTES_MAX, MadeContent, sync_contents};
use crate::error::AggregateError;
use crate::identities::identity_content;
use crate::ledger::{Ledger, LedgerIdentity, SealedEpoch};
use crate::positions::Positions;
use crate::quarantine_table::QuarantineTotals;
use crate::rated_usage_table::RatedTotals;

/// What an epoch is made from.
#[derive(Debug)]
pub struct EpochDraft {
    /// Why there is one.
    pub cause: EpochCause,
    /// How far inputs were read.
    pub positions: Vec<InputProgress>,
    /// What the decider counted.
    pub tally: EpochTally,
    /// What was written to rated usage.
    pub rated: RatedTotals,
    /// What was written to quarantine.
    pub quarantine: QuarantineTotals,
    /// What was written to accruals, if all usage is accrued with it.
    pub accruals: Option<AccrualTotals>,
    /// Quarantined records that are settled.
    pub settled: Vec<SettledRecord>,
    /// Tables and other contents.
    pub contents: Vec<MadeContent>,
}

impl EpochDraft {
    /// Is there nothing in it that would be worth an epoch?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cause != EpochCause::Catalog
            && self.tally.counts == EventCounts::default()
            && self.contents.is_empty()
            // A number stands for a text from its first epoch on: none may be passed over.
            && self.tally.new_texts == EpochTexts::default()
            && self.settled.is_empty()
            && self.positions.iter().all(|progress| progress.file.is_none())
    }
}

/// An epoch that was appended.
#[derive(Debug)]
pub struct Committed {
    /// The epoch.
    pub epoch: Epoch,
    /// Its identities, where they are no run.
    pub identities: Vec<Entry>,
}

/// Appends epochs to the ledger of a partition.
#[derive(Debug)]
pub struct Committer {
    pub(crate) directory: Arc<DataDirectory>,
    pub(crate) ledger: Ledger,
    pub(crate) standing: Standing,
    clock: Arc<dyn Clock>,
    catalog: (ContentHash, Arc<Catalog>),
    /// Identities that are in no run.
    pub(crate) loose: Vec<Entry>,
    /// Events and epochs since the checkpoint.
    pub(crate) since_checkpoint: (u64, u64),
    /// The next epoch says that usage before this time is refused.
    pub(crate) forgets_before: Option<Timestamp>,
    /// The most bytes of a content that are kept within the ledger.
    pub(crate) inline_bytes_max: usize,
}

impl Committer {
    /// A committer that goes on from where a partition stands.
    pub(crate) const fn new(
        directory: Arc<DataDirectory>,
        ledger: Ledger,
        standing: Standing,
        clock: Arc<dyn Clock>,
        catalog: (ContentHash, Arc<Catalog>),
        loose: Vec<Entry>,
        since_checkpoint: (u64, u64),
    ) -> Self {
        let inline_bytes_max = INLINE_BYTES_MAX;
        Self {
            directory,
            ledger,
            standing,
            clock,
            catalog,
            loose,
            since_checkpoint,
            forgets_before: None,
            inline_bytes_max,
        }
    }

    /// Where the partition stands with the epochs appended.
    #[must_use]
    pub const fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Does the last epoch name the catalog in force? Before the first there is nothing to name.
    #[must_use]
    pub fn is_catalog_recorded(&self) -> bool {
        self.standing.catalog.is_none_or(|recorded| recorded == self.catalog.0)
    }

    /// Takes another catalog for the epochs from here on.
    pub(crate) fn change_catalog(&mut self, in_force: (ContentHash, Arc<Catalog>)) {
        self.catalog = in_force;
    }

    /// Hash of the catalog in force.
    #[must_use]
    pub const fn catalog(&self) -> ContentHash {
        self.catalog.0
    }

    /// The ledger.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Events and epochs since the checkpoint.
    #[must_use]
    pub const fn since_checkpoint(&self) -> (u64, u64) {
        self.since_checkpoint
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Number of the next epoch.
    #[must_use]
    pub const fn next_epoch(&self) -> u64 {
        self.standing.epoch + 1
    }

    /// Where the contents of the next epoch go.
    pub(crate) fn files(&self) -> EpochFiles {
        EpochFiles::new(self.directory.disk(), self.standing.partition, self.next_epoch())
            .with_inline_bytes_max(self.inline_bytes_max)
    }

    /// Appends an epoch. It is committed by [`Committer::sync`].
    ///
    /// # Errors
    /// [`AggregateError`]; nothing is appended then.
    pub fn append(&mut self, draft: EpochDraft) -> Result<Committed, AggregateError> {
        let EpochDraft { tally, rated, quarantine, accruals, mut contents, .. } = draft;
        let mut identities = tally.identities;
        if !identities.is_empty() {
            contents.push(identity_content(&self.files(), &mut identities, self.directory.key())?);
        }
        sync_contents(&mut contents)?;
        let overflow = |Overflow| AggregateError::Overflow("amount per currency");
        let catalog = &self.catalog.1;
        let epoch = Epoch {
            format: EPOCH_FORMAT,
            ledger_id: self.standing.ledger_id.clone(),
            partition: self.standing.partition,
            epoch: self.next_epoch(),
            previous: self.ledger.last_hash(),
            recorded_at: self.clock.now(),
            tallybook_version: env!("CARGO_PKG_VERSION").to_owned(),
            cause: draft.cause,
            catalog: self.catalog.0,
            positions: draft.positions,
            counts: tally.counts,
            control_totals: tally.control_totals,
            rejected_by_reason: tally.rejected_by_reason,
            unrated_by_reason: tally.unrated_by_reason,
            new_texts: tally.new_texts,
            rated: rated.by_currency().into_iter().filter(|money| money.amount.units() != 0).collect(),
            accrued: match &accruals {
                Some(accruals) => accruals.exact_by_currency(catalog).map_err(overflow)?,
                None => Vec::new(),
            },
            posted: match &accruals {
                Some(accruals) => accruals.posted_by_currency(catalog).map_err(overflow)?,
                None => Vec::new(),
            },
            is_accrued: accruals.is_some(),
            forgets_before: self.forgets_before.take(),
            settled: draft.settled,
            contents: contents.iter().map(|made| made.content.clone()).collect(),
        };
        balance(&epoch, rated.rows, quarantine)?;
        let mut books = self.standing.books.clone();
        books.add(&epoch)?;
        let inline = contents.into_iter().filter(|made| made.content.file.is_none());
        let sealed = SealedEpoch::new(epoch, inline.map(|made| made.inline).collect());
        self.ledger.append(&sealed)?;
        self.standing.advance(&sealed, books);
        if identity_run(&sealed.epoch).is_some() {
            identities.clear();
        }
        self.loose.extend_from_slice(&identities);
        self.since_checkpoint.0 += sealed.epoch.counts.received.unsigned_abs();
        self.since_checkpoint.1 += 1;
        Ok(Committed { epoch: sealed.epoch, identities })
    }

    /// # Errors
    /// [`AggregateError::Ledger`] where nothing is committed any more: the last epoch may be lost, and nothing may be made
    /// of it.
    pub(crate) fn check_running(&self) -> Result<(), AggregateError> {
        Ok(self.ledger.check_running()?)
    }

    /// Commits what was appended.
    ///
    /// # Errors
    /// [`AggregateError::Ledger`]: nothing is committed any more.
    pub fn sync(&mut self) -> Result<(), AggregateError> {
        Ok(self.ledger.sync()?)
    }
}

impl Standing {
    /// Where a partition stands before its first epoch.
    pub(crate) fn before_the_first(identity: &LedgerIdentity) -> Self {
        Self {
            ledger_id: identity.ledger_id.clone(),
            partition: identity.partition,
            epoch: 0,
            hash: identity.genesis(),
            catalog: None,
            positions: Positions::default(),
            books: Books { is_accrued: true, ..Books::default() },
            first_month: 0,
            newest_month: 0,
            runs: Vec::new(),
        }
    }

    /// Goes on to an epoch, with the books that include it.
    pub(crate) fn advance(&mut self, sealed: &SealedEpoch, books: Books) {
        let epoch = &sealed.epoch;
        (self.epoch, self.hash, self.catalog) = (epoch.epoch, sealed.hash, Some(epoch.catalog));
        self.books = books;
        self.positions.advance(epoch);
        if let Some(time) = epoch.forgets_before {
            self.first_month = Month::of(time.micros()).number();
        }
        let newest = epoch.control_totals.iter().filter(|total| total.counts.rated > 0);
        let newest = newest.filter_map(|total| month_of(total.month.as_deref()?)).max();
        self.newest_month = self.newest_month.max(newest.unwrap_or(0));
        self.runs.extend(identity_run(epoch).map(ToOwned::to_owned));
    }
}

/// A month as months since 1970.
pub(crate) fn month_of(text: &str) -> Option<u16> {
    let (year, month) = text.split_once('-')?;
    let (year, month): (u16, u16) = (year.parse().ok()?, month.parse().ok()?);
    Some(year.checked_sub(1970)? * 12 + month.checked_sub(1)?)
}

/// The run of an epoch's identities, where they are a file.
#[must_use]
pub fn identity_run(epoch: &Epoch) -> Option<&str> {
    let is_run = |content: &&EpochContent| content.kind == schemas::epoch::ContentKind::Identities;
    epoch.contents.iter().find(is_run).and_then(|content| content.file.as_deref())
}

/// Holds what the decider counted against what the tables wrote.
fn balance(epoch: &Epoch, rated_rows: u64, quarantine: QuarantineTotals) -> Result<(), AggregateError> {
    use schemas::epoch::ContentKind::{Quarantine, RatedUsage};
    let rows =
        |kind| epoch.contents.iter().filter(|content| content.kind == kind).map(|content| content.rows).sum();
    let (rated, quarantined): (u64, u64) = (rows(RatedUsage), rows(Quarantine));
    let written = quarantine.rejected + quarantine.conflict + quarantine.unrated;
    for (what, left, right) in [
        ("rows of rated usage written and in the file", rated_rows, rated),
        ("rows of quarantine written and in the file", written, quarantined),
    ] {
        if left != right {
            return Err(AggregateError::OutOfBalance(format!(
                "epoch {}: {what}: {left} and {right}",
                epoch.epoch
            )));
        }
    }
    Ok(())
}
