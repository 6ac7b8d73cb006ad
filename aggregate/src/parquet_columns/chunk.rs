//! A column chunk: the pages of one column in one row group, encoded and compressed.

use bytes::Bytes;
use parquet::basic::{Compression, CompressionCodec, Encoding, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use zstd::bulk::Compressor;

/// Compression level: beyond it the files get a little smaller and the writing a lot slower.
const ZSTD_LEVEL: i32 = 1;

/// A chunk is stored as it is where compression takes off less than one part in this many.
const WORTHWHILE: usize = 16;

/// A finished chunk: its bytes, and what the file must know of them.
#[derive(Debug)]
pub(crate) struct FinishedChunk {
    pub(crate) bytes: Bytes,
    pub(crate) close: ColumnCloseResult,
}

/// A chunk that is being filled.
pub(crate) struct Chunk {
    descriptor: ColumnDescPtr,
    compressor: Compressor<'static>,
    /// Decided by the first page.
    is_compressed: Option<bool>,
    pages: TrackedWrite<Vec<u8>>,
    compressed: Vec<u8>,
    encodings: Vec<Encoding>,
    values: u64,
    uncompressed_bytes: usize,
}

impl Chunk {
    /// An empty chunk. With `may_compress` false its pages are stored as they are.
    pub(crate) fn new(descriptor: ColumnDescPtr, may_compress: bool) -> Result<Self> {
        let compressor =
            Compressor::new(ZSTD_LEVEL).map_err(|error| ParquetError::External(Box::new(error)))?;
        Ok(Self {
            descriptor,
            compressor,
            is_compressed: if may_compress { None } else { Some(false) },
            pages: TrackedWrite::new(Vec::new()),
            compressed: Vec::new(),
            encodings: vec![Encoding::RLE],
            values: 0,
            uncompressed_bytes: 0,
        })
    }

    /// The column's description.
    pub(crate) const fn descriptor(&self) -> &ColumnDescPtr {
        &self.descriptor
    }

    /// Adds a data page: levels, if the column has any, and encoded values.
    pub(crate) fn add_page(&mut self, content: &[u8], values: usize, encoding: Encoding) -> Result<()> {
        let count = u32::try_from(values).map_err(|error| ParquetError::External(Box::new(error)))?;
        let content_length = content.len();
        let page = Page::DataPage {
            buf: self.compress(content)?,
            num_values: count,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        if !self.encodings.contains(&encoding) {
            self.encodings.push(encoding);
        }
        self.values += u64::from(count);
        let spec = SerializedPageWriter::new(&mut self.pages)
            .write_page(CompressedPage::new(page, content_length))?;
        self.uncompressed_bytes += spec.uncompressed_size;
        Ok(())
    }

    fn compress(&mut self, content: &[u8]) -> Result<Bytes> {
        if self.is_compressed == Some(false) {
            return Ok(Bytes::copy_from_slice(content));
        }
        self.compressed.clear();
        self.compressed.reserve(zstd::zstd_safe::compress_bound(content.len()));
        self.compressor
            .compress_to_buffer(content, &mut self.compressed)
            .map_err(|error| ParquetError::External(Box::new(error)))?;
        let saved = content.len().saturating_sub(self.compressed.len());
        let is_compressed = *self.is_compressed.get_or_insert(saved * WORTHWHILE >= content.len());
        Ok(Bytes::copy_from_slice(if is_compressed { &self.compressed } else { content }))
    }

    /// Ends the chunk. The dictionary, if there is one, comes first in the file.
    pub(crate) fn finish(
        mut self,
        dictionary: Option<(&[u8], usize)>,
        rows: u64,
        statistics: Option<Statistics>,
    ) -> Result<FinishedChunk> {
        let mut head = TrackedWrite::new(Vec::new());
        if let Some((content, values)) = dictionary {
            let page = Page::DictionaryPage {
                buf: self.compress(content)?,
                num_values: u32::try_from(values).map_err(|error| ParquetError::External(Box::new(error)))?,
                encoding: Encoding::PLAIN,
                is_sorted: false,
            };
            self.encodings.push(Encoding::PLAIN);
            let page = CompressedPage::new(page, content.len());
            let spec = SerializedPageWriter::new(&mut head).write_page(page)?;
            self.uncompressed_bytes += spec.uncompressed_size;
        }
        let mut bytes = head.into_inner()?;
        let dictionary_length = bytes.len();
        bytes.append(&mut self.pages.into_inner()?);
        let signed =
            |number: usize| i64::try_from(number).map_err(|error| ParquetError::External(Box::new(error)));
        let codec = if self.is_compressed == Some(true) {
            Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?)
        } else {
            Compression::UNCOMPRESSED
        };
        let mut metadata = ColumnChunkMetaData::builder(self.descriptor)
            .set_compression_codec(CompressionCodec::from(codec))
            .set_encodings(self.encodings)
            .set_num_values(signed(usize::try_from(self.values).unwrap_or(usize::MAX))?)
            .set_total_compressed_size(signed(bytes.len())?)
            .set_total_uncompressed_size(signed(self.uncompressed_bytes)?)
            .set_data_page_offset(signed(dictionary_length)?)
            .set_dictionary_page_offset(dictionary.map(|_| 0));
        if let Some(statistics) = statistics {
            metadata = metadata.set_statistics(statistics);
        }
        let close = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: rows,
            metadata: metadata.build()?,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        Ok(FinishedChunk { bytes: bytes.into(), close })
    }
}
