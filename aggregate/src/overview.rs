//! A data directory at a glance: what is in it, and how far each part has come.

use schemas::timestamp::Timestamp;
use serde::Serialize;

use crate::books::Books;
use crate::checkpoint;
use crate::committer::identity_run;
use crate::data_directory::DataDirectory;
use crate::delta::DeltaTable;
use crate::error::AggregateError;
use crate::ledger::{LedgerReader, SealedEpoch};
use crate::readers;
use crate::snapshot::SnapshotTable;

/// What is in a data directory.
#[derive(Clone, Debug, Serialize)]
pub struct Overview {
    /// The ledger.
    pub ledger_id: String,
    /// First epoch that the ledger has; those before it are in the tables.
    pub oldest_epoch: Option<u64>,
    /// Last epoch; 0 before the first.
    pub last_epoch: u64,
    /// When it was committed.
    pub last_recorded_at: Option<Timestamp>,
    /// Segments of the ledger, the oldest first.
    pub segments: Vec<SegmentOverview>,
    /// Checkpoints, the oldest first.
    pub checkpoints: Vec<CheckpointOverview>,
    /// Runs that hold the identities of events, by name.
    pub identity_runs: Vec<String>,
    /// Tables.
    pub tables: Vec<TableOverview>,
    /// Readers of the ledger.
    pub readers: Vec<ReaderOverview>,
    /// What all epochs add up to; absent where no sound checkpoint says what those that are gone were.
    pub books: Option<Books>,
}

/// A segment of the ledger.
#[derive(Clone, Debug, Serialize)]
pub struct SegmentOverview {
    /// First epoch.
    pub first_epoch: u64,
    /// Its length.
    pub bytes: u64,
}

/// A checkpoint.
#[derive(Clone, Debug, Serialize)]
pub struct CheckpointOverview {
    /// Its epoch.
    pub epoch: u64,
    /// Why it is not used, if it is not.
    pub problem: Option<String>,
}

/// A table.
#[derive(Clone, Debug, Serialize)]
pub struct TableOverview {
    /// Its name.
    pub name: &'static str,
    /// Its version; absent where there is no table yet.
    pub version: Option<u64>,
    /// Last epoch in it.
    pub epoch: u64,
    /// Its files.
    pub files: usize,
    /// Rows in them.
    pub rows: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// A reader of the ledger.
#[derive(Clone, Debug, Serialize)]
pub struct ReaderOverview {
    /// Its name.
    pub name: String,
    /// Last epoch it has read.
    pub epoch: u64,
}

impl Overview {
    /// Looks at a data directory. Another process may write meanwhile.
    ///
    /// # Errors
    /// [`AggregateError`] when it cannot be read.
    pub fn take(directory: &DataDirectory, partition: u32) -> Result<Self, AggregateError> {
        let disk = &**directory.disk();
        let identity = directory.ledger(partition);
        let mut overview = Self {
            ledger_id: identity.ledger_id.clone(),
            oldest_epoch: None,
            last_epoch: 0,
            last_recorded_at: None,
            segments: Vec::new(),
            checkpoints: Vec::new(),
            identity_runs: Vec::new(),
            tables: Vec::new(),
            readers: Vec::new(),
            books: None,
        };
        for table in SnapshotTable::ALL {
            overview.tables.push(table_overview(directory, partition, table)?);
        }
        for (name, reader) in readers::list(directory)? {
            overview.readers.push(ReaderOverview { name, epoch: reader.epoch });
        }
        let mut books = None;
        let listed = checkpoint::list(disk, partition);
        let listed =
            listed.map_err(|error| AggregateError::Disk { path: disk.path(checkpoint::DIRECTORY), error })?;
        for epoch in listed {
            let problem = match checkpoint::read(disk, partition, epoch) {
                Ok(checkpoint) => {
                    overview.identity_runs.clone_from(&checkpoint.standing.runs);
                    books = Some((epoch, checkpoint.standing.books));
                    None
                }
                Err(skipped) => Some(skipped.what),
            };
            overview.checkpoints.push(CheckpointOverview { epoch, problem });
        }
        let reader = LedgerReader::open(directory.disk(), identity)?;
        overview.oldest_epoch = reader.oldest();
        for (first_epoch, name) in reader.files() {
            let bytes = disk.open(&name).map(|bytes| bytes.length());
            let bytes = bytes.map_err(|error| AggregateError::Disk { path: disk.path(&name), error })?;
            overview.segments.push(SegmentOverview { first_epoch, bytes });
        }
        overview.add_epochs(&reader, books)?;
        Ok(overview)
    }

    /// Adds the epochs after the newest checkpoint.
    fn add_epochs(
        &mut self,
        reader: &LedgerReader,
        checkpointed: Option<(u64, Books)>,
    ) -> Result<(), AggregateError> {
        let is_whole = self.oldest_epoch.is_none_or(|oldest| oldest == 1);
        let before = Books { is_accrued: true, ..Books::default() };
        let begun = checkpointed.or_else(|| is_whole.then_some((0, before)));
        let (from, mut books) = match begun {
            Some((epoch, books)) => (epoch, Some(books)),
            None => (self.oldest_epoch.unwrap_or(1) - 1, None),
        };
        self.last_epoch = from;
        if let Some(sealed) = reader.find(from)? {
            self.last_recorded_at = Some(sealed.epoch.recorded_at);
        }
        reader.read(from + 1, |sealed: SealedEpoch| {
            self.last_epoch = sealed.epoch.epoch;
            self.last_recorded_at = Some(sealed.epoch.recorded_at);
            self.identity_runs.extend(identity_run(&sealed.epoch).map(ToOwned::to_owned));
            if let Some(books) = &mut books {
                books.add(&sealed.epoch)?;
            }
            Ok::<_, AggregateError>(())
        })?;
        self.books = books;
        Ok(())
    }
}

fn table_overview(
    directory: &DataDirectory,
    partition: u32,
    table: SnapshotTable,
) -> Result<TableOverview, AggregateError> {
    let delta = DeltaTable::load(&**directory.disk(), &table.directory())?;
    let files = delta.as_ref().map(DeltaTable::files).unwrap_or_default();
    let identity = directory.ledger(partition);
    let last = delta.as_ref().and_then(|delta| delta.last_epoch(&identity.ledger_id, partition));
    Ok(TableOverview {
        name: table.name(),
        version: delta.as_ref().map(DeltaTable::version),
        epoch: last.unwrap_or(0),
        files: files.len(),
        rows: files.iter().filter_map(|file| file.rows).sum(),
        bytes: files.iter().map(|file| file.bytes).sum(),
    })
}
