//! Writes a run from front to back, in constant memory.

use std::io::Write;

use super::entry::Entry;
use super::error::RunError;
use super::filter::block_of;
use super::layout::{
    self, ENTRIES_MAX, GROUP_BLOCKS, GROUP_BYTES, GROUP_PAGES, GroupIndex, PAGE_ENTRIES, Trailer,
};
use super::month::Month;
use super::sort::sort_by_place;
use crate::keyed_hash::HashKey;

/// What a new run holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunSummary {
    /// Entries.
    pub entries: u64,
    /// Bytes.
    pub bytes: u64,
    /// The earliest month; the first of all where there is no entry.
    pub first_month: Month,
    /// The latest month.
    pub last_month: Month,
}

/// Sorts entries and writes them as a run.
///
/// # Errors
/// The run cannot be written.
pub fn write_run(
    entries: &mut Vec<Entry>,
    key: &HashKey,
    to: &mut impl Write,
) -> Result<RunSummary, RunError> {
    sort_by_place(entries);
    write_sorted_run(entries.iter().copied(), key, to)
}

/// Writes entries that come in order, such as those of [`super::Dedup::hot_entries_sorted`], as a run.
///
/// # Errors
/// The run cannot be written.
pub fn write_sorted_run(
    entries: impl Iterator<Item = Entry>,
    key: &HashKey,
    to: &mut impl Write,
) -> Result<RunSummary, RunError> {
    let mut writer = RunWriter::new(key, to)?;
    for entry in entries {
        writer.push(entry)?;
    }
    writer.finish()
}

/// A run being written.
pub(super) struct RunWriter<'a, W: Write> {
    to: &'a mut W,
    /// The entry that came last: another of its identity may follow.
    last: Option<Entry>,
    page: Vec<Entry>,
    /// Pages of the group, as bytes.
    group: Vec<u8>,
    index: GroupIndex,
    /// Entries of the group.
    group_entries: u64,
    entries: u64,
    pages: u64,
    groups: u64,
    first_month: Month,
    last_month: Month,
}

impl<'a, W: Write> RunWriter<'a, W> {
    pub(super) fn new(key: &HashKey, to: &'a mut W) -> Result<Self, RunError> {
        to.write_all(&layout::header(key.fingerprint()))?;
        Ok(Self {
            to,
            last: None,
            page: Vec::with_capacity(PAGE_ENTRIES),
            group: Vec::with_capacity(GROUP_BYTES),
            index: GroupIndex::empty(),
            group_entries: 0,
            entries: 0,
            pages: 0,
            groups: 0,
            first_month: Month::MAX,
            last_month: Month::default(),
        })
    }

    /// Adds an entry; entries come in order of their places. Of two with one identity the later month
    /// stays: the other is one that was forgotten before the identity came again.
    #[inline]
    pub(super) fn push(&mut self, entry: Entry) -> Result<(), RunError> {
        match self.last {
            Some(last) if last.place() == entry.place() => {
                if entry.month() > last.month() {
                    self.last = Some(entry);
                }
                return Ok(());
            }
            Some(last) => self.put(last)?,
            None => {}
        }
        self.last = Some(entry);
        Ok(())
    }

    #[inline]
    fn put(&mut self, entry: Entry) -> Result<(), RunError> {
        if let Some(block) = self.index.blocks.get_mut(block_of(entry.low, GROUP_BLOCKS)) {
            block.insert(entry.low);
        }
        if self.page.is_empty() {
            self.index.fences.push(entry.place());
        }
        self.first_month = self.first_month.min(entry.month());
        self.last_month = self.last_month.max(entry.month());
        self.page.push(entry);
        if self.page.len() == PAGE_ENTRIES {
            self.end_page()?;
        }
        Ok(())
    }

    fn end_page(&mut self) -> Result<(), RunError> {
        layout::write_page(&mut self.group, self.pages, &self.page);
        self.pages += 1;
        self.entries += self.page.len() as u64;
        self.group_entries += self.page.len() as u64;
        self.page.clear();
        if self.entries > ENTRIES_MAX {
            return Err(RunError::TooLarge(ENTRIES_MAX));
        }
        if self.index.fences.len() == GROUP_PAGES {
            self.end_group()?;
        }
        Ok(())
    }

    fn end_group(&mut self) -> Result<(), RunError> {
        self.index.write(&mut self.group, self.groups, self.group_entries);
        self.to.write_all(&self.group)?;
        self.groups += 1;
        self.group_entries = 0;
        self.group.clear();
        self.index.clear();
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<RunSummary, RunError> {
        if let Some(last) = self.last {
            self.put(last)?;
        }
        if !self.page.is_empty() {
            self.end_page()?;
        }
        if self.group_entries > 0 {
            self.end_group()?;
        }
        let (entries, last_month) = (self.entries, self.last_month);
        let first_month = self.first_month.min(last_month);
        self.to.write_all(&Trailer { entries, first_month, last_month }.to_bytes())?;
        self.to.flush()?;
        Ok(RunSummary { entries, bytes: layout::run_bytes(entries), first_month, last_month })
    }
}
