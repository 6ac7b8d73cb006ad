//! A column chunk: the pages of one column in one row group, encoded and compressed.
//!
//! A chunk is used for one row group after another and keeps its buffers.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, CompressionCodec, Encoding, ZstdLevel};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, SerializedRowGroupWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use zstd::bulk::Compressor;

use crate::output::OutputFile;

/// Compression level: beyond it the files get a little smaller and the writing a lot slower.
const ZSTD_LEVEL: i32 = -3;

/// A chunk is stored as it is where compression takes off less than one part in this many.
const WORTHWHILE: usize = 16;

/// The row group that finished chunks go to.
pub(crate) type RowGroupWriter<'a> = SerializedRowGroupWriter<'a, OutputFile>;

/// A chunk that is being filled.
pub(crate) struct Chunk {
    descriptor: ColumnDescPtr,
    compressor: Compressor<'static>,
    may_compress: bool,
    /// Decided by the first page.
    is_compressed: Option<bool>,
    /// Pages with their headers.
    pages: Vec<u8>,
    /// A compressed page.
    compressed: Vec<u8>,
    encodings: Vec<Encoding>,
    values: usize,
    uncompressed_bytes: usize,
}

/// Bytes lent to a page, to be had back when the page is gone.
struct Lent(Arc<Vec<u8>>);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Writes a page whose content is lent from a buffer; its length without compression.
fn write_page(
    pages: &mut Vec<u8>,
    content: &mut Vec<u8>,
    uncompressed: usize,
    page: impl FnOnce(Bytes) -> Page,
) -> Result<usize> {
    let shared = Arc::new(std::mem::take(content));
    let page = page(Bytes::from_owner(Lent(Arc::clone(&shared))));
    let mut sink = TrackedWrite::new(std::mem::take(pages));
    let written = SerializedPageWriter::new(&mut sink).write_page(CompressedPage::new(page, uncompressed))?;
    *pages = sink.into_inner()?;
    if let Ok(buffer) = Arc::try_unwrap(shared) {
        *content = buffer;
    }
    Ok(written.uncompressed_size)
}

impl Chunk {
    /// An empty chunk. With `may_compress` false its pages are stored as they are.
    pub(crate) fn new(descriptor: ColumnDescPtr, may_compress: bool) -> Result<Self> {
        Ok(Self {
            descriptor,
            compressor: Compressor::new(ZSTD_LEVEL).map_err(external)?,
            may_compress,
            is_compressed: None,
            pages: Vec::new(),
            compressed: Vec::new(),
            encodings: Vec::new(),
            values: 0,
            uncompressed_bytes: 0,
        })
    }

    /// The column's description.
    pub(crate) const fn descriptor(&self) -> &ColumnDescPtr {
        &self.descriptor
    }

    /// Adds a data page: levels, if the column has any, and encoded values. The content is used up.
    pub(crate) fn add_page(
        &mut self,
        content: &mut Vec<u8>,
        values: usize,
        encoding: Encoding,
    ) -> Result<()> {
        let uncompressed = content.len();
        let num_values = u32::try_from(values).map_err(external)?;
        let is_compressed = self.compress(content)?;
        let buffer = if is_compressed { &mut self.compressed } else { &mut *content };
        self.uncompressed_bytes += write_page(&mut self.pages, buffer, uncompressed, |buf| Page::DataPage {
            buf,
            num_values,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        })?;
        content.clear();
        if !self.encodings.contains(&encoding) {
            self.encodings.push(encoding);
        }
        self.values += values;
        Ok(())
    }

    /// Compresses into the buffer for it, if the chunk is compressed.
    fn compress(&mut self, content: &[u8]) -> Result<bool> {
        if !self.may_compress || self.is_compressed == Some(false) {
            return Ok(false);
        }
        self.compressed.clear();
        self.compressed.reserve(zstd::zstd_safe::compress_bound(content.len()));
        self.compressor.compress_to_buffer(content, &mut self.compressed).map_err(external)?;
        let saved = content.len().saturating_sub(self.compressed.len());
        Ok(*self.is_compressed.get_or_insert(saved * WORTHWHILE >= content.len()))
    }

    /// Ends the chunk, writes it to a row group, and begins the next. The dictionary, if there is one,
    /// comes first in the file.
    pub(crate) fn finish(
        &mut self,
        dictionary: Option<(&mut Vec<u8>, usize)>,
        rows: u64,
        statistics: Option<Statistics>,
        bloom_filter: Option<Sbbf>,
        row_group: &mut RowGroupWriter<'_>,
    ) -> Result<()> {
        let mut head = Vec::new();
        let has_dictionary = dictionary.is_some();
        if let Some((content, values)) = dictionary {
            let uncompressed = content.len();
            let num_values = u32::try_from(values).map_err(external)?;
            let is_compressed = self.compress(content)?;
            let buffer = if is_compressed { &mut self.compressed } else { content };
            self.uncompressed_bytes += write_page(&mut head, buffer, uncompressed, |buf| {
                Page::DictionaryPage { buf, num_values, encoding: Encoding::PLAIN, is_sorted: false }
            })?;
            self.encodings.push(Encoding::PLAIN);
        }
        self.encodings.push(Encoding::RLE);
        let codec = if self.may_compress && self.is_compressed == Some(true) {
            Compression::ZSTD(ZstdLevel::default())
        } else {
            Compression::UNCOMPRESSED
        };
        let length = head.len() + self.pages.len();
        let signed = |number: usize| i64::try_from(number).map_err(external);
        let mut metadata = ColumnChunkMetaData::builder(Arc::clone(&self.descriptor))
            .set_compression_codec(CompressionCodec::from(codec))
            .set_encodings(std::mem::take(&mut self.encodings))
            .set_num_values(signed(self.values)?)
            .set_total_compressed_size(signed(length)?)
            .set_total_uncompressed_size(signed(self.uncompressed_bytes)?)
            .set_data_page_offset(signed(head.len())?)
            .set_dictionary_page_offset(has_dictionary.then_some(0));
        if let Some(statistics) = statistics {
            metadata = metadata.set_statistics(statistics);
        }
        let close = ColumnCloseResult {
            bytes_written: length as u64,
            rows_written: rows,
            metadata: metadata.build()?,
            bloom_filter,
            column_index: None,
            offset_index: None,
        };
        row_group.append_column(&ChunkBytes { head: &head, pages: &self.pages }, close)?;
        self.pages.clear();
        self.is_compressed = None;
        self.values = 0;
        self.uncompressed_bytes = 0;
        Ok(())
    }
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> ParquetError {
    ParquetError::External(Box::new(error))
}

/// The bytes of a finished chunk.
struct ChunkBytes<'a> {
    head: &'a [u8],
    pages: &'a [u8],
}

impl Length for ChunkBytes<'_> {
    fn len(&self) -> u64 {
        (self.head.len() + self.pages.len()) as u64
    }
}

impl<'a> ChunkReader for ChunkBytes<'a> {
    type T = io::Chain<&'a [u8], &'a [u8]>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        let start = usize::try_from(start).map_err(external)?;
        let head = self.head.get(start..).unwrap_or_default();
        let pages = self.pages.get(start.saturating_sub(self.head.len())..).unwrap_or_default();
        Ok(head.chain(pages))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let mut bytes = Vec::with_capacity(length);
        self.get_read(start)?.take(length as u64).read_to_end(&mut bytes).map_err(external)?;
        Ok(bytes.into())
    }
}
