//! Epochs and markers as bytes of a segment.
//!
//! ```text
//! epoch   EPOC | document length u32 | contents length u64 | document | contents | BLAKE3 of document
//! marker  SYNC | epoch u64 | first 16 bytes of its hash | first 4 bytes of the BLAKE3 of what is before
//! ```
//!
//! Numbers are little-endian. A document names the hash of each content, so its own hash covers all.

use schemas::epoch::{ContentHash, Epoch};

/// What an epoch begins with.
const EPOCH: &[u8; 4] = b"EPOC";

/// What a marker begins with.
const MARKER: &[u8; 4] = b"SYNC";

/// Bytes of an epoch before its document.
pub(super) const EPOCH_HEAD_BYTES: usize = 16;

/// Bytes of a hash.
const HASH_BYTES: usize = 32;

/// Bytes of a hash that a marker has.
const MARKED_HASH_BYTES: usize = 16;

/// Bytes of a marker.
pub(super) const MARKER_BYTES: usize = 32;

/// An epoch as it is appended: its document cannot change any more.
#[derive(Debug)]
pub struct SealedEpoch {
    /// The document.
    pub epoch: Epoch,
    /// Hash of the document, which is the epoch's.
    pub hash: ContentHash,
    pub(super) document: Vec<u8>,
    /// Contents that have no file, in the order of the document.
    pub inline: Vec<Vec<u8>>,
}

impl SealedEpoch {
    /// Seals a document. `inline` holds the contents that have no file, in its order.
    #[must_use]
    pub fn new(epoch: Epoch, inline: Vec<Vec<u8>>) -> Self {
        // A document has only texts as keys, so writing it cannot fail.
        let document = serde_json::to_vec(&epoch).unwrap_or_default();
        let hash = hash_of(&document);
        Self { epoch, hash, document, inline }
    }

    /// The bytes of a content of the document, by its position, where it has no file.
    #[must_use]
    pub fn inline_content(&self, position: usize) -> Option<&[u8]> {
        let contents = self.epoch.contents.get(..position)?;
        let before = contents.iter().filter(|content| content.file.is_none()).count();
        self.epoch.contents.get(position).filter(|content| content.file.is_none())?;
        self.inline.get(before).map(Vec::as_slice)
    }

    pub(super) fn write(&self, to: &mut Vec<u8>) {
        let contents: usize = self.inline.iter().map(Vec::len).sum();
        to.extend_from_slice(EPOCH);
        to.extend_from_slice(&u32::try_from(self.document.len()).unwrap_or(u32::MAX).to_le_bytes());
        to.extend_from_slice(&(contents as u64).to_le_bytes());
        to.extend_from_slice(&self.document);
        for content in &self.inline {
            to.extend_from_slice(content);
        }
        to.extend_from_slice(&self.hash.0);
    }
}

/// A marker that says that an epoch is durable.
pub(super) fn marker(epoch: u64, hash: &ContentHash) -> Vec<u8> {
    let mut bytes = MARKER.to_vec();
    bytes.extend_from_slice(&epoch.to_le_bytes());
    bytes.extend_from_slice(marked_hash(hash));
    let check = blake3::hash(&bytes);
    bytes.extend_from_slice(check.as_bytes().get(..4).unwrap_or_default());
    bytes
}

/// What a marker has of the hash of its epoch.
pub(super) fn marked_hash(hash: &ContentHash) -> &[u8; MARKED_HASH_BYTES] {
    hash.0.first_chunk().unwrap_or(&[0; MARKED_HASH_BYTES])
}

/// Something whole at a place of a segment.
pub(super) enum Frame {
    Epoch(Box<SealedEpoch>),
    /// An epoch is durable: its number, and the beginning of its hash.
    Marker {
        epoch: u64,
        hash: [u8; MARKED_HASH_BYTES],
    },
}

/// What begins at a place of a segment.
pub(super) enum Head {
    /// An epoch, with the bytes of its document and of its contents.
    Epoch {
        document: u32,
        contents: u64,
    },
    Marker,
}

/// What begins with these bytes; `None` if nothing does.
pub(super) fn head_of(bytes: &[u8; EPOCH_HEAD_BYTES]) -> Option<Head> {
    let (magic, rest) = bytes.split_first_chunk::<4>()?;
    let (document, rest) = rest.split_first_chunk::<4>()?;
    let contents = rest.first_chunk::<8>()?;
    match magic {
        MARKER => Some(Head::Marker),
        EPOCH => Some(Head::Epoch {
            document: u32::from_le_bytes(*document),
            contents: u64::from_le_bytes(*contents),
        }),
        _ => None,
    }
}

/// Why there is nothing whole.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) what: &'static str,
    pub(super) expected: String,
    pub(super) found: String,
}

impl Broken {
    fn new(what: &'static str, expected: &dyn ToString, found: &dyn ToString) -> Self {
        Self { what, expected: expected.to_string(), found: found.to_string() }
    }
}

/// Reads what begins at the front of some bytes; it and its length.
pub(super) fn read(bytes: &[u8]) -> Result<(Frame, usize), Broken> {
    match bytes.get(..4) {
        Some(magic) if magic == MARKER => read_marker(bytes).map(|frame| (frame, MARKER_BYTES)),
        Some(magic) if magic == EPOCH => read_epoch(bytes),
        _ => {
            Err(Broken::new("no epoch begins here", &"EPOC or SYNC", &shown(bytes.get(..4).unwrap_or(bytes))))
        }
    }
}

fn read_marker(bytes: &[u8]) -> Result<Frame, Broken> {
    let ends = || Broken::new("a marker ends early", &MARKER_BYTES, &bytes.len());
    let (Some(body), Some(check)) =
        (bytes.get(..MARKER_BYTES - 4), bytes.get(MARKER_BYTES - 4..MARKER_BYTES))
    else {
        return Err(ends());
    };
    let hash = blake3::hash(body);
    let expected = hash.as_bytes().get(..4).unwrap_or_default();
    if expected != check {
        return Err(Broken::new("the check of a marker", &shown(expected), &shown(check)));
    }
    let number = body.get(4..12).and_then(|number| number.first_chunk::<8>()).ok_or_else(ends)?;
    let hash = body.get(12..).and_then(|hash| hash.first_chunk()).ok_or_else(ends)?;
    Ok(Frame::Marker { epoch: u64::from_le_bytes(*number), hash: *hash })
}

fn read_epoch(bytes: &[u8]) -> Result<(Frame, usize), Broken> {
    let ends = |needed: u64| Broken::new("an epoch ends early", &format!("{needed} bytes"), &bytes.len());
    let document_length = bytes.get(4..8).and_then(|number| number.first_chunk::<4>());
    let contents_length = bytes.get(8..EPOCH_HEAD_BYTES).and_then(|number| number.first_chunk::<8>());
    let (Some(document_length), Some(contents_length)) = (document_length, contents_length) else {
        return Err(ends(EPOCH_HEAD_BYTES as u64));
    };
    let (document_length, contents_length) =
        (u64::from(u32::from_le_bytes(*document_length)), u64::from_le_bytes(*contents_length));
    let head = EPOCH_HEAD_BYTES as u64;
    let needed = contents_length.saturating_add(head + document_length + HASH_BYTES as u64);
    let length = usize::try_from(needed).ok().filter(|length| *length <= bytes.len());
    let (Some(length), Ok(document_length)) = (length, usize::try_from(document_length)) else {
        return Err(ends(needed));
    };
    let document = bytes.get(EPOCH_HEAD_BYTES..EPOCH_HEAD_BYTES + document_length).unwrap_or_default();
    let stored = bytes.get(length - HASH_BYTES..length).and_then(|hash| hash.first_chunk::<HASH_BYTES>());
    let stored = ContentHash(stored.copied().unwrap_or_default());
    let hash = hash_of(document);
    if hash != stored {
        return Err(Broken::new("the hash of an epoch", &stored, &hash));
    }
    let epoch: Epoch = serde_json::from_slice(document)
        .map_err(|error| Broken::new("the document of an epoch", &"an epoch document", &error))?;
    let mut inline = Vec::new();
    let mut rest = bytes.get(EPOCH_HEAD_BYTES + document_length..length - HASH_BYTES).unwrap_or_default();
    for content in epoch.contents.iter().filter(|content| content.file.is_none()) {
        let split = usize::try_from(content.bytes).ok().and_then(|length| rest.split_at_checked(length));
        let Some((bytes, after)) = split else {
            return Err(Broken::new("a content of an epoch ends early", &content.bytes, &rest.len()));
        };
        let found = hash_of(bytes);
        if found != content.hash {
            return Err(Broken::new("the hash of a content of an epoch", &content.hash, &found));
        }
        inline.push(bytes.to_vec());
        rest = after;
    }
    if !rest.is_empty() {
        return Err(Broken::new("an epoch has contents that it does not name", &0, &rest.len()));
    }
    let document = document.to_vec();
    Ok((Frame::Epoch(Box::new(SealedEpoch { epoch, hash, document, inline })), length))
}

/// Does a marker of an epoch after this one begin anywhere in the bytes? Then that epoch was durable, and so was
/// what is before it. An epoch alone proves nothing: what was not synced may be there in any part.
pub(super) fn holds_later_marker(bytes: &[u8], epoch: u64) -> bool {
    memchr::memmem::find_iter(bytes, MARKER).any(|place| match bytes.get(place..).map(read) {
        Some(Ok((Frame::Marker { epoch: later, .. }, _))) => later > epoch,
        _ => false,
    })
}

/// The hash of some bytes.
pub(crate) fn hash_of(bytes: &[u8]) -> ContentHash {
    ContentHash(*blake3::hash(bytes).as_bytes())
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
