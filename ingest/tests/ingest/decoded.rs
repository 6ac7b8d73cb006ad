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
use schemas::csv_mapping::CsvMapping;
use schemas::quarantine::RejectReason;

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
        let name = path.display().to_string();
        Input { name, path: Some(path), bytes: None, mapping: mapping.map(|_| 0) }
    });
    let mappings = mapping.cloned().into_iter().collect();
    let mut reader = Reader::new(inputs.collect(), mappings, Arc::clone(plan), Arc::new(AtomicU64::new(0)));
    let accounts = Arc::new(Interner::new(5));
    let mut decoders: Vec<(Decoder, Texts)> = (0..decoders)
        .map(|number| {
            let texts = Texts { dimensions: vec![Vec::new(); plan.dimensions().len()], ..Texts::default() };
            (Decoder::new(number, Arc::clone(plan), Arc::clone(&accounts), HashKey::fixed(9)), texts)
        })
        .collect();
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

fn rejected(batch: &EventBatch, reject: &Reject) -> Record {
    let attributes = &reject.attributes;
    let texts = [&attributes.source, &attributes.id, &attributes.event_type, &attributes.subject];
    Record {
        input: batch.origin.input,
        offset: batch.origin.offset + u64::from(reject.span.start),
        line: batch.origin.line + u64::from(reject.span.line),
        bytes: batch.record(reject.span).to_vec(),
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
