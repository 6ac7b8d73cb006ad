//! Partitions: what is committed is there after opening again, once, and goes on as if nothing had happened.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use aggregate::books::Books;
use aggregate::clock::{Clock, SystemClock};
use aggregate::data_directory::{DataDirectory, directory_disk};
use aggregate::ledger::SealedEpoch;
use aggregate::live::LiveWriter;
use aggregate::partition::{Catalogs, Partition, PartitionOptions, Recovered};
use aggregate::snapshot::SnapshotLimits;
use ingest::decoder::Decoder;
use ingest::event_batch::{EventBatch, LineCount};
use ingest::input::Input;
use ingest::interner::Interner;
use ingest::metering::MeteringPlan;
use ingest::reader::Reader;
use proptest::prelude::*;
use rating::catalog::Catalog;
use schemas::epoch::{ContentHash, Epoch};

use crate::random::Random;
use crate::random_catalog::random_catalog;
use crate::running_totals::{cases, event, line_of};

/// One catalog, whatever its hash.
pub(crate) struct OneCatalog(pub(crate) Arc<Catalog>);

impl Catalogs for OneCatalog {
    fn load(&self, _: &ContentHash) -> Result<Arc<Catalog>, String> {
        Ok(Arc::clone(&self.0))
    }
}

pub(crate) const HASH: ContentHash = ContentHash([7; 32]);

pub(crate) fn open(
    place: &Path,
    catalog: &Arc<Catalog>,
    options: PartitionOptions,
) -> (Partition, Recovered) {
    let directory = Arc::new(DataDirectory::open(&directory_disk(place)).unwrap());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let in_force = (HASH, Arc::clone(catalog));
    Partition::open(directory, &OneCatalog(Arc::clone(catalog)), in_force, clock, options).unwrap()
}

/// A writer and the decoder it understands.
pub(crate) struct Writing {
    pub(crate) writer: LiveWriter,
    decoder: Decoder,
    plan: Arc<MeteringPlan>,
}

impl Writing {
    pub(crate) fn new(partition: Partition) -> Self {
        let catalog = Arc::clone(partition.catalog());
        let plan = Arc::new(MeteringPlan::new(catalog.meters()));
        let mut accounts = Interner::new(3);
        for account in catalog.accounts() {
            accounts.intern(account.as_str().as_bytes());
        }
        let key = *partition.directory().key();
        let decoder = Decoder::new(0, Arc::clone(&plan), Arc::new(accounts), key);
        Self { writer: LiveWriter::new(partition, Vec::new()).unwrap(), decoder, plan }
    }

    /// Decides lines and commits them as an epoch.
    pub(crate) fn commit(&mut self, lines: &[String], with_accruals: bool) -> Option<Epoch> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), lines.join("\n")).unwrap();
        let input = Input::file(file.path().to_owned(), None);
        let plan = Arc::clone(&self.plan);
        let mut reader = Reader::new(vec![(input, None)], Vec::new(), plan, Arc::default());
        let mut batch = EventBatch::new(self.plan.dimensions().len());
        let mut counted = LineCount::default();
        while let Some(records) = reader.next(&mut batch).unwrap() {
            self.decoder.decode(&mut batch, &records);
            counted.place(&mut batch);
            batch = self.writer.decide(batch, |_| ()).unwrap();
        }
        self.writer.commit(Vec::new(), with_accruals).unwrap()
    }
}

pub(crate) fn state(partition: &Partition) -> Vec<u8> {
    partition.state().unwrap()
}

/// All epochs, without what is the machine's.
pub(crate) fn epochs(partition: &Partition) -> Vec<SealedEpoch> {
    let mut epochs = Vec::new();
    partition
        .committer
        .ledger()
        .reader()
        .read(1, |sealed: SealedEpoch| {
            epochs.push(sealed);
            Ok::<_, aggregate::error::AggregateError>(())
        })
        .unwrap();
    epochs
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(24), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ack_1_dedup_1_what_is_committed_is_there_after_opening_again_and_goes_on_the_same(
        book in any::<u64>(),
        seeds in prop::collection::vec(any::<u64>(), 1..120),
        cuts in prop::collection::vec(0usize..120, 1..8),
        seed in any::<u64>(),
    ) {
        let random = &mut Random::new(seed);
        let catalog = random_catalog(book);
        let lines: Vec<String> =
            seeds.iter().enumerate().map(|(id, seed)| line_of(&event(id, *seed))).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (lines.len() + 1)).collect();
        cuts.push(lines.len());
        cuts.sort_unstable();
        // One directory is open all the time, the other is opened anew after every epoch.
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let options = PartitionOptions { segment_bytes: 20_000, ..PartitionOptions::default() };
        let mut steady = Writing::new(open(one.path(), &catalog, options).0);
        std::fs::copy(one.path().join("identity.key"), other.path().join("identity.key")).unwrap();
        let mut from = 0usize;
        for to in cuts {
            // Some events again: they count once.
            let again = from.saturating_sub(random.below(4));
            let part = &lines[again..to];
            from = to;
            let with_accruals = random.below(2) == 0;
            let expected = steady.commit(part, with_accruals);
            let mut anew = Writing::new(open(other.path(), &catalog, options).0);
            let got = anew.commit(part, with_accruals);
            let mut writer = anew.writer;
            let counts = |epoch: &Option<Epoch>| epoch.as_ref().map(|epoch| (epoch.counts, epoch.rated.clone(), epoch.accrued.clone(), epoch.new_texts.clone()));
            prop_assert_eq!(counts(&expected), counts(&got));
            match random.below(4) {
                0 => writer.checkpoint().unwrap(),
                1 => { writer.snapshot(SnapshotLimits::NOTHING).unwrap(); }
                2 => { writer.maintain(SnapshotLimits::NOTHING).unwrap(); }
                _ => {}
            }
            prop_assert!(state(writer.partition()) == state(steady.writer.partition()), "the states differ");
        }
        let (partition, _) = open(other.path(), &catalog, options);
        prop_assert!(state(&partition) == state(steady.writer.partition()), "the states differ in the end");
        prop_assert_eq!(&partition.committer.standing().books, &steady.writer.partition().committer.standing().books);
        // The books are what the epochs say.
        let mut books = Books { is_accrued: true, ..Books::default() };
        let mut numbers = BTreeMap::new();
        for sealed in epochs(steady.writer.partition()) {
            books.add(&sealed.epoch).unwrap();
            *numbers.entry(sealed.epoch.epoch).or_insert(0) += 1;
        }
        prop_assert_eq!(&books, &steady.writer.partition().committer.standing().books);
        prop_assert!(numbers.values().all(|count| *count == 1));
    }
}
