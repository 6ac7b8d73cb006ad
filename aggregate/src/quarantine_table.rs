//! Writes quarantine: refused, conflicting and unrated events with their bytes.

use ingest::CsvColumns;
use rating::catalog::Catalog;
use schemas::epoch::ContentKind;
use schemas::quarantine::{
    QUARANTINED_BYTES_MAX, QuarantineClass, RejectReason, UnratedReason, arrow_schema,
};

use crate::decider::DecidedBatch;
use crate::epoch_files::{EpochFiles, MadeContent};
use crate::error::AggregateError;
use crate::parquet_columns::{Layout, TableWriter};

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
    span: ingest::event_batch::Span,
    length: u64,
    source: Option<&'a str>,
    event_id: Option<&'a str>,
    event_type: Option<&'a str>,
    account: Option<&'a str>,
    time: Option<i64>,
    meter: Option<&'a str>,
}

impl QuarantineTable {
    /// A table for an epoch. `inputs` names the inputs, by position.
    #[must_use]
    pub fn new(files: EpochFiles, inputs: Vec<String>) -> Self {
        Self { files, table: None, inputs, totals: QuarantineTotals::default() }
    }

    /// Appends what a batch has for quarantine: refused events, then conflicts, then unrated usage.
    ///
    /// # Errors
    /// [`AggregateError`] when it cannot be written.
    pub fn append(
        &mut self,
        catalog: &Catalog,
        decided: &DecidedBatch,
        text: &dyn EventTexts,
    ) -> Result<(), AggregateError> {
        let batch = &decided.batch;
        for reject in &batch.rejects {
            self.totals.rejected += 1;
            let attributes = &reject.attributes;
            let entry = Entry {
                class: QuarantineClass::Rejected,
                reason: reject.reason.code(),
                detail: &reject.explanation(),
                span: reject.span,
                length: reject.length,
                source: attributes.source.as_deref(),
                event_id: attributes.id.as_deref(),
                event_type: attributes.event_type.as_deref(),
                account: attributes.subject.as_deref(),
                time: attributes.time,
                meter: None,
            };
            self.write(decided, &entry)?;
        }
        for event in &decided.too_old {
            self.totals.rejected += 1;
            let reason = RejectReason::TooOld;
            self.write_event(
                decided,
                *event,
                QuarantineClass::Rejected,
                reason.code(),
                reason.mend(),
                None,
                text,
            )?;
        }
        for event in &decided.conflicts {
            self.totals.conflict += 1;
            let detail = "an event with this source and id was counted before, with other content: \
                          send corrections under an id of their own";
            self.write_event(decided, *event, QuarantineClass::Conflict, "conflict", detail, None, text)?;
        }
        for unrated in &decided.unrated {
            self.totals.unrated += 1;
            let meter = unrated.meter.and_then(|meter| catalog.meters().get(usize::from(meter)));
            let meter = meter.map(|meter| meter.id.as_str());
            let detail = describe(unrated.reason, meter);
            let class = QuarantineClass::Unrated;
            self.write_event(decided, unrated.event, class, unrated.reason.code(), &detail, meter, text)?;
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a row that differ")]
    fn write_event(
        &mut self,
        decided: &DecidedBatch,
        event: u32,
        class: QuarantineClass,
        reason: &'static str,
        detail: &str,
        meter: Option<&str>,
        text: &dyn EventTexts,
    ) -> Result<(), AggregateError> {
        let batch = &decided.batch;
        let event = event as usize;
        let id = batch.event_id(event);
        let event_text = batch.events.text.get(event);
        let span = event_text.map(|text| text.span).unwrap_or_default();
        let source = batch.events.source.get(event).and_then(|number| text.source(*number));
        let event_type = batch.events.event_type.get(event).and_then(|number| text.event_type(*number));
        let account = event_text.map(|text| batch.text(text.subject));
        let time = batch.events.time.get(event).copied();
        let length = u64::from(span.length);
        let event_id = Some(id.as_str());
        let entry =
            Entry { class, reason, detail, span, length, source, event_id, event_type, account, time, meter };
        self.write(decided, &entry)
    }

    fn write(&mut self, decided: &DecidedBatch, entry: &Entry<'_>) -> Result<(), AggregateError> {
        let origin = &decided.batch.origin;
        let input = self.inputs.get(origin.input as usize).map_or("", String::as_str);
        let bytes = decided.batch.record(entry.span);
        let kept = bytes.get(..bytes.len().min(QUARANTINED_BYTES_MAX)).unwrap_or_default();
        let rows = decided.batch.rows.as_deref();
        let epoch = self.files.epoch();
        let id = format!("{epoch}-{}", self.totals.rows());
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let table = match &mut self.table {
            Some(table) => table,
            table => {
                let begun =
                    TableWriter::create(&self.files, ContentKind::Quarantine, &arrow_schema(), LAYOUT)?;
                table.insert(begun)
            }
        };
        table.write(1, |row| {
            row.text(&id)?
                .text(entry.class.name())?
                .text(entry.reason)?
                .text(entry.detail)?
                .text(input)?
                .optional_long(Some(signed(origin.line + u64::from(entry.span.line))))?
                .long(signed(origin.offset + u64::from(entry.span.start)))?
                .long(signed(entry.length))?
                .bytes(kept)?
                .optional_text(rows.map(CsvColumns::mapping))?
                .optional_text(rows.map(CsvColumns::header))?
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
