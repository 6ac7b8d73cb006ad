//! The rows around a position: where they are, and reading them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use arrow::error::ArrowError;
use parquet::arrow::arrow_reader::RowSelector;

use super::super::pieces::read_rows;
use super::super::records::{of_batch, texts};
use super::super::{ExportTable, ExportedRow, Record, accruals_of, key_of};
use super::Feed;
use super::files::{FileSpan, OpenFile, Sellers, add};
use super::known::{Known, RecentContent, RecentEpoch};
use crate::error::AggregateError;
use crate::parquet_columns::parquet_error;

/// What is known of the rows around a position, as it was at one time.
pub(super) struct Window {
    pub(super) files: Arc<Vec<FileSpan>>,
    recent: Vec<Arc<RecentEpoch>>,
    /// Are there recent epochs with rows beyond these?
    has_more: bool,
    /// Rows of recent epochs before the position.
    pub(super) rows_before: u64,
    pub(super) sellers_before: Sellers,
    /// First and last epoch.
    epochs: (u64, u64),
    rows_needed: u64,
    is_forward: bool,
}

/// Rows of an epoch that follow each other in a file.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) epoch: u64,
    pub(super) rows: usize,
    start: usize,
    place: PiecePlace,
}

#[derive(Clone, Debug)]
enum PiecePlace {
    File(Arc<OpenFile>),
    Recent(RecentContent),
}

/// A row by what the accruals of an epoch are in order of.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct AccrualRow {
    key: String,
    revision: i64,
    seller: String,
    piece: usize,
    row: usize,
}

impl Window {
    fn new(known: &Known, epochs: (u64, u64), rows_needed: u64, is_forward: bool) -> Self {
        Self {
            files: Arc::clone(&known.files),
            recent: Vec::new(),
            has_more: false,
            rows_before: 0,
            sellers_before: Sellers::new(),
            epochs,
            rows_needed,
            is_forward,
        }
    }

    /// The epochs from one on, with so many rows if there are as many.
    pub(super) fn after(known: &Known, from: u64, to: u64, rows_needed: u64) -> Self {
        let mut window = Self::new(known, (from, to), rows_needed, true);
        let mut rows = 0;
        for recent in &known.recent {
            if recent.epoch < from {
                window.rows_before += recent.rows;
                add(&mut window.sellers_before, &recent.sellers);
            } else if recent.epoch > to {
                break;
            } else if rows >= rows_needed {
                window.has_more = true;
                break;
            } else {
                rows += recent.rows;
                window.recent.push(Arc::clone(recent));
            }
        }
        window
    }

    /// The epochs up to one, with so many rows before it if there are as many.
    pub(super) fn before(known: &Known, to: u64, rows_needed: u64) -> Self {
        let mut window = Self::new(known, (0, to), rows_needed, false);
        let mut rows = 0;
        for recent in known.recent.iter().rev().filter(|recent| recent.epoch <= to) {
            if rows >= rows_needed {
                window.has_more = true;
                break;
            }
            // The position may be within the last.
            rows += if recent.epoch < to { recent.rows } else { 0 };
            window.recent.push(Arc::clone(recent));
        }
        window.recent.reverse();
        window
    }

    /// The rows in order, and whether these are all of the epochs.
    pub(super) fn pieces(&self, feed: &Feed) -> Result<(Vec<Piece>, bool), AggregateError> {
        if self.is_forward {
            let (mut pieces, is_whole) = self.of_files(feed, self.rows_needed)?;
            if !is_whole {
                return Ok((pieces, false));
            }
            pieces.extend(self.of_recent());
            return Ok((pieces, !self.has_more));
        }
        let recent: Vec<Piece> = self.of_recent().collect();
        if self.has_more {
            return Ok((recent, false));
        }
        let before = recent.iter().filter(|piece| piece.epoch < self.epochs.1);
        let found: u64 = before.map(|piece| piece.rows as u64).sum();
        let (mut pieces, is_whole) = self.of_files(feed, self.rows_needed.saturating_sub(found))?;
        pieces.extend(recent);
        Ok((pieces, is_whole))
    }

    fn of_recent(&self) -> impl Iterator<Item = Piece> {
        self.recent.iter().flat_map(|recent| {
            recent.contents.iter().map(|content| Piece {
                epoch: recent.epoch,
                rows: usize::try_from(content.rows).unwrap_or(usize::MAX),
                start: 0,
                place: PiecePlace::Recent(content.clone()),
            })
        })
    }

    /// Rows of the table's files: files are opened one after another until there are enough. What an open file has is
    /// whole up to where the next one begins.
    fn of_files(&self, feed: &Feed, rows_needed: u64) -> Result<(Vec<Piece>, bool), AggregateError> {
        let (from, to) = self.epochs;
        let mut candidates: Vec<(usize, &FileSpan)> =
            self.files.iter().enumerate().filter(|(_, span)| span.last >= from && span.first <= to).collect();
        if self.is_forward {
            candidates.sort_by_key(|(_, span)| span.first);
        } else {
            candidates.sort_by_key(|(_, span)| std::cmp::Reverse(span.last));
        }
        let mut found: Vec<(u64, usize, Piece)> = Vec::new();
        let mut is_whole = true;
        for (position, span) in candidates {
            let is_complete =
                |epoch: u64| if self.is_forward { epoch < span.first } else { epoch > span.last };
            let counts = |epoch: u64| is_complete(epoch) && (self.is_forward || epoch < to);
            let ready = found.iter().filter(|(epoch, ..)| counts(*epoch));
            if ready.map(|(_, _, piece)| piece.rows as u64).sum::<u64>() >= rows_needed.max(1) {
                found.retain(|(epoch, ..)| is_complete(*epoch));
                is_whole = false;
                break;
            }
            let open = feed.files.open(&span.name)?;
            for run in open.runs.iter().filter(|run| (from..=to).contains(&run.epoch)) {
                let place = PiecePlace::File(Arc::clone(&open));
                let piece = Piece { epoch: run.epoch, rows: run.rows, start: run.start, place };
                found.push((run.epoch, position, piece));
            }
        }
        found.sort_by_key(|(epoch, position, piece)| (*epoch, *position, piece.start));
        Ok((found.into_iter().map(|(_, _, piece)| piece).collect(), is_whole))
    }
}

impl Feed {
    /// Reads some rows of an epoch, by their numbers from 0; `sequences` is what each source has before the epoch,
    /// and has these rows afterwards, and those before them.
    pub(super) fn read_epoch(
        &self,
        epoch: u64,
        pieces: &[Piece],
        rows: Range<u64>,
        sequences: &mut BTreeMap<String, u64>,
        to: &mut Vec<ExportedRow>,
    ) -> Result<(), AggregateError> {
        let records = if self.files.kind == ExportTable::Accruals {
            self.accruals(pieces, &rows, sequences)?
        } else {
            *sequences.entry(self.origin.source(self.files.kind)).or_default() += rows.start;
            self.in_order(pieces, &rows)?
        };
        for (row, record) in (rows.start + 1..).zip(records) {
            let sequence = sequences.entry(self.origin.source_of(&record)).or_default();
            *sequence += 1;
            to.push(ExportedRow { epoch, row, sequence: *sequence, record });
        }
        Ok(())
    }

    fn in_order(&self, pieces: &[Piece], rows: &Range<u64>) -> Result<Vec<Record>, AggregateError> {
        let mut records = Vec::new();
        let mut before = 0;
        for piece in pieces {
            let count = piece.rows as u64;
            let begin = rows.start.clamp(before, before + count) - before;
            let end = rows.end.clamp(before, before + count) - before;
            before += count;
            if begin < end {
                let range = |row: u64| usize::try_from(row).unwrap_or(usize::MAX);
                self.read_piece(piece, std::iter::once(range(begin)..range(end)).collect(), &mut records)?;
            }
        }
        Ok(records)
    }

    /// Accruals of an epoch are in order of their keys, wherever they are.
    fn accruals(
        &self,
        pieces: &[Piece],
        rows: &Range<u64>,
        sequences: &mut BTreeMap<String, u64>,
    ) -> Result<Vec<Record>, AggregateError> {
        let all: u64 = pieces.iter().map(|piece| piece.rows as u64).sum();
        let mut records = Vec::new();
        if rows.start == 0 && rows.end >= all {
            for piece in pieces {
                self.read_piece(piece, std::iter::once(0..piece.rows).collect(), &mut records)?;
            }
        } else {
            let mut order = self.order(pieces)?;
            let begin = usize::try_from(rows.start).unwrap_or(usize::MAX).min(order.len());
            let end = usize::try_from(rows.end).unwrap_or(usize::MAX).min(order.len());
            for row in order.drain(..begin) {
                *sequences.entry(accruals_of(&row.seller)).or_default() += 1;
            }
            order.truncate(end - begin);
            order.sort_unstable_by_key(|row| (row.piece, row.row));
            for of_piece in order.chunk_by(|one, other| one.piece == other.piece) {
                let Some(piece) = of_piece.first().and_then(|row| pieces.get(row.piece)) else { continue };
                let ranges = of_piece.chunk_by(|one, other| one.row + 1 == other.row);
                let ranges = ranges.filter_map(|run| Some(run.first()?.row..run.last()?.row + 1)).collect();
                self.read_piece(piece, ranges, &mut records)?;
            }
        }
        records.sort_by(|one, other| key_of(one).cmp(&key_of(other)));
        Ok(records)
    }

    /// All rows of an epoch in order of their keys.
    fn order(&self, pieces: &[Piece]) -> Result<Vec<AccrualRow>, AggregateError> {
        let failed = |error: ArrowError| parquet_error(&self.files.table, error.into());
        let columns = ["accrual_key", "revision", "legal_entity_id"];
        let mut order = Vec::new();
        for (number, piece) in pieces.iter().enumerate() {
            let mut next = 0;
            self.read_columns(
                piece,
                std::iter::once(0..piece.rows).collect(),
                Some(&columns),
                &mut |batch| {
                    let keys = texts(&batch, "accrual_key").map_err(failed)?;
                    let sellers = texts(&batch, "legal_entity_id").map_err(failed)?;
                    let revisions =
                        batch.column_by_name("revision").map(|column| cast(column, &DataType::Int64));
                    let revisions = revisions.transpose().map_err(failed)?;
                    let revisions =
                        revisions.as_ref().and_then(|column| column.as_primitive_opt::<Int64Type>());
                    let missing = || ArrowError::SchemaError("there is no column revision".to_owned());
                    let revisions = revisions.ok_or_else(missing).map_err(failed)?;
                    for (row, (key, seller)) in keys.iter().zip(&sellers).enumerate() {
                        order.push(AccrualRow {
                            key: key.unwrap_or_default().to_owned(),
                            revision: revisions.value(row),
                            seller: seller.unwrap_or_default().to_owned(),
                            piece: number,
                            row: next + row,
                        });
                    }
                    next += batch.num_rows();
                    Ok(())
                },
            )?;
        }
        order.sort_unstable();
        Ok(order)
    }

    fn read_piece(
        &self,
        piece: &Piece,
        rows: Vec<Range<usize>>,
        to: &mut Vec<Record>,
    ) -> Result<(), AggregateError> {
        self.read_columns(piece, rows, None, &mut |batch| {
            let records = of_batch(self.files.kind, &batch);
            to.extend(records.map_err(|error| parquet_error(&self.files.table, error.into()))?);
            Ok(())
        })
    }

    /// Reads rows of a piece, by their numbers in it, in order.
    fn read_columns(
        &self,
        piece: &Piece,
        rows: Vec<Range<usize>>,
        columns: Option<&[&str]>,
        take: &mut impl FnMut(arrow::array::RecordBatch) -> Result<(), AggregateError>,
    ) -> Result<(), AggregateError> {
        let mut at = 0;
        let mut selection = Vec::new();
        for range in rows {
            let (begin, end) = (piece.start + range.start, piece.start + range.end);
            selection.push(RowSelector::skip(begin.saturating_sub(at)));
            selection.push(RowSelector::select(end.saturating_sub(begin)));
            at = end;
        }
        match &piece.place {
            PiecePlace::File(open) => {
                read_rows(&open.source, &self.files.table, Some(selection), columns, take)
            }
            PiecePlace::Recent(content) => {
                let source = content.open(&*self.disk, &self.identity)?;
                read_rows(&source, &self.files.table, Some(selection), columns, take)
            }
        }
    }
}
