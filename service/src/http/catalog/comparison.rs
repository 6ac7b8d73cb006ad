//! A catalog beside another: what appears, and what disappears.

use std::collections::BTreeSet;

use rating::catalog::Catalog;
use schemars::JsonSchema;
use serde::Serialize;

use crate::catalog_source::Candidate;
use crate::engine::InForce;

/// Names of what changes that are listed; all are counted.
const NAMES_MAX: usize = 100;

/// What a catalog holds.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Contents {
    meters: usize,
    price_book_versions: usize,
    contract_lines: usize,
    accounts: usize,
}

impl Contents {
    pub(super) fn of(catalog: &Catalog) -> Self {
        Self {
            meters: catalog.meters().len(),
            price_book_versions: catalog.price_book_versions().len(),
            contract_lines: catalog.lines().len(),
            accounts: catalog.accounts().len(),
        }
    }
}

/// A catalog beside the one in force.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Comparison {
    hash: String,
    pub(super) is_in_force: bool,
    contents: Contents,
    meters: Changes,
    contract_lines: Changes,
    accounts: Changes,
    /// Usage that is rated already and would change: it is not taken into force while there is such.
    conflict: Option<String>,
}

/// What appears and disappears.
#[derive(Debug, Serialize, JsonSchema)]
struct Changes {
    added_count: usize,
    removed_count: usize,
    added: Vec<String>,
    removed: Vec<String>,
}

impl Changes {
    fn between<T: ToString>(before: impl Iterator<Item = T>, now: impl Iterator<Item = T>) -> Self {
        let names = |all: &mut dyn Iterator<Item = T>| -> BTreeSet<String> {
            all.map(|name| name.to_string()).collect()
        };
        let (mut before, mut now) = (before, now);
        let (before, now) = (names(&mut before), names(&mut now));
        let some = |names: &BTreeSet<String>, others: &BTreeSet<String>| {
            (names.difference(others).count(), names.difference(others).take(NAMES_MAX).cloned().collect())
        };
        let (added_count, added) = some(&now, &before);
        let (removed_count, removed) = some(&before, &now);
        Self { added_count, removed_count, added, removed }
    }
}

impl Comparison {
    pub(super) fn new(in_force: &InForce, candidate: &Candidate, conflict: Option<String>) -> Self {
        let (before, now) = (&in_force.catalog, &candidate.catalog);
        Self {
            hash: candidate.hash.to_string(),
            is_in_force: candidate.hash == in_force.hash,
            contents: Contents::of(now),
            meters: Changes::between(
                before.meters().iter().map(|meter| &meter.id),
                now.meters().iter().map(|meter| &meter.id),
            ),
            contract_lines: Changes::between(
                before.lines().iter().map(|line| &line.id),
                now.lines().iter().map(|line| &line.id),
            ),
            accounts: Changes::between(before.accounts(), now.accounts()),
            conflict,
        }
    }
}
