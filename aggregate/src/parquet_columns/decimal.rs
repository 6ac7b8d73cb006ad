//! Columns of decimals: one in a row, or a list of them.

use parquet::basic::{Encoding, Type};
use parquet::data_type::FixedLenByteArray;
use parquet::errors::Result;
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescPtr;

use super::chunk::{Chunk, RowGroupWriter};
use super::column::{ABSENT, PAGE_ROWS, put_levels};
use super::hybrid;

/// Decimals, as whole numbers of 128 bits: through a dictionary where few differ, else as they are.
pub(crate) struct DecimalColumn {
    chunk: Chunk,
    values: DecimalPage,
    bounds: Option<(i128, i128)>,
    rows: u64,
}

impl DecimalColumn {
    pub(crate) fn new(descriptor: ColumnDescPtr) -> Result<Self> {
        Ok(Self {
            chunk: Chunk::new(descriptor, true)?,
            values: DecimalPage::default(),
            bounds: None,
            rows: 0,
        })
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
        self.values.flush(&mut self.chunk, rows, |_| {})?;
        self.rows += rows as u64;
        Ok(())
    }

    pub(crate) fn finish(&mut self, row_group: &mut RowGroupWriter<'_>) -> Result<()> {
        self.flush()?;
        let (least, greatest) = self.bounds.take().unzip();
        let bytes = |value: i128| FixedLenByteArray::from(value.to_be_bytes().to_vec());
        let statistics =
            Statistics::fixed_len_byte_array(least.map(bytes), greatest.map(bytes), None, Some(0), false);
        let rows = std::mem::take(&mut self.rows);
        self.values.finish(&mut self.chunk, rows, Some(statistics), row_group)
    }
}

/// Distinct values a dictionary of decimals may have.
const DECIMAL_DICTIONARY_MAX: usize = 1 << 14;

/// A dictionary is used where the first page has one value for so many rows, at least.
const ROWS_PER_DISTINCT_VALUE: usize = 8;

/// The decimals of a page, and the dictionary of its chunk.
#[derive(Default)]
struct DecimalPage {
    page: Vec<i128>,
    places: hashbrown::HashMap<i128, u32>,
    dictionary: Vec<i128>,
    /// Decided by the first page; a dictionary that grows too large is given up.
    has_dictionary: Option<bool>,
    numbers: Vec<u32>,
    buffer: Vec<u8>,
}

impl DecimalPage {
    /// Writes the page; `put_levels` comes before the values.
    fn flush(
        &mut self,
        chunk: &mut Chunk,
        values: usize,
        put_levels: impl FnOnce(&mut Vec<u8>),
    ) -> Result<()> {
        self.buffer.clear();
        put_levels(&mut self.buffer);
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

    fn finish(
        &mut self,
        chunk: &mut Chunk,
        rows: u64,
        statistics: Option<Statistics>,
        row_group: &mut RowGroupWriter<'_>,
    ) -> Result<()> {
        let count = self.dictionary.len();
        self.buffer.clear();
        for value in self.dictionary.drain(..) {
            self.buffer.extend_from_slice(&value.to_be_bytes());
        }
        self.places.clear();
        self.has_dictionary = None;
        let dictionary = if count > 0 { Some((&mut self.buffer, count)) } else { None };
        chunk.finish(dictionary, rows, statistics, None, row_group)
    }
}

/// Decimals or small whole numbers in a list: one member of its structs.
pub(crate) struct ListColumn {
    chunk: Chunk,
    /// Are the members 32-bit numbers? They are held as decimals until they are written.
    is_integer: bool,
    /// 0 where a row begins, 1 where its list goes on.
    repetition: Vec<u32>,
    /// 0 for an empty list, the largest level for a value.
    definition: Vec<u32>,
    values: DecimalPage,
    page_rows: usize,
    rows: u64,
}

impl ListColumn {
    pub(crate) fn new(descriptor: ColumnDescPtr) -> Result<Self> {
        Ok(Self {
            is_integer: descriptor.physical_type() == Type::INT32,
            chunk: Chunk::new(descriptor, true)?,
            repetition: Vec::new(),
            definition: Vec::new(),
            values: DecimalPage::default(),
            page_rows: 0,
            rows: 0,
        })
    }

    /// Appends the list of a row.
    pub(crate) fn push(&mut self, list: impl Iterator<Item = Option<i128>>) -> Result<()> {
        let largest = u32::from(self.chunk.descriptor().max_def_level().unsigned_abs());
        let mut is_first = true;
        for value in list {
            self.repetition.push(u32::from(!is_first));
            is_first = false;
            self.definition.push(largest.saturating_sub(u32::from(value.is_none())));
            self.values.page.extend(value);
        }
        if is_first {
            self.repetition.push(0);
            self.definition.push(0);
        }
        self.page_rows += 1;
        if self.page_rows == PAGE_ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        if self.page_rows == 0 {
            return Ok(());
        }
        let Self { chunk, repetition, definition, values, .. } = self;
        let width = |largest: i16| hybrid::width_of(usize::from(largest.unsigned_abs()) + 1);
        let descriptor = chunk.descriptor();
        let widths = (width(descriptor.max_rep_level()), width(descriptor.max_def_level()));
        let put = |buffer: &mut Vec<u8>| {
            put_levels(repetition, widths.0, buffer);
            put_levels(definition, widths.1, buffer);
        };
        let members = definition.len();
        if self.is_integer {
            values.buffer.clear();
            put(&mut values.buffer);
            for value in values.page.drain(..) {
                let value = i32::try_from(value).unwrap_or(i32::MAX);
                values.buffer.extend_from_slice(&value.to_le_bytes());
            }
            chunk.add_page(&mut values.buffer, members, Encoding::PLAIN)?;
        } else {
            values.flush(chunk, members, put)?;
        }
        self.rows += self.page_rows as u64;
        self.page_rows = 0;
        self.repetition.clear();
        self.definition.clear();
        Ok(())
    }

    pub(crate) fn finish(&mut self, row_group: &mut RowGroupWriter<'_>) -> Result<()> {
        self.flush()?;
        self.values.finish(&mut self.chunk, std::mem::take(&mut self.rows), None, row_group)
    }
}
