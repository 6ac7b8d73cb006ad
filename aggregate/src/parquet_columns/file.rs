//! A Parquet file: column chunks one after another, and a footer that says where they are.
//!
//! Chunks go from their buffers to the file as they are.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::Schema;
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::bloom_filter::Sbbf;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnChunkMetaDataBuilder, FileMetaData, KeyValue, ParquetMetaData,
    ParquetMetaDataWriter, RowGroupMetaData, SortingColumn,
};
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::schema::types::{ColumnDescPtr, SchemaDescPtr};
use schemas::epoch::ContentKind;

use crate::epoch_files::{ContentFile, EpochFiles, MadeContent};
use crate::error::{AggregateError, write_error};

/// What a Parquet file begins and ends with.
const MAGIC: &[u8; 4] = b"PAR1";

/// What the files of a table have in common.
#[derive(Clone)]
pub(crate) struct FileSchema {
    columns: SchemaDescPtr,
    key_values: Option<Vec<KeyValue>>,
    sorted_by: Option<Vec<SortingColumn>>,
}

impl FileSchema {
    /// The schema of files whose rows are sorted by these columns.
    pub(crate) fn new(schema: &Schema, sorted_by: &[&str]) -> Result<Self> {
        let mut properties = WriterProperties::builder().build();
        add_encoded_arrow_schema_to_metadata(schema, &mut properties);
        let ascending = |name: &&str| {
            let column_idx = i32::try_from(schema.index_of(name)?).map_err(external)?;
            Ok(SortingColumn { column_idx, descending: false, nulls_first: false })
        };
        let sorted_by = sorted_by.iter().map(ascending).collect::<Result<Vec<_>>>()?;
        Ok(Self {
            columns: Arc::new(ArrowSchemaConverter::new().convert(schema)?),
            key_values: properties.key_value_metadata().cloned(),
            sorted_by: Some(sorted_by).filter(|columns| !columns.is_empty()),
        })
    }

    /// The columns, each leaf of a list of structs for itself.
    pub(crate) fn columns(&self) -> impl Iterator<Item = ColumnDescPtr> {
        self.columns.columns().iter().map(Arc::clone)
    }
}

/// A file that is being written.
pub(crate) struct ParquetFile {
    file: ContentFile,
    /// Bytes written.
    length: u64,
    schema: FileSchema,
    row_groups: Vec<RowGroupMetaData>,
}

impl ParquetFile {
    /// Begins a file.
    ///
    /// # Errors
    /// [`AggregateError`] when it cannot be written.
    pub(crate) fn create(
        files: &EpochFiles,
        kind: ContentKind,
        part: usize,
        schema: FileSchema,
    ) -> std::result::Result<Self, AggregateError> {
        let file = files.begin(kind, part);
        let mut file = Self { file, length: 0, schema, row_groups: Vec::new() };
        file.put(MAGIC).map_err(|error| parquet_error(file.path(), error))?;
        Ok(file)
    }

    /// Where the file will be.
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(external)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Begins a row group of so many rows.
    pub(crate) fn begin_row_group(&mut self, rows: u64) -> RowGroup<'_> {
        RowGroup { begin: self.length, file: self, rows, columns: Vec::new(), filters: Vec::new() }
    }

    /// Ends the file.
    ///
    /// # Errors
    /// [`AggregateError`] when it cannot be written.
    pub(crate) fn finish(self) -> std::result::Result<MadeContent, AggregateError> {
        let Self { mut file, schema, row_groups, .. } = self;
        let path = file.path().to_owned();
        let rows: i64 = row_groups.iter().map(RowGroupMetaData::num_rows).sum();
        let metadata = FileMetaData::new(
            WriterVersion::PARQUET_1_0.as_num(),
            rows,
            Some(crate::CREATED_BY.to_owned()),
            schema.key_values,
            schema.columns,
            None,
        );
        let metadata = ParquetMetaData::new(metadata, row_groups);
        // By way of memory: the writer has a buffer of its own, and ignores it when emptying that fails.
        let mut footer = Vec::new();
        let written = ParquetMetaDataWriter::new(&mut footer, &metadata).finish();
        written.map_err(|error| parquet_error(&path, error))?;
        file.write_all(&footer).map_err(|error| write_error(&path, error))?;
        file.finish(rows.unsigned_abs())
    }
}

/// A row group that is being written; its columns come in the order of the schema.
pub(crate) struct RowGroup<'a> {
    file: &'a mut ParquetFile,
    /// Where it begins in the file.
    begin: u64,
    rows: u64,
    columns: Vec<ColumnChunkMetaData>,
    /// Bloom filters, by position of their column.
    filters: Vec<(usize, Sbbf)>,
}

impl RowGroup<'_> {
    /// Writes a chunk: its dictionary, if there is one, and its pages.
    pub(super) fn add_chunk(
        &mut self,
        dictionary: Option<&[u8]>,
        pages: &[u8],
        metadata: ColumnChunkMetaDataBuilder,
        filter: Option<Sbbf>,
    ) -> Result<()> {
        let begin = signed(self.file.length)?;
        if let Some(dictionary) = dictionary {
            self.file.put(dictionary)?;
        }
        let data_begin = signed(self.file.length)?;
        self.file.put(pages)?;
        let metadata = metadata
            .set_dictionary_page_offset(dictionary.map(|_| begin))
            .set_data_page_offset(data_begin)
            .set_total_compressed_size(signed(self.file.length)? - begin);
        self.filters.extend(filter.map(|filter| (self.columns.len(), filter)));
        self.columns.push(metadata.build()?);
        Ok(())
    }

    /// Writes the filters and ends the row group.
    pub(crate) fn finish(self) -> Result<()> {
        let Self { file, begin, rows, mut columns, filters } = self;
        for (position, filter) in filters {
            let Some(column) = columns.get_mut(position) else { continue };
            let mut bytes = Vec::new();
            filter.write(&mut bytes)?;
            let metadata = column
                .clone()
                .into_builder()
                .set_bloom_filter_offset(Some(signed(file.length)?))
                .set_bloom_filter_length(Some(i32::try_from(bytes.len()).map_err(external)?));
            *column = metadata.build()?;
            file.put(&bytes)?;
        }
        let uncompressed = columns.iter().map(ColumnChunkMetaData::uncompressed_size).sum();
        let metadata = RowGroupMetaData::builder(Arc::clone(&file.schema.columns))
            .set_column_metadata(columns)
            .set_total_byte_size(uncompressed)
            .set_num_rows(signed(rows)?)
            .set_sorting_columns(file.schema.sorted_by.clone())
            .set_file_offset(signed(begin)?);
        file.row_groups.push(metadata.build()?);
        Ok(())
    }
}

fn signed(number: u64) -> Result<i64> {
    i64::try_from(number).map_err(external)
}

pub(super) fn external(error: impl std::error::Error + Send + Sync + 'static) -> ParquetError {
    ParquetError::External(Box::new(error))
}

/// An error of the Parquet writer, or the disk's error under it.
pub(crate) fn parquet_error(path: &Path, error: ParquetError) -> AggregateError {
    match error {
        ParquetError::External(error) => match error.downcast::<std::io::Error>() {
            Ok(error) => write_error(path, *error),
            Err(error) => {
                AggregateError::Parquet { path: path.to_owned(), error: ParquetError::External(error) }
            }
        },
        error => AggregateError::Parquet { path: path.to_owned(), error },
    }
}
