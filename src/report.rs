//! What a run did: kept with its results, and shown at its end.

use std::collections::BTreeMap;
use std::io::Write;

use aggregate::accrual_table::AccrualTotals;
use aggregate::control_totals::{ControlTotals, Outcome};
use aggregate::error::AggregateError;
use aggregate::output::Output;
use aggregate::quarantine_table::QuarantineTotals;
use aggregate::rated_usage_table::RatedTotals;
use rating::Overflow;
use schemas::money::Money;
use serde::Serialize;

use crate::pipeline::RunPlan;

/// Name of the file that keeps the report.
pub const REPORT_FILE: &str = "run.json";

/// The counts and amounts of a run. Nothing in it depends on when or how fast it ran.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// Program that made it.
    pub tallybook_version: &'static str,
    /// Inputs, in order.
    pub inputs: Vec<String>,
    /// Events read.
    pub received: u64,
    /// Events with a price under every meter that counts them.
    pub rated: u64,
    /// Events counted without a price under some meter.
    pub unrated: u64,
    /// Events counted before.
    pub duplicate: u64,
    /// Events with the identity of another event.
    pub conflict: u64,
    /// Events that are not valid.
    pub rejected: u64,
    /// Rejected events by reason.
    pub rejected_by_reason: BTreeMap<&'static str, u64>,
    /// Usages without a price, by reason.
    pub unrated_by_reason: BTreeMap<&'static str, u64>,
    /// Rows of rated usage: one per event and meter.
    pub rated_usage_rows: u64,
    /// Rows of accruals.
    pub accrual_rows: u64,
    /// Rows of quarantine: rejected events, conflicts, and usages without a price.
    pub quarantine_rows: u64,
    /// Amounts by currency.
    pub amounts: Vec<CurrencyAmounts>,
}

/// What a run rated and accrued in one currency.
#[derive(Clone, Debug, Serialize)]
pub struct CurrencyAmounts {
    /// ISO 4217 code.
    pub currency: String,
    /// Exact sum of rated usage, which is that of accruals.
    pub exact: String,
    /// Sum of what accruals post, in whole minor units.
    pub posted: String,
}

impl RunReport {
    /// Puts a report together.
    ///
    /// # Errors
    /// [`Overflow`] when a sum is out of range.
    pub(crate) fn new(
        plan: &RunPlan,
        received: u64,
        control: &ControlTotals,
        rated: &RatedTotals,
        quarantine: QuarantineTotals,
        accruals: &AccrualTotals,
    ) -> Result<Self, Overflow> {
        let posted = accruals.posted_by_currency(&plan.catalog)?;
        let exact = accruals.exact_by_currency(&plan.catalog)?;
        let amounts = exact.iter().zip(posted).map(|(exact, posted): (&Money, Money)| CurrencyAmounts {
            currency: exact.currency.to_string(),
            exact: exact.amount.to_string(),
            posted: posted.amount.to_string(),
        });
        Ok(Self {
            tallybook_version: env!("CARGO_PKG_VERSION"),
            inputs: plan.inputs.iter().map(|input| input.name.clone()).collect(),
            received,
            rated: control.total(Outcome::Rated),
            unrated: control.total(Outcome::Unrated),
            duplicate: control.total(Outcome::Duplicate),
            conflict: control.total(Outcome::Conflict),
            rejected: control.total(Outcome::Rejected),
            rejected_by_reason: control.rejected().map(|(reason, count)| (reason.code(), count)).collect(),
            unrated_by_reason: control.unrated().map(|(reason, count)| (reason.code(), count)).collect(),
            rated_usage_rows: rated.rows,
            accrual_rows: accruals.rows,
            quarantine_rows: quarantine.rejected + quarantine.conflict + quarantine.unrated,
            amounts: amounts.collect(),
        })
    }

    /// Writes the report beside the tables.
    pub(crate) fn write(&self, output: &Output) -> Result<(), AggregateError> {
        let mut file = output.create_file(REPORT_FILE)?;
        let written = serde_json::to_writer_pretty(&mut file, self)
            .map_err(std::io::Error::from)
            .and_then(|()| file.write_all(b"\n"));
        written.map_err(|error| AggregateError::Write { path: file.path().to_owned(), error })?;
        file.finish()
    }
}
