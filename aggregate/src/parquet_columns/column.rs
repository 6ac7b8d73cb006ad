//! The kinds of columns: each takes values, makes pages, and ends as a chunk.

use parquet::basic::{Encoding, Type};
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::errors::Result;
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescPtr;

use super::chunk::{Chunk, RowGroupWriter};
use super::{delta, hybrid};

/// Rows in a page.
const PAGE_ROWS: usize = 1 << 16;

/// Number of a value that is absent.
const ABSENT: u32 = u32::MAX;

/// Texts by number, where few differ: a dictionary and numbers into it.
pub(crate) struct TextColumn {
    chunk: Chunk,
    is_nullable: bool,
    /// Per number given, its place in this chunk's dictionary.
    places: Vec<u32>,
    /// The numbers in the dictionary, in order of first appearance.
    dictionary: Vec<u32>,
    page: Vec<u32>,
    buffer: Vec<u8>,
    rows: u64,
    nulls: u64,
}

impl TextColumn {
    pub(crate) fn new(descriptor: ColumnDescPtr) -> Result<Self> {
        let is_nullable = descriptor.max_def_level() > 0;
        Ok(Self {
            chunk: Chunk::new(descriptor, true)?,
            is_nullable,
            places: Vec::new(),
            dictionary: Vec::new(),
            page: Vec::new(),
            buffer: Vec::new(),
            rows: 0,
            nulls: 0,
        })
    }

    /// Appends values by their numbers; [`u32::MAX`] is an absent value.
    #[inline]
    pub(crate) fn extend(&mut self, numbers: impl Iterator<Item = u32>) -> Result<()> {
        for number in numbers {
            let place = match self.places.get(number as usize) {
                Some(place) if *place != ABSENT => *place,
                _ => self.place_of_new(number),
            };
            self.page.push(place);
            if self.page.len() == PAGE_ROWS {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Appends a value some times.
    pub(crate) fn repeat(&mut self, number: u32, times: usize) -> Result<()> {
        let place = match self.places.get(number as usize) {
            Some(place) if *place != ABSENT => *place,
            _ => self.place_of_new(number),
        };
        let mut left = times;
        while left > 0 {
            let count = left.min(PAGE_ROWS - self.page.len());
            self.page.resize(self.page.len() + count, place);
            left -= count;
            if self.page.len() == PAGE_ROWS {
                self.flush()?;
            }
        }
        Ok(())
    }

    #[cold]
    fn place_of_new(&mut self, number: u32) -> u32 {
        if number == ABSENT {
            return ABSENT;
        }
        if self.places.len() <= number as usize {
            self.places.resize((number as usize + 1).next_power_of_two(), ABSENT);
        }
        let place = u32::try_from(self.dictionary.len()).unwrap_or(ABSENT);
        self.dictionary.push(number);
        if let Some(kept) = self.places.get_mut(number as usize) {
            *kept = place;
        }
        place
    }

    fn flush(&mut self) -> Result<()> {
        if self.page.is_empty() {
            return Ok(());
        }
        let rows = self.page.len();
        self.buffer.clear();
        if self.is_nullable {
            self.nulls += write_levels(&mut self.page, &mut self.buffer);
        }
        let width = hybrid::width_of(self.dictionary.len());
        self.buffer.push(width);
        hybrid::encode(&self.page, width, &mut self.buffer);
        self.chunk.add_page(&mut self.buffer, rows, Encoding::RLE_DICTIONARY)?;
        self.rows += rows as u64;
        self.page.clear();
        Ok(())
    }

    /// Ends the chunk and begins the next; `text` gives the text of a number.
    pub(crate) fn finish<'a>(
        &mut self,
        text: impl Fn(u32) -> &'a str,
        row_group: &mut RowGroupWriter<'_>,
    ) -> Result<()> {
        self.flush()?;
        self.buffer.clear();
        let content = &mut self.buffer;
        let mut bounds: Option<(&str, &str)> = None;
        for number in &self.dictionary {
            let text = text(*number);
            put_bytes(text.as_bytes(), content);
            let (least, greatest) = bounds.unwrap_or((text, text));
            bounds = Some((least.min(text), greatest.max(text)));
        }
        let bytes = |text: &str| ByteArray::from(text.as_bytes().to_vec());
        let statistics = Statistics::byte_array(
            bounds.map(|(least, _)| bytes(least)),
            bounds.map(|(_, greatest)| bytes(greatest)),
            None,
            Some(self.nulls),
            false,
        );
        let dictionary = Some((content, self.dictionary.len()));
        self.chunk.finish(dictionary, self.rows, Some(statistics), row_group)?;
        for number in self.dictionary.drain(..) {
            if let Some(place) = self.places.get_mut(number as usize) {
                *place = ABSENT;
            }
        }
        (self.rows, self.nulls) = (0, 0);
        Ok(())
    }
}

/// Writes the definition levels of a page and takes the absent values out of it; how many there were.
fn write_levels(page: &mut Vec<u32>, buffer: &mut Vec<u8>) -> u64 {
    let levels: Vec<u32> = page.iter().map(|place| u32::from(*place != ABSENT)).collect();
    put_levels(&levels, 1, buffer);
    let rows = page.len();
    page.retain(|place| *place != ABSENT);
    (rows - page.len()) as u64
}

/// Appends levels, with their length before them.
fn put_levels(levels: &[u32], width: u8, buffer: &mut Vec<u8>) {
    let mut encoded = Vec::new();
    hybrid::encode(levels, width, &mut encoded);
    buffer.extend_from_slice(&u32::try_from(encoded.len()).unwrap_or(0).to_le_bytes());
    buffer.append(&mut encoded);
}

fn put_bytes(bytes: &[u8], content: &mut Vec<u8>) {
    content.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(0).to_le_bytes());
    content.extend_from_slice(bytes);
}

/// Whole numbers of 32 bits, where few differ: a dictionary and numbers into it.
pub(crate) struct IntegerColumn {
    chunk: Chunk,
    dictionary: Vec<i32>,
    /// The value of the row before, and its place.
    last: Option<(i32, u32)>,
    page: Vec<u32>,
    buffer: Vec<u8>,
    rows: u64,
}

impl IntegerColumn {
    pub(crate) fn new(descriptor: ColumnDescPtr) -> Result<Self> {
        Ok(Self {
            chunk: Chunk::new(descriptor, true)?,
            dictionary: Vec::new(),
            last: None,
            page: Vec::new(),
            buffer: Vec::new(),
            rows: 0,
        })
    }

    #[inline]
    pub(crate) fn extend(&mut self, values: impl Iterator<Item = i32>) -> Result<()> {
        for value in values {
            let place = match self.last {
                Some((last, place)) if last == value => place,
                _ => self.find(value),
            };
            self.page.push(place);
            if self.page.len() == PAGE_ROWS {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Appends a value some times.
    pub(crate) fn repeat(&mut self, value: i32, times: usize) -> Result<()> {
        self.extend(std::iter::repeat_n(value, times))
    }

    fn find(&mut self, value: i32) -> u32 {
        // Newest first: days and versions follow each other.
        let known = self.dictionary.iter().rposition(|known| *known == value);
        let place = known.unwrap_or_else(|| {
            self.dictionary.push(value);
            self.dictionary.len() - 1
        });
        let place = u32::try_from(place).unwrap_or(ABSENT);
        self.last = Some((value, place));
        place
    }

    fn flush(&mut self) -> Result<()> {
        if self.page.is_empty() {
            return Ok(());
        }
        let width = hybrid::width_of(self.dictionary.len());
        self.buffer.clear();
        self.buffer.push(width);
        hybrid::encode(&self.page, width, &mut self.buffer);
        self.chunk.add_page(&mut self.buffer, self.page.len(), Encoding::RLE_DICTIONARY)?;
        self.rows += self.page.len() as u64;
        self.page.clear();
        Ok(())
    }

    pub(crate) fn finish(&mut self, row_group: &mut RowGroupWriter<'_>) -> Result<()> {
        self.flush()?;
        self.buffer.clear();
        self.buffer.extend(self.dictionary.iter().flat_map(|value| value.to_le_bytes()));
        let least = self.dictionary.iter().min().copied();
        let greatest = self.dictionary.iter().max().copied();
        let statistics = Statistics::int32(least, greatest, None, Some(0), false);
        let dictionary = Some((&mut self.buffer, self.dictionary.len()));
        self.chunk.finish(dictionary, self.rows, Some(statistics), row_group)?;
        self.dictionary.clear();
        (self.last, self.rows) = (None, 0);
        Ok(())
    }
}

/// Whole numbers of 64 bits that follow each other closely: times and counts.
pub(crate) struct LongColumn {
    chunk: Chunk,
    is_nullable: bool,
    levels: Vec<u32>,
    page: Vec<i64>,
    buffer: Vec<u8>,
    bounds: Option<(i64, i64)>,
    rows: u64,
}

impl LongColumn {
    pub(crate) fn new(descriptor: ColumnDescPtr) -> Result<Self> {
        let is_nullable = descriptor.max_def_level() > 0;
        Ok(Self {
            chunk: Chunk::new(descriptor, true)?,
            is_nullable,
            levels: Vec::new(),
            page: Vec::new(),
            buffer: Vec::new(),
            bounds: None,
            rows: 0,
        })
    }

    #[inline]
    pub(crate) fn extend(&mut self, values: impl Iterator<Item = i64>) -> Result<()> {
        for value in values {
            self.page.push(value);
            if self.page.len() == PAGE_ROWS {
                self.flush()?;
            }
        }
        Ok(())
    }

    pub(crate) const fn is_nullable(&self) -> bool {
        self.is_nullable
    }

    /// Appends values of a nullable column.
    pub(crate) fn extend_optional(&mut self, values: impl Iterator<Item = Option<i64>>) -> Result<()> {
        for value in values {
            self.levels.push(u32::from(value.is_some()));
            self.page.extend(value);
            if self.levels.len() == PAGE_ROWS {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let rows = if self.is_nullable { self.levels.len() } else { self.page.len() };
        if rows == 0 {
            return Ok(());
        }
        if let (Some(least), Some(greatest)) = (self.page.iter().min(), self.page.iter().max()) {
            let (low, high) = self.bounds.unwrap_or((*least, *greatest));
            self.bounds = Some((low.min(*least), high.max(*greatest)));
        }
        self.buffer.clear();
        if self.is_nullable {
            put_levels(&self.levels, 1, &mut self.buffer);
        }
        delta::encode(&self.page, &mut self.buffer);
        self.chunk.add_page(&mut self.buffer, rows, Encoding::DELTA_BINARY_PACKED)?;
        self.rows += rows as u64;
        self.page.clear();
        self.levels.clear();
        Ok(())
    }

    pub(crate) fn finish(&mut self, row_group: &mut RowGroupWriter<'_>) -> Result<()> {
        self.flush()?;
        let (least, greatest) = self.bounds.take().unzip();
        let nulls = if self.is_nullable { None } else { Some(0) };
        let statistics = Statistics::int64(least, greatest, None, nulls, false);
        self.chunk.finish(None, std::mem::take(&mut self.rows), Some(statistics), row_group)
    }
}

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
        for value in values {
            self.values.page.push(value);
            if self.values.page.len() == PAGE_ROWS {
                self.flush()?;
            }
        }
        Ok(())
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
        chunk.finish(dictionary, rows, statistics, row_group)
    }
}

/// UUIDs as sixteen bytes. They are random: neither compressed nor bounded.
pub(crate) struct UuidColumn {
    chunk: Chunk,
    is_nullable: bool,
    levels: Vec<u32>,
    page: Vec<u8>,
    rows: u64,
}

impl UuidColumn {
    pub(crate) fn new(descriptor: ColumnDescPtr) -> Result<Self> {
        let is_nullable = descriptor.max_def_level() > 0;
        Ok(Self {
            chunk: Chunk::new(descriptor, false)?,
            is_nullable,
            levels: Vec::new(),
            page: Vec::new(),
            rows: 0,
        })
    }

    #[inline]
    pub(crate) fn extend<'a>(&mut self, values: impl Iterator<Item = Option<&'a [u8; 16]>>) -> Result<()> {
        for value in values {
            self.levels.push(u32::from(value.is_some()));
            if let Some(value) = value {
                self.page.extend_from_slice(value);
            }
            if self.levels.len() == PAGE_ROWS {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if self.levels.is_empty() {
            return Ok(());
        }
        if self.is_nullable {
            prepend_levels(&self.levels, &mut self.page);
        }
        self.chunk.add_page(&mut self.page, self.levels.len(), Encoding::PLAIN)?;
        self.rows += self.levels.len() as u64;
        self.levels.clear();
        Ok(())
    }

    pub(crate) fn finish(&mut self, row_group: &mut RowGroupWriter<'_>) -> Result<()> {
        self.flush()?;
        self.chunk.finish(None, std::mem::take(&mut self.rows), None, row_group)
    }
}

/// Puts levels before the values of a page.
fn prepend_levels(levels: &[u32], page: &mut Vec<u8>) {
    let mut encoded = Vec::new();
    put_levels(levels, 1, &mut encoded);
    page.splice(..0, encoded);
}

/// Texts or bytes as they are, where most differ or most are absent.
pub(crate) struct PlainColumn {
    chunk: Chunk,
    is_nullable: bool,
    levels: Vec<u32>,
    page: Vec<u8>,
    rows: u64,
}

impl PlainColumn {
    pub(crate) fn new(descriptor: ColumnDescPtr) -> Result<Self> {
        let is_nullable = descriptor.max_def_level() > 0;
        Ok(Self {
            chunk: Chunk::new(descriptor, true)?,
            is_nullable,
            levels: Vec::new(),
            page: Vec::new(),
            rows: 0,
        })
    }

    #[inline]
    pub(crate) fn extend<'a>(&mut self, values: impl Iterator<Item = Option<&'a [u8]>>) -> Result<()> {
        for value in values {
            self.levels.push(u32::from(value.is_some()));
            if let Some(value) = value {
                put_bytes(value, &mut self.page);
            }
            if self.levels.len() == PAGE_ROWS {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if self.levels.is_empty() {
            return Ok(());
        }
        if self.is_nullable {
            prepend_levels(&self.levels, &mut self.page);
        }
        self.chunk.add_page(&mut self.page, self.levels.len(), Encoding::PLAIN)?;
        self.rows += self.levels.len() as u64;
        self.levels.clear();
        Ok(())
    }

    pub(crate) fn finish(&mut self, row_group: &mut RowGroupWriter<'_>) -> Result<()> {
        self.flush()?;
        self.chunk.finish(None, std::mem::take(&mut self.rows), None, row_group)
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
