//! Reads event times fast where they look like those before: one day, UTC, seconds or milliseconds.

use schemas::timestamp::{MICROS_PER_SECOND, Timestamp, TimestampError};

/// Length of `2026-10-31T`, the part of a time that events of a day share.
const DATE_LENGTH: usize = 11;

/// Length of `23:59:59`.
const CLOCK_LENGTH: usize = 8;

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
        let (date, rest) = text.split_first_chunk::<DATE_LENGTH>()?;
        let (clock, rest) = rest.split_first_chunk::<CLOCK_LENGTH>()?;
        if *date != self.date {
            return None;
        }
        let seconds = seconds_of_day(*clock)?;
        let millis = match *rest {
            [b'Z'] => 0,
            [b'.', f0, f1, f2, b'Z'] => {
                let [f0, f1, f2] = [f0, f1, f2].map(|digit| digit.wrapping_sub(b'0'));
                if f0.max(f1).max(f2) > 9 {
                    return None;
                }
                i64::from(f0) * 100 + i64::from(f1) * 10 + i64::from(f2)
            }
            _ => return None,
        };
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

/// The seconds that `hh:mm:ss` is after midnight.
#[inline]
fn seconds_of_day(clock: [u8; CLOCK_LENGTH]) -> Option<i64> {
    // The bytes of a number, the first the lowest: digits become their values, colons zeros.
    let values = u64::from_le_bytes(clock) ^ u64::from_le_bytes(*b"00:00:00");
    // Six more than a digit's value and what is more than a colon's reach the high half of a byte.
    let above = values.wrapping_add(u64::from_le_bytes([6, 6, 15, 6, 6, 15, 6, 6]));
    let others = (values | above) & 0xf0f0_f0f0_f0f0_f0f0;
    let pairs = values.wrapping_mul(10).wrapping_add(values >> 8);
    let [hour, _, _, minute, _, _, second, _] = pairs.to_le_bytes().map(i64::from);
    (others == 0 && hour < 24 && minute < 60 && second < 60).then_some(hour * 3_600 + minute * 60 + second)
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

    #[test]
    fn no_other_byte_is_a_digit_or_a_colon() {
        let mut reader = EventTimeReader::default();
        for text in ["2026-10-31T23:59:59.999Z", "2026-10-31T00:00:00Z"] {
            assert_eq!(reader.read(text.as_bytes()), Timestamp::parse(text.as_bytes()));
            for at in 0..text.len() {
                for byte in 0..=u8::MAX {
                    let mut changed = text.as_bytes().to_vec();
                    changed[at] = byte;
                    let mut reader = EventTimeReader { ..reader };
                    assert_eq!(reader.read(&changed), Timestamp::parse(&changed), "{text}: {byte} at {at}");
                }
            }
        }
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
