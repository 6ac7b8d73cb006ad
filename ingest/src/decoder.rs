//! Makes columns of records: each is parsed, validated and read by the meters of its type, or
//! refused with a reason. Decoders run in parallel and share nothing but the plan and the accounts.

mod accounts;
mod usages;

use std::sync::Arc;

use schemas::decimal::DecimalError;
use schemas::id::{ID_BYTES_MAX, IdError, check_id};
use schemas::quarantine::RejectReason;
use schemas::timestamp::{Timestamp, TimestampError};
use schemas::usage_event::{EVENT_BYTES_MAX, EVENT_TIME_END, EVENT_TIME_MIN, SPECVERSION};

use accounts::find_accounts;

use crate::csv_rows::CsvColumns;
use crate::event_batch::{EventBatch, EventId, EventText, ReadAttributes, Reject, Span, TextRange};
use crate::event_parser::{EventParser, ParsedEvent, Token, TokenKind, token};
use crate::event_time::EventTimeReader;
use crate::interner::Interner;
use crate::json::{Fault, skip_space};
use crate::key_tree::Attribute;
use crate::keyed_hash::{HashKey, IdentityKey, ValueKind, leaf_of_word};
use crate::metering::MeteringPlan;
use crate::replay::{Form, KeptRecord};
use crate::scan::PADDING;
use crate::uuid::parse_uuid;

/// How the records of a batch lie in its bytes.
#[derive(Clone, Debug)]
pub enum Records {
    /// One JSON object per line.
    Lines,
    /// JSON values at these places.
    Values(Vec<Span>),
    /// Rows of a CSV file with these columns.
    Rows(Arc<CsvColumns>),
    /// Records that were kept, each with what it takes to read it again.
    Kept(Vec<KeptRecord>),
}

/// Turns the bytes of batches into columns.
#[derive(Debug)]
pub struct Decoder {
    plan: Arc<MeteringPlan>,
    accounts: Arc<Interner>,
    state: DecoderState,
}

/// What changes while decoding; the plan and the accounts are shared and do not.
#[derive(Debug)]
pub(crate) struct DecoderState {
    number: usize,
    key: HashKey,
    pub(crate) parser: EventParser,
    sources: Interner,
    /// For every known source, the key of its ids.
    id_keys: Vec<IdentityKey>,
    /// Key of distinct values, whatever their JSON type: `42` and `"42"` are one.
    value_key: IdentityKey,
    event_types: Interner,
    /// For every known event type, its position in the plan.
    plan_of_type: Vec<Option<usize>>,
    dimensions: Vec<Interner>,
    times: EventTimeReader,
    time_seed: u64,
    /// Time of events that have none.
    received: Option<Timestamp>,
}

impl Decoder {
    /// A decoder. `accounts` numbers the accounts of the catalog.
    #[must_use]
    pub fn new(number: usize, plan: Arc<MeteringPlan>, accounts: Arc<Interner>, key: HashKey) -> Self {
        let parser = EventParser::new(&plan, key.content_root());
        let seed = key.content_root();
        let state = DecoderState {
            number,
            key,
            sources: Interner::new(seed),
            id_keys: Vec::new(),
            value_key: key.within(b""),
            event_types: Interner::new(seed),
            plan_of_type: Vec::new(),
            dimensions: plan.dimensions().iter().map(|_| Interner::new(seed)).collect(),
            times: EventTimeReader::default(),
            time_seed: parser.attribute_seed("time"),
            received: None,
            parser,
        };
        Self { plan, accounts, state }
    }

    /// Gives events without a time the time they were received at, from here on; `None` refuses them. It is no part
    /// of their content: an event that is sent again later is the same.
    pub const fn set_received(&mut self, time: Option<Timestamp>) {
        self.state.received = time;
    }

    /// Decodes the bytes of a batch into its columns.
    pub fn decode(&mut self, batch: &mut EventBatch, records: &Records) {
        let plan: &MeteringPlan = &self.plan;
        let state = &mut self.state;
        batch.decoder = state.number;
        // The bytes are lent out, so that columns can be filled while they are read.
        let bytes = std::mem::take(&mut batch.bytes);
        state.parser.event.unescaped.clear();
        if let Records::Rows(columns) = records {
            batch.rows = Some(Arc::clone(columns));
        }
        let is_utf8 = simdutf8::basic::from_utf8(&bytes).is_ok();
        match records {
            Records::Lines => state.lines(plan, &bytes, is_utf8, batch),
            Records::Values(spans) => {
                for span in spans {
                    state.record(plan, &bytes, *span, is_utf8, batch);
                }
            }
            Records::Rows(columns) => crate::csv_rows::decode(state, plan, columns, &bytes, batch),
            Records::Kept(records) => state.kept(plan, &bytes, records, is_utf8, batch),
        }
        find_accounts(&self.accounts, &bytes, &state.parser.event.unescaped, &mut batch.events);
        std::mem::swap(&mut batch.unescaped, &mut state.parser.event.unescaped);
        batch.bytes = bytes;
    }
}

impl DecoderState {
    fn lines(&mut self, plan: &MeteringPlan, bytes: &[u8], is_utf8: bool, batch: &mut EventBatch) {
        let content = bytes.get(..bytes.len().saturating_sub(PADDING)).unwrap_or_default();
        let mut start = 0;
        let ends = memchr::memchr_iter(b'\n', content).chain(std::iter::once(content.len()));
        for (line, end) in (0u32..).zip(ends) {
            let span = span(start, end, line);
            start = end + 1;
            batch.line_ends = line;
            // To the end of the line and no further: a file of blank lines is read once, not once a line.
            let is_blank = |line: &[u8]| line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'));
            if !bytes.get(span.start as usize..end).is_none_or(is_blank) {
                self.record(plan, bytes, span, is_utf8, batch);
            }
        }
    }

    /// Decodes records that were kept; each becomes one event or one reject.
    fn kept(
        &mut self,
        plan: &MeteringPlan,
        bytes: &[u8],
        records: &[KeptRecord],
        is_utf8: bool,
        batch: &mut EventBatch,
    ) {
        for KeptRecord { span, length, position, form } in records {
            let rejects = batch.rejects.len();
            match form {
                Form::Value => self.record(plan, bytes, *span, is_utf8, batch),
                Form::Row { columns, line } => {
                    crate::csv_rows::decode_row(self, plan, columns, *line, bytes, *span, batch);
                }
                Form::Unreadable { reason, detail } => {
                    batch.received += 1;
                    self.parser.event.clear();
                    self.reject(bytes, *span, *Fault::of(*reason, detail.clone()), batch);
                }
            }
            match batch.rejects.get_mut(rejects) {
                Some(reject) => {
                    reject.length = *length;
                    batch.replayed.rejects.push(*position);
                }
                None => batch.replayed.events.push(*position),
            }
        }
    }

    /// Decodes one JSON value.
    fn record(
        &mut self,
        plan: &MeteringPlan,
        bytes: &[u8],
        span: Span,
        is_utf8: bool,
        batch: &mut EventBatch,
    ) {
        batch.received += 1;
        let span = if span.length as usize > EVENT_BYTES_MAX { trimmed(bytes, span) } else { span };
        let (start, end) = (span.start as usize, (span.start + span.length) as usize);
        if let Some(fault) = too_large(bytes.get(start..end)) {
            self.parser.event.clear();
            self.reject(bytes, span, *fault, batch);
            return;
        }
        if !is_utf8 && let Err(error) = simdutf8::compat::from_utf8(bytes.get(start..end).unwrap_or_default())
        {
            self.parser.event.clear();
            let at = start + error.valid_up_to();
            let fault = Fault::at(RejectReason::InvalidUtf8, "the bytes are not UTF-8", at);
            self.reject(bytes, span, *fault, batch);
            return;
        }
        let parsed = self.parser.parse(plan, bytes, start);
        if matches!(&parsed, Ok(after) if *after == end) {
            self.accept_or_reject(plan, bytes, span, Ok(()), batch);
            return;
        }
        let parsed = parsed.and_then(|after| {
            let after = skip_space(bytes, after);
            if after < end { Err(Fault::malformed("something follows the event", after)) } else { Ok(after) }
        });
        // White space of JSON includes line ends: a value may not reach into the next line, and what is
        // there is none of its faults.
        let is_cut_short = match &parsed {
            Ok(after) => !bytes.get(end..*after).unwrap_or_default().iter().all(u8::is_ascii_whitespace),
            Err(fault) => fault.at.is_some_and(|at| at >= end),
        };
        if is_cut_short {
            self.reject_cut_short(plan, bytes, span, batch);
            return;
        }
        let parsed = parsed.map(|_| ());
        self.accept_or_reject(plan, bytes, span, parsed, batch);
    }

    /// Refuses a record that ends before its event does, read again without what follows it.
    #[cold]
    fn reject_cut_short(&mut self, plan: &MeteringPlan, bytes: &[u8], span: Span, batch: &mut EventBatch) {
        let record = bytes.get(span.start as usize..).and_then(|rest| rest.get(..span.length as usize));
        let record = record.unwrap_or_default();
        let alone = [record, &[0; PADDING]].concat();
        let _ = self.parser.parse(plan, &alone, 0);
        let fault = Fault::malformed("the record ends before the event does", record.len());
        self.reject(&alone, Span { start: 0, ..span }, *fault, batch);
        if let Some(reject) = batch.rejects.last_mut() {
            reject.span = span;
        }
    }

    /// Adds the parsed event to the columns, or what is wrong with it to the rejects.
    pub(crate) fn accept_or_reject(
        &mut self,
        plan: &MeteringPlan,
        bytes: &[u8],
        span: Span,
        parsed: Result<(), Box<Fault>>,
        batch: &mut EventBatch,
    ) {
        let usages = batch.usages.len();
        if let Err(fault) = parsed.and_then(|()| self.accept(plan, bytes, span, batch)) {
            batch.usages.meter.truncate(usages);
            batch.usages.measure.truncate(usages);
            batch.usages.event_price.truncate(usages);
            batch.usages.dimensions.iter_mut().for_each(|column| column.truncate(usages));
            self.reject(bytes, span, *fault, batch);
        }
    }

    #[inline]
    fn accept(
        &mut self,
        plan: &MeteringPlan,
        bytes: &[u8],
        span: Span,
        batch: &mut EventBatch,
    ) -> Result<(), Box<Fault>> {
        let event = &self.parser.event;
        let [id, source, event_type, subject, time, specversion, sampledrate] = event.attributes();
        let is_complete = [id, source, event_type, subject]
            .into_iter()
            .all(|token| token.is_text() && token.start < token.end)
            && (!is_absent(time) || self.received.is_some())
            && is_supported(event, bytes, specversion);
        if !is_complete {
            self.refuse_incomplete(bytes)?;
        }

        let id_bytes = event.bytes(bytes, id);
        let id = match parse_uuid(id_bytes) {
            Some(uuid) => EventId::Uuid(uuid),
            None => {
                check_attribute("id", id_bytes)?;
                EventId::Text(text_range(id))
            }
        };
        let (id_keys, key) = (&mut self.id_keys, &self.key);
        let source_number = intern_attribute(&mut self.sources, "source", event, bytes, source, |text| {
            id_keys.push(key.within(text.as_bytes()));
            batch.new_texts.sources.push(text.into());
        })?;
        let id_key = self.id_keys.get(source_number as usize).copied().unwrap_or(self.value_key);
        let identity = match id {
            EventId::Uuid(uuid) => id_key.uuid(uuid),
            EventId::Text(_) => id_key.text(id_bytes),
        };
        let plan_of_type = &mut self.plan_of_type;
        let type_number =
            intern_attribute(&mut self.event_types, "type", event, bytes, event_type, |text| {
                plan_of_type.push(plan.event_types().iter().position(|plan| plan.name == text));
                batch.new_texts.event_types.push(text.into());
            })?;
        let subject_text = event.bytes(bytes, subject);
        if !is_plain(subject_text) {
            check_attribute("subject", subject_text)?;
        }
        let (time, is_sent) = match self.received.filter(|_| is_absent(time)) {
            Some(received) => (received, false),
            None => (self.time(bytes, time)?, true),
        };
        let event = &self.parser.event;
        if !is_absent(sampledrate) && event.bytes(bytes, sampledrate) != b"1" {
            return Err(Fault::of(
                RejectReason::SampledTelemetry,
                format!("sampledrate is {}", self.show(bytes, sampledrate)),
            ));
        }

        let type_plan = self.plan_of_type.get(type_number as usize).copied().flatten();
        let type_plan = type_plan.and_then(|position| plan.event_types().get(position));
        if let Some(type_plan) = type_plan {
            self.meter(plan, bytes, type_plan, batch)?;
        }

        let event = &self.parser.event;
        let instant = leaf_of_word(self.time_seed, ValueKind::Instant, time.micros().cast_unsigned());
        let instant = if is_sent { instant } else { 0 };
        let columns = &mut batch.events;
        columns.text.push(EventText { span, id, subject: text_range(subject) });
        columns.identity.push(identity);
        columns.content.push(event.content.wrapping_add(instant));
        columns.time.push(time.micros());
        columns.source.push(source_number);
        columns.event_type.push(type_number);
        columns.metered.push(type_plan.is_some());
        columns.usages_end.push(u32::try_from(batch.usages.meter.len()).unwrap_or(u32::MAX));
        Ok(())
    }

    /// Refuses an event without all its attributes. One that is not there goes before one that is no text.
    #[cold]
    fn refuse_incomplete(&self, bytes: &[u8]) -> Result<(), Box<Fault>> {
        let event = &self.parser.event;
        let specversion = event.attribute(Attribute::Specversion);
        if !is_supported(event, bytes, specversion) {
            let detail = format!("specversion is {}", self.show(bytes, specversion));
            return Err(Fault::of(RejectReason::UnsupportedSpecversion, detail));
        }
        let required = [
            (Attribute::Id, "id", RejectReason::MissingId),
            (Attribute::Source, "source", RejectReason::MissingSource),
            (Attribute::Type, "type", RejectReason::MissingType),
            (Attribute::Subject, "subject", RejectReason::MissingSubject),
            (Attribute::Time, "time", RejectReason::MissingTime),
        ];
        for (attribute, name, missing) in required {
            let token = event.attribute(attribute);
            let is_empty = token.is_text() && token.start == token.end && attribute != Attribute::Time;
            let is_given = attribute == Attribute::Time && self.received.is_some();
            if is_empty || (is_absent(token) && !is_given) {
                return Err(Fault::of(missing, format!("the event has no {name}")));
            }
        }
        for (attribute, name, _) in required {
            let token = event.attribute(attribute);
            if !token.is_text() && !is_absent(token) {
                let detail = format!("{name} is {}", self.show(bytes, token));
                return Err(Fault::of(RejectReason::InvalidAttribute, detail));
            }
        }
        Ok(())
    }

    #[inline]
    fn time(&mut self, bytes: &[u8], token: Token) -> Result<Timestamp, Box<Fault>> {
        if !token.is_text() {
            return Err(self.bad_time(bytes, token, TimestampError::NotATime));
        }
        let time = match self.times.read(self.parser.event.bytes(bytes, token)) {
            Ok(time) => time,
            Err(error) => return Err(self.bad_time(bytes, token, error)),
        };
        if time < EVENT_TIME_MIN || time >= EVENT_TIME_END {
            let detail = format!("time is {time}");
            return Err(Fault::of(RejectReason::TimeOutOfRange, detail));
        }
        Ok(time)
    }

    #[cold]
    fn bad_time(&self, bytes: &[u8], token: Token, error: TimestampError) -> Box<Fault> {
        Fault::of(RejectReason::BadTime, format!("time is {}, {error}", self.show(bytes, token)))
    }

    /// A value as an error message shows it, cut where it is long.
    #[cold]
    fn show(&self, bytes: &[u8], token: Token) -> String {
        let shown = shortened(&String::from_utf8_lossy(self.parser.event.bytes(bytes, token)));
        match token.kind {
            TokenKind::Absent => "missing".to_owned(),
            TokenKind::Container => "an object or a list".to_owned(),
            TokenKind::Text | TokenKind::UnescapedText => format!("{shown:?}"),
            TokenKind::Number | TokenKind::Bool | TokenKind::Null => shown,
        }
    }

    #[cold]
    fn reject(&mut self, bytes: &[u8], span: Span, fault: Fault, batch: &mut EventBatch) {
        let event = &self.parser.event;
        let read = |attribute| {
            let token = event.attribute(attribute);
            let text = event.bytes(bytes, token);
            let usable = token.is_text() && !text.is_empty() && text.len() <= ID_BYTES_MAX;
            usable.then(|| String::from_utf8_lossy(text).into())
        };
        let attributes = ReadAttributes {
            source: read(Attribute::Source),
            id: read(Attribute::Id),
            event_type: read(Attribute::Type),
            subject: read(Attribute::Subject),
            time: None,
        };
        let time = event.attribute(Attribute::Time);
        let time = self.time(bytes, time).ok().map(Timestamp::micros);
        let detail = match fault.at.and_then(|at| at.checked_sub(span.start as usize)) {
            Some(byte) => format!("{} (byte {byte} of the record)", fault.detail),
            None => fault.detail.into_owned(),
        };
        batch.rejects.push(Reject {
            span,
            length: u64::from(span.length),
            reason: fault.reason,
            detail,
            attributes: ReadAttributes { time, ..attributes },
        });
    }
}

/// The fault of a record that is too large.
#[inline]
pub(crate) fn too_large(record: Option<&[u8]>) -> Option<Box<Fault>> {
    let length = record.filter(|record| record.len() > EVENT_BYTES_MAX)?.len();
    Some(Fault::of(RejectReason::EventTooLarge, too_large_detail(length as u64)))
}

/// What is said of a record that is too large.
pub(crate) fn too_large_detail(length: u64) -> String {
    format!("the record has {length} bytes")
}

/// A JSON value without the white space around it, which counts nothing against the limit.
#[cold]
fn trimmed(bytes: &[u8], whole: Span) -> Span {
    let (start, end) = (whole.start as usize, (whole.start + whole.length) as usize);
    let record = bytes.get(start..end).unwrap_or_default().trim_ascii_end();
    let end = start + record.len();
    span(end - record.trim_ascii_start().len(), end, whole.line)
}

pub(crate) fn span(start: usize, end: usize, line: u32) -> Span {
    let whole = token(TokenKind::Text, start, end);
    Span { start: whole.start, length: whole.end - whole.start, line }
}

const fn text_range(token: Token) -> TextRange {
    TextRange {
        start: token.start,
        length: token.end - token.start,
        unescaped: matches!(token.kind, TokenKind::UnescapedText),
    }
}

#[cold]
fn check_attribute(name: &str, text: &[u8]) -> Result<(), Box<Fault>> {
    let text = std::str::from_utf8(text).unwrap_or_default();
    check_id(text).map_err(|error| {
        let detail = match error {
            IdError::Empty => format!("{name} is empty"),
            IdError::TooLong => format!("{name} has {} bytes", text.len()),
            IdError::ControlCharacter => format!("{name} holds a forbidden character"),
        };
        Fault::of(RejectReason::InvalidAttribute, detail)
    })
}

/// A text as an error message shows it, cut where it is long.
pub(crate) fn shortened(text: &str) -> String {
    let shown: String = text.chars().take(60).collect();
    let cut = if shown.len() < text.len() { "…" } else { "" };
    shown + cut
}

/// What is wrong with a number, as it follows the number.
pub(crate) fn number_fault(error: DecimalError) -> String {
    match error {
        DecimalError::NotANumber => "not a number".to_owned(),
        DecimalError::TooLong => "with more than 64 digits".to_owned(),
        DecimalError::TooPrecise(places) => format!("with more than {places} decimal places"),
        DecimalError::OutOfRange => "too large".to_owned(),
    }
}

/// Is it the version of an event that can be read?
#[inline]
fn is_supported(event: &ParsedEvent, bytes: &[u8], specversion: Token) -> bool {
    specversion.is_text() && event.bytes(bytes, specversion) == SPECVERSION.as_bytes()
}

/// Is an attribute not there? One that is null is not.
#[inline]
const fn is_absent(token: Token) -> bool {
    matches!(token.kind, TokenKind::Absent | TokenKind::Null)
}

/// Nothing but printable ASCII, and not too long?
#[inline]
fn is_plain(text: &[u8]) -> bool {
    const ONES: u64 = u64::MAX / 0xff;
    // Bytes from 0x80, from 0x7f and below 0x20 have their high bit set in one of the three.
    let others = |eight: &[u8; 8]| {
        let bytes = u64::from_le_bytes(*eight);
        (bytes | bytes.wrapping_add(ONES) | bytes.wrapping_sub(ONES * 0x20)) & (ONES * 0x80)
    };
    let Some(last) = text.last_chunk() else { return text.iter().all(|byte| matches!(byte, 0x20..0x7f)) };
    let (eights, _) = text.as_chunks();
    text.len() <= ID_BYTES_MAX && eights.iter().fold(others(last), |bits, eight| bits | others(eight)) == 0
}

/// The number of an attribute's text; a text that is new is checked first, and told to `on_new`.
#[inline]
fn intern_attribute(
    interner: &mut Interner,
    name: &str,
    event: &ParsedEvent,
    bytes: &[u8],
    token: Token,
    on_new: impl FnOnce(&str),
) -> Result<u32, Box<Fault>> {
    let buffer = event.buffer(bytes, token);
    if let Some(number) = interner.find_at(buffer, token.start as usize, token.end as usize) {
        return Ok(number);
    }
    let text = event.bytes(bytes, token);
    check_attribute(name, text)?;
    on_new(std::str::from_utf8(text).unwrap_or_default());
    Ok(interner.intern(text).number())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_texts_are_printable_ascii_of_bounded_length() {
        for length in 0..20 {
            assert!(is_plain(&vec![b'a'; length]));
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    let mut text = vec![b'a'; length];
                    text[at] = byte;
                    assert_eq!(is_plain(&text), matches!(byte, 0x20..0x7f), "{byte} at {at} of {length}");
                }
            }
        }
        assert!(is_plain(&[b'a'; ID_BYTES_MAX]) && !is_plain(&[b'a'; ID_BYTES_MAX + 1]));
    }
}
