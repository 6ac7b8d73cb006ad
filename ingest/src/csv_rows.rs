//! Rows of CSV files as usage events, by a declared mapping.

use schemas::csv_mapping::{CsvEventId, CsvField, CsvMapping, EpochUnit};
use schemas::decimal::Decimal;
use schemas::printable::printable;
use schemas::quarantine::RejectReason;
use schemas::time_zone::TimeZone;
use schemas::timestamp::{Timestamp, TimestampError};
use schemas::usage_event::{EVENT_TIME_END, EVENT_TIME_MIN, SPECVERSION};

use crate::decoder::{DecoderState, number_fault, shortened, span, too_large};
use crate::event_batch::{EventBatch, Span};
use crate::event_parser::{EventParser, ParsedEvent, Token};
use crate::json::{Fault, canonical_number, number};
use crate::key_tree::Attribute;
use crate::keyed_hash::{ValueKind, leaf, seeded};
use crate::metering::{MeteringPlan, Slot};
use crate::scan::PADDING;
use crate::split::{RowSplitter, line_ends};

/// Most names of columns in a message.
const NAMES_SHOWN_MAX: usize = 50;

/// Longest name of a column in a message, in characters.
const NAME_SHOWN_MAX: usize = 60;

/// A CSV mapping, bound to the columns of one file.
#[derive(Debug)]
pub struct CsvColumns {
    mapping: String,
    header: String,
    delimiter: u8,
    width: usize,
    file: String,
    null_values: Vec<String>,
    source: FieldSource,
    id: Option<usize>,
    event_type: FieldSource,
    subject: FieldSource,
    time: usize,
    timezone: Option<TimeZone>,
    epoch: Option<EpochUnit>,
    data: Vec<Property>,
}

#[derive(Debug)]
enum FieldSource {
    Column(usize),
    Value(String),
}

#[derive(Debug)]
struct Property {
    column: usize,
    name: String,
    slot: Option<Slot>,
}

/// Why the first row of a file is no header for a mapping.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// There is no first row.
    #[error("{0}, but has to name the columns")]
    Empty(&'static str),
    /// Not the encoding of CSV files.
    #[error("the file is UTF-16: save it as UTF-8")]
    Utf16,
    /// A quote that opens in the header and swallows the rows.
    #[error("a quote in the header is never closed: close it, or remove it")]
    UnclosedQuote,
    /// A column that the mapping reads is not there.
    #[error("no column {missing:?}, which the csv_mapping \"{mapping}\" reads; the file has {present}")]
    MissingColumn {
        /// The mapping.
        mapping: String,
        /// Its column.
        missing: String,
        /// The columns there are.
        present: String,
    },
    /// A column that the mapping reads is there more than once.
    #[error("the column {column:?}, which the csv_mapping \"{mapping}\" reads, is there twice: rename one")]
    RepeatedColumn {
        /// The mapping.
        mapping: String,
        /// Its column.
        column: String,
    },
}

/// The byte that separates fields; a catalog has no mapping with a wider character.
pub(crate) fn delimiter(mapping: &CsvMapping) -> u8 {
    u8::try_from(mapping.delimiter).unwrap_or(b',')
}

/// The names of the columns, from the bytes of a file's first row.
///
/// # Errors
/// [`HeaderError`] where the bytes are not one row.
fn read_header(bytes: &[u8], delimiter: u8) -> Result<Vec<String>, HeaderError> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(HeaderError::Utf16);
    }
    if RowSplitter::new(delimiter).first_end(bytes).is_none() && line_ends(bytes.trim_ascii_end()) > 0 {
        return Err(HeaderError::UnclosedQuote);
    }
    let mut reader = csv::ReaderBuilder::new().has_headers(false).delimiter(delimiter).from_reader(bytes);
    let mut record = csv::ByteRecord::new();
    // The reader is over a slice in memory, and rows of any length and bytes are allowed.
    if !reader.read_byte_record(&mut record).unwrap_or(false) {
        let what = if bytes.is_empty() { "the file is empty" } else { "the first line is empty" };
        return Err(HeaderError::Empty(what));
    }
    Ok(record.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect())
}

/// Names of columns for a message, as many as a person reads.
fn shown(header: &[String]) -> String {
    let name = |name: &String| printable(&name.chars().take(NAME_SHOWN_MAX).collect::<String>()).into_owned();
    let shown = header.iter().take(NAMES_SHOWN_MAX).map(name).collect::<Vec<_>>().join(", ");
    match header.len().checked_sub(NAMES_SHOWN_MAX) {
        Some(more @ 1..) => format!("{shown} and {more} more"),
        _ => shown,
    }
}

impl CsvColumns {
    /// Binds a mapping to the first row of a file.
    ///
    /// # Errors
    /// [`HeaderError`] where a column of the mapping is not there once.
    pub(crate) fn bind(
        mapping: &CsvMapping,
        plan: &MeteringPlan,
        file: &str,
        first_row: &[u8],
    ) -> Result<Self, HeaderError> {
        let delimiter = delimiter(mapping);
        let header = read_header(first_row, delimiter)?;
        let column = |name: &String| {
            let mut positions = header.iter().enumerate().filter(|(_, column)| *column == name);
            let mapping = || mapping.id.to_string();
            match (positions.next(), positions.next()) {
                (Some((position, _)), None) => Ok(position),
                (Some(_), Some(_)) => {
                    Err(HeaderError::RepeatedColumn { mapping: mapping(), column: name.clone() })
                }
                (None, _) => Err(HeaderError::MissingColumn {
                    mapping: mapping(),
                    missing: name.clone(),
                    present: shown(&header),
                }),
            }
        };
        let field = |field: &CsvField| match field {
            CsvField::Column(name) => column(name).map(FieldSource::Column),
            CsvField::Value(text) => Ok(FieldSource::Value(text.clone())),
        };
        let property = |(name, source): (&String, &String)| {
            let slot = plan.member(0, name.as_bytes()).and_then(|node| plan.slot_at(node));
            Ok(Property { column: column(source)?, name: name.clone(), slot })
        };
        Ok(Self {
            mapping: mapping.id.to_string(),
            header: String::from_utf8_lossy(first_row).into_owned(),
            delimiter,
            width: header.len(),
            file: file.to_owned(),
            null_values: mapping.null_values.clone(),
            source: field(&mapping.source)?,
            id: match &mapping.event_id {
                CsvEventId::Column(name) => Some(column(name)?),
                CsvEventId::FileAndLine => None,
            },
            event_type: field(&mapping.event_type)?,
            subject: field(&mapping.subject)?,
            time: column(&mapping.time.column)?,
            timezone: mapping.time.timezone.clone(),
            epoch: mapping.time.epoch,
            data: mapping.data.iter().map(property).collect::<Result<_, _>>()?,
        })
    }

    /// The mapping's id.
    #[must_use]
    pub fn mapping(&self) -> &str {
        &self.mapping
    }

    /// The file's first row with its line end; what is not UTF-8 in it is replaced.
    #[must_use]
    pub fn header(&self) -> &str {
        &self.header
    }

    pub(crate) const fn delimiter(&self) -> u8 {
        self.delimiter
    }

    /// Fills the parsed event from the fields of a row.
    fn fill(
        &self,
        seeds: &Seeds,
        event: &mut ParsedEvent,
        fields: &[&str],
        line: u64,
    ) -> Result<(), Box<Fault>> {
        event.clear();
        if fields.len() != self.width {
            let detail = format!("the row has {} fields, the header {}", fields.len(), self.width);
            return Err(Fault::of(RejectReason::MalformedCsv, detail));
        }
        let at = |column: usize| {
            let text = fields.get(column).copied().unwrap_or_default();
            (!text.is_empty() && !self.null_values.iter().any(|null| null == text)).then_some(text)
        };
        let of = |source: &'_ FieldSource| match source {
            FieldSource::Column(column) => at(*column).map(ToOwned::to_owned),
            FieldSource::Value(text) => Some(text.clone()),
        };
        let attribute = |event: &mut ParsedEvent, which, name: &str, text: Option<String>| {
            let token = text.as_ref().map_or_else(Token::default, |text| event.keep_text(text.as_bytes()));
            event.set_attribute(which, token);
            if let Some(text) = text.filter(|_| matches!(which, Attribute::Type | Attribute::Subject)) {
                let content = leaf(seeds.attribute(name), ValueKind::Text, text.as_bytes());
                event.content = event.content.wrapping_add(content);
            }
        };
        attribute(event, Attribute::Specversion, "specversion", Some(SPECVERSION.to_owned()));
        let id = match self.id {
            Some(column) => at(column).map(ToOwned::to_owned),
            None => Some(format!("{}:{line}", self.file)),
        };
        attribute(event, Attribute::Id, "id", id);
        attribute(event, Attribute::Source, "source", of(&self.source));
        attribute(event, Attribute::Type, "type", of(&self.event_type));
        attribute(event, Attribute::Subject, "subject", of(&self.subject));
        for property in &self.data {
            let Some(text) = at(property.column) else { continue };
            let bytes = text.as_bytes();
            let is_number = number(bytes, 0).is_ok_and(|number| number.end == bytes.len());
            let canonical = is_number.then(|| canonical_number(bytes));
            let (kind, content) = match &canonical {
                Some(canonical) => (ValueKind::Number, canonical.as_slice()),
                None => (ValueKind::Text, bytes),
            };
            // What looks like a number may be a version or a code, so meters read what is written.
            let token = event.keep_text(bytes);
            if let Some(slot) = property.slot {
                event.set_slot(slot, token);
            }
            let content = leaf(seeded(seeds.data, property.name.as_bytes()), kind, content);
            event.content = event.content.wrapping_add(content);
        }
        let time = match at(self.time) {
            Some(text) => Some(within_range(self.time(text)?, text)?.to_string()),
            None => None,
        };
        attribute(event, Attribute::Time, "time", time);
        Ok(())
    }

    fn time(&self, text: &str) -> Result<Timestamp, Box<Fault>> {
        if let Some(unit) = self.epoch {
            let decimals = match unit {
                EpochUnit::Seconds => 6,
                EpochUnit::Milliseconds => 3,
                EpochUnit::Microseconds => 0,
            };
            let micros = Decimal::parse_scaled(text.as_bytes(), decimals)
                .map_err(number_fault)
                .and_then(|micros| i64::try_from(micros).map_err(|_| "too large".to_owned()));
            return micros.map(Timestamp::from_micros).map_err(|error| bad_time(text, &error));
        }
        let parsed = match (&self.timezone, Timestamp::parse_local_as_utc(text.as_bytes())) {
            (Some(zone), Ok(local)) => Ok(zone.from_local(local)),
            _ => text.parse(),
        };
        parsed.map_err(|error: TimestampError| bad_time(text, &error.to_string()))
    }
}

/// A time that can be an event's: others have years that no text of a time can hold.
fn within_range(time: Timestamp, text: &str) -> Result<Timestamp, Box<Fault>> {
    if time < EVENT_TIME_MIN || time >= EVENT_TIME_END {
        let detail = format!("time is {:?}", shortened(text));
        return Err(Fault::of(RejectReason::TimeOutOfRange, detail));
    }
    Ok(time)
}

fn bad_time(text: &str, error: &str) -> Box<Fault> {
    Fault::of(RejectReason::BadTime, format!("time is {:?}, {error}", shortened(text)))
}

/// Seeds of the content hash, the same as for JSON.
struct Seeds {
    data: u64,
    event_type: u64,
    subject: u64,
}

impl Seeds {
    fn new(parser: &EventParser) -> Self {
        Self {
            data: parser.attribute_seed("data"),
            event_type: parser.attribute_seed("type"),
            subject: parser.attribute_seed("subject"),
        }
    }

    fn attribute(&self, name: &str) -> u64 {
        if name == "type" { self.event_type } else { self.subject }
    }
}

/// Reads rows of any length and width. Nothing fails: the bytes are in memory, and may be any.
fn rows_of(bytes: &[u8], delimiter: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(bytes)
}

/// Decodes the rows in a batch's bytes.
pub(crate) fn decode(
    decoder: &mut DecoderState,
    plan: &MeteringPlan,
    columns: &CsvColumns,
    bytes: &[u8],
    batch: &mut EventBatch,
) {
    let seeds = Seeds::new(&decoder.parser);
    let content = bytes.get(..bytes.len().saturating_sub(PADDING)).unwrap_or_default();
    let mut reader = rows_of(content, columns.delimiter);
    let mut row = csv::ByteRecord::new();
    let (mut lines, mut counted) = (0, 0);
    loop {
        let start = reader.position().byte();
        if !reader.read_byte_record(&mut row).unwrap_or(false) {
            return;
        }
        batch.received += 1;
        let place = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
        let mut start = place(row.position().map_or(start, csv::Position::byte));
        // A row is said to begin where the one before ended: at the line feed of its CR LF, or at empty lines.
        while let Some(b'\n' | b'\r') = content.get(start) {
            start += 1;
        }
        let mut end = place(reader.position().byte());
        while end > start && matches!(content.get(end - 1), Some(b'\n' | b'\r')) {
            end -= 1;
        }
        lines += line_ends(content.get(counted..start).unwrap_or_default());
        counted = start;
        let span = span(start, end, u32::try_from(lines).unwrap_or(u32::MAX));
        let line = batch.origin.line + lines;
        let filled = fill(decoder, columns, &seeds, content.get(start..end), &row, line);
        decoder.accept_or_reject(plan, bytes, span, filled, batch);
    }
}

/// Decodes a row that is alone in its span, and was on a line of its file.
pub(crate) fn decode_row(
    decoder: &mut DecoderState,
    plan: &MeteringPlan,
    columns: &CsvColumns,
    line: u64,
    bytes: &[u8],
    span: Span,
    batch: &mut EventBatch,
) {
    batch.received += 1;
    let seeds = Seeds::new(&decoder.parser);
    let content = bytes.get(span.start as usize..(span.start + span.length) as usize);
    let mut reader = rows_of(content.unwrap_or_default(), columns.delimiter);
    let (mut row, mut another) = (csv::ByteRecord::new(), csv::ByteRecord::new());
    // No row is one without fields.
    let _ = reader.read_byte_record(&mut row);
    let filled = if reader.read_byte_record(&mut another).unwrap_or(false) {
        decoder.parser.event.clear();
        Err(Fault::of(RejectReason::MalformedCsv, "the record is more than one row".to_owned()))
    } else {
        fill(decoder, columns, &seeds, content, &row, line)
    };
    decoder.accept_or_reject(plan, bytes, span, filled, batch);
}

/// Fills the parser's event from a row.
fn fill(
    decoder: &mut DecoderState,
    columns: &CsvColumns,
    seeds: &Seeds,
    content: Option<&[u8]>,
    row: &csv::ByteRecord,
    line: u64,
) -> Result<(), Box<Fault>> {
    let fields: Result<Vec<&str>, _> = row.iter().map(std::str::from_utf8).collect();
    match (too_large(content), &fields) {
        (None, Ok(fields)) => columns.fill(seeds, &mut decoder.parser.event, fields, line),
        (fault, _) => {
            decoder.parser.event.clear();
            let no_utf8 = || Fault::of(RejectReason::InvalidUtf8, "the bytes are not UTF-8".to_owned());
            Err(fault.unwrap_or_else(no_utf8))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::decoder::{Decoder, Records};
    use crate::interner::Interner;
    use crate::keyed_hash::HashKey;

    fn decode(text: &str) -> EventBatch {
        let column = |name: &str| CsvField::Column(name.to_owned());
        let mapping = CsvMapping {
            id: "test".parse().unwrap(),
            files: Vec::new(),
            delimiter: ',',
            null_values: Vec::new(),
            source: CsvField::Value("test".to_owned()),
            event_id: CsvEventId::FileAndLine,
            event_type: CsvField::Value("used".to_owned()),
            subject: column("account"),
            time: schemas::csv_mapping::CsvTime {
                column: "time".to_owned(),
                timezone: Some(TimeZone::UTC),
                epoch: None,
            },
            data: std::collections::BTreeMap::new(),
        };
        let plan = Arc::new(MeteringPlan::new(&[]));
        let columns = CsvColumns::bind(&mapping, &plan, "usage.csv", b"time,account\n").unwrap();
        let mut batch = EventBatch::new(0);
        batch.bytes = [text.as_bytes(), &[0; PADDING]].concat();
        // The header was line 1.
        batch.origin.line = 2;
        let mut decoder = Decoder::new(0, plan, Arc::new(Interner::new(0)), HashKey::random().unwrap());
        decoder.decode(&mut batch, &Records::Rows(Arc::new(columns)));
        batch
    }

    #[test]
    fn a_row_is_known_by_the_line_it_begins_on() {
        let cases: &[(&str, &[(&str, &str)])] = &[
            ("2026-10-01 00:00:00,a\n2026-10-01 00:00:00,a\n", &[("2", "a"), ("3", "a")]),
            ("2026-10-01 00:00:00,a\r\n2026-10-01 00:00:00,a\r\n", &[("2", "a"), ("3", "a")]),
            ("2026-10-01 00:00:00,a\r\n2026-10-01 00:00:00,b", &[("2", "a"), ("3", "b")]),
            ("\n2026-10-01 00:00:00,a\n\n\r\n2026-10-01 00:00:00,b\n", &[("3", "a"), ("6", "b")]),
            ("\"2026-10-01 00:00:00\",\"a\nb\"\n2026-10-01 00:00:00,c\n", &[("4", "c")]),
        ];
        for (text, expected) in cases {
            let batch = decode(text);
            let events = (0..batch.len()).map(|event| {
                let row = batch.record(batch.events.text[event].span);
                assert!(row.starts_with(b"2026") && row.len() == 21, "{row:?}");
                (batch.event_id(event), batch.text(batch.events.text[event].subject).to_owned())
            });
            let expected: Vec<(String, String)> = expected
                .iter()
                .map(|(line, account)| (format!("usage.csv:{line}"), (*account).to_owned()))
                .collect();
            assert_eq!(events.collect::<Vec<_>>(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_row_that_is_refused_says_what_is_wrong_and_how_to_mend_it() {
        let times =
            "write times as 2026-10-31T23:59:59Z or 2026-10-31T23:59:59+01:00, in CSV as the mapping says";
        let long = "9".repeat(80);
        let cases = [
            (
                "2026-10-01 00:00:00,a,b".to_owned(),
                "the row has 3 fields, the header 2: give every row as many fields as the header has"
                    .to_owned(),
            ),
            ("yesterday,a".to_owned(), format!("time is \"yesterday\", not an RFC 3339 time: {times}")),
            (format!("{long},a"), format!("time is \"{}…\", not an RFC 3339 time: {times}", "9".repeat(60))),
        ];
        for (row, expected) in cases {
            assert_eq!(decode(&row).rejects[0].explanation(), expected, "{row}");
        }
    }
}
