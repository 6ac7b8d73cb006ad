//! Cuts inputs into batches of whole records.
//!
//! One reader serves all decoders: it hands out numbered batches in input order, so that deciding can
//! follow that order whichever decoder is faster. Cuts depend on the bytes alone, never on how they
//! arrived (RATE-2): a reader that begins at the end of a batch hands out the batches that follow it.
//!
//! Lines that are stored plain are gone on with in place. Everything else is read from its beginning and cut
//! as before, and what was handed out is dropped without being decoded.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use schemas::csv_mapping::CsvMapping;
use schemas::quarantine::{QUARANTINED_BYTES_MAX, RejectReason};
use schemas::usage_event::EVENT_BYTES_MAX;

use crate::csv_rows::{CsvColumns, delimiter};
use crate::decoder::{Records, span, too_large_detail};
use crate::event_batch::{BatchOrigin, EventBatch, ReadAttributes, Reject};
use crate::input::{ByteStream, Input, InputError, has_ending, stem};
use crate::metering::MeteringPlan;
use crate::position::InputPosition;
use crate::scan::PADDING;
use crate::split::{RowSplitter, ValueEnd, ValueSplitter, line_ends};

/// Bytes of input in a batch, about: a batch ends with a record.
pub const BATCH_BYTES: usize = 512 << 10;

/// A carriage return and a line feed, which are no part of a record.
const LINE_END_BYTES_MAX: usize = 2;

/// Bytes by which the format of an input is told; the longest header of a CSV file.
const HEAD_BYTES: usize = 512 << 10;

/// What is wrong with a position in an input that is gone when it is read.
const NOT_A_FILE: &str =
    "only a file can be read again: read this input from its beginning, or store it in a file";

/// What is wrong with a position where no batch ended.
const NO_CUT: &str = "the file has other content than when it was read up to there, but the size and time it \
    had then: restore it, or give it another time (touch) and it is read from its beginning";

/// Hands out the records of inputs, batch by batch.
pub struct Reader {
    inputs: Vec<(Input, Option<InputPosition>)>,
    mappings: Vec<CsvMapping>,
    plan: Arc<MeteringPlan>,
    progress: Arc<AtomicU64>,
    batch_bytes: usize,
    next_input: usize,
    open: Option<OpenInput>,
    sequence: u64,
}

struct OpenInput {
    stream: ByteStream,
    number: u32,
    name: String,
    format: Format,
    batch_bytes: usize,
    /// Begins with the bytes read beyond the last record handed out. What follows them is left over
    /// from earlier batches: bytes that are to be read over need not be cleared.
    buffer: Vec<u8>,
    /// How many bytes were read and not handed out.
    waiting: usize,
    offset: u64,
    line: u64,
    at_end: bool,
}

/// How records follow each other in an input.
enum Format {
    Lines,
    Values(ValueSplitter),
    Rows(Arc<CsvColumns>),
}

impl Reader {
    /// A reader of inputs, each from its beginning or from where a batch of it ended. Stored bytes are added
    /// to `progress` as they are read or passed over.
    #[must_use]
    pub fn new(
        inputs: Vec<(Input, Option<InputPosition>)>,
        mappings: Vec<CsvMapping>,
        plan: Arc<MeteringPlan>,
        progress: Arc<AtomicU64>,
    ) -> Self {
        Self {
            inputs,
            mappings,
            plan,
            progress,
            batch_bytes: BATCH_BYTES,
            next_input: 0,
            open: None,
            sequence: 0,
        }
    }

    /// Lets batches have about so many bytes. Positions are those of one size: another cuts elsewhere.
    #[must_use]
    pub fn with_batch_bytes(self, batch_bytes: usize) -> Self {
        Self { batch_bytes: batch_bytes.max(1), ..self }
    }

    /// Fills a cleared batch with the next records; `None` when there are no more. Every input ends with a
    /// batch that says so, if need be with one that is empty.
    ///
    /// # Errors
    /// [`InputError`] when an input cannot be read to its end, or not from its position.
    pub fn next(&mut self, batch: &mut EventBatch) -> Result<Option<Records>, InputError> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => match self.open_next(batch)? {
                Some(open) => open,
                None => return Ok(None),
            },
        };
        let records = open.next(batch)?;
        batch.origin.sequence = self.sequence;
        self.sequence += 1;
        if !batch.origin.is_last {
            self.open = Some(open);
        }
        Ok(Some(records))
    }

    /// Opens the next input and goes to where it begins; the batch is used on the way.
    fn open_next(&mut self, batch: &mut EventBatch) -> Result<Option<OpenInput>, InputError> {
        let Some((input, from)) = self.inputs.get(self.next_input) else { return Ok(None) };
        let number = u32::try_from(self.next_input).unwrap_or(u32::MAX);
        self.next_input += 1;
        let from = from.filter(|from| from.offset > 0);
        if let Some(from) = from
            && !input.path.as_ref().is_some_and(|path| path.is_file() || !path.exists())
        {
            return Err(wrong_position(&input.name, from, NOT_A_FILE));
        }
        let mut open = OpenInput {
            stream: ByteStream::open(input, &self.progress)?,
            number,
            name: input.name.clone(),
            format: Format::Lines,
            batch_bytes: self.batch_bytes,
            buffer: Vec::new(),
            waiting: 0,
            offset: 0,
            line: 1,
            at_end: false,
        };
        open.fill(HEAD_BYTES)?;
        open.skip_byte_order_mark();
        let mapping = input.mapping.and_then(|mapping| self.mappings.get(mapping));
        open.format = match mapping {
            Some(mapping) => open.bind(input, mapping, &self.plan)?,
            None => open.json_format(input),
        };
        if let (Some(from), Some(path)) = (from, &input.path) {
            open.go_to(path, from, batch)?;
        }
        Ok(Some(open))
    }
}

fn wrong_position(name: &str, position: InputPosition, problem: &'static str) -> InputError {
    InputError::Position { name: name.to_owned(), offset: position.offset, problem }
}

impl OpenInput {
    /// The bytes read and not handed out.
    fn carry(&self) -> &[u8] {
        self.buffer.get(..self.waiting).unwrap_or_default()
    }

    /// Reads until `limit` bytes wait, or the input ends.
    fn fill(&mut self, limit: usize) -> Result<(), InputError> {
        if self.at_end || self.waiting >= limit {
            return Ok(());
        }
        if self.buffer.len() < limit {
            self.buffer.resize(limit, 0);
        }
        let room = self.buffer.get_mut(self.waiting..limit).unwrap_or_default();
        let read = self.stream.fill(room)?;
        self.at_end = read < room.len();
        self.waiting += read;
        Ok(())
    }

    /// Takes bytes off the front.
    fn drop_front(&mut self, bytes: usize) {
        self.buffer.copy_within(bytes..self.waiting, 0);
        self.waiting -= bytes;
    }

    fn skip_byte_order_mark(&mut self) {
        if self.carry().starts_with(b"\xef\xbb\xbf") {
            self.drop_front(3);
            self.offset = 3;
        }
    }

    /// Lines, unless the input is a list, or a `.json` file that may spread a value over lines.
    fn json_format(&self, input: &Input) -> Format {
        let first = self.carry().iter().find(|byte| !byte.is_ascii_whitespace());
        let is_json_file = has_ending(stem(&input.name), ".json");
        if first == Some(&b'[') || is_json_file {
            Format::Values(ValueSplitter::default())
        } else {
            Format::Lines
        }
    }

    /// Reads the header of a CSV file and binds the mapping to it.
    fn bind(
        &mut self,
        input: &Input,
        mapping: &CsvMapping,
        plan: &MeteringPlan,
    ) -> Result<Format, InputError> {
        let header_end = RowSplitter::new(delimiter(mapping)).first_end(self.carry());
        let header_end = header_end.unwrap_or(self.waiting);
        let header = self.carry().get(..header_end).unwrap_or_default().to_vec();
        self.drop_front(header.len());
        self.offset += header.len() as u64;
        self.line += line_ends(&header);
        CsvColumns::bind(mapping, plan, input.file_name(), &header)
            .map(|columns| Format::Rows(Arc::new(columns)))
            .map_err(|error| InputError::Header { name: input.name.clone(), error })
    }

    /// Goes to where a batch ended in an earlier reading; the batch is used on the way.
    fn go_to(
        &mut self,
        path: &Path,
        position: InputPosition,
        batch: &mut EventBatch,
    ) -> Result<(), InputError> {
        let is_plain = matches!(self.format, Format::Lines) && !self.stream.is_compressed();
        if is_plain && position.offset > self.offset {
            self.go_to_line(path, position)?;
        }
        while self.offset < position.offset {
            self.next(batch)?;
            batch.clear();
            if batch.origin.is_last {
                break;
            }
        }
        if let Format::Lines = self.format {
            // The decoders counted them.
            self.line = position.line + 1;
        }
        if (self.offset, self.line) != (position.offset, position.line + 1) {
            return Err(wrong_position(&self.name, position, NO_CUT));
        }
        Ok(())
    }

    /// Goes to where a line begins, or to the end.
    fn go_to_line(&mut self, path: &Path, position: InputPosition) -> Result<(), InputError> {
        self.stream.go_to(path, position.offset - 1)?;
        let mut before = [0];
        let is_there = self.stream.fill(&mut before)? > 0;
        (self.waiting, self.at_end, self.offset) = (0, false, position.offset);
        self.fill(self.batch_bytes)?;
        let is_end = self.waiting == 0;
        if is_there && (before == *b"\n" || is_end) {
            Ok(())
        } else {
            Err(wrong_position(&self.name, position, NO_CUT))
        }
    }

    /// Moves the next whole records into the batch; none at the end of the input.
    fn next(&mut self, batch: &mut EventBatch) -> Result<Records, InputError> {
        batch.origin = BatchOrigin {
            input: self.number,
            offset: self.offset,
            line: self.line,
            ..BatchOrigin::default()
        };
        let mut limit = self.batch_bytes;
        let records = loop {
            self.fill(limit)?;
            if self.waiting == 0 && self.at_end {
                break self.finish(batch)?;
            }
            let (end, records) = self.cut(limit)?;
            if end > 0 {
                self.hand_over(end, batch);
                break records;
            }
            // Not one whole record: read on, up to the largest event there may be.
            if limit > EVENT_BYTES_MAX + LINE_END_BYTES_MAX {
                break self.skip_record(batch)?;
            }
            limit += self.batch_bytes;
        };
        // Lines are counted from 1, and decoders count the others.
        batch.origin.end = InputPosition { offset: self.offset, line: self.line - 1 };
        batch.origin.is_last = self.at_end && self.waiting == 0 && !self.is_in_list();
        Ok(records)
    }

    /// How many of the waiting bytes are whole records, and where the records are; bytes beyond the limit
    /// do not count.
    fn cut(&mut self, limit: usize) -> Result<(usize, Records), InputError> {
        let truncated = |what| InputError::Truncated {
            name: self.name.clone(),
            what,
            offset: self.offset + self.waiting as u64,
        };
        let at_end = self.at_end && self.waiting <= limit;
        let carry = self.buffer.get(..self.waiting.min(limit)).unwrap_or_default();
        match &mut self.format {
            Format::Lines => {
                let end = memchr::memrchr(b'\n', carry).map_or(0, |newline| newline + 1);
                Ok((if at_end { carry.len() } else { end }, Records::Lines))
            }
            Format::Rows(columns) => {
                let end = RowSplitter::new(columns.delimiter()).last_end(carry);
                let end = if at_end { carry.len() } else { end.unwrap_or(0) };
                Ok((end, Records::Rows(Arc::clone(columns))))
            }
            Format::Values(splitter) => {
                let (end, spans) = splitter.split(carry, at_end).map_err(|_| truncated("JSON list"))?;
                Ok((end, Records::Values(spans)))
            }
        }
    }

    fn is_in_list(&self) -> bool {
        matches!(&self.format, Format::Values(splitter) if splitter.is_open())
    }

    /// The batch at the end of the input.
    fn finish(&mut self, batch: &mut EventBatch) -> Result<Records, InputError> {
        if self.is_in_list() {
            let (name, offset) = (self.name.clone(), self.offset);
            return Err(InputError::Truncated { name, what: "JSON list", offset });
        }
        batch.bytes.clear();
        pad(&mut batch.bytes);
        Ok(Records::Values(Vec::new()))
    }

    fn hand_over(&mut self, end: usize, batch: &mut EventBatch) {
        let rest = self.buffer.get(end..self.waiting).unwrap_or_default();
        let next = &mut batch.bytes;
        if next.len() < rest.len() {
            next.resize(rest.len(), 0);
        }
        if let Some(place) = next.get_mut(..rest.len()) {
            place.copy_from_slice(rest);
        }
        self.waiting = rest.len();
        std::mem::swap(next, &mut self.buffer);
        batch.bytes.truncate(end);
        self.offset += end as u64;
        self.line += match self.format {
            // Decoders count them.
            Format::Lines => 0,
            Format::Rows(_) => line_ends(&batch.bytes),
            Format::Values(_) => newlines(&batch.bytes),
        };
        pad(&mut batch.bytes);
    }

    /// Reads past a record that is too large, and refuses it with its first bytes.
    fn skip_record(&mut self, batch: &mut EventBatch) -> Result<Records, InputError> {
        let kept = self.waiting.min(QUARANTINED_BYTES_MAX);
        batch.bytes.clear();
        batch.bytes.extend_from_slice(self.carry().get(..kept).unwrap_or_default());
        pad(&mut batch.bytes);
        let mut length = 0;
        let mut value_end = ValueEnd::default();
        let is_value = matches!(self.format, Format::Values(_));
        loop {
            let newline = || memchr::memchr(b'\n', self.carry());
            let end = if is_value { value_end.find(self.carry()) } else { newline() };
            let read = end.unwrap_or(self.waiting);
            length += read as u64;
            self.line += newlines(self.carry().get(..read).unwrap_or_default());
            self.drop_front(read);
            if end.is_some() || self.at_end {
                break;
            }
            self.fill(BATCH_BYTES)?;
        }
        if !is_value && self.carry().first() == Some(&b'\n') {
            self.drop_front(1);
            self.offset += 1;
            self.line += 1;
        }
        self.offset += length;
        if let Format::Values(splitter) = &mut self.format {
            splitter.resume();
        }
        batch.received = 1;
        batch.rejects.push(Reject {
            span: span(0, kept, 0),
            length,
            reason: RejectReason::EventTooLarge,
            detail: too_large_detail(length),
            attributes: ReadAttributes::default(),
        });
        Ok(Records::Values(Vec::new()))
    }
}

/// Adds the zeros that decoding needs after the bytes.
pub(crate) fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len() + PADDING, 0);
}

fn newlines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

#[cfg(test)]
mod tests;
