//! Reads event times fast where they look like those before: one day, UTC, seconds or milliseconds.

use schemas::timestamp::{MICROS_PER_SECOND, Timestamp, TimestampError};

/// Length of `2026-10-31T`, the part of a time that events of a day share.
const DATE_LENGTH: usize = 11;

/// The day of the last time that was read.
#[derive(Debug)]
pub(crate) struct EventTimeReader {
    date: [u8; DATE_LENGTH],
    midnight: i64,
}

impl Default for EventTimeReader {
    /// Nothing read yet: the day that begins at zero.
    fn default() -> Self {
        Self { date: *b"1970-01-01T", midnight: 0 }
    }
}

impl EventTimeReader {
    /// Reads RFC 3339 text, as [`Timestamp::parse`] does.
    #[inline]
    pub(crate) fn read(&mut self, text: &[u8]) -> Result<Timestamp, TimestampError> {
        match self.read_same_day(text) {
            Some(time) => Ok(time),
            None => self.read_any(text),
        }
    }

    #[inline]
    fn read_same_day(&self, text: &[u8]) -> Option<Timestamp> {
        let (date, clock) = text.split_first_chunk::<DATE_LENGTH>()?;
        if *date != self.date {
            return None;
        }
        let (whole, millis) = match *clock {
            [h0, h1, b':', m0, m1, b':', s0, s1, b'.', f0, f1, f2, b'Z'] => {
                ([h0, h1, m0, m1, s0, s1], [b'0', f0, f1, f2])
            }
            [h0, h1, b':', m0, m1, b':', s0, s1, b'Z'] => ([h0, h1, m0, m1, s0, s1], *b"0000"),
            _ => return None,
        };
        let [h0, h1, m0, m1, s0, s1] = whole.map(|digit| digit.wrapping_sub(b'0'));
        let [_, f0, f1, f2] = millis.map(|digit| digit.wrapping_sub(b'0'));
        let largest = h0.max(h1).max(m0).max(m1).max(s0).max(s1).max(f0).max(f1).max(f2);
        let number = |tens: u8, units: u8| i64::from(tens) * 10 + i64::from(units);
        let (hour, minute, second) = (number(h0, h1), number(m0, m1), number(s0, s1));
        if largest > 9 || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let millis = number(f0, f1) * 10 + i64::from(f2);
        let seconds = hour * 3_600 + minute * 60 + second;
        Some(Timestamp::from_micros(self.midnight + seconds * MICROS_PER_SECOND + millis * 1_000))
    }

    #[cold]
    fn read_any(&mut self, text: &[u8]) -> Result<Timestamp, TimestampError> {
        let time = Timestamp::parse(text)?;
        if let Some((date, _)) = text.split_first_chunk::<DATE_LENGTH>() {
            let midnight = [&date[..], b"00:00:00Z"].concat();
            self.midnight = Timestamp::parse(&midnight)?.micros();
            self.date = *date;
        }
        Ok(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_is_a_day_before_the_first_time() {
        let text = b"\0\0\0\0\0\0\0\0\0\0\x0012:00:00Z";
        assert_eq!(EventTimeReader::default().read(text), Err(TimestampError::NotATime));
        let text = b"1970-01-01T12:00:00Z";
        assert_eq!(EventTimeReader::default().read(text), Timestamp::parse(text));
    }

    proptest! {
        #[test]
        fn reads_what_the_general_reader_reads(
            texts in prop::collection::vec("2026-1[0-2]-0[1-3][T ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](|\\.[0-9]{1,7}|\\.[0-9]{3}|:)(Z|z|\\+01:00|)", 1..40),
        ) {
            let mut reader = EventTimeReader::default();
            for text in &texts {
                prop_assert_eq!(reader.read(text.as_bytes()), Timestamp::parse(text.as_bytes()), "{}", text);
            }
        }
    }
}
