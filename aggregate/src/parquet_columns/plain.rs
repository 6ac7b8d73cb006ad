//! Columns whose values are stored as they are: most of them differ, or most are absent.

use parquet::basic::Encoding;
use parquet::bloom_filter::Sbbf;
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::errors::Result;
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescPtr;

use super::chunk::Chunk;
use super::column::{PAGE_BYTES, PAGE_ROWS, put_bytes, put_levels};
use super::file::RowGroup;
use super::id_index::IdIndex;

/// Bytes of a UUID.
pub(super) const UUID_BYTES: usize = 16;

/// Values as they are, and which of them are absent.
struct PlainPages {
    chunk: Chunk,
    is_nullable: bool,
    /// Per row of the page, is there a value?
    levels: Vec<u32>,
    /// The values of the page.
    page: Vec<u8>,
    nulls: u64,
}

impl PlainPages {
    fn new(descriptor: ColumnDescPtr, may_compress: bool) -> Self {
        let is_nullable = descriptor.max_def_level() > 0;
        Self {
            chunk: Chunk::new(descriptor, may_compress),
            is_nullable,
            levels: Vec::with_capacity(PAGE_ROWS),
            page: Vec::new(),
            nulls: 0,
        }
    }

    fn is_full(&self) -> bool {
        self.levels.len() >= PAGE_ROWS || self.page.len() >= PAGE_BYTES
    }

    fn flush(&mut self) -> Result<()> {
        if self.levels.is_empty() {
            return Ok(());
        }
        if self.is_nullable {
            let mut encoded = Vec::new();
            put_levels(&self.levels, 1, &mut encoded);
            self.page.splice(..0, encoded);
        }
        self.chunk.add_page(&mut self.page, self.levels.len(), Encoding::PLAIN)?;
        self.nulls += self.levels.iter().filter(|level| **level == 0).count() as u64;
        self.levels.clear();
        Ok(())
    }

    /// Ends the chunk, whose last page is written, and begins the next; `statistics` are made from the
    /// number of absent values.
    fn finish(
        &mut self,
        filter: Option<Sbbf>,
        statistics: impl FnOnce(u64) -> Statistics,
        row_group: &mut RowGroup<'_>,
    ) -> Result<()> {
        let statistics = statistics(std::mem::take(&mut self.nulls));
        self.chunk.finish(None, Some(statistics), filter, row_group)
    }
}

/// UUIDs as sixteen bytes, which are not compressed, with an index.
pub(crate) struct UuidColumn {
    pages: PlainPages,
    index: IdIndex,
}

impl UuidColumn {
    pub(crate) fn new(descriptor: ColumnDescPtr, has_filter: bool) -> Self {
        Self { pages: PlainPages::new(descriptor, false), index: IdIndex::new(has_filter) }
    }

    #[inline]
    pub(crate) fn extend<'a>(&mut self, values: impl Iterator<Item = Option<&'a [u8; 16]>>) -> Result<()> {
        let PlainPages { levels, page, .. } = &mut self.pages;
        for value in values {
            levels.push(u32::from(value.is_some()));
            if let Some(value) = value {
                page.extend_from_slice(value);
            }
        }
        if self.pages.is_full() { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        self.index.extend(&self.pages.page);
        self.pages.flush()
    }

    pub(crate) fn finish(&mut self, row_group: &mut RowGroup<'_>) -> Result<()> {
        self.flush()?;
        let (bounds, filter) = self.index.take()?;
        let statistics = |nulls| {
            let (least, greatest) = bounds.unzip();
            let id = |id: u128| FixedLenByteArray::from(id.to_be_bytes().to_vec());
            Statistics::fixed_len_byte_array(least.map(id), greatest.map(id), None, Some(nulls), false)
        };
        self.pages.finish(filter, statistics, row_group)
    }
}

/// Texts or bytes as they are, where most differ or most are absent.
pub(crate) struct PlainColumn {
    pages: PlainPages,
    /// Has the chunk bounds? Its least and its greatest text, if it has any.
    bounds: Option<Bounds>,
}

/// The least and the greatest text of a chunk.
type Bounds = Option<(Vec<u8>, Vec<u8>)>;

impl PlainColumn {
    pub(crate) fn new(descriptor: ColumnDescPtr) -> Self {
        Self { pages: PlainPages::new(descriptor, true), bounds: None }
    }

    /// A column of ids, which gets bounds.
    pub(crate) fn ids(descriptor: ColumnDescPtr) -> Self {
        Self { bounds: Some(None), ..Self::new(descriptor) }
    }

    /// Appends values; the bytes they take.
    #[inline]
    pub(crate) fn extend<'a>(&mut self, values: impl Iterator<Item = Option<&'a [u8]>>) -> Result<usize> {
        let PlainPages { levels, page, .. } = &mut self.pages;
        let before = page.len();
        for value in values {
            levels.push(u32::from(value.is_some()));
            if let Some(value) = value {
                if let Some(bounds) = &mut self.bounds {
                    widen(bounds, value);
                }
                put_bytes(value, page);
            }
        }
        let bytes = page.len() - before;
        if self.pages.is_full() {
            self.pages.flush()?;
        }
        Ok(bytes)
    }

    pub(crate) fn finish(&mut self, row_group: &mut RowGroup<'_>) -> Result<()> {
        self.pages.flush()?;
        let bounds = self.bounds.as_mut().and_then(Option::take);
        let statistics = |nulls| {
            let (least, greatest) = bounds.unzip();
            let [least, greatest] = [least, greatest].map(|text| text.map(ByteArray::from));
            Statistics::byte_array(least, greatest, None, Some(nulls), false)
        };
        self.pages.finish(None, statistics, row_group)
    }
}

/// Lets bounds hold a text.
#[inline]
fn widen(bounds: &mut Bounds, text: &[u8]) {
    match bounds {
        None => *bounds = Some((text.to_vec(), text.to_vec())),
        // Sorted texts follow the greatest.
        Some((_, greatest)) if text > greatest.as_slice() => text.clone_into(greatest),
        Some((least, _)) if text < least.as_slice() => text.clone_into(least),
        Some(_) => {}
    }
}
