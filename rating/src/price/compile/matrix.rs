//! Compiles a price matrix.

use std::collections::BTreeSet;

use schemas::id::DimensionName;

use super::Compiler;
use crate::price::matrix::{Entry, Matrix};

impl Compiler<'_> {
    pub(super) fn matrix(&mut self, group: &[DimensionName]) -> Option<Matrix> {
        let written = self.required("matrix", self.rate.matrix.as_deref())?;
        if written.is_empty() {
            self.fault("matrix", "there is no entry".to_owned(), "write at least one entry");
        }
        let default = self.rate.default_unit_price;
        let default = default.and_then(|price| self.count_price("default_unit_price", price));
        let dimensions: BTreeSet<&DimensionName> =
            written.iter().flat_map(|entry| entry.when.keys()).collect();
        let positions: Vec<usize> =
            dimensions.iter().filter_map(|name| group.iter().position(|other| other == *name)).collect();
        let mut entries = Vec::with_capacity(written.len());
        let mut seen: Vec<(Vec<Option<String>>, usize)> = Vec::new();
        for (position, entry) in written.iter().enumerate() {
            let value = |name: &&DimensionName| entry.when.get(*name).filter(|value| *value != "*").cloned();
            let values: Vec<Option<String>> = dimensions.iter().map(value).collect();
            if let Some((_, first)) = seen.iter().find(|(other, _)| *other == values) {
                let message = format!("the same combination as matrix[{first}]");
                self.fault(&format!("matrix[{position}].when"), message, "remove one of the two");
            }
            seen.push((values.clone(), position));
            let field = format!("matrix[{position}].unit_price");
            if let Some(count_price) = self.count_price(&field, entry.unit_price) {
                entries.push(Entry { values, count_price });
            }
        }
        // A stable sort: the entry with most values first, then as written.
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.values.iter().flatten().count()));
        Some(Matrix { entries, default, positions })
    }
}
