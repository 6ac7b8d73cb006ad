//! Checkpoints: each whole, of this ledger, and the same as the fold of the epochs before it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rating::catalog::Catalog;
use schemas::epoch::{ContentHash, ContentKind};

use super::finding::{Check, Finding};
use super::repair::Repair;
use super::survey::Survey;
use super::{Examination, Watch};
use crate::books::{Books, CurrencySums};
use crate::checkpoint::{self, Checkpoint, Standing};
use crate::decider::Decider;
use crate::error::AggregateError;
use crate::fold::Folder;
use crate::ledger::{LedgerReader, SealedEpoch};
use crate::partition::encode;

/// The checkpoints there are, by the epoch in their name.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    /// Those that are whole and fit the ledger.
    sound: BTreeMap<u64, Standing>,
    /// The others.
    damaged: BTreeSet<u64>,
}

impl Checkpoints {
    /// Reads them.
    pub(super) fn read(examination: &mut Examination<'_>, survey: &Survey) -> Result<Self, AggregateError> {
        let disk = Arc::clone(examination.directory.disk());
        let listed = checkpoint::list(&*disk, examination.partition);
        let listed =
            listed.map_err(|error| AggregateError::Disk { path: disk.path(checkpoint::DIRECTORY), error })?;
        let mut checkpoints = Self::default();
        for epoch in listed {
            let path = disk.path(&checkpoint::name_of(examination.partition, epoch));
            let what = match checkpoint::read(&*disk, examination.partition, epoch) {
                Err(skipped) => skipped.what,
                Ok(checkpoint) => match misfit(examination, survey, epoch, &checkpoint.standing) {
                    None => {
                        checkpoints.sound.insert(epoch, checkpoint.standing);
                        continue;
                    }
                    Some(what) => what,
                },
            };
            checkpoints.damaged.insert(epoch);
            let finding = Finding::damage(Check::Checkpoints, path, what).of_epoch(epoch);
            let finding = if epoch > survey.last && survey.is_sound {
                examination.is_ledger_behind = true;
                let means = "epochs that were committed are gone from the ledger, with their events";
                finding.means(means).remedy("restore the ledger from a copy")
            } else {
                let means = "no figure depends on it: a start takes an older one, and folds more epochs";
                finding.means(means).repair(Repair::RemoveCheckpoint(epoch))
            };
            examination.find(finding);
        }
        Ok(checkpoints)
    }

    /// The newest that is sound.
    pub(super) fn newest(&self) -> Option<&Standing> {
        self.sound.values().next_back()
    }

    /// The runs that the newest names.
    pub(super) fn runs_of_newest(&self) -> impl Iterator<Item = &str> {
        self.newest().into_iter().flat_map(|standing| standing.runs.iter().map(String::as_str))
    }

    /// Is one of them not readable?
    pub(super) fn is_any_damaged(&self) -> bool {
        !self.damaged.is_empty()
    }

    /// First month whose identities are kept.
    pub(super) fn first_month(&self, survey: &Survey) -> u16 {
        self.newest().map_or(0, |standing| standing.first_month).max(survey.first_month)
    }

    /// The oldest of those that are kept, sound or not; `None` if upkeep has removed nothing for them.
    fn oldest_kept(&self) -> Option<u64> {
        let all: BTreeSet<u64> = self.sound.keys().chain(&self.damaged).copied().collect();
        all.first().copied().filter(|_| all.len() > 1)
    }

    /// Runs that recovery from any of them needs, and those of epochs after.
    pub(super) fn needed_runs(&self, survey: &Survey) -> BTreeSet<String> {
        let named = self.sound.values().flat_map(|standing| standing.runs.iter().cloned());
        let gone = self.superseded(survey);
        let files = runs_of_epochs(survey).filter(|name| !gone.contains(name));
        named.chain(files).collect()
    }

    /// Runs of epochs that upkeep may have removed: other runs have their identities.
    pub(super) fn superseded(&self, survey: &Survey) -> BTreeSet<String> {
        let Some(oldest) = self.oldest_kept() else { return BTreeSet::new() };
        let named: BTreeSet<&String> = self.sound.values().flat_map(|standing| &standing.runs).collect();
        let old = survey
            .files
            .iter()
            .filter(|(epoch, content)| *epoch <= oldest && content.kind == ContentKind::Identities);
        let old = old.filter_map(|(_, content)| content.file.clone());
        old.filter(|name| !named.contains(name)).collect()
    }

    /// Can a start do without these checkpoints?
    pub(super) fn can_do_without(
        &self,
        epochs: &BTreeSet<u64>,
        survey: &Survey,
        examination: &Examination<'_>,
    ) -> bool {
        let goes_on = |(other, _): (&u64, &Standing)| !epochs.contains(other) && other + 1 >= survey.oldest;
        let disk = examination.directory.disk();
        let is_there = |name: String| disk.open(&name).is_ok();
        self.sound.iter().any(goes_on) || (survey.is_whole() && runs_of_epochs(survey).all(is_there))
    }
}

fn runs_of_epochs(survey: &Survey) -> impl Iterator<Item = String> {
    let runs = survey.files.iter().filter(|(_, content)| content.kind == ContentKind::Identities);
    runs.filter_map(|(_, content)| content.file.clone())
}

/// Why a checkpoint is none of this place in this ledger.
fn misfit(examination: &Examination<'_>, survey: &Survey, epoch: u64, standing: &Standing) -> Option<String> {
    let identity = examination.directory.ledger(examination.partition);
    if !standing.is_of(&identity) {
        return Some(standing.words_of_origin());
    }
    if standing.epoch != epoch {
        return Some(format!("it is of epoch {}, and named as that of {epoch}", standing.epoch));
    }
    if epoch > survey.last && survey.is_sound {
        return Some(format!("it is of epoch {epoch}, and the ledger ends with epoch {}", survey.last));
    }
    let expected = match survey.epochs.get(&epoch) {
        Some(figures) => figures.hash,
        None => survey.before.filter(|_| epoch + 1 == survey.oldest)?,
    };
    let found = standing.hash;
    (found != expected)
        .then(|| format!("it follows an epoch with hash {found}, and epoch {epoch} has {expected}"))
}

/// The state of a partition, on the way from one epoch to the next.
struct Fold {
    standing: Standing,
    decider: Decider,
    catalog: (ContentHash, Arc<Catalog>),
}

/// Folds the epochs, compares each checkpoint on the way, and holds the charges at the end against the books.
pub(super) fn fold(
    examination: &mut Examination<'_>,
    survey: &Survey,
    checkpoints: &Checkpoints,
    watch: &mut Watch<'_>,
) -> Result<(), AggregateError> {
    if let Some(why) = obstacle(examination, survey) {
        examination.skipped(Check::Checkpoints, why.clone());
        examination.skipped(Check::Books, why);
        return Ok(());
    }
    let begun = begin(examination, survey, checkpoints)?;
    let Some(mut fold) = begun else {
        let count = checkpoints.sound.len();
        examination.checked(Check::Checkpoints, format!("{count} checkpoints, no epochs to fold"));
        examination.checked(Check::Books, "no epochs".to_owned());
        return Ok(());
    };
    let from = fold.standing.epoch;
    let mut compared = 0_usize;
    let reader = LedgerReader::open(
        examination.directory.disk(),
        examination.directory.ledger(examination.partition),
    )?;
    let mut positions = None;
    let folded = reader.read(from + 1, |sealed: SealedEpoch| {
        watch(Check::Checkpoints, sealed.epoch.epoch - from, survey.last - from);
        if sealed.epoch.epoch > survey.last {
            return Ok(());
        }
        if sealed.epoch.catalog != fold.catalog.0 {
            fold.catalog = load(examination, sealed.epoch.catalog)?;
            let catalog = Arc::clone(&fold.catalog.1);
            fold.decider.change_catalog(catalog, examination.directory.key(), 1)?;
            positions = None;
        }
        let mut books = fold.standing.books.clone();
        books.add(&sealed.epoch)?;
        Folder {
            directory: &examination.directory,
            decider: &mut fold.decider,
            loose: &mut Vec::new(),
            positions: &mut positions,
        }
        .fold_charges(&sealed)?;
        fold.standing.advance(&sealed, books);
        if let Some(standing) = checkpoints.sound.get(&sealed.epoch.epoch) {
            compared += 1;
            compare(examination, survey, &fold, standing)?;
        }
        Ok::<_, AggregateError>(())
    });
    let at = fold.standing.epoch;
    if let Err(error) = folded {
        return broken(examination, error, at + 1);
    }
    let seen = format!(
        "{compared} of {} checkpoints are the fold of epochs {} to {at}",
        checkpoints.sound.len(),
        from + 1
    );
    examination.checked(Check::Checkpoints, seen);
    balance(examination, &fold)?;
    examination.books = Some(fold.standing.books);
    Ok(())
}

/// Why the epochs cannot be folded.
fn obstacle(examination: &Examination<'_>, survey: &Survey) -> Option<String> {
    let is_folded = |kind: &ContentKind| matches!(kind, ContentKind::RatedUsage | ContentKind::UsageDetails);
    if !survey.is_sound {
        return Some("the ledger is damaged".to_owned());
    }
    if examination.damaged_files.values().any(is_folded) {
        return Some("rated usage or usage details of epochs are damaged".to_owned());
    }
    examination
        .diagnosis
        .is_damaged(Check::Catalogs)
        .then(|| "a catalog that usage was rated with is damaged".to_owned())
}

/// Before the first epoch, or at the oldest checkpoint; `None` if there is nothing to fold.
fn begin(
    examination: &mut Examination<'_>,
    survey: &Survey,
    checkpoints: &Checkpoints,
) -> Result<Option<Fold>, AggregateError> {
    let key = *examination.directory.key();
    let (Some(first), true) = (survey.epochs.get(&1), survey.oldest == 1) else {
        let usable = checkpoints.sound.iter().find(|(epoch, _)| **epoch + 1 >= survey.oldest);
        let Some((epoch, standing)) = usable else {
            if survey.oldest > 1 {
                let path = examination.directory.disk().path(checkpoint::DIRECTORY);
                let what = format!(
                    "there is no sound checkpoint, and the ledger begins with epoch {}",
                    survey.oldest
                );
                let finding = Finding::damage(Check::Checkpoints, path, what);
                let means = "no run can start here: what charges amount to so far is not known";
                examination.find(finding.means(means).remedy("restore a checkpoint from a copy"));
            }
            return Ok(None);
        };
        let Some(hash) = standing.catalog else { return Ok(None) };
        let catalog = load(examination, hash)?;
        let disk = examination.directory.disk();
        let read = checkpoint::read(&**disk, examination.partition, *epoch);
        let Checkpoint { standing, state } =
            read.map_err(|_| AggregateError::DamagedState("a checkpoint changed while it was read"))?;
        let decider = Decider::restore(&state, Arc::clone(&catalog.1), None, &key, 1)?;
        return Ok(Some(Fold { standing, decider, catalog }));
    };
    let catalog = load(examination, first.catalog)?;
    let standing = Standing::before_the_first(&examination.directory.ledger(examination.partition));
    let decider = Decider::new(Arc::clone(&catalog.1), &key, 1);
    Ok(Some(Fold { standing, decider, catalog }))
}

fn load(
    examination: &Examination<'_>,
    hash: ContentHash,
) -> Result<(ContentHash, Arc<Catalog>), AggregateError> {
    let catalog = examination.catalogs.load(&hash);
    catalog.map(|catalog| (hash, catalog)).map_err(|what| AggregateError::CatalogLost { hash, what })
}

/// Compares a checkpoint with the fold to the same epoch.
fn compare(
    examination: &mut Examination<'_>,
    survey: &Survey,
    fold: &Fold,
    standing: &Standing,
) -> Result<(), AggregateError> {
    let epoch = standing.epoch;
    let directory = &examination.directory;
    let path = directory.disk().path(&checkpoint::name_of(examination.partition, epoch));
    let what = match checkpoint::read(&**directory.disk(), examination.partition, epoch) {
        Err(skipped) => Some(skipped.what),
        Ok(Checkpoint { standing, state }) => {
            // Which runs hold the identities is the checkpoint's alone.
            let expected = Standing { runs: standing.runs.clone(), ..fold.standing.clone() };
            if standing == expected {
                let folded = encode(&fold.decider, directory)?;
                let is_same = state == folded || is_same_state(examination, fold, &state, &folded);
                (!is_same).then(|| "its state is not what the epochs before it come to".to_owned())
            } else {
                let difference = difference(&standing, &expected);
                Some(format!("it stands elsewhere than the epochs before it: {difference}"))
            }
        }
    };
    if let Some(what) = what {
        let finding = Finding::damage(Check::Checkpoints, path, what).of_epoch(epoch);
        let means = "a run that starts from it prices usage after other totals than were committed";
        let finding = finding.means(means);
        let is_proven = survey.is_whole();
        examination.find(if is_proven { finding.repair(Repair::RemoveCheckpoint(epoch)) } else { finding });
    }
    Ok(())
}

/// Is it the same state, written under a catalog that names more?
fn is_same_state(examination: &Examination<'_>, fold: &Fold, state: &[u8], folded: &[u8]) -> bool {
    let key = examination.directory.key();
    let restored = Decider::restore(state, Arc::clone(&fold.catalog.1), None, key, 1);
    let again = restored.and_then(|decider| encode(&decider, &examination.directory));
    again.is_ok_and(|again| again == folded)
}

fn difference(found: &Standing, expected: &Standing) -> String {
    if found.books != expected.books {
        return format!("{} rated there, {} here", found.books.rated, expected.books.rated);
    }
    if found.positions != expected.positions {
        return "inputs are read to other places".to_owned();
    }
    format!("epoch {} there, {} here", found.epoch, expected.epoch)
}

/// What charges amount to is what was rated (CONS-1).
fn balance(examination: &mut Examination<'_>, fold: &Fold) -> Result<(), AggregateError> {
    let overflow = |_| AggregateError::Overflow("amount per currency");
    let mut charged = CurrencySums::default();
    charged.add(&fold.decider.totals().by_currency().map_err(overflow)?).map_err(overflow)?;
    let Books { rated, counts, .. } = &fold.standing.books;
    let path =
        examination.directory.disk().path(&examination.directory.ledger(examination.partition).directory());
    if charged != *rated {
        let what = format!("{rated} is rated, and charges amount to {charged}");
        let means = "invoices and accruals do not follow from rated usage";
        let finding = Finding::damage(Check::Books, path, what).means(means);
        examination.find(finding.remedy("do not post from it; send the directory to the developers"));
    }
    let seen = format!("{} events received, {rated} rated", counts.received);
    examination.checked(Check::Books, seen);
    Ok(())
}

/// Tells why the epochs could not be folded.
fn broken(
    examination: &mut Examination<'_>,
    error: AggregateError,
    epoch: u64,
) -> Result<(), AggregateError> {
    let check = match &error {
        AggregateError::OutOfBalance(_) => Check::Books,
        AggregateError::NotAsRated { .. }
        | AggregateError::CatalogConflict(_)
        | AggregateError::Overflow(_) => Check::Books,
        error if error.is_damage() => Check::Checkpoints,
        _ => return Err(error),
    };
    let path =
        examination.directory.disk().path(&examination.directory.ledger(examination.partition).directory());
    let finding = Finding::damage(check, path, error.to_string()).of_epoch(epoch);
    let means = "the epochs do not add up to what they say: no run starts here";
    examination.find(
        finding
            .means(means)
            .remedy("do not post from it; restore the directory from a copy, or send it to the developers"),
    );
    for check in [Check::Checkpoints, Check::Books] {
        examination.skipped(check, format!("the fold ends before epoch {epoch}"));
    }
    Ok(())
}
