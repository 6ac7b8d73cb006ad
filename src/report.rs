//! What a run did, and what the directory holds with it: shown at its end.

use std::collections::BTreeMap;

use aggregate::books::{Books, CurrencySums};
use aggregate::checkpoint::Standing;
use schemas::currency::Currency;
use schemas::epoch::{ContentKind, EventCounts};
use serde::Serialize;

use crate::pipeline::RunPlan;

/// The counts and amounts of a run: what the epochs that it committed add up to.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// Program that made it.
    pub tallybook_version: &'static str,
    /// Inputs, in order.
    pub inputs: Vec<String>,
    /// Inputs that were read to their end by an earlier run, and not read again.
    pub inputs_known: usize,
    /// First and last epoch that the run committed; absent if there was nothing to commit.
    pub epochs: Option<(u64, u64)>,
    /// What the run did.
    #[serde(flatten)]
    pub run: Figures,
    /// What the directory holds with it.
    pub data: Figures,
    #[serde(skip)]
    before: Books,
    #[serde(skip)]
    first: u64,
}

/// Counts, rows and amounts.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figures {
    /// What became of the events.
    #[serde(flatten)]
    pub counts: EventCounts,
    /// Rejected events by reason.
    pub rejected_by_reason: BTreeMap<String, i64>,
    /// Usages without a price, by reason.
    pub unrated_by_reason: BTreeMap<String, i64>,
    /// Rows of rated usage: one per event and meter.
    pub rated_usage_rows: u64,
    /// Rows of accruals.
    pub accrual_rows: u64,
    /// Rows of quarantine: rejected events, conflicts, and usages without a price.
    pub quarantine_rows: u64,
    /// Rows of quarantine that were settled.
    pub settled_rows: u64,
    /// Amounts by currency.
    pub amounts: Vec<CurrencyAmounts>,
}

/// What was rated and accrued in one currency.
#[derive(Clone, Debug, Serialize)]
pub struct CurrencyAmounts {
    /// ISO 4217 code.
    pub currency: Currency,
    /// Exact sum of rated usage, which is that of accruals.
    pub exact: String,
    /// Sum of what accruals post, in whole minor units.
    pub posted: String,
}

impl RunReport {
    /// Begins the report of a run from where a partition stands; some inputs are known.
    pub(crate) fn begin(plan: &RunPlan, before: &Standing, inputs_known: usize) -> Self {
        Self {
            tallybook_version: env!("CARGO_PKG_VERSION"),
            inputs: plan.inputs.iter().map(|input| input.name.clone()).collect(),
            inputs_known,
            epochs: None,
            run: Figures::default(),
            data: Figures::default(),
            before: before.books.clone(),
            first: before.epoch + 1,
        }
    }

    /// Ends the report with where the partition stands now.
    pub(crate) fn end(&mut self, after: &Standing) {
        self.epochs = (after.epoch >= self.first).then_some((self.first, after.epoch));
        self.data = Figures::between(&Books::default(), &after.books);
        self.run = Figures::between(&self.before, &after.books);
    }
}

impl Figures {
    /// What books differ by.
    fn between(before: &Books, after: &Books) -> Self {
        let rows = |kind: ContentKind| {
            let of = |books: &Books| books.rows.get(kind.name()).copied().unwrap_or(0);
            of(after) - of(before)
        };
        Self {
            counts: after.counts - before.counts,
            rejected_by_reason: difference(&before.rejected_by_reason, &after.rejected_by_reason),
            unrated_by_reason: difference(&before.unrated_by_reason, &after.unrated_by_reason),
            rated_usage_rows: rows(ContentKind::RatedUsage),
            accrual_rows: rows(ContentKind::Accruals),
            quarantine_rows: rows(ContentKind::Quarantine),
            settled_rows: after.settled - before.settled,
            amounts: amounts(before, after),
        }
    }
}

fn difference(before: &BTreeMap<String, i64>, after: &BTreeMap<String, i64>) -> BTreeMap<String, i64> {
    let mut counts = after.clone();
    for (reason, count) in before {
        *counts.entry(reason.clone()).or_default() -= count;
    }
    counts.retain(|_, count| *count != 0);
    counts
}

/// Amounts by currency, those included that changed by nothing in sum.
fn amounts(before: &Books, after: &Books) -> Vec<CurrencyAmounts> {
    let grown = |before: &CurrencySums, after: &CurrencySums, currency| {
        // Both are sums of 38 digits that were added up without an overflow.
        after.of(currency).checked_sub(before.of(currency)).unwrap_or_default().to_string()
    };
    let exact = after.rated.amounts();
    let currencies = exact.iter().map(|money| money.currency);
    let shown = currencies.map(|currency| CurrencyAmounts {
        currency,
        exact: grown(&before.rated, &after.rated, currency),
        posted: grown(&before.posted, &after.posted, currency),
    });
    shown.filter(|amounts| amounts.exact != "0" || amounts.posted != "0").collect()
}
