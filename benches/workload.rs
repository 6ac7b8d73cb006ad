//! The workload all benchmarks run on, generated once.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use aggregate::clock::SystemClock;
use aggregate::data_directory::{DataDirectory, directory_disk};
use aggregate::partition::{Partition, PartitionOptions, Recovered};
use aggregate::snapshot::SnapshotLimits;
use ingest::decoder::Decoder;
use ingest::event_batch::EventBatch;
use ingest::input::{Input, find_inputs};
use ingest::interner::Interner;
use ingest::keyed_hash::HashKey;
use ingest::metering::MeteringPlan;
use ingest::reader::Reader;
use rating::catalog::Catalog;
use tallybook::catalog::compile_files;
use tallybook::catalog::files::{CatalogArchive, CatalogFiles};
use tallybook::catalog::store::CatalogStore;
use tallybook::generate::{GeneratePlan, Truth, generate};
use tallybook::pipeline::{EPOCH_EVENTS, RunPlan, run};
use tallybook::progress::Progress;
use tallybook::report::RunReport;
use tempfile::TempDir;

/// Events of the workload.
pub(crate) const EVENTS: u64 = 200_000;

/// Its name among the axes.
pub(crate) const EVENTS_AXIS: &str = "events=200k";

/// A generated workload.
pub(crate) struct Workload {
    pub(crate) directory: TempDir,
    pub(crate) catalog: Arc<Catalog>,
    archive: CatalogArchive,
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
        let files = CatalogFiles::read(&output.join("catalog")).unwrap();
        let (catalog, archive) = (Arc::new(compile_files(&files).unwrap()), files.archive().unwrap());
        let inputs = find_inputs(&[output.join("usage").display().to_string()], &[], None).unwrap();
        Workload { directory, catalog, archive, inputs, truth }
    })
}

impl Workload {
    /// A directory nothing is in yet.
    pub(crate) fn scratch(&self) -> PathBuf {
        tempfile::tempdir_in(self.directory.path()).unwrap().keep().join("data")
    }

    /// Opens a data directory under the catalog.
    pub(crate) fn open(&self, data: &Path, decoders: usize) -> (Partition, Recovered) {
        let directory = Arc::new(DataDirectory::open(&directory_disk(data)).unwrap());
        let catalogs = CatalogStore::new(directory.disk());
        let in_force = (self.archive.hash, Arc::clone(&self.catalog));
        let options = PartitionOptions { decoders, ..PartitionOptions::default() };
        let opened = Partition::open(directory, &catalogs, in_force, Arc::new(SystemClock), options).unwrap();
        catalogs.keep(&self.archive).unwrap();
        opened
    }

    /// Runs its inputs into a data directory, as the program does.
    pub(crate) fn run(&self, data: &Path, decoders: usize) -> RunReport {
        let (mut partition, _) = self.open(data, decoders);
        let plan = RunPlan { inputs: self.inputs.clone(), decoders, epoch_events: EPOCH_EVENTS };
        let report = run(&plan, &mut partition, &Progress::default()).unwrap();
        partition.maintain(SnapshotLimits::NOTHING).unwrap();
        report
    }
}

/// The accounts of a catalog, numbered as decoders know them.
pub(crate) fn number_accounts(catalog: &Catalog) -> Interner {
    let mut accounts = Interner::new(0);
    for account in catalog.accounts() {
        accounts.intern(account.as_str().as_bytes());
    }
    accounts
}

/// Decodes inputs into batches, one after another, telling `take` of each.
pub(crate) fn decode(inputs: Vec<Input>, catalog: &Catalog, mut take: impl FnMut(EventBatch)) {
    let metering = Arc::new(MeteringPlan::new(catalog.meters()));
    let accounts = number_accounts(catalog);
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
