//! `GET /v1/status`: how the service is, what arrives, what is refused, and what is earned, in one answer that costs
//! little and can be asked for every second.

use aggregate::account_charges::ChargeState;
use aggregate::largest_charges::MeterTotal;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use schemars::JsonSchema;
use schemas::epoch::EventCounts;
use schemas::quarantine::{CONFLICT, CONFLICT_MEND, QuarantineClass, RejectReason, UnratedReason};
use schemas::timestamp::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Service;
use super::api::Operation;
use super::events::json;
use crate::engine::{EpochNote, Lately, State as EngineState};

/// Events that are shown.
const EVENTS_MAX: usize = 10;

/// How the service is. Field names are wire names.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Status {
    /// Version of the program.
    version: &'static str,
    /// When this was written.
    now: Timestamp,
    /// `taking`, `disk_full`, `ending` or `stopped`.
    state: &'static str,
    /// Last epoch that is durable.
    epoch: u64,
    /// Last epoch that has accruals of everything before.
    accrued_epoch: u64,
    /// Last epoch that is in the tables.
    snapshot_epoch: u64,
    /// Milliseconds since the last commit, or the start.
    last_commit_age_ms: u64,
    /// Bytes of requests that wait for their commit.
    waiting_bytes: u64,
    /// Bytes that are free on the disk.
    disk_free_bytes: Option<u64>,
    /// Events that were committed in the second that has just ended.
    events_per_second: i64,
    /// The same for each of the last 60 seconds, oldest first.
    events_by_second: Vec<i64>,
    /// What became of events since the start.
    counts: EventCounts,
    /// Why events were refused or have no price, since the start; the most frequent first.
    refused: Vec<RefusedCount>,
    /// Everything up to this epoch is in `meters` and `charges`.
    charges_epoch: u64,
    /// What the newest billing periods come to, by meter.
    meters: Vec<MeterTotal>,
    /// The largest charges of the newest billing periods, by currency.
    charges: Vec<AccountCharge>,
    /// The last events that were counted, the newest first.
    events: Vec<CountedEvent>,
    /// The last epochs since the start, the newest first.
    epochs: Vec<EpochNote>,
}

/// What was refused, or has no price, for one reason. Field names are wire names.
#[derive(Debug, Serialize, JsonSchema)]
struct RefusedCount {
    /// Class of their records in quarantine.
    class: QuarantineClass,
    /// Why, in one word.
    reason: String,
    /// How many events; how many usages, where they have no price.
    count: i64,
    /// What to do about them.
    mend: Option<&'static str>,
}

/// A charge with its account. Field names are wire names.
#[derive(Debug, Serialize, JsonSchema)]
struct AccountCharge {
    account_id: String,
    #[serde(flatten)]
    charge: ChargeState,
}

/// An event that was counted. Field names are wire names.
#[derive(Debug, Serialize, JsonSchema)]
struct CountedEvent {
    /// When it was committed.
    stored_at: Timestamp,
    /// When it was used.
    time: Timestamp,
    /// Its account.
    subject: String,
    /// Its type.
    #[serde(rename = "type")]
    event_type: String,
    /// Who produced it.
    source: String,
    /// Its id.
    id: String,
}

impl Status {
    /// How a service is now.
    pub(super) fn of(service: &Service) -> Self {
        let progress = service.engine.progress().borrow().clone();
        let lately = service.engine.activity().look();
        let charges = lately.charges.charges.iter().cloned();
        let charges = charges.map(|(account_id, charge)| AccountCharge { account_id, charge });
        Self {
            version: env!("CARGO_PKG_VERSION"),
            now: service.clock.now(),
            state: progress.state.name(),
            epoch: progress.epoch,
            accrued_epoch: progress.accrued,
            snapshot_epoch: progress.snapshot,
            last_commit_age_ms: u64::try_from(progress.committed_at.elapsed().as_millis())
                .unwrap_or(u64::MAX),
            waiting_bytes: service.engine.waiting_bytes() as u64,
            disk_free_bytes: lately.free_bytes,
            events_per_second: lately.per_second.last().copied().unwrap_or_default(),
            refused: refused(&lately, progress.counts),
            counts: progress.counts,
            charges_epoch: lately.charges.epoch,
            meters: lately.charges.meters.clone(),
            charges: charges.collect(),
            events: last_events(service),
            epochs: lately.epochs.into(),
            events_by_second: lately.per_second,
        }
    }

    /// Does it take events?
    pub(super) fn is_taking(&self) -> bool {
        self.state == EngineState::Taking.name()
    }
}

fn refused(lately: &Lately, counts: EventCounts) -> Vec<RefusedCount> {
    let rejected = lately.rejected.iter().map(|(reason, count)| RefusedCount {
        class: QuarantineClass::Rejected,
        reason: reason.clone(),
        count: *count,
        mend: RejectReason::of_code(reason).map(RejectReason::mend),
    });
    let unrated = lately.unrated.iter().map(|(reason, count)| RefusedCount {
        class: QuarantineClass::Unrated,
        reason: reason.clone(),
        count: *count,
        mend: UnratedReason::of_code(reason).map(UnratedReason::mend),
    });
    let conflicts = RefusedCount {
        class: QuarantineClass::Conflict,
        reason: CONFLICT.to_owned(),
        count: counts.conflict,
        mend: Some(CONFLICT_MEND),
    };
    // A replay takes back what it settles.
    let mut all: Vec<_> =
        rejected.chain(unrated).chain([conflicts]).filter(|refused| refused.count != 0).collect();
    all.sort_by_key(|refused| std::cmp::Reverse(refused.count));
    all
}

fn last_events(service: &Service) -> Vec<CountedEvent> {
    let mut events = Vec::new();
    service.engine.usage().recent().newest_first(|event| {
        if let Ok(document) = serde_json::from_slice::<Map<String, Value>>(&event.text) {
            let text = |name| document.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            events.push(CountedEvent {
                stored_at: event.stored_at,
                time: event.time,
                subject: text("subject"),
                event_type: text("type"),
                source: text("source"),
                id: text("id"),
            });
        }
        events.len() < EVENTS_MAX
    });
    events
}

/// What is said of [`get`].
pub(super) fn about(operation: Operation<'_>) -> Operation<'_> {
    operation
        .says(
            "Operation",
            "How the service is, what arrives, and what is earned",
            "What the page at `/` shows. It is cheap: ask every second. Sums of charges are of `charges_epoch`, and \
             follow within seconds while somebody asks.",
        )
        .answers::<Status>(StatusCode::OK, "How it is now.")
}

/// `GET /v1/status`.
pub(super) async fn get(State(service): State<Service>) -> Response {
    let mut response = json(StatusCode::OK, &Status::of(&service));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
