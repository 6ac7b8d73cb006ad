//! Parquet files of a table, read and written through the disk.

use std::io::{self, BufReader, BufWriter, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, RecordBatch, StructArray, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{ChunkReader, Length};
use parquet::schema::types::ColumnPath;
use schemas::epoch::ContentHash;

use crate::disk::{self, Disk, DiskBytes, DiskFile};
use crate::error::AggregateError;
use crate::ledger::hash_of;
use crate::parquet_columns::{FALSE_POSITIVES, parquet_error};

/// Rows of a row group.
pub(crate) const ROW_GROUP_ROWS: usize = 1 << 20;

/// Rows that are read at once.
const BATCH_ROWS: usize = 1 << 14;

/// Bytes of the header of a page, about.
const PAGE_HEADER_BYTES: usize = 1 << 8;

/// Bytes that are written at once.
const BUFFER_BYTES: usize = 1 << 20;

/// Where a Parquet file is.
#[derive(Clone, Debug)]
pub(crate) enum ParquetBytes {
    /// In memory.
    Memory(Bytes),
    /// On a disk.
    Disk(Arc<FileBytes>),
}

/// The bytes of a file, and what the disk said when they could not be read: the Parquet reader passes on its text
/// alone.
#[derive(Debug)]
pub(crate) struct FileBytes {
    bytes: Arc<dyn DiskBytes>,
    failure: Mutex<Option<io::Error>>,
}

impl FileBytes {
    fn new(bytes: Arc<dyn DiskBytes>) -> Arc<Self> {
        Arc::new(Self { bytes, failure: Mutex::new(None) })
    }

    fn read_at(&self, offset: u64, to: &mut [u8]) -> Result<()> {
        let Err(error) = self.bytes.read_at(offset, to) else { return Ok(()) };
        let text = error.to_string();
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        Err(ParquetError::General(text))
    }
}

impl ParquetBytes {
    /// An error of the Parquet reader, or the disk's error under it.
    pub(crate) fn failed(&self, path: PathBuf, error: ParquetError) -> AggregateError {
        let failure = match self {
            Self::Memory(_) => None,
            Self::Disk(file) => file.failure.lock().unwrap_or_else(PoisonError::into_inner).take(),
        };
        match failure {
            Some(error) => AggregateError::Disk { path, error },
            None => parquet_error(&path, error),
        }
    }
}

impl Length for ParquetBytes {
    fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Disk(file) => file.bytes.length(),
        }
    }
}

impl ChunkReader for ParquetBytes {
    type T = BufReader<ParquetRead>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        // Headers of pages are read byte by byte.
        let reader = ParquetRead { bytes: self.clone(), offset: start };
        Ok(BufReader::with_capacity(PAGE_HEADER_BYTES, reader))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let end = start.checked_add(length as u64).filter(|end| *end <= self.len());
        let Some(end) = end else {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} of {}", self.len())));
        };
        match self {
            Self::Memory(bytes) => {
                let place = usize::try_from(start).ok().zip(usize::try_from(end).ok());
                let (start, end) = place.ok_or_else(|| ParquetError::EOF("too long".to_owned()))?;
                Ok(bytes.slice(start..end))
            }
            Self::Disk(file) => {
                let mut part = vec![0; length];
                file.read_at(start, &mut part)?;
                Ok(part.into())
            }
        }
    }
}

/// Reads a Parquet file from an offset on.
#[derive(Debug)]
pub(crate) struct ParquetRead {
    bytes: ParquetBytes,
    offset: u64,
}

impl Read for ParquetRead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.bytes.len().saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let count = left.min(buffer.len());
        let part = self.bytes.get_bytes(self.offset, count).map_err(io::Error::other)?;
        if let Some(to) = buffer.get_mut(..count) {
            to.copy_from_slice(&part);
        }
        self.offset += count as u64;
        Ok(count)
    }
}

/// A Parquet file whose footer is read.
#[derive(Clone, Debug)]
pub(crate) struct ParquetSource {
    /// Its name, for messages.
    pub(crate) name: String,
    bytes: ParquetBytes,
    /// Its footer.
    pub(crate) metadata: ArrowReaderMetadata,
    /// BLAKE3 of its bytes, where it is known.
    pub(crate) hash: Option<ContentHash>,
}

impl ParquetSource {
    /// Reads the footer of a file on a disk.
    pub(crate) fn open(disk: &dyn Disk, name: &str) -> std::result::Result<Self, AggregateError> {
        let path = || disk.path(name);
        let bytes = disk.open(name).map_err(|error| AggregateError::Disk { path: path(), error })?;
        Self::read(disk, name, ParquetBytes::Disk(FileBytes::new(bytes)))
    }

    /// Reads the footer of a file in memory; `name` is for messages.
    pub(crate) fn read(
        disk: &dyn Disk,
        name: &str,
        bytes: ParquetBytes,
    ) -> std::result::Result<Self, AggregateError> {
        let metadata = ArrowReaderMetadata::load(&bytes, ArrowReaderOptions::new());
        let metadata = metadata.map_err(|error| bytes.failed(disk.path(name), error))?;
        Ok(Self { name: name.to_owned(), bytes, metadata, hash: None })
    }

    /// Its rows.
    pub(crate) fn rows(&self) -> u64 {
        self.metadata.metadata().file_metadata().num_rows().try_into().unwrap_or_default()
    }

    /// Its length in bytes.
    pub(crate) fn length(&self) -> u64 {
        self.bytes.len()
    }

    /// Where its bytes are.
    pub(crate) const fn bytes(&self) -> &ParquetBytes {
        &self.bytes
    }

    /// BLAKE3 of its bytes, which are read where it is not known.
    pub(crate) fn hash(&self) -> io::Result<ContentHash> {
        match (&self.hash, &self.bytes) {
            (Some(hash), _) => Ok(*hash),
            (None, ParquetBytes::Memory(bytes)) => Ok(hash_of(bytes)),
            (None, ParquetBytes::Disk(file)) => Ok(disk::hash_bytes(&*file.bytes)?.1),
        }
    }

    /// Its columns.
    pub(crate) fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }
}

/// The columns that files have together: what one of them lacks may be null.
pub(crate) fn joined_schema<'a>(
    schemas: &(impl Iterator<Item = &'a SchemaRef> + Clone),
) -> std::result::Result<SchemaRef, ArrowError> {
    let merged = Schema::try_merge(schemas.clone().map(|schema| schema.as_ref().clone()))?;
    let everywhere =
        |field: &Field| schemas.clone().all(|schema| schema.field_with_name(field.name()).is_ok());
    let fields = merged.fields().iter().map(|field| {
        let nullable = field.is_nullable() || !everywhere(field);
        field.as_ref().clone().with_nullable(nullable)
    });
    Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}

/// Writes the rows of files, in their order, to a new file and makes it durable; the directory is not
/// synced. The same rows give the same bytes.
pub(crate) fn join(
    disk: &dyn Disk,
    name: &str,
    schema: &SchemaRef,
    sources: &[ParquetSource],
) -> std::result::Result<(), AggregateError> {
    let failed = |error| parquet_error(&disk.path(name), error);
    let mut writer = Writer::create(disk, name, schema)?;
    for source in sources {
        let unreadable = |error| source.bytes.failed(disk.path(&source.name), error);
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(source.bytes.clone(), source.metadata.clone());
        let reader = builder.with_batch_size(BATCH_ROWS).build().map_err(unreadable)?;
        for batch in reader {
            let batch = batch.map_err(|error| unreadable(error.into()))?;
            writer.write(&conform(&batch, schema).map_err(|error| failed(error.into()))?)?;
        }
    }
    writer.finish()
}

/// A Parquet file that is being written.
pub(crate) struct Writer<'a> {
    disk: &'a dyn Disk,
    name: &'a str,
    rows: ArrowWriter<BufWriter<Box<dyn DiskFile>>>,
}

impl<'a> Writer<'a> {
    /// Begins a file, in place of one of that name.
    pub(crate) fn create(
        disk: &'a dyn Disk,
        name: &'a str,
        schema: &SchemaRef,
    ) -> std::result::Result<Self, AggregateError> {
        // NOTE: a name whose sync failed may never be durable, however often it is synced: it is made anew.
        let removed = match disk.remove(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        let file = removed.and_then(|()| disk.create(name));
        let file = file.map_err(|error| AggregateError::Disk { path: disk.path(name), error })?;
        let properties = WriterProperties::builder()
            .set_created_by(crate::CREATED_BY.to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_column_bloom_filter_fpp(ColumnPath::from("accrual_id"), FALSE_POSITIVES)
            .build();
        let file = BufWriter::with_capacity(BUFFER_BYTES, file);
        let writer = ArrowWriter::try_new(file, Arc::clone(schema), Some(properties));
        let writer = writer.map_err(|error| parquet_error(&disk.path(name), error))?;
        Ok(Self { disk, name, rows: writer })
    }

    /// Appends rows.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> std::result::Result<(), AggregateError> {
        self.rows.write(batch).map_err(|error| parquet_error(&self.disk.path(self.name), error))
    }

    /// Ends the file and makes it durable.
    pub(crate) fn finish(self) -> std::result::Result<(), AggregateError> {
        let Self { disk, name, rows } = self;
        let file = rows.into_inner().map_err(|error| parquet_error(&disk.path(name), error))?;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error);
        let synced = file.and_then(|mut file| file.sync());
        synced.map_err(|error| AggregateError::Disk { path: disk.path(name), error })
    }
}

/// The rows with the columns of `schema`: null where they lack one.
fn conform(batch: &RecordBatch, schema: &SchemaRef) -> std::result::Result<RecordBatch, ArrowError> {
    let columns = schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        Some(column) => conform_column(column, field.data_type()),
        None => Ok(new_null_array(field.data_type(), batch.num_rows())),
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect::<std::result::Result<_, _>>()?)
}

fn conform_column(column: &ArrayRef, data_type: &DataType) -> std::result::Result<ArrayRef, ArrowError> {
    if column.data_type() == data_type {
        return Ok(Arc::clone(column));
    }
    let (Some(rows), DataType::Struct(members)) = (column.as_any().downcast_ref::<StructArray>(), data_type)
    else {
        return Err(ArrowError::SchemaError(format!("{} is not {data_type}", column.data_type())));
    };
    let columns = members.iter().map(|member| match rows.column_by_name(member.name()) {
        Some(column) => conform_column(column, member.data_type()),
        None => Ok(new_null_array(member.data_type(), column.len())),
    });
    let columns = columns.collect::<std::result::Result<_, _>>()?;
    let nulls = rows.nulls().cloned();
    Ok(Arc::new(StructArray::try_new_with_length(members.clone(), columns, nulls, column.len())?))
}
