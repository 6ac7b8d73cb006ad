//! A segment: a file with a header and the epochs that follow each other from the one it is named by.
//!
//! ```text
//! tallybook-ledger | format u32 | length u32 | header, JSON | BLAKE3 of the header | epochs and markers
//! ```

use std::path::Path;

use schemas::epoch::{ContentHash, EPOCH_FORMAT};
use serde::{Deserialize, Serialize};

use super::error::LedgerError;
use super::frame::{self, Frame, SealedEpoch};
use super::{LEDGER_FORMAT, LedgerIdentity};

/// What a segment begins with.
const MAGIC: &[u8; 16] = b"tallybook-ledger";

/// Ending of the names of segments.
const ENDING: &str = ".epochs";

/// What a segment says of itself.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SegmentHeader {
    ledger_id: String,
    partition: u32,
    pub(super) first_epoch: u64,
    /// Hash of the epoch before the first.
    pub(super) previous: ContentHash,
}

/// The name of the segment that begins with an epoch.
pub(super) fn name_of(first_epoch: u64) -> String {
    format!("{first_epoch:020}{ENDING}")
}

/// The epoch that a segment of this name begins with.
pub(super) fn first_epoch_of(name: &str) -> Option<u64> {
    name.strip_suffix(ENDING).filter(|digits| digits.len() == 20)?.parse().ok()
}

/// The bytes a segment begins with.
pub(super) fn header(identity: &LedgerIdentity, first_epoch: u64, previous: &ContentHash) -> Vec<u8> {
    let header = SegmentHeader {
        ledger_id: identity.ledger_id.clone(),
        partition: identity.partition,
        first_epoch,
        previous: *previous,
    };
    let header = serde_json::to_vec(&header).unwrap_or_default();
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&LEDGER_FORMAT.to_le_bytes());
    bytes.extend_from_slice(&u32::try_from(header.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(&header);
    bytes.extend_from_slice(blake3::hash(&header).as_bytes());
    bytes
}

/// Reads the header of a segment; it and its length.
pub(super) fn read_header(
    path: &Path,
    bytes: &[u8],
    identity: &LedgerIdentity,
) -> Result<(SegmentHeader, usize), LedgerError> {
    let no_segment = |what| LedgerError::NoSegment { path: path.to_owned(), what };
    if bytes.get(..MAGIC.len()) != Some(MAGIC.as_slice()) {
        return Err(no_segment("it does not begin like one"));
    }
    let number = |at: usize| bytes.get(at..at + 4).and_then(|number| number.first_chunk::<4>());
    let ends = || no_segment("its header ends early");
    let format = u32::from_le_bytes(*number(MAGIC.len()).ok_or_else(ends)?);
    if format != LEDGER_FORMAT {
        return Err(LedgerError::OtherFormat { path: path.to_owned(), found: format, known: LEDGER_FORMAT });
    }
    let length = u32::from_le_bytes(*number(MAGIC.len() + 4).ok_or_else(ends)?) as usize;
    let begin = MAGIC.len() + 8;
    let header = bytes.get(begin..begin.saturating_add(length)).ok_or_else(ends)?;
    let end = begin + length + size_of::<ContentHash>();
    let stored = bytes.get(begin + length..end).ok_or_else(ends)?;
    if blake3::hash(header).as_bytes() != stored {
        return Err(no_segment("its header does not have the hash it should have"));
    }
    let header: SegmentHeader =
        serde_json::from_slice(header).map_err(|_| no_segment("its header is no header"))?;
    if header.ledger_id != identity.ledger_id || header.partition != identity.partition {
        return Err(LedgerError::OtherLedger {
            path: path.to_owned(),
            found: format!("{}, partition {}", header.ledger_id, header.partition),
            expected: format!("{}, partition {}", identity.ledger_id, identity.partition),
        });
    }
    Ok((header, end))
}

/// What a segment holds.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) epochs: Vec<SealedEpoch>,
    /// Bytes up to the end of the last whole epoch or marker.
    pub(super) whole_bytes: usize,
    /// Last epoch that a marker says is durable; 0 if there is no marker.
    pub(super) marked: u64,
    /// Hash and number of the last epoch, or of the one before the segment.
    pub(super) last: (u64, ContentHash),
    /// Why reading ended where it did, if what follows was committed.
    pub(super) damage: Option<LedgerError>,
}

/// Reads a segment. Only the end of the last one may be no whole epoch: one that was never committed.
pub(super) fn scan(
    path: &Path,
    bytes: &[u8],
    identity: &LedgerIdentity,
    is_last: bool,
) -> Result<Scan, LedgerError> {
    let mut scan = scan_to_damage(path, bytes, identity, is_last)?;
    scan.damage.take().map_or(Ok(scan), Err)
}

/// The same, with what is before damage where there is some.
pub(super) fn scan_to_damage(
    path: &Path,
    bytes: &[u8],
    identity: &LedgerIdentity,
    is_last: bool,
) -> Result<Scan, LedgerError> {
    let (header, begin) = read_header(path, bytes, identity)?;
    let mut scan = Scan {
        epochs: Vec::new(),
        whole_bytes: begin,
        marked: 0,
        last: (header.first_epoch.saturating_sub(1), header.previous),
        damage: None,
    };
    while scan.whole_bytes < bytes.len() {
        let offset = scan.whole_bytes;
        let rest = bytes.get(offset..).unwrap_or_default();
        let damaged = |what, expected: String, found: String| LedgerError::Damaged {
            path: path.to_owned(),
            offset: offset as u64,
            what,
            expected,
            found,
        };
        match frame::read(rest) {
            Ok((Frame::Epoch(sealed), length)) => {
                let found = sealed.epoch.format;
                if found != EPOCH_FORMAT {
                    let (path, known) = (path.to_owned(), EPOCH_FORMAT);
                    scan.damage = Some(LedgerError::OtherFormat { path, found, known });
                    break;
                }
                let (number, previous) = (scan.last.0 + 1, &scan.last.1);
                if sealed.epoch.epoch != number {
                    let found = sealed.epoch.epoch.to_string();
                    scan.damage = Some(damaged("the number of an epoch", number.to_string(), found));
                    break;
                }
                if sealed.epoch.previous != *previous {
                    let found = sealed.epoch.previous.to_string();
                    scan.damage = Some(damaged("the hash of the epoch before", previous.to_string(), found));
                    break;
                }
                scan.last = (number, sealed.hash);
                scan.epochs.push(*sealed);
                scan.whole_bytes += length;
            }
            Ok((Frame::Marker { epoch, hash }, length)) => {
                let (last, last_hash) = (scan.last.0, frame::marked_hash(&scan.last.1));
                if (epoch, &hash) != (last, last_hash) {
                    let shown = |epoch, hash: &[u8; 16]| {
                        format!("epoch {epoch} with hash {:032x}…", u128::from_be_bytes(*hash))
                    };
                    let (expected, found) = (shown(last, last_hash), shown(epoch, &hash));
                    scan.damage = Some(damaged("what a marker is of", expected, found));
                    break;
                }
                scan.marked = epoch;
                scan.whole_bytes += length;
            }
            Err(broken) => {
                let tail = rest.get(1..).unwrap_or_default();
                if !is_last || frame::holds_later_marker(tail, scan.last.0) {
                    scan.damage = Some(damaged(broken.what, broken.expected, broken.found));
                }
                break;
            }
        }
    }
    Ok(scan)
}
