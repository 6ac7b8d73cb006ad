//! What clients send in a simulation.

use std::sync::Arc;

use crate::catalog::{ACCOUNTS, METERS, UNKNOWN_ACCOUNT, UNKNOWN_TYPE};
use crate::history::{Event, Identity};
use crate::random::Random;

const DAY_MICROS: usize = 86_400_000_000;

/// Events, by how they arrive; some arrive both ways.
#[derive(Debug, Default)]
pub(crate) struct Workload {
    /// Pushed, and again until there is an answer.
    pub(crate) pushed: Vec<Arc<Event>>,
    /// Lines of the file, in order.
    pub(crate) lines: Vec<Arc<Event>>,
}

impl Workload {
    /// Events of so many identities.
    pub(crate) fn new(random: &mut Random, identities: usize) -> Self {
        let mut workload = Self::default();
        for number in 0..identities {
            let id = match random.below(3) {
                0 => format!("{:08x}-0000-4000-8000-{number:012x}", random.next() >> 32),
                _ => format!("event-{number}"),
            };
            let source = random.pick(&["//gateway/a", "//gateway/b", "batch"]);
            let identity = (source.to_owned(), id);
            // Another event of the same identity now and then.
            for variant in 0..=usize::from(random.once_in(8)) {
                let event = Arc::new(event(&identity, variant, random));
                for _ in 0..=usize::from(random.once_in(6)) {
                    let way = random.below(8);
                    if way < 5 {
                        workload.pushed.push(Arc::clone(&event));
                    }
                    if way > 3 {
                        workload.lines.push(Arc::clone(&event));
                    }
                }
            }
        }
        random.shuffle(&mut workload.pushed);
        random.shuffle(&mut workload.lines);
        workload
    }

    /// Where lines end in the file.
    pub(crate) fn line_ends(&self) -> Vec<u64> {
        let add = |end: &mut u64, line: &Arc<Event>| {
            *end += line.bytes.len() as u64 + 1;
            Some(*end)
        };
        self.lines.iter().scan(0, add).collect()
    }
}

fn event(identity: &Identity, variant: usize, random: &mut Random) -> Event {
    let meter = &METERS[random.below(METERS.len())];
    let event_type = if random.once_in(25) { UNKNOWN_TYPE } else { meter.event_type };
    let account =
        if random.once_in(25) { UNKNOWN_ACCOUNT } else { ACCOUNTS[random.below(ACCOUNTS.len())].id };
    let property =
        METERS.iter().filter(|meter| meter.event_type == event_type).find(|meter| meter.property.is_some());
    let value = property.map(|meter| match (random.below(20), meter.decimals) {
        (0, _) => "\"many\"".to_owned(),
        (_, 0) => random.below(900).to_string(),
        _ => format!("{}.{:03}", random.below(50), random.below(1000)),
    });
    let place = |random: &mut Random, limit: usize| i64::try_from(random.below(limit)).unwrap_or(0);
    // Variants differ in their time, to the microsecond.
    let micros = place(random, DAY_MICROS / 4) * 2 + i64::try_from(variant).unwrap_or(0);
    let date = (2026, 9 + place(random, 3), 1 + place(random, 5));
    Event::new(identity.clone(), event_type, account, (date.0, date.1, date.2, micros), value.as_deref())
}
