//! Checks price books and compiles their rates, for the meters that are known by then.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use schemas::contract::ContractLine;
use schemas::effective_time::EffectiveTime;
use schemas::period::Period;
use schemas::price_book::PriceBook;
use schemas::time_zone::TimeZone;
use schemas::timestamp::Timestamp;

use super::{Book, Compiler, number};
use crate::catalog::{Located, MeterSet, Origin, PriceBookVersion, Rate, Timeline};
use crate::price::{compile_rate, group_dimensions};

impl Compiler<'_> {
    pub(super) fn price_books(&mut self) {
        let documents = self.documents;
        for (position, Located { document, origin }) in documents.price_books.iter().enumerate() {
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
                if version.rates.is_empty()
                    && !documents.unread.has_rate_of_version(position, version_position)
                {
                    let mend = "write at least one; to end the book's prices, use effective_to";
                    self.problem(origin, format!("{path}.rates"), "there is no rate".to_owned(), mend);
                }
                let written = documents.unread.positions(position, version_position);
                let rates: Vec<_> = written.zip(&version.rates).collect();
                let rates = self.rates(&rates, document, origin, &path, &mut meters);
                self.catalog.price_book_versions.push(PriceBookVersion {
                    price_book: document.id.clone(),
                    version: version.version,
                    resets_tiers: version.tier_reset_on_price_change,
                    rates,
                });
            }
            self.check_order_of_versions(document, origin, &TimeZone::UTC);
            let book = Book {
                document: position,
                currencies: &document.currencies,
                meters: Arc::new(meters),
                first_version,
                timelines: BTreeMap::new(),
            };
            self.claim_id("price_book", document.id.as_str(), origin);
            self.books.insert(document.id.as_str(), book);
        }
    }

    /// Compiles the rates of a version, each with its position as written; per meter, the position of
    /// its rate among the catalog's.
    fn rates(
        &mut self,
        rates: &[(usize, &schemas::price_book::Rate)],
        book: &PriceBook,
        origin: &Origin,
        path: &str,
        priced: &mut MeterSet,
    ) -> Vec<Option<u32>> {
        let mut of_meter = vec![None; self.catalog.meters.len()];
        let mut seen = HashSet::new();
        for (position, rate) in rates.iter().copied() {
            let path = format!("{path}.rates[{position}]");
            let Some(meter_position) = self.meter_by_id.get(rate.meter.as_str()).copied() else {
                let mend = self.known_meters();
                self.unknown("meter", rate.meter.as_str(), origin, format!("{path}.meter"), &mend);
                continue;
            };
            priced.insert(meter_position);
            if !seen.insert(meter_position) {
                let message = format!("the meter {} has another rate in this version", rate.meter);
                self.problem(origin, format!("{path}.meter"), message, "keep one rate per meter and version");
            }
            let Some(meter) = self.catalog.meters.get(meter_position) else { continue };
            if let Some(price) = &meter.event_price
                && rate.model == schemas::price_book::PriceModelName::Dynamic
                && book.currencies.iter().any(|currency| *currency != price.currency)
            {
                let message = format!("the events of {} are priced in {}", rate.meter, price.currency);
                let mend = format!("use a price book whose only currency is {}", price.currency);
                self.problem(origin, format!("{path}.model"), message, &mend);
            }
            let Some(meter) = self.catalog.meters.get(meter_position) else { continue };
            let names = group_dimensions(rate);
            match compile_rate(rate, meter, &names) {
                Ok(price) => {
                    let dimensions = &self.catalog.dimensions;
                    let group = names.iter().filter_map(|name| dimensions.binary_search(name).ok()).collect();
                    if let Some(place) = of_meter.get_mut(meter_position) {
                        *place = Some(number(self.catalog.rates.len()));
                    }
                    let pricing_unit = match &rate.convert {
                        Some(conversion) => conversion.unit.clone(),
                        None => meter.unit.clone(),
                    };
                    self.catalog.rates.push(Rate { price, group, pricing_unit });
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

    /// Versions must follow each other without gaps or overlaps, at the instants they take effect in a
    /// time zone.
    fn check_order_of_versions(&mut self, book: &PriceBook, origin: &Origin, zone: &TimeZone) {
        let instant = |time: EffectiveTime| time.instant(zone);
        let place = if *zone == TimeZone::UTC { String::new() } else { format!(" in {zone}") };
        for (position, version) in book.versions.iter().enumerate() {
            if let (Some(from), Some(to)) = (version.effective_from, version.effective_to)
                && instant(from) >= instant(to)
            {
                let path = format!("price_book {} versions[{position}].effective_to", book.id);
                let message = format!("{to} is not after effective_from, {from}{place}");
                self.problem(origin, path, message, "let it end after it begins");
            }
        }
        for (position, pair) in book.versions.windows(2).enumerate() {
            let [earlier, later] = pair else { continue };
            let position = position.saturating_add(1);
            let path = format!("price_book {} versions[{position}].effective_from", book.id);
            let Some(start) = later.effective_from else {
                let message = "it is missing, and only the first version may begin with time itself";
                self.problem(origin, path, message.to_owned(), "say when this version takes effect");
                continue;
            };
            if let Some(earlier_start) = earlier.effective_from
                && instant(start) <= instant(earlier_start)
            {
                let message =
                    format!("{start} is not after {earlier_start}, when the version before begins{place}");
                self.problem(origin, path, message, "write the versions in order of time");
                continue;
            }
            let Some(end) = earlier.effective_to.filter(|end| instant(*end) != instant(start)) else {
                continue;
            };
            let what = if instant(end) > instant(start) { "overlap" } else { "leave a gap" };
            let message = format!(
                "the versions {what}: the one before ends at {end}, this one begins at {start}{place}"
            );
            let mend = "let one end when the next begins, or leave effective_to out";
            self.problem(origin, path, message, mend);
        }
    }

    pub(super) fn timeline(&mut self, line: &ContractLine, zone: &TimeZone) -> Option<u32> {
        let book = self.books.get_mut(line.price_book.as_str())?;
        if let Some(timeline) = book.timelines.get(zone.name()) {
            return Some(*timeline);
        }
        let Located { document, origin } = self.documents.price_books.get(book.document)?;
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
        self.check_order_of_versions(document, origin, zone);
        Some(timeline)
    }
}
