//! The usage index: what was used, in memory, up to the last commit.
//!
//! It holds the usages of counted events of the last days, rated or not: an account without a contract has usage too.
//! It is no source of truth: it is filled from committed rows when the service starts, and again gives the same
//! answers then (USAGE-2).
//!
//! - USAGE-1: whoever was told that an event is counted finds it in every answer from then on. The writing thread
//!   adds usages after the commit and before the answers.
//! - USAGE-2: an answer depends on the committed events alone.
//! - USAGE-3: an answer is exact or an error: what is older than the index is not left out in silence.
//!
//! ```text
//! shard by account -> account -> meter -> chunks of rows: time, measure, set of dimension values
//! ```
//!
//! A row takes 12 bytes for `count` meters, 20 for numbers of up to 64 bits, 28 for others; `latest` meters keep the
//! id and source of each event besides, which decide between events of one time. Full chunks never change, so that a
//! reader holds a lock for as long as it takes to copy their addresses and the one chunk that is being filled. Sets of
//! dimension values are kept once for all accounts, and until the end.

mod fill;
mod intake;
mod question;
mod recent;
mod rows;
mod sets;
mod tally;
mod windows;

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hashbrown::{DefaultHashBuilder, HashMap};
use rating::catalog::Catalog;
use schemas::meter::Meter;
use schemas::timestamp::{MICROS_PER_DAY, Timestamp};

pub use fill::Filled;
pub(crate) use intake::Intake;
pub use question::{Answer, AnswerRow, Filter, Question, Subjects, Test, UsageError};
pub use recent::{RecentEvent, RecentEvents};
use rows::{EventName, Series, View};
use sets::Sets;
pub use windows::WindowSize;

/// Parts that are locked apart from each other.
const SHARDS: usize = 64;

/// Usages by account, meter and time.
#[derive(Debug)]
pub struct UsageIndex {
    catalog: Arc<Catalog>,
    days: u16,
    shards: Vec<RwLock<Shard>>,
    hasher: DefaultHashBuilder,
    sets: RwLock<Sets>,
    /// Usages before this time are not kept.
    horizon: AtomicI64,
    /// Is there usage before the horizon?
    has_older: AtomicBool,
    /// Per meter, the time from which on everything is known.
    known_from: Vec<AtomicI64>,
    recent: RecentEvents,
}

/// Accounts with the usage of each meter they have used.
#[derive(Debug, Default)]
struct Shard(HashMap<Box<str>, Vec<(u16, Series)>>);

/// A usage, as it is added.
#[derive(Debug)]
struct Usage<'a> {
    account: &'a str,
    meter: u16,
    time: i64,
    measure: i128,
    set: u32,
    event: Option<EventName>,
}

impl UsageIndex {
    /// An index without usage, for a catalog and so many days.
    #[must_use]
    pub fn new(catalog: Arc<Catalog>, days: u16, now: Timestamp) -> Self {
        let meters = catalog.meters().len();
        let index = Self {
            sets: RwLock::new(Sets::new(catalog.dimensions().len())),
            catalog,
            days,
            shards: std::iter::repeat_with(RwLock::default).take(SHARDS).collect(),
            hasher: DefaultHashBuilder::default(),
            horizon: AtomicI64::new(i64::MIN),
            has_older: AtomicBool::new(false),
            known_from: std::iter::repeat_with(|| AtomicI64::new(i64::MIN)).take(meters).collect(),
            recent: RecentEvents::default(),
        };
        index.horizon.store(index.horizon_at(now), Ordering::Relaxed);
        index
    }

    /// The catalog whose meters it knows.
    #[must_use]
    pub const fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// The position of a meter, and the meter.
    #[must_use]
    pub fn meter(&self, id: &str) -> Option<(u16, &Meter)> {
        (0..).zip(self.catalog.meters()).find(|(_, meter)| meter.id.as_str() == id)
    }

    /// Usage from this time on can be asked for.
    #[must_use]
    pub fn horizon(&self) -> Timestamp {
        Timestamp::from_micros(self.horizon.load(Ordering::Relaxed))
    }

    /// The last events that were counted since the start.
    #[must_use]
    pub const fn recent(&self) -> &RecentEvents {
        &self.recent
    }

    /// Bytes of the rows, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let of_shard = |shard: &RwLock<Shard>| {
            let shard = read(shard);
            shard.0.values().flatten().map(|(_, series)| series.bytes()).sum::<usize>()
        };
        self.shards.iter().map(of_shard).sum()
    }

    /// Forgets what is older than the days it is for.
    pub(crate) fn forget(&self, now: Timestamp) {
        let horizon = self.horizon_at(now);
        if self.horizon.fetch_max(horizon, Ordering::Relaxed) >= horizon {
            return;
        }
        for shard in &self.shards {
            let mut shard = write(shard);
            for series in shard.0.values_mut() {
                for (_, series) in series.iter_mut() {
                    if series.forget_before(horizon) {
                        self.has_older.store(true, Ordering::Relaxed);
                    }
                }
                series.retain(|(_, series)| !series.is_empty());
            }
            shard.0.retain(|_, series| !series.is_empty());
        }
    }

    /// The accounts with usage of any meter, sorted.
    #[must_use]
    pub fn accounts(&self) -> Vec<String> {
        let mut accounts = Vec::new();
        for shard in &self.shards {
            accounts.extend(read(shard).0.keys().map(ToString::to_string));
        }
        accounts.sort_unstable();
        accounts
    }

    fn horizon_at(&self, now: Timestamp) -> i64 {
        let today = now.micros().div_euclid(MICROS_PER_DAY);
        (today - i64::from(self.days)).saturating_mul(MICROS_PER_DAY)
    }

    fn shard(&self, account: &str) -> Option<&RwLock<Shard>> {
        let hash = usize::try_from(self.hasher.hash_one(account) % SHARDS as u64).ok()?;
        self.shards.get(hash)
    }

    fn add(&self, usage: Usage<'_>) {
        if usage.time < self.horizon.load(Ordering::Relaxed) {
            self.has_older.store(true, Ordering::Relaxed);
            return;
        }
        let Some(shard) = self.shard(usage.account) else { return };
        let mut shard = write(shard);
        let account = match shard.0.get_mut(usage.account) {
            Some(account) => account,
            None => shard.0.entry(usage.account.into()).or_default(),
        };
        let series = match account.iter().position(|(meter, _)| *meter == usage.meter) {
            Some(position) => account.get_mut(position),
            None => {
                account.push((usage.meter, Series::default()));
                account.last_mut()
            }
        };
        if let Some((_, series)) = series {
            series.push(usage.time, usage.measure, usage.set, usage.event);
        }
    }

    /// What an account has used of a meter, to be read without a lock.
    fn view(&self, account: &str, meter: u16, times: (i64, i64)) -> View {
        let Some(shard) = self.shard(account) else { return View::default() };
        let shard = read(shard);
        let series = shard.0.get(account).into_iter().flatten().find(|(known, _)| *known == meter);
        series.map_or_else(View::default, |(_, series)| series.view(times))
    }

    /// What all accounts have used of a meter.
    fn views(&self, meter: u16, times: (i64, i64)) -> Vec<(String, View)> {
        let mut views = Vec::new();
        for shard in &self.shards {
            for (account, series) in &read(shard).0 {
                let series = series.iter().find(|(known, _)| *known == meter);
                views.extend(series.map(|(_, series)| (account.to_string(), series.view(times))));
            }
        }
        views.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        views
    }
}

/// What a thread that panicked held is whole: rows are added last.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
