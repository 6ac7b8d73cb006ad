//! A run of entries on disk: its index in memory, its pages read as they are asked for.
//!
//! ```text
//! identity -> group (its first place) -> filter: absent, or perhaps in -> page (its fence) -> entry
//! ```
//!
//! Every page is checked against its checksum, position and number of entries each time it is read; a
//! page that does not agree is an error and never a verdict (DEDUP-1).

use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::entry::{ENTRY_BYTES, Entry, EntryWord};
use super::error::{RunError, RunName, RunPart};
use super::filter::{FilterBlock, block_of};
use super::layout::{
    self, Damage, FORMAT_VERSION, GROUP_BLOCKS, GROUP_PAGES, GroupIndex, INDEX_BYTES, PAGE_BYTES, Trailer,
};
use super::month::Month;
use crate::keyed_hash::HashKey;

/// The bytes of a run. They never change.
pub trait RunBytes: Send + Sync + Debug {
    /// How many there are.
    ///
    /// # Errors
    /// They cannot be reached.
    fn size(&self) -> io::Result<u64>;

    /// Reads bytes from an offset on, all of `to`.
    ///
    /// # Errors
    /// They cannot be read, or there are not so many.
    fn read_at(&self, offset: u64, to: &mut [u8]) -> io::Result<()>;
}

/// An immutable run of entries. Copies share everything.
#[derive(Clone, Debug)]
pub struct Run {
    name: RunName,
    bytes: Arc<dyn RunBytes>,
    trailer: Trailer,
    index: Arc<RunIndex>,
}

/// What of a run is in memory.
#[derive(Debug)]
struct RunIndex {
    /// Upper half of the first place of each group: few enough to stay in the caches.
    starts: Vec<u64>,
    /// Filter and fences of all groups.
    groups: GroupIndex,
}

/// A page, read and checked.
#[derive(Debug, Default)]
pub(super) struct Page {
    bytes: Vec<u8>,
    entries: usize,
}

/// Reads the entries of a run in order, a group of pages at a time.
pub(super) struct RunReader<'a> {
    run: &'a Run,
    pages: Vec<u8>,
    page: u64,
    entries: std::vec::IntoIter<Entry>,
}

impl Run {
    /// Opens a run: reads its header, trailer and the index of every group.
    ///
    /// # Errors
    /// It cannot be read, is damaged or cut short, or has another format version or key.
    pub fn open(name: impl Into<RunName>, bytes: Arc<dyn RunBytes>, key: &HashKey) -> Result<Self, RunError> {
        let name = name.into();
        let size = bytes.size().map_err(|error| RunError::Read {
            run: Arc::clone(&name),
            part: RunPart::Length,
            error,
        })?;
        let empty = Trailer { entries: 0, first_month: Month::default(), last_month: Month::default() };
        let mut run = Self { name, bytes, trailer: empty, index: Arc::new(RunIndex::with_room_for(0)) };
        let least = layout::run_bytes(0);
        if size < least {
            return Err(run.damaged(Damage { part: RunPart::Length, expected: least, found: size }));
        }
        let mut page = vec![0; PAGE_BYTES];
        run.read(RunPart::Header, 0, &mut page)?;
        let (version, fingerprint) = layout::read_header(&page).map_err(|damage| run.damaged(damage))?;
        if version != u64::from(FORMAT_VERSION) {
            let found = u32::try_from(version).unwrap_or(u32::MAX);
            return Err(RunError::OtherVersion { run: run.name, expected: FORMAT_VERSION, found });
        }
        if fingerprint != key.fingerprint() {
            return Err(RunError::OtherKey(run.name));
        }
        run.read(RunPart::Trailer, size - PAGE_BYTES as u64, &mut page)?;
        run.trailer = Trailer::read(&page).map_err(|damage| run.damaged(damage))?;
        let entries = run.trailer.entries;
        if entries > layout::ENTRIES_MAX {
            return Err(run.damaged(Damage {
                part: RunPart::Count,
                expected: layout::ENTRIES_MAX,
                found: entries,
            }));
        }
        let expected = layout::run_bytes(entries);
        if expected != size {
            return Err(run.damaged(Damage { part: RunPart::Length, expected, found: size }));
        }
        run.index = Arc::new(run.read_index()?);
        Ok(run)
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &RunName {
        &self.name
    }

    /// Entries, those of forgotten months included.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        self.trailer.entries
    }

    /// The earliest month of its entries.
    #[must_use]
    pub const fn first_month(&self) -> Month {
        self.trailer.first_month
    }

    /// The latest month of its entries.
    #[must_use]
    pub const fn last_month(&self) -> Month {
        self.trailer.last_month
    }

    /// Bytes of memory its index takes up: about 13 bits an entry.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let RunIndex { starts, groups } = &*self.index;
        starts.capacity() * size_of::<u64>()
            + groups.blocks.capacity() * size_of::<FilterBlock>()
            + groups.fences.capacity() * size_of::<u128>()
    }

    /// Reads everything and finds out whether it agrees: checksums, order, numbers, fences, months, and
    /// that the filter holds every key.
    ///
    /// # Errors
    /// It cannot be read or is damaged.
    pub fn verify(&self) -> Result<(), RunError> {
        self.verify_each(|_| ())
    }

    /// The same, and hands over the entries on the way, in their order.
    ///
    /// # Errors
    /// It cannot be read or is damaged.
    pub fn verify_each(&self, mut take: impl FnMut(Entry)) -> Result<(), RunError> {
        let mut reader = RunReader::new(self);
        let (mut position, mut before) = (0u64, None);
        let (mut first_month, mut last_month) = (Month::MAX, Month::default());
        let damaged = |part, expected, found| Err(self.damaged(Damage { part, expected, found }));
        while let Some(entry) = reader.next()? {
            let page = page_number(position / layout::PAGE_ENTRIES as u64);
            let group = page_number(position / layout::GROUP_ENTRIES as u64);
            if let Some(before) = before.replace(entry.place())
                && before >= entry.place()
            {
                return damaged(RunPart::Order(page), upper(before), entry.high);
            }
            let fence = self.index.groups.fences.get(page as usize).copied().unwrap_or(0);
            if position.is_multiple_of(layout::PAGE_ENTRIES as u64) && fence != entry.place() {
                return damaged(RunPart::Fence(page), entry.high, upper(fence));
            }
            if !self.index.block(group as usize, &entry).is_some_and(|block| block.may_hold(entry.low)) {
                return damaged(RunPart::Filter(group), entry.low, 0);
            }
            first_month = first_month.min(entry.month());
            last_month = last_month.max(entry.month());
            position += 1;
            take(entry);
        }
        if position != self.trailer.entries {
            return damaged(RunPart::Count, self.trailer.entries, position);
        }
        for (expected, found) in
            [(first_month.min(last_month), self.first_month()), (last_month, self.last_month())]
        {
            if expected != found {
                return damaged(RunPart::Months, expected.number().into(), found.number().into());
            }
        }
        Ok(())
    }

    /// The group an entry would be in.
    #[inline]
    pub(super) fn group_of(&self, entry: &Entry) -> usize {
        self.index.group_of(entry)
    }

    /// Loads the filter's line for an entry; the load does not wait for others.
    #[inline]
    pub(super) fn touch(&self, group: usize, entry: &Entry) -> u64 {
        self.index.block(group, entry).map_or(0, |block| block.0[0])
    }

    /// The page an entry is in, if it is in this run; `None` is certain.
    #[inline]
    pub(super) fn page_of(&self, group: usize, entry: &Entry) -> Option<u32> {
        self.index.block(group, entry).filter(|block| block.may_hold(entry.low))?;
        let from = group * GROUP_PAGES;
        let fences = &self.index.groups.fences;
        let fences = fences.get(from..(from + GROUP_PAGES).min(fences.len()))?;
        let page = fences.partition_point(|fence| *fence <= entry.place()).checked_sub(1)?;
        Some(page_number((from + page) as u64))
    }

    /// Reads a page into memory.
    pub(super) fn read_page(&self, page: u32, into: &mut Page) -> Result<(), RunError> {
        into.bytes.resize(PAGE_BYTES, 0);
        into.entries = 0;
        self.read(RunPart::Page(page), layout::page_offset(page.into()), &mut into.bytes)?;
        let expected = layout::entries_of_page(page.into(), self.trailer.entries);
        let entries =
            layout::read_page(&into.bytes, page, expected).map_err(|damage| self.damaged(damage))?;
        into.entries = entries.len();
        Ok(())
    }

    fn read(&self, part: RunPart, offset: u64, to: &mut [u8]) -> Result<(), RunError> {
        let failed = |error| RunError::Read { run: Arc::clone(&self.name), part, error };
        self.bytes.read_at(offset, to).map_err(failed)
    }

    fn read_index(&self) -> Result<RunIndex, RunError> {
        let entries = self.trailer.entries;
        let groups = layout::groups_of(entries);
        let mut index = RunIndex::with_room_for(entries);
        let mut bytes = vec![0; INDEX_BYTES];
        for group in 0..groups {
            let number = page_number(group);
            self.read(RunPart::Index(number), layout::index_offset(group, entries), &mut bytes)?;
            let expected = layout::entries_of_group(group, entries);
            index.groups.read(&bytes, number, expected).map_err(|damage| self.damaged(damage))?;
        }
        for (page, fences) in (1..).zip(index.groups.fences.windows(2)) {
            if let [before, fence] = fences
                && before >= fence
            {
                return Err(self.damaged(Damage {
                    part: RunPart::Fence(page),
                    expected: upper(*before),
                    found: upper(*fence),
                }));
            }
        }
        index.starts.extend(index.groups.fences.iter().step_by(GROUP_PAGES).map(|fence| upper(*fence)));
        Ok(index)
    }

    fn damaged(&self, damage: Damage) -> RunError {
        let Damage { part, expected, found } = damage;
        RunError::Corrupt { run: Arc::clone(&self.name), part, expected, found }
    }
}

impl RunIndex {
    fn with_room_for(entries: u64) -> Self {
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let groups = count(layout::groups_of(entries));
        Self {
            starts: Vec::with_capacity(groups),
            groups: GroupIndex {
                blocks: Vec::with_capacity(groups * GROUP_BLOCKS),
                fences: Vec::with_capacity(count(layout::pages_of(entries))),
            },
        }
    }

    #[inline]
    fn block(&self, group: usize, entry: &Entry) -> Option<&FilterBlock> {
        self.groups.blocks.get(group * GROUP_BLOCKS + block_of(entry.low, GROUP_BLOCKS))
    }

    /// The last group that starts at the entry or before it; the first, if all start after it.
    #[inline]
    fn group_of(&self, entry: &Entry) -> usize {
        let starts = self.starts.as_slice();
        // Places are even: the entry is near its share of the groups, and the search widens from there.
        let near = upper(u128::from(entry.high) * starts.len() as u128);
        let near = usize::try_from(near).unwrap_or(0);
        let is_from = |group: usize| starts.get(group).is_some_and(|start| *start <= entry.high);
        let (mut from, mut to, mut step) = (near, near + 1, 1);
        while from > 0 && !is_from(from) {
            to = from;
            from = from.saturating_sub(step);
            step *= 2;
        }
        while is_from(to) {
            from = to;
            to += step;
            step *= 2;
        }
        let between = starts.get(from..to.min(starts.len())).unwrap_or_default();
        let mut group = from + between.partition_point(|start| *start <= entry.high).saturating_sub(1);
        // Groups that start with the same upper half are told apart by the lower.
        while group > 0
            && self.groups.fences.get(group * GROUP_PAGES).is_some_and(|fence| *fence > entry.place())
        {
            group -= 1;
        }
        group
    }
}

impl Page {
    /// The word of an entry's identity.
    pub(super) fn find(&self, entry: &Entry) -> Option<EntryWord> {
        let entries = self.bytes.as_chunks::<ENTRY_BYTES>().0.get(..self.entries)?;
        let at = entries.partition_point(|bytes| Entry::from_bytes(bytes).place() < entry.place());
        let found = Entry::from_bytes(entries.get(at)?);
        (found.place() == entry.place()).then_some(found.word)
    }
}

impl<'a> RunReader<'a> {
    pub(super) fn new(run: &'a Run) -> Self {
        Self { run, pages: Vec::new(), page: 0, entries: Vec::new().into_iter() }
    }

    /// The next entry.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<Entry>, RunError> {
        if let Some(entry) = self.entries.next() {
            return Ok(Some(entry));
        }
        self.read_group()?;
        Ok(self.entries.next())
    }

    fn read_group(&mut self) -> Result<(), RunError> {
        let entries = self.run.trailer.entries;
        let pages = layout::pages_of(entries).saturating_sub(self.page).min(GROUP_PAGES as u64);
        let bytes = usize::try_from(pages).unwrap_or(GROUP_PAGES) * PAGE_BYTES;
        self.pages.resize(bytes, 0);
        self.run.read(
            RunPart::Page(page_number(self.page)),
            layout::page_offset(self.page),
            &mut self.pages,
        )?;
        let mut read = Vec::with_capacity(layout::GROUP_ENTRIES);
        for (page, bytes) in (self.page..).zip(self.pages.chunks(PAGE_BYTES)) {
            let expected = layout::entries_of_page(page, entries);
            let page = layout::read_page(bytes, page_number(page), expected);
            read.extend(page.map_err(|damage| self.run.damaged(damage))?.iter().map(Entry::from_bytes));
        }
        self.page += pages;
        self.entries = read.into_iter();
        Ok(())
    }
}

impl RunBytes for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, offset: u64, to: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(to, offset)
    }
}

impl RunBytes for Vec<u8> {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, offset: u64, to: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(offset).ok();
        let bytes = from.and_then(|from| self.get(from..from.checked_add(to.len())?));
        to.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// The upper half of a place.
#[inline]
const fn upper(place: u128) -> u64 {
    (place >> 64) as u64
}

/// The number of a page or group: a run has fewer than 2^32.
#[inline]
fn page_number(page: u64) -> u32 {
    u32::try_from(page).unwrap_or(u32::MAX)
}
