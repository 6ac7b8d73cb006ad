//! Texts by number, as bytes and back.

use std::io;

use ingest::interner::{Interned, Interner};
use schemas::id::DimensionName;

use super::bytes::{ByteReader, ByteWriter, Damage};
use crate::dimension_values::DimensionValues;
use crate::error::AggregateError;

/// All texts, in order of their numbers.
pub(super) fn all(texts: &Interner) -> Vec<Box<str>> {
    iterate(texts).map(Into::into).collect()
}

fn iterate(texts: &Interner) -> impl Iterator<Item = &str> {
    let texts = (0u32..).map_while(|number| texts.text(number));
    texts.map(|text| std::str::from_utf8(text).unwrap_or_default())
}

pub(super) fn encode_interner(texts: &Interner, writer: &mut ByteWriter<'_>) -> io::Result<()> {
    writer.count(texts.len());
    for text in iterate(texts) {
        writer.text(text);
        writer.pour()?;
    }
    Ok(())
}

pub(super) fn decode_interner(texts: &mut Interner, reader: &mut ByteReader<'_>) -> Result<(), Damage> {
    for _ in 0..reader.count(1)? {
        if let Interned::Known(_) = texts.intern(reader.text()?.as_bytes()) {
            return Err(Damage("a text is there twice"));
        }
    }
    Ok(())
}

impl DimensionValues {
    /// All texts of a dimension, in order of their numbers.
    pub(super) fn all(&self, dimension: usize) -> Vec<Box<str>> {
        self.dimensions.get(dimension).map(all).unwrap_or_default()
    }

    /// Writes the dimensions that have values.
    pub(super) fn encode(&self, names: &[DimensionName], writer: &mut ByteWriter<'_>) -> io::Result<()> {
        let in_use = || names.iter().zip(&self.dimensions).filter(|(_, texts)| !texts.is_empty());
        writer.count(in_use().count());
        for (name, texts) in in_use() {
            writer.text(name.as_str());
            encode_interner(texts, writer)?;
        }
        Ok(())
    }

    /// Reads values of dimensions by their names. Those of a dimension that the catalog has no more are
    /// read past: no charge that it knows is told apart by them.
    pub(super) fn decode(
        &mut self,
        names: &[DimensionName],
        reader: &mut ByteReader<'_>,
    ) -> Result<(), AggregateError> {
        for _ in 0..reader.count(2)? {
            let written = reader.text()?;
            let dimension = names.iter().position(|name| name.as_str() == written);
            match dimension.and_then(|dimension| self.dimensions.get_mut(dimension)) {
                Some(texts) => decode_interner(texts, reader)?,
                None => {
                    for _ in 0..reader.count(1)? {
                        reader.text()?;
                    }
                }
            }
        }
        Ok(())
    }
}
