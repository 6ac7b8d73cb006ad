//! The ledger, read from its oldest segment to the newest: what the other checks compare with.

use std::collections::BTreeMap;

use ingest::dedup::{Entry, Month};
use schemas::epoch::{ContentHash, ContentKind, EpochContent};

use super::figures::{EpochFigures, Months, count_month};
use super::finding::{Check, Finding};
use super::repair::Repair;
use super::{Examination, Watch};
use crate::error::AggregateError;
use crate::ledger::{FoundSegment, LedgerError, LedgerReader, SealedEpoch};

/// What the ledger says.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// First epoch there is a segment for; 1 where there is none.
    pub(super) oldest: u64,
    /// Hash of the epoch before the oldest.
    pub(super) before: Option<ContentHash>,
    /// Last epoch that is sound with all before it.
    pub(super) last: u64,
    /// Is all of it sound?
    pub(super) is_sound: bool,
    /// The epochs that are sound.
    pub(super) epochs: BTreeMap<u64, EpochFigures>,
    /// Contents that are files, by epoch.
    pub(super) files: Vec<(u64, EpochContent)>,
    /// Catalogs, with the first epoch that names them.
    pub(super) catalogs: BTreeMap<ContentHash, u64>,
    /// Counted events of the epochs by month.
    pub(super) months: Months,
    /// First month whose identities are kept, as far as the epochs say.
    pub(super) first_month: u16,
    /// Identities that epochs carry, by month.
    pub(super) identities: BTreeMap<u64, Months>,
    segments: usize,
}

impl Survey {
    /// Is every epoch there, from the first to the last?
    pub(super) const fn is_whole(&self) -> bool {
        self.oldest == 1 && self.is_sound
    }

    /// Reads the ledger.
    pub(super) fn take(
        examination: &mut Examination<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<Self, AggregateError> {
        let identity = examination.directory.ledger(examination.partition);
        let genesis = identity.genesis();
        let reader = LedgerReader::open(examination.directory.disk(), identity)?;
        let mut survey = Self { oldest: reader.oldest().unwrap_or(1), is_sound: true, ..Self::default() };
        survey.last = survey.oldest - 1;
        if survey.oldest == 1 {
            survey.before = Some(genesis);
        }
        // The epoch and hash that the next segment has to go on from.
        let mut next = survey.before.map(|hash| (survey.oldest, hash));
        let total = reader.len();
        reader.examine(|segment| {
            watch(Check::Ledger, survey.segments as u64, total as u64);
            survey.segments += 1;
            survey.add(examination, segment, &mut next)
        })?;
        let seen = match survey.segments {
            0 => "no epochs".to_owned(),
            segments => format!("epochs {} to {} in {segments} segments", survey.oldest, survey.last),
        };
        examination.checked(Check::Ledger, seen);
        Ok(survey)
    }

    fn add(
        &mut self,
        examination: &mut Examination<'_>,
        segment: FoundSegment,
        next: &mut Option<(u64, ContentHash)>,
    ) -> Result<(), AggregateError> {
        let FoundSegment { path, first, bytes, previous, epochs, torn_bytes, damage } = segment;
        if self.segments == 1 {
            self.before = self.before.or(previous);
        }
        let lost = "epochs that were committed cannot be read: their events are missing from every figure \
                    that is made from the ledger, and nothing more can be committed";
        match (&*next, previous) {
            (Some((expected, _)), _) if *expected != first && self.is_sound => {
                let what = format!("epoch {expected} should follow, and it begins with epoch {first}");
                let restore = format!("restore the segment that begins with epoch {expected} from a copy");
                let finding = Finding::damage(Check::Ledger, path.clone(), what).of_epoch(*expected);
                examination.find(finding.means(lost).remedy(restore));
                self.is_sound = false;
            }
            (Some((_, hash)), Some(previous)) if *hash != previous && self.is_sound => {
                let what = format!(
                    "it goes on after an epoch with hash {previous}, and the epoch before has {hash}"
                );
                let finding = Finding::damage(Check::Ledger, path.clone(), what).of_epoch(first);
                examination.find(finding.means(lost));
                self.is_sound = false;
            }
            _ => {}
        }
        let was_sound = self.is_sound;
        *next = previous.map(|previous| (first, previous));
        for sealed in epochs {
            *next = Some((sealed.epoch.epoch + 1, sealed.hash));
            self.take_in(&sealed)?;
            if was_sound {
                self.last = sealed.epoch.epoch;
            }
        }
        if let Some(damage) = damage {
            let after = next.as_ref().map_or(first, |(epoch, _)| *epoch);
            let byte = match &damage {
                LedgerError::Damaged { offset, .. } => Some(*offset),
                _ => Some(0),
            };
            let what = damage.without_path();
            let finding = Finding { byte, ..Finding::damage(Check::Ledger, path, what) };
            let means = format!("epoch {after} and those that follow in this file cannot be read: {lost}");
            let remedy = match damage {
                LedgerError::OtherFormat { .. } => "use the program that wrote it, or a newer one",
                LedgerError::OtherLedger { .. } => {
                    "it is of another directory: put the right file in its place"
                }
                _ => "restore it from a copy of this directory",
            };
            examination.find(finding.of_epoch(after).means(means).remedy(remedy));
            self.is_sound = false;
            *next = None;
        } else if torn_bytes > 0 && !examination.is_written {
            let what = format!("its last {torn_bytes} of {bytes} bytes were never committed");
            let finding = Finding::notice(Check::Ledger, path, what);
            let finding = Finding { byte: Some(bytes - torn_bytes), ..finding };
            examination.find(
                finding
                    .means("nobody was told that they are counted: they are no part of any figure")
                    .remedy("the next run cuts them away, and so does --repair")
                    .repair(Repair::CutTail),
            );
        }
        Ok(())
    }

    fn take_in(&mut self, sealed: &SealedEpoch) -> Result<(), AggregateError> {
        let epoch = &sealed.epoch;
        let figures = EpochFigures::of(sealed).map_err(|_| AggregateError::Overflow("sum of an epoch"))?;
        if let Some(time) = epoch.forgets_before {
            self.first_month = Month::of(time.micros()).number();
        }
        self.catalogs.entry(epoch.catalog).or_insert(epoch.epoch);
        for total in &epoch.control_totals {
            count_month(&mut self.months, total.month.as_deref(), &total.counts);
        }
        for (position, content) in epoch.contents.iter().enumerate() {
            if content.file.is_some() {
                self.files.push((epoch.epoch, content.clone()));
            } else if content.kind == ContentKind::Identities {
                let bytes = sealed.inline_content(position).unwrap_or_default();
                let months = self.identities.entry(epoch.epoch).or_default();
                for entry in bytes.as_chunks().0 {
                    *months.entry(Entry::from_bytes(entry).month().number()).or_default() += 1;
                }
            }
        }
        self.epochs.insert(epoch.epoch, figures);
        Ok(())
    }
}
