//! What a catalog would change in usage that is rated already.

use std::collections::BTreeMap;
use std::fmt;

use schemas::printable::printable;
use schemas::timestamp::Timestamp;

/// Conflicts that are shown; the others are counted.
const SHOWN_MAX: usize = 20;

/// Conflicts of a catalog with usage, each once.
#[derive(Debug, Default)]
pub struct CatalogConflicts {
    /// By what is changed.
    found: BTreeMap<String, Conflict>,
}

#[derive(Debug)]
struct Conflict {
    mend: &'static str,
    /// The first usage it was found for.
    account: Box<str>,
    line: Box<str>,
    is_of_more: bool,
    /// Event times of all it was found for.
    first: i64,
    last: i64,
}

/// Usage that a catalog would change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChangedUsage<'a> {
    pub(crate) account: &'a str,
    pub(crate) line: &'a str,
    /// First and last event time; the first after the last where there is none.
    pub(crate) times: (i64, i64),
}

impl CatalogConflicts {
    /// Number of conflicts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// Is there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Notes what is changed, and how to mend it.
    pub(crate) fn note(&mut self, what: String, mend: &'static str, usage: ChangedUsage<'_>) {
        let conflict = self.found.entry(what).or_insert_with(|| Conflict {
            mend,
            account: usage.account.into(),
            line: usage.line.into(),
            is_of_more: false,
            first: i64::MAX,
            last: i64::MIN,
        });
        conflict.is_of_more |= *conflict.account != *usage.account || *conflict.line != *usage.line;
        conflict.first = conflict.first.min(usage.times.0);
        conflict.last = conflict.last.max(usage.times.1);
    }
}

impl fmt::Display for CatalogConflicts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, conflict) in self.found.iter().take(SHOWN_MAX) {
            let Conflict { mend, account, line, is_of_more, first, last } = conflict;
            let time = if first <= last {
                let (first, last) = (Timestamp::from_micros(*first), Timestamp::from_micros(*last));
                format!(", from {first} to {last}")
            } else {
                String::new()
            };
            let more = if *is_of_more { " and more" } else { "" };
            let usage = format!("account {account}, contract line {line}{more}{time}");
            write!(formatter, "\n  {}; {mend}", printable(&format!("{what} ({usage})")))?;
        }
        match self.found.len().saturating_sub(SHOWN_MAX) {
            0 => Ok(()),
            more => write!(formatter, "\n  and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_conflict_is_shown_once_and_the_most_are_counted() {
        let mut conflicts = CatalogConflicts::default();
        let usage = |account, times| ChangedUsage { account, line: "line", times };
        for number in 10..35 {
            conflicts.note(format!("conflict {number}"), "mend it", usage("a", (0, 1_000_000)));
        }
        conflicts.note("conflict 10".to_owned(), "mend it", usage("b\n", (2_000_000, 3_000_000)));
        conflicts.note("conflict 11".to_owned(), "mend it", usage("a", (i64::MAX, i64::MIN)));
        assert_eq!(conflicts.len(), 25);
        let shown = conflicts.to_string();
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 22);
        assert_eq!(
            lines[1],
            "  conflict 10 (account a, contract line line and more, from 1970-01-01T00:00:00Z to \
             1970-01-01T00:00:03Z); mend it"
        );
        assert_eq!(lines[21], "  and 5 more");
    }
}
