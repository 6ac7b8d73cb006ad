//! Writes quarantine: refused, conflicting and unrated events with their bytes.

use ingest::CsvColumns;
use ingest::event_batch::{EventBatch, Span};
use rating::catalog::Catalog;
use schemas::epoch::ContentKind;
use schemas::quarantine::{
    CONFLICT, CONFLICT_MEND, QUARANTINED_BYTES_MAX, QuarantineClass, RejectReason, UnratedReason,
    arrow_schema,
};

use crate::decider::DecidedBatch;
use crate::epoch_files::{EpochFiles, MadeContent};
use crate::error::AggregateError;
use crate::parquet_columns::{Layout, TableWriter};
use crate::replay::OpenRecord;

/// Details and bytes mostly differ.
const LAYOUT: Layout<'_> =
    Layout { plain: &["detail", "bytes"], ids: &["quarantine_id", "event_id"], sorted_by: &[] };

/// The quarantine of one epoch after another, as it is written.
pub struct QuarantineTable {
    files: EpochFiles,
    /// Begun with the first row of an epoch: most have none.
    table: Option<TableWriter>,
    inputs: Vec<String>,
    totals: QuarantineTotals,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuarantineTotals {
    /// Events that are not valid.
    pub rejected: u64,
    /// Events with the identity of another.
    pub conflict: u64,
    /// Usages without a price.
    pub unrated: u64,
}

impl QuarantineTotals {
    /// All rows.
    const fn rows(&self) -> u64 {
        self.rejected + self.conflict + self.unrated
    }
}

/// A row of the table.
#[derive(Debug)]
struct Entry<'a> {
    class: QuarantineClass,
    reason: &'static str,
    detail: &'a str,
    place: Place<'a>,
    source: Option<&'a str>,
    event_id: Option<&'a str>,
    event_type: Option<&'a str>,
    account: Option<&'a str>,
    time: Option<i64>,
    meter: Option<&'a str>,
}

/// A record where it came from.
#[derive(Debug)]
struct Place<'a> {
    input: &'a str,
    line: Option<u64>,
    offset: u64,
    length: u64,
    bytes: &'a [u8],
    csv_mapping: Option<&'a str>,
    csv_header: Option<&'a str>,
}

impl<'a> Place<'a> {
    /// Of a record of a batch that was read from an input.
    fn in_batch(batch: &'a EventBatch, inputs: &'a [String], span: Span, length: u64) -> Self {
        let origin = &batch.origin;
        let rows = batch.rows.as_deref();
        Self {
            input: inputs.get(origin.input as usize).map_or("", String::as_str),
            line: Some(origin.line + u64::from(span.line)),
            offset: origin.offset + u64::from(span.start),
            length,
            bytes: batch.record(span),
            csv_mapping: rows.map(CsvColumns::mapping),
            csv_header: rows.map(CsvColumns::header),
        }
    }

    /// Of a record that was in quarantine before.
    fn before(OpenRecord { record, .. }: &'a OpenRecord) -> Self {
        Self {
            input: &record.input,
            line: record.line,
            offset: record.offset,
            length: record.length,
            bytes: &record.bytes,
            csv_mapping: record.csv_mapping.as_deref(),
            csv_header: record.csv_header.as_deref(),
        }
    }
}

/// The events of a batch with what rows say of them.
struct Events<'a> {
    decided: &'a DecidedBatch,
    inputs: &'a [String],
    text: &'a dyn EventTexts,
    /// The records that the batch read again.
    records: &'a [OpenRecord],
}

impl<'a> Events<'a> {
    fn entry(
        &self,
        event: u32,
        class: QuarantineClass,
        reason: &'static str,
        detail: &'a str,
        meter: Option<&'a str>,
        id: &'a str,
    ) -> Entry<'a> {
        let batch = &self.decided.batch;
        let event = event as usize;
        let event_text = batch.events.text.get(event);
        let record = batch.replayed.events.get(event).and_then(|record| self.records.get(*record as usize));
        let span = event_text.map(|text| text.span).unwrap_or_default();
        let place = record
            .map_or_else(|| Place::in_batch(batch, self.inputs, span, u64::from(span.length)), Place::before);
        Entry {
            class,
            reason,
            detail,
            place,
            source: batch.events.source.get(event).and_then(|number| self.text.source(*number)),
            event_id: Some(id),
            event_type: batch.events.event_type.get(event).and_then(|number| self.text.event_type(*number)),
            account: event_text.map(|text| batch.text(text.subject)),
            time: batch.events.time.get(event).copied(),
            meter,
        }
    }
}

impl QuarantineTable {
    /// A table for an epoch. `inputs` names the inputs, by position.
    #[must_use]
    pub fn new(files: EpochFiles, inputs: Vec<String>) -> Self {
        Self { files, table: None, inputs, totals: QuarantineTotals::default() }
    }

    /// Appends what a batch has for quarantine: refused events, then conflicts, then unrated usage. `records` are
    /// those that the batch read again, if it did.
    ///
    /// # Errors
    /// [`AggregateError`] when it cannot be written.
    pub fn append(
        &mut self,
        catalog: &Catalog,
        decided: &DecidedBatch,
        text: &dyn EventTexts,
        records: &[OpenRecord],
    ) -> Result<(), AggregateError> {
        let Self { files, table, inputs, totals } = self;
        let batch = &decided.batch;
        let events = Events { decided, inputs, text, records };
        let mut write = |entry: &Entry<'_>| write(files, table, totals, entry);
        for reject in &batch.rejects {
            let attributes = &reject.attributes;
            write(&Entry {
                class: QuarantineClass::Rejected,
                reason: reject.reason.code(),
                detail: &reject.explanation(),
                place: Place::in_batch(batch, inputs, reject.span, reject.length),
                source: attributes.source.as_deref(),
                event_id: attributes.id.as_deref(),
                event_type: attributes.event_type.as_deref(),
                account: attributes.subject.as_deref(),
                time: attributes.time,
                meter: None,
            })?;
        }
        for event in &decided.too_old {
            let (reason, id) = (RejectReason::TooOld, batch.event_id(*event as usize));
            let class = QuarantineClass::Rejected;
            write(&events.entry(*event, class, reason.code(), reason.mend(), None, &id))?;
        }
        for event in &decided.conflicts {
            let detail = format!(
                "an event with this source and id was counted before, with other content: {CONFLICT_MEND}"
            );
            let id = batch.event_id(*event as usize);
            write(&events.entry(*event, QuarantineClass::Conflict, CONFLICT, &detail, None, &id))?;
        }
        for unrated in &decided.unrated {
            let meter = unrated.meter.and_then(|meter| catalog.meters().get(usize::from(meter)));
            let meter = meter.map(|meter| meter.id.as_str());
            let detail = describe(unrated.reason, meter);
            let id = batch.event_id(unrated.event as usize);
            let (class, reason) = (QuarantineClass::Unrated, unrated.reason.code());
            write(&events.entry(unrated.event, class, reason, &detail, meter, &id))?;
        }
        Ok(())
    }

    /// Begins an epoch.
    pub(crate) fn begin(&mut self, files: EpochFiles) {
        self.files = files;
    }

    /// Ends the epoch and begins another; what was written.
    ///
    /// # Errors
    /// [`AggregateError`] when it cannot be written.
    pub fn end(
        &mut self,
        next: EpochFiles,
    ) -> Result<(Option<MadeContent>, QuarantineTotals), AggregateError> {
        self.files = next;
        let totals = std::mem::take(&mut self.totals);
        let made = self.table.take().map(TableWriter::finish).transpose()?;
        Ok((made.map(|(made, _)| made), totals))
    }
}

/// Writes a row, and counts it.
fn write(
    files: &EpochFiles,
    table: &mut Option<TableWriter>,
    totals: &mut QuarantineTotals,
    entry: &Entry<'_>,
) -> Result<(), AggregateError> {
    match entry.class {
        QuarantineClass::Rejected => totals.rejected += 1,
        QuarantineClass::Conflict => totals.conflict += 1,
        QuarantineClass::Unrated => totals.unrated += 1,
    }
    let place = &entry.place;
    let kept = place.bytes.get(..place.bytes.len().min(QUARANTINED_BYTES_MAX)).unwrap_or_default();
    let epoch = files.epoch();
    let id = format!("{epoch}-{}", totals.rows());
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let table = match table {
        Some(table) => table,
        table => {
            let begun = TableWriter::create(files, ContentKind::Quarantine, &arrow_schema(), LAYOUT)?;
            table.insert(begun)
        }
    };
    table.write(1, |row| {
        row.text(&id)?
            .text(entry.class.name())?
            .text(entry.reason)?
            .text(entry.detail)?
            .text(place.input)?
            .optional_long(place.line.map(signed))?
            .long(signed(place.offset))?
            .long(signed(place.length))?
            .bytes(kept)?
            .optional_text(place.csv_mapping)?
            .optional_text(place.csv_header)?
            .optional_text(entry.source)?
            .optional_text(entry.event_id)?
            .optional_text(entry.event_type)?
            .optional_text(entry.account)?
            .optional_long(entry.time)?
            .optional_text(entry.meter)?
            .long(signed(epoch))?;
        Ok(())
    })
}

/// The texts of an event's numbers.
pub trait EventTexts {
    /// The source of a number.
    fn source(&self, number: u32) -> Option<&str>;
    /// The event type of a number.
    fn event_type(&self, number: u32) -> Option<&str>;
}

fn describe(reason: UnratedReason, meter: Option<&str>) -> String {
    match meter {
        Some(meter) => format!("usage of the meter {meter} has no price: {}", reason.mend()),
        None => format!("the event is not metered: {}", reason.mend()),
    }
}
