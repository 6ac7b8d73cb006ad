//! Gives accounts the contract lines that cover them; one line per meter and time.

use std::collections::BTreeMap;

use schemas::id::AccountId;
use schemas::period::Period;

use super::{Compiler, number};
use crate::catalog::{Account, Assignment, Origin, Problem};

impl Compiler {
    pub(super) fn assign(
        &mut self,
        account: &AccountId,
        assignment: Assignment,
        origin: &Origin,
        path: &str,
    ) {
        let known = self.accounts.get(account.as_str()).copied();
        let position = known.unwrap_or_else(|| {
            let position = number(self.catalog.accounts.len());
            self.accounts.insert(account.to_string(), position);
            self.catalog.accounts.push(Account { id: account.clone(), assignments: Vec::new() });
            self.assignment_places.push(Vec::new());
            position
        });
        if let Some(account) = self.catalog.accounts.get_mut(position as usize) {
            account.assignments.push(assignment);
        }
        if let Some(places) = self.assignment_places.get_mut(position as usize) {
            places.push((origin.clone(), path.to_owned()));
        }
    }

    /// An account's usage of a meter must have one line at a time.
    pub(super) fn refuse_overlapping_assignments(&mut self) {
        // Contracts with many accounts repeat a mistake for each of them: it is told once.
        let mut clashes: BTreeMap<Clash, Vec<&AccountId>> = BTreeMap::new();
        for (account, places) in self.catalog.accounts.iter().zip(&self.assignment_places) {
            let placed = || account.assignments.iter().zip(places);
            for (later, (assignment, (origin, path))) in placed().enumerate() {
                for (earlier, (other_origin, other_path)) in placed().take(later) {
                    let overlap = assignment.period.intersection(&earlier.period);
                    let terms = |assignment: &Assignment| self.catalog.terms.get(assignment.terms as usize);
                    let (Some(left), Some(right)) = (terms(assignment), terms(earlier)) else { continue };
                    let Some(meter) = left.meters.common(&right.meters).filter(|_| !overlap.is_empty())
                    else {
                        continue;
                    };
                    let (origin, path) = (origin.clone(), path.clone());
                    let other = format!("{other_path} in {other_origin}");
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
