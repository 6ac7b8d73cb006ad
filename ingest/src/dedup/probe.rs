//! Looks a batch of entries up in runs: all filters first, then only the pages they name, in order of
//! their offsets.

use super::TOUCH_AHEAD;
use super::entry::{Entry, EntryWord};
use super::error::RunError;
use super::hot::Hot;
use super::month::Month;
use super::run::{Page, Run};

/// Buffers of looking up, kept from batch to batch.
#[derive(Debug, Default)]
pub(super) struct Probe {
    /// Of each entry of the batch the word that a run holds for its identity.
    stored: Vec<Option<EntryWord>>,
    reads: Vec<PageRead>,
    page: Page,
}

/// A page that may hold an entry of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct PageRead {
    run: usize,
    page: u32,
    entry: usize,
}

impl Probe {
    /// Looks entries up; of each the word that a run holds for its identity, unless its month is before
    /// `forgotten`. What is hot already is not looked for further than the filters.
    ///
    /// # Errors
    /// A run is damaged or cannot be read.
    pub(super) fn look_up(
        &mut self,
        entries: &[Entry],
        runs: &[Run],
        hot: &Hot,
        forgotten: Month,
    ) -> Result<&[Option<EntryWord>], RunError> {
        self.stored.clear();
        self.stored.resize(entries.len(), None);
        self.reads.clear();
        for (number, run) in runs.iter().enumerate() {
            if run.last_month() >= forgotten {
                self.ask_filter(entries, number, run);
            }
        }
        self.reads
            .retain(|read| entries.get(read.entry).is_some_and(|entry| hot.find(entry, forgotten).is_none()));
        self.reads.sort_unstable();
        let mut at_hand = None;
        for read in &self.reads {
            let (Some(run), Some(entry), Some(stored)) =
                (runs.get(read.run), entries.get(read.entry), self.stored.get_mut(read.entry))
            else {
                continue;
            };
            if stored.is_some() {
                continue;
            }
            if at_hand != Some((read.run, read.page)) {
                run.read_page(read.page, &mut self.page)?;
                at_hand = Some((read.run, read.page));
            }
            *stored = self.page.find(entry).filter(|word| word.month() >= forgotten);
        }
        Ok(&self.stored)
    }

    /// Notes the pages of a run that may hold entries.
    fn ask_filter(&mut self, entries: &[Entry], number: usize, run: &Run) {
        let mut groups = [0; TOUCH_AHEAD];
        let mut first = 0;
        for entries in entries.chunks(TOUCH_AHEAD) {
            for (group, entry) in groups.iter_mut().zip(entries) {
                *group = run.group_of(entry);
            }
            let near = groups.iter().zip(entries);
            let touched = near.fold(0, |touched, (group, entry)| touched ^ run.touch(*group, entry));
            std::hint::black_box(touched);
            for ((group, entry), position) in groups.iter().zip(entries).zip(first..) {
                if let Some(page) = run.page_of(*group, entry) {
                    self.reads.push(PageRead { run: number, page, entry: position });
                }
            }
            first += entries.len();
        }
    }

    /// Bytes of memory.
    pub(super) const fn memory_bytes(&self) -> usize {
        self.stored.capacity() * size_of::<Option<EntryWord>>()
            + self.reads.capacity() * size_of::<PageRead>()
    }
}
