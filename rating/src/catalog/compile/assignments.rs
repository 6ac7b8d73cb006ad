//! Gives accounts the contract lines that cover them; one line per meter and time.

use std::collections::BTreeMap;

use schemas::id::AccountId;
use schemas::period::Period;

use super::{Compiler, number};
use crate::catalog::{Account, Assignment, Origin, Problem};

impl<'a> Compiler<'a> {
    pub(super) fn assign(&mut self, id: &'a AccountId, assignment: Assignment) {
        let next = number(self.catalog.accounts.len());
        let position = *self.accounts.entry(id.as_str()).or_insert(next);
        if position == next {
            self.catalog.accounts.push(Account { id: id.clone(), assignments: Vec::with_capacity(1) });
        }
        let Some(Account { assignments, .. }) = self.catalog.accounts.get_mut(position as usize) else {
            return;
        };
        // An account that its contract lists twice has a problem already.
        if assignments.last().is_none_or(|last| last.terms != assignment.terms) {
            assignments.push(assignment);
        }
    }

    /// An account's usage of a meter must have one line at a time.
    pub(super) fn refuse_overlapping_assignments(&mut self) {
        // Contracts with many accounts repeat a mistake for each of them: it is told once.
        let mut clashes: BTreeMap<Clash, Vec<&AccountId>> = BTreeMap::new();
        for account in &self.catalog.accounts {
            for (later, assignment) in account.assignments.iter().enumerate() {
                for earlier in account.assignments.iter().take(later) {
                    let overlap = assignment.period.intersection(&earlier.period);
                    let terms = |assignment: &Assignment| {
                        let position = assignment.terms as usize;
                        self.catalog.terms.get(position).zip(self.placed_lines.get(position))
                    };
                    let (Some((left, place)), Some((right, other))) = (terms(assignment), terms(earlier))
                    else {
                        continue;
                    };
                    let Some(meter) = left.meters.common(&right.meters).filter(|_| !overlap.is_empty())
                    else {
                        continue;
                    };
                    let origin = place.origin().clone();
                    let (path, other) = (place.to_string(), format!("{other} in {}", other.origin()));
                    let clash = Clash { origin, path, other, meter, overlap };
                    clashes.entry(clash).or_default().push(&account.id);
                }
            }
        }
        for (clash, accounts) in clashes {
            let Clash { origin, path, other, meter, overlap } = clash;
            let meter = self.catalog.meters.get(meter).map(|meter| meter.id.to_string()).unwrap_or_default();
            let account = accounts.first().map(ToString::to_string).unwrap_or_default();
            let accounts = match accounts.len() {
                1 => format!("account {account}"),
                several => format!("{several} accounts ({account} first)"),
            };
            let message =
                format!("for {accounts} the meter {meter} has two lines ({overlap}): this one and {other}");
            let mend = "let one end when the other begins, or list meters that differ".to_owned();
            self.problems.push(Problem { origin, path, message, mend });
        }
    }
}

/// Two lines for one meter at one time.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Clash {
    origin: Origin,
    path: String,
    other: String,
    meter: usize,
    overlap: Period,
}
