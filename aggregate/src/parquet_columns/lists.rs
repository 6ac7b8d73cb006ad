//! The columns of lists of structs: a column for each member, whose places in the rows are the same.

use parquet::basic::{Encoding, Type};
use parquet::errors::Result;
use parquet::schema::types::ColumnDescPtr;

use super::chunk::Chunk;
use super::column::{PAGE_ROWS, put_levels};
use super::decimal::DecimalPage;
use super::file::RowGroup;
use super::hybrid;

/// Lists of structs of decimals and small whole numbers, some of which may be absent.
pub(crate) struct ListsColumn {
    members: Vec<Member>,
    /// 0 where a row begins, 1 where its list goes on.
    repetition: Vec<u32>,
    /// 0 for an empty list, 1 for a struct.
    definition: Vec<u32>,
    encoded: Encoded,
    page_rows: usize,
}

/// A member of the structs.
struct Member {
    chunk: Chunk,
    /// Is it a 32-bit number? It is held as a decimal until it is written.
    is_integer: bool,
    values: DecimalPage,
    /// If it may be absent: 0 for an empty list, 1 for an absent value, 2 for a value.
    definition: Option<Vec<u32>>,
}

/// Parts of a page, as it has them.
#[derive(Default)]
struct Encoded {
    /// Levels of all members.
    repetition: Vec<u8>,
    /// Of members that are in every struct.
    definition: Vec<u8>,
    /// Of a member that may be absent.
    optional: Vec<u8>,
    /// A page of small whole numbers.
    integers: Vec<u8>,
}

impl ListsColumn {
    /// Columns of the members, in their order.
    pub(super) fn new(members: impl Iterator<Item = ColumnDescPtr>) -> Self {
        Self {
            members: members.map(Member::new).collect(),
            repetition: Vec::new(),
            definition: Vec::new(),
            encoded: Encoded::default(),
            page_rows: 0,
        }
    }

    /// Appends the list of a row.
    pub(super) fn push<const N: usize>(
        &mut self,
        list: impl Iterator<Item = [Option<i128>; N]>,
    ) -> Result<()> {
        let before = self.repetition.len();
        for values in list {
            self.repetition.push(u32::from(self.repetition.len() > before));
            self.definition.push(1);
            for (member, value) in self.members.iter_mut().zip(values) {
                member.values.page.extend(value);
                if let Some(definition) = &mut member.definition {
                    definition.push(1 + u32::from(value.is_some()));
                }
            }
        }
        if self.repetition.len() == before {
            self.repetition.push(0);
            self.definition.push(0);
            self.members
                .iter_mut()
                .filter_map(|member| member.definition.as_mut())
                .for_each(|levels| levels.push(0));
        }
        self.page_rows += 1;
        if self.page_rows == PAGE_ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        if self.page_rows == 0 {
            return Ok(());
        }
        let Self { members, repetition, definition, encoded, page_rows } = self;
        encoded.repetition.clear();
        put_levels(repetition, 1, &mut encoded.repetition);
        encoded.definition.clear();
        put_levels(definition, 1, &mut encoded.definition);
        for member in members {
            member.flush(repetition.len(), encoded)?;
        }
        repetition.clear();
        definition.clear();
        *page_rows = 0;
        Ok(())
    }

    pub(super) fn finish(&mut self, row_group: &mut RowGroup<'_>) -> Result<()> {
        self.flush()?;
        self.members
            .iter_mut()
            .try_for_each(|member| member.values.finish(&mut member.chunk, None, row_group))
    }
}

impl Member {
    fn new(descriptor: ColumnDescPtr) -> Self {
        Self {
            is_integer: descriptor.physical_type() == Type::INT32,
            definition: (descriptor.max_def_level() > 1).then(Vec::new),
            chunk: Chunk::new(descriptor, true),
            values: DecimalPage::new(),
        }
    }

    fn flush(&mut self, values: usize, encoded: &mut Encoded) -> Result<()> {
        let Encoded { repetition, definition: required, optional, integers } = encoded;
        let definition = match &mut self.definition {
            Some(levels) => {
                optional.clear();
                put_levels(levels, hybrid::width_of(3), optional);
                levels.clear();
                optional
            }
            None => required,
        };
        let levels = [repetition.as_slice(), definition.as_slice()];
        if !self.is_integer {
            return self.values.flush(&mut self.chunk, values, levels);
        }
        for levels in levels {
            integers.extend_from_slice(levels);
        }
        for value in self.values.page.drain(..) {
            integers.extend_from_slice(&i32::try_from(value).unwrap_or(i32::MAX).to_le_bytes());
        }
        self.chunk.add_page(integers, values, Encoding::PLAIN)
    }
}
