//! The workload: what every line of usage is.
//!
//! A line follows from the seed and its number alone. Most lines are events of their own; some send an
//! earlier one again, soon or long after, and a few send it again with other content. A re-send of a
//! re-send is a re-send of the first.

use super::customers::Customers;
use super::event::{DAY_MS, Defect, Event, MODEL_COUNT, MONTH_DAYS, REGION_COUNT, SOURCES};
use super::fixed_point::{ONE, Powers, log2};
use super::meters::{EGRESS, REQUESTS, SEATS, SHARES, TOKENS};
use super::prices::meter_at;
use super::random::{Random, Stream};

/// How many lines in a million are what, one after another.
const RESENT_SOON: u64 = 10_000;
const RESENT_LATER: u64 = 5_000;
const CONFLICTS: u64 = 100;

/// Lines between an event and its re-send soon after, at most.
const SOON: u64 = 10_000;

/// How many events in a million come long after they were used, and how long at most.
const LATE: u64 = 5_000;
const LATE_DAYS: u64 = 3;

/// How many events in a million have a defect, and how many name an account nobody knows.
const DEFECTIVE: u64 = 1_000;
const UNKNOWN: u64 = 2_000;

/// How many events in a million have the id of another source's event, and how many lines before.
const SAME_ID: u64 = 100;
const SAME_ID_DISTANCE: u64 = 1_000;

/// How many events of egress in a million have a quantity that a 64-bit float cannot hold.
const BEYOND_FLOATS: u64 = 100;

/// Mean and deviation of the logarithm of the latency to the base two, in hundredths.
const LATENCY: (i64, i64, u64) = (649, 144, 999_999);

/// Mean delay of an event that is not late, and the logarithm of e to the base two in 65536ths.
const DELAY_MS: u64 = 2_000;
const LOG2_E: u64 = 94_548;

/// What a line is to the lines before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An event of its own.
    First,
    /// An earlier line again.
    Resent,
    /// An earlier line again, with other content where it is an event.
    Conflict,
}

/// A line of usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) kind: Kind,
    /// What is sent.
    pub(super) event: Event,
    /// Does it have the id of another source's event?
    pub(super) has_other_id: bool,
}

/// All lines of usage.
#[derive(Debug)]
pub(super) struct Workload<'a> {
    customers: &'a Customers,
    lines: u64,
    seed: u64,
    powers: Powers,
}

impl<'a> Workload<'a> {
    pub(super) fn new(customers: &'a Customers, lines: u64, seed: u64) -> Self {
        Self { customers, lines, seed, powers: Powers::new() }
    }

    /// The line of a number, from 0.
    pub(super) fn line(&self, number: u64) -> Line {
        let (kind, origin) = self.origin(number);
        let (event, has_other_id) = self.first_event(origin);
        let is_event = event.defect.and_then(Defect::reject_reason).is_none();
        let event = if kind == Kind::Conflict && is_event { event.changed() } else { event };
        Line { kind, event, has_other_id: has_other_id && kind == Kind::First }
    }

    /// What a line is, and the line it is a re-send of; a first event is its own origin.
    fn origin(&self, number: u64) -> (Kind, u64) {
        let (kind, mut origin) = self.resend(number);
        if kind == Kind::First {
            return (kind, number);
        }
        loop {
            let (kind_of_origin, earlier) = self.resend(origin);
            if kind_of_origin == Kind::First {
                return (kind, origin);
            }
            origin = earlier;
        }
    }

    /// What a line is, and the line it sends again.
    fn resend(&self, number: u64) -> (Kind, u64) {
        let mut random = Random::new(self.seed, Stream::Resends, number);
        let draw = random.below(1_000_000);
        let is = |from: u64, per_million: u64| (from..from + per_million).contains(&draw);
        if number == 0 {
            (Kind::First, 0)
        } else if is(0, RESENT_SOON) {
            (Kind::Resent, number.saturating_sub(1 + random.below(SOON - 1)))
        } else if is(RESENT_SOON, RESENT_LATER) {
            (Kind::Resent, random.below(number))
        } else if is(RESENT_SOON + RESENT_LATER, CONFLICTS) {
            (Kind::Conflict, number.saturating_sub(1 + random.below(SOON - 1)))
        } else {
            (Kind::First, number)
        }
    }

    /// The event of a first line. A few have the id of an earlier event of another source: both count.
    fn first_event(&self, number: u64) -> (Event, bool) {
        let (mut event, wants_other_id) = self.draw(number);
        if wants_other_id
            && let Some(number) = number.checked_sub(SAME_ID_DISTANCE)
            && self.resend(number).0 == Kind::First
            && let (other, false) = self.draw(number)
            && event.defect.is_none()
            && other.defect.is_none()
        {
            event.uuid = other.uuid;
            event.source = (other.source + 1) % SOURCES;
            return (event, true);
        }
        (event, false)
    }

    /// Draws the event of a line, and whether it is to have the id of another.
    fn draw(&self, number: u64) -> (Event, bool) {
        let mut random = Random::new(self.seed, Stream::Usage, number);
        let account = self.customers.any_account(&mut random);
        let (time_ms, is_late) = self.time(number, &mut random);
        let users = self.customers.users(account as usize);
        // The square makes some users more active than others.
        let activity = random.next() >> 32;
        let user = (((activity * activity) >> 32) * (users.end - users.start)) >> 32;
        let uuid = u128::from(random.next()) << 64 | u128::from(random.next());
        let defect = defect(&mut random);
        let mut event = Event {
            uuid: uuid & !(0xf << 76) & !(0b11 << 62) | 0x4 << 76 | 0b10 << 62,
            source: random.below(SOURCES),
            meter: random.weighted(&SHARES),
            account,
            time_ms,
            quantity: 1,
            user,
            region: random.below(REGION_COUNT),
            model: random.below(MODEL_COUNT),
            latency_tenths: self.log_normal(LATENCY, &mut random),
            defect,
            is_late,
        };
        let of_quantity = matches!(defect, Some(Defect::NegativeQuantity | Defect::NonNumericQuantity(_)));
        if of_quantity && matches!(event.meter, REQUESTS | SEATS) {
            (event.meter, event.quantity) = (TOKENS, 777);
        } else {
            event.quantity = self.log_normal(meter_at(event.meter).quantity, &mut random);
        }
        if event.meter == EGRESS && random.happens(BEYOND_FLOATS) {
            event.quantity = (1 << 53) + 1 + 2 * random.below(1 << 40);
        }
        (event, random.happens(SAME_ID))
    }

    /// When an event was used, from the start of the month, and whether it comes long after.
    ///
    /// Lines arrive evenly over the month. The delay is exponential.
    fn time(&self, number: u64, random: &mut Random) -> (u64, bool) {
        let month = MONTH_DAYS * DAY_MS;
        let place = u128::from(number) * u128::from(month) + u128::from(random.below(month));
        let arrival = u64::try_from(place / u128::from(self.lines)).unwrap_or(month).min(month - 1);
        let is_late = random.happens(LATE);
        let delay = if is_late {
            random.below((LATE_DAYS * DAY_MS).min(arrival) + 1)
        } else {
            let log = (64 * ONE - log2(random.next() | 1)).unsigned_abs();
            log * DELAY_MS / LOG2_E
        };
        (arrival - delay.min(arrival), is_late)
    }

    fn log_normal(&self, (mean, deviation, limit): (i64, i64, u64), random: &mut Random) -> u64 {
        if deviation == 0 {
            return limit;
        }
        self.powers.power((mean * ONE + deviation * random.normal()) / 100).clamp(1, limit)
    }
}

fn defect(random: &mut Random) -> Option<Defect> {
    let draw = random.below(1_000_000);
    if draw >= DEFECTIVE + UNKNOWN {
        return None;
    }
    if draw >= DEFECTIVE {
        return Some(Defect::UnknownAccount);
    }
    Some(match random.below(5) {
        0 => Defect::MalformedJson(random.below(1 << 30)),
        1 => Defect::MissingId,
        2 => Defect::NegativeQuantity,
        3 => Defect::NonNumericQuantity(random.below(5)),
        _ => Defect::BadTime(random.below(5)),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    #[test]
    fn lines_are_in_the_shares_they_should_be() {
        let customers = Customers::new(1_000, 42);
        let count = 200_000;
        let workload = Workload::new(&customers, count, 42);
        let (mut resent, mut conflicts, mut late, mut unknown, mut refused, mut same_id) = (0, 0, 0, 0, 0, 0);
        let mut meters = [0u32; 8];
        let mut identities: HashMap<(u64, u128), Event> = HashMap::new();
        let mut ids = HashSet::new();
        let mut beyond_floats = 0;
        for number in 0..count {
            let line = workload.line(number);
            let event = &line.event;
            assert!(event.time_ms < MONTH_DAYS * DAY_MS && event.quantity > 0);
            match event.defect {
                Some(Defect::UnknownAccount) => unknown += u32::from(line.kind == Kind::First),
                Some(_) => refused += 1,
                None => {}
            }
            if event.defect.is_some_and(|defect| defect.reject_reason().is_some()) {
                continue;
            }
            let identity = (event.source, event.uuid);
            match line.kind {
                Kind::First => {
                    late += u32::from(event.is_late);
                    meters[event.meter] += 1;
                    same_id += u32::from(line.has_other_id);
                    assert_eq!(line.has_other_id, !ids.insert(event.uuid), "{number}");
                    assert_eq!(identities.insert(identity, event.clone()), None, "{number}");
                    beyond_floats += u32::from(event.quantity > 1 << 53);
                }
                Kind::Resent => {
                    resent += 1;
                    assert_eq!(identities.get(&identity), Some(event), "{number}");
                }
                Kind::Conflict => {
                    conflicts += 1;
                    assert_ne!(identities.get(&identity), Some(event), "{number}");
                    assert!(identities.contains_key(&identity), "{number}");
                }
            }
        }
        let near = |number: u32, expected: u32| number.abs_diff(expected) < expected / 10 + 20;
        assert!(near(resent, 3_000) && near(conflicts, 20), "{resent} {conflicts}");
        assert!(near(late, 985) && near(unknown, 394) && near(refused, 200), "{late} {unknown} {refused}");
        assert!(near(meters[REQUESTS], 68_750) && near(meters[SEATS], 7_850), "{meters:?}");
        assert!((1..60).contains(&same_id) && beyond_floats > 0, "{same_id} {beyond_floats}");
    }
}
