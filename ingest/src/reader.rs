//! Cuts inputs into batches of whole records.
//!
//! One reader serves all decoders: it hands out numbered batches in input order, so that deciding can
//! follow that order whichever decoder is faster. Cuts depend on the bytes alone, never on how they
//! arrived (RATE-2).

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use schemas::csv_mapping::CsvMapping;
use schemas::quarantine::{QUARANTINED_BYTES_MAX, RejectReason};
use schemas::usage_event::EVENT_BYTES_MAX;

use crate::csv_rows::{CsvColumns, read_header};
use crate::decoder::{Records, span};
use crate::event_batch::{BatchOrigin, EventBatch, ReadAttributes, Reject};
use crate::input::{ByteStream, Input, InputError, has_ending, stem};
use crate::metering::MeteringPlan;
use crate::scan::PADDING;
use crate::split::{RowSplitter, ValueEnd, ValueSplitter, line_ends};

/// Bytes of input in a batch, about: a batch ends with a record.
pub const BATCH_BYTES: usize = 512 << 10;

/// A carriage return and a line feed, which are no part of a record.
const LINE_END_BYTES_MAX: usize = 2;

/// Longest header of a CSV file.
const HEADER_BYTES_MAX: usize = 1 << 20;

/// Hands out the records of inputs, batch by batch.
pub struct Reader {
    inputs: Vec<Input>,
    mappings: Vec<CsvMapping>,
    plan: Arc<MeteringPlan>,
    progress: Arc<AtomicU64>,
    next_input: usize,
    open: Option<OpenInput>,
    sequence: u64,
}

struct OpenInput {
    stream: ByteStream,
    position: u32,
    name: String,
    format: Format,
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
    /// A reader of inputs. Stored bytes are added to `progress` as they are read.
    #[must_use]
    pub fn new(
        inputs: Vec<Input>,
        mappings: Vec<CsvMapping>,
        plan: Arc<MeteringPlan>,
        progress: Arc<AtomicU64>,
    ) -> Self {
        Self { inputs, mappings, plan, progress, next_input: 0, open: None, sequence: 0 }
    }

    /// Fills a cleared batch with the next records; `None` when there are no more.
    ///
    /// # Errors
    /// [`InputError`] when an input cannot be read to its end.
    pub fn next(&mut self, batch: &mut EventBatch) -> Result<Option<Records>, InputError> {
        loop {
            let mut open = match self.open.take() {
                Some(open) => open,
                None => match self.open_next()? {
                    Some(open) => open,
                    None => return Ok(None),
                },
            };
            if let Some(records) = open.next(batch)? {
                batch.origin.sequence = self.sequence;
                self.sequence += 1;
                self.open = Some(open);
                return Ok(Some(records));
            }
        }
    }

    fn open_next(&mut self) -> Result<Option<OpenInput>, InputError> {
        let Some(input) = self.inputs.get(self.next_input) else { return Ok(None) };
        let position = u32::try_from(self.next_input).unwrap_or(u32::MAX);
        self.next_input += 1;
        let mut open = OpenInput {
            stream: ByteStream::open(input, &self.progress)?,
            position,
            name: input.name.clone(),
            format: Format::Lines,
            buffer: Vec::new(),
            waiting: 0,
            offset: 0,
            line: 1,
            at_end: false,
        };
        open.fill(BATCH_BYTES)?;
        open.skip_byte_order_mark();
        let mapping = input.mapping.and_then(|mapping| self.mappings.get(mapping));
        open.format = match mapping {
            Some(mapping) => open.bind(input, mapping, &self.plan)?,
            None => open.json_format(input),
        };
        Ok(Some(open))
    }
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
        let delimiter = u8::try_from(mapping.delimiter).unwrap_or(b',');
        let header_end = RowSplitter::new(delimiter).first_end(self.carry());
        let header_end = header_end.unwrap_or(self.waiting).min(HEADER_BYTES_MAX);
        let header = self.carry().get(..header_end).unwrap_or_default().to_vec();
        self.drop_front(header.len());
        self.offset += header.len() as u64;
        self.line += line_ends(&header);
        read_header(&header, delimiter)
            .and_then(|names| CsvColumns::bind(mapping, plan, input.file_name(), &names))
            .map(|columns| Format::Rows(Arc::new(columns)))
            .map_err(|error| InputError::Header { name: input.name.clone(), error })
    }

    /// Moves the next whole records into the batch; `None` at the end of the input.
    fn next(&mut self, batch: &mut EventBatch) -> Result<Option<Records>, InputError> {
        self.fill(BATCH_BYTES)?;
        batch.origin =
            BatchOrigin { sequence: 0, input: self.position, offset: self.offset, line: self.line };
        loop {
            if self.waiting == 0 && self.at_end {
                return self.finish();
            }
            let (end, records) = self.cut()?;
            if end > 0 {
                self.hand_over(end, batch);
                return Ok(Some(records));
            }
            // Not one whole record: read on, up to the largest event there may be.
            let reach = self.waiting + BATCH_BYTES;
            if self.waiting > EVENT_BYTES_MAX + LINE_END_BYTES_MAX {
                return self.skip_record(batch).map(Some);
            }
            self.fill(reach)?;
        }
    }

    /// How many of the waiting bytes are whole records, and where the records are.
    fn cut(&mut self) -> Result<(usize, Records), InputError> {
        let truncated = |what| InputError::Truncated {
            name: self.name.clone(),
            what,
            offset: self.offset + self.waiting as u64,
        };
        let carry = self.buffer.get(..self.waiting).unwrap_or_default();
        match &mut self.format {
            Format::Lines => {
                let end = memchr::memrchr(b'\n', carry).map_or(0, |newline| newline + 1);
                Ok((if self.at_end { self.waiting } else { end }, Records::Lines))
            }
            Format::Rows(columns) => {
                let end = RowSplitter::new(columns.delimiter()).last_end(carry);
                let end = if self.at_end { self.waiting } else { end.unwrap_or(0) };
                Ok((end, Records::Rows(Arc::clone(columns))))
            }
            Format::Values(splitter) => {
                let (end, spans) = splitter.split(carry, self.at_end).map_err(|_| truncated("JSON list"))?;
                Ok((end, Records::Values(spans)))
            }
        }
    }

    fn finish(&mut self) -> Result<Option<Records>, InputError> {
        match &self.format {
            Format::Values(splitter) if splitter.is_open() => {
                Err(InputError::Truncated { name: self.name.clone(), what: "JSON list", offset: self.offset })
            }
            _ => Ok(None),
        }
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
            detail: format!("the record has {length} bytes"),
            attributes: ReadAttributes::default(),
        });
        Ok(Records::Values(Vec::new()))
    }
}

/// Adds the zeros that decoding needs after the bytes.
fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len() + PADDING, 0);
}

fn newlines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_batch::LineCount;
    use std::io::Write;

    /// Reads a file with batches that come round, as a run does; what each batch holds.
    fn read(content: &[u8]) -> Vec<(Vec<u8>, BatchOrigin, usize)> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        let input = Input {
            name: "events.ndjson".to_owned(),
            path: Some(file.path().to_owned()),
            bytes: None,
            mapping: None,
        };
        let plan = Arc::new(MeteringPlan::new(&[]));
        let mut reader = Reader::new(vec![input], Vec::new(), plan, Arc::default());
        let mut batches = [EventBatch::new(0), EventBatch::new(0), EventBatch::new(0)];
        let mut lines = LineCount::default();
        let mut read = Vec::new();
        for turn in 0.. {
            let batch = &mut batches[turn % 3];
            batch.clear();
            if reader.next(batch).unwrap().is_none() {
                break;
            }
            let (content, padding) = batch.bytes.split_at(batch.bytes.len() - PADDING);
            assert_eq!(padding, [0; PADDING]);
            let content = content.to_vec();
            // As a decoder does.
            batch.line_ends = u32::try_from(newlines(&content)).unwrap();
            lines.place(batch);
            read.push((content, batch.origin.clone(), batch.rejects.len()));
        }
        read
    }

    #[test]
    fn batches_are_the_input_cut_after_lines() {
        for (lines, reach) in [(1, 9), (200_000, 23), (400, 39_989), (7, 900_001)] {
            let mut content = Vec::new();
            for line in 0..lines {
                content.extend(std::iter::repeat_n(
                    b'a' + u8::try_from(line % 26).unwrap(),
                    line * 7919 % reach,
                ));
                content.push(b'\n');
            }
            content.extend_from_slice(b"no line end");
            let batches = read(&content);
            let mut offset = 0;
            for (sequence, (bytes, origin, rejects)) in batches.iter().enumerate() {
                assert_eq!((origin.sequence, origin.offset), (sequence as u64, offset as u64));
                assert_eq!(origin.line, newlines(&content[..offset]) + 1);
                assert_eq!(bytes, &content[offset..offset + bytes.len()]);
                assert_eq!(*rejects, 0);
                offset += bytes.len();
                assert!(offset == content.len() || bytes.ends_with(b"\n"));
            }
            assert_eq!(offset, content.len());
        }
    }

    #[test]
    fn a_record_that_is_too_large_is_refused_alone() {
        let content = [&b"{}\n"[..], &vec![b'x'; EVENT_BYTES_MAX * 2], b"\n{\"a\":1}\n"].concat();
        let batches = read(&content);
        let kept = vec![b'x'; QUARANTINED_BYTES_MAX];
        let expected: [(&[u8], usize); 3] = [(b"{}\n", 0), (&kept, 1), (b"{\"a\":1}\n", 0)];
        let got: Vec<_> = batches.iter().map(|(bytes, _, rejects)| (bytes.as_slice(), *rejects)).collect();
        assert_eq!(got, expected);
    }
}
