//! What a run over the workload has to find, worked out from the totals of the month.
//!
//! Fields that are named as in a run's report have to be equal to it. `totals` are sums of the accruals by
//! `(legal_entity_id, currency, meter_id, price_book_id)`.

use std::collections::BTreeMap;

use schemas::decimal::Decimal;
use schemas::quarantine::UnratedReason;
use serde::Serialize;

use super::customers::{CURRENCIES, Customers, LEGAL_ENTITIES};
use super::event::{DAY_MS, Defect};
use super::meters::{METERS, SEATS};
use super::prices::{PRICE_BOOKS, PriceBooks, meter_at};
use super::workload::{Kind, Line};

/// Decimal places of exact amounts.
const AMOUNT_PLACES: u8 = 12;

/// A cent, in `10^-12`. All currencies of the workload have cents.
const CENT: i128 = 10_000_000_000;

/// The exact result of a workload. Numbers that may be large or have decimals are texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Truth {
    /// Number the workload follows from.
    pub seed: u64,
    /// Accounts of the catalog.
    pub accounts: u64,
    /// Bytes of usage.
    pub bytes: u64,
    /// Lines of usage.
    pub received: u64,
    /// Events with a price.
    pub rated: u64,
    /// Events without one.
    pub unrated: u64,
    /// Events sent again.
    pub duplicate: u64,
    /// Events sent again with other content.
    pub conflict: u64,
    /// Lines that are no valid event.
    pub rejected: u64,
    /// Rejected lines by reason.
    pub rejected_by_reason: BTreeMap<&'static str, u64>,
    /// Events without a price by reason.
    pub unrated_by_reason: BTreeMap<&'static str, u64>,
    /// Rows of rated usage.
    pub rated_usage_rows: u64,
    /// Rows of accruals: days with usage of a meter under a contract line.
    pub accrual_rows: u64,
    /// Amounts by currency.
    pub amounts: Vec<CurrencyTruth>,
    /// Rated events that came long after they were used.
    pub late: u64,
    /// Rated events that have the id of another source's event.
    pub same_id_other_source: u64,
    /// Sums of the accruals.
    pub totals: Vec<TotalTruth>,
}

/// The amounts of a currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CurrencyTruth {
    /// ISO 4217 code.
    pub currency: &'static str,
    /// Sum of exact amounts.
    pub exact: String,
    /// Sum of what is posted: amounts rounded to cents once per contract line and meter.
    pub posted: String,
}

/// Sums of the accruals of a legal entity, currency, meter and price book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TotalTruth {
    /// Seller.
    pub legal_entity: &'static str,
    /// ISO 4217 code.
    pub currency: &'static str,
    /// Meter.
    pub meter: &'static str,
    /// Price book.
    pub price_book: &'static str,
    /// How the price book prices the meter.
    pub price_model: &'static str,
    /// Sum of `event_count`.
    pub events: u64,
    /// Sum of `metered_quantity`.
    pub quantity: String,
    /// Sum of `net_amount_exact`.
    pub exact: String,
    /// Sum of `delta_amount`.
    pub posted: String,
    /// Sum of `net_amount_exact` times the number in `contract_line_id`: tells when amounts are right in
    /// sum, but under wrong lines.
    pub exact_by_line_number: String,
}

/// Usage of one meter by one account, or under one contract line.
#[derive(Clone, Copy, Debug, Default)]
struct LineUsage {
    events: u64,
    quantity: i128,
    exact: i128,
    /// Days with usage, a bit for each.
    days: u32,
}

/// Collects what lines of usage add up to.
#[derive(Debug)]
pub(super) struct TruthTotals<'a> {
    customers: &'a Customers,
    truth: Truth,
    /// Per account and meter, the quantity of the month.
    quantities: Vec<i128>,
    /// Per contract line and meter.
    lines: Vec<LineUsage>,
    /// Users that were seen, a bit for each.
    seen_users: Vec<u64>,
}

impl<'a> TruthTotals<'a> {
    pub(super) fn new(customers: &'a Customers, seed: u64) -> Self {
        let user_words = usize::try_from(customers.all_users() / 64 + 1).unwrap_or(0);
        let truth = Truth {
            seed,
            accounts: customers.accounts() as u64,
            bytes: 0,
            received: 0,
            rated: 0,
            unrated: 0,
            duplicate: 0,
            conflict: 0,
            rejected: 0,
            rejected_by_reason: BTreeMap::new(),
            unrated_by_reason: BTreeMap::new(),
            rated_usage_rows: 0,
            accrual_rows: 0,
            amounts: Vec::new(),
            late: 0,
            same_id_other_source: 0,
            totals: Vec::new(),
        };
        Self {
            customers,
            truth,
            quantities: vec![0; customers.accounts() * METERS],
            lines: vec![LineUsage::default(); customers.lines() * METERS],
            seen_users: vec![0; user_words],
        }
    }

    /// Counts a line.
    pub(super) fn count(&mut self, line: &Line) {
        let truth = &mut self.truth;
        truth.received += 1;
        if let Some(reason) = line.event.defect.and_then(Defect::reject_reason) {
            truth.rejected += 1;
            *truth.rejected_by_reason.entry(reason.code()).or_default() += 1;
            return;
        }
        match (line.kind, line.event.defect) {
            (Kind::Resent, _) => truth.duplicate += 1,
            (Kind::Conflict, _) => truth.conflict += 1,
            (Kind::First, Some(_)) => {
                truth.unrated += 1;
                let reason = UnratedReason::UnknownAccount.code();
                *truth.unrated_by_reason.entry(reason).or_default() += 1;
            }
            (Kind::First, None) => {
                truth.rated += 1;
                truth.late += u64::from(line.event.is_late);
                truth.same_id_other_source += u64::from(line.has_other_id);
                self.add(line);
            }
        }
    }

    /// Adds the usage of a rated event.
    fn add(&mut self, line: &Line) {
        let event = &line.event;
        let account = event.account as usize;
        let quantity = if event.meter == SEATS {
            let user = self.customers.users(account).start + event.user;
            i128::from(self.is_new_user(user))
        } else {
            i128::from(event.quantity)
        };
        if let Some(total) = self.quantities.get_mut(account * METERS + event.meter) {
            *total += quantity;
        }
        let contract_line = self.customers.line_of(account);
        if let Some(usage) = self.lines.get_mut(contract_line * METERS + event.meter) {
            usage.events += 1;
            usage.quantity += quantity;
            usage.days |= 1u32.rotate_left(u32::try_from(event.time_ms / DAY_MS).unwrap_or(31));
        }
    }

    fn is_new_user(&mut self, user: u64) -> bool {
        let bit = 1u64.rotate_left(u32::try_from(user % 64).unwrap_or(0));
        let word = usize::try_from(user / 64).ok().and_then(|word| self.seen_users.get_mut(word));
        word.is_some_and(|word| {
            let is_new = *word & bit == 0;
            *word |= bit;
            is_new
        })
    }

    /// Prices the month and ends.
    pub(super) fn finish(mut self, books: &PriceBooks, bytes: u64) -> Truth {
        for account in 0..self.customers.accounts() {
            let line = self.customers.line_of(account);
            let terms = self.customers.terms(line);
            for meter in 0..METERS {
                let quantity = self.quantities.get(account * METERS + meter).copied().unwrap_or(0);
                if quantity > 0
                    && let Some(usage) = self.lines.get_mut(line * METERS + meter)
                {
                    usage.exact += books.pricing(terms.price_book, meter).charge(quantity);
                }
            }
        }
        let mut groups: BTreeMap<[usize; 4], Group> = BTreeMap::new();
        for (position, usage) in self.lines.iter().enumerate().filter(|(_, usage)| usage.events > 0) {
            let (line, meter) = (position / METERS, position % METERS);
            let terms = self.customers.terms(line);
            let key = [terms.legal_entity, terms.currency, meter, terms.price_book];
            groups.entry(key).or_default().add(line, usage);
            self.truth.accrual_rows += u64::from(usage.days.count_ones());
        }
        self.truth.bytes = bytes;
        self.truth.rated_usage_rows = self.truth.rated;
        self.truth.amounts = amounts(&groups);
        self.truth.totals = groups.iter().map(|(key, group)| group.truth(*key, books)).collect();
        self.truth
    }
}

/// Sums over contract lines.
#[derive(Debug, Default)]
struct Group {
    events: u64,
    quantity: i128,
    exact: i128,
    cents: i128,
    by_line_number: i128,
}

impl Group {
    fn add(&mut self, line: usize, usage: &LineUsage) {
        self.events += usage.events;
        self.quantity += usage.quantity;
        self.exact += usage.exact;
        // Half a cent goes up, and no amount is below zero.
        self.cents += (usage.exact + CENT / 2) / CENT;
        self.by_line_number += usage.exact * i128::try_from(line).unwrap_or(0);
    }

    fn truth(
        &self,
        [legal_entity, currency, meter, price_book]: [usize; 4],
        books: &PriceBooks,
    ) -> TotalTruth {
        TotalTruth {
            legal_entity: LEGAL_ENTITIES.get(legal_entity).copied().unwrap_or_default(),
            currency: CURRENCIES.get(currency).copied().unwrap_or_default(),
            meter: meter_at(meter).name,
            price_book: PRICE_BOOKS.get(price_book).copied().unwrap_or_default(),
            price_model: books.pricing(price_book, meter).model(),
            events: self.events,
            quantity: Decimal::new(self.quantity, meter_at(meter).decimals).to_string(),
            exact: Decimal::new(self.exact, AMOUNT_PLACES).to_string(),
            posted: Decimal::new(self.cents, 2).to_string(),
            exact_by_line_number: Decimal::new(self.by_line_number, AMOUNT_PLACES).to_string(),
        }
    }
}

fn amounts(groups: &BTreeMap<[usize; 4], Group>) -> Vec<CurrencyTruth> {
    let mut amounts: BTreeMap<&'static str, (i128, i128)> = BTreeMap::new();
    for ([_, currency, ..], group) in groups {
        let code = CURRENCIES.get(*currency).copied().unwrap_or_default();
        let (exact, cents) = amounts.entry(code).or_default();
        *exact += group.exact;
        *cents += group.cents;
    }
    let truth = amounts.into_iter().map(|(currency, (exact, cents))| CurrencyTruth {
        currency,
        exact: Decimal::new(exact, AMOUNT_PLACES).to_string(),
        posted: Decimal::new(cents, 2).to_string(),
    });
    truth.collect()
}
