//! Columns of texts and of whole numbers: each takes values, makes pages, and ends as a chunk.

use parquet::basic::Encoding;
use parquet::data_type::ByteArray;
use parquet::errors::Result;
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescPtr;

use super::chunk::Chunk;
use super::file::RowGroup;
use super::{delta, hybrid};

/// Rows after which a page ends; values appended together are in one page.
pub(super) const PAGE_ROWS: usize = 1 << 14;

/// Bytes after which a page of texts or bytes ends: more than rows of ids have.
pub(super) const PAGE_BYTES: usize = 8 << 20;

/// Number of a value that is absent.
pub(super) const ABSENT: u32 = u32::MAX;

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
    nulls: u64,
}

impl TextColumn {
    pub(crate) fn new(descriptor: ColumnDescPtr) -> Self {
        let is_nullable = descriptor.max_def_level() > 0;
        Self {
            chunk: Chunk::new(descriptor, true),
            is_nullable,
            places: Vec::new(),
            dictionary: Vec::new(),
            page: Vec::with_capacity(PAGE_ROWS),
            buffer: Vec::new(),
            nulls: 0,
        }
    }

    /// Appends values by their numbers; [`u32::MAX`] is an absent value.
    #[inline]
    pub(crate) fn extend(&mut self, numbers: impl Iterator<Item = u32>) -> Result<()> {
        let Self { places, dictionary, page, .. } = self;
        page.extend(numbers.map(|number| match places.get(number as usize) {
            Some(place) if *place != ABSENT => *place,
            _ => place_of_new(number, places, dictionary),
        }));
        if self.page.len() >= PAGE_ROWS { self.flush() } else { Ok(()) }
    }

    /// Appends a value some times.
    pub(crate) fn repeat(&mut self, number: u32, times: usize) -> Result<()> {
        let place = match self.places.get(number as usize) {
            Some(place) if *place != ABSENT => *place,
            _ => place_of_new(number, &mut self.places, &mut self.dictionary),
        };
        self.page.resize(self.page.len() + times, place);
        if self.page.len() >= PAGE_ROWS { self.flush() } else { Ok(()) }
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
        self.page.clear();
        Ok(())
    }

    /// Ends the chunk and begins the next; `text` gives the text of a number.
    pub(crate) fn finish<'a>(
        &mut self,
        text: impl Fn(u32) -> &'a str,
        row_group: &mut RowGroup<'_>,
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
        self.chunk.finish(dictionary, Some(statistics), None, row_group)?;
        for number in self.dictionary.drain(..) {
            if let Some(place) = self.places.get_mut(number as usize) {
                *place = ABSENT;
            }
        }
        self.nulls = 0;
        Ok(())
    }
}

/// The place of a number that has none in the dictionary yet.
#[cold]
fn place_of_new(number: u32, places: &mut Vec<u32>, dictionary: &mut Vec<u32>) -> u32 {
    if number == ABSENT {
        return ABSENT;
    }
    if places.len() <= number as usize {
        places.resize((number as usize + 1).next_power_of_two(), ABSENT);
    }
    let place = u32::try_from(dictionary.len()).unwrap_or(ABSENT);
    dictionary.push(number);
    if let Some(kept) = places.get_mut(number as usize) {
        *kept = place;
    }
    place
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
pub(super) fn put_levels(levels: &[u32], width: u8, buffer: &mut Vec<u8>) {
    let mut encoded = Vec::new();
    hybrid::encode(levels, width, &mut encoded);
    buffer.extend_from_slice(&u32::try_from(encoded.len()).unwrap_or(0).to_le_bytes());
    buffer.append(&mut encoded);
}

pub(super) fn put_bytes(bytes: &[u8], content: &mut Vec<u8>) {
    content.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(0).to_le_bytes());
    content.extend_from_slice(bytes);
}

/// Whole numbers of 64 bits that follow each other closely: times and counts.
pub(crate) struct LongColumn {
    chunk: Chunk,
    is_nullable: bool,
    levels: Vec<u32>,
    page: Vec<i64>,
    buffer: Vec<u8>,
    bounds: Option<(i64, i64)>,
}

impl LongColumn {
    pub(crate) fn new(descriptor: ColumnDescPtr) -> Self {
        let is_nullable = descriptor.max_def_level() > 0;
        Self {
            chunk: Chunk::new(descriptor, true),
            is_nullable,
            levels: Vec::new(),
            page: Vec::with_capacity(PAGE_ROWS),
            buffer: Vec::new(),
            bounds: None,
        }
    }

    #[inline]
    pub(crate) fn extend(&mut self, values: impl Iterator<Item = i64>) -> Result<()> {
        self.page.extend(values);
        if self.page.len() >= PAGE_ROWS { self.flush() } else { Ok(()) }
    }

    pub(crate) const fn is_nullable(&self) -> bool {
        self.is_nullable
    }

    /// Appends values, whether or not others of the column may be absent.
    #[inline]
    pub(crate) fn append(&mut self, values: impl Iterator<Item = i64>) -> Result<()> {
        if self.is_nullable { self.extend_optional(values.map(Some)) } else { self.extend(values) }
    }

    /// Appends values of a nullable column.
    pub(crate) fn extend_optional(&mut self, values: impl Iterator<Item = Option<i64>>) -> Result<()> {
        for value in values {
            self.levels.push(u32::from(value.is_some()));
            self.page.extend(value);
        }
        if self.levels.len() >= PAGE_ROWS { self.flush() } else { Ok(()) }
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
        self.page.clear();
        self.levels.clear();
        Ok(())
    }

    pub(crate) fn finish(&mut self, row_group: &mut RowGroup<'_>) -> Result<()> {
        self.flush()?;
        let (least, greatest) = self.bounds.take().unzip();
        let nulls = if self.is_nullable { None } else { Some(0) };
        let statistics = Statistics::int64(least, greatest, None, nulls, false);
        self.chunk.finish(None, Some(statistics), None, row_group)
    }
}
