//! Columns of few different values, mostly in long runs, so that they take next to nothing: truth values, and
//! whole numbers through a dictionary.

use parquet::basic::Encoding;
use parquet::errors::Result;
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescPtr;

use super::chunk::Chunk;
use super::column::PAGE_ROWS;
use super::file::RowGroup;
use super::hybrid;

/// Truth values, a bit each.
pub(crate) struct TruthColumn {
    chunk: Chunk,
    /// Eight values a byte, the first in the lowest bit.
    page: Vec<u8>,
    page_rows: usize,
    /// Is there a false one, and a true one?
    has: [bool; 2],
}

impl TruthColumn {
    pub(crate) fn new(descriptor: ColumnDescPtr) -> Self {
        Self { chunk: Chunk::new(descriptor, true), page: Vec::new(), page_rows: 0, has: [false; 2] }
    }

    pub(crate) fn extend(&mut self, values: impl Iterator<Item = bool>) -> Result<()> {
        for value in values {
            let bit = self.page_rows % 8;
            if bit == 0 {
                self.page.push(0);
            }
            if let Some(byte) = self.page.last_mut() {
                *byte |= u8::from(value) << bit;
            }
            self.has = [self.has[0] || !value, self.has[1] || value];
            self.page_rows += 1;
            if self.page_rows == PAGE_ROWS {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if self.page_rows == 0 {
            return Ok(());
        }
        self.chunk.add_page(&mut self.page, self.page_rows, Encoding::PLAIN)?;
        self.page_rows = 0;
        Ok(())
    }

    pub(crate) fn finish(&mut self, row_group: &mut RowGroup<'_>) -> Result<()> {
        self.flush()?;
        let [has_false, has_true] = std::mem::take(&mut self.has);
        let statistics = Statistics::boolean(Some(!has_false), Some(has_true), None, Some(0), false);
        self.chunk.finish(None, Some(statistics), None, row_group)
    }
}

/// A whole number a column can have.
pub(crate) trait Number: Copy + Ord {
    /// Its bytes, as pages have them.
    fn put(self, content: &mut Vec<u8>);

    /// The statistics of a chunk with this least and this greatest number.
    fn statistics(least: Option<Self>, greatest: Option<Self>) -> Statistics;
}

impl Number for i32 {
    fn put(self, content: &mut Vec<u8>) {
        content.extend_from_slice(&self.to_le_bytes());
    }

    fn statistics(least: Option<Self>, greatest: Option<Self>) -> Statistics {
        Statistics::int32(least, greatest, None, Some(0), false)
    }
}

impl Number for i64 {
    fn put(self, content: &mut Vec<u8>) {
        content.extend_from_slice(&self.to_le_bytes());
    }

    fn statistics(least: Option<Self>, greatest: Option<Self>) -> Statistics {
        Statistics::int64(least, greatest, None, Some(0), false)
    }
}

/// Whole numbers of which few differ: a dictionary and numbers into it.
pub(crate) struct RepeatingColumn<T> {
    chunk: Chunk,
    dictionary: Vec<T>,
    /// The value of the row before, and its place.
    last: Option<(T, u32)>,
    page: Vec<u32>,
    buffer: Vec<u8>,
}

impl<T: Number> RepeatingColumn<T> {
    pub(crate) fn new(descriptor: ColumnDescPtr) -> Self {
        Self {
            chunk: Chunk::new(descriptor, true),
            dictionary: Vec::new(),
            last: None,
            page: Vec::with_capacity(PAGE_ROWS),
            buffer: Vec::new(),
        }
    }

    #[inline]
    pub(crate) fn extend(&mut self, values: impl Iterator<Item = T>) -> Result<()> {
        let Self { dictionary, last, page, .. } = self;
        page.extend(values.map(|value| match last {
            Some((last, place)) if *last == value => *place,
            _ => {
                let place = place_of(value, dictionary);
                *last = Some((value, place));
                place
            }
        }));
        if self.page.len() >= PAGE_ROWS { self.flush() } else { Ok(()) }
    }

    /// Appends a value some times.
    pub(crate) fn repeat(&mut self, value: T, times: usize) -> Result<()> {
        if times == 0 {
            return Ok(());
        }
        self.extend(std::iter::once(value))?;
        let place = self.last.map_or(0, |(_, place)| place);
        self.page.resize(self.page.len() + times - 1, place);
        if self.page.len() >= PAGE_ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        if self.page.is_empty() {
            return Ok(());
        }
        let width = hybrid::width_of(self.dictionary.len());
        self.buffer.clear();
        self.buffer.push(width);
        hybrid::encode(&self.page, width, &mut self.buffer);
        self.chunk.add_page(&mut self.buffer, self.page.len(), Encoding::RLE_DICTIONARY)?;
        self.page.clear();
        Ok(())
    }

    pub(crate) fn finish(&mut self, row_group: &mut RowGroup<'_>) -> Result<()> {
        self.flush()?;
        self.buffer.clear();
        for value in &self.dictionary {
            value.put(&mut self.buffer);
        }
        let least = self.dictionary.iter().min().copied();
        let greatest = self.dictionary.iter().max().copied();
        let statistics = T::statistics(least, greatest);
        let dictionary = Some((&mut self.buffer, self.dictionary.len()));
        self.chunk.finish(dictionary, Some(statistics), None, row_group)?;
        self.dictionary.clear();
        self.last = None;
        Ok(())
    }
}

/// The place of a value in a dictionary; a new one gets the next.
fn place_of<T: Number>(value: T, dictionary: &mut Vec<T>) -> u32 {
    // Newest first: days, versions and periods follow each other.
    let known = dictionary.iter().rposition(|known| *known == value);
    let place = known.unwrap_or_else(|| {
        dictionary.push(value);
        dictionary.len() - 1
    });
    u32::try_from(place).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, AsArray, RecordBatch};
    use arrow::datatypes::{DataType, Field, Schema, TimeUnit, TimestampMicrosecondType};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::super::table::{Layout, TableWriter};
    use crate::epoch_files::EpochFiles;
    use schemas::epoch::ContentKind;

    #[test]
    fn what_is_written_is_read_and_runs_cost_nothing() {
        let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let schema = Schema::new(vec![
            Field::new("start", instant, false),
            Field::new("is_retroactive", DataType::Boolean, false),
            Field::new("unit", DataType::Utf8, true),
        ]);
        // Groups of 7 rows, over more than one page; most have the values of the group before.
        let groups = 30_000i64;
        let row = |group: i64| {
            let day = group / 10_000;
            (day * 86_400_000_000, group % 15_000 == 3, (group / 7_500 != 1).then_some("kB"))
        };
        let files = EpochFiles::in_memory();
        let layout = Layout { sorted_by: &["start"], ..Layout::default() };
        let mut table = TableWriter::create(&files, ContentKind::Quarantine, &schema, layout).unwrap();
        for group in 0..groups {
            let (start, truth, unit) = row(group);
            let written = table.write(7, |rows| {
                rows.long(start)?.truths(std::iter::repeat_n(truth, 7))?.numbered(
                    std::iter::repeat_n(unit, 7),
                    |unit| u32::from(unit.is_some()),
                    |unit| unit,
                )?;
                Ok(())
            });
            written.unwrap();
        }
        let file = bytes::Bytes::from(table.finish().unwrap().0.inline);
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let metadata = Arc::clone(reader.metadata());
        let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
        let mut rows = 0i64;
        for batch in &batches {
            let starts = batch.column(0).as_primitive::<TimestampMicrosecondType>();
            let (truths, units) = (batch.column(1).as_boolean(), batch.column(2).as_string::<i32>());
            for position in 0..batch.num_rows() {
                let unit = units.is_valid(position).then(|| units.value(position));
                let got = (starts.value(position), truths.value(position), unit);
                assert_eq!(got, row(rows / 7), "row {rows}");
                rows += 1;
            }
        }
        assert_eq!(rows, groups * 7);
        let columns = metadata.row_group(0).columns();
        for column in columns {
            assert!(column.compressed_size() < 1_000, "{column:?}");
        }
        let statistics = |position: usize| columns[position].statistics().unwrap();
        assert_eq!(statistics(0).min_bytes_opt().unwrap(), 0i64.to_le_bytes());
        assert_eq!(statistics(0).max_bytes_opt().unwrap(), (2 * 86_400_000_000i64).to_le_bytes());
        let bounds = (statistics(1).min_bytes_opt().unwrap(), statistics(1).max_bytes_opt().unwrap());
        assert_eq!(bounds, (&[0][..], &[1][..]));
    }
}
