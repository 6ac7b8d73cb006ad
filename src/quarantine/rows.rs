//! Records with their bytes, read in the order of their ids, so many at a time that memory is bounded.

use aggregate::quarantine_rows::quarantine_records;
use aggregate::replay::OpenRecord;
use anyhow::Result;
use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::arrow::error::ArrowError;
use schemas::quarantine::{QUARANTINED_BYTES_MAX, QuarantineRecord};

use super::selection::{NUMBER, Selection};
use crate::sql::Session;

/// Most records that are read at a time, and settled by an epoch.
const CHUNK_RECORDS_MAX: usize = 100_000;

/// Bytes of records that are read at a time: one more record may be more.
const CHUNK_BYTES: u64 = 128 << 20;

/// Records that follow one another: the epochs and numbers of the first and the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    first: (i64, i64),
    last: (i64, i64),
    records: usize,
    bytes: u64,
}

/// Divides the records that are chosen.
pub(super) async fn chunks(session: &Session, selection: &Selection) -> Result<Vec<Chunk>> {
    let sql = format!(
        "SELECT epoch, {NUMBER} AS number, length FROM files.quarantine WHERE {} ORDER BY epoch, number",
        selection.sql()
    );
    let mut chunks = Vec::new();
    for batch in session.rows(&sql).await? {
        let [epochs, numbers, lengths] = ["epoch", "number", "length"].map(|name| longs(&batch, name));
        let (epochs, numbers, lengths) = (epochs?, numbers?, lengths?);
        for ((epoch, number), length) in epochs.into_iter().zip(numbers).zip(lengths) {
            let kept = u64::try_from(length).unwrap_or(0).min(QUARANTINED_BYTES_MAX as u64);
            add(&mut chunks, (epoch, number), kept);
        }
    }
    Ok(chunks)
}

fn add(chunks: &mut Vec<Chunk>, place: (i64, i64), bytes: u64) {
    match chunks.last_mut() {
        Some(chunk) if chunk.records < CHUNK_RECORDS_MAX && chunk.bytes + bytes <= CHUNK_BYTES => {
            chunk.last = place;
            chunk.records += 1;
            chunk.bytes += bytes;
        }
        _ => chunks.push(Chunk { first: place, last: place, records: 1, bytes }),
    }
}

fn longs(batch: &RecordBatch, name: &str) -> Result<Vec<i64>, ArrowError> {
    let column = batch.column_by_name(name).ok_or_else(|| ArrowError::SchemaError(name.to_owned()))?;
    Ok(cast(column, &DataType::Int64)?.as_primitive::<Int64Type>().values().to_vec())
}

impl Chunk {
    /// Its records among those that are chosen.
    fn of(&self, selection: &Selection) -> Selection {
        let ((epoch, number), (last_epoch, last)) = (self.first, self.last);
        selection
            .clone()
            .with(format!("epoch BETWEEN {epoch} AND {last_epoch}"))
            .with(format!("(epoch > {epoch} OR {NUMBER} >= {number})"))
            .with(format!("(epoch < {last_epoch} OR {NUMBER} <= {last})"))
    }
}

/// Reads the records of a chunk.
pub(super) async fn read(
    session: &Session,
    selection: &Selection,
    chunk: &Chunk,
) -> Result<Vec<QuarantineRecord>> {
    let chosen = chunk.of(selection).sql();
    let sql = format!("SELECT * FROM files.quarantine WHERE {chosen} ORDER BY epoch, {NUMBER}");
    let mut records = Vec::new();
    for batch in session.rows(&sql).await? {
        records.append(&mut quarantine_records(&batch)?);
    }
    Ok(records)
}

/// Reads the records of a chunk, which are open, with how many are open of the events of unrated ones.
pub(super) async fn read_open(
    session: &Session,
    selection: &Selection,
    chunk: &Chunk,
) -> Result<Vec<OpenRecord>> {
    let chosen = chunk.of(selection).sql();
    let sql = format!(
        "SELECT record.*, coalesce(event.records, 1) AS open_of_event
         FROM (SELECT * FROM files.quarantine WHERE {chosen}) AS record
         LEFT JOIN (SELECT epoch, source, event_id, count(*) AS records FROM files.quarantine
                    WHERE epoch BETWEEN {} AND {} AND class = 'unrated'
                    AND quarantine_id NOT IN (SELECT quarantine_id FROM files.settled)
                    GROUP BY epoch, source, event_id) AS event
         ON record.epoch = event.epoch AND record.source = event.source AND record.event_id = event.event_id
         ORDER BY record.epoch, {}",
        chunk.first.0,
        chunk.last.0,
        NUMBER.replace("quarantine_id", "record.quarantine_id"),
    );
    let mut open = Vec::new();
    for batch in session.rows(&sql).await? {
        let counts = longs(&batch, "open_of_event")?;
        for (record, count) in quarantine_records(&batch)?.into_iter().zip(counts) {
            open.push(OpenRecord { record, open_of_event: u64::try_from(count).unwrap_or(1) });
        }
    }
    Ok(open)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_ends_by_its_records_or_its_bytes() {
        let mut chunks = Vec::new();
        for number in 0..=i64::try_from(CHUNK_RECORDS_MAX).unwrap_or(0) {
            add(&mut chunks, (1, number), 1);
        }
        add(&mut chunks, (2, 1), CHUNK_BYTES);
        add(&mut chunks, (2, 2), CHUNK_BYTES * 2);
        let sizes: Vec<usize> = chunks.iter().map(|chunk| chunk.records).collect();
        assert_eq!(sizes, [CHUNK_RECORDS_MAX, 1, 1, 1]);
        assert_eq!(chunks[1].first, chunks[1].last);
    }
}
