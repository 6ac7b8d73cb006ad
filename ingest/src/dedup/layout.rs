//! The format of a run: entries in order of their places, immutable, every byte under a checksum.
//!
//! ```text
//! header    4 KiB   magic, format version, fingerprint of the key
//! group   256 KiB   60 pages of entries, then their index; the last group may have fewer pages
//! ...
//! trailer   4 KiB   magic, number of entries, first and last month
//!
//! page      4 KiB   170 entries of 24 bytes, position of the page, number of entries, checksum
//! index    16 KiB   filter (240 blocks), first place of each page, position and numbers, checksum
//! ```
//!
//! Numbers are little-endian. A checksum is a CRC-32 of everything before it in its page or index, and
//! what it covers says where it belongs, so a page in a wrong place is found out too. An index follows
//! its pages, so a run of any size is written from front to back in constant memory; the index of a group
//! takes up 12.9 bits a key.

use super::entry::{ENTRY_BYTES, Entry};
use super::error::RunPart;
use super::filter::{BLOCK_BYTES, FilterBlock};
use super::month::Month;

/// Version of the format.
pub(super) const FORMAT_VERSION: u32 = 1;

/// Bytes of a page.
pub(super) const PAGE_BYTES: usize = 4096;

/// Entries of a full page.
pub(super) const PAGE_ENTRIES: usize = 170;

/// Pages of a full group.
pub(super) const GROUP_PAGES: usize = 60;

/// Entries of a full group.
pub(super) const GROUP_ENTRIES: usize = GROUP_PAGES * PAGE_ENTRIES;

/// Filter blocks of a group.
pub(super) const GROUP_BLOCKS: usize = 240;

/// Bytes of the index of a group.
pub(super) const INDEX_BYTES: usize = 16 * 1024;

/// Bytes of a full group.
pub(super) const GROUP_BYTES: usize = GROUP_PAGES * PAGE_BYTES + INDEX_BYTES;

/// Entries of the largest run: its pages have numbers of 32 bits.
pub(super) const ENTRIES_MAX: u64 = (u32::MAX as u64 / 2) * PAGE_ENTRIES as u64;

const HEADER_MAGIC: u64 = u64::from_le_bytes(*b"tb-dedup");
const TRAILER_MAGIC: u64 = u64::from_le_bytes(*b"pudeb-bt");
const FENCE_BYTES: usize = size_of::<u128>();
const CHECKSUM_BYTES: usize = 4;

/// What the trailer of a run says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trailer {
    pub(super) entries: u64,
    pub(super) first_month: Month,
    pub(super) last_month: Month,
}

/// The index of a group.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct GroupIndex {
    pub(super) blocks: Vec<FilterBlock>,
    pub(super) fences: Vec<u128>,
}

/// What does not agree with the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damage {
    pub(super) part: RunPart,
    pub(super) expected: u64,
    pub(super) found: u64,
}

/// Pages of entries in a run.
pub(super) const fn pages_of(entries: u64) -> u64 {
    entries.div_ceil(PAGE_ENTRIES as u64)
}

/// Groups in a run.
pub(super) const fn groups_of(entries: u64) -> u64 {
    entries.div_ceil(GROUP_ENTRIES as u64)
}

/// Bytes of a run.
pub(super) const fn run_bytes(entries: u64) -> u64 {
    (2 + pages_of(entries)) * PAGE_BYTES as u64 + groups_of(entries) * INDEX_BYTES as u64
}

/// Where a page is.
pub(super) const fn page_offset(page: u64) -> u64 {
    (1 + page) * PAGE_BYTES as u64 + page / GROUP_PAGES as u64 * INDEX_BYTES as u64
}

/// Where the index of a group is, in a run of this many entries.
pub(super) fn index_offset(group: u64, entries: u64) -> u64 {
    let end = ((group + 1) * GROUP_PAGES as u64).min(pages_of(entries));
    (1 + end) * PAGE_BYTES as u64 + group * INDEX_BYTES as u64
}

/// Entries of a page, in a run of this many.
pub(super) fn entries_of_page(page: u64, entries: u64) -> u64 {
    entries.saturating_sub(page * PAGE_ENTRIES as u64).min(PAGE_ENTRIES as u64)
}

/// Entries of a group, in a run of this many.
pub(super) fn entries_of_group(group: u64, entries: u64) -> u64 {
    entries.saturating_sub(group * GROUP_ENTRIES as u64).min(GROUP_ENTRIES as u64)
}

/// Appends what it is given, fills up with zeros to a length, and ends with the checksum.
fn seal(to: &mut Vec<u8>, from: usize, length: usize) {
    to.resize(from + length - CHECKSUM_BYTES, 0);
    let checksum = crc32fast::hash(to.get(from..).unwrap_or_default());
    to.extend(checksum.to_le_bytes());
}

/// Agrees the checksum at the end?
fn check(bytes: &[u8], part: RunPart) -> Result<(), Damage> {
    let Some((covered, checksum)) = bytes.split_last_chunk() else {
        return Err(Damage { part, expected: CHECKSUM_BYTES as u64, found: bytes.len() as u64 });
    };
    let (expected, found) = (crc32fast::hash(covered), u32::from_le_bytes(*checksum));
    agree(part, expected.into(), found.into())
}

fn agree(part: RunPart, expected: u64, found: u64) -> Result<(), Damage> {
    if expected == found { Ok(()) } else { Err(Damage { part, expected, found }) }
}

/// The number at a place; zero beyond the end.
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// The header of a run.
pub(super) fn header(fingerprint: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(PAGE_BYTES);
    for number in [HEADER_MAGIC, FORMAT_VERSION.into(), fingerprint] {
        bytes.extend(number.to_le_bytes());
    }
    seal(&mut bytes, 0, PAGE_BYTES);
    bytes
}

/// Format version and fingerprint of a run. The version is read before anything that may depend on it.
pub(super) fn read_header(bytes: &[u8]) -> Result<(u64, u64), Damage> {
    agree(RunPart::Header, HEADER_MAGIC, u64_at(bytes, 0))?;
    let version = u64_at(bytes, 8);
    if version == u64::from(FORMAT_VERSION) {
        check(bytes, RunPart::Header)?;
    }
    Ok((version, u64_at(bytes, 16)))
}

impl Trailer {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(PAGE_BYTES);
        let months = [self.first_month, self.last_month].map(|month| u64::from(month.number()));
        for number in [TRAILER_MAGIC, self.entries, months[0], months[1]] {
            bytes.extend(number.to_le_bytes());
        }
        seal(&mut bytes, 0, PAGE_BYTES);
        bytes
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Self, Damage> {
        agree(RunPart::Trailer, TRAILER_MAGIC, u64_at(bytes, 0))?;
        check(bytes, RunPart::Trailer)?;
        let month = |at| Month::since_1970(u16::try_from(u64_at(bytes, at)).unwrap_or(u16::MAX));
        Ok(Self { entries: u64_at(bytes, 8), first_month: month(16), last_month: month(24) })
    }
}

/// Appends a page.
pub(super) fn write_page(to: &mut Vec<u8>, page: u64, entries: &[Entry]) {
    let from = to.len();
    for entry in entries {
        to.extend_from_slice(&entry.to_bytes());
    }
    to.resize(from + PAGE_ENTRIES * ENTRY_BYTES, 0);
    to.extend(page.to_le_bytes().iter().take(6));
    to.extend((entries.len() as u64).to_le_bytes().iter().take(2));
    seal(to, from, PAGE_BYTES);
}

/// The entries of a page, once its checksum, position and number are found to agree.
pub(super) fn read_page(bytes: &[u8], page: u32, entries: u64) -> Result<&[[u8; ENTRY_BYTES]], Damage> {
    let part = RunPart::Page(page);
    check(bytes, part)?;
    let number = u64_at(bytes, PAGE_ENTRIES * ENTRY_BYTES);
    agree(part, u64::from(page) | (entries << 48), number)?;
    let (all, _) = bytes.as_chunks::<ENTRY_BYTES>();
    let expected = usize::try_from(entries).ok().and_then(|entries| all.get(..entries));
    expected.ok_or(Damage { part, expected: entries, found: all.len() as u64 })
}

impl GroupIndex {
    /// Nothing yet.
    pub(super) fn empty() -> Self {
        Self { blocks: vec![FilterBlock::default(); GROUP_BLOCKS], fences: Vec::with_capacity(GROUP_PAGES) }
    }

    /// Empties it.
    pub(super) fn clear(&mut self) {
        self.blocks.fill(FilterBlock::default());
        self.fences.clear();
    }

    /// Appends it, as that of this group with this many entries.
    pub(super) fn write(&self, to: &mut Vec<u8>, group: u64, entries: u64) {
        let from = to.len();
        for word in self.blocks.iter().flat_map(|block| block.0) {
            to.extend_from_slice(&word.to_le_bytes());
        }
        for fence in &self.fences {
            to.extend(fence.to_le_bytes());
        }
        to.resize(from + GROUP_BLOCKS * BLOCK_BYTES + GROUP_PAGES * FENCE_BYTES, 0);
        to.extend(group.to_le_bytes());
        to.extend(entries.to_le_bytes());
        seal(to, from, INDEX_BYTES);
    }

    /// Appends the index of a group to blocks and fences, once it is found to agree.
    pub(super) fn read(&mut self, bytes: &[u8], group: u32, entries: u64) -> Result<(), Damage> {
        let part = RunPart::Index(group);
        check(bytes, part)?;
        let numbers = GROUP_BLOCKS * BLOCK_BYTES + GROUP_PAGES * FENCE_BYTES;
        agree(part, group.into(), u64_at(bytes, numbers))?;
        agree(part, entries, u64_at(bytes, numbers + 8))?;
        let blocks = bytes.as_chunks::<BLOCK_BYTES>().0.iter().take(GROUP_BLOCKS);
        self.blocks.extend(blocks.map(|bytes| {
            let mut block = FilterBlock::default();
            for (word, bytes) in block.0.iter_mut().zip(bytes.as_chunks().0) {
                *word = u64::from_le_bytes(*bytes);
            }
            block
        }));
        let fences = bytes.get(GROUP_BLOCKS * BLOCK_BYTES..).unwrap_or_default().as_chunks().0;
        let pages = usize::try_from(pages_of(entries)).unwrap_or(GROUP_PAGES);
        self.fences.extend(fences.iter().take(pages).map(|bytes| u128::from_le_bytes(*bytes)));
        Ok(())
    }
}
