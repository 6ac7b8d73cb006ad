//! The ledger, read by its format.
//!
//! ```text
//! segment  "tallybook-ledger"  format u32  length u32  header  BLAKE3(header)  (frame | marker)*
//! frame    "EPOC"  length u32  length of contents u64  document  contents  BLAKE3(document)
//! marker   "SYNC"  epoch u64  first 16 bytes of its hash  first 4 bytes of the BLAKE3 of the 28 bytes before
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::rows::{Row, read_rows};
use super::{Audit, Files, rule};

const DIRECTORY: &str = "ledger/0/";
const MAGIC: &[u8] = b"tallybook-ledger";
const MARKER_BYTES: usize = 32;

/// What a tail may be that is no whole frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Left by a crash; a recovery will cut it.
    Torn,
    /// A recovery has been here.
    Whole,
}

/// An epoch as it stands in the ledger.
#[derive(Debug)]
pub(crate) struct Epoch {
    pub(crate) number: u64,
    pub(crate) hash: [u8; 32],
    pub(crate) document: Value,
    pub(crate) contents: Vec<Content>,
    /// The frame.
    bytes: Vec<u8>,
}

/// The ledger: its epochs, those that were removed too.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) epochs: Vec<Arc<Epoch>>,
    /// How many of them are in no segment any more.
    pub(crate) removed: usize,
}

/// Frames that were read before, by their hash.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownFrames(HashMap<[u8; 32], Arc<Epoch>>);

#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) kind: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) row_count: u64,
    /// Name, where it is a file of its own.
    pub(crate) file: Option<String>,
    /// The rows, where it is Parquet.
    pub(crate) rows: Vec<Row>,
}

impl Epoch {
    /// Rows of a kind.
    pub(crate) fn rows(&self, kind: &str) -> impl Iterator<Item = &Row> {
        self.contents
            .iter()
            .filter(move |content| content.kind == kind)
            .flat_map(|content| content.rows.iter())
    }
}

impl KnownFrames {
    /// The frame at a place, if it was read before and is the same still, with its files.
    fn get(&self, files: &Files, bytes: &[u8], at: usize) -> Option<&Arc<Epoch>> {
        let (.., end) = lengths(bytes, at)?;
        let epoch = self.0.get(bytes.get(end.checked_sub(32)?..end)?)?;
        let is_same = epoch.bytes == bytes[at..end];
        let mut of_files =
            epoch.contents.iter().filter_map(|content| Some((content.file.as_ref()?, content)));
        (is_same && of_files.all(|(name, content)| files.get(name) == Some(&content.bytes))).then_some(epoch)
    }
}

/// Reads all segments. `before` are epochs that are known to have been there, the oldest of which may be removed.
pub(crate) fn read_ledger(
    files: &Files,
    tail: Tail,
    before: &[Arc<Epoch>],
    known: &mut KnownFrames,
) -> Audit<Ledger> {
    let mut ledger = Ledger::default();
    let mut ledger_id = None;
    for (name, bytes) in files.range(DIRECTORY.to_owned()..) {
        let Some(first) = name.strip_prefix(DIRECTORY).and_then(|name| name.strip_suffix(".epochs")) else {
            continue;
        };
        let (header, start) = match read_header(bytes) {
            Ok(read) => read,
            // A segment that no frame is in yet.
            Err(_) if tail == Tail::Torn && search(bytes, 0).is_none() => continue,
            Err(what) => return Err(format!("{name}: {what}")),
        };
        let id = ledger_id.get_or_insert_with(|| header["ledger_id"].clone());
        rule(*id == header["ledger_id"], || format!("{name}: the header names another ledger"))?;
        rule(header["partition"] == 0, || format!("{name}: the header names another partition"))?;
        let first_of_name = first.parse::<u64>().ok().filter(|_| first.len() == 20);
        rule(first_of_name == header["first_epoch"].as_u64(), || format!("{name}: header and name differ"))?;
        if ledger.epochs.is_empty() {
            ledger.removed = removed(first_of_name, before)?;
            ledger.epochs.extend(before.iter().take(ledger.removed).map(Arc::clone));
        }
        let next = ledger.next();
        rule(first_of_name == Some(next), || format!("{name} follows, but epoch {next} is missing"))?;
        let id_hash = || *blake3::hash(id.as_str().unwrap_or_default().as_bytes()).as_bytes();
        let previous = ledger.epochs.last().map_or_else(id_hash, |epoch| epoch.hash);
        rule(header["previous"] == hex(&previous), || format!("{name}: the header breaks the chain"))?;
        ledger.read_frames(files, (name, bytes), (start, previous), tail, known)?;
        rule(ledger.epochs.iter().all(|epoch| epoch.document["ledger_id"] == *id), || {
            format!("{name}: an epoch is of another ledger")
        })?;
    }
    Ok(ledger)
}

/// How many epochs are before the first segment.
fn removed(first: Option<u64>, before: &[Arc<Epoch>]) -> Audit<usize> {
    let first = first.ok_or("a segment without a number")?;
    let removed = usize::try_from(first.saturating_sub(1)).unwrap_or(usize::MAX);
    rule(removed <= before.len(), || {
        format!("the ledger begins with epoch {first}, only {} were known", before.len())
    })?;
    Ok(removed)
}

impl Ledger {
    /// Number of the epoch that is missing yet.
    fn next(&self) -> u64 {
        self.epochs.last().map_or(1, |epoch| epoch.number + 1)
    }

    fn read_frames(
        &mut self,
        files: &Files,
        (name, bytes): (&String, &[u8]),
        (start, mut previous): (usize, [u8; 32]),
        tail: Tail,
        known: &mut KnownFrames,
    ) -> Audit<()> {
        let mut at = start;
        while at < bytes.len() {
            if let Some((epoch, hash)) = read_marker(bytes, at) {
                rule(epoch + 1 == self.next() && previous.starts_with(hash), || {
                    format!("{name}: the marker at {at} names epoch {epoch} where {} follows", self.next())
                })?;
                at += MARKER_BYTES;
                continue;
            }
            let number = self.next();
            let epoch = if let Some(epoch) = known.get(files, bytes, at) {
                Arc::clone(epoch)
            } else if let Some(frame) = read_frame(bytes, at) {
                let epoch = read_epoch(files, &frame, &bytes[at..frame.end]);
                let epoch = Arc::new(epoch.map_err(|what| format!("epoch {number}: {what}"))?);
                known.0.insert(epoch.hash, Arc::clone(&epoch));
                epoch
            } else {
                // What is before a marker was durable. A frame says nothing of what is before it: it may have reached
                // the disk first, where one sync was to cover both.
                if let Some(later) = last_marker(&bytes[at..]) {
                    return Err(format!(
                        "{name}: no frame or marker at {at}, but a marker at {}",
                        at + later
                    ));
                }
                return rule(tail == Tail::Torn, || {
                    format!("{name}: no frame or marker at {at} after a recovery")
                });
            };
            rule(epoch.number == number, || format!("{name}: epoch {} where {number} is due", epoch.number))?;
            rule(epoch.document["previous"] == hex(&previous), || {
                format!("epoch {number} breaks the chain")
            })?;
            (at, previous) = (at + epoch.bytes.len(), epoch.hash);
            self.epochs.push(epoch);
        }
        Ok(())
    }
}

fn read_epoch(files: &Files, frame: &Frame<'_>, bytes: &[u8]) -> Audit<Epoch> {
    let wrong = |error: serde_json::Error| format!("the document is no JSON: {error}");
    let document: Value = serde_json::from_slice(frame.document).map_err(wrong)?;
    let number = document["epoch"].as_u64().ok_or("it has no number")?;
    let contents = read_contents(files, &document, frame.contents)?;
    Ok(Epoch { number, hash: frame.hash, document, contents, bytes: bytes.to_vec() })
}

fn read_header(bytes: &[u8]) -> Audit<(Value, usize)> {
    rule(bytes.starts_with(MAGIC), || "it does not begin as a ledger".to_owned())?;
    let number =
        |at: usize| bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
    rule(number(16) == Some(1), || "its format is not 1".to_owned())?;
    let length = number(20).map_or(0, |length| length as usize);
    let header = bytes.get(24..24 + length).ok_or("its header is cut")?;
    let hash = bytes.get(24 + length..56 + length);
    rule(hash == Some(blake3::hash(header).as_bytes()), || "its header does not fit its hash".to_owned())?;
    let header = serde_json::from_slice(header).map_err(|error| format!("its header is no JSON: {error}"))?;
    Ok((header, 56 + length))
}

struct Frame<'a> {
    document: &'a [u8],
    contents: &'a [u8],
    hash: [u8; 32],
    end: usize,
}

/// Where document, contents and frame end, if a frame begins at a place.
fn lengths(bytes: &[u8], at: usize) -> Option<(usize, usize, usize)> {
    let head = bytes.get(at..at.checked_add(16)?)?;
    if !head.starts_with(b"EPOC") {
        return None;
    }
    let document = u32::from_le_bytes(head[4..8].try_into().ok()?) as usize;
    let contents = usize::try_from(u64::from_le_bytes(head[8..16].try_into().ok()?)).ok()?;
    let document_end = (at + 16).checked_add(document)?;
    let contents_end = document_end.checked_add(contents)?;
    let end = contents_end.checked_add(32).filter(|end| *end <= bytes.len())?;
    Some((document_end, contents_end, end))
}

/// The frame at a place, if a whole one is there.
fn read_frame(bytes: &[u8], at: usize) -> Option<Frame<'_>> {
    let (document_end, contents_end, end) = lengths(bytes, at)?;
    let document = bytes.get(at + 16..document_end)?;
    let contents = bytes.get(document_end..contents_end)?;
    let hash: [u8; 32] = bytes.get(contents_end..end)?.try_into().ok()?;
    let is_whole = *blake3::hash(document).as_bytes() == hash && are_whole(document, contents);
    is_whole.then_some(Frame { document, contents, hash, end })
}

/// Do the contents that follow a document fit the hashes in it? Where they do not the frame is as little whole as
/// one whose document is torn.
fn are_whole(document: &[u8], mut contents: &[u8]) -> bool {
    let Ok(document) = serde_json::from_slice::<Value>(document) else { return false };
    for content in
        document["contents"].as_array().into_iter().flatten().filter(|content| content["file"].is_null())
    {
        let length = content["bytes"].as_u64().and_then(|length| usize::try_from(length).ok());
        let Some((bytes, rest)) = length.and_then(|length| contents.split_at_checked(length)) else {
            return false;
        };
        if content["hash"] != hex(blake3::hash(bytes).as_bytes()) {
            return false;
        }
        contents = rest;
    }
    contents.is_empty()
}

/// The marker at a place, if a whole one is there: the epoch, and the first half of its hash.
fn read_marker(bytes: &[u8], at: usize) -> Option<(u64, &[u8])> {
    let marker = bytes.get(at..at.checked_add(MARKER_BYTES)?)?;
    let is_whole =
        marker.starts_with(b"SYNC") && blake3::hash(&marker[..28]).as_bytes().starts_with(&marker[28..]);
    is_whole.then_some((u64::from_le_bytes(marker[4..12].try_into().ok()?), &marker[12..28]))
}

/// Where a whole frame or marker begins, from a place on.
fn search(bytes: &[u8], from: usize) -> Option<usize> {
    (from..bytes.len()).find(|at| {
        let is_one = matches!(bytes[*at..].first_chunk::<4>(), Some(b"EPOC" | b"SYNC"));
        is_one && (read_frame(bytes, *at).is_some() || read_marker(bytes, *at).is_some())
    })
}

/// Where the last marker of a segment begins: damage before it is never taken for a torn tail.
pub(crate) fn last_marker(bytes: &[u8]) -> Option<usize> {
    (0..bytes.len()).rev().find(|at| read_marker(bytes, *at).is_some())
}

fn read_contents(files: &Files, document: &Value, mut inline: &[u8]) -> Audit<Vec<Content>> {
    let mut contents = Vec::new();
    for content in document["contents"].as_array().ok_or("it has no contents")? {
        let kind = content["kind"].as_str().ok_or("a content has no kind")?.to_owned();
        let length = content["bytes"].as_u64().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        let file = content["file"].as_str().map(ToOwned::to_owned);
        let bytes = if let Some(name) = &file {
            files.get(name).ok_or_else(|| format!("{name} is missing"))?.as_slice()
        } else {
            let (bytes, rest) = inline.split_at_checked(length).ok_or("contents are cut")?;
            inline = rest;
            bytes
        };
        // What follows the document was compared with its hash before.
        let fits = file.is_none() || content["hash"] == hex(blake3::hash(bytes).as_bytes());
        rule(bytes.len() == length && fits, || {
            format!("the {kind} do not fit their hash: {} bytes where {length} are named", bytes.len())
        })?;
        let row_count = content["rows"].as_u64().ok_or("a content does not say its rows")?;
        let rows = if matches!(kind.as_str(), "rated_usage" | "quarantine" | "accruals") {
            let rows = read_rows(bytes.to_vec()).map_err(|error| format!("{kind}: {error}"))?;
            rule(rows.len() as u64 == row_count, || format!("{} {kind}, not {row_count}", rows.len()))?;
            rows
        } else {
            Vec::new()
        };
        contents.push(Content { kind, bytes: bytes.to_vec(), row_count, file, rows });
    }
    rule(inline.is_empty(), || "more contents than it names".to_owned())?;
    Ok(contents)
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(half.into(), 16);
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]).filter_map(digit).collect()
}
