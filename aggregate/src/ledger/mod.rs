//! The ledger of a partition: its epochs, in segment files, each durable before anything is said of it.
//!
//! It keeps and gives back epochs; it does not know what they mean. Invariants (EPOCH-1): epochs are numbered without
//! gaps; each holds the hash of the one before; an epoch is there whole or not at all; what was committed is never cut
//! away. `docs/ledger-format.md` describes the bytes.
//!
//! Committing is [`Ledger::append`] of the next epoch, which must not exist, and [`Ledger::sync`], which makes all that was
//! appended durable at once. After a sync a *marker* follows: what is before a marker was durable, so if it is
//! broken it was changed later, and reading says so. What is behind the last marker and not whole was never
//! committed, and is cut. Whole epochs there are kept, and written again before they are built on, because an
//! operating system may have forgotten to write them after a sync that failed.
//!
//! When a write fails the segment is cut to what it was before. When a sync fails nothing is committed any more: the
//! process has to start again.

mod error;
mod examine;
mod frame;
mod segment;
mod tail;

use std::io;
use std::sync::Arc;

use schemas::epoch::ContentHash;

pub use error::LedgerError;
pub(crate) use examine::FoundSegment;
pub use frame::SealedEpoch;
pub(crate) use frame::hash_of;
pub(crate) use tail::{ContentPlace, LedgerTail};

use crate::disk::{self, Disk, DiskFile};

/// Version of the format of segments.
pub const LEDGER_FORMAT: u32 = 1;

/// Bytes of a segment, about: a segment ends with an epoch.
pub const SEGMENT_BYTES: u64 = 64 << 20;

/// Which ledger, and which partition of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerIdentity {
    /// The ledger.
    pub ledger_id: String,
    /// The partition.
    pub partition: u32,
}

impl LedgerIdentity {
    /// What stands for the epoch before the first.
    #[must_use]
    pub fn genesis(&self) -> ContentHash {
        hash_of(self.ledger_id.as_bytes())
    }

    /// The directory of the partition's segments.
    #[must_use]
    pub fn directory(&self) -> String {
        format!("ledger/{}", self.partition)
    }
}

/// The ledger of a partition, open to append.
#[derive(Debug)]
pub struct Ledger {
    reader: LedgerReader,
    /// The newest segment, open to write, and its length.
    open: Option<(Box<dyn DiskFile>, String, u64)>,
    /// Last epoch appended.
    appended: u64,
    /// Hash of the last epoch appended.
    last_hash: ContentHash,
    /// Last epoch that is durable.
    committed: u64,
    segment_bytes: u64,
    is_stopped: bool,
}

/// What opening a ledger found and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Bytes at the end that were no whole epoch: never committed, and cut.
    pub cut_bytes: u64,
}

impl Ledger {
    /// Opens the ledger of a partition, or begins it.
    ///
    /// # Errors
    /// [`LedgerError`] when the disk fails or what was committed is damaged.
    pub fn open(
        disk: &Arc<dyn Disk>,
        identity: LedgerIdentity,
        segment_bytes: u64,
    ) -> Result<(Self, Recovery), LedgerError> {
        let directory = identity.directory();
        disk.create_directory(&directory).map_err(|error| disk_error(&**disk, &directory, error))?;
        let mut reader = LedgerReader::open(disk, identity)?;
        let mut recovery = Recovery::default();
        reader.drop_segment_without_epochs(&mut recovery)?;
        let mut ledger = Self {
            open: None,
            appended: 0,
            last_hash: reader.identity.genesis(),
            committed: 0,
            segment_bytes,
            is_stopped: false,
            reader,
        };
        if let Some(first) = ledger.reader.segments.last().copied() {
            ledger.open_segment(first, &mut recovery)?;
        }
        Ok((ledger, recovery))
    }

    /// Opens the newest segment to write after its last whole epoch.
    fn open_segment(&mut self, first: u64, recovery: &mut Recovery) -> Result<(), LedgerError> {
        let disk = Arc::clone(&self.reader.disk);
        let name = self.reader.segment_name(first);
        let bytes = self.reader.bytes(first)?;
        let scan = segment::scan(&disk.path(&name), &bytes, &self.reader.identity, true)?;
        recovery.cut_bytes += (bytes.len() - scan.whole_bytes) as u64;
        let failed = |error| disk_error(&*disk, &name, error);
        let (last, hash) = scan.last;
        (self.appended, self.committed, self.last_hash) = (last, last, hash);
        if scan.marked < last && !scan.epochs.is_empty() {
            // Not known to be durable: written anew, beside the segment, and marked.
            let mut bytes = bytes.get(..scan.whole_bytes).unwrap_or_default().to_vec();
            bytes.extend_from_slice(&frame::marker(last, &hash));
            disk::replace(&*disk, &name, &bytes).map_err(|error| self.stop(&name, error))?;
            self.open = Some((disk.append(&name).map_err(failed)?, name, bytes.len() as u64));
        } else {
            if scan.whole_bytes < bytes.len() {
                disk.cut(&name, scan.whole_bytes as u64).map_err(failed)?;
            }
            // IMPORTANT: a process that wrote it anew may have died before its name was durable. What is committed into it
            // now would be lost with the power.
            let directory = self.reader.identity.directory();
            disk.sync_directory(&directory).map_err(|error| self.stop(&directory, error))?;
            self.open = Some((disk.append(&name).map_err(failed)?, name, scan.whole_bytes as u64));
        }
        Ok(())
    }

    /// Which ledger it is.
    #[must_use]
    pub const fn identity(&self) -> &LedgerIdentity {
        &self.reader.identity
    }

    /// Number of the last epoch that is durable; 0 if there is none.
    #[must_use]
    pub const fn committed(&self) -> u64 {
        self.committed
    }

    /// # Errors
    /// [`LedgerError::Stopped`] where a sync or a write failed: what was appended last may be lost.
    pub(crate) const fn check_running(&self) -> Result<(), LedgerError> {
        if self.is_stopped { Err(LedgerError::Stopped) } else { Ok(()) }
    }

    /// What the next epoch has to name as the hash of the one before.
    #[must_use]
    pub const fn last_hash(&self) -> ContentHash {
        self.last_hash
    }

    /// Reads what is committed.
    #[must_use]
    pub const fn reader(&self) -> &LedgerReader {
        &self.reader
    }

    /// Appends the next epoch. It is committed when [`Ledger::sync`] returns.
    ///
    /// # Errors
    /// [`LedgerError::NotNext`] if there is an epoch of this number already or one before is missing;
    /// [`LedgerError::Disk`] when it cannot be written: nothing has changed then.
    pub fn append(&mut self, sealed: &SealedEpoch) -> Result<(), LedgerError> {
        if self.is_stopped {
            return Err(LedgerError::Stopped);
        }
        let (epoch, next) = (sealed.epoch.epoch, self.appended + 1);
        if epoch != next || sealed.epoch.previous != self.last_hash() {
            return Err(LedgerError::NotNext { epoch, next });
        }
        let mut bytes = Vec::new();
        sealed.write(&mut bytes);
        let is_full = |length: &u64| length + bytes.len() as u64 > self.segment_bytes;
        if self.open.as_ref().is_none_or(|(_, _, length)| is_full(length)) {
            self.begin_segment(epoch)?;
        }
        let Some((file, name, length)) = &mut self.open else { return Err(LedgerError::Stopped) };
        let disk = &self.reader.disk;
        if let Err(error) = file.write_all(&bytes) {
            let error = disk_error(&**disk, name, error);
            // Part of the epoch may be there; what is behind it would be lost with it.
            let reopened = disk.cut(name, *length).and_then(|()| disk.append(name));
            match reopened {
                Ok(reopened) => *file = reopened,
                Err(_) => self.is_stopped = true,
            }
            return Err(error);
        }
        *length += bytes.len() as u64;
        (self.appended, self.last_hash) = (epoch, sealed.hash);
        Ok(())
    }

    /// Makes every epoch that was appended durable: a commit of all of them at once.
    ///
    /// # Errors
    /// [`LedgerError::SyncFailed`]: nothing is committed any more until the process has started again.
    pub fn sync(&mut self) -> Result<(), LedgerError> {
        if self.is_stopped {
            return Err(LedgerError::Stopped);
        }
        if self.appended == self.committed {
            return Ok(());
        }
        let Some((file, name, length)) = &mut self.open else { return Err(LedgerError::Stopped) };
        if let Err(error) = file.sync() {
            let name = name.clone();
            return Err(self.stop(&name, error));
        }
        self.committed = self.appended;
        let marker = frame::marker(self.appended, &self.last_hash);
        // A marker that is missing only means that the epoch is written again when the ledger is opened.
        // One that is there in part would be taken for the end: nothing may follow it.
        match file.write_all(&marker) {
            Ok(()) => *length += marker.len() as u64,
            Err(_) => self.is_stopped = true,
        }
        Ok(())
    }

    /// Begins a segment with an epoch; all before it is durable.
    fn begin_segment(&mut self, first: u64) -> Result<(), LedgerError> {
        self.sync()?;
        let disk = Arc::clone(&self.reader.disk);
        // The last marker too: only the end of the newest segment may be torn.
        if let Some((file, name, _)) = &mut self.open
            && let Err(error) = file.sync()
        {
            let name = name.clone();
            return Err(self.stop(&name, error));
        }
        let name = self.reader.segment_name(first);
        let header = segment::header(&self.reader.identity, first, &self.last_hash());
        let directory = self.reader.identity.directory();
        let failed = |error| disk_error(&*disk, &name, error);
        let mut file = disk.create(&name).map_err(failed)?;
        if let Err(error) = file.write_all(&header) {
            // A segment without epochs is dropped when the ledger is opened; this one is written over.
            return Err(failed(error));
        }
        // The name has to be durable before an epoch in it can be.
        file.sync().map_err(|error| self.stop(&name, error))?;
        disk.sync_directory(&directory).map_err(|error| self.stop(&directory, error))?;
        self.reader.segments.push(first);
        self.open = Some((file, name, header.len() as u64));
        Ok(())
    }

    fn stop(&mut self, name: &str, error: io::Error) -> LedgerError {
        self.is_stopped = true;
        LedgerError::SyncFailed { path: self.reader.disk.path(name), committed: self.committed, error }
    }

    /// Removes segments that hold only epochs before this one, the oldest first.
    ///
    /// # Errors
    /// [`LedgerError::Disk`].
    pub fn remove_before(&mut self, epoch: u64) -> Result<u64, LedgerError> {
        let disk = Arc::clone(&self.reader.disk);
        let mut removed = 0;
        while let Some([first, next]) = self.reader.segments.first_chunk::<2>().copied()
            && next <= epoch
        {
            let name = self.reader.segment_name(first);
            disk.remove(&name).map_err(|error| disk_error(&*disk, &name, error))?;
            let directory = self.reader.identity.directory();
            disk.sync_directory(&directory).map_err(|error| self.stop(&directory, error))?;
            self.reader.segments.remove(0);
            removed += 1;
        }
        Ok(removed)
    }
}

/// The ledger of a partition, to read.
#[derive(Clone, Debug)]
pub struct LedgerReader {
    disk: Arc<dyn Disk>,
    identity: LedgerIdentity,
    /// First epochs of the segments, in order.
    segments: Vec<u64>,
}

impl LedgerReader {
    /// Finds the segments of a partition. Others may append meanwhile: what is not whole at the end is left out.
    ///
    /// # Errors
    /// [`LedgerError::Disk`].
    pub fn open(disk: &Arc<dyn Disk>, identity: LedgerIdentity) -> Result<Self, LedgerError> {
        let directory = identity.directory();
        let names = disk.list(&directory).map_err(|error| disk_error(&**disk, &directory, error))?;
        let mut segments: Vec<u64> = names.iter().filter_map(|name| segment::first_epoch_of(name)).collect();
        segments.sort_unstable();
        Ok(Self { disk: Arc::clone(disk), identity, segments })
    }

    /// Which ledger it is.
    pub(crate) const fn identity(&self) -> &LedgerIdentity {
        &self.identity
    }

    /// The oldest epoch there is a segment for; `None` if there is no segment.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        self.segments.first().copied()
    }

    /// The first epoch and the file of each segment.
    pub(crate) fn files(&self) -> Vec<(u64, String)> {
        self.segments.iter().map(|first| (*first, self.segment_name(*first))).collect()
    }

    /// How many segments there are.
    pub(crate) const fn len(&self) -> usize {
        self.segments.len()
    }

    fn segment_name(&self, first: u64) -> String {
        format!("{}/{}", self.identity.directory(), segment::name_of(first))
    }

    fn bytes(&self, first: u64) -> Result<Vec<u8>, LedgerError> {
        let name = self.segment_name(first);
        disk::read(&*self.disk, &name).map_err(|error| disk_error(&*self.disk, &name, error))
    }

    /// Drops a newest segment that never held an epoch: its header may be there in part, and its name may not be
    /// durable.
    fn drop_segment_without_epochs(&mut self, recovery: &mut Recovery) -> Result<(), LedgerError> {
        if let Some((name, bytes)) = self.segment_without_epochs()? {
            recovery.cut_bytes += bytes;
            // The epoch it was begun for may fit the segment before: it must not come back.
            let directory = self.identity.directory();
            let removed = self.disk.remove(&name).and_then(|()| self.disk.sync_directory(&directory));
            removed.map_err(|error| disk_error(&*self.disk, &name, error))?;
            self.segments.pop();
        }
        Ok(())
    }

    /// The newest segment and its length, if its header was not written to its end.
    fn segment_without_epochs(&self) -> Result<Option<(String, u64)>, LedgerError> {
        let Some(first) = self.segments.last().copied() else { return Ok(None) };
        let (name, bytes) = (self.segment_name(first), self.bytes(first)?);
        let path = self.disk.path(&name);
        let is_header = match segment::read_header(&path, &bytes, &self.identity) {
            // Where nothing is before it, only it says which epoch is next.
            Ok(_) => {
                let is_next = first == 1 || self.segments.len() > 1;
                if !is_next || !self.scan(first, true)?.epochs.is_empty() {
                    return Ok(None);
                }
                true
            }
            Err(LedgerError::NoSegment { .. }) => {
                let previous = match self.segments.len().checked_sub(2).and_then(|at| self.segments.get(at)) {
                    Some(before) => self.scan(*before, true)?.last,
                    None => (0, self.identity.genesis()),
                };
                let header = segment::header(&self.identity, first, &previous.1);
                // Sectors may be missing, in any order; a byte that is neither zero nor right was changed later.
                previous.0 + 1 == first
                    && bytes.len() <= header.len()
                    && bytes.iter().zip(&header).all(|(byte, right)| byte == right || *byte == 0)
            }
            Err(error) => return Err(error),
        };
        if !is_header {
            return segment::read_header(&path, &bytes, &self.identity).map(|_| None);
        }
        Ok(Some((name, bytes.len() as u64)))
    }

    fn scan(&self, first: u64, is_last: bool) -> Result<segment::Scan, LedgerError> {
        let path = self.disk.path(&self.segment_name(first));
        segment::scan(&path, &self.bytes(first)?, &self.identity, is_last)
    }

    /// The last epoch; 0 before the first.
    ///
    /// # Errors
    /// [`LedgerError`] where its segment is damaged.
    pub fn last(&self) -> Result<u64, LedgerError> {
        let Some(first) = self.segments.last() else { return Ok(0) };
        match self.scan(*first, true) {
            // Being begun by another process.
            Err(LedgerError::NoSegment { .. }) if self.segments.len() > 1 => Ok(first - 1),
            scan => Ok(scan?.last.0),
        }
    }

    /// An epoch; `None` if the ledger does not have it.
    ///
    /// # Errors
    /// [`LedgerError`] where its segment is damaged.
    pub fn find(&self, epoch: u64) -> Result<Option<SealedEpoch>, LedgerError> {
        let at = self.segments.partition_point(|first| *first <= epoch);
        let Some(first) = at.checked_sub(1).and_then(|at| self.segments.get(at)) else { return Ok(None) };
        let scan = self.scan(*first, at == self.segments.len())?;
        Ok(scan.epochs.into_iter().find(|sealed| sealed.epoch.epoch == epoch))
    }

    /// Reads the epochs from a number on, in order, and hands each over.
    ///
    /// # Errors
    /// What `take` says; [`LedgerError`] where an epoch is missing or damaged.
    pub fn read<E: From<LedgerError>>(
        &self,
        from: u64,
        mut take: impl FnMut(SealedEpoch) -> Result<(), E>,
    ) -> Result<(), E> {
        let begin = self.segments.partition_point(|first| *first <= from).saturating_sub(1);
        let segments = self.segments.get(begin..).unwrap_or_default();
        let mut next: Option<(u64, ContentHash)> = None;
        for (position, first) in segments.iter().enumerate() {
            let is_last = position + 1 == segments.len();
            let scan = match self.scan(*first, is_last) {
                // Being begun by another process.
                Err(LedgerError::NoSegment { .. }) if is_last && position > 0 => break,
                scan => scan?,
            };
            let missing = |expected| LedgerError::Missing {
                directory: self.disk.path(&self.identity.directory()),
                expected,
                found: *first,
            };
            match &next {
                None if *first > from.max(1) => return Err(missing(from.max(1)).into()),
                Some((expected, _)) if expected != first => return Err(missing(*expected).into()),
                Some((_, hash))
                    if scan.epochs.first().is_some_and(|sealed| sealed.epoch.previous != *hash) =>
                {
                    let found = scan.epochs.first().map(|sealed| sealed.epoch.previous.to_string());
                    return Err(LedgerError::Damaged {
                        path: self.disk.path(&self.segment_name(*first)),
                        offset: 0,
                        what: "the hash of the last epoch of the segment before",
                        expected: hash.to_string(),
                        found: found.unwrap_or_default(),
                    }
                    .into());
                }
                _ => {}
            }
            next = Some((scan.last.0 + 1, scan.last.1));
            for sealed in scan.epochs {
                if sealed.epoch.epoch >= from {
                    take(sealed)?;
                }
            }
        }
        Ok(())
    }
}

pub(crate) fn disk_error(disk: &dyn Disk, name: &str, error: io::Error) -> LedgerError {
    LedgerError::Disk { path: disk.path(name), error }
}
