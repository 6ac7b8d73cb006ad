//! The program that is put to the test: a data directory, its partition, a writer and a decoder.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use aggregate::clock::Clock;
use aggregate::compaction::{CompactionLimits, compact};
use aggregate::data_directory::{DataDirectory, DirectoryError};
use aggregate::decider::DecidedBatch;
use aggregate::delta::{DeltaTable, RETENTION_MS};
use aggregate::disk::Disk;
use aggregate::error::AggregateError;
use aggregate::live::LiveWriter;
use aggregate::maintenance::{Maintained, Maintenance};
use aggregate::partition::{Catalogs, Partition, PartitionOptions};
use aggregate::snapshot::{SnapshotLimits, SnapshotTable};
use ingest::decoder::{Decoder, Records};
use ingest::event_batch::EventBatch;
use ingest::interner::Interner;
use ingest::keyed_hash::HashKey;
use ingest::metering::MeteringPlan;
use rating::catalog::Catalog;
use schemas::epoch::{ContentHash, InputFile, InputProgress};
use schemas::timestamp::Timestamp;

use crate::catalog::compiled;
use crate::disk::SimDisk;
use crate::history::{FILE, Verdict};
use crate::subject::{Batch, Process, Program, Stop, Work};

/// Small, so that a schedule sees many segments and contents that are files of their own.
const OPTIONS: PartitionOptions = PartitionOptions {
    partition: 0,
    decoders: 1,
    identity_bytes_max: 1 << 30,
    horizon_months: 13,
    segment_bytes: 50_000,
    inline_bytes_max: 6_000,
};

/// Joins whatever can be joined.
const JOIN_ALL: CompactionLimits =
    CompactionLimits { small_bytes: 1 << 30, small_files_min: 2, joined_bytes_max: 1 << 30 };

/// The catalogs that are in force in turn; they say the same.
const CATALOGS: [ContentHash; 2] = [ContentHash([7; 32]), ContentHash([8; 32])];

/// The program, with its catalog.
pub(crate) struct Tallybook {
    catalog: Arc<Catalog>,
    plan: Arc<MeteringPlan>,
    accounts: Arc<Interner>,
    options: PartitionOptions,
}

impl Tallybook {
    pub(crate) fn new() -> Self {
        let catalog = compiled();
        let mut accounts = Interner::new(3);
        for account in catalog.accounts() {
            accounts.intern(account.as_str().as_bytes());
        }
        let plan = Arc::new(MeteringPlan::new(catalog.meters()));
        Self { catalog, plan, accounts: Arc::new(accounts), options: OPTIONS }
    }
}

/// The catalog there is.
struct OneCatalog<'a>(&'a Arc<Catalog>);

impl Catalogs for OneCatalog<'_> {
    fn load(&self, hash: &ContentHash) -> Result<Arc<Catalog>, String> {
        if CATALOGS.contains(hash) {
            Ok(Arc::clone(self.0))
        } else {
            Err("there is no such catalog".to_owned())
        }
    }
}

/// A clock that stands until it is set.
#[derive(Debug, Default)]
struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

impl Program for Tallybook {
    type Process = TallybookProcess;

    fn open(&self, disk: &SimDisk, now: i64) -> Result<TallybookProcess, Stop> {
        self.open_on(&(Arc::new(disk.clone()) as Arc<dyn Disk>), disk, now)
    }
}

impl Tallybook {
    /// Opens the data directory of any disk, in a process of a machine.
    pub(crate) fn open_on(
        &self,
        disk: &Arc<dyn Disk>,
        process: &SimDisk,
        now: i64,
    ) -> Result<TallybookProcess, Stop> {
        let mut draw = || Ok(HashKey::fixed(process.draw()));
        let directory = DataDirectory::open_drawing(disk, &mut draw).map_err(|error| stop(error.into()))?;
        let clock = Arc::new(SetClock(now.into()));
        let in_force = (CATALOGS[0], Arc::clone(&self.catalog));
        let catalogs = OneCatalog(&self.catalog);
        let told: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
        let opened = Partition::open(Arc::new(directory), &catalogs, in_force, told, self.options);
        let (mut partition, _) = opened.map_err(stop)?;
        partition.record_catalog().map_err(stop)?;
        let key = *partition.directory().key();
        let names = (Arc::clone(&self.plan), Arc::clone(&self.accounts), key);
        let decoder = decoder(&names);
        let positions = &partition.committer.standing().positions;
        let position = positions.of(&file()).unwrap_or_default();
        let writer = LiveWriter::new(partition, vec![FILE.to_owned()]).map_err(stop)?;
        let batch = EventBatch::new(self.plan.dimensions().len());
        Ok(TallybookProcess {
            writer,
            names,
            decoder,
            batch,
            clock,
            read: None,
            following: None,
            position: position.offset,
            line: position.line,
        })
    }
}

/// What a decoder works by.
type Names = (Arc<MeteringPlan>, Arc<Interner>, HashKey);

fn decoder((plan, accounts, key): &Names) -> Decoder {
    Decoder::new(0, Arc::clone(plan), Arc::clone(accounts), *key)
}

/// Tables that follow while epochs are committed.
enum Following {
    Begun(Box<Maintenance>),
    Done(Box<Maintained>),
}

pub(crate) struct TallybookProcess {
    writer: LiveWriter,
    names: Names,
    decoder: Decoder,
    batch: EventBatch,
    clock: Arc<SetClock>,
    /// What was read of the file since the last commit.
    read: Option<InputProgress>,
    following: Option<Following>,
    position: u64,
    line: u64,
}

fn file() -> InputFile {
    InputFile { path: FILE.to_owned(), bytes: 0, modified_ns: 0 }
}

impl Process for TallybookProcess {
    fn file_position(&self) -> u64 {
        self.position
    }

    fn send(&mut self, batch: &Batch) -> Result<Vec<Verdict>, Stop> {
        let lines: Vec<&[u8]> = batch.events.iter().map(|event| event.bytes.as_slice()).collect();
        let mut events = std::mem::take(&mut self.batch);
        events.fill(&lines.join(&b"\n"[..]));
        self.decoder.decode(&mut events, &Records::Lines);
        if let Some((from, to, is_complete)) = batch.place {
            (events.origin.input, events.origin.offset, events.origin.line) = (0, from, self.line + 1);
            self.line += batch.events.len() as u64;
            let read = self.read.get_or_insert_with(|| InputProgress {
                input: FILE.to_owned(),
                file: Some(file()),
                from_offset: from,
                to_offset: from,
                to_line: 0,
                is_complete: false,
            });
            (read.to_offset, read.to_line, read.is_complete) = (to, self.line, is_complete);
        }
        let mut verdicts = Vec::new();
        let decided = self.writer.decide(events, |decided| verdicts = verdicts_of(decided));
        self.batch = decided.map_err(stop)?;
        assert_eq!(verdicts.len(), batch.events.len(), "an event without a verdict");
        Ok(verdicts)
    }

    fn commit(&mut self, is_accrued: bool, now: i64) -> Result<(), Stop> {
        self.clock.0.store(now, Ordering::SeqCst);
        let read = self.read.take();
        self.writer.commit(read.into_iter().collect(), is_accrued).map_err(stop)?;
        // What fails is done again later.
        self.following = match self.following.take() {
            Some(Following::Begun(begun)) => Some(Following::Done(Box::new(begun.run()))),
            Some(Following::Done(done)) => {
                let _ = self.writer.end_maintenance(*done);
                None
            }
            None => None,
        };
        Ok(())
    }

    fn maintain(&mut self, work: Work, now: i64) -> Result<(), Stop> {
        self.clock.0.store(now, Ordering::SeqCst);
        self.follow_to_the_end()?;
        match work {
            Work::Checkpoint => match self.writer.checkpoint() {
                Err(AggregateError::NotCommitted) => Ok(()),
                done => done.map_err(stop),
            },
            Work::Snapshot => self.snapshot(),
            Work::Follow => {
                let begun = self.writer.begin_maintenance(SnapshotLimits::NOTHING).map_err(stop)?;
                self.following = Some(Following::Begun(Box::new(begun)));
                Ok(())
            }
            Work::Compact => self.compact(now),
            // Long after what is removed was needed.
            Work::Remove => {
                self.clock.0.fetch_add(2 * RETENTION_MS * 1_000, Ordering::SeqCst);
                self.snapshot()
            }
            Work::ChangeCatalog => self.change_catalog(),
        }
    }

    fn close(self) -> Result<(), Stop> {
        drop(self.writer.into_partition());
        Ok(())
    }
}

impl TallybookProcess {
    /// Ends what goes on beside commits.
    fn follow_to_the_end(&mut self) -> Result<(), Stop> {
        let done = match self.following.take() {
            Some(Following::Begun(begun)) => begun.run(),
            Some(Following::Done(done)) => *done,
            None => return Ok(()),
        };
        self.writer.end_maintenance(done).map(drop).map_err(stop)
    }

    fn snapshot(&mut self) -> Result<(), Stop> {
        self.writer.snapshot(SnapshotLimits::NOTHING).map(drop).map_err(stop)
    }

    fn change_catalog(&mut self) -> Result<(), Stop> {
        let partition = self.writer.partition();
        let (in_force, catalog) = (partition.committer.catalog(), Arc::clone(partition.catalog()));
        let next = CATALOGS.into_iter().find(|hash| *hash != in_force).unwrap_or(in_force);
        match self.writer.change_catalog((next, catalog), 1) {
            // There is usage that is decided and not committed.
            Err(AggregateError::NotCommitted) => Ok(()),
            changed => {
                changed.map_err(stop)?;
                self.decoder = decoder(&self.names);
                Ok(())
            }
        }
    }

    fn compact(&self, now: i64) -> Result<(), Stop> {
        let disk = self.writer.partition().directory().disk();
        let now = Timestamp::from_micros(now);
        for table in SnapshotTable::ALL {
            let Some(mut table) = DeltaTable::recover(&**disk, &table.directory()).map_err(stop)? else {
                continue;
            };
            compact(&mut table, JOIN_ALL, now).map_err(stop)?;
        }
        Ok(())
    }
}

/// What became of the lines of a batch.
fn verdicts_of(decided: &DecidedBatch) -> Vec<Verdict> {
    let of_event = |position: usize| {
        let is_in = |list: &[u32]| list.iter().any(|event| *event as usize == position);
        if is_in(&decided.too_old) {
            Verdict::Rejected
        } else if is_in(&decided.conflicts) {
            Verdict::Conflict
        } else if is_in(&decided.rated.event)
            || decided.unrated.iter().any(|unrated| unrated.event as usize == position)
        {
            Verdict::Accepted
        } else {
            Verdict::Duplicate
        }
    };
    let events = decided.batch.events.text.iter().enumerate();
    let mut by_line: Vec<(u32, Verdict)> =
        events.map(|(position, text)| (text.span.line, of_event(position))).collect();
    by_line.extend(decided.batch.rejects.iter().map(|reject| (reject.span.line, Verdict::Rejected)));
    by_line.sort_by_key(|(line, _)| *line);
    by_line.into_iter().map(|(_, verdict)| verdict).collect()
}

#[expect(clippy::needless_pass_by_value, reason = "it is what results are mapped with")]
fn stop(error: AggregateError) -> Stop {
    let text = error.to_string();
    match &error {
        AggregateError::Directory(DirectoryError::Busy(_)) => Stop::Busy,
        AggregateError::Stopped => Stop::Failed(text),
        error if error.is_storage() => Stop::Failed(text),
        _ => Stop::Corrupt(text),
    }
}
