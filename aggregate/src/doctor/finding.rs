//! What an examination finds, in words for people and programs.

use std::path::PathBuf;

use serde::Serialize;

use super::repair::Repair;

/// Findings of one check that are told; who mends them sees the others then.
pub(super) const FINDINGS_MAX: usize = 100;

/// What is examined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// What the directory says of itself, its key and its lock.
    Directory,
    /// Segments and epochs of the ledger, their hashes and their chain.
    Ledger,
    /// Files that epochs name.
    Contents,
    /// Catalogs that epochs were rated with.
    Catalogs,
    /// Identities that were counted, against the events that were.
    Identities,
    /// Checkpoints, against the fold of the epochs.
    Checkpoints,
    /// Sums over epochs, against each other.
    Books,
    /// Tables, against the epochs.
    Tables,
    /// Readers of the ledger.
    Readers,
    /// Files that nothing needs.
    Leftovers,
}

impl Check {
    /// All of them, in the order they are made.
    pub const ALL: [Self; 10] = [
        Self::Directory,
        Self::Ledger,
        Self::Contents,
        Self::Catalogs,
        Self::Identities,
        Self::Checkpoints,
        Self::Books,
        Self::Tables,
        Self::Readers,
        Self::Leftovers,
    ];

    /// Wire name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Ledger => "ledger",
            Self::Contents => "contents",
            Self::Catalogs => "catalogs",
            Self::Identities => "identities",
            Self::Checkpoints => "checkpoints",
            Self::Books => "books",
            Self::Tables => "tables",
            Self::Readers => "readers",
            Self::Leftovers => "leftovers",
        }
    }
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Data is not what it was, or contradicts itself.
    Damage,
    /// No figure depends on it.
    Notice,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check that found it.
    pub check: Check,
    /// How much it matters.
    pub severity: Severity,
    /// The file or directory.
    pub path: PathBuf,
    /// Where in the file, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub byte: Option<u64>,
    /// The epoch it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// What is wrong.
    pub what: String,
    /// What it means for the figures.
    pub means: String,
    /// What to do.
    pub remedy: String,
    /// What would mend it, if nothing else is in the way.
    #[serde(skip)]
    pub(super) repair: Option<Repair>,
}

impl Finding {
    /// Damage.
    pub(super) fn damage(check: Check, path: PathBuf, what: impl Into<String>) -> Self {
        Self {
            check,
            severity: Severity::Damage,
            path,
            byte: None,
            epoch: None,
            what: what.into(),
            means: String::new(),
            remedy: "restore it from a copy of this directory".to_owned(),
            repair: None,
        }
    }

    /// Something that is only mentioned.
    pub(super) fn notice(check: Check, path: PathBuf, what: impl Into<String>) -> Self {
        let remedy = "nothing needs to be done".to_owned();
        Self { severity: Severity::Notice, remedy, ..Self::damage(check, path, what) }
    }

    pub(super) fn of_epoch(self, epoch: u64) -> Self {
        Self { epoch: Some(epoch), ..self }
    }

    pub(super) fn means(self, means: impl Into<String>) -> Self {
        Self { means: means.into(), ..self }
    }

    pub(super) fn remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: remedy.into(), ..self }
    }

    pub(super) fn repair(self, repair: Repair) -> Self {
        Self { repair: Some(repair), ..self }
    }
}

/// How a check ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The check.
    pub check: Check,
    /// How it ended.
    pub outcome: Outcome,
    /// What was looked at; where the check was not made, why.
    pub seen: String,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All is as it should be.
    Sound,
    /// Something is not.
    Damaged,
    /// It could not be made, or not in full.
    Skipped,
}

/// Records in quarantine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct QuarantineCounts {
    /// All that ever were.
    pub records: u64,
    /// Those that need no more care.
    pub settled: u64,
    /// Those that do.
    pub open: u64,
}

/// What an examination found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Diagnosis {
    /// The ledger, if the directory says.
    pub ledger_id: Option<String>,
    /// Last epoch that is sound, with all before it.
    pub epoch: u64,
    /// Is a process writing here?
    pub is_written: bool,
    /// How the checks ended.
    pub checks: Vec<Checked>,
    /// What was found.
    pub findings: Vec<Finding>,
    /// Records in quarantine, where the epochs say.
    pub quarantine: Option<QuarantineCounts>,
}

impl Diagnosis {
    /// Is nothing damaged?
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity != Severity::Damage)
            && self.checks.iter().all(|checked| checked.outcome != Outcome::Damaged)
    }

    /// Findings that are damage.
    pub fn damages(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Damage)
    }

    /// Has a check found damage?
    pub(super) fn is_damaged(&self, check: Check) -> bool {
        self.damages().any(|finding| finding.check == check)
    }
}
