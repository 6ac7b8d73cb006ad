//! Matrix: a unit price by dimension values.
//!
//! The entry with the most values given wins, and among those the one written first. A missing
//! dimension fits no given value, and no default either: usage without a dimension the price depends
//! on is unrated, not cheap.

use schemas::quarantine::UnratedReason;

#[derive(Clone, Debug)]
pub(crate) struct Matrix {
    /// Entries, best first.
    pub(crate) entries: Vec<Entry>,
    /// Amount of one count where no entry fits.
    pub(crate) default: Option<i128>,
    /// Which of a charge's dimension values the matrix looks at.
    pub(crate) positions: Vec<usize>,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Per position looked at, the value it must have; `None` for any.
    pub(crate) values: Vec<Option<String>>,
    pub(crate) count_price: i128,
}

impl Matrix {
    /// Amount of one count for a charge with these dimension values.
    pub(crate) fn unit_price(&self, values: &[Option<&str>]) -> Result<i128, UnratedReason> {
        let mut given = Vec::with_capacity(self.positions.len());
        for position in &self.positions {
            match values.get(*position).copied().flatten() {
                Some(value) => given.push(value),
                None => return Err(UnratedReason::MissingDimension),
            }
        }
        let fits = |entry: &&Entry| {
            entry
                .values
                .iter()
                .zip(&given)
                .all(|(wanted, given)| wanted.as_deref().is_none_or(|wanted| wanted == *given))
        };
        let price = self.entries.iter().find(fits).map(|entry| entry.count_price);
        price.or(self.default).ok_or(UnratedReason::NoMatrixEntry)
    }
}
