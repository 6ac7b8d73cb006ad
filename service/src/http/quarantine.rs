//! `/v1/quarantine`: what was refused, is a conflict, or has no price; and deciding it again.
//!
//! A replay reads open records beside the writing thread, some epochs at a time, and hands them to it. Only replays
//! settle records, so what was read is open still unless another replay was committed meanwhile: then the writing
//! thread refuses, and they are read again. Each event is counted once, however often it is asked for (DEDUP-1, CONS-1).

use std::collections::{BTreeMap, HashMap};

use aggregate::export::{ExportedRow, FeedChunk, Position, Record};
use aggregate::replay::{Fate, OpenRecord, Replayed, StillOpen};
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use schemars::JsonSchema;
use schemas::epoch::SettledOutcome;
use schemas::quarantine::{CONFLICT_MEND, QuarantineClass, QuarantineRecord, RejectReason, UnratedReason};
use serde::{Deserialize, Serialize};

use super::Service;
use super::api::Operation;
use super::body::read_small;
use super::events::json;
use super::off_loop::{read_off_the_loop, to_its_end};
use super::problem::Problem;
use super::segments::Segments;
use super::streams::Stream;

/// Records of an answer, where nobody says.
const LIMIT: usize = 100;

/// The most records of an answer.
const LIMIT_MAX: usize = 1_000;

/// Records that are read at once.
const READ_MAX: usize = 1_000;

/// Records that are looked at for an answer: a filter may let few through.
const LOOKED_AT_MAX: usize = 20_000;

/// Which records: those that are all it says, and every one where it says nothing.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordFilter {
    /// Only those of a class.
    class: Option<QuarantineClass>,
    /// Only those with a reason.
    reason: Option<String>,
    /// Only those of an account.
    account: Option<String>,
    /// Only those with one of these ids.
    #[serde(default)]
    ids: Vec<String>,
}

/// Which records of a list. Newest first.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// Cursor of the answer before, to go on with older ones.
    after: Option<String>,
    /// Records of the answer; 100 where it is left out.
    #[schemars(range(min = 1, max = LIMIT_MAX))]
    limit: Option<usize>,
    /// Only those of a class.
    class: Option<QuarantineClass>,
    /// Only those with a reason.
    reason: Option<String>,
    /// Only those of an account.
    account: Option<String>,
}

impl RecordFilter {
    fn lets_through(&self, record: &QuarantineRecord) -> bool {
        let is_same = |asked: &Option<String>, found: Option<&str>| {
            asked.as_deref().is_none_or(|asked| Some(asked) == found)
        };
        self.class.is_none_or(|class| class == record.class)
            && is_same(&self.reason, Some(record.reason.as_str()))
            && is_same(&self.account, record.account_id.as_deref())
            && (self.ids.is_empty() || self.ids.contains(&record.quarantine_id))
    }
}

/// Records of an answer. Field names are wire names.
#[derive(Debug, Serialize, JsonSchema)]
struct Listed {
    /// The newest first.
    records: Vec<QuarantineRecord>,
    /// To go on with older ones.
    cursor: String,
    /// Last epoch that was looked at.
    epoch: u64,
    /// Are there no older ones?
    is_last: bool,
}

/// What is said of [`list`].
pub(super) fn about_list(operation: Operation<'_>) -> Operation<'_> {
    operation
        .says(
            "Quarantine",
            "Open records, the newest first",
            "An answer looks at 20,000 records at most: it may have fewer than asked for, or none, while `is_last` is \
             false.",
        )
        .query::<ListQuery>()
        .answers::<Listed>(StatusCode::OK, "The records.")
        .refuses(StatusCode::BAD_REQUEST, &["bad_limit", "bad_cursor"])
        .refuses(StatusCode::CONFLICT, &["cursor_ahead"])
        .refuses(StatusCode::INTERNAL_SERVER_ERROR, &["unreadable"])
}

/// `GET /v1/quarantine`.
pub(super) async fn list(
    State(service): State<Service>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|error| Problem::bad_request("bad_query", error.body_text()))?;
    let limit = query.limit.unwrap_or(LIMIT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Problem::bad_request(
            "bad_limit",
            format!("ask for 1 to {LIMIT_MAX} records with limit"),
        ));
    }
    let filter =
        RecordFilter { class: query.class, reason: query.reason, account: query.account, ids: Vec::new() };
    let stream = &service.streams.quarantine;
    let epoch = service.engine.progress().borrow().epoch;
    let mut place = match query.after.as_deref().filter(|cursor| !cursor.is_empty()) {
        Some(cursor) => stream.space.read(cursor)?,
        None => Position::behind(epoch),
    };
    Stream::check(place, epoch)?;
    let (mut records, mut looked_at, mut is_last) = (Vec::new(), 0, false);
    while !is_last && records.len() < limit && looked_at < LOOKED_AT_MAX {
        let chunk = stream.read(move |feed| feed.before(place, epoch, READ_MAX)).await?;
        looked_at += chunk.rows.len();
        let open = open_of(&service, &chunk.rows, epoch).await?;
        (place, is_last) = (chunk.next, chunk.is_last);
        for (row, is_open) in chunk.rows.into_iter().zip(open) {
            let here = Position { epoch: row.epoch, row: row.row.saturating_sub(1) };
            let Record::Quarantine(record) = row.record else { continue };
            if is_open && filter.lets_through(&record) {
                if records.len() == limit {
                    (place, is_last) = (Position { row: here.row + 1, ..here }, false);
                    break;
                }
                records.push(*record);
            }
        }
    }
    let cursor = stream.space.write(place);
    Ok(json(StatusCode::OK, &Listed { records, cursor, epoch, is_last }))
}

/// Which records are open.
async fn open_of(service: &Service, rows: &[ExportedRow], epoch: u64) -> Result<Vec<bool>, Problem> {
    let ids: Vec<String> = rows
        .iter()
        .map(|row| record_of(row).map_or_else(String::new, |record| record.quarantine_id.clone()))
        .collect();
    let streams = service.clone();
    let open = move || {
        streams
            .streams
            .settled
            .look(epoch, |settled| ids.iter().map(|id| !settled.contains_key(id)).collect())
    };
    read_off_the_loop(open).await
}

fn record_of(row: &ExportedRow) -> Option<&QuarantineRecord> {
    match &row.record {
        Record::Quarantine(record) => Some(record),
        _ => None,
    }
}

/// A record. Field names are wire names.
#[derive(Debug, Serialize, JsonSchema)]
struct Shown<'a> {
    record: &'a QuarantineRecord,
    /// Does it need care still?
    is_open: bool,
    /// What to do about it.
    mend: Option<&'static str>,
}

/// What is said of [`show`].
pub(super) fn about_show(operation: Operation<'_>) -> Operation<'_> {
    operation
        .says("Quarantine", "A record, and what to do about it", "Settled records are shown too.")
        .path("id", "Id of the record, as lists and verdicts of replays have it: `13-2`.")
        .answers::<Shown<'_>>(StatusCode::OK, "The record.")
        .refuses(StatusCode::NOT_FOUND, &["unknown_record"])
        .refuses(StatusCode::INTERNAL_SERVER_ERROR, &["unreadable"])
}

/// `GET /v1/quarantine/{id}`.
pub(super) async fn show(
    State(service): State<Service>,
    Segments(id): Segments<String>,
) -> Result<Response, Problem> {
    let unknown = || {
        let detail = "there is no such record: GET /v1/quarantine lists those that are open";
        Problem::new(StatusCode::NOT_FOUND, "unknown_record", detail)
    };
    let committed = service.engine.progress().borrow().epoch;
    let place =
        id.split_once('-').and_then(|(epoch, number)| Some((epoch.parse().ok()?, number.parse().ok()?)));
    let (epoch, number): (u64, u64) = place.ok_or_else(unknown)?;
    if epoch > committed || number == 0 {
        return Err(unknown());
    }
    let place = Position { epoch, row: number - 1 };
    let chunk = service.streams.quarantine.read(move |feed| feed.after(place, epoch, 1)).await?;
    let found = chunk.rows.first().and_then(record_of).filter(|record| record.quarantine_id == id);
    let record = found.ok_or_else(unknown)?;
    let is_open = open_of(&service, &chunk.rows, committed).await?.first() == Some(&true);
    let mend = match record.class {
        QuarantineClass::Rejected => RejectReason::of_code(&record.reason).map(RejectReason::mend),
        QuarantineClass::Unrated => UnratedReason::of_code(&record.reason).map(UnratedReason::mend),
        QuarantineClass::Conflict => Some(CONFLICT_MEND),
    };
    Ok(json(StatusCode::OK, &Shown { record, is_open, mend }))
}

/// What became of records. Field names are wire names.
#[derive(Debug, Default, Serialize, JsonSchema)]
struct ReplayReport {
    /// Epochs that settled some.
    epochs: Vec<u64>,
    /// Records that were decided again.
    decided: u64,
    /// Records whose usage is rated now.
    rated: u64,
    /// Records of events that were counted meanwhile.
    duplicate: u64,
    /// Records that are in quarantine for another reason now.
    quarantined: u64,
    /// Records that stay as they are.
    open: u64,
    /// These, by why they do.
    open_by_reason: BTreeMap<&'static str, StaysOpen>,
}

/// Records that stay open for one reason.
#[derive(Debug, Serialize, JsonSchema)]
struct StaysOpen {
    /// How many.
    records: u64,
    /// What to do about them.
    mend: &'static str,
}

impl ReplayReport {
    fn add(&mut self, fate: Fate) {
        self.decided += 1;
        match fate {
            Fate::Settled(SettledOutcome::Rated) => self.rated += 1,
            Fate::Settled(SettledOutcome::Duplicate) => self.duplicate += 1,
            Fate::Settled(SettledOutcome::Quarantined) => self.quarantined += 1,
            Fate::Open(why) => {
                self.open += 1;
                let reason = StaysOpen { records: 0, mend: why.mend() };
                self.open_by_reason.entry(why.code()).or_insert(reason).records += 1;
            }
        }
    }

    fn add_all(&mut self, replayed: &Replayed) {
        self.epochs.extend(replayed.epoch.as_ref().map(|epoch| epoch.epoch));
        replayed.fates.iter().for_each(|fate| self.add(*fate));
    }
}

/// What is said of [`replay`].
pub(super) fn about_replay(operation: Operation<'_>) -> Operation<'_> {
    operation
        .says(
            "Quarantine",
            "Decide open records again",
            "Once the catalog is mended. Each record is settled once, however many replays are asked for at once, and \
             a replay that was begun is ended also where the client goes away.",
        )
        .takes::<RecordFilter>()
        .reads_small()
        .answers::<ReplayReport>(StatusCode::OK, "What became of the records.")
        .refuses(StatusCode::BAD_REQUEST, &["bad_filter"])
        .refuses(StatusCode::INTERNAL_SERVER_ERROR, &["unreadable"])
        .waits()
}

/// `POST /v1/quarantine/replay`.
pub(super) async fn replay(
    State(service): State<Service>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let bytes = read_small(&service, &headers, body).await?;
    let filter: RecordFilter = serde_json::from_slice(&bytes).map_err(|error| {
        Problem::bad_request("bad_filter", format!("send {{}}, or what to choose by: {error}"))
    })?;
    let report = to_its_end(async move { decide_again(&service, &filter).await }).await?;
    Ok(json(StatusCode::OK, &report))
}

async fn decide_again(service: &Service, filter: &RecordFilter) -> Result<ReplayReport, Problem> {
    let mut report = ReplayReport::default();
    // Records that come meanwhile are for another time.
    let last = service.engine.progress().borrow().epoch;
    let mut place = Position::START;
    loop {
        let read_at = service.engine.progress().borrow().epoch;
        let chunk = read_epochs(service, place, last).await?;
        let open = open_of(service, &chunk.rows, read_at).await?;
        let rows = chunk.rows.iter().zip(open).filter(|(_, is_open)| *is_open);
        let open: Vec<&QuarantineRecord> = rows.filter_map(|(row, _)| record_of(row)).collect();
        let (conflicts, records) = chosen(&open, filter);
        if !records.is_empty() {
            // What was read is open no more: it is read again.
            let Some(replayed) = service.engine.replay(records, read_at).await? else { continue };
            report.add_all(&replayed);
        }
        (0..conflicts).for_each(|_| report.add(Fate::Open(StillOpen::Conflict)));
        if chunk.is_last {
            return Ok(report);
        }
        place = chunk.next;
    }
}

/// Records of whole epochs: those of an event are not divided.
async fn read_epochs(service: &Service, place: Position, last: u64) -> Result<FeedChunk, Problem> {
    let stream = &service.streams.quarantine;
    stream
        .read(move |feed| {
            let mut chunk = feed.after(place, last, READ_MAX)?;
            if chunk.next.row > 0 && !chunk.is_last {
                let rest = feed.after(chunk.next, chunk.next.epoch, usize::MAX)?;
                chunk.rows.extend(rest.rows);
                (chunk.next, chunk.is_last) = (rest.next, chunk.next.epoch >= last);
            }
            Ok(chunk)
        })
        .await
}

/// How many conflicts a filter lets through, and the other records, each with how many of its event are open.
fn chosen(open: &[&QuarantineRecord], filter: &RecordFilter) -> (u64, Vec<OpenRecord>) {
    let key = |record: &QuarantineRecord| (record.epoch, record.source.clone(), record.event_id.clone());
    let mut unrated: HashMap<_, u64> = HashMap::new();
    for record in open.iter().filter(|record| record.class == QuarantineClass::Unrated) {
        *unrated.entry(key(record)).or_default() += 1;
    }
    let mut conflicts = 0;
    let mut records = Vec::new();
    for record in open.iter().filter(|record| filter.lets_through(record)) {
        if record.class == QuarantineClass::Conflict {
            conflicts += 1;
            continue;
        }
        let open_of_event = match record.class {
            QuarantineClass::Unrated => unrated.get(&key(record)).copied().unwrap_or(1),
            _ => 1,
        };
        records.push(OpenRecord { record: (*record).clone(), open_of_event });
    }
    (conflicts, records)
}
