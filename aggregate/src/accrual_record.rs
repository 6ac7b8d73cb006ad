//! An accrual with what its positions stand for: what its table is written from.

use std::fmt::Write;
use std::ops::Range;

use rating::Overflow;
use rating::catalog::{Catalog, Line};
use rating::rounding::rescale_rounded;
use schemas::ROUNDED_AMOUNT_SCALE;
use schemas::accrual::{EntryKind, PostingClass};
use schemas::date::Date;
use schemas::id::PriceBookId;
use schemas::legal_entity::LegalEntity;
use schemas::meter::Meter;
use schemas::money::AMOUNT_SCALE;
use schemas::price_book::{PriceModelName, RoundingMode};
use schemas::timestamp::Timestamp;

use crate::accrual_round::FIRST_REVISION;
use crate::accruals::{AccrualDay, AccrualGroup};

/// What the days of a group share.
#[derive(Clone, Copy)]
pub(crate) struct GroupRecord<'a> {
    pub(crate) catalog: &'a Catalog,
    /// Contract line, as a position in the catalog.
    pub(crate) line_number: u32,
    pub(crate) line: &'a Line,
    pub(crate) entity: &'a LegalEntity,
    /// Meter, as a position in the catalog.
    pub(crate) meter_number: u16,
    pub(crate) meter: &'a Meter,
    pub(crate) billing_period: (Timestamp, Timestamp),
}

/// One accrual.
pub(crate) struct AccrualRecord {
    pub(crate) contract_version: u32,
    /// Price book version, as a position in the catalog.
    pub(crate) price_book: u32,
    pub(crate) price_book_version: u32,
    pub(crate) price_model: PriceModelName,
    pub(crate) service_day: Date,
    pub(crate) service_period: (Timestamp, Timestamp),
    pub(crate) entry_kind: EntryKind,
    /// In `10^-4`.
    pub(crate) net_amount: i128,
    /// Net amount of the revision before, in `10^-4`.
    pub(crate) previous_net_amount: i128,
    /// Net less previous, in `10^-4`.
    pub(crate) delta_amount: i128,
    /// Net less exact, in `10^-18`.
    pub(crate) residual: i128,
    pub(crate) id: [u8; 16],
    /// Where the key is in the buffers.
    key: Range<usize>,
    /// Where the accounting period is in the key.
    accounting_period: usize,
}

/// Buffers for keys and contents.
#[derive(Default)]
pub(crate) struct RecordBuffers {
    /// What the keys of a group begin with.
    prefix: String,
    /// Keys of accruals.
    keys: String,
    content: Vec<u8>,
}

impl RecordBuffers {
    /// Forgets the keys.
    pub(crate) fn clear(&mut self) {
        self.keys.clear();
    }

    /// The key of an accrual.
    pub(crate) fn key(&self, record: &AccrualRecord) -> &str {
        self.keys.get(record.key.clone()).unwrap_or_default()
    }

    /// The accounting period of an accrual.
    pub(crate) fn accounting_period(&self, record: &AccrualRecord) -> &str {
        let start = record.key.start + record.accounting_period;
        self.keys.get(start..start + "2026-10".len()).unwrap_or_default()
    }
}

impl<'a> GroupRecord<'a> {
    pub(crate) fn new(
        catalog: &'a Catalog,
        group: &AccrualGroup,
        buffers: &mut RecordBuffers,
    ) -> Result<Self, Overflow> {
        // Every position was taken from this catalog.
        let line = catalog.lines().get(group.line as usize).ok_or(Overflow)?;
        let entity = catalog.legal_entities().get(line.legal_entity as usize).ok_or(Overflow)?;
        let meter = catalog.meters().get(usize::from(group.meter)).ok_or(Overflow)?;
        let RecordBuffers { prefix, .. } = buffers;
        prefix.clear();
        for part in [entity.id.as_str(), line.currency.code(), line.id.as_str(), meter.id.as_str()] {
            prefix.push_str(part);
            prefix.push('/');
        }
        let (start, end) = line.cycle.period_of(Date::from_days(group.period_start));
        let billing_period = (entity.timezone.start_of(start), entity.timezone.start_of(end));
        let (line_number, meter_number) = (group.line, group.meter);
        Ok(Self { catalog, line_number, line, entity, meter_number, meter, billing_period })
    }

    /// The unit of a day's billable quantity, where it is known.
    pub(crate) fn pricing_unit(&self, day: &AccrualDay) -> Option<&'a str> {
        let rate = self.catalog.rates().get(day.rate as usize);
        rate.and_then(|rate| rate.pricing_unit.as_deref())
    }

    /// The accrual of a day of the group the buffers were filled for last; its key is kept in them.
    pub(crate) fn day(
        &self,
        day: &AccrualDay,
        buffers: &mut RecordBuffers,
    ) -> Result<AccrualRecord, Overflow> {
        let catalog = self.catalog;
        let terms = catalog.terms().get(day.terms as usize).ok_or(Overflow)?;
        let version = catalog.price_book_versions().get(day.price_book_version as usize).ok_or(Overflow)?;
        let rate = catalog.rates().get(day.rate as usize).ok_or(Overflow)?;
        let service_day = Date::from_days(day.service_day);
        let next_day = Date::from_days(day.service_day.saturating_add(1));
        let exponent = self.line.currency.exponent();
        let rescale = |units, to| rescale_rounded(units, exponent, to, RoundingMode::Floor);
        let net_amount = rescale(day.net_minor_units, ROUNDED_AMOUNT_SCALE)?;
        let previous_net_amount = rescale(day.previous_net_minor_units, ROUNDED_AMOUNT_SCALE)?;
        let is_first = day.revision == FIRST_REVISION;
        let key = write_key(service_day, buffers);
        Ok(AccrualRecord {
            contract_version: terms.contract_version,
            price_book: day.price_book_version,
            price_book_version: version.version,
            price_model: rate.price.model_name(),
            service_day,
            service_period: (
                self.entity.timezone.start_of(service_day),
                self.entity.timezone.start_of(next_day),
            ),
            entry_kind: if is_first { EntryKind::Accrue } else { EntryKind::TrueUp },
            net_amount,
            previous_net_amount,
            delta_amount: net_amount.checked_sub(previous_net_amount).ok_or(Overflow)?,
            residual: rescale(day.net_minor_units, AMOUNT_SCALE)?
                .checked_sub(day.amount.units())
                .ok_or(Overflow)?,
            id: content_id(
                buffers,
                &key,
                [day.revision, terms.contract_version, version.version],
                day,
                [net_amount, previous_net_amount],
            ),
            key,
            accounting_period: buffers.prefix.len(),
        })
    }

    /// The price book of an accrual.
    pub(crate) fn price_book(&self, record: &AccrualRecord) -> Option<&PriceBookId> {
        let version = self.catalog.price_book_versions().get(record.price_book as usize);
        version.map(|version| &version.price_book)
    }
}

/// Appends the key of a day to the keys of its group; where it is.
fn write_key(service_day: Date, buffers: &mut RecordBuffers) -> Range<usize> {
    let RecordBuffers { prefix, keys, .. } = buffers;
    let start = keys.len();
    keys.push_str(prefix);
    let (year, month, day) = service_day.ymd();
    match u32::try_from(year) {
        Ok(year @ 1000..=9999) => {
            put_digits(year, 4, keys);
            keys.push('-');
            put_digits(month.into(), 2, keys);
            keys.push('-');
            put_digits(day.into(), 2, keys);
        }
        // Writing to a string cannot fail.
        _ => drop(write!(keys, "{service_day}")),
    }
    keys.push('/');
    keys.push_str(PostingClass::UsageOnDemand.name());
    start..keys.len()
}

fn put_digits(number: u32, places: u32, text: &mut String) {
    for place in (0..places).rev() {
        text.push(char::from_digit(number / 10u32.pow(place) % 10, 10).unwrap_or_default());
    }
}

/// A UUID (version 8) of the key, the revision and the content: BLAKE3, cut to 128 bits.
fn content_id(
    buffers: &mut RecordBuffers,
    key: &Range<usize>,
    versions: [u32; 3],
    day: &AccrualDay,
    net_amounts: [i128; 2],
) -> [u8; 16] {
    let RecordBuffers { keys, content, .. } = buffers;
    content.clear();
    content.extend_from_slice(keys.get(key.clone()).unwrap_or_default().as_bytes());
    content.push(0);
    for number in versions {
        content.extend_from_slice(&number.to_le_bytes());
    }
    content.extend_from_slice(&day.event_count.to_le_bytes());
    for number in [
        day.quantity,
        day.cumulative_quantity,
        day.billable_quantity,
        day.allowance_quantity,
        day.amount.units(),
        day.cumulative_amount.units(),
        net_amounts[0],
        net_amounts[1],
    ] {
        push_number(number, content);
    }
    let mut id = *blake3::hash(content).as_bytes().first_chunk::<16>().unwrap_or(&[0; 16]);
    let [.., version, _, variant, _, _, _, _, _, _, _] = &mut id;
    *version = (*version & 0x0f) | 0x80;
    *variant = (*variant & 0x3f) | 0x80;
    id
}

/// Appends a number without the bytes that only carry its sign on, after the count of those that are left.
fn push_number(number: i128, content: &mut Vec<u8>) {
    let magnitude = if number < 0 { !number } else { number };
    let bits = i128::BITS - magnitude.leading_zeros() + 1;
    let bytes = bits.div_ceil(u8::BITS) as usize;
    content.push(u8::try_from(bytes).unwrap_or(u8::MAX));
    content.extend_from_slice(number.to_le_bytes().get(..bytes).unwrap_or_default());
}
