//! Removes files that no longer belong to a table.

use std::collections::BTreeSet;
use std::io;

use schemas::timestamp::Timestamp;

use super::DeltaTable;
use super::log::millis;
use crate::error::AggregateError;

/// How long files stay after they were removed from a table, for those who read an older version.
pub const RETENTION_MS: i64 = 7 * 24 * 60 * 60 * 1_000;

impl DeltaTable<'_> {
    /// Are there files that were removed from the table long enough ago?
    #[must_use]
    pub fn wants_vacuum(&self, now: Timestamp, retention_ms: i64) -> bool {
        self.state.removed.values().any(|removed| *removed <= millis(now) - retention_ms)
    }

    /// Removes Parquet files in the table's directory that were removed from the table at least `retention_ms` ago,
    /// and those that no version names, such as a crash leaves. Names in `keep`, below the data directory, stay:
    /// files of epochs that are not in the table yet. Returns the names removed.
    ///
    /// # Errors
    /// [`AggregateError::Disk`].
    pub fn vacuum(
        &self,
        now: Timestamp,
        retention_ms: i64,
        keep: &BTreeSet<String>,
    ) -> Result<Vec<String>, AggregateError> {
        let failed = |name: &str, error| AggregateError::Disk { path: self.disk.path(name), error };
        let names = self.disk.list(&self.directory).map_err(|error| failed(&self.directory, error))?;
        let is_young = |name: &str| {
            self.state.removed.get(name).is_some_and(|removed| *removed > millis(now) - retention_ms)
        };
        let paths = self.paths();
        let mut gone = Vec::new();
        for path in names.iter().filter(|name| name.ends_with(".parquet")) {
            let name = format!("{}/{path}", self.directory);
            if paths.contains(path.as_str()) || is_young(path) || keep.contains(&name) {
                continue;
            }
            match self.disk.remove(&name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&name, error)),
                _ => gone.push(name),
            }
        }
        Ok(gone)
    }
}
