//! The days events fall in, by the time zone of the seller.
//!
//! Finding a day in a time zone takes longer than rating an event, and most events fall in few days:
//! the days found last are kept.

use rating::catalog::Catalog;
use schemas::date::Date;
use schemas::period::Period;
use schemas::timestamp::{MICROS_PER_DAY, Timestamp};

/// Days kept for each legal entity.
const KEPT: u8 = 32;

/// The days found last, by legal entity.
#[derive(Debug, Default)]
pub(crate) struct ServiceDays {
    entities: Vec<[ServiceDay; KEPT as usize]>,
}

/// A calendar day, and when it begins and ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServiceDay {
    pub(crate) date: Date,
    pub(crate) holds: Period,
}

/// A day that holds no event.
const NO_DAY: ServiceDay =
    ServiceDay { date: Date::from_days(0), holds: Period { start: Timestamp::MAX, end: Timestamp::MIN } };

impl ServiceDays {
    /// No days yet, for the legal entities of a catalog.
    pub(crate) fn new(catalog: &Catalog) -> Self {
        Self { entities: vec![[NO_DAY; KEPT as usize]; catalog.legal_entities().len()] }
    }

    /// The day a time falls in for a legal entity, given by its position.
    #[inline]
    pub(crate) fn of(&mut self, catalog: &Catalog, legal_entity: u32, time: Timestamp) -> ServiceDay {
        let place = time.micros().div_euclid(MICROS_PER_DAY).rem_euclid(KEPT.into());
        let kept = usize::try_from(place)
            .ok()
            .and_then(|place| self.entities.get_mut(legal_entity as usize)?.get_mut(place));
        match kept {
            Some(day) if day.holds.contains(time) => *day,
            Some(day) => {
                *day = find(catalog, legal_entity, time);
                *day
            }
            None => find(catalog, legal_entity, time),
        }
    }
}

#[cold]
fn find(catalog: &Catalog, legal_entity: u32, time: Timestamp) -> ServiceDay {
    let entity = catalog.legal_entities().get(legal_entity as usize);
    let (date, holds) =
        entity.map_or((Date::from_days(0), Period::ALWAYS), |entity| entity.timezone.day_of(time));
    ServiceDay { date, holds }
}
