//! What an epoch says of itself in numbers: from its document, or from its row in the epochs table.

use std::collections::BTreeMap;

use rating::Overflow;
use schemas::epoch::{ContentHash, ContentKind, EventCounts};
use schemas::money::Money;

use crate::books::CurrencySums;
use crate::committer::month_of;
use crate::ledger::SealedEpoch;

/// Events that were counted, by their month as months since 1970.
pub(super) type Months = BTreeMap<u16, i64>;

/// The numbers of an epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct EpochFigures {
    pub(super) hash: ContentHash,
    pub(super) previous: ContentHash,
    pub(super) catalog: ContentHash,
    pub(super) counts: EventCounts,
    pub(super) settled: u64,
    pub(super) rated_usage_rows: u64,
    pub(super) accrual_rows: u64,
    pub(super) quarantine_rows: u64,
    pub(super) rated: CurrencySums,
    pub(super) accrued: CurrencySums,
    pub(super) posted: CurrencySums,
}

impl EpochFigures {
    /// What a document says.
    pub(super) fn of(sealed: &SealedEpoch) -> Result<Self, Overflow> {
        let epoch = &sealed.epoch;
        let rows = |kind| {
            epoch.contents.iter().filter(|content| content.kind == kind).map(|content| content.rows).sum()
        };
        Ok(Self {
            hash: sealed.hash,
            previous: epoch.previous,
            catalog: epoch.catalog,
            counts: epoch.counts,
            settled: epoch.settled.len() as u64,
            rated_usage_rows: rows(ContentKind::RatedUsage),
            accrual_rows: rows(ContentKind::Accruals),
            quarantine_rows: rows(ContentKind::Quarantine),
            rated: sums(&epoch.rated)?,
            accrued: sums(&epoch.accrued)?,
            posted: sums(&epoch.posted)?,
        })
    }
}

/// Amounts by currency.
pub(super) fn sums(amounts: &[Money]) -> Result<CurrencySums, Overflow> {
    let mut sums = CurrencySums::default();
    sums.add(amounts)?;
    Ok(sums)
}

/// Adds the events that were counted in a month.
pub(super) fn count_month(months: &mut Months, month: Option<&str>, counts: &EventCounts) {
    let counted = counts.rated + counts.unrated + counts.voided;
    if let Some(month) = month.and_then(month_of) {
        *months.entry(month).or_default() += counted;
    }
}
