//! Checks contracts and their lines against the entities, price books and meters they name.

use std::collections::{HashMap, HashSet};

use schemas::contract::{Contract, ContractLine};
use schemas::currency::Currency;
use schemas::effective_time::EffectiveTime;
use schemas::id::AccountId;
use schemas::period::{BillingCycle, Period};
use schemas::price_book::PriceBook;
use schemas::time_zone::TimeZone;

use super::{Compiler, known, number};
use crate::catalog::{Assignment, Line, LineTerms, Located, MeterSet, Origin};

/// Versions of a contract: number, time in force, and where it was written.
type Versions = HashMap<String, Vec<(u32, Period, Origin)>>;

impl Compiler {
    pub(super) fn contracts(&mut self, books: &[Located<PriceBook>], documents: Vec<Located<Contract>>) {
        let mut versions = Versions::new();
        for Located { document, origin } in documents {
            let path = format!("contract {}", document.id);
            let entity = self.entity_of(&document, &origin);
            let entity_document = self.catalog.legal_entities.get(entity as usize);
            let zone = entity_document.map_or(TimeZone::UTC, |entity| entity.timezone.clone());
            let contract_period =
                self.period(document.effective_from, document.effective_to, &zone, &origin, &path);
            self.check_contract_version(&document, contract_period, &mut versions, &origin);
            let accounts = self.accounts_of(&document, &origin);
            if document.lines.is_empty() {
                let message = "there is no contract line".to_owned();
                self.problem(&origin, format!("{path} lines"), message, "write at least one line");
            }
            for (position, line) in document.lines.iter().enumerate() {
                let path = format!("{path} lines[{position}]");
                let line_period = self.period(line.effective_from, line.effective_to, &zone, &origin, &path);
                let period = line_period.intersection(&contract_period);
                if period.is_empty() && !line_period.is_empty() && !contract_period.is_empty() {
                    let message =
                        format!("it is never in force, because its contract is in force {contract_period}");
                    let mend = "let the line's times overlap the contract's, or remove it";
                    self.problem(&origin, path.clone(), message, mend);
                }
                let Some(terms) = self.line(books, &document, line, entity, &zone, period, &origin, &path)
                else {
                    continue;
                };
                for account in &accounts {
                    self.assign(account, Assignment { terms, period }, &origin, &path);
                }
            }
        }
    }

    /// The position of a contract's seller. One that is not known gets no position: the rest of the
    /// contract is checked all the same, and the catalog is not kept.
    fn entity_of(&mut self, contract: &Contract, origin: &Origin) -> u32 {
        if let Some(entity) = self.entity_by_id.get(contract.legal_entity.as_str()) {
            return *entity;
        }
        let ids: Vec<&str> = self.catalog.legal_entities.iter().map(|entity| entity.id.as_str()).collect();
        let mend = known("legal entity", &ids);
        let path = format!("contract {} legal_entity", contract.id);
        self.unknown("legal_entity", contract.legal_entity.as_str(), origin, path, &mend);
        u32::MAX
    }

    /// The accounts a contract covers, each once.
    fn accounts_of<'a>(&mut self, contract: &'a Contract, origin: &Origin) -> Vec<&'a AccountId> {
        let path = format!("contract {} accounts", contract.id);
        if contract.accounts.is_empty() {
            let message = "no account is listed".to_owned();
            self.problem(origin, path.clone(), message, "list the accounts it covers");
        }
        let (mut accounts, mut seen) = (Vec::with_capacity(contract.accounts.len()), HashSet::new());
        for (position, account) in contract.accounts.iter().enumerate() {
            if seen.insert(account) {
                accounts.push(account);
            } else {
                let message = format!("{account} is listed twice");
                self.problem(origin, format!("{path}[{position}]"), message, "remove one of the two");
            }
        }
        accounts
    }

    fn period(
        &mut self,
        from: Option<EffectiveTime>,
        to: Option<EffectiveTime>,
        zone: &TimeZone,
        origin: &Origin,
        path: &str,
    ) -> Period {
        let instant = |time: EffectiveTime| time.instant(zone);
        let period = Period::between(from.map(instant), to.map(instant));
        if let (true, Some(from), Some(to)) = (period.is_empty(), from, to) {
            let message = format!("{to} is not after effective_from, {from}");
            self.problem(origin, format!("{path} effective_to"), message, "let it end after it begins");
        }
        period
    }

    fn check_contract_version(
        &mut self,
        contract: &Contract,
        period: Period,
        versions: &mut Versions,
        origin: &Origin,
    ) {
        let others = versions.entry(contract.id.to_string()).or_default();
        let clash = others
            .iter()
            .find(|(version, other, _)| *version == contract.version || other.overlaps(&period))
            .map(|(version, other, place)| {
                if *version == contract.version {
                    format!("version {version} of the contract is there twice, first in {place}")
                } else {
                    let this = contract.version;
                    format!("version {this} overlaps version {version} in {place}, which is in force {other}")
                }
            });
        others.push((contract.version, period, origin.clone()));
        if let Some(message) = clash {
            let mend = "number versions apart, and let one end when the next begins";
            self.problem(origin, format!("contract {} version", contract.id), message, mend);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a line is checked against all that surrounds it")]
    fn line(
        &mut self,
        books: &[Located<PriceBook>],
        contract: &Contract,
        line: &ContractLine,
        entity: u32,
        zone: &TimeZone,
        period: Period,
        origin: &Origin,
        path: &str,
    ) -> Option<u32> {
        let meters = self.meters_of(contract, line, origin, path);
        let timeline = self.timeline(books, line, zone)?;
        let cycle = BillingCycle {
            interval: contract.billing_interval,
            anchor: contract.billing_anchor.unwrap_or(BillingCycle::CALENDAR_MONTH.anchor),
        };
        let identity = Line {
            id: line.id.clone(),
            contract: contract.id.clone(),
            legal_entity: entity,
            currency: contract.currency,
            cycle,
        };
        let line = self.line_of(identity, origin, path)?;
        let terms = number(self.catalog.terms.len());
        self.catalog.terms.push(LineTerms {
            line,
            contract_version: contract.version,
            period,
            timeline,
            meters,
        });
        Some(terms)
    }

    /// The meters a line covers: those listed, or all that its price book has.
    fn meters_of(
        &mut self,
        contract: &Contract,
        line: &ContractLine,
        origin: &Origin,
        path: &str,
    ) -> MeterSet {
        let book = self.books.get(line.price_book.as_str());
        let priced = book.map(|book| book.meters.clone());
        let currencies = book.map(|book| book.currencies.clone()).unwrap_or_default();
        let may_lack_rates = book.is_some_and(|book| self.unread.has_rate_of(book.document));
        if priced.is_none() {
            let mut ids: Vec<&str> = self.books.keys().map(String::as_str).collect();
            ids.sort_unstable();
            let mend = known("price book", &ids);
            let path = format!("{path}.price_book");
            self.unknown("price_book", line.price_book.as_str(), origin, path, &mend);
        }
        if !currencies.is_empty() && !currencies.contains(&contract.currency) {
            let codes: Vec<&str> = currencies.iter().map(Currency::code).collect();
            let message = format!(
                "the price book {} has prices in {}, the contract is in {}",
                line.price_book,
                codes.join(", "),
                contract.currency
            );
            let mend = "use a price book in the contract's currency";
            self.problem(origin, format!("{path}.price_book"), message, mend);
        }
        let Some(listed) = &line.meters else { return priced.unwrap_or_default() };
        if listed.is_empty() {
            let mend = "list meters, or leave meters out to cover all that the price book has";
            self.problem(origin, format!("{path}.meters"), "no meter is listed".to_owned(), mend);
        }
        let mut meters = MeterSet::default();
        for (position, meter) in listed.iter().enumerate() {
            let path = format!("{path}.meters[{position}]");
            let Some(known) = self.meter_by_id.get(meter.as_str()).copied() else {
                self.unknown("meter", meter.as_str(), origin, path, &self.known_meters());
                continue;
            };
            meters.insert(known);
            if !may_lack_rates && priced.as_ref().is_some_and(|priced| !priced.contains(known)) {
                let message = format!("the price book {} has no rate for {meter}", line.price_book);
                let mend = "add a rate to the price book, or remove the meter";
                self.problem(origin, path, message, mend);
            }
        }
        meters
    }

    /// The position of a line. One id is one line: versions of its contract may change its prices, but
    /// not what its amounts are accumulated under.
    fn line_of(&mut self, identity: Line, origin: &Origin, path: &str) -> Option<u32> {
        if let Some(known) = self.lines.get(identity.id.as_str()).copied() {
            if self.catalog.lines.get(known as usize) == Some(&identity) {
                return Some(known);
            }
            let other = self.catalog.lines.get(known as usize).map(|line| line.contract.to_string());
            let message = if other.as_deref() == Some(identity.contract.as_str()) {
                "the line changes its seller, currency or billing cycle between versions".to_owned()
            } else {
                format!("the contract {} has a line with this id", other.unwrap_or_default())
            };
            let mend = "give the line an id of its own";
            self.problem(origin, format!("{path}.id {}", identity.id), message, mend);
            return None;
        }
        let position = number(self.catalog.lines.len());
        self.lines.insert(identity.id.to_string(), position);
        self.catalog.lines.push(identity);
        Some(position)
    }
}
