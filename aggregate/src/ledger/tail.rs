//! A ledger that others append to, read on from where reading ended: each epoch once, without its contents.
//!
//! It reads what is committed and nothing after it, so it never meets an epoch that is there in part. What an epoch
//! carries is not read: its place is told, and [`ContentPlace::read`] reads it, and holds it against its hash.

use std::sync::Arc;

use schemas::epoch::{ContentHash, Epoch};

use super::frame::{self, Head};
use super::{LedgerError, LedgerIdentity, LedgerReader, disk_error, hash_of, segment};
use crate::disk::{Disk, DiskBytes};

/// Where a content of an epoch is in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ContentPlace {
    /// First epoch of the segment.
    segment: u64,
    offset: u64,
    bytes: u64,
    hash: ContentHash,
}

/// Reads on in a ledger.
#[derive(Clone, Debug)]
pub(crate) struct LedgerTail {
    disk: Arc<dyn Disk>,
    identity: LedgerIdentity,
    /// Last epoch that was read, or passed over.
    last: u64,
    /// First epoch of the segment that is being read, and where reading goes on in it.
    at: Option<(u64, u64)>,
}

impl LedgerTail {
    /// Reads the epochs after one.
    pub(crate) fn after(disk: &Arc<dyn Disk>, identity: LedgerIdentity, last: u64) -> Self {
        Self { disk: Arc::clone(disk), identity, last, at: None }
    }

    /// Last epoch that was read.
    pub(crate) const fn last(&self) -> u64 {
        self.last
    }

    /// Reads up to an epoch that is committed; for each the document, and where its contents without a file are.
    ///
    /// # Errors
    /// What `take` says; [`LedgerError`] where an epoch is missing or damaged.
    pub(crate) fn read_to<E: From<LedgerError>>(
        &mut self,
        committed: u64,
        mut take: impl FnMut(Epoch, &[ContentPlace]) -> Result<(), E>,
    ) -> Result<(), E> {
        while self.last < committed {
            let (first, offset) = match self.at {
                Some(at) => at,
                None => self.begin()?,
            };
            let name = name_of(&self.identity, first);
            let bytes = self.disk.open(&name).map_err(|error| disk_error(&*self.disk, &name, error))?;
            self.at = Some((first, offset));
            self.read_segment(&*bytes, committed, &mut take)?;
            if self.last < committed {
                // An epoch ends a segment, and the next names the segment after it.
                let next = self.last + 1;
                if next == first {
                    return Err(self.missing(next).into());
                }
                self.at = Some((next, self.header_of(next)?));
            }
        }
        Ok(())
    }

    /// The segment that holds the next epoch, and where epochs begin in it.
    fn begin(&self) -> Result<(u64, u64), LedgerError> {
        let reader = LedgerReader::open(&self.disk, self.identity.clone())?;
        let first = reader.segments.iter().rev().find(|first| **first <= self.last + 1).copied();
        let first = first.ok_or_else(|| self.missing(self.last + 1))?;
        Ok((first, self.header_of(first)?))
    }

    fn header_of(&self, first: u64) -> Result<u64, LedgerError> {
        let name = name_of(&self.identity, first);
        let failed = |error| disk_error(&*self.disk, &name, error);
        let bytes = self.disk.open(&name).map_err(failed)?;
        let mut header = vec![0; usize::try_from(bytes.length().min(HEADER_BYTES_MAX)).unwrap_or(0)];
        bytes.read_at(0, &mut header).map_err(failed)?;
        let (_, length) = segment::read_header(&self.disk.path(&name), &header, &self.identity)?;
        Ok(length as u64)
    }

    /// Reads what is committed of a segment.
    fn read_segment<E: From<LedgerError>>(
        &mut self,
        bytes: &dyn DiskBytes,
        committed: u64,
        take: &mut impl FnMut(Epoch, &[ContentPlace]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some((first, mut offset)) = self.at else { return Ok(()) };
        while self.last < committed && offset + frame::EPOCH_HEAD_BYTES as u64 <= bytes.length() {
            let mut head = [0; frame::EPOCH_HEAD_BYTES];
            self.fill(bytes, first, offset, &mut head)?;
            let (document, contents) = match frame::head_of(&head) {
                Some(Head::Marker) => {
                    offset += frame::MARKER_BYTES as u64;
                    continue;
                }
                Some(Head::Epoch { document, contents }) => (u64::from(document), contents),
                None => return Err(self.damaged(first, offset, "no epoch begins here").into()),
            };
            let begin = offset + frame::EPOCH_HEAD_BYTES as u64;
            let mut text = vec![0; usize::try_from(document).unwrap_or(usize::MAX)];
            let mut stored = ContentHash([0; 32]);
            self.fill(bytes, first, begin, &mut text)?;
            self.fill(bytes, first, begin + document + contents, &mut stored.0)?;
            let epoch: Option<Epoch> =
                if hash_of(&text) == stored { serde_json::from_slice(&text).ok() } else { None };
            let epoch = epoch.ok_or_else(|| self.damaged(first, offset, "the hash of an epoch"))?;
            let places = places(&epoch, first, begin + document);
            offset = begin + document + contents + stored.0.len() as u64;
            let number = epoch.epoch;
            if number > self.last {
                if number != self.last + 1 {
                    return Err(self.missing(self.last + 1).into());
                }
                take(epoch, &places)?;
                self.last = number;
            }
            self.at = Some((first, offset));
        }
        Ok(())
    }

    fn fill(&self, bytes: &dyn DiskBytes, first: u64, offset: u64, to: &mut [u8]) -> Result<(), LedgerError> {
        let read = bytes.read_at(offset, to);
        read.map_err(|error| disk_error(&*self.disk, &name_of(&self.identity, first), error))
    }

    fn missing(&self, expected: u64) -> LedgerError {
        let directory = self.disk.path(&self.identity.directory());
        LedgerError::Missing { directory, expected, found: self.last }
    }

    fn damaged(&self, first: u64, offset: u64, what: &'static str) -> LedgerError {
        let path = self.disk.path(&name_of(&self.identity, first));
        let (expected, found) = ("an epoch as it was committed".to_owned(), "something else".to_owned());
        LedgerError::Damaged { path, offset, what, expected, found }
    }
}

/// Bytes that a header may have, far more than it has.
const HEADER_BYTES_MAX: u64 = 1 << 12;

impl ContentPlace {
    /// Reads the content.
    ///
    /// # Errors
    /// [`LedgerError`] when it cannot be read, or is not what was committed.
    pub(crate) fn read(&self, disk: &dyn Disk, identity: &LedgerIdentity) -> Result<Vec<u8>, LedgerError> {
        let name = name_of(identity, self.segment);
        let failed = |error| disk_error(disk, &name, error);
        let mut bytes = vec![0; usize::try_from(self.bytes).unwrap_or(usize::MAX)];
        disk.open(&name).and_then(|file| file.read_at(self.offset, &mut bytes)).map_err(failed)?;
        let found = hash_of(&bytes);
        if found == self.hash {
            return Ok(bytes);
        }
        Err(LedgerError::Damaged {
            path: disk.path(&name),
            offset: self.offset,
            what: "the hash of a content of an epoch",
            expected: self.hash.to_string(),
            found: found.to_string(),
        })
    }
}

fn name_of(identity: &LedgerIdentity, first: u64) -> String {
    format!("{}/{}", identity.directory(), segment::name_of(first))
}

/// Where the contents of an epoch are that have no file, in the order of its document.
fn places(epoch: &Epoch, segment: u64, mut offset: u64) -> Vec<ContentPlace> {
    let mut places = Vec::new();
    for content in epoch.contents.iter().filter(|content| content.file.is_none()) {
        places.push(ContentPlace { segment, offset, bytes: content.bytes, hash: content.hash });
        offset += content.bytes;
    }
    places
}
