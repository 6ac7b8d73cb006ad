//! A ledger as it is found on disk, segment by segment, with what is before damage and behind it.

use std::path::PathBuf;

use schemas::epoch::ContentHash;

use super::error::LedgerError;
use super::frame::SealedEpoch;
use super::{LedgerReader, disk_error, segment};
use crate::disk;

/// A segment as it is found.
#[derive(Debug)]
pub(crate) struct FoundSegment {
    /// The file.
    pub(crate) path: PathBuf,
    /// Epoch it begins with.
    pub(crate) first: u64,
    /// Its length.
    pub(crate) bytes: u64,
    /// Hash of the epoch before the first, if the header can be read.
    pub(crate) previous: Option<ContentHash>,
    /// Its epochs, as far as they are sound.
    pub(crate) epochs: Vec<SealedEpoch>,
    /// Bytes at its end that were never committed.
    pub(crate) torn_bytes: u64,
    /// What is wrong with it.
    pub(crate) damage: Option<LedgerError>,
}

impl LedgerReader {
    /// Looks at each segment, in order.
    ///
    /// # Errors
    /// What `look` says; [`LedgerError::Disk`].
    pub(crate) fn examine<E: From<LedgerError>>(
        &self,
        mut look: impl FnMut(FoundSegment) -> Result<(), E>,
    ) -> Result<(), E> {
        for (position, first) in self.segments.iter().enumerate() {
            look(self.found(*first, position + 1 == self.segments.len())?)?;
        }
        Ok(())
    }

    fn found(&self, first: u64, is_last: bool) -> Result<FoundSegment, LedgerError> {
        let name = self.segment_name(first);
        let path = self.disk.path(&name);
        let bytes = disk::read(&*self.disk, &name).map_err(|error| disk_error(&*self.disk, &name, error))?;
        let mut found = FoundSegment {
            path: path.clone(),
            first,
            bytes: bytes.len() as u64,
            previous: None,
            epochs: Vec::new(),
            torn_bytes: 0,
            damage: None,
        };
        match segment::read_header(&path, &bytes, &self.identity) {
            Ok((header, _)) if header.first_epoch != first => {
                let what = "its header says that it begins with another epoch than its name";
                found.damage = Some(LedgerError::NoSegment { path, what });
            }
            Ok((header, _)) => {
                found.previous = Some(header.previous);
                let scan = segment::scan_to_damage(&path, &bytes, &self.identity, is_last)?;
                if scan.damage.is_none() {
                    found.torn_bytes = (bytes.len() - scan.whole_bytes) as u64;
                }
                (found.epochs, found.damage) = (scan.epochs, scan.damage);
            }
            // It may never have held an epoch.
            Err(LedgerError::NoSegment { path, what }) if is_last => match self.segment_without_epochs() {
                Ok(Some((_, bytes))) => found.torn_bytes = bytes,
                _ => found.damage = Some(LedgerError::NoSegment { path, what }),
            },
            Err(damage) => found.damage = Some(damage),
        }
        Ok(found)
    }
}
