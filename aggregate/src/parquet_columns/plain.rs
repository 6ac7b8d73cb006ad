//! Columns whose values are stored as they are: most of them differ, or most are absent.

use parquet::basic::Encoding;
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::errors::Result;
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescPtr;

use super::chunk::{Chunk, RowGroupWriter};
use super::column::{PAGE_ROWS, put_bytes, put_levels};
use super::id_index::IdIndex;

/// Bytes of a UUID.
const UUID_BYTES: usize = 16;

/// UUIDs as sixteen bytes, which are not compressed, with an index.
pub(crate) struct UuidColumn {
    chunk: Chunk,
    is_nullable: bool,
    levels: Vec<u32>,
    page: Vec<u8>,
    index: IdIndex,
    rows: u64,
    nulls: u64,
}

impl UuidColumn {
    pub(crate) fn new(descriptor: ColumnDescPtr, has_filter: bool) -> Result<Self> {
        let is_nullable = descriptor.max_def_level() > 0;
        Ok(Self {
            chunk: Chunk::new(descriptor, false)?,
            is_nullable,
            levels: Vec::new(),
            page: Vec::new(),
            index: IdIndex::new(has_filter),
            rows: 0,
            nulls: 0,
        })
    }

    #[inline]
    pub(crate) fn extend<'a>(&mut self, values: impl Iterator<Item = Option<&'a [u8; 16]>>) -> Result<()> {
        for value in values {
            self.levels.push(u32::from(value.is_some()));
            if let Some(value) = value {
                self.page.extend_from_slice(value);
            }
        }
        if self.levels.len() >= PAGE_ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        if self.levels.is_empty() {
            return Ok(());
        }
        let ids = self.page.chunks_exact(UUID_BYTES);
        self.nulls += (self.levels.len() - ids.len()) as u64;
        for id in ids {
            self.index.insert(id)?;
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
        let (bounds, filter) = self.index.take();
        let (least, greatest) = bounds.unzip();
        let statistics = Statistics::fixed_len_byte_array(
            least.map(FixedLenByteArray::from),
            greatest.map(FixedLenByteArray::from),
            None,
            Some(std::mem::take(&mut self.nulls)),
            false,
        );
        self.chunk.finish(None, std::mem::take(&mut self.rows), Some(statistics), filter, row_group)
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
    /// Where the texts are ids.
    index: Option<IdIndex>,
    rows: u64,
    nulls: u64,
}

impl PlainColumn {
    pub(crate) fn new(descriptor: ColumnDescPtr) -> Result<Self> {
        let is_nullable = descriptor.max_def_level() > 0;
        Ok(Self {
            chunk: Chunk::new(descriptor, true)?,
            is_nullable,
            levels: Vec::new(),
            page: Vec::new(),
            index: None,
            rows: 0,
            nulls: 0,
        })
    }

    /// A column of ids, which gets bounds.
    pub(crate) fn ids(descriptor: ColumnDescPtr) -> Result<Self> {
        Ok(Self { index: Some(IdIndex::new(false)), ..Self::new(descriptor)? })
    }

    #[inline]
    pub(crate) fn extend<'a>(&mut self, values: impl Iterator<Item = Option<&'a [u8]>>) -> Result<()> {
        for value in values {
            self.levels.push(u32::from(value.is_some()));
            match (value, &mut self.index) {
                (Some(value), Some(index)) => {
                    index.insert(value)?;
                    put_bytes(value, &mut self.page);
                }
                (Some(value), None) => put_bytes(value, &mut self.page),
                (None, _) => self.nulls += 1,
            }
        }
        if self.levels.len() >= PAGE_ROWS { self.flush() } else { Ok(()) }
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
        let (bounds, filter) = self.index.as_mut().map(IdIndex::take).unwrap_or_default();
        let (least, greatest) = bounds.unzip();
        let statistics = Statistics::byte_array(
            least.map(ByteArray::from),
            greatest.map(ByteArray::from),
            None,
            Some(std::mem::take(&mut self.nulls)),
            false,
        );
        self.chunk.finish(None, std::mem::take(&mut self.rows), Some(statistics), filter, row_group)
    }
}
