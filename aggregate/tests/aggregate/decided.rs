//! Runs events through the reader, a decoder and the decider, and what comes out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use aggregate::accrual_round::Revisions;
use aggregate::accruals::AccrualPlan;
use aggregate::decider::{DecidedBatch, Decider};
use aggregate::running_totals::RunningTotals;
use ingest::decoder::Decoder;
use ingest::event_batch::EventBatch;
use ingest::input::Input;
use ingest::interner::Interner;
use ingest::keyed_hash::HashKey;
use ingest::metering::MeteringPlan;
use ingest::reader::Reader;
use rating::Overflow;
use rating::catalog::{Catalog, Documents, Located, Origin, compile};
use schemas::quarantine::{RejectReason, UnratedReason};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Compiles the documents of a catalog, by kind.
pub(crate) fn catalog(documents: &Value) -> Result<Arc<Catalog>, String> {
    let compiled = compile(&Documents {
        legal_entities: read(&documents["legal_entities"]),
        meters: read(&documents["meters"]),
        price_books: read(&documents["price_books"]),
        contracts: read(&documents["contracts"]),
        csv_mappings: documents.get("csv_mappings").map_or_else(Vec::new, read),
        ..Documents::default()
    });
    compiled.map(Arc::new).map_err(|problems| problems[0].to_string())
}

fn read<T: DeserializeOwned>(documents: &Value) -> Vec<Located<T>> {
    let origin = Origin { file: "test".into(), line: 0 };
    let located = |document: &Value| Located {
        document: serde_json::from_value(document.clone()).unwrap(),
        origin: origin.clone(),
    };
    documents.as_array().unwrap().iter().map(located).collect()
}

/// What amounts belong to: contract line, meter and first day of the billing period.
pub(crate) type GroupKey = (u32, u16, i32);

/// What was decided.
#[derive(Default)]
pub(crate) struct Decided {
    /// Per group, the sum of the rated amounts.
    pub(crate) rated: BTreeMap<GroupKey, i128>,
    /// Rated usages.
    pub(crate) usages: u64,
    /// Id, meter and reason of usages without a price.
    pub(crate) unrated: Vec<(String, Option<u16>, UnratedReason)>,
    /// Id and reason of events that were refused.
    pub(crate) rejected: Vec<(Option<String>, RejectReason)>,
    /// Dimensions of the rated usages, by id and meter.
    pub(crate) dimensions: BTreeMap<(String, u16), Vec<Option<String>>>,
    pub(crate) conflicts: usize,
    pub(crate) identities: usize,
}

/// A reader, a decoder and the decider, for one lot of lines after another.
pub(crate) struct Deciding {
    plan: Arc<MeteringPlan>,
    decoder: Decoder,
    pub(crate) decider: Decider,
    /// Texts of dimensions, by number.
    texts: Vec<Vec<String>>,
}

/// The key of all tests.
pub(crate) const KEY: HashKey = HashKey::fixed(11);

impl Deciding {
    pub(crate) fn new(catalog: &Arc<Catalog>) -> Self {
        Self::from(catalog, Decider::new(Arc::clone(catalog), &KEY, 1))
    }

    /// Goes on with a decider.
    pub(crate) fn from(catalog: &Arc<Catalog>, decider: Decider) -> Self {
        let plan = Arc::new(MeteringPlan::new(catalog.meters()));
        let mut accounts = Interner::new(3);
        for account in catalog.accounts() {
            accounts.intern(account.as_str().as_bytes());
        }
        let texts = decider.texts().dimensions;
        let texts = texts.iter().map(|texts| texts.iter().map(ToString::to_string).collect()).collect();
        let decoder = Decoder::new(0, Arc::clone(&plan), Arc::new(accounts), KEY);
        Self { plan, decoder, decider, texts }
    }

    /// Decides lines of events.
    pub(crate) fn decide(&mut self, lines: &[String]) -> Decided {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), lines.join("\n")).unwrap();
        let input = Input::file(file.path().to_owned(), None);
        let plan = Arc::clone(&self.plan);
        let mut reader = Reader::new(vec![(input, None)], Vec::new(), plan, Arc::new(AtomicU64::new(0)));
        let mut decided = Decided::default();
        let mut columns = DecidedBatch::default();
        let mut batch = EventBatch::new(self.plan.dimensions().len());
        while let Some(records) = reader.next(&mut batch).unwrap() {
            self.decoder.decode(&mut batch, &records);
            self.decider.decide(batch, &mut columns).unwrap();
            for (texts, new) in self.texts.iter_mut().zip(&columns.new_texts.dimensions) {
                texts.extend(new.iter().map(ToString::to_string));
            }
            decided.add(&columns, &self.texts);
            batch = columns.recycle();
        }
        decided.identities = usize::try_from(self.decider.identities()).unwrap();
        decided
    }
}

/// Decides lines of events, all at once.
pub(crate) fn decide(catalog: &Arc<Catalog>, lines: &[String]) -> (Decided, RunningTotals) {
    let mut deciding = Deciding::new(catalog);
    let decided = deciding.decide(lines);
    (decided, deciding.decider.into_totals())
}

impl Decided {
    fn add(&mut self, columns: &DecidedBatch, texts: &[Vec<String>]) {
        let batch = &columns.batch;
        let rated = &columns.rated;
        for ((event, usage), rated) in rated.event.iter().zip(&rated.usage).zip(&rated.rated) {
            let usage = *usage as usize;
            self.usages += 1;
            let meter = batch.usages.meter[usage];
            let sum = self.rated.entry((rated.line, meter, rated.period_start)).or_default();
            *sum = sum.wrapping_add(rated.amount.units());
            let dimensions = batch.usages.dimensions.iter().zip(texts);
            let dimensions =
                dimensions.map(|(column, texts)| texts.get(column[usage] as usize).cloned()).collect();
            self.dimensions.insert((batch.event_id(*event as usize), meter), dimensions);
        }
        for unrated in &columns.unrated {
            self.unrated.push((batch.event_id(unrated.event as usize), unrated.meter, unrated.reason));
        }
        for reject in &batch.rejects {
            self.rejected.push((reject.attributes.id.as_ref().map(ToString::to_string), reject.reason));
        }
        self.conflicts += columns.conflicts.len();
    }
}

/// What a group earned on a day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Day {
    pub(crate) events: u64,
    pub(crate) first: i64,
    pub(crate) last: i64,
    /// In `10^-12`.
    pub(crate) quantity: i128,
    pub(crate) cumulative_quantity: i128,
    /// In `10^-18`.
    pub(crate) amount: i128,
    pub(crate) cumulative_amount: i128,
    pub(crate) net_minor_units: i128,
}

/// The accruals of running totals, by group and day.
pub(crate) fn accruals(totals: &RunningTotals) -> Accruals {
    try_accruals(totals).unwrap().0
}

/// Days by group and date.
pub(crate) type Accruals = BTreeMap<GroupKey, BTreeMap<i32, Day>>;

/// The same with their revisions, where a total may be too large.
pub(crate) fn try_accruals(totals: &RunningTotals) -> Result<(Accruals, Revisions), Overflow> {
    let mut groups: BTreeMap<GroupKey, BTreeMap<i32, Day>> = BTreeMap::new();
    let plan = AccrualPlan::new(totals);
    let revisions = plan.accrue::<Overflow>(totals, 0..plan.len(), |made| {
        for (group, day) in made.iter().flat_map(|group| group.days().iter().map(move |day| (group, day))) {
            let days = groups.entry((group.line, group.meter, group.period_start)).or_default();
            let known = days.insert(
                day.service_day,
                Day {
                    events: day.event_count,
                    first: day.first_event_time,
                    last: day.last_event_time,
                    quantity: day.quantity,
                    cumulative_quantity: day.cumulative_quantity,
                    amount: day.amount.units(),
                    cumulative_amount: day.cumulative_amount.units(),
                    net_minor_units: day.net_minor_units,
                },
            );
            assert!(known.is_none(), "a day of a group is one accrual");
        }
        Ok(())
    })?;
    Ok((groups, revisions))
}
