//! The kinds of columns: each takes values, makes pages, and ends as a chunk.

use parquet::basic::Encoding;
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::errors::Result;
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescPtr;

use super::chunk::{Chunk, FinishedChunk};
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
            page: Vec::with_capacity(PAGE_ROWS),
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
        self.chunk.add_page(&self.buffer, rows, Encoding::RLE_DICTIONARY)?;
        self.rows += rows as u64;
        self.page.clear();
        Ok(())
    }

    /// Ends the chunk; `text` gives the text of a number.
    pub(crate) fn finish<'a>(mut self, text: impl Fn(u32) -> &'a str) -> Result<FinishedChunk> {
        self.flush()?;
        let mut content = Vec::new();
        let mut bounds: Option<(&str, &str)> = None;
        for number in &self.dictionary {
            let text = text(*number);
            put_bytes(text.as_bytes(), &mut content);
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
        self.chunk.finish(Some((&content, self.dictionary.len())), self.rows, Some(statistics))
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
            page: Vec::with_capacity(PAGE_ROWS),
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
        self.chunk.add_page(&self.buffer, self.page.len(), Encoding::RLE_DICTIONARY)?;
        self.rows += self.page.len() as u64;
        self.page.clear();
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<FinishedChunk> {
        self.flush()?;
        let content: Vec<u8> = self.dictionary.iter().flat_map(|value| value.to_le_bytes()).collect();
        let least = self.dictionary.iter().min().copied();
        let greatest = self.dictionary.iter().max().copied();
        let statistics = Statistics::int32(least, greatest, None, Some(0), false);
        self.chunk.finish(Some((&content, self.dictionary.len())), self.rows, Some(statistics))
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
            page: Vec::with_capacity(PAGE_ROWS),
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

    /// Appends a value of a nullable column.
    pub(crate) fn push(&mut self, value: Option<i64>) -> Result<()> {
        self.levels.push(u32::from(value.is_some()));
        self.page.extend(value);
        if self.levels.len() == PAGE_ROWS { self.flush() } else { Ok(()) }
    }

    pub(crate) const fn is_nullable(&self) -> bool {
        self.is_nullable
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
        self.chunk.add_page(&self.buffer, rows, Encoding::DELTA_BINARY_PACKED)?;
        self.rows += rows as u64;
        self.page.clear();
        self.levels.clear();
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<FinishedChunk> {
        self.flush()?;
        let (least, greatest) = self.bounds.unzip();
        let nulls = if self.is_nullable { None } else { Some(0) };
        let statistics = Statistics::int64(least, greatest, None, nulls, false);
        self.chunk.finish(None, self.rows, Some(statistics))
    }
}

/// Decimals, as whole numbers of 128 bits.
pub(crate) struct DecimalColumn {
    chunk: Chunk,
    page: Vec<u8>,
    page_rows: usize,
    bounds: Option<(i128, i128)>,
    rows: u64,
}

impl DecimalColumn {
    pub(crate) fn new(descriptor: ColumnDescPtr) -> Result<Self> {
        Ok(Self {
            chunk: Chunk::new(descriptor, true)?,
            page: Vec::with_capacity(PAGE_ROWS * size_of::<i128>()),
            page_rows: 0,
            bounds: None,
            rows: 0,
        })
    }

    #[inline]
    pub(crate) fn extend(&mut self, values: impl Iterator<Item = i128>) -> Result<()> {
        for value in values {
            self.page.extend_from_slice(&value.to_be_bytes());
            self.page_rows += 1;
            let (least, greatest) = self.bounds.unwrap_or((value, value));
            self.bounds = Some((least.min(value), greatest.max(value)));
            if self.page_rows == PAGE_ROWS {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if self.page_rows > 0 {
            self.chunk.add_page(&self.page, self.page_rows, Encoding::PLAIN)?;
            self.rows += self.page_rows as u64;
            self.page.clear();
            self.page_rows = 0;
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<FinishedChunk> {
        self.flush()?;
        let (least, greatest) = self.bounds.unzip();
        let bytes = |value: i128| FixedLenByteArray::from(value.to_be_bytes().to_vec());
        let statistics =
            Statistics::fixed_len_byte_array(least.map(bytes), greatest.map(bytes), None, Some(0), false);
        self.chunk.finish(None, self.rows, Some(statistics))
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
            levels: Vec::with_capacity(PAGE_ROWS),
            page: Vec::with_capacity(PAGE_ROWS * 16),
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
        let rows = self.levels.len();
        if self.is_nullable {
            let mut content = Vec::with_capacity(self.page.len() + 64);
            put_levels(&self.levels, 1, &mut content);
            content.append(&mut self.page);
            self.chunk.add_page(&content, rows, Encoding::PLAIN)?;
        } else {
            self.chunk.add_page(&self.page, rows, Encoding::PLAIN)?;
        }
        self.rows += rows as u64;
        self.levels.clear();
        self.page.clear();
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<FinishedChunk> {
        self.flush()?;
        self.chunk.finish(None, self.rows, None)
    }
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
            levels: Vec::with_capacity(PAGE_ROWS),
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
        let rows = self.levels.len();
        let mut content = Vec::with_capacity(self.page.len() + 64);
        if self.is_nullable {
            put_levels(&self.levels, 1, &mut content);
        }
        content.append(&mut self.page);
        self.chunk.add_page(&content, rows, Encoding::PLAIN)?;
        self.rows += rows as u64;
        self.levels.clear();
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<FinishedChunk> {
        self.flush()?;
        self.chunk.finish(None, self.rows, None)
    }
}

/// One member of the structs in a list, as bytes of one length each.
pub(crate) struct ListColumn {
    chunk: Chunk,
    /// 0 where a row begins, 1 where its list goes on.
    repetition: Vec<u32>,
    /// 0 for an empty list, the largest level for a value.
    definition: Vec<u32>,
    values: Vec<u8>,
    page_rows: usize,
    rows: u64,
}

impl ListColumn {
    pub(crate) fn new(descriptor: ColumnDescPtr) -> Result<Self> {
        Ok(Self {
            chunk: Chunk::new(descriptor, true)?,
            repetition: Vec::new(),
            definition: Vec::new(),
            values: Vec::new(),
            page_rows: 0,
            rows: 0,
        })
    }

    /// Appends the list of a row.
    pub(crate) fn push<const N: usize>(&mut self, list: impl Iterator<Item = Option<[u8; N]>>) -> Result<()> {
        let largest = u32::from(self.chunk.descriptor().max_def_level().unsigned_abs());
        let mut is_first = true;
        for value in list {
            self.repetition.push(u32::from(!is_first));
            is_first = false;
            match value {
                Some(value) => {
                    self.definition.push(largest);
                    self.values.extend_from_slice(&value);
                }
                None => self.definition.push(largest.saturating_sub(1)),
            }
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
        let descriptor = self.chunk.descriptor();
        let width = |largest: i16| hybrid::width_of(usize::from(largest.unsigned_abs()) + 1);
        let widths = (width(descriptor.max_rep_level()), width(descriptor.max_def_level()));
        let mut content = Vec::with_capacity(self.values.len() + 64);
        put_levels(&self.repetition, widths.0, &mut content);
        put_levels(&self.definition, widths.1, &mut content);
        content.append(&mut self.values);
        self.chunk.add_page(&content, self.definition.len(), Encoding::PLAIN)?;
        self.rows += self.page_rows as u64;
        self.page_rows = 0;
        self.repetition.clear();
        self.definition.clear();
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<FinishedChunk> {
        self.flush()?;
        self.chunk.finish(None, self.rows, None)
    }
}
