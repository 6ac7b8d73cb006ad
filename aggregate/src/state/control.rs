//! Control totals as bytes, and back.

use std::io;

use schemas::quarantine::{RejectReason, UnratedReason};

use super::bytes::{ByteReader, ByteWriter, Damage};
use super::charge_record::DATES;
use crate::control_totals::{ControlKey, ControlTotals, OUTCOMES};

/// More than any count: adding to what is read never overflows.
const COUNT_MAX: u64 = 1 << 62;

impl ControlTotals {
    pub(super) fn encode(&self, writer: &mut ByteWriter<'_>) -> io::Result<()> {
        writer.count(self.keys.len());
        for (key, counts) in self.keys.iter().zip(&self.counts) {
            // One more than the number, or none.
            writer.number(key.source.map_or(0, |source| u64::from(source) + 1));
            writer.number(key.event_type.map_or(0, |event_type| u64::from(event_type) + 1));
            writer.number(key.month.map_or(0, |_| 1));
            writer.signed(key.month.unwrap_or_default().into());
            counts.iter().for_each(|count| writer.number(*count));
            writer.pour()?;
        }
        writer.count(self.rejected().count());
        for (reason, count) in self.rejected() {
            writer.text(reason.code());
            writer.number(count);
        }
        writer.count(self.unrated().count());
        for (reason, count) in self.unrated() {
            writer.text(reason.code());
            writer.number(count);
        }
        Ok(())
    }

    /// Reads into totals of nothing, for a number of sources and event types.
    pub(super) fn decode(
        &mut self,
        sources: usize,
        event_types: usize,
        reader: &mut ByteReader<'_>,
    ) -> Result<(), Damage> {
        let count = reader.count(9)?;
        self.keys.reserve_exact(count);
        self.counts.reserve_exact(count);
        self.places.reserve(count);
        let mut sum = 0;
        for place in 0..count {
            let source = number_below(sources, reader)?;
            let event_type = number_below(event_types, reader)?;
            let has_month = reader.number()? > 0;
            let month = reader.signed()?;
            let month = i32::try_from(month).ok().filter(|month| DATES.contains(month));
            let month = month.ok_or(Damage("a month is out of range"))?;
            let key = ControlKey { source, event_type, month: has_month.then_some(month) };
            let mut counts = [0; OUTCOMES];
            for to in &mut counts {
                *to = read_count(&mut sum, reader)?;
            }
            if self.places.insert(key, place).is_some() {
                return Err(Damage("control totals are there twice"));
            }
            self.keys.push(key);
            self.counts.push(counts);
        }
        read_reasons(RejectReason::ALL, RejectReason::code, &mut self.rejected, reader)?;
        read_reasons(UnratedReason::ALL, UnratedReason::code, &mut self.unrated, reader)
    }
}

fn read_reasons<T: Copy>(
    reasons: &[T],
    code: impl Fn(T) -> &'static str,
    counts: &mut [u64],
    reader: &mut ByteReader<'_>,
) -> Result<(), Damage> {
    let mut sum = 0;
    for _ in 0..reader.count(2)? {
        let written = reader.text()?;
        let place = reasons.iter().position(|reason| code(*reason) == written);
        let count = place.and_then(|place| counts.get_mut(place)).ok_or(Damage("a reason is unknown"))?;
        *count = read_count(&mut sum, reader)?;
    }
    Ok(())
}

fn read_count(sum: &mut u64, reader: &mut ByteReader<'_>) -> Result<u64, Damage> {
    let count = reader.number()?;
    *sum = sum.checked_add(count).filter(|sum| *sum <= COUNT_MAX).ok_or(Damage("a count is too large"))?;
    Ok(count)
}

fn number_below(limit: usize, reader: &mut ByteReader<'_>) -> Result<Option<u32>, Damage> {
    let number = reader.small::<u32>()?.checked_sub(1);
    if number.is_some_and(|number| number as usize >= limit) {
        return Err(Damage("a text is not there"));
    }
    Ok(number)
}
