//! A charge as bytes, and back; nothing is looked up for it.

use std::ops::{Range, RangeInclusive};

use rating::price::Usage;
use schemas::money::Amount;
use schemas::timestamp::{MICROS_PER_DAY, Timestamp};
use schemas::usage_event::{EVENT_TIME_END, EVENT_TIME_MIN};

use super::bytes::{ByteReader, ByteWriter, Damage};
use super::catalog_names::{BothPositions, Named, NamedVersion, Names};
use crate::charge::{Day, NO_DAY};

/// Dates that days, months and billing periods of events can have, with room at both ends.
pub(super) const DATES: RangeInclusive<i32> = -1_000..=50_000;

/// Fewest bytes of a charge and of a day.
pub(super) const CHARGE_BYTES_MIN: usize = 11;
const DAY_BYTES_MIN: usize = 7;

/// What a day has besides its usage; the rest of the number is its revision.
const HAS_BEFORE: u64 = 1;
const HAS_IDENTITY: u64 = 2;
const MARKS: u32 = 2;

/// A charge as it is written. Its buffers are used again.
#[derive(Default)]
pub(super) struct ChargeRecord<'b> {
    pub(super) account: Option<Named<'b>>,
    pub(super) line: Option<Named<'b>>,
    pub(super) meter: Option<Named<'b>>,
    pub(super) period_start: i32,
    pub(super) group: u32,
    /// Usage of the billing period, from the last reset on.
    pub(super) usage: Usage,
    /// Amount besides what the price says of the usage.
    pub(super) base: Amount,
    pub(super) amount: Amount,
    /// Was it changed in the round of accruals?
    pub(super) is_touched: bool,
    /// The newest first.
    pub(super) segments: Vec<SegmentRecord<'b>>,
    /// The newest first. A day's segment is its position among those of the charge.
    pub(super) days: Vec<Day>,
    /// Days as they were when the round of accruals began.
    pub(super) before: Vec<Day>,
    /// Id and source of the event that counts for a day, which is given by its position.
    pub(super) identities: Vec<(usize, (&'b str, &'b str))>,
}

/// A segment of a charge as it is written.
pub(super) struct SegmentRecord<'b> {
    pub(super) version: NamedVersion<'b>,
    /// What the price fixed for the charge.
    pub(super) constant: i128,
    /// Its days among those of the charge.
    pub(super) days: Range<usize>,
}

/// All names in charges.
#[derive(Default)]
pub(super) struct ChargeNames<'b> {
    pub(super) accounts: Names<Named<'b>>,
    pub(super) lines: Names<Named<'b>>,
    pub(super) meters: Names<Named<'b>>,
    pub(super) versions: Names<NamedVersion<'b>>,
}

impl<'b> ChargeRecord<'b> {
    /// Reads the next charge.
    pub(super) fn read(
        &mut self,
        names: &mut ChargeNames<'b>,
        positions: &BothPositions<'_>,
        reader: &mut ByteReader<'b>,
    ) -> Result<(), Damage> {
        self.segments.clear();
        self.days.clear();
        self.before.clear();
        self.identities.clear();
        self.account = Some(*names.accounts.read(reader, |reader| positions.account(reader))?);
        self.line = Some(*names.lines.read(reader, |reader| positions.line(reader))?);
        self.meter = Some(*names.meters.read(reader, |reader| positions.meter(reader))?);
        // The difference from the charge before.
        let period_start = i64::from(self.period_start).checked_add(reader.signed()?);
        self.period_start = date(period_start.ok_or(OUT_OF_RANGE)?)?;
        self.group = reader.small()?;
        self.amount = Amount::from_units(reader.wide()?);
        let marked = reader.number()?;
        self.is_touched = marked & 1 > 0;
        let mut later = self.period_start;
        for segment in 0..marked >> 1 {
            let version = *names.versions.read(reader, |reader| positions.version(reader))?;
            let constant = reader.wide()?;
            let begin = self.days.len();
            let segment = u32::try_from(segment).map_err(|_| Damage("there are too many segments"))?;
            for _ in 0..reader.count(DAY_BYTES_MIN)? {
                later = self.day(later, segment, reader)?;
            }
            if self.days.len() == begin {
                return Err(Damage("a segment has no days"));
            }
            self.segments.push(SegmentRecord { version, constant, days: begin..self.days.len() });
        }
        self.usage = read_total(&self.days, reader)?;
        self.base = Amount::from_units(reader.wide()?);
        Ok(())
    }

    /// Reads a day; its date.
    fn day(&mut self, later: i32, segment: u32, reader: &mut ByteReader<'b>) -> Result<i32, Damage> {
        let date = date(i64::from(later).checked_sub(reader.signed()?).ok_or(OUT_OF_RANGE)?)?;
        let marked = reader.number()?;
        let day = read_day(date, segment, marked >> MARKS, reader)?;
        if marked & HAS_BEFORE > 0 {
            let revision = reader.number()?;
            self.before.push(read_day(date, segment, revision, reader)?);
        }
        if marked & HAS_IDENTITY > 0 {
            self.identities.push((self.days.len(), (reader.text()?, reader.text()?)));
        }
        if self.days.last().is_some_and(|later| later.segment == segment && later.date <= date) {
            return Err(Damage("days are not in order"));
        }
        self.days.push(day);
        Ok(date)
    }
}

const OUT_OF_RANGE: Damage = Damage("a date or time is out of range");

fn date(days: i64) -> Result<i32, Damage> {
    i32::try_from(days).ok().filter(|date| DATES.contains(date)).ok_or(OUT_OF_RANGE)
}

fn read_day(date: i32, segment: u32, revision: u64, reader: &mut ByteReader<'_>) -> Result<Day, Damage> {
    let revision = u32::try_from(revision).map_err(|_| Damage("a revision is too large"))?;
    let (events, quantity) = (reader.number()?, reader.wide()?);
    let event_amounts = Amount::from_units(reader.wide()?);
    if events == 0 {
        return Err(Damage("a day has no events"));
    }
    let first = midnight(date).checked_add(reader.signed()?);
    let last = first.and_then(|first| first.checked_add_unsigned(reader.number().ok()?));
    let (first, last) = first.zip(last).ok_or(OUT_OF_RANGE)?;
    let is_time = |micros| (EVENT_TIME_MIN..EVENT_TIME_END).contains(&Timestamp::from_micros(micros));
    if !is_time(first) || !is_time(last) {
        return Err(OUT_OF_RANGE);
    }
    let usage = Usage { quantity, events, event_amounts };
    Ok(Day { date, segment, usage, first, last, next: NO_DAY, revision })
}

/// All of some days in one number each, whatever their aggregation makes of them.
fn sum(days: &[Day]) -> (u64, i128, i128) {
    days.iter().fold((0, 0, 0), |(events, quantity, event_amounts), Day { usage, .. }| {
        (
            events.wrapping_add(usage.events),
            quantity.wrapping_add(usage.quantity),
            event_amounts.wrapping_add(usage.event_amounts.units()),
        )
    })
}

/// Writes the usage of a charge as what it differs from the sum of its days by: mostly nothing.
pub(super) fn write_total(usage: &Usage, days: &[Day], writer: &mut ByteWriter<'_>) {
    let (events, quantity, event_amounts) = sum(days);
    writer.signed(usage.events.wrapping_sub(events).cast_signed());
    writer.wide(usage.quantity.wrapping_sub(quantity));
    writer.wide(usage.event_amounts.units().wrapping_sub(event_amounts));
}

fn read_total(days: &[Day], reader: &mut ByteReader<'_>) -> Result<Usage, Damage> {
    let (events, quantity, event_amounts) = sum(days);
    Ok(Usage {
        events: events.wrapping_add_signed(reader.signed()?),
        quantity: quantity.wrapping_add(reader.wide()?),
        event_amounts: Amount::from_units(event_amounts.wrapping_add(reader.wide()?)),
    })
}

/// Writes the day of a charge; `later` is the date before it in the bytes.
pub(super) fn write_day(
    day: &Day,
    later: i32,
    before: Option<&Day>,
    identity: Option<&(String, String)>,
    writer: &mut ByteWriter<'_>,
) {
    writer.signed(i64::from(later) - i64::from(day.date));
    let has_before = if before.is_some() { HAS_BEFORE } else { 0 };
    let has_identity = if identity.is_some() { HAS_IDENTITY } else { 0 };
    writer.number(u64::from(day.revision) << MARKS | has_before | has_identity);
    write_usage(day, writer);
    if let Some(before) = before {
        writer.number(before.revision.into());
        write_usage(before, writer);
    }
    if let Some((id, source)) = identity {
        writer.text(id);
        writer.text(source);
    }
}

fn write_usage(day: &Day, writer: &mut ByteWriter<'_>) {
    writer.number(day.usage.events);
    writer.wide(day.usage.quantity);
    writer.wide(day.usage.event_amounts.units());
    writer.signed(day.first - midnight(day.date));
    writer.number(day.last.abs_diff(day.first));
}

/// Midnight of a date in UTC, in microseconds: near the event times of the day in any time zone.
fn midnight(date: i32) -> i64 {
    i64::from(date) * MICROS_PER_DAY
}
