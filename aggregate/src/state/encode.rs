//! Running totals as bytes.

use std::cmp::Reverse;
use std::io;

use rating::price::Usage;
use schemas::meter::Aggregation;

use super::bytes::ByteWriter;
use super::catalog_names::Numbering;
use super::charge_record::{write_day, write_total};
use crate::charge::{Charge, Day, Fold, NO_DAY};
use crate::charges::aggregation;
use crate::running_totals::RunningTotals;

/// Charges whose days are loaded ahead: they fit the caches.
const CHARGES_AHEAD: usize = 128;

/// No dimension value.
const NO_VALUE: u32 = ingest::event_batch::NO_VALUE;

impl RunningTotals {
    pub(super) fn encode(&self, writer: &mut ByteWriter<'_>) -> io::Result<()> {
        self.encode_groups(writer)?;
        writer.number(self.charges.round.number.into());
        writer.count(self.charges.all.len());
        let mut encoder = ChargeEncoder::new(self);
        let mut aims = Vec::new();
        let mut position = 0;
        for charges in self.charges.all.chunks(CHARGES_AHEAD) {
            aims.extend(charges.iter().map(|charge| charge.day.next).filter(|next| *next != NO_DAY));
            self.charges.touch_days(&mut aims);
            for charge in charges {
                encoder.encode(position, charge, writer)?;
                writer.pour()?;
                position += 1;
            }
        }
        self.encode_distinct(writer)
    }

    /// Names of dimensions, and combinations of values, in order of their numbers.
    fn encode_groups(&self, writer: &mut ByteWriter<'_>) -> io::Result<()> {
        let mut groups: Vec<(u32, &[u32])> =
            self.groups.iter().map(|(values, number)| (*number, &**values)).collect();
        groups.sort_unstable();
        let dimensions = self.catalog.dimensions();
        writer.count(dimensions.len());
        for dimension in dimensions {
            writer.text(dimension.as_str());
        }
        writer.count(groups.len());
        for (_, values) in groups {
            let pairs = values.as_chunks::<2>().0;
            writer.count(pairs.len());
            for [dimension, value] in pairs {
                writer.number((*dimension).into());
                writer.number(if *value == NO_VALUE { 0 } else { u64::from(*value) + 1 });
            }
            writer.pour()?;
        }
        Ok(())
    }

    fn encode_distinct(&self, writer: &mut ByteWriter<'_>) -> io::Result<()> {
        let mut values: Vec<(u128, i64)> =
            self.distinct.iter().map(|(value, time)| (value.0, *time)).collect();
        values.sort_unstable();
        let begin = values.iter().map(|(_, time)| *time).min().unwrap_or_default();
        writer.count(values.len());
        writer.signed(begin);
        for (value, time) in values {
            writer.raw(&value.to_le_bytes());
            writer.number(time.abs_diff(begin));
            writer.pour()?;
        }
        Ok(())
    }
}

/// Encodes charges one after another.
struct ChargeEncoder<'a> {
    totals: &'a RunningTotals,
    accounts: Numbering,
    lines: Numbering,
    meters: Numbering,
    versions: Numbering,
    /// Of the charge before.
    period_start: i32,
    days: Vec<Day>,
}

impl<'a> ChargeEncoder<'a> {
    fn new(totals: &'a RunningTotals) -> Self {
        let catalog = &totals.catalog;
        Self {
            totals,
            accounts: Numbering::new(catalog.accounts().len()),
            lines: Numbering::new(catalog.lines().len()),
            meters: Numbering::new(catalog.meters().len()),
            versions: Numbering::new(catalog.price_book_versions().len()),
            period_start: 0,
            days: Vec::new(),
        }
    }

    fn encode(&mut self, position: u32, charge: &Charge, writer: &mut ByteWriter<'_>) -> io::Result<()> {
        let Self { totals, days, .. } = self;
        let (catalog, charges, key) = (&totals.catalog, &totals.charges, charge.key);
        self.accounts.write(key.account, writer, |writer| {
            writer.text(catalog.account(key.account).map_or("", |id| id.as_str()));
        })?;
        self.lines.write(key.line, writer, |writer| {
            writer.text(catalog.lines().get(key.line as usize).map_or("", |line| line.id.as_str()));
        })?;
        let meter = usize::from(key.meter);
        self.meters.write(key.meter.into(), writer, |writer| {
            writer.text(catalog.meters().get(meter).map_or("", |meter| meter.id.as_str()));
        })?;
        writer.signed(i64::from(key.period_start) - i64::from(self.period_start));
        self.period_start = key.period_start;
        writer.number(key.group.into());
        writer.wide(charge.amount.units());

        // A day without events is a place for an event that could not be priced.
        days.clear();
        days.extend(charges.days_of(position).filter(|day| day.usage.events > 0));
        let start = |segment: u32| charges.segments.get(segment as usize).map(|segment| segment.holds.start);
        days.sort_unstable_by_key(|day| Reverse((start(day.segment), day.date)));
        let segments = || days.chunk_by(|day, other| day.segment == other.segment);
        let is_touched = charge.round == charges.round.number;
        writer.number((segments().count() as u64) << 1 | u64::from(is_touched));
        let is_latest = aggregation(catalog, key.meter) == Aggregation::Latest;
        let mut later = key.period_start;
        for days in segments() {
            let segment = days.first().and_then(|day| charges.segments.get(day.segment as usize));
            let segment = segment.ok_or_else(|| io::Error::other("a segment is not there"))?;
            self.versions.write(segment.price_book_version, writer, |writer| {
                let version = catalog.price_book_versions().get(segment.price_book_version as usize);
                writer.text(version.map_or("", |version| version.price_book.as_str()));
                writer.number(version.map_or(0, |version| version.version.into()));
            })?;
            writer.wide(segment.terms.constant);
            writer.count(days.len());
            for day in days {
                let key = (position, day.date, day.segment);
                let before = if is_touched { charges.round.before.get(&key) } else { None };
                let before = before.filter(|before| seen(before) != seen(day));
                let identity = if is_latest { totals.latest.get(&key) } else { None };
                write_day(day, later, before, identity, writer);
                later = day.date;
            }
        }
        let total = self.total(position, charge)?;
        write_total(&total.usage, &self.days, writer);
        writer.wide(total.base.units());
        Ok(())
    }

    /// The totals of a charge as of the newest segment in which it has usage.
    fn total(&mut self, position: u32, charge: &Charge) -> io::Result<Fold> {
        let Charge { usage, base, amount, .. } = *charge;
        // Totals are under the price of the newest segment, which may have no usage.
        let newest = self.days.first().map(|day| day.segment);
        if newest == Some(charge.day.segment) {
            return Ok(Fold { usage, base, amount });
        }
        let mut total = Fold::default();
        self.days.reverse();
        let Self { totals, days, .. } = self;
        let folded = totals.charges.fold_days(&totals.catalog, position, days, &mut total, |_| Ok(()));
        folded.map_err(io::Error::other)?;
        Ok(total)
    }
}

/// What changes in a day.
fn seen(day: &Day) -> (Usage, i64, i64, u32) {
    (day.usage, day.first, day.last, day.revision)
}
