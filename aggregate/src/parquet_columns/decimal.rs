//! Columns of decimals.

use parquet::basic::Encoding;
use parquet::data_type::FixedLenByteArray;
use parquet::errors::Result;
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescPtr;

use super::chunk::Chunk;
use super::column::{ABSENT, PAGE_ROWS};
use super::file::RowGroup;
use super::hybrid;

/// Decimals, as whole numbers of 128 bits: through a dictionary where few differ, else as they are.
pub(crate) struct DecimalColumn {
    chunk: Chunk,
    values: DecimalPage,
    bounds: Option<(i128, i128)>,
}

impl DecimalColumn {
    pub(crate) fn new(descriptor: ColumnDescPtr) -> Self {
        Self { chunk: Chunk::new(descriptor, true), values: DecimalPage::new(), bounds: None }
    }

    #[inline]
    pub(crate) fn extend(&mut self, values: impl Iterator<Item = i128>) -> Result<()> {
        self.values.page.extend(values);
        if self.values.page.len() >= PAGE_ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let page = &self.values.page;
        let (Some(least), Some(greatest)) = (page.iter().min(), page.iter().max()) else { return Ok(()) };
        let (low, high) = self.bounds.unwrap_or((*least, *greatest));
        self.bounds = Some((low.min(*least), high.max(*greatest)));
        let rows = page.len();
        self.values.flush(&mut self.chunk, rows, [&[], &[]])
    }

    pub(crate) fn finish(&mut self, row_group: &mut RowGroup<'_>) -> Result<()> {
        self.flush()?;
        let (least, greatest) = self.bounds.take().unzip();
        let bytes = |value: i128| FixedLenByteArray::from(value.to_be_bytes().to_vec());
        let statistics =
            Statistics::fixed_len_byte_array(least.map(bytes), greatest.map(bytes), None, Some(0), false);
        self.values.finish(&mut self.chunk, Some(statistics), row_group)
    }
}

/// Distinct values a dictionary of decimals may have.
const DECIMAL_DICTIONARY_MAX: usize = 1 << 14;

/// A dictionary is used where the first page has one value for so many rows, at least.
const ROWS_PER_DISTINCT_VALUE: usize = 8;

/// The decimals of a page, and the dictionary of its chunk.
pub(super) struct DecimalPage {
    pub(super) page: Vec<i128>,
    places: hashbrown::HashMap<i128, u32>,
    dictionary: Vec<i128>,
    /// Decided by the first page; a dictionary that grows too large is given up.
    has_dictionary: Option<bool>,
    numbers: Vec<u32>,
    buffer: Vec<u8>,
}

impl DecimalPage {
    pub(super) fn new() -> Self {
        Self {
            page: Vec::with_capacity(PAGE_ROWS),
            places: hashbrown::HashMap::new(),
            dictionary: Vec::new(),
            has_dictionary: None,
            numbers: Vec::new(),
            buffer: Vec::new(),
        }
    }

    /// Writes the page of so many values, absent ones counted; encoded levels come before them.
    pub(super) fn flush(&mut self, chunk: &mut Chunk, values: usize, levels: [&[u8]; 2]) -> Result<()> {
        self.buffer.clear();
        for levels in levels {
            self.buffer.extend_from_slice(levels);
        }
        // A page of absent values needs no dictionary, and must not refer to one that is never written.
        let encoding = if self.page.is_empty() {
            Encoding::PLAIN
        } else if self.has_dictionary != Some(false) && self.number() {
            self.has_dictionary = Some(true);
            let width = hybrid::width_of(self.dictionary.len());
            self.buffer.push(width);
            hybrid::encode(&self.numbers, width, &mut self.buffer);
            Encoding::RLE_DICTIONARY
        } else {
            self.has_dictionary = Some(false);
            self.buffer.reserve(self.page.len() * size_of::<i128>());
            for value in &self.page {
                self.buffer.extend_from_slice(&value.to_be_bytes());
            }
            Encoding::PLAIN
        };
        self.page.clear();
        chunk.add_page(&mut self.buffer, values, encoding)
    }

    /// Numbers the values of the page by the dictionary; false where there are too many of them.
    fn number(&mut self) -> bool {
        let known = self.dictionary.len();
        let mut room = DECIMAL_DICTIONARY_MAX.saturating_sub(known);
        if self.has_dictionary.is_none() {
            room = room.min(self.page.len() / ROWS_PER_DISTINCT_VALUE + 1);
        }
        self.numbers.clear();
        let mut last = None;
        for value in &self.page {
            let number = match last {
                Some((last, number)) if last == *value => number,
                _ => {
                    let next = u32::try_from(self.dictionary.len()).unwrap_or(ABSENT);
                    let number = *self.places.entry(*value).or_insert(next);
                    if number == next {
                        if room == 0 {
                            self.forget_since(known);
                            return false;
                        }
                        room -= 1;
                        self.dictionary.push(*value);
                    }
                    last = Some((*value, number));
                    number
                }
            };
            self.numbers.push(number);
        }
        true
    }

    /// Leaves the dictionary to the pages that use it.
    fn forget_since(&mut self, known: usize) {
        self.dictionary.truncate(known);
        self.places.clear();
    }

    pub(super) fn finish(
        &mut self,
        chunk: &mut Chunk,
        statistics: Option<Statistics>,
        row_group: &mut RowGroup<'_>,
    ) -> Result<()> {
        let count = self.dictionary.len();
        self.buffer.clear();
        for value in self.dictionary.drain(..) {
            self.buffer.extend_from_slice(&value.to_be_bytes());
        }
        self.places.clear();
        self.has_dictionary = None;
        let dictionary = if count > 0 { Some((&mut self.buffer, count)) } else { None };
        chunk.finish(dictionary, statistics, None, row_group)
    }
}
