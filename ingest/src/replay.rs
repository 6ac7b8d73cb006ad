//! Records that quarantine kept, read again: with another catalog they may be events.
//!
//! Batches of them go through decoders as those of a reader do. Every record becomes one event or one reject,
//! whose position in the list the batch states; a record's id, where its file and line are its id, is the one
//! it had.

use std::sync::Arc;

use schemas::csv_mapping::CsvMapping;
use schemas::quarantine::RejectReason;

use crate::csv_rows::CsvColumns;
use crate::decoder::{Records, span, too_large_detail};
use crate::event_batch::{BatchOrigin, EventBatch, NO_INPUT, Span};
use crate::input::file_name_of;
use crate::metering::MeteringPlan;
use crate::reader::{BATCH_BYTES, pad};

/// A record as quarantine keeps it.
#[derive(Clone, Copy, Debug)]
pub struct QuarantinedRecord<'a> {
    /// Its bytes, or the first of them.
    pub bytes: &'a [u8],
    /// Its length, which is more where bytes were left out.
    pub length: u64,
    /// The name of its input.
    pub input: &'a str,
    /// Its line in the input, from 1.
    pub line: u64,
    /// What it takes to read it, if it is a row of a CSV file.
    pub row: Option<RowOrigin<'a>>,
}

/// What it takes to read a row of a CSV file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowOrigin<'a> {
    /// Id of the CSV mapping.
    pub mapping: &'a str,
    /// The first row of the file.
    pub header: &'a str,
}

/// A record in the bytes of a batch.
#[derive(Clone, Debug)]
pub struct KeptRecord {
    pub(crate) span: Span,
    pub(crate) length: u64,
    pub(crate) position: u32,
    pub(crate) form: Form,
}

/// How a record is read.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    /// As a JSON value.
    Value,
    /// As a row that was on a line of its file.
    Row { columns: Arc<CsvColumns>, line: u64 },
    /// Not at all.
    Unreadable { reason: RejectReason, detail: String },
}

/// Hands out records of a list, batch by batch, in order.
#[derive(Debug)]
pub struct Replay<'a> {
    records: &'a [QuarantinedRecord<'a>],
    mappings: &'a [CsvMapping],
    plan: Arc<MeteringPlan>,
    batch_bytes: usize,
    next: usize,
    sequence: u64,
    /// The file of the last row, as rows of a file come together.
    file: Option<File<'a>>,
}

/// A CSV file whose header is bound to its mapping, or why it cannot be.
#[derive(Debug)]
struct File<'a> {
    input: &'a str,
    origin: RowOrigin<'a>,
    columns: Result<Arc<CsvColumns>, String>,
}

impl<'a> Replay<'a> {
    /// Reads records again with these mappings and the meters of a plan.
    #[must_use]
    pub const fn new(
        records: &'a [QuarantinedRecord<'a>],
        mappings: &'a [CsvMapping],
        plan: Arc<MeteringPlan>,
    ) -> Self {
        Self { records, mappings, plan, batch_bytes: BATCH_BYTES, next: 0, sequence: 0, file: None }
    }

    /// Lets batches have about so many bytes.
    #[must_use]
    pub fn with_batch_bytes(self, batch_bytes: usize) -> Self {
        Self { batch_bytes, ..self }
    }

    /// Fills a cleared batch with the next records; `None` when there are no more.
    pub fn next(&mut self, batch: &mut EventBatch) -> Option<Records> {
        let mut kept = Vec::new();
        batch.bytes.clear();
        while let Some(record) = self.records.get(self.next) {
            let start = batch.bytes.len();
            if start > 0 && start + record.bytes.len() > self.batch_bytes {
                break;
            }
            batch.bytes.extend_from_slice(record.bytes);
            let span = span(start, batch.bytes.len(), 0);
            // What follows a record is none of it.
            batch.bytes.push(b'\n');
            let position = u32::try_from(self.next).unwrap_or(u32::MAX);
            kept.push(KeptRecord { span, length: record.length, position, form: self.form(record) });
            self.next += 1;
        }
        if kept.is_empty() {
            return None;
        }
        pad(&mut batch.bytes);
        batch.origin = BatchOrigin {
            sequence: self.sequence,
            input: NO_INPUT,
            is_last: self.next == self.records.len(),
            ..BatchOrigin::default()
        };
        self.sequence += 1;
        Some(Records::Kept(kept))
    }

    fn form(&mut self, record: &QuarantinedRecord<'a>) -> Form {
        if record.length > record.bytes.len() as u64 {
            let detail = too_large_detail(record.length);
            return Form::Unreadable { reason: RejectReason::EventTooLarge, detail };
        }
        let Some(origin) = record.row else { return Form::Value };
        let is_known = |file: &File<'_>| (file.input, file.origin) == (record.input, origin);
        let file = match self.file.take().filter(is_known) {
            Some(file) => file,
            None => File { input: record.input, origin, columns: self.bind(record.input, origin) },
        };
        match &self.file.insert(file).columns {
            Ok(columns) => Form::Row { columns: Arc::clone(columns), line: record.line },
            Err(detail) => Form::Unreadable { reason: RejectReason::NoCsvMapping, detail: detail.clone() },
        }
    }

    fn bind(&self, input: &str, origin: RowOrigin<'_>) -> Result<Arc<CsvColumns>, String> {
        let RowOrigin { mapping: id, header } = origin;
        let mapping = self.mappings.iter().find(|mapping| mapping.id.as_str() == id);
        let mapping = mapping.ok_or_else(|| format!("the catalog has no csv_mapping \"{id}\""))?;
        CsvColumns::bind(mapping, &self.plan, file_name_of(input), header.as_bytes())
            .map(Arc::new)
            .map_err(|error| error.to_string())
    }
}
