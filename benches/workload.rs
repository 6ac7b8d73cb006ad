//! The workload all benchmarks run on, generated once.

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use ingest::decoder::Decoder;
use ingest::event_batch::EventBatch;
use ingest::input::{Input, find_inputs};
use ingest::interner::Interner;
use ingest::keyed_hash::HashKey;
use ingest::metering::MeteringPlan;
use ingest::reader::Reader;
use rating::catalog::Catalog;
use tallybook::generate::{GeneratePlan, Truth, generate};
use tempfile::TempDir;

/// Events of the workload.
pub(crate) const EVENTS: u64 = 200_000;

/// Its name among the axes.
pub(crate) const EVENTS_AXIS: &str = "events=200k";

/// A generated workload.
pub(crate) struct Workload {
    pub(crate) directory: TempDir,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) inputs: Vec<Input>,
    pub(crate) truth: Truth,
}

/// The workload.
pub(crate) fn workload() -> &'static Workload {
    static WORKLOAD: OnceLock<Workload> = OnceLock::new();
    WORKLOAD.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("workload");
        let plan = GeneratePlan { events: EVENTS, accounts: 20_000, seed: 42, output: output.clone() };
        let truth = generate(&plan, |_| ()).unwrap().truth;
        let catalog = Arc::new(tallybook::catalog::load(&output.join("catalog")).unwrap());
        let inputs = find_inputs(&[output.join("usage").display().to_string()], &[], None).unwrap();
        Workload { directory, catalog, inputs, truth }
    })
}

impl Workload {
    /// A directory nothing is in yet.
    pub(crate) fn scratch(&self) -> PathBuf {
        tempfile::tempdir_in(self.directory.path()).unwrap().keep().join("results")
    }
}

/// Decodes inputs into batches, one after another, telling `take` of each.
pub(crate) fn decode(inputs: Vec<Input>, catalog: &Catalog, mut take: impl FnMut(EventBatch)) {
    let metering = Arc::new(MeteringPlan::new(catalog.meters()));
    let mut accounts = Interner::new(0);
    for account in catalog.accounts() {
        accounts.intern(account.as_str().as_bytes());
    }
    let mappings = catalog.csv_mappings().to_vec();
    let inputs = inputs.into_iter().map(|input| (input, None)).collect();
    let mut reader = Reader::new(inputs, mappings, Arc::clone(&metering), Arc::new(AtomicU64::new(0)));
    let dimensions = metering.dimensions().len();
    let mut decoder = Decoder::new(0, metering, Arc::new(accounts), HashKey::fixed(7));
    loop {
        let mut batch = EventBatch::new(dimensions);
        let Some(records) = reader.next(&mut batch).unwrap() else { return };
        decoder.decode(&mut batch, &records);
        take(batch);
    }
}
