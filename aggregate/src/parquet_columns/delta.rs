//! Parquet's delta encoding of integers: differences, less the smallest of their block, bit-packed.
//!
//! Times that follow each other closely take a few bits each.

use super::hybrid::varint;

const BLOCK: usize = 128;
const MINIBLOCKS: usize = 4;
const MINIBLOCK: usize = BLOCK / MINIBLOCKS;

/// Appends the encoding of values.
pub(crate) fn encode(values: &[i64], out: &mut Vec<u8>) {
    varint(BLOCK as u64, out);
    varint(MINIBLOCKS as u64, out);
    varint(values.len() as u64, out);
    let Some((first, rest)) = values.split_first() else {
        varint(0, out);
        return;
    };
    varint(zigzag(*first), out);
    let mut previous = *first;
    let mut deltas = [0i64; BLOCK];
    for block in rest.chunks(BLOCK) {
        for (delta, value) in deltas.iter_mut().zip(block) {
            *delta = value.wrapping_sub(previous);
            previous = *value;
        }
        encode_block(deltas.get(..block.len()).unwrap_or_default(), out);
    }
}

fn encode_block(deltas: &[i64], out: &mut Vec<u8>) {
    let smallest = deltas.iter().copied().min().unwrap_or(0);
    varint(zigzag(smallest), out);
    let widths_at = out.len();
    out.extend_from_slice(&[0; MINIBLOCKS]);
    for (position, miniblock) in deltas.chunks(MINIBLOCK).enumerate() {
        let mut parts = [0u64; MINIBLOCK];
        let mut all = 0;
        for (part, delta) in parts.iter_mut().zip(miniblock) {
            *part = delta.wrapping_sub(smallest).cast_unsigned();
            all |= *part;
        }
        let width = u64::BITS - all.leading_zeros();
        #[expect(clippy::cast_possible_truncation, reason = "at most 64")]
        if let Some(place) = out.get_mut(widths_at + position) {
            *place = width as u8;
        }
        pack(&parts, width, out);
    }
}

/// Appends 32 values of `width` bits, low bits first: a whole number of bytes.
fn pack(values: &[u64; MINIBLOCK], width: u32, out: &mut Vec<u8>) {
    let mut bits = 0u128;
    let mut filled = 0;
    for value in values {
        bits |= u128::from(*value) << filled;
        filled += width;
        while filled >= 32 {
            #[expect(clippy::cast_possible_truncation, reason = "the lowest four bytes")]
            out.extend_from_slice(&(bits as u32).to_le_bytes());
            bits >>= 32;
            filled -= 32;
        }
    }
}

const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::basic::{Encoding, Type};
    use parquet::data_type::Int64Type;
    use parquet::schema::types::{ColumnDescriptor, ColumnPath};
    use proptest::prelude::*;
    use std::sync::Arc;

    /// Decodes with the parquet crate's decoder, by way of a page reader.
    fn decode(bytes: Vec<u8>, count: usize) -> Vec<i64> {
        use parquet::column::page::{Page, PageMetadata, PageReader};
        use parquet::column::reader::{ColumnReader, get_column_reader, get_typed_column_reader};
        struct OnePage(Option<Page>);
        impl Iterator for OnePage {
            type Item = parquet::errors::Result<Page>;
            fn next(&mut self) -> Option<Self::Item> {
                self.0.take().map(Ok)
            }
        }
        impl PageReader for OnePage {
            fn get_next_page(&mut self) -> parquet::errors::Result<Option<Page>> {
                Ok(self.0.take())
            }
            fn peek_next_page(&mut self) -> parquet::errors::Result<Option<PageMetadata>> {
                Ok(None)
            }
            fn skip_next_page(&mut self) -> parquet::errors::Result<()> {
                Ok(())
            }
            fn at_record_boundary(&mut self) -> parquet::errors::Result<bool> {
                Ok(true)
            }
        }
        let page = Page::DataPage {
            buf: bytes.into(),
            num_values: u32::try_from(count).unwrap(),
            encoding: Encoding::DELTA_BINARY_PACKED,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let kind = parquet::schema::types::Type::primitive_type_builder("x", Type::INT64).build().unwrap();
        let descriptor = Arc::new(ColumnDescriptor::new(Arc::new(kind), 0, 0, ColumnPath::from("x")));
        let reader: ColumnReader = get_column_reader(descriptor, Box::new(OnePage(Some(page))));
        let mut reader = get_typed_column_reader::<Int64Type>(reader);
        let mut values = Vec::new();
        if count > 0 {
            reader.read_records(count, None, None, &mut values).unwrap();
        }
        values
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            values in prop_oneof![
                prop::collection::vec(any::<i64>(), 0..400),
                prop::collection::vec(1_790_000_000_000_000i64..1_790_000_100_000_000, 0..400),
            ],
        ) {
            let mut bytes = Vec::new();
            encode(&values, &mut bytes);
            prop_assert_eq!(decode(bytes, values.len()), values);
        }
    }
}
