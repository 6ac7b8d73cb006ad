//! Checks contracts and their lines against the entities, price books and meters they name.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use hashbrown::HashMap;
use schemas::contract::{Contract, ContractLine};
use schemas::currency::Currency;
use schemas::effective_time::EffectiveTime;
use schemas::period::{BillingCycle, Period};
use schemas::time_zone::TimeZone;

use super::{Compiler, known, number};
use crate::catalog::{Assignment, Line, LineTerms, Located, MeterSet, Origin};

static UTC: TimeZone = TimeZone::UTC;

/// Versions of a contract, and when they are in force.
type Versions<'a> = HashMap<&'a str, Vec<(&'a Located<Contract>, Period)>>;

/// A contract line in its contract. Shown, it is a problem's path.
#[derive(Clone, Copy)]
pub(super) struct PlacedLine<'a> {
    contract: &'a Located<Contract>,
    line: &'a ContractLine,
    position: usize,
}

impl<'a> PlacedLine<'a> {
    pub(super) fn origin(&self) -> &'a Origin {
        &self.contract.origin
    }
}

impl fmt::Display for PlacedLine<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "contract {} lines[{}]", self.contract.document.id, self.position)
    }
}

impl<'a> Compiler<'a> {
    pub(super) fn contracts(&mut self) {
        let documents = self.documents;
        let mut versions = Versions::with_capacity(documents.contracts.len());
        for contract in &documents.contracts {
            let Located { document, origin } = contract;
            let path = format_args!("contract {}", document.id);
            let entity = self.entity_of(document, origin);
            let entity_document = documents.legal_entities.get(entity as usize);
            let zone = entity_document.map_or(&UTC, |entity| &entity.document.timezone);
            let contract_period =
                self.period(document.effective_from, document.effective_to, zone, origin, path);
            self.check_contract_version(contract, contract_period, &mut versions);
            self.check_accounts(document, origin);
            if document.lines.is_empty() {
                let message = "there is no contract line".to_owned();
                self.problem(origin, format!("{path} lines"), message, "write at least one line");
            }
            for (position, line) in document.lines.iter().enumerate() {
                let placed = PlacedLine { contract, line, position };
                let path = format_args!("{placed}");
                let line_period = self.period(line.effective_from, line.effective_to, zone, origin, path);
                let period = line_period.intersection(&contract_period);
                if period.is_empty() && !line_period.is_empty() && !contract_period.is_empty() {
                    let message =
                        format!("it is never in force, because its contract is in force {contract_period}");
                    let mend = "let the line's times overlap the contract's, or remove it";
                    self.problem(origin, path.to_string(), message, mend);
                }
                let Some(terms) = self.line(placed, entity, zone, period) else { continue };
                for account in &document.accounts {
                    self.assign(account, Assignment { terms, period });
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

    /// A contract covers accounts, each once.
    fn check_accounts(&mut self, contract: &Contract, origin: &Origin) {
        let path = format_args!("contract {} accounts", contract.id);
        match contract.accounts.as_slice() {
            [] => {
                let message = "no account is listed".to_owned();
                self.problem(origin, path.to_string(), message, "list the accounts it covers");
            }
            [_] => {}
            several => {
                let mut seen = HashSet::new();
                for (position, account) in several.iter().enumerate() {
                    if !seen.insert(account) {
                        let message = format!("{account} is listed twice");
                        self.problem(origin, format!("{path}[{position}]"), message, "remove one of the two");
                    }
                }
            }
        }
    }

    fn period(
        &mut self,
        from: Option<EffectiveTime>,
        to: Option<EffectiveTime>,
        zone: &TimeZone,
        origin: &Origin,
        path: fmt::Arguments<'_>,
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
        contract: &'a Located<Contract>,
        period: Period,
        versions: &mut Versions<'a>,
    ) {
        let Located { document, origin } = contract;
        let this = document.version;
        let others = versions.entry(document.id.as_str()).or_insert_with(|| Vec::with_capacity(1));
        let clash = others
            .iter()
            .map(|(other, other_period)| (other.document.version, other_period, &other.origin))
            .find(|(version, other, _)| *version == this || other.overlaps(&period))
            .map(|(version, other, place)| {
                if version == this {
                    format!("version {version} of the contract is there twice, first in {place}")
                } else {
                    format!("version {this} overlaps version {version} in {place}, which is in force {other}")
                }
            });
        others.push((contract, period));
        if let Some(message) = clash {
            let mend = "number versions apart, and let one end when the next begins";
            self.problem(origin, format!("contract {} version", document.id), message, mend);
        }
    }

    /// The position of the terms of a line.
    fn line(&mut self, placed: PlacedLine<'a>, entity: u32, zone: &TimeZone, period: Period) -> Option<u32> {
        let meters = self.meters_of(placed);
        let timeline = self.timeline(placed.line, zone)?;
        let contract = &placed.contract.document;
        let cycle = BillingCycle {
            interval: contract.billing_interval,
            anchor: contract.billing_anchor.unwrap_or(BillingCycle::CALENDAR_MONTH.anchor),
        };
        let identity = Line {
            id: placed.line.id.clone(),
            contract: contract.id.clone(),
            legal_entity: entity,
            currency: contract.currency,
            cycle,
        };
        let line = self.line_of(identity, placed)?;
        let terms = number(self.catalog.terms.len());
        self.catalog.terms.push(LineTerms {
            line,
            contract_version: contract.version,
            period,
            timeline,
            meters,
        });
        self.placed_lines.push(placed);
        Some(terms)
    }

    /// The meters a line covers: those listed, or all that its price book has.
    fn meters_of(&mut self, placed: PlacedLine<'_>) -> Arc<MeterSet> {
        let PlacedLine { contract: Located { document: contract, origin }, line, .. } = placed;
        let book = self.books.get(line.price_book.as_str());
        let priced = book.map(|book| Arc::clone(&book.meters));
        let currencies = book.map(|book| book.currencies).unwrap_or_default();
        let may_lack_rates = book.is_some_and(|book| self.documents.unread.has_rate_of(book.document));
        if priced.is_none() {
            let mut ids: Vec<&str> = self.books.keys().copied().collect();
            ids.sort_unstable();
            let mend = known("price book", &ids);
            let path = format!("{placed}.price_book");
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
            self.problem(origin, format!("{placed}.price_book"), message, mend);
        }
        let Some(listed) = &line.meters else { return priced.unwrap_or_default() };
        if listed.is_empty() {
            let mend = "list meters, or leave meters out to cover all that the price book has";
            self.problem(origin, format!("{placed}.meters"), "no meter is listed".to_owned(), mend);
        }
        let mut meters = MeterSet::default();
        for (position, meter) in listed.iter().enumerate() {
            let path = format_args!("{placed}.meters[{position}]");
            let Some(known) = self.meter_by_id.get(meter.as_str()).copied() else {
                self.unknown("meter", meter.as_str(), origin, path.to_string(), &self.known_meters());
                continue;
            };
            meters.insert(known);
            if !may_lack_rates && priced.as_ref().is_some_and(|priced| !priced.contains(known)) {
                let message = format!("the price book {} has no rate for {meter}", line.price_book);
                let mend = "add a rate to the price book, or remove the meter";
                self.problem(origin, path.to_string(), message, mend);
            }
        }
        Arc::new(meters)
    }

    /// The position of a line. One id is one line: versions of its contract may change its prices, but
    /// not what its amounts are accumulated under.
    fn line_of(&mut self, identity: Line, placed: PlacedLine<'a>) -> Option<u32> {
        let position = number(self.catalog.lines.len());
        let known = *self.lines.entry(placed.line.id.as_str()).or_insert(position);
        if known != position {
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
            self.problem(placed.origin(), format!("{placed}.id {}", identity.id), message, mend);
            return None;
        }
        self.catalog.lines.push(identity);
        Some(position)
    }
}
