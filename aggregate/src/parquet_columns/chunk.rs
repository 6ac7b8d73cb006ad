//! A column chunk: the pages of one column in one row group, encoded and compressed.
//!
//! A chunk is used for one row group after another and keeps its buffers.

use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, CompressionCodec, Encoding, ZstdLevel};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::errors::Result;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

use super::file::{RowGroup, external};

/// Compression level: beyond it the files get a little smaller and the writing a lot slower.
const ZSTD_LEVEL: i32 = -3;

/// Slots of the compressor's table, as a power of two: more find little more, and no longer fit the
/// first cache.
const HASH_LOG: u32 = 13;

/// A chunk is stored as it is where compression takes off less than one part in this many.
const WORTHWHILE: usize = 16;

/// Bytes and values up to which a page is stored as it is: to begin compressing takes longer than it saves. More values
/// in as few bytes are a page that others follow.
const SMALL_BYTES: usize = 512;
const SMALL_VALUES: usize = 1_000;

/// A chunk that is being filled.
pub(crate) struct Chunk {
    descriptor: ColumnDescPtr,
    /// Made for the first page that is compressed.
    compressor: Option<Compressor<'static>>,
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
    pub(crate) fn new(descriptor: ColumnDescPtr, may_compress: bool) -> Self {
        Self {
            descriptor,
            compressor: None,
            may_compress,
            is_compressed: None,
            pages: Vec::new(),
            compressed: Vec::new(),
            encodings: Vec::new(),
            values: 0,
            uncompressed_bytes: 0,
        }
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
        let is_compressed = self.compress(content, values)?;
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
    fn compress(&mut self, content: &[u8], values: usize) -> Result<bool> {
        let is_small = content.len() <= SMALL_BYTES && values <= SMALL_VALUES;
        if !self.may_compress || !self.is_compressed.unwrap_or(!is_small) {
            self.is_compressed = Some(false);
            return Ok(false);
        }
        self.compressed.clear();
        self.compressed.reserve(zstd::zstd_safe::compress_bound(content.len()));
        let compressor = match &mut self.compressor {
            Some(compressor) => compressor,
            none => none.insert(compressor()?),
        };
        compressor.compress_to_buffer(content, &mut self.compressed).map_err(external)?;
        let saved = content.len().saturating_sub(self.compressed.len());
        Ok(*self.is_compressed.get_or_insert(saved * WORTHWHILE >= content.len()))
    }

    /// Ends the chunk, writes it to a row group, and begins the next. The dictionary, if there is one,
    /// comes first in the file.
    pub(crate) fn finish(
        &mut self,
        dictionary: Option<(&mut Vec<u8>, usize)>,
        statistics: Option<Statistics>,
        bloom_filter: Option<Sbbf>,
        row_group: &mut RowGroup<'_>,
    ) -> Result<()> {
        let mut head = Vec::new();
        let has_dictionary = dictionary.is_some();
        if let Some((content, values)) = dictionary {
            let uncompressed = content.len();
            let num_values = u32::try_from(values).map_err(external)?;
            let is_compressed = self.compress(content, values)?;
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
        let signed = |number: usize| i64::try_from(number).map_err(external);
        let mut metadata = ColumnChunkMetaData::builder(Arc::clone(&self.descriptor))
            .set_compression_codec(CompressionCodec::from(codec))
            .set_encodings(std::mem::take(&mut self.encodings))
            .set_num_values(signed(self.values)?)
            .set_total_uncompressed_size(signed(self.uncompressed_bytes)?);
        if let Some(statistics) = statistics {
            metadata = metadata.set_statistics(statistics);
        }
        let dictionary = has_dictionary.then_some(&*head);
        row_group.add_chunk(dictionary, &self.pages, metadata, bloom_filter)?;
        self.pages.clear();
        self.is_compressed = None;
        self.values = 0;
        self.uncompressed_bytes = 0;
        Ok(())
    }
}

fn compressor() -> Result<Compressor<'static>> {
    let mut compressor = Compressor::new(ZSTD_LEVEL).map_err(external)?;
    compressor.set_parameter(CParameter::HashLog(HASH_LOG)).map_err(external)?;
    Ok(compressor)
}
