//! Validates catalog documents as a whole and compiles them. Every problem is reported, not the first.

use std::collections::{BTreeMap, HashMap};

use schemas::contract::{Contract, ContractLine};
use schemas::csv_mapping::CsvMapping;
use schemas::currency::Currency;
use schemas::effective_time::EffectiveTime;
use schemas::legal_entity::LegalEntity;
use schemas::meter::{Aggregation, Meter};
use schemas::money::AMOUNT_SCALE;
use schemas::period::{BillingCycle, Period};
use schemas::price_book::PriceBook;
use schemas::quantity::QUANTITY_SCALE;
use schemas::time_zone::TimeZone;
use schemas::timestamp::Timestamp;

use super::{
    Account, Assignment, Catalog, Documents, Line, LineTerms, Located, MeterSet, Origin, PriceBookVersion,
    Problem, Rate, Timeline,
};
use crate::price::{compile_rate, group_dimensions};

/// Compiles documents into a catalog.
///
/// # Errors
/// Every problem found, in order of file and line.
pub fn compile(documents: Documents) -> Result<Catalog, Vec<Problem>> {
    let mut compiler = Compiler::default();
    let Documents { legal_entities, meters, price_books, contracts, csv_mappings } = documents;
    compiler.legal_entities(legal_entities);
    compiler.meters(meters);
    compiler.price_books(&price_books);
    compiler.csv_mappings(csv_mappings);
    compiler.contracts(&price_books, contracts);
    compiler.refuse_overlapping_assignments();
    let Compiler { catalog, mut problems, .. } = compiler;
    if problems.is_empty() {
        return Ok(catalog);
    }
    problems.sort();
    Err(problems)
}

#[derive(Default)]
struct Compiler {
    catalog: Catalog,
    problems: Vec<Problem>,
    entity_by_id: HashMap<String, u32>,
    meter_by_id: HashMap<String, usize>,
    books: HashMap<String, Book>,
    accounts: HashMap<String, u32>,
    /// Where each account's assignments were written.
    assignment_places: Vec<Vec<(Origin, String)>>,
    lines: HashMap<String, u32>,
}

/// A price book as far as contracts need it.
struct Book {
    /// Position among the documents.
    document: usize,
    currencies: Vec<Currency>,
    /// Meters any version prices.
    meters: MeterSet,
    /// Position of its first version among the catalog's.
    first_version: u32,
    /// Timelines by name of time zone.
    timelines: BTreeMap<String, u32>,
}

impl Compiler {
    fn problem(&mut self, origin: &Origin, path: String, message: String, mend: &str) {
        self.problems.push(Problem { origin: origin.clone(), path, message, mend: mend.to_owned() });
    }

    fn legal_entities(&mut self, documents: Vec<Located<LegalEntity>>) {
        for Located { document, origin } in documents {
            let position = number(self.catalog.legal_entities.len());
            let known = self.entity_by_id.insert(document.id.to_string(), position);
            if known.is_some() {
                self.twice(&origin, "legal_entity", document.id.as_str());
            }
            self.catalog.legal_entities.push(document);
        }
    }

    fn twice(&mut self, origin: &Origin, kind: &str, id: &str) {
        let message = format!("there is another {kind} with this id");
        self.problem(
            origin,
            format!("{kind} {id}"),
            message,
            "give every document of a kind an id of its own",
        );
    }

    fn meters(&mut self, documents: Vec<Located<Meter>>) {
        for Located { document, origin } in documents {
            let position = self.catalog.meters.len();
            if self.meter_by_id.insert(document.id.to_string(), position).is_some() {
                self.twice(&origin, "meter", document.id.as_str());
            }
            self.check_meter(&document, &origin);
            self.catalog.meters.push(document);
        }
        let dimensions = self.catalog.meters.iter().flat_map(|meter| meter.dimensions.keys().cloned());
        self.catalog.dimensions = dimensions.collect();
        self.catalog.dimensions.sort();
        self.catalog.dimensions.dedup();
    }

    fn check_meter(&mut self, meter: &Meter, origin: &Origin) {
        let path = |field: &str| format!("meter {} {field}", meter.id);
        if meter.event_type.is_empty() {
            self.problem(
                origin,
                path("event_type"),
                "it is empty".to_owned(),
                "name the type of the usage events",
            );
        }
        match (meter.aggregation, &meter.value) {
            (Aggregation::Count, Some(_)) => {
                let message = "a meter that counts events reads no value".to_owned();
                self.problem(origin, path("value"), message, "remove it, or use another aggregation");
            }
            (Aggregation::Count, None) | (_, Some(_)) => {}
            (aggregation, None) => {
                let message = format!("aggregation {} needs a value", aggregation.name());
                self.problem(origin, path("value"), message, "write the property to read, such as $.tokens");
            }
        }
        if meter.decimals > QUANTITY_SCALE {
            let message = format!("{} decimal places; {QUANTITY_SCALE} is the most", meter.decimals);
            self.problem(origin, path("decimals"), message, "use 0 to 12");
        }
        if let Some(price) = &meter.event_price
            && price.decimals > AMOUNT_SCALE
        {
            let message = format!("{} decimal places; {AMOUNT_SCALE} is the most", price.decimals);
            self.problem(origin, path("event_price.decimals"), message, "use 0 to 18");
        }
        let include = meter.filter.include.iter().map(|(property, values)| ("include", property, values));
        let exclude = meter.filter.exclude.iter().flatten();
        let exclude = exclude.map(|(property, values)| ("exclude", property, values));
        for (list, property, values) in include.chain(exclude) {
            if values.is_empty() {
                let message = "no value is listed, so it can never hold".to_owned();
                self.problem(
                    origin,
                    path(&format!("filter.{list} {property}")),
                    message,
                    "list at least one value",
                );
            }
        }
        if meter.filter.exclude.iter().any(BTreeMap::is_empty) {
            let message = "an entry without properties excludes every event".to_owned();
            self.problem(origin, path("filter.exclude"), message, "remove the entry, or name properties");
        }
    }

    fn price_books(&mut self, documents: &[Located<PriceBook>]) {
        for (position, Located { document, origin }) in documents.iter().enumerate() {
            let first_version = number(self.catalog.price_book_versions.len());
            let path = format!("price_book {}", document.id);
            if document.currencies.is_empty() {
                let message = "no currency is listed".to_owned();
                self.problem(
                    origin,
                    format!("{path} currencies"),
                    message,
                    "list the currency the prices are in",
                );
            }
            if document.versions.is_empty() {
                let message = "there is no version".to_owned();
                self.problem(origin, format!("{path} versions"), message, "write at least one version");
            }
            let mut meters = MeterSet::default();
            for (version_position, version) in document.versions.iter().enumerate() {
                let path = format!("{path} versions[{version_position}]");
                let same = |other: &schemas::price_book::PriceBookVersion| other.version == version.version;
                if document.versions.iter().position(same) != Some(version_position) {
                    let message = format!("version {} is there twice", version.version);
                    self.problem(origin, format!("{path}.version"), message, "number versions apart");
                }
                let rates = self.rates(&version.rates, document, origin, &path, &mut meters);
                self.catalog.price_book_versions.push(PriceBookVersion {
                    price_book: document.id.clone(),
                    version: version.version,
                    resets_tiers: version.tier_reset_on_price_change,
                    rates,
                });
            }
            self.check_order_of_versions(document, origin);
            let book = Book {
                document: position,
                currencies: document.currencies.clone(),
                meters,
                first_version,
                timelines: BTreeMap::new(),
            };
            if self.books.insert(document.id.to_string(), book).is_some() {
                self.twice(origin, "price_book", document.id.as_str());
            }
        }
    }

    /// Compiles the rates of a version; per meter, the position of its rate.
    fn rates(
        &mut self,
        rates: &[schemas::price_book::Rate],
        book: &PriceBook,
        origin: &Origin,
        path: &str,
        priced: &mut MeterSet,
    ) -> Vec<Option<u32>> {
        let mut of_meter = vec![None; self.catalog.meters.len()];
        for (position, rate) in rates.iter().enumerate() {
            let path = format!("{path}.rates[{position}]");
            let Some(meter_position) = self.meter_by_id.get(rate.meter.as_str()).copied() else {
                let message = format!("there is no meter {}", rate.meter);
                self.problem(origin, format!("{path}.meter"), message, &self.known_meters());
                continue;
            };
            priced.insert(meter_position);
            let place = of_meter.get_mut(meter_position);
            if place.as_ref().is_some_and(|place| place.is_some()) {
                let message = format!("the meter {} has another rate in this version", rate.meter);
                self.problem(origin, format!("{path}.meter"), message, "keep one rate per meter and version");
                continue;
            }
            let Some(meter) = self.catalog.meters.get(meter_position) else { continue };
            if let Some(price) = &meter.event_price
                && rate.model == schemas::price_book::PriceModelName::Dynamic
                && book.currencies.iter().any(|currency| *currency != price.currency)
            {
                let message = format!("the events of {} are priced in {}", rate.meter, price.currency);
                let mend = format!("use a price book whose only currency is {}", price.currency);
                self.problem(origin, format!("{path}.model"), message, &mend);
                continue;
            }
            let names = group_dimensions(rate);
            match compile_rate(rate, meter, &names) {
                Ok(price) => {
                    let dimensions = &self.catalog.dimensions;
                    let group = names.iter().filter_map(|name| dimensions.binary_search(name).ok()).collect();
                    if let Some(place) = place {
                        *place = Some(number(self.catalog.rates.len()));
                    }
                    self.catalog.rates.push(Rate { price, group });
                }
                Err(faults) => {
                    for fault in faults {
                        self.problem(origin, format!("{path}.{}", fault.field), fault.message, &fault.mend);
                    }
                }
            }
        }
        of_meter
    }

    fn known_meters(&self) -> String {
        let ids: Vec<&str> = self.catalog.meters.iter().map(|meter| meter.id.as_str()).take(8).collect();
        if ids.is_empty() {
            "add a meter document".to_owned()
        } else {
            format!("the meters are {}", ids.join(", "))
        }
    }

    /// Versions must follow each other without gaps or overlaps, in every time zone.
    fn check_order_of_versions(&mut self, book: &PriceBook, origin: &Origin) {
        for (position, pair) in book.versions.windows(2).enumerate() {
            let [earlier, later] = pair else { continue };
            let path = format!("price_book {} versions[{}]", book.id, position.saturating_add(1));
            let Some(start) = later.effective_from else {
                let message = "only the first version may begin with time itself".to_owned();
                self.problem(
                    origin,
                    format!("{path}.effective_from"),
                    message,
                    "say when this version takes effect",
                );
                continue;
            };
            let starts = |time: EffectiveTime| time.instant(&TimeZone::UTC);
            if let Some(earlier_start) = earlier.effective_from
                && starts(start) <= starts(earlier_start)
            {
                let message =
                    format!("it takes effect at {start}, not after {earlier_start} of the version before");
                self.problem(
                    origin,
                    format!("{path}.effective_from"),
                    message,
                    "write the versions in order of time",
                );
                continue;
            }
            if let Some(end) = earlier.effective_to
                && end != start
            {
                let overlap = starts(end) > starts(start);
                let what = if overlap { "overlap" } else { "leave a gap" };
                let message = format!("the versions {what}: one ends at {end}, the next begins at {start}");
                let mend = "let one end when the next begins, or leave effective_to out";
                self.problem(origin, format!("{path}.effective_from"), message, mend);
            }
        }
        for (position, version) in book.versions.iter().enumerate() {
            if let (Some(from), Some(to)) = (version.effective_from, version.effective_to)
                && from.instant(&TimeZone::UTC) >= to.instant(&TimeZone::UTC)
            {
                let path = format!("price_book {} versions[{position}].effective_to", book.id);
                self.problem(origin, path, format!("{to} is not after {from}"), "let it end after it begins");
            }
        }
    }

    fn csv_mappings(&mut self, documents: Vec<Located<CsvMapping>>) {
        for Located { document, origin } in documents {
            let path = format!("csv_mapping {}", document.id);
            if self.catalog.csv_mappings.iter().any(|other| other.id == document.id) {
                self.twice(&origin, "csv_mapping", document.id.as_str());
            }
            if !document.delimiter.is_ascii() {
                let message = format!("{:?} is not an ASCII character", document.delimiter);
                self.problem(
                    &origin,
                    format!("{path} delimiter"),
                    message,
                    "use a character such as , ; | or a tab",
                );
            }
            if document.time.timezone.is_some() && document.time.epoch.is_some() {
                let message = "a number of seconds has no time zone".to_owned();
                self.problem(&origin, format!("{path} time"), message, "keep timezone or epoch, not both");
            }
            for (position, pattern) in document.files.iter().enumerate() {
                if let Err(error) = glob::Pattern::new(pattern) {
                    let message = format!("{pattern:?} is no pattern: {error}");
                    self.problem(
                        &origin,
                        format!("{path} files[{position}]"),
                        message,
                        "use * and ? for parts of a name",
                    );
                }
            }
            self.catalog.csv_mappings.push(document);
        }
    }

    fn contracts(&mut self, books: &[Located<PriceBook>], documents: Vec<Located<Contract>>) {
        let mut versions: HashMap<String, Vec<(u32, Period)>> = HashMap::new();
        for Located { document, origin } in documents {
            let path = format!("contract {}", document.id);
            let Some(entity) = self.entity_by_id.get(document.legal_entity.as_str()).copied() else {
                let message = format!("there is no legal entity {}", document.legal_entity);
                let mend = "add a legal_entity document, or mend the name";
                self.problem(&origin, format!("{path} legal_entity"), message, mend);
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
                let period = line_period.intersection(&period);
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
            let mend = "add a price_book document, or mend the name";
            self.problem(origin, format!("{path}.price_book"), message, mend);
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

    fn timeline(
        &mut self,
        books: &[Located<PriceBook>],
        line: &ContractLine,
        zone: &TimeZone,
    ) -> Option<u32> {
        let book = self.books.get_mut(line.price_book.as_str())?;
        if let Some(timeline) = book.timelines.get(zone.name()) {
            return Some(*timeline);
        }
        let document = &books.get(book.document)?.document;
        let starts: Vec<Timestamp> = document
            .versions
            .iter()
            .map(|version| version.effective_from.map_or(Timestamp::MIN, |from| from.instant(zone)))
            .collect();
        let versions = (book.first_version..).zip(&document.versions).enumerate().map(
            |(position, (number, version))| {
                let start = starts.get(position).copied().unwrap_or(Timestamp::MIN);
                let next = starts.get(position.saturating_add(1)).copied();
                let end = version.effective_to.map(|to| to.instant(zone)).or(next).unwrap_or(Timestamp::MAX);
                (Period { start, end }, number)
            },
        );
        let timeline = number(self.catalog.timelines.len());
        self.catalog.timelines.push(Timeline { versions: versions.collect() });
        book.timelines.insert(zone.name().to_owned(), timeline);
        Some(timeline)
    }

    fn assign(
        &mut self,
        account: &schemas::id::AccountId,
        assignment: Assignment,
        origin: &Origin,
        path: &str,
    ) {
        let position = match self.accounts.get(account.as_str()) {
            Some(position) => *position,
            None => {
                let position = number(self.catalog.accounts.len());
                self.accounts.insert(account.to_string(), position);
                self.catalog.accounts.push(Account { id: account.clone(), assignments: Vec::new() });
                self.assignment_places.push(Vec::new());
                position
            }
        };
        if let Some(account) = self.catalog.accounts.get_mut(position as usize) {
            account.assignments.push(assignment);
        }
        if let Some(places) = self.assignment_places.get_mut(position as usize) {
            places.push((origin.clone(), path.to_owned()));
        }
    }

    /// An account's usage of a meter must have one line at a time.
    fn refuse_overlapping_assignments(&mut self) {
        let mut found = Vec::new();
        for (account, places) in self.catalog.accounts.iter().zip(&self.assignment_places) {
            for (later, place) in
                account.assignments.iter().zip(places).enumerate().map(|(at, pair)| (at, pair))
            {
                let (assignment, (origin, path)) = place;
                for (earlier, (_, other_path)) in account.assignments.iter().zip(places).take(later) {
                    let overlap = assignment.period.intersection(&earlier.period);
                    let meters = |assignment: &Assignment| self.catalog.terms.get(assignment.terms as usize);
                    let (Some(left), Some(right)) = (meters(assignment), meters(earlier)) else { continue };
                    let Some(meter) = left.meters.common(&right.meters).filter(|_| !overlap.is_empty())
                    else {
                        continue;
                    };
                    let meter = self.catalog.meters.get(meter).map(|meter| meter.id.to_string());
                    found.push(Problem {
                        origin: origin.clone(),
                        path: path.clone(),
                        message: format!(
                            "for account {} the meter {} has two lines {overlap}: this one and {other_path}",
                            account.id,
                            meter.unwrap_or_default()
                        ),
                        mend: "let one end when the other begins, or list meters that differ".to_owned(),
                    });
                }
            }
        }
        self.problems.append(&mut found);
    }
}

fn number(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}
