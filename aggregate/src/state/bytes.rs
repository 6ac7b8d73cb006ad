//! Numbers and texts as bytes, and back.
//!
//! A number takes as many bytes as it has groups of seven bits, lowest first; a signed one is folded first,
//! so that small ones of either sign are short. A text is its length and its bytes. Reading expects
//! anything: what is cut short, too large or not UTF-8 is an error, and nothing is made room for that the
//! bytes could not hold.

use std::io::{self, Write};

use crate::error::AggregateError;

/// Bytes that are collected before they are written.
const POURED_BYTES: usize = 64 << 10;

/// What is wrong with bytes that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damage(pub(crate) &'static str);

impl From<Damage> for AggregateError {
    fn from(Damage(what): Damage) -> Self {
        Self::DamagedState(what)
    }
}

const CUT_SHORT: Damage = Damage("it is cut short");

/// Writes numbers and texts.
pub(crate) struct ByteWriter<'a> {
    to: &'a mut dyn Write,
    buffer: Vec<u8>,
}

impl<'a> ByteWriter<'a> {
    pub(crate) fn new(to: &'a mut dyn Write) -> Self {
        Self { to, buffer: Vec::with_capacity(POURED_BYTES * 2) }
    }

    #[inline]
    pub(crate) fn number(&mut self, number: u64) {
        let mut rest = number;
        while rest >= 0x80 {
            self.buffer.push(low_bits(rest) | 0x80);
            rest >>= 7;
        }
        self.buffer.push(low_bits(rest));
    }

    pub(crate) fn count(&mut self, count: usize) {
        self.number(count as u64);
    }

    #[inline]
    pub(crate) fn signed(&mut self, number: i64) {
        self.number(((number << 1) ^ (number >> 63)).cast_unsigned());
    }

    #[inline]
    pub(crate) fn wide(&mut self, number: i128) {
        let mut rest = ((number << 1) ^ (number >> 127)).cast_unsigned();
        loop {
            match u64::try_from(rest) {
                Ok(rest) => return self.number(rest),
                Err(_) => self.buffer.push(low_bits_wide(rest) | 0x80),
            }
            rest >>= 7;
        }
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.count(text.len());
        self.raw(text.as_bytes());
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Writes what is collected, if it is much. To be called after every record.
    #[inline]
    pub(crate) fn pour(&mut self) -> io::Result<()> {
        if self.buffer.len() < POURED_BYTES { Ok(()) } else { self.pour_all() }
    }

    /// Writes what is collected.
    pub(crate) fn pour_all(&mut self) -> io::Result<()> {
        self.to.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

const fn low_bits(number: u64) -> u8 {
    (number & 0x7f) as u8
}

const fn low_bits_wide(number: u128) -> u8 {
    (number & 0x7f) as u8
}

/// Reads what a [`ByteWriter`] wrote.
#[derive(Debug)]
pub(crate) struct ByteReader<'a> {
    rest: &'a [u8],
}

impl<'a> ByteReader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) const fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, Damage> {
        let (byte, rest) = self.rest.split_first().ok_or(CUT_SHORT)?;
        self.rest = rest;
        Ok(*byte)
    }

    #[inline]
    pub(crate) fn number(&mut self) -> Result<u64, Damage> {
        let byte = self.byte()?;
        if byte < 0x80 {
            return Ok(byte.into());
        }
        let mut number = u64::from(byte & 0x7f);
        for shift in (7..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Damage("a number is too large"))
    }

    /// A number that fits a smaller type.
    #[inline]
    pub(crate) fn small<T: TryFrom<u64>>(&mut self) -> Result<T, Damage> {
        T::try_from(self.number()?).map_err(|_| Damage("a number is too large"))
    }

    #[inline]
    pub(crate) fn signed(&mut self) -> Result<i64, Damage> {
        let folded = self.number()?;
        Ok((folded >> 1).cast_signed() ^ -(folded & 1).cast_signed())
    }

    #[inline]
    pub(crate) fn wide(&mut self) -> Result<i128, Damage> {
        let mut folded = 0u128;
        for shift in (0..128).step_by(7) {
            let byte = self.byte()?;
            let bits = u128::from(byte & 0x7f);
            if shift == 126 && bits > 3 {
                break;
            }
            folded |= bits << shift;
            if byte < 0x80 {
                return Ok((folded >> 1).cast_signed() ^ -(folded & 1).cast_signed());
            }
        }
        Err(Damage("a number is too large"))
    }

    /// How many elements follow. Each takes some bytes at least: a number that cannot be true is found
    /// before anything is made room for.
    pub(crate) fn count(&mut self, element_bytes_min: usize) -> Result<usize, Damage> {
        let count: usize = self.small()?;
        let fits = count.checked_mul(element_bytes_min).is_some_and(|bytes| bytes <= self.rest.len());
        if fits { Ok(count) } else { Err(CUT_SHORT) }
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Damage> {
        let length = self.count(1)?;
        let (text, rest) = self.rest.split_at_checked(length).ok_or(CUT_SHORT)?;
        self.rest = rest;
        std::str::from_utf8(text).map_err(|_| Damage("a text is not UTF-8"))
    }

    pub(crate) fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let (chunk, rest) = self.rest.split_first_chunk().ok_or(CUT_SHORT)?;
        self.rest = rest;
        Ok(*chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(numbers in prop::collection::vec((any::<u64>(), 0u32..64, any::<i128>(), 0u32..128), 0..20), text in ".{0,9}") {
            let mut bytes = Vec::new();
            let mut writer = ByteWriter::new(&mut bytes);
            for (number, shift, wide, wide_shift) in &numbers {
                writer.number(number >> shift);
                writer.signed(number.cast_signed() >> shift);
                writer.wide(wide >> wide_shift);
                writer.text(&text);
            }
            writer.pour_all().unwrap();
            let mut reader = ByteReader::new(&bytes);
            for (number, shift, wide, wide_shift) in &numbers {
                prop_assert_eq!(reader.number(), Ok(number >> shift));
                prop_assert_eq!(reader.signed(), Ok(number.cast_signed() >> shift));
                prop_assert_eq!(reader.wide(), Ok(wide >> wide_shift));
                prop_assert_eq!(reader.text(), Ok(&*text));
            }
            prop_assert!(reader.is_at_end());
        }
    }

    #[test]
    fn what_was_not_written_is_an_error() {
        let too_large = Err(Damage("a number is too large"));
        let mut longest = [0xff; 19];
        assert_eq!(ByteReader::new(&longest[..10]).number(), too_large);
        assert_eq!(ByteReader::new(&longest).wide(), Err(Damage("a number is too large")));
        longest[18] = 4;
        assert_eq!(ByteReader::new(&longest).wide(), Err(Damage("a number is too large")));
        longest[18] = 3;
        assert_eq!(ByteReader::new(&longest).wide(), Ok(i128::MIN));
        assert_eq!(ByteReader::new(&[0x80]).number(), Err(CUT_SHORT));
        assert_eq!(ByteReader::new(&[2, 0]).count(1), Err(CUT_SHORT));
        assert_eq!(ByteReader::new(&[2, 0]).text(), Err(CUT_SHORT));
        assert_eq!(ByteReader::new(&[1, 0xff]).text(), Err(Damage("a text is not UTF-8")));
        assert_eq!(ByteReader::new(&[0x80, 2]).small::<u8>(), Err(Damage("a number is too large")));
    }
}
