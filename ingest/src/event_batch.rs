//! A batch of decoded usage events as columns.
//!
//! Texts that repeat are numbers of the decoder that met them first; the batch carries the texts
//! that are new to that decoder. Ids, and the bytes of refused events, are ranges of the input.

use std::sync::Arc;

use schemas::quarantine::RejectReason;

use crate::csv_rows::CsvColumns;
use crate::position::InputPosition;
use crate::scan::PADDING;
use crate::uuid::uuid_text;

/// Number of an account that no contract names.
pub const UNKNOWN_ACCOUNT: u32 = u32::MAX;

/// Position of the input of records that come from none: they are read again.
pub const NO_INPUT: u32 = u32::MAX;

/// Bytes of a request that are copied into a buffer that is there.
const COPIED_BYTES_MAX: usize = 4 << 10;

/// Number of a dimension that has no value.
pub const NO_VALUE: u32 = u32::MAX;

/// A text of a batch: a range of its input bytes, or of its texts where the input had escapes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextRange {
    pub(crate) start: u32,
    pub(crate) length: u32,
    pub(crate) unescaped: bool,
}

/// A range of the batch's input bytes: one record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset in the batch's bytes.
    pub start: u32,
    /// Length in bytes.
    pub length: u32,
    /// Lines between the first line of the batch and this record's.
    pub line: u32,
}

/// The id of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventId {
    /// A lower-case UUID.
    Uuid([u8; 16]),
    /// Any other text.
    Text(TextRange),
}

/// An event in the bytes of its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventText {
    /// All of it.
    pub span: Span,
    /// Its id.
    pub id: EventId,
    /// Its account.
    pub subject: TextRange,
}

/// Where the bytes of a batch came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchOrigin {
    /// Position among all batches of the run; deciding follows this order.
    pub sequence: u64,
    /// Position of the input.
    pub input: u32,
    /// Offset of the first byte in the (decompressed) input.
    pub offset: u64,
    /// Line of the first byte, from 1; without the lines decoders count until [`LineCount`] adds them.
    pub line: u64,
    /// Where it ends, what the reader skipped included; its line too is completed by [`LineCount`].
    pub end: InputPosition,
    /// Does its input end with it? The last batch of an input may hold no record.
    pub is_last: bool,
}

/// Decoded events, the usage meters read from them, and what was refused.
#[derive(Debug, Default)]
pub struct EventBatch {
    /// Where it came from.
    pub origin: BatchOrigin,
    /// Which decoder made it: its numbers mean this decoder's texts.
    pub decoder: usize,
    /// Input bytes, followed by padding.
    pub bytes: Vec<u8>,
    /// What its records are rows of, if they are rows of one CSV file.
    pub rows: Option<Arc<CsvColumns>>,
    /// Which records of a list its events and rejects are, if they are read again.
    pub replayed: Replayed,
    /// Line ends in the bytes, where the reader left them to the decoder to count.
    pub(crate) line_ends: u32,
    /// Texts that are not verbatim in the input.
    pub(crate) unescaped: Vec<u8>,
    /// The events, one element of each column per event.
    pub events: EventColumns,
    /// The usages of the events, one element of each column per usage.
    pub usages: UsageColumns,
    /// Texts new to the decoder, in order of their numbers.
    pub new_texts: NewTexts,
    /// What is not a usage event.
    pub rejects: Vec<Reject>,
    /// Records read: events and rejects.
    pub received: u64,
}

/// Positions in a list of records that are read again.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Per event.
    pub events: Vec<u32>,
    /// Per reject.
    pub rejects: Vec<u32>,
}

/// Columns with one element per event.
#[derive(Debug, Default)]
pub struct EventColumns {
    /// The event's bytes.
    pub text: Vec<EventText>,
    /// Hash of `(source, id)`, keyed.
    pub identity: Vec<u128>,
    /// Hash of everything else, keyed.
    pub content: Vec<u64>,
    /// Event time, in microseconds since 1970 UTC.
    pub time: Vec<i64>,
    /// Source, as the decoder's number.
    pub source: Vec<u32>,
    /// Type, as the decoder's number.
    pub event_type: Vec<u32>,
    /// Account, as a position in the account directory, or [`UNKNOWN_ACCOUNT`].
    pub account: Vec<u32>,
    /// Is there a meter for the type?
    pub metered: Vec<bool>,
    /// End of the event's usages in the usage columns; they start where the previous event's end.
    pub usages_end: Vec<u32>,
}

/// Columns with one element per usage: an event under a meter that counts it.
#[derive(Debug, Default)]
pub struct UsageColumns {
    /// Position of the meter in the catalog.
    pub meter: Vec<u16>,
    /// The value as a count of `10^-decimals`; for distinct values their keyed hash.
    pub measure: Vec<i128>,
    /// Price or amount in the event, in `10^-18`; 0 where the meter declares none.
    pub event_price: Vec<i128>,
    /// Per dimension of the plan, the value as the decoder's number, or [`NO_VALUE`].
    pub dimensions: Vec<Vec<u32>>,
}

/// Texts a decoder met for the first time in a batch.
#[derive(Debug, Default)]
pub struct NewTexts {
    /// Sources.
    pub sources: Vec<Box<str>>,
    /// Event types.
    pub event_types: Vec<Box<str>>,
    /// Values, per dimension of the plan.
    pub dimensions: Vec<Vec<Box<str>>>,
}

/// A record that is not a usage event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// Its bytes in the batch.
    pub span: Span,
    /// Length in the input, which is more than the span's where bytes were left out.
    pub length: u64,
    /// Why it was refused.
    pub reason: RejectReason,
    /// What exactly is wrong with it, without what its reason says of how to mend it.
    pub detail: String,
    /// The attributes that could be read.
    pub attributes: ReadAttributes,
}

impl Reject {
    /// What is wrong with it and how to mend it.
    #[must_use]
    pub fn explanation(&self) -> String {
        format!("{}: {}", self.detail, self.reason.mend())
    }
}

/// Attributes of a refused event, as far as they could be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadAttributes {
    /// `source`.
    pub source: Option<Box<str>>,
    /// `id`.
    pub id: Option<Box<str>>,
    /// `type`.
    pub event_type: Option<Box<str>>,
    /// `subject`.
    pub subject: Option<Box<str>>,
    /// `time`, in microseconds.
    pub time: Option<i64>,
}

impl EventBatch {
    /// An empty batch for a plan with this many dimensions.
    #[must_use]
    pub fn new(dimensions: usize) -> Self {
        let mut batch = Self::default();
        batch.usages.dimensions.resize_with(dimensions, Vec::new);
        batch.new_texts.dimensions.resize_with(dimensions, Vec::new);
        batch
    }

    /// Empties the batch and keeps its buffers. The input bytes stay until others are read over them.
    pub fn clear(&mut self) {
        self.line_ends = 0;
        self.rows = None;
        self.replayed.events.clear();
        self.replayed.rejects.clear();
        self.unescaped.clear();
        self.rejects.clear();
        self.received = 0;
        self.events.clear();
        self.usages.clear();
        self.new_texts.clear();
    }

    /// Drops the records, and keeps the texts that are new to the decoder: it goes on as if they were known.
    pub fn drop_records(&mut self) {
        let texts = std::mem::take(&mut self.new_texts);
        self.clear();
        self.new_texts = texts;
    }

    /// Takes records in that come from no input.
    pub fn fill(&mut self, records: &[u8]) {
        self.origin = BatchOrigin { input: NO_INPUT, ..BatchOrigin::default() };
        self.copy(records);
    }

    /// The same with the bytes of a request, which are not copied where they are many; it counts as the input at a
    /// position.
    pub fn fill_from_request(&mut self, input: u32, mut records: Vec<u8>) {
        self.origin = BatchOrigin { input, line: 1, ..BatchOrigin::default() };
        if records.len() <= COPIED_BYTES_MAX {
            self.copy(&records);
        } else {
            crate::reader::pad(&mut records);
            self.bytes = records;
        }
    }

    fn copy(&mut self, records: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(records);
        self.bytes.resize(records.len() + PADDING, 0);
    }

    /// Number of events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.text.len()
    }

    /// Are there no events?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.text.is_empty()
    }

    /// The usages of an event, as a range of the usage columns.
    #[must_use]
    pub fn usages_of(&self, event: usize) -> std::ops::Range<usize> {
        let end = |position: usize| self.events.usages_end.get(position).map_or(0, |end| *end as usize);
        let start = event.checked_sub(1).map_or(0, end);
        start..end(event)
    }

    /// The id of an event, as text.
    #[must_use]
    pub fn event_id(&self, event: usize) -> String {
        match self.events.text.get(event).map(|text| text.id) {
            Some(EventId::Uuid(uuid)) => uuid_text(&uuid),
            Some(EventId::Text(range)) => self.text(range).to_owned(),
            None => String::new(),
        }
    }

    /// The bytes of a record.
    #[must_use]
    pub fn record(&self, span: Span) -> &[u8] {
        self.bytes.get(span.start as usize..(span.start + span.length) as usize).unwrap_or_default()
    }

    /// A text of the batch.
    #[must_use]
    pub fn text(&self, range: TextRange) -> &str {
        let buffer = if range.unescaped { &self.unescaped } else { &self.bytes };
        let bytes = buffer.get(range.start as usize..(range.start + range.length) as usize);
        bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

/// Lines of an input that decoders counted; they split lines anyhow, so that the reader need not.
#[derive(Debug, Default)]
pub struct LineCount {
    input: u32,
    lines: u64,
}

impl LineCount {
    /// Completes the lines a decoded batch begins and ends on. Batches come in the order of their sequence.
    pub fn place(&mut self, batch: &mut EventBatch) {
        if batch.origin.input != self.input {
            *self = Self { input: batch.origin.input, lines: 0 };
        }
        batch.origin.line += self.lines;
        self.lines += u64::from(batch.line_ends);
        batch.origin.end.line += self.lines;
    }
}

impl EventColumns {
    fn clear(&mut self) {
        self.text.clear();
        self.identity.clear();
        self.content.clear();
        self.time.clear();
        self.source.clear();
        self.event_type.clear();
        self.account.clear();
        self.metered.clear();
        self.usages_end.clear();
    }
}

impl UsageColumns {
    fn clear(&mut self) {
        self.meter.clear();
        self.measure.clear();
        self.event_price.clear();
        self.dimensions.iter_mut().for_each(Vec::clear);
    }

    /// Number of usages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.meter.len()
    }

    /// Are there no usages?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.meter.is_empty()
    }
}

impl NewTexts {
    fn clear(&mut self) {
        self.sources.clear();
        self.event_types.clear();
        self.dimensions.iter_mut().for_each(Vec::clear);
    }
}
