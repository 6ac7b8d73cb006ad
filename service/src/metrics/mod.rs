//! What the service tells of its work, for Prometheus.
//!
//! Handles are made once. What happens is recorded per request or per epoch, never per event; what can be read off is set
//! when somebody asks. An engine has metrics of its own, so that several in one process do not add up.

mod names;
mod process;

use std::fmt;
use std::time::{Duration, Instant};

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use schemas::epoch::{ContentKind, Epoch, EpochCause, EventCounts, SettledOutcome};

use crate::engine::{EngineError, Progress, State};
pub use names::{METRICS, MetricKind, MetricName};

/// Bounds of durations, in seconds.
const SECONDS: [f64; 14] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// Bounds of the age of events, in seconds: up to a month.
const AGES: [f64; 9] = [0.1, 1.0, 10.0, 60.0, 600.0, 3_600.0, 86_400.0, 604_800.0, 2_678_400.0];

/// Bounds of the events of an epoch.
const EVENTS: [f64; 7] = [1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0, 1_000_000.0];

const METADATA: Metadata<'static> = Metadata::new("service", Level::INFO, None);

/// Where everything is recorded.
pub struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    started: Instant,
    accepted: Counter,
    duplicate: Counter,
    conflict: Counter,
    rejected: Counter,
    same_content: Counter,
    other_content: Counter,
    refused: [Counter; 5],
    pub(crate) event_bytes: Counter,
    pub(crate) event_lag: Histogram,
    pub(crate) decode: Histogram,
    pub(crate) queue: Histogram,
    pub(crate) decide: Histogram,
    pub(crate) commit: Histogram,
    epoch_events: Histogram,
    rounds: Counter,
    accruals: Counter,
    pub(crate) checkpoint: Histogram,
    pub(crate) tables: Histogram,
    pub(crate) pause: Histogram,
    pub(crate) disk_free: Gauge,
    pub(crate) body_bytes: Counter,
    connections: Gauge,
}

/// A connection that is counted until it is dropped.
pub(crate) struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// What is read off when somebody asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) bytes: usize,
    pub(crate) requests: usize,
    pub(crate) oldest: Option<Duration>,
}

impl Metrics {
    /// Metrics of an engine; all at 0.
    ///
    /// # Errors
    /// [`BuildError`] where a histogram has no bounds.
    pub(crate) fn new() -> Result<Self, BuildError> {
        let full = |metric: names::MetricName| Matcher::Full(metric.name.to_owned());
        let recorder = PrometheusBuilder::new()
            .set_buckets(&SECONDS)?
            .set_buckets_for_metric(full(names::EVENT_LAG), &AGES)?
            .set_buckets_for_metric(full(names::EPOCH_EVENTS), &EVENTS)?
            .build_recorder();
        for metric in METRICS {
            metric.describe(&recorder);
        }
        let counter = |metric, label| register_counter(&recorder, metric, &[label]);
        for outcome in [SettledOutcome::Rated, SettledOutcome::Quarantined, SettledOutcome::Duplicate] {
            counter(names::SETTLED, ("outcome", outcome.name())).increment(0);
        }
        let histogram = |metric: MetricName, label: Option<(&'static str, &'static str)>| {
            recorder.register_histogram(&key(metric, label.as_slice()), &METADATA)
        };
        let stage = |name| histogram(names::STAGE, Some(("stage", name)));
        let plain = |metric: MetricName| recorder.register_counter(&key(metric, &[]), &METADATA);
        let gauge = |metric: MetricName| recorder.register_gauge(&key(metric, &[]), &METADATA);
        Ok(Self {
            handle: recorder.handle(),
            started: Instant::now(),
            accepted: counter(names::EVENTS, ("verdict", "accepted")),
            duplicate: counter(names::EVENTS, ("verdict", "duplicate")),
            conflict: counter(names::EVENTS, ("verdict", "conflict")),
            rejected: counter(names::EVENTS, ("verdict", "rejected")),
            same_content: counter(names::DUPLICATES, ("kind", "same_content")),
            other_content: counter(names::DUPLICATES, ("kind", "other_content")),
            refused: ["overloaded", "disk_full", "ending", "stopped", "over_quota"]
                .map(|reason| counter(names::REFUSED, ("reason", reason))),
            event_bytes: plain(names::EVENT_BYTES),
            event_lag: histogram(names::EVENT_LAG, None),
            decode: stage("decode"),
            queue: stage("queue"),
            decide: stage("decide"),
            commit: stage("commit"),
            epoch_events: histogram(names::EPOCH_EVENTS, None),
            rounds: plain(names::ROUNDS),
            accruals: plain(names::ACCRUALS),
            checkpoint: histogram(names::UPKEEP, Some(("work", "checkpoint"))),
            tables: histogram(names::UPKEEP, Some(("work", "tables"))),
            pause: histogram(names::UPKEEP, Some(("work", "pause"))),
            disk_free: gauge(names::DISK_FREE),
            body_bytes: plain(names::BODY_BYTES),
            connections: gauge(names::CONNECTIONS),
            recorder,
        })
    }

    /// Records an epoch that is committed.
    pub(crate) fn note_epoch(&self, epoch: &Epoch) {
        for content in epoch.contents.iter().filter(|content| content.kind == ContentKind::Accruals) {
            self.accruals.increment(content.rows);
        }
        if epoch.is_accrued {
            self.rounds.increment(1);
        }
        for settled in &epoch.settled {
            self.count(names::SETTLED, "outcome", settled.outcome.name(), 1);
        }
        // Counts of a replay are changes of what was counted before.
        if epoch.cause == EpochCause::Replay {
            return;
        }
        let EventCounts { received, rated, unrated, duplicate, conflict, rejected, .. } = epoch.counts;
        self.epoch_events.record(float(received.unsigned_abs()));
        self.accepted.increment((rated + unrated).unsigned_abs());
        self.duplicate.increment(duplicate.unsigned_abs());
        self.conflict.increment(conflict.unsigned_abs());
        self.rejected.increment(rejected.unsigned_abs());
        self.same_content.increment(duplicate.unsigned_abs());
        self.other_content.increment(conflict.unsigned_abs());
        for (reasons, metric) in
            [(&epoch.rejected_by_reason, names::REJECTS), (&epoch.unrated_by_reason, names::UNRATED)]
        {
            for (reason, count) in reasons {
                self.count(metric, "reason", reason, count.unsigned_abs());
            }
        }
    }

    /// Records that a submission was not taken.
    pub(crate) fn note_refused(&self, error: &EngineError) {
        let [overloaded, disk_full, ending, stopped, over_quota] = &self.refused;
        let counter = match error {
            EngineError::Overloaded => overloaded,
            EngineError::DiskFull => disk_full,
            EngineError::Ending => ending,
            EngineError::Stopped(_) => stopped,
            EngineError::OverQuota(_) => over_quota,
            EngineError::Failed(_) => return,
        };
        counter.increment(1);
    }

    /// Records a request that was answered. `route` and `method` are of closed lists.
    pub(crate) fn note_request(&self, route: &str, method: &'static str, status: u16, took: Duration) {
        let labels = vec![
            Label::new("route", route.to_owned()),
            Label::from_static_parts("method", method),
            Label::new("status", status.to_string()),
        ];
        let requests = Key::from_parts(names::REQUESTS.name, labels);
        self.recorder.register_counter(&requests, &METADATA).increment(1);
        let time = Key::from_parts(names::REQUEST_TIME.name, vec![Label::new("route", route.to_owned())]);
        self.recorder.register_histogram(&time, &METADATA).record(took);
    }

    /// Counts a connection as open.
    pub(crate) fn open_connection(&self) -> OpenConnection {
        self.connections.increment(1);
        OpenConnection(self.connections.clone())
    }

    /// Puts what was recorded since the last time together; what is recorded takes memory until then.
    pub(crate) fn run_upkeep(&self) {
        self.handle.run_upkeep();
    }

    /// Everything in the text format.
    pub(crate) fn render(&self, progress: &Progress, waiting: Waiting) -> String {
        let set = |metric, value| self.gauge(metric, &[], float(value));
        set(names::EPOCH, progress.epoch);
        set(names::ACCRUED, progress.accrued);
        set(names::SNAPSHOT, progress.snapshot);
        set(names::WAITING_BYTES, waiting.bytes as u64);
        set(names::WAITING_REQUESTS, waiting.requests as u64);
        set(names::READY, u64::from(progress.state == State::Taking));
        let oldest = waiting.oldest.unwrap_or_default();
        self.gauge(names::OLDEST_WAITING, &[], oldest.as_secs_f64());
        self.gauge(names::UPTIME, &[], self.started.elapsed().as_secs_f64());
        if let Some(bytes) = process::resident_bytes() {
            set(names::MEMORY, bytes);
        }
        let EventCounts { unrated, conflict, rejected, .. } = progress.totals;
        for (class, count) in [("unrated", unrated), ("conflict", conflict), ("rejected", rejected)] {
            self.gauge(names::QUARANTINE_OPEN, &[("class", class)], float(count.unsigned_abs()));
        }
        self.handle.render()
    }

    fn count(&self, metric: MetricName, label: &'static str, value: &str, count: u64) {
        let key = Key::from_parts(metric.name, vec![Label::new(label, value.to_owned())]);
        self.recorder.register_counter(&key, &METADATA).increment(count);
    }

    fn gauge(&self, metric: MetricName, labels: &[(&'static str, &'static str)], value: f64) {
        self.recorder.register_gauge(&key(metric, labels), &METADATA).set(value);
    }
}

fn key(metric: MetricName, labels: &[(&'static str, &'static str)]) -> Key {
    let labels: Vec<Label> =
        labels.iter().map(|(name, value)| Label::from_static_parts(name, value)).collect();
    Key::from_parts(metric.name, labels)
}

fn register_counter(
    recorder: &PrometheusRecorder,
    metric: MetricName,
    labels: &[(&'static str, &'static str)],
) -> Counter {
    recorder.register_counter(&key(metric, labels), &METADATA)
}

/// A count as the text format has it, which knows floats alone.
#[expect(clippy::cast_precision_loss, reason = "only what is shown is rounded, beyond 2^53")]
pub(crate) const fn float(count: u64) -> f64 {
    count as f64
}
