//! Positions in inputs go on where they were, and never back.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Audit, Epoch, rule};

/// The ends of files, by the path they were given by.
pub(crate) fn check(epochs: &[Arc<Epoch>]) -> Audit<BTreeMap<String, u64>> {
    let mut ends: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for epoch in epochs {
        for progress in epoch.document["positions"].as_array().ok_or("an epoch has no positions")? {
            let number =
                |field: &str| progress[field].as_u64().ok_or_else(|| format!("{field} is no number"));
            let (from, to, line) = (number("from_offset")?, number("to_offset")?, number("to_line")?);
            rule(to >= from, || format!("epoch {} went back from {from} to {to}", epoch.number))?;
            // What is no file begins anew in each process.
            let Some(path) = progress["file"]["path"].as_str() else { continue };
            let (end, last_line) = ends.get(path).copied().unwrap_or_default();
            rule(from == end && line >= last_line, || {
                format!("epoch {} read {path} from {from} to {to}, it was at {end}", epoch.number)
            })?;
            ends.insert(path.to_owned(), (to, line));
        }
    }
    Ok(ends.into_iter().map(|(path, (end, _))| (path, end)).collect())
}
