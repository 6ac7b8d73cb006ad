//! The books of a partition: what its epochs add up to, and the rules that hold between the sums.
//!
//! Every event is in one count (CONS-1); what is rated is accrued, where everything is accrued (ACCR-1). The rules
//! are checked for each epoch before it is committed, and again for each that is read.

use std::collections::BTreeMap;
use std::fmt;

use rating::Overflow;
use schemas::currency::Currency;
use schemas::epoch::{Epoch, EventCounts};
use schemas::money::{Amount, Money};
use serde::{Deserialize, Serialize};

use crate::error::AggregateError;

/// Sums over epochs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Books {
    /// What became of the events.
    pub counts: EventCounts,
    /// Rejected events by reason.
    pub rejected_by_reason: BTreeMap<String, i64>,
    /// Usages without a price, by reason.
    pub unrated_by_reason: BTreeMap<String, i64>,
    /// Amounts of rated usage.
    pub rated: CurrencySums,
    /// What accruals changed, exactly.
    pub accrued: CurrencySums,
    /// What accruals post.
    pub posted: CurrencySums,
    /// Rows by the name of their table.
    pub rows: BTreeMap<String, u64>,
    /// Rows of quarantine that are settled.
    pub settled: u64,
    /// Is everything accrued?
    pub is_accrued: bool,
}

/// Exact amounts by currency; those of zero are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CurrencySums(BTreeMap<Currency, Amount>);

impl CurrencySums {
    /// Adds amounts.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn add(&mut self, amounts: &[Money]) -> Result<(), Overflow> {
        for money in amounts {
            let sum = self.0.entry(money.currency).or_default();
            *sum = sum.checked_add(money.amount).map_err(|_| Overflow)?;
        }
        self.0.retain(|_, sum| sum.units() != 0);
        Ok(())
    }

    /// The amounts, in order of currency codes.
    #[must_use]
    pub fn amounts(&self) -> Vec<Money> {
        self.0.iter().map(|(currency, amount)| Money { amount: *amount, currency: *currency }).collect()
    }

    /// The amount of a currency.
    #[must_use]
    pub fn of(&self, currency: Currency) -> Amount {
        self.0.get(&currency).copied().unwrap_or_default()
    }
}

impl fmt::Display for CurrencySums {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return formatter.write_str("nothing");
        }
        let shown: Vec<_> = self.amounts().iter().map(ToString::to_string).collect();
        formatter.write_str(&shown.join(", "))
    }
}

impl Books {
    /// Adds an epoch.
    ///
    /// # Errors
    /// [`AggregateError::OutOfBalance`] where the epoch breaks a rule; [`AggregateError::Overflow`].
    pub fn add(&mut self, epoch: &Epoch) -> Result<(), AggregateError> {
        balance_counts(epoch)?;
        self.counts += epoch.counts;
        add_reasons(&mut self.rejected_by_reason, &epoch.rejected_by_reason);
        add_reasons(&mut self.unrated_by_reason, &epoch.unrated_by_reason);
        let overflow = |Overflow| AggregateError::Overflow("amount per currency");
        self.rated.add(&epoch.rated).map_err(overflow)?;
        self.accrued.add(&epoch.accrued).map_err(overflow)?;
        self.posted.add(&epoch.posted).map_err(overflow)?;
        for content in &epoch.contents {
            *self.rows.entry(content.kind.name().to_owned()).or_default() += content.rows;
        }
        self.settled += epoch.settled.len() as u64;
        self.is_accrued = epoch.is_accrued;
        if self.is_accrued && self.rated != self.accrued {
            let what = format!("{} is rated and {} is accrued", self.rated, self.accrued);
            return Err(out_of_balance(epoch, &what));
        }
        Ok(())
    }
}

/// Holds the counts of an epoch against each other and against its control totals.
fn balance_counts(epoch: &Epoch) -> Result<(), AggregateError> {
    let mut sum = EventCounts::default();
    for total in &epoch.control_totals {
        sum += total.counts;
        if missing(&total.counts) != 0 {
            let what =
                format!("{} events of source {:?} are in no count", missing(&total.counts), total.source);
            return Err(out_of_balance(epoch, &what));
        }
    }
    if sum != epoch.counts {
        let what = format!("control totals are {sum:?} and counts {:?}", epoch.counts);
        return Err(out_of_balance(epoch, &what));
    }
    let rejected: i64 = epoch.rejected_by_reason.values().sum();
    if rejected != epoch.counts.rejected {
        let what = format!("{rejected} events are rejected for a reason, {} in all", epoch.counts.rejected);
        return Err(out_of_balance(epoch, &what));
    }
    Ok(())
}

fn out_of_balance(epoch: &Epoch, what: &str) -> AggregateError {
    AggregateError::OutOfBalance(format!("epoch {}: {what}", epoch.epoch))
}

/// Events that are read and in no other count.
const fn missing(counts: &EventCounts) -> i64 {
    let EventCounts { received, rated, unrated, duplicate, conflict, rejected, voided } = *counts;
    received - rated - unrated - duplicate - conflict - rejected - voided
}

fn add_reasons(to: &mut BTreeMap<String, i64>, reasons: &BTreeMap<String, i64>) {
    for (reason, count) in reasons {
        *to.entry(reason.clone()).or_default() += count;
    }
    to.retain(|_, count| *count != 0);
}
