//! Accruals: what each contract line earned with each meter on each day.
//!
//! Made from running totals: the days of a charge, in order of event time, each add the difference
//! `f(after) - f(before)`. Charges of several accounts under one line are added up. The amount of a day
//! in whole minor units is the difference of two rounded cumulative amounts of the billing period, so a
//! period's days sum to the period's amount rounded once (ACCR-1). Order of arrival plays no part: two
//! orders of the same events give the same accruals (RATE-2).
//!
//! Accruals are made in rounds. A round covers what changed since the round before: a day whose accrual
//! differs in anything gets a new revision, which says what stands now and by how much it differs from
//! the revision before; any other day gets none. Revisions of a day count from 1 without a gap, and its
//! differences add up to what its latest revision says, however events are split into rounds.

mod group;
mod maker;
#[cfg(test)]
mod tests;
mod tier_difference;

use std::ops::Range;

use hashbrown::HashSet;
use rating::Overflow;

use crate::accrual_round::Revisions;
use crate::charge::Charge;
use crate::running_totals::RunningTotals;

pub use group::{AccrualDay, AccrualGroup};
use maker::Maker;

/// The order accruals are made in: by legal entity, currency, contract line, meter and period.
#[derive(Debug)]
pub struct AccrualPlan {
    /// Charges, group by group.
    order: Vec<u32>,
    groups: Vec<Range<usize>>,
}

impl AccrualPlan {
    /// Sorts charges of running totals into groups: those of all groups in which something changed since
    /// the last accruals.
    #[must_use]
    pub fn new(totals: &RunningTotals) -> Self {
        let (catalog, charges) = (&totals.catalog, &totals.charges);
        let touched = &charges.round.touched;
        let group_of =
            |charge: &Charge| (charge.key.line, u32::from(charge.key.meter), charge.key.period_start);
        // Of some groups, charges that did not change are needed as well.
        let is_whole = touched.len() == charges.all.len();
        let changed =
            touched.iter().filter(|_| !is_whole).filter_map(|charge| charges.all.get(*charge as usize));
        let changed: HashSet<_> = changed.map(group_of).collect();
        if changed.is_empty() && !is_whole {
            return Self { order: Vec::new(), groups: Vec::new() };
        }
        // The account and the group decide between charges of one line, so that the order is total.
        let mut keyed: Vec<_> = (0u32..)
            .zip(&charges.all)
            .filter(|(_, charge)| is_whole || changed.contains(&group_of(charge)))
            .map(|(position, charge)| (group_of(charge), (charge.key.account, charge.key.group), position))
            .collect();
        let mut has_charge = vec![false; catalog.lines().len()];
        for ((line, ..), ..) in &keyed {
            if let Some(has_charge) = has_charge.get_mut(*line as usize) {
                *has_charge = true;
            }
        }
        let entity_id =
            |entity: u32| catalog.legal_entities().get(entity as usize).map(|entity| entity.id.as_str());
        let lines = (0..catalog.lines().len()).filter(|line| has_charge.get(*line) == Some(&true));
        let line_ranks = ranks(catalog.lines(), lines, |line| {
            (entity_id(line.legal_entity), line.currency, line.id.as_str())
        });
        let meters = 0..catalog.meters().len();
        let meter_ranks = ranks(catalog.meters(), meters, |meter| meter.id.as_str());
        let rank = |ranks: &[u32], position: u32| ranks.get(position as usize).copied().unwrap_or(u32::MAX);
        for ((line, meter, _), ..) in &mut keyed {
            (*line, *meter) = (rank(&line_ranks, *line), rank(&meter_ranks, *meter));
        }
        keyed.sort_unstable();
        let mut groups: Vec<Range<usize>> = Vec::new();
        let mut previous = None;
        for (position, (key, ..)) in keyed.iter().enumerate() {
            match groups.last_mut() {
                Some(group) if previous == Some(key) => group.end = position + 1,
                _ => groups.push(position..position + 1),
            }
            previous = Some(key);
        }
        Self { order: keyed.into_iter().map(|(.., position)| position).collect(), groups }
    }

    /// Number of groups.
    #[must_use]
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Are there no groups?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Makes the accruals of some groups, in order, and hands them over, some at a time; the revisions
    /// they are. A group in which nothing differs has no days.
    ///
    /// # Errors
    /// What `take` says; [`Overflow`] when a total needs more than 38 digits.
    pub fn accrue<E: From<Overflow>>(
        &self,
        totals: &RunningTotals,
        groups: Range<usize>,
        mut take: impl FnMut(&[AccrualGroup]) -> Result<(), E>,
    ) -> Result<Revisions, E> {
        let mut revisions = Revisions::default();
        let mut maker = Maker::new(totals);
        let mut made: Vec<AccrualGroup> =
            std::iter::repeat_with(AccrualGroup::default).take(GROUPS).collect();
        for groups in self.groups.get(groups).unwrap_or_default().chunks(GROUPS) {
            for group in groups {
                maker.aim(self.order.get(group.clone()).unwrap_or_default());
            }
            maker.touch();
            for (group, made) in groups.iter().zip(&mut made) {
                maker.make(self.order.get(group.clone()).unwrap_or_default(), made, &mut revisions)?;
            }
            take(made.get(..groups.len()).unwrap_or_default())?;
        }
        Ok(revisions)
    }
}

/// Groups that are made and handed over together; their charges and days are loaded ahead.
const GROUPS: usize = 32;

/// The rank of each of some elements in the order of its key; 0 for others.
fn ranks<'a, T, K: Ord>(
    elements: &'a [T],
    of: impl Iterator<Item = usize>,
    key: impl Fn(&'a T) -> K,
) -> Vec<u32> {
    let mut order: Vec<usize> = of.collect();
    order.sort_by_cached_key(|position| elements.get(*position).map(&key));
    let mut ranks = vec![0; elements.len()];
    for (rank, position) in (0u32..).zip(order) {
        if let Some(place) = ranks.get_mut(position) {
            *place = rank;
        }
    }
    ranks
}
