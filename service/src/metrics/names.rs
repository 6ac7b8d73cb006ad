//! The names of all metrics and what they mean. Wire names: dashboards have them, and `docs/operation.md` lists the same.

use metrics::{KeyName, Recorder, SharedString};

/// How a metric changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// It only grows, from 0 at the start.
    Counter,
    /// It is what it is now.
    Gauge,
    /// Counts of values by size.
    Histogram,
}

impl MetricKind {
    /// Word in the text format.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct MetricName {
    /// Its name; the unit is its end.
    pub name: &'static str,
    /// How it changes.
    pub kind: MetricKind,
    /// What it means.
    pub meaning: &'static str,
}

impl MetricName {
    pub(super) fn describe(&self, recorder: &impl Recorder) {
        let (name, meaning) = (KeyName::from_const_str(self.name), SharedString::const_str(self.meaning));
        match self.kind {
            MetricKind::Counter => recorder.describe_counter(name, None, meaning),
            MetricKind::Gauge => recorder.describe_gauge(name, None, meaning),
            MetricKind::Histogram => recorder.describe_histogram(name, None, meaning),
        }
    }
}

macro_rules! metric_names {
    ($($constant:ident = $kind:ident $name:literal: $meaning:literal;)*) => {
        $(pub(super) const $constant: MetricName =
            MetricName { name: $name, kind: MetricKind::$kind, meaning: $meaning };)*

        /// All of them.
        pub const METRICS: &[MetricName] = &[$($constant),*];
    };
}

metric_names! {
    EVENTS = Counter "ingest_events_total": "Events that were committed, by what became of them (verdict).";
    DUPLICATES = Counter "ingest_duplicates_total":
        "Events whose identity was counted before, with the same content or with other content (kind).";
    REJECTS = Counter "ingest_rejects_total": "Events that are not valid, by reason.";
    UNRATED = Counter "ingest_unrated_total": "Usages that have no price yet, by reason.";
    REFUSED = Counter "ingest_refused_total": "Requests that were told to come back later, by reason.";
    EVENT_BYTES = Counter "ingest_event_bytes_total": "Bytes of events that were handed over to be counted, decompressed.";
    WAITING_BYTES = Gauge "ingest_waiting_bytes": "Bytes of requests that wait for their commit.";
    WAITING_REQUESTS = Gauge "ingest_waiting_requests": "Submissions that wait for their commit.";
    OLDEST_WAITING = Gauge "ingest_oldest_waiting_seconds": "Age of the oldest submission that waits for its commit; 0 where none does.";
    EVENT_LAG = Histogram "meter_event_lag_seconds": "Time from the oldest event of a submission to its arrival.";
    STAGE = Histogram "meter_stage_latency_seconds":
        "Time in a stage: decode, queue and decide of a submission, commit of an epoch.";
    EPOCH_EVENTS = Histogram "epoch_events": "Events of an epoch.";
    EPOCH = Gauge "ledger_epoch": "Last epoch that is durable.";
    ACCRUED = Gauge "accrued_epoch": "Last epoch that has accruals of everything before.";
    SNAPSHOT = Gauge "snapshot_epoch": "Last epoch that is in all tables.";
    ROUNDS = Counter "accrual_rounds_total": "Rounds of accruals.";
    ACCRUALS = Counter "accruals_total": "Accruals that were made, revisions included.";
    QUARANTINE_OPEN = Gauge "quarantine_open_events": "Events in quarantine that need care, by class.";
    SETTLED = Counter "quarantine_settled_total": "Records of quarantine that were settled, by outcome.";
    UPKEEP = Histogram "upkeep_seconds": "Time that checkpoints and tables took beside commits, by work; pause is how long they held commits up.";
    READY = Gauge "service_ready": "1 while events are taken, else 0.";
    DISK_FREE = Gauge "disk_free_bytes": "Free bytes of the disk.";
    REQUESTS = Counter "http_requests_total": "Requests that were answered, by route, method and status.";
    REQUEST_TIME = Histogram "http_request_duration_seconds": "Time from the head of a request to the head of its answer, by route.";
    BODY_BYTES = Counter "http_body_bytes_total": "Bytes of bodies as they arrived.";
    CONNECTIONS = Gauge "http_connections": "Connections that are open.";
    MEMORY = Gauge "process_resident_memory_bytes": "Memory that the process has.";
    UPTIME = Gauge "process_uptime_seconds": "Time since the start.";
}
