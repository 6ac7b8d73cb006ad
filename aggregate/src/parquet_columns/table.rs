//! A table whose rows are written some at a time, column by column, in the order of its columns.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::Schema;
use ingest::interner::Interner;
use ingest::keyed_hash::HashKey;
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::{ConvertedType, LogicalType, Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnDescPtr, SchemaDescPtr};

use super::chunk::RowGroupWriter;
use super::column::{LongColumn, TextColumn};
use super::decimal::{DecimalColumn, ListColumn};
use super::plain::{PlainColumn, UuidColumn};
use super::repeating::{RepeatingColumn, TruthColumn};
use crate::error::AggregateError;
use crate::output::{Output, OutputFile, write_error};

/// Rows of a row group, about: rows that are written together are not parted.
const ROW_GROUP_ROWS: u64 = 1 << 20;

/// Begins a Parquet file of a schema, sorted by these columns.
///
/// # Errors
/// [`AggregateError`] when it cannot be written.
pub(crate) fn begin_file(
    file: OutputFile,
    schema: &Schema,
    sorted_by: Vec<SortingColumn>,
) -> std::result::Result<(SerializedFileWriter<OutputFile>, SchemaDescPtr), AggregateError> {
    let path = file.path().to_owned();
    let begin = || {
        let columns = Arc::new(ArrowSchemaConverter::new().convert(schema)?);
        let mut properties = WriterProperties::builder()
            .set_created_by(crate::CREATED_BY.to_owned())
            .set_sorting_columns(Some(sorted_by).filter(|columns| !columns.is_empty()))
            .build();
        add_encoded_arrow_schema_to_metadata(schema, &mut properties);
        let file = SerializedFileWriter::new(file, columns.root_schema_ptr(), Arc::new(properties))?;
        Ok((file, columns))
    };
    begin().map_err(|error| parquet_error(&path, error))
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

/// How columns of a table are stored, by their names.
#[derive(Clone, Copy, Default)]
pub(crate) struct Layout<'a> {
    /// Texts without a dictionary: most differ.
    pub(crate) plain: &'a [&'a str],
    /// Texts that are ids: without a dictionary, with bounds.
    pub(crate) ids: &'a [&'a str],
    /// What rows are sorted by; numbers among them repeat, and have a dictionary.
    pub(crate) sorted_by: &'a [&'a str],
}

/// A table that is being written.
pub(crate) struct TableWriter {
    file: SerializedFileWriter<OutputFile>,
    path: PathBuf,
    columns: Vec<Column>,
    rows: u64,
}

/// A column of any kind.
enum Column {
    /// Texts, numbered as they come; the text given last is kept.
    Text {
        column: TextColumn,
        texts: Interner,
        last: Option<(Box<str>, u32)>,
    },
    Plain(PlainColumn),
    Integer(RepeatingColumn<i32>),
    Long(LongColumn),
    RepeatingLong(RepeatingColumn<i64>),
    Truth(TruthColumn),
    Decimal(DecimalColumn),
    Uuid(UuidColumn),
    List(ListColumn),
}

impl TableWriter {
    /// Begins a table.
    pub(crate) fn create(
        output: &Output,
        name: &str,
        schema: &Schema,
        layout: Layout<'_>,
    ) -> std::result::Result<Self, AggregateError> {
        let file = output.create_file(name)?;
        let path = file.path().to_owned();
        let ascending = |name: &&str| {
            let column_idx = i32::try_from(schema.index_of(name).unwrap_or(0)).unwrap_or(0);
            SortingColumn { column_idx, descending: false, nulls_first: false }
        };
        let (file, schema) = begin_file(file, schema, layout.sorted_by.iter().map(ascending).collect())?;
        let columns = Column::all(&schema, layout).map_err(|error| parquet_error(&path, error))?;
        Ok(Self { file, path, columns, rows: 0 })
    }

    /// Writes rows: `fill` gives values to each column, in order. Rows written together are in one row
    /// group.
    pub(crate) fn write(
        &mut self,
        rows: usize,
        fill: impl FnOnce(&mut Rows<'_>) -> Result<()>,
    ) -> std::result::Result<(), AggregateError> {
        let mut block = Rows { columns: self.columns.iter_mut(), rows };
        let filled = fill(&mut block).and_then(|()| match block.columns.next() {
            None => Ok(()),
            Some(_) => Err(mismatch("a row that ends early")),
        });
        let ended = filled.and_then(|()| {
            self.rows += rows as u64;
            if self.rows >= ROW_GROUP_ROWS { self.end_row_group() } else { Ok(()) }
        });
        ended.map_err(|error| parquet_error(&self.path, error))
    }

    fn end_row_group(&mut self) -> Result<()> {
        let mut row_group = self.file.next_row_group()?;
        for column in &mut self.columns {
            column.finish(&mut row_group)?;
        }
        row_group.close()?;
        self.rows = 0;
        Ok(())
    }

    /// Ends the table.
    pub(crate) fn finish(mut self) -> std::result::Result<(), AggregateError> {
        if self.rows > 0 {
            self.end_row_group().map_err(|error| parquet_error(&self.path, error))?;
        }
        let file = self.file.into_inner().map_err(|error| parquet_error(&self.path, error))?;
        file.finish().map(|_| ())
    }
}

impl Column {
    fn all(schema: &SchemaDescPtr, layout: Layout<'_>) -> Result<Vec<Self>> {
        (0..schema.num_columns()).map(|position| Self::new(schema.column(position), layout)).collect()
    }

    fn new(descriptor: ColumnDescPtr, layout: Layout<'_>) -> Result<Self> {
        let is_text = descriptor.converted_type() == ConvertedType::UTF8;
        let is_plain = layout.plain.contains(&descriptor.name());
        let is_id = layout.ids.contains(&descriptor.name());
        let repeats = layout.sorted_by.contains(&descriptor.name());
        Ok(match descriptor.physical_type() {
            _ if descriptor.max_rep_level() > 0 => Self::List(ListColumn::new(descriptor)?),
            Type::BYTE_ARRAY if is_id => Self::Plain(PlainColumn::ids(descriptor)?),
            Type::BYTE_ARRAY if is_text && !is_plain => Self::Text {
                column: TextColumn::new(descriptor)?,
                texts: Interner::new(HashKey::random().text_seed()),
                last: None,
            },
            Type::BYTE_ARRAY => Self::Plain(PlainColumn::new(descriptor)?),
            Type::INT32 => Self::Integer(RepeatingColumn::new(descriptor)?),
            Type::INT64 if repeats => Self::RepeatingLong(RepeatingColumn::new(descriptor)?),
            Type::INT64 => Self::Long(LongColumn::new(descriptor)?),
            Type::BOOLEAN => Self::Truth(TruthColumn::new(descriptor)?),
            Type::FIXED_LEN_BYTE_ARRAY if descriptor.logical_type_ref() == Some(&LogicalType::Uuid) => {
                Self::Uuid(UuidColumn::new(descriptor, true)?)
            }
            Type::FIXED_LEN_BYTE_ARRAY => Self::Decimal(DecimalColumn::new(descriptor)?),
            other => return Err(mismatch(&format!("a column of type {other}"))),
        })
    }

    fn finish(&mut self, row_group: &mut RowGroupWriter<'_>) -> Result<()> {
        match self {
            Self::Text { column, texts, .. } => column.finish(
                |number| {
                    texts.text(number).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
                },
                row_group,
            ),
            Self::Plain(column) => column.finish(row_group),
            Self::Integer(column) => column.finish(row_group),
            Self::Long(column) => column.finish(row_group),
            Self::RepeatingLong(column) => column.finish(row_group),
            Self::Truth(column) => column.finish(row_group),
            Self::Decimal(column) => column.finish(row_group),
            Self::Uuid(column) => column.finish(row_group),
            Self::List(column) => column.finish(row_group),
        }
    }
}

fn mismatch(what: &str) -> ParquetError {
    ParquetError::General(format!("{what} does not fit the table's schema"))
}

/// Rows that are being written: every call gives the next column its values, one for all rows or one
/// for each.
pub(crate) struct Rows<'a> {
    columns: std::slice::IterMut<'a, Column>,
    rows: usize,
}

impl Rows<'_> {
    pub(crate) fn text(&mut self, text: &str) -> Result<&mut Self> {
        self.optional_text(Some(text))
    }

    pub(crate) fn optional_text(&mut self, text: Option<&str>) -> Result<&mut Self> {
        match self.columns.next() {
            Some(Column::Text { column, texts, last }) => {
                let number = text.map_or(u32::MAX, |text| number(text, texts, last));
                column.repeat(number, self.rows)?;
            }
            Some(Column::Plain(column)) => {
                column.extend(std::iter::repeat_n(text.map(str::as_bytes), self.rows))?;
            }
            _ => return Err(mismatch("a text")),
        }
        Ok(self)
    }

    pub(crate) fn optional_texts<'a>(
        &mut self,
        values: impl Iterator<Item = Option<&'a str>>,
    ) -> Result<&mut Self> {
        match self.columns.next() {
            Some(Column::Text { column, texts, last }) => {
                column.extend(values.map(|text| text.map_or(u32::MAX, |text| number(text, texts, last))))?;
            }
            Some(Column::Plain(column)) => column.extend(values.map(|text| text.map(str::as_bytes)))?,
            _ => return Err(mismatch("texts")),
        }
        Ok(self)
    }

    pub(crate) fn texts<'a>(&mut self, values: impl Iterator<Item = &'a str>) -> Result<&mut Self> {
        match self.columns.next() {
            Some(Column::Text { column, texts, last }) => {
                column.extend(values.map(|text| number(text, texts, last)))?;
            }
            Some(Column::Plain(column)) => column.extend(values.map(|text| Some(text.as_bytes())))?,
            _ => return Err(mismatch("texts")),
        }
        Ok(self)
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<&mut Self> {
        match self.columns.next() {
            Some(Column::Plain(column)) => column.extend(std::iter::repeat_n(Some(bytes), self.rows))?,
            _ => return Err(mismatch("bytes")),
        }
        Ok(self)
    }

    pub(crate) fn integer(&mut self, value: i32) -> Result<&mut Self> {
        match self.columns.next() {
            Some(Column::Integer(column)) => column.extend(std::iter::repeat_n(value, self.rows))?,
            _ => return Err(mismatch("a 32-bit number")),
        }
        Ok(self)
    }

    pub(crate) fn integers(&mut self, values: impl Iterator<Item = i32>) -> Result<&mut Self> {
        match self.columns.next() {
            Some(Column::Integer(column)) => column.extend(values)?,
            _ => return Err(mismatch("32-bit numbers")),
        }
        Ok(self)
    }

    pub(crate) fn truths(&mut self, values: impl Iterator<Item = bool>) -> Result<&mut Self> {
        match self.columns.next() {
            Some(Column::Truth(column)) => column.extend(values)?,
            _ => return Err(mismatch("truth values")),
        }
        Ok(self)
    }

    pub(crate) fn long(&mut self, value: i64) -> Result<&mut Self> {
        self.longs(std::iter::repeat_n(value, self.rows))
    }

    pub(crate) fn longs(&mut self, values: impl Iterator<Item = i64>) -> Result<&mut Self> {
        match self.columns.next() {
            Some(Column::Long(column)) if column.is_nullable() => column.extend_optional(values.map(Some))?,
            Some(Column::Long(column)) => column.extend(values)?,
            Some(Column::RepeatingLong(column)) => column.extend(values)?,
            _ => return Err(mismatch("64-bit numbers")),
        }
        Ok(self)
    }

    pub(crate) fn optional_long(&mut self, value: Option<i64>) -> Result<&mut Self> {
        match self.columns.next() {
            Some(Column::Long(column)) if column.is_nullable() => {
                column.extend_optional(std::iter::repeat_n(value, self.rows))?;
            }
            _ => return Err(mismatch("a 64-bit number")),
        }
        Ok(self)
    }

    pub(crate) fn decimal(&mut self, value: i128) -> Result<&mut Self> {
        self.decimals(std::iter::repeat_n(value, self.rows))
    }

    pub(crate) fn decimals(&mut self, values: impl Iterator<Item = i128>) -> Result<&mut Self> {
        match self.columns.next() {
            Some(Column::Decimal(column)) => column.extend(values)?,
            _ => return Err(mismatch("decimals")),
        }
        Ok(self)
    }

    pub(crate) fn uuids<'a>(&mut self, values: impl Iterator<Item = &'a [u8; 16]>) -> Result<&mut Self> {
        match self.columns.next() {
            Some(Column::Uuid(column)) => column.extend(values.map(Some))?,
            _ => return Err(mismatch("UUIDs")),
        }
        Ok(self)
    }

    /// One member of the structs in the rows' lists.
    pub(crate) fn lists<L: Iterator<Item = Option<i128>>>(
        &mut self,
        lists: impl Iterator<Item = L>,
    ) -> Result<&mut Self> {
        match self.columns.next() {
            Some(Column::List(column)) => lists.into_iter().try_for_each(|list| column.push(list))?,
            _ => return Err(mismatch("lists")),
        }
        Ok(self)
    }
}

/// The number of a text of a column.
#[inline]
fn number(text: &str, texts: &mut Interner, last: &mut Option<(Box<str>, u32)>) -> u32 {
    match last {
        Some((known, number)) if **known == *text => *number,
        _ => {
            let number = texts.intern(text.as_bytes()).number();
            *last = Some((text.into(), number));
            number
        }
    }
}
