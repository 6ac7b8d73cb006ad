//! Runs the reader and decoders over inputs, and what they make of every record.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use ingest::decoder::Decoder;
use ingest::event_batch::{EventBatch, EventText, LineCount, NO_VALUE, Reject};
use ingest::input::{Input, InputError};
use ingest::interner::Interner;
use ingest::keyed_hash::HashKey;
use ingest::metering::MeteringPlan;
use ingest::reader::Reader;
use ingest::replay::{QuarantinedRecord, Replay, RowOrigin};
use schemas::csv_mapping::CsvMapping;
use schemas::quarantine::{QUARANTINED_BYTES_MAX, RejectReason};

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Accepted(Accepted),
    Rejected { reason: RejectReason, detail: String, attributes: Attributes },
}

/// An event as its columns say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) source: String,
    pub(crate) id: String,
    pub(crate) event_type: String,
    pub(crate) subject: String,
    pub(crate) time: i64,
    pub(crate) identity: u128,
    pub(crate) content: u64,
    pub(crate) metered: bool,
    pub(crate) usages: Vec<Usage>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) meter: u16,
    pub(crate) measure: i128,
    pub(crate) event_price: i128,
    pub(crate) dimensions: Vec<Option<String>>,
}

/// Source, id, type, subject and time, where they could be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) texts: [Option<String>; 4],
    pub(crate) time: Option<i64>,
}

/// A record: where it was, its bytes, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) input: u32,
    pub(crate) offset: u64,
    pub(crate) line: u64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) length: u64,
    /// The mapping and the header, where it is a row.
    pub(crate) row: Option<(String, String)>,
    pub(crate) outcome: Outcome,
}

/// What the numbers of a decoder mean.
#[derive(Default)]
struct Texts {
    sources: Vec<String>,
    event_types: Vec<String>,
    dimensions: Vec<Vec<String>>,
}

/// A file for the reader.
pub(crate) struct File {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) fn decode(
    files: Vec<File>,
    decoders: usize,
    plan: &Arc<MeteringPlan>,
    mapping: Option<&CsvMapping>,
) -> Result<Vec<Record>, InputError> {
    let directory = tempfile::tempdir().unwrap();
    let inputs = files.into_iter().enumerate().map(|(position, file)| {
        let path = directory.path().join(format!("{position}"));
        std::fs::create_dir(&path).unwrap();
        let path = path.join(file.name);
        std::fs::File::create(&path).unwrap().write_all(&file.bytes).unwrap();
        (Input::file(path, mapping.map(|_| 0)), None)
    });
    let mappings = mapping.cloned().into_iter().collect();
    let mut reader = Reader::new(inputs.collect(), mappings, Arc::clone(plan), Arc::new(AtomicU64::new(0)));
    let mut decoders: Vec<(Decoder, Texts)> = (0..decoders).map(|number| decoder(number, plan)).collect();
    let mut batch = EventBatch::new(plan.dimensions().len());
    let mut records = Vec::new();
    let mut lines = LineCount::default();
    let mut next = 0;
    while let Some(layout) = reader.next(&mut batch)? {
        let (decoder, texts) = &mut decoders[next];
        decoder.decode(&mut batch, &layout);
        lines.place(&mut batch);
        texts.learn(&batch);
        let from = records.len();
        records.extend((0..batch.len()).map(|event| accepted(&batch, event, texts)));
        records.extend(batch.rejects.iter().map(|reject| rejected(&batch, reject)));
        records[from..].sort_by_key(|record| record.offset);
        assert_eq!(usize::try_from(batch.received).unwrap(), records.len() - from, "records are all counted");
        batch.clear();
        next = (next + 1) % decoders.len();
    }
    Ok(records)
}

fn decoder(number: usize, plan: &Arc<MeteringPlan>) -> (Decoder, Texts) {
    let texts = Texts { dimensions: vec![Vec::new(); plan.dimensions().len()], ..Texts::default() };
    (Decoder::new(number, Arc::clone(plan), Arc::new(Interner::new(5)), HashKey::fixed(9)), texts)
}

/// Reads records again; what becomes of each.
pub(crate) fn replay(
    records: &[QuarantinedRecord<'_>],
    plan: &Arc<MeteringPlan>,
    mappings: &[CsvMapping],
    batch_bytes: usize,
) -> Vec<Outcome> {
    let mut replay = Replay::new(records, mappings, Arc::clone(plan)).with_batch_bytes(batch_bytes);
    let (mut decoder, mut texts) = decoder(0, plan);
    let mut batch = EventBatch::new(plan.dimensions().len());
    let mut outcomes: Vec<(u32, Outcome)> = Vec::new();
    let mut is_last = records.is_empty();
    while let Some(layout) = replay.next(&mut batch) {
        assert!(!is_last, "nothing follows the last batch");
        is_last = batch.origin.is_last;
        decoder.decode(&mut batch, &layout);
        texts.learn(&batch);
        let kept = outcomes.len();
        assert_eq!(batch.replayed.events.len(), batch.len());
        assert_eq!(batch.replayed.rejects.len(), batch.rejects.len());
        let events = batch.replayed.events.iter().enumerate();
        outcomes.extend(events.map(|(event, at)| (*at, accepted(&batch, event, &texts).outcome)));
        for (at, reject) in batch.replayed.rejects.iter().zip(&batch.rejects) {
            assert_eq!(reject.length, records[*at as usize].length);
            outcomes.push((*at, rejected(&batch, reject).outcome));
        }
        outcomes[kept..].sort_by_key(|(at, _)| *at);
        let bytes: usize = outcomes[kept..].iter().map(|(at, _)| records[*at as usize].bytes.len()).sum();
        assert!(bytes <= batch_bytes || outcomes.len() == kept + 1, "batches are bounded");
        assert_eq!(usize::try_from(batch.received).unwrap(), outcomes.len() - kept);
        batch.clear();
    }
    assert!(is_last);
    let positions = outcomes.iter().map(|(at, _)| *at);
    assert!(positions.eq(0..u32::try_from(records.len()).unwrap()), "each record, in order");
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

/// Reads records again as quarantine keeps them: each becomes what it was.
pub(crate) fn check_replay(
    records: &[Record],
    input: &str,
    plan: &Arc<MeteringPlan>,
    mapping: Option<&CsvMapping>,
    batch_bytes: usize,
) {
    assert!(records.iter().all(|record| record.row.is_some() == mapping.is_some()));
    let kept: Vec<QuarantinedRecord<'_>> = records
        .iter()
        .map(|record| QuarantinedRecord {
            bytes: &record.bytes[..record.bytes.len().min(QUARANTINED_BYTES_MAX)],
            length: record.length,
            input,
            line: record.line,
            row: record.row.as_ref().map(|(mapping, header)| RowOrigin { mapping, header }),
        })
        .collect();
    let mappings: Vec<CsvMapping> = mapping.cloned().into_iter().collect();
    for (got, record) in replay(&kept, plan, &mappings, batch_bytes).iter().zip(records) {
        assert_eq!(got, &record.outcome, "{:?}", String::from_utf8_lossy(&record.bytes));
    }
}

impl Texts {
    fn learn(&mut self, batch: &EventBatch) {
        self.sources.extend(batch.new_texts.sources.iter().map(ToString::to_string));
        self.event_types.extend(batch.new_texts.event_types.iter().map(ToString::to_string));
        for (texts, new) in self.dimensions.iter_mut().zip(&batch.new_texts.dimensions) {
            texts.extend(new.iter().map(ToString::to_string));
        }
    }
}

fn accepted(batch: &EventBatch, event: usize, texts: &Texts) -> Record {
    let columns = &batch.events;
    let usage = |usage: usize| Usage {
        meter: batch.usages.meter[usage],
        measure: batch.usages.measure[usage],
        event_price: batch.usages.event_price[usage],
        dimensions: batch
            .usages
            .dimensions
            .iter()
            .zip(&texts.dimensions)
            .map(|(column, texts)| match column[usage] {
                NO_VALUE => None,
                number => Some(texts[number as usize].clone()),
            })
            .collect(),
    };
    let EventText { span, subject, .. } = columns.text[event];
    Record {
        input: batch.origin.input,
        offset: batch.origin.offset + u64::from(span.start),
        line: batch.origin.line + u64::from(span.line),
        bytes: batch.record(span).to_vec(),
        length: span.length.into(),
        row: row(batch),
        outcome: Outcome::Accepted(Accepted {
            source: texts.sources[columns.source[event] as usize].clone(),
            id: batch.event_id(event),
            event_type: texts.event_types[columns.event_type[event] as usize].clone(),
            subject: batch.text(subject).to_owned(),
            time: columns.time[event],
            identity: columns.identity[event],
            content: columns.content[event],
            metered: columns.metered[event],
            usages: batch.usages_of(event).map(usage).collect(),
        }),
    }
}

fn row(batch: &EventBatch) -> Option<(String, String)> {
    let columns = batch.rows.as_deref()?;
    Some((columns.mapping().to_owned(), columns.header().to_owned()))
}

fn rejected(batch: &EventBatch, reject: &Reject) -> Record {
    let attributes = &reject.attributes;
    let texts = [&attributes.source, &attributes.id, &attributes.event_type, &attributes.subject];
    Record {
        input: batch.origin.input,
        offset: batch.origin.offset + u64::from(reject.span.start),
        line: batch.origin.line + u64::from(reject.span.line),
        bytes: batch.record(reject.span).to_vec(),
        length: reject.length,
        row: row(batch),
        outcome: Outcome::Rejected {
            reason: reject.reason,
            detail: reject.detail.clone(),
            attributes: Attributes {
                texts: texts.map(|text| text.as_ref().map(ToString::to_string)),
                time: attributes.time,
            },
        },
    }
}
