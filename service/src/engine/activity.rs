//! What happened lately, for whoever watches: it is kept while it happens, and costs a look nothing but a copy.
//!
//! Sums of charges are worked out on the writing thread, mostly while somebody watches, and take at most one part in
//! 200 of its time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aggregate::account_charges::ChargeState;
use aggregate::largest_charges::{LargestCharges, MeterTotal};
use aggregate::partition::Partition;
use schemars::JsonSchema;
use schemas::epoch::{Epoch, EpochCause, EventCounts};
use schemas::timestamp::Timestamp;
use serde::Serialize;

/// Epochs that are kept.
const EPOCHS_MAX: usize = 20;

/// Seconds that arrivals are counted for.
const SECONDS: usize = 60;

/// Charges of each currency.
const CHARGES_MAX: usize = 6;

/// How long after a look somebody watches.
const WATCHED: Duration = Duration::from_secs(10);

/// Time between sums of charges while nobody does.
const UNWATCHED_PAUSE: Duration = Duration::from_mins(1);

/// Shortest time between sums of charges, and how many times longer than working them out it is.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_PER_WORK: u32 = 200;

/// A commit, in short. Field names are wire names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EpochNote {
    /// Its number.
    pub epoch: u64,
    /// When it was committed.
    pub recorded_at: Timestamp,
    /// Why there is it.
    pub cause: EpochCause,
    /// What became of the events.
    pub counts: EventCounts,
    /// Has all usage of it, and of those before it, its accruals?
    pub is_accrued: bool,
}

/// Sums of charges, and the epoch they are of.
#[derive(Clone, Debug, Default)]
pub struct ChargesNote {
    /// Everything up to it is in the sums.
    pub epoch: u64,
    /// All charges, by meter.
    pub meters: Vec<MeterTotal>,
    /// The largest of each currency, with their accounts.
    pub charges: Vec<(String, ChargeState)>,
}

/// What happened lately.
#[derive(Clone, Debug)]
pub struct Lately {
    /// The last epochs since the start, the newest first.
    pub epochs: VecDeque<EpochNote>,
    /// Rejected events by reason, since the start.
    pub rejected: BTreeMap<String, i64>,
    /// Usages without a price by reason, since the start.
    pub unrated: BTreeMap<String, i64>,
    /// Events that were committed, by second; the last is the second that has just ended.
    pub per_second: Vec<i64>,
    /// Bytes that are free on the disk.
    pub free_bytes: Option<u64>,
    /// The largest charges.
    pub charges: Arc<ChargesNote>,
}

/// What the writing thread notes, and others look at.
#[derive(Debug)]
pub struct Activity {
    since: Instant,
    noted: Mutex<Noted>,
}

#[derive(Debug)]
struct Noted {
    lately: Lately,
    /// Events that were committed, with the second since the start.
    seconds: VecDeque<(u64, i64)>,
    watched_at: Option<Instant>,
    /// When sums of charges may be worked out again.
    due_at: Instant,
}

impl Activity {
    /// Nothing yet but the charges of a partition.
    pub(super) fn start(partition: &Partition) -> Self {
        let since = Instant::now();
        let lately = Lately {
            epochs: VecDeque::new(),
            rejected: BTreeMap::new(),
            unrated: BTreeMap::new(),
            per_second: Vec::new(),
            free_bytes: None,
            charges: Arc::new(charges_of(partition)),
        };
        let noted = Noted { lately, seconds: VecDeque::new(), watched_at: None, due_at: since };
        Self { since, noted: Mutex::new(noted) }
    }

    /// Notes an epoch that is committed.
    pub(super) fn note(&self, epoch: &Epoch) {
        let second = self.since.elapsed().as_secs();
        let mut noted = self.noted();
        match noted.seconds.back_mut() {
            Some((last, events)) if *last == second => *events += epoch.counts.received,
            _ => noted.seconds.push_back((second, epoch.counts.received)),
        }
        if noted.seconds.len() > SECONDS + 1 {
            noted.seconds.pop_front();
        }
        let lately = &mut noted.lately;
        for (known, reasons) in [
            (&mut lately.rejected, &epoch.rejected_by_reason),
            (&mut lately.unrated, &epoch.unrated_by_reason),
        ] {
            for (reason, events) in reasons {
                *known.entry(reason.clone()).or_default() += events;
            }
        }
        lately.epochs.push_front(EpochNote {
            epoch: epoch.epoch,
            recorded_at: epoch.recorded_at,
            cause: epoch.cause,
            counts: epoch.counts,
            is_accrued: epoch.is_accrued,
        });
        lately.epochs.truncate(EPOCHS_MAX);
    }

    /// Notes how much room there is, and what charges come to if somebody watches.
    pub(super) fn follow(&self, partition: &Partition, free_bytes: u64) {
        let began = Instant::now();
        let is_due = {
            let mut noted = self.noted();
            noted.lately.free_bytes = Some(free_bytes);
            let is_watched = noted.watched_at.is_some_and(|at| at.elapsed() < WATCHED);
            let is_old = noted.lately.charges.epoch != partition.committer.standing().epoch;
            let due_at = if is_watched { noted.due_at } else { noted.due_at + UNWATCHED_PAUSE };
            is_old && began >= due_at
        };
        if is_due {
            let charges = Arc::new(charges_of(partition));
            let mut noted = self.noted();
            noted.lately.charges = charges;
            noted.due_at = began + PAUSE.max(began.elapsed() * PAUSE_PER_WORK);
        }
    }

    /// What happened lately.
    #[must_use]
    pub fn look(&self) -> Lately {
        let second = self.since.elapsed().as_secs();
        let mut noted = self.noted();
        noted.watched_at = Some(Instant::now());
        let mut lately = noted.lately.clone();
        lately.per_second = vec![0; SECONDS];
        for (at, events) in &noted.seconds {
            // The second that has not ended is left out.
            let ago = usize::try_from(second.saturating_sub(*at)).unwrap_or(usize::MAX);
            if let Some(count) =
                SECONDS.checked_sub(ago).and_then(|position| lately.per_second.get_mut(position))
            {
                *count += events;
            }
        }
        lately
    }

    /// What a thread that panicked held is whole.
    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn charges_of(partition: &Partition) -> ChargesNote {
    let LargestCharges { meters, charges } = LargestCharges::find(&partition.decider, CHARGES_MAX);
    // Positions are those of this catalog, which may be another soon.
    let account =
        |position| partition.catalog().account(position).map_or_else(String::new, ToString::to_string);
    let charges = charges.into_iter().map(|(position, charge)| (account(position), charge));
    ChargesNote { epoch: partition.committer.standing().epoch, meters, charges: charges.collect() }
}
