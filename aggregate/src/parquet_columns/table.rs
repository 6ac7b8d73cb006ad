//! A table whose rows are written some at a time, column by column, in the order of its columns.

use std::path::Path;

use arrow::datatypes::Schema;
use ingest::interner::Interner;
use ingest::keyed_hash::HashKey;
use parquet::basic::{ConvertedType, LogicalType, Type};
use parquet::errors::{ParquetError, Result};
use parquet::schema::types::ColumnDescPtr;
use schemas::epoch::ContentKind;

use super::column::{LongColumn, TextColumn};
use super::decimal::DecimalColumn;
use super::file::{FileSchema, ParquetFile, RowGroup, external, parquet_error};
use super::lists::ListsColumn;
use super::plain::{PlainColumn, UuidColumn};
use super::repeating::{RepeatingColumn, TruthColumn};
use crate::epoch_files::{EpochFiles, MadeContent};
use crate::error::AggregateError;

/// Rows of a row group, about: rows that are written together are not parted.
const ROW_GROUP_ROWS: u64 = 1 << 20;

/// Bytes of the plain columns of a row group, about, so that neither writing nor reading one takes more
/// memory, whatever is in it.
const ROW_GROUP_BYTES: usize = 64 << 20;

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

/// The columns of a table: their buffers serve one file after another.
pub(crate) struct TableBuffers {
    schema: FileSchema,
    columns: Vec<Column>,
}

impl TableBuffers {
    /// Empty columns of a schema.
    pub(crate) fn new(schema: &Schema, layout: Layout<'_>) -> Result<Self> {
        let schema = FileSchema::new(schema, layout.sorted_by)?;
        let mut leaves = schema.columns().peekable();
        let mut columns = Vec::new();
        while let Some(leaf) = leaves.next() {
            if leaf.max_rep_level() == 0 {
                columns.push(Column::new(leaf, layout)?);
                continue;
            }
            let list = leaf.path().parts().first().cloned();
            let mut members = vec![leaf];
            while let Some(leaf) = leaves.next_if(|leaf| leaf.path().parts().first() == list.as_ref()) {
                members.push(leaf);
            }
            columns.push(Column::Lists(ListsColumn::new(members.into_iter())));
        }
        drop(leaves);
        Ok(Self { schema, columns })
    }
}

/// A table that is being written, or a part of one.
pub(crate) struct TableWriter {
    file: ParquetFile,
    buffers: TableBuffers,
    rows: u64,
    /// Bytes of the plain columns.
    bytes: usize,
}

/// A column of any kind.
enum Column {
    /// Texts, numbered as they come; the text given last is kept.
    Text {
        column: TextColumn,
        texts: Interner,
        last: Option<(Box<str>, u32)>,
        /// The numbers of texts that have a number elsewhere, by that.
        numbers: Vec<Option<u32>>,
    },
    Plain(PlainColumn),
    Integer(RepeatingColumn<i32>),
    Long(LongColumn),
    RepeatingLong(RepeatingColumn<i64>),
    Truth(TruthColumn),
    Decimal(DecimalColumn),
    Uuid(UuidColumn),
    /// All columns of a list of structs.
    Lists(ListsColumn),
}

impl TableWriter {
    /// Begins a table that is one file.
    pub(crate) fn create(
        files: &EpochFiles,
        kind: ContentKind,
        schema: &Schema,
        layout: Layout<'_>,
    ) -> std::result::Result<Self, AggregateError> {
        let buffers = TableBuffers::new(schema, layout);
        let buffers = buffers.map_err(|error| parquet_error(Path::new(kind.name()), error))?;
        Self::begin(files, kind, 0, buffers)
    }

    /// Begins a file of a table.
    pub(crate) fn begin(
        files: &EpochFiles,
        kind: ContentKind,
        part: usize,
        buffers: TableBuffers,
    ) -> std::result::Result<Self, AggregateError> {
        let file = ParquetFile::create(files, kind, part, buffers.schema.clone())?;
        Ok(Self { file, buffers, rows: 0, bytes: 0 })
    }

    /// Writes rows: `fill` gives values to each column, in order. Rows written together are in one row
    /// group.
    pub(crate) fn write(
        &mut self,
        rows: usize,
        fill: impl FnOnce(&mut Rows<'_>) -> Result<()>,
    ) -> std::result::Result<(), AggregateError> {
        let mut block =
            Rows { columns: self.buffers.columns.iter_mut(), count: rows, bytes: &mut self.bytes };
        let filled = fill(&mut block).and_then(|()| match block.columns.next() {
            None => Ok(()),
            Some(_) => Err(mismatch("a row that ends early")),
        });
        let ended = filled.and_then(|()| {
            self.rows += rows as u64;
            let is_full = self.rows >= ROW_GROUP_ROWS || self.bytes >= ROW_GROUP_BYTES;
            if is_full { self.end_row_group() } else { Ok(()) }
        });
        ended.map_err(|error| parquet_error(self.file.path(), error))
    }

    fn end_row_group(&mut self) -> Result<()> {
        self.bytes = 0;
        let mut row_group = self.file.begin_row_group(std::mem::take(&mut self.rows));
        for column in &mut self.buffers.columns {
            column.finish(&mut row_group)?;
        }
        row_group.finish()
    }

    /// Ends the file; it, and the buffers for another.
    pub(crate) fn finish(mut self) -> std::result::Result<(MadeContent, TableBuffers), AggregateError> {
        if self.rows > 0 {
            self.end_row_group().map_err(|error| parquet_error(self.file.path(), error))?;
        }
        Ok((self.file.finish()?, self.buffers))
    }
}

impl Column {
    fn new(descriptor: ColumnDescPtr, layout: Layout<'_>) -> Result<Self> {
        let is_text = descriptor.converted_type() == ConvertedType::UTF8;
        let is_plain = layout.plain.contains(&descriptor.name());
        let is_id = layout.ids.contains(&descriptor.name());
        let repeats = layout.sorted_by.contains(&descriptor.name());
        Ok(match descriptor.physical_type() {
            Type::BYTE_ARRAY if is_id => Self::Plain(PlainColumn::ids(descriptor)),
            Type::BYTE_ARRAY if is_text && !is_plain => Self::Text {
                column: TextColumn::new(descriptor),
                texts: Interner::new(HashKey::random().map_err(external)?.text_seed()),
                last: None,
                numbers: Vec::new(),
            },
            Type::BYTE_ARRAY => Self::Plain(PlainColumn::new(descriptor)),
            Type::INT32 => Self::Integer(RepeatingColumn::new(descriptor)),
            Type::INT64 if repeats => Self::RepeatingLong(RepeatingColumn::new(descriptor)),
            Type::INT64 => Self::Long(LongColumn::new(descriptor)),
            Type::BOOLEAN => Self::Truth(TruthColumn::new(descriptor)),
            Type::FIXED_LEN_BYTE_ARRAY if descriptor.logical_type_ref() == Some(&LogicalType::Uuid) => {
                Self::Uuid(UuidColumn::new(descriptor, true))
            }
            Type::FIXED_LEN_BYTE_ARRAY => Self::Decimal(DecimalColumn::new(descriptor)),
            other => return Err(mismatch(&format!("a column of type {other}"))),
        })
    }

    fn finish(&mut self, row_group: &mut RowGroup<'_>) -> Result<()> {
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
            Self::Lists(column) => column.finish(row_group),
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
    count: usize,
    /// Grows by what plain columns take.
    bytes: &'a mut usize,
}

impl Rows<'_> {
    pub(crate) fn text(&mut self, text: &str) -> Result<&mut Self> {
        self.optional_text(Some(text))
    }

    pub(crate) fn optional_text(&mut self, text: Option<&str>) -> Result<&mut Self> {
        match self.columns.next() {
            Some(Column::Text { column, texts, last, .. }) => {
                let number = text.map_or(u32::MAX, |text| number(text, texts, last));
                column.repeat(number, self.count)?;
            }
            Some(Column::Plain(column)) => {
                *self.bytes += column.extend(std::iter::repeat_n(text.map(str::as_bytes), self.count))?;
            }
            _ => return Err(mismatch("a text")),
        }
        Ok(self)
    }

    /// Texts that have numbers elsewhere: a text is only asked for where its number is new to the column.
    pub(crate) fn numbered<'a, R: Copy>(
        &mut self,
        rows: impl Iterator<Item = R>,
        number: impl Fn(R) -> u32,
        text: impl Fn(R) -> Option<&'a str>,
    ) -> Result<&mut Self> {
        match self.columns.next() {
            Some(Column::Text { column, texts, numbers, .. }) => {
                column.extend(rows.map(|row| {
                    let number = number(row) as usize;
                    match numbers.get(number).copied().flatten() {
                        Some(known) => known,
                        None => learn(number, text(row), texts, numbers),
                    }
                }))?;
            }
            _ => return Err(mismatch("numbered texts")),
        }
        Ok(self)
    }

    pub(crate) fn texts<'a>(&mut self, values: impl Iterator<Item = &'a str>) -> Result<&mut Self> {
        match self.columns.next() {
            Some(Column::Text { column, texts, last, .. }) => {
                column.extend(values.map(|text| number(text, texts, last)))?;
            }
            Some(Column::Plain(column)) => {
                *self.bytes += column.extend(values.map(|text| Some(text.as_bytes())))?;
            }
            _ => return Err(mismatch("texts")),
        }
        Ok(self)
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<&mut Self> {
        match self.columns.next() {
            Some(Column::Plain(column)) => {
                *self.bytes += column.extend(std::iter::repeat_n(Some(bytes), self.count))?;
            }
            _ => return Err(mismatch("bytes")),
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
        let values = std::iter::repeat_n(value, self.count);
        match self.columns.next() {
            Some(Column::Long(column)) => column.append(values)?,
            Some(Column::RepeatingLong(column)) => column.repeat(value, self.count)?,
            _ => return Err(mismatch("a 64-bit number")),
        }
        Ok(self)
    }

    pub(crate) fn longs(&mut self, values: impl Iterator<Item = i64>) -> Result<&mut Self> {
        match self.columns.next() {
            Some(Column::Long(column)) => column.append(values)?,
            Some(Column::RepeatingLong(column)) => column.extend(values)?,
            _ => return Err(mismatch("64-bit numbers")),
        }
        Ok(self)
    }

    pub(crate) fn optional_long(&mut self, value: Option<i64>) -> Result<&mut Self> {
        match self.columns.next() {
            Some(Column::Long(column)) if column.is_nullable() => {
                column.extend_optional(std::iter::repeat_n(value, self.count))?;
            }
            _ => return Err(mismatch("a 64-bit number")),
        }
        Ok(self)
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

    /// The structs of a list for each row, by their members.
    pub(crate) fn lists<const N: usize, L: Iterator<Item = [Option<i128>; N]>>(
        &mut self,
        mut lists: impl Iterator<Item = L>,
    ) -> Result<&mut Self> {
        match self.columns.next() {
            Some(Column::Lists(column)) => lists.try_for_each(|list| column.push(list))?,
            _ => return Err(mismatch("lists")),
        }
        Ok(self)
    }
}

/// The number of a text that has another elsewhere.
#[cold]
fn learn(elsewhere: usize, text: Option<&str>, texts: &mut Interner, numbers: &mut Vec<Option<u32>>) -> u32 {
    let number = text.map_or(u32::MAX, |text| texts.intern(text.as_bytes()).number());
    if numbers.len() <= elsewhere {
        numbers.resize((elsewhere + 1).next_power_of_two(), None);
    }
    if let Some(known) = numbers.get_mut(elsewhere) {
        *known = Some(number);
    }
    number
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
