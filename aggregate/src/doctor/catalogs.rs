//! Catalogs: each that an epoch names is there, as it was, and can be used.

use std::collections::BTreeMap;

use super::finding::{Check, Finding};
use super::survey::Survey;
use super::tables::Tables;
use super::{Examination, Watch};

/// Loads every catalog that an epoch names, also those of epochs that are only in the tables any more.
pub(super) fn examine(
    examination: &mut Examination<'_>,
    survey: &Survey,
    tables: &Tables,
    watch: &mut Watch<'_>,
) {
    let mut named = BTreeMap::new();
    let old = (1..survey.oldest).filter_map(|epoch| Some((tables.epoch(epoch)?.catalog, epoch)));
    for (hash, epoch) in old.chain(survey.catalogs.iter().map(|(hash, epoch)| (*hash, *epoch))) {
        named.entry(hash).or_insert(epoch);
    }
    for (number, (hash, epoch)) in named.iter().enumerate() {
        watch(Check::Catalogs, number as u64, named.len() as u64);
        if let Err(what) = examination.catalogs.load(hash) {
            let path = examination.directory.disk().path(&format!("catalogs/{hash}.tar"));
            // The path is said already.
            let what = what.strip_prefix(&format!("{}: ", path.display())).unwrap_or(&what).to_owned();
            let finding = Finding::damage(Check::Catalogs, path, what).of_epoch(*epoch);
            let means =
                format!("usage from epoch {epoch} on, rated with it, cannot be rated again or explained");
            examination.find(finding.means(means));
        }
    }
    examination.checked(Check::Catalogs, format!("{} catalogs", named.len()));
}
