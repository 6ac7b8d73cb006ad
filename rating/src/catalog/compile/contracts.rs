//! Checks contracts and their lines against the entities, price books and meters they name.

use std::collections::HashMap;

use schemas::contract::{Contract, ContractLine};
use schemas::currency::Currency;
use schemas::effective_time::EffectiveTime;
use schemas::period::{BillingCycle, Period};
use schemas::price_book::PriceBook;
use schemas::time_zone::TimeZone;

use super::{Compiler, known, number};
use crate::catalog::{Assignment, Line, LineTerms, Located, Origin};

impl Compiler {
    pub(super) fn contracts(&mut self, books: &[Located<PriceBook>], documents: Vec<Located<Contract>>) {
        let mut versions: HashMap<String, Vec<(u32, Period)>> = HashMap::new();
        for Located { document, origin } in documents {
            let path = format!("contract {}", document.id);
            let Some(entity) = self.entity_by_id.get(document.legal_entity.as_str()).copied() else {
                let message = format!("there is no legal entity {}", document.legal_entity);
                let entities = self.catalog.legal_entities.iter();
                let ids: Vec<&str> = entities.map(|entity| entity.id.as_str()).collect();
                let mend = known("legal entity", &ids);
                self.problem(&origin, format!("{path} legal_entity"), message, &mend);
                continue;
            };
            let entity_document = self.catalog.legal_entities.get(entity as usize);
            let zone = entity_document.map_or(TimeZone::UTC, |entity| entity.timezone.clone());
            let period = self.period(document.effective_from, document.effective_to, &zone, &origin, &path);
            self.check_contract_version(&document, period, &mut versions, &origin);
            if document.accounts.is_empty() {
                let message = "no account is listed".to_owned();
                self.problem(&origin, format!("{path} accounts"), message, "list the accounts it covers");
            }
            if document.lines.is_empty() {
                let message = "there is no contract line".to_owned();
                self.problem(&origin, format!("{path} lines"), message, "write at least one line");
            }
            for (position, line) in document.lines.iter().enumerate() {
                let path = format!("{path} lines[{position}]");
                let line_period = self.period(line.effective_from, line.effective_to, &zone, &origin, &path);
                let contract_period = period;
                let period = line_period.intersection(&contract_period);
                if period.is_empty() && !line_period.is_empty() && !contract_period.is_empty() {
                    let message = format!("it is never in force: the contract is, {contract_period}");
                    let mend = "let the line's times overlap the contract's, or remove it";
                    self.problem(&origin, path.clone(), message, mend);
                }
                let Some(terms) = self.line(books, &document, line, entity, &zone, period, &origin, &path)
                else {
                    continue;
                };
                for account in &document.accounts {
                    self.assign(account, Assignment { terms, period }, &origin, &path);
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
        path: &str,
    ) -> Period {
        let instant = |time: EffectiveTime| time.instant(zone);
        let period = Period::between(from.map(instant), to.map(instant));
        if let (true, Some(from), Some(to)) = (period.is_empty(), from, to) {
            let message = format!("{to} is not after {from}");
            self.problem(origin, format!("{path} effective_to"), message, "let it end after it begins");
        }
        period
    }

    fn check_contract_version(
        &mut self,
        contract: &Contract,
        period: Period,
        versions: &mut HashMap<String, Vec<(u32, Period)>>,
        origin: &Origin,
    ) {
        let others = versions.entry(contract.id.to_string()).or_default();
        let clash =
            others.iter().find(|(version, other)| *version == contract.version || other.overlaps(&period));
        let message = clash.map(|(version, other)| {
            if *version == contract.version {
                format!("version {version} of the contract is there twice")
            } else {
                format!("version {} overlaps version {version}, in force {other}", contract.version)
            }
        });
        others.push((contract.version, period));
        if let Some(message) = message {
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
        let Some(book) = self.books.get(line.price_book.as_str()) else {
            let message = format!("there is no price book {}", line.price_book);
            let mut ids: Vec<&str> = self.books.keys().map(String::as_str).collect();
            ids.sort_unstable();
            let mend = known("price book", &ids);
            self.problem(origin, format!("{path}.price_book"), message, &mend);
            return None;
        };
        let is_priced_in = book.currencies.contains(&contract.currency);
        let currencies: Vec<&str> = book.currencies.iter().map(Currency::code).collect();
        let currencies = currencies.join(", ");
        let mut meters = book.meters.clone();
        if !is_priced_in {
            let message = format!(
                "the price book {} has prices in {currencies}, the contract is in {}",
                line.price_book, contract.currency
            );
            self.problem(
                origin,
                format!("{path}.price_book"),
                message,
                "use a price book in the contract's currency",
            );
        }
        if let Some(listed) = &line.meters {
            if listed.is_empty() {
                let mend = "list meters, or leave meters out to cover all that the price book has";
                self.problem(origin, format!("{path}.meters"), "no meter is listed".to_owned(), mend);
            }
            let priced = std::mem::take(&mut meters);
            for (position, meter) in listed.iter().enumerate() {
                let path = format!("{path}.meters[{position}]");
                match self.meter_by_id.get(meter.as_str()).copied() {
                    None => {
                        let message = format!("there is no meter {meter}");
                        self.problem(origin, path, message, &self.known_meters());
                    }
                    Some(known) if !priced.contains(known) => {
                        let message = format!("the price book {} has no rate for {meter}", line.price_book);
                        self.problem(
                            origin,
                            path,
                            message,
                            "add a rate to the price book, or remove the meter",
                        );
                    }
                    Some(known) => meters.insert(known),
                }
            }
        }
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
