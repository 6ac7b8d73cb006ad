//! Quarantined records, decided again: a catalog that was mended since may make events of them, and give them prices.
//!
//! It is a commit like others: what is settled, its rows and its accruals are one epoch, or nothing is. Records that
//! are still refused stay as they are, and are in no epoch. An event that was rejected is admitted as any other
//! (DEDUP-1); one that was counted without a price gets what it lacked, and is not counted again (CONS-1).
//! A conflict stays one: its identity is that of another event.
//!
//! IMPORTANT: whoever chooses the records holds the directory open to write, so that no record is settled by
//! another between reading and committing.

mod decide;

use std::sync::Arc;

use ingest::decoder::Decoder;
use ingest::event_batch::EventBatch;
use ingest::interner::Interner;
use ingest::metering::MeteringPlan;
use ingest::replay::{QuarantinedRecord, Replay, RowOrigin};
use rating::catalog::Catalog;
use schemas::epoch::{Epoch, SettledOutcome, SettledRecord};
use schemas::quarantine::{CONFLICT, QuarantineRecord, RejectReason, UnratedReason};

use crate::error::AggregateError;
use crate::live::LiveWriter;
use crate::partition::Partition;
pub(crate) use decide::EventProgress;

/// A record of quarantine that is not settled.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenRecord {
    /// The record.
    pub record: QuarantineRecord,
    /// Of an unrated one, how many records of its event are open: each is a usage without a price.
    pub open_of_event: u64,
}

/// What became of a record that was decided again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It needs no more care.
    Settled(SettledOutcome),
    /// It stays as it is.
    Open(StillOpen),
}

/// Why a record stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StillOpen {
    /// It is no valid event.
    Rejected(RejectReason),
    /// It has no price.
    Unrated(UnratedReason),
    /// Its identity is that of another event.
    Conflict,
    /// It would be read with another source or id than it was counted with.
    OtherEvent,
}

impl StillOpen {
    /// The reason in one word.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Rejected(reason) => reason.code(),
            Self::Unrated(reason) => reason.code(),
            Self::Conflict => CONFLICT,
            Self::OtherEvent => "other_event",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn mend(self) -> &'static str {
        match self {
            Self::Rejected(reason) => reason.mend(),
            Self::Unrated(reason) => reason.mend(),
            Self::Conflict => schemas::quarantine::CONFLICT_MEND,
            Self::OtherEvent => {
                "let the csv_mapping read the source and the id that the event was counted with"
            }
        }
    }
}

/// What became of records.
#[derive(Debug)]
pub struct Replayed {
    /// The epoch that settled some; none where nothing was settled.
    pub epoch: Option<Epoch>,
    /// What became of each.
    pub fates: Vec<Fate>,
}

/// Decides quarantined records again, for a writer.
#[derive(Debug)]
pub struct Redecider {
    catalog: Arc<Catalog>,
    plan: Arc<MeteringPlan>,
    decoder: Decoder,
    batch: EventBatch,
    event: EventProgress,
}

impl Redecider {
    /// Decides for a writer, under the catalog that is in force there.
    #[must_use]
    pub fn new(writer: &mut LiveWriter) -> Self {
        let number = writer.add_decoder();
        let partition = writer.partition();
        let catalog = Arc::clone(partition.catalog());
        let plan = Arc::new(MeteringPlan::new(catalog.meters()));
        let accounts = Arc::new(number_accounts(&catalog));
        let decoder = Decoder::new(number, Arc::clone(&plan), accounts, *partition.directory().key());
        let batch = EventBatch::new(plan.dimensions().len());
        Self { catalog, plan, decoder, batch, event: EventProgress::default() }
    }

    /// Begins with other records: what was settled of an event before is not counted for it any more.
    pub fn begin(&mut self) {
        self.event = EventProgress::default();
    }

    /// Decides records again, and commits what became of them as one epoch. They come in the order of their ids,
    /// and are open; nothing was decided since the last commit.
    ///
    /// # Errors
    /// [`AggregateError`]; nothing of these records is committed then, and nothing more can be decided.
    pub fn replay(
        &mut self,
        writer: &mut LiveWriter,
        records: &[OpenRecord],
    ) -> Result<Replayed, AggregateError> {
        let kept: Vec<QuarantinedRecord<'_>> = records.iter().map(|open| kept(&open.record)).collect();
        let mut replay = Replay::new(&kept, self.catalog.csv_mappings(), Arc::clone(&self.plan));
        // What nobody decides stays: conflicts.
        let mut fates = vec![Fate::Open(StillOpen::Conflict); records.len()];
        while let Some(layout) = replay.next(&mut self.batch) {
            self.decoder.decode(&mut self.batch, &layout);
            let batch = std::mem::take(&mut self.batch);
            self.batch = writer.decide_again(batch, records, &mut self.event, &mut fates)?;
        }
        let settled: Vec<SettledRecord> = records
            .iter()
            .zip(&fates)
            .filter_map(|(open, fate)| match fate {
                Fate::Settled(outcome) => Some(SettledRecord {
                    quarantine_id: open.record.quarantine_id.clone(),
                    outcome: *outcome,
                }),
                Fate::Open(_) => None,
            })
            .collect();
        let epoch = if settled.is_empty() { None } else { writer.commit_replay(settled)? };
        Ok(Replayed { epoch, fates })
    }
}

/// A partition that decides quarantined records again.
pub struct Replayer {
    writer: LiveWriter,
    redecider: Redecider,
}

impl Replayer {
    /// Goes on with a partition, under the catalog it was opened with.
    ///
    /// # Errors
    /// [`AggregateError`].
    pub fn new(partition: Partition) -> Result<Self, AggregateError> {
        let mut writer = LiveWriter::new(partition, Vec::new())?;
        let redecider = Redecider::new(&mut writer);
        Ok(Self { writer, redecider })
    }

    /// Decides records again; see [`Redecider::replay`].
    ///
    /// # Errors
    /// [`AggregateError`]; nothing of these records is committed then, and nothing more can be decided.
    pub fn replay(&mut self, records: &[OpenRecord]) -> Result<Replayed, AggregateError> {
        self.redecider.replay(&mut self.writer, records)
    }

    /// The partition.
    #[must_use]
    pub const fn partition(&self) -> &Partition {
        self.writer.partition()
    }

    /// Ends replaying.
    #[must_use]
    pub fn into_partition(self) -> Partition {
        self.writer.into_partition()
    }
}

/// A record as it is read again.
pub(crate) fn kept(record: &QuarantineRecord) -> QuarantinedRecord<'_> {
    let row = record.csv_mapping.as_deref().zip(record.csv_header.as_deref());
    QuarantinedRecord {
        bytes: &record.bytes,
        length: record.length,
        input: &record.input,
        line: record.line.unwrap_or(0),
        row: row.map(|(mapping, header)| RowOrigin { mapping, header }),
    }
}

/// The accounts of a catalog, by number, as decoders take them.
#[must_use]
pub fn number_accounts(catalog: &Catalog) -> Interner {
    let mut accounts = Interner::new(0);
    for account in catalog.accounts() {
        accounts.intern(account.as_str().as_bytes());
    }
    accounts
}
