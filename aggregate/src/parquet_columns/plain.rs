//! Columns whose values are stored as they are: most of them differ, or most are absent.

use parquet::basic::Encoding;
use parquet::errors::Result;
use parquet::schema::types::ColumnDescPtr;

use super::chunk::{Chunk, RowGroupWriter};
use super::column::{PAGE_ROWS, put_bytes, put_levels};

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
        self.chunk.finish(None, std::mem::take(&mut self.rows), None, row_group)
    }
}
