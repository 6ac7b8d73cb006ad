//! What is known of where rows are: the files of the table, and the epochs of the ledger that it does not have yet.

use std::collections::VecDeque;
use std::sync::Arc;

use schemas::epoch::Epoch;

use super::files::{FileSpan, Files, Sellers};
use crate::delta::{DeltaTable, ParquetBytes, ParquetSource};
use crate::disk::Disk;
use crate::error::AggregateError;
use crate::ledger::{ContentPlace, LedgerIdentity, LedgerTail};

/// Epochs with rows that are looked for in the ledger before the table is asked again whether it has them.
const RECENT_MAX: usize = 512;

/// An epoch with rows that the table does not have yet.
#[derive(Debug)]
pub(super) struct RecentEpoch {
    pub(super) epoch: u64,
    pub(super) rows: u64,
    pub(super) contents: Vec<RecentContent>,
    pub(super) sellers: Sellers,
}

/// Rows of an epoch.
#[derive(Clone, Debug)]
pub(super) struct RecentContent {
    pub(super) rows: u64,
    place: RecentPlace,
}

#[derive(Clone, Debug)]
enum RecentPlace {
    File(String),
    Ledger(ContentPlace),
}

/// Where rows are, up to the last epoch of the tail.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) files: Arc<Vec<FileSpan>>,
    /// In order.
    pub(super) recent: VecDeque<Arc<RecentEpoch>>,
    tail: LedgerTail,
    /// So many recent epochs make the table be asked again.
    ask_at: usize,
}

impl RecentContent {
    /// Opens the rows.
    pub(super) fn open(
        &self,
        disk: &dyn Disk,
        identity: &LedgerIdentity,
    ) -> Result<ParquetSource, AggregateError> {
        match &self.place {
            RecentPlace::File(name) => ParquetSource::open(disk, name),
            RecentPlace::Ledger(place) => {
                let bytes = place.read(disk, identity)?;
                ParquetSource::read(disk, "ledger", ParquetBytes::Memory(bytes.into()))
            }
        }
    }
}

impl Known {
    /// What the table says.
    pub(super) fn load(
        disk: &Arc<dyn Disk>,
        identity: &LedgerIdentity,
        files: &Files,
    ) -> Result<Self, AggregateError> {
        let (spans, last) = table(disk, identity, files)?;
        let tail = LedgerTail::after(disk, identity.clone(), last);
        Ok(Self { files: Arc::new(spans), recent: VecDeque::new(), tail, ask_at: RECENT_MAX })
    }

    /// Learns the epochs up to one that is committed.
    pub(super) fn follow(
        &mut self,
        disk: &Arc<dyn Disk>,
        identity: &LedgerIdentity,
        files: &Files,
        committed: u64,
    ) -> Result<(), AggregateError> {
        let Self { recent, tail, .. } = self;
        if tail.last() < committed {
            tail.read_to(committed, |epoch: Epoch, places| {
                if let Some(epoch) = recent_epoch(&**disk, identity, files, &epoch, places)? {
                    recent.push_back(Arc::new(epoch));
                }
                Ok::<_, AggregateError>(())
            })?;
        }
        if self.recent.len() >= self.ask_at {
            let (spans, last) = table(disk, identity, files)?;
            self.files = Arc::new(spans);
            self.recent.retain(|recent| recent.epoch > last);
            // A table that lags is not asked for every epoch.
            self.ask_at = RECENT_MAX.max(self.recent.len().saturating_mul(2));
        }
        Ok(())
    }
}

/// The files of the table, and its last epoch.
fn table(
    disk: &Arc<dyn Disk>,
    identity: &LedgerIdentity,
    files: &Files,
) -> Result<(Vec<FileSpan>, u64), AggregateError> {
    let Some(table) = DeltaTable::load(&**disk, &files.kind.snapshot().directory())? else {
        return Ok((Vec::new(), 0));
    };
    let last = table.last_epoch(&identity.ledger_id, identity.partition);
    Ok((files.spans(&table)?, last.unwrap_or(0)))
}

/// The rows of an epoch; `None` if it has none.
fn recent_epoch(
    disk: &dyn Disk,
    identity: &LedgerIdentity,
    files: &Files,
    epoch: &Epoch,
    places: &[ContentPlace],
) -> Result<Option<RecentEpoch>, AggregateError> {
    let kind = files.kind.snapshot().content();
    let mut places = places.iter();
    let mut contents = Vec::new();
    for content in &epoch.contents {
        let place = match &content.file {
            Some(name) => Some(RecentPlace::File(name.clone())),
            None => places.next().copied().map(RecentPlace::Ledger),
        };
        if let Some(place) = place
            && Some(content.kind) == kind
            && content.rows > 0
        {
            contents.push(RecentContent { rows: content.rows, place });
        }
    }
    if contents.is_empty() {
        return Ok(None);
    }
    let mut sellers = Sellers::new();
    if files.kind == super::super::ExportTable::Accruals {
        for content in &contents {
            for run in files.runs(&content.open(disk, identity)?)? {
                super::files::add(&mut sellers, &run.sellers);
            }
        }
    }
    let rows = contents.iter().map(|content| content.rows).sum();
    Ok(Some(RecentEpoch { epoch: epoch.epoch, rows, contents, sellers }))
}
