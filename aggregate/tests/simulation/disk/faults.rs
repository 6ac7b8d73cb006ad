//! What goes wrong while a process runs, and what a crash leaves.

use std::collections::BTreeMap;
use std::io;

use super::calls::CallKind;
use crate::random::Random;

/// The faults of a process; its calls are numbered from 0.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) crash: Option<Crash>,
    pub(crate) errors: BTreeMap<u64, DiskError>,
    pub(crate) space: Option<Space>,
}

/// The end of a process at a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crash {
    pub(crate) call: u64,
    pub(crate) effect: Effect,
    pub(crate) kind: CrashKind,
}

/// How much of a call happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    None,
    Part,
    Whole,
    /// What an error leaves.
    Failed,
}

/// What ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CrashKind {
    /// The process. What it wrote stays in the cache of the operating system, and is as little durable as before.
    Kill,
    /// The machine.
    PowerLoss(Survival),
}

/// What of the unsynced changes survives.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Survival {
    Nothing,
    Everything,
    /// As a seed chooses.
    Some(u64),
}

/// An error of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiskError {
    /// EIO.
    Broken,
    /// ENOSPC.
    NoSpace,
    /// EINTR.
    Interrupted,
    /// EROFS.
    ReadOnly,
}

impl DiskError {
    /// Those that come and go.
    pub(crate) const ALL: [Self; 3] = [Self::Broken, Self::NoSpace, Self::Interrupted];

    pub(crate) const fn meets(self, kind: CallKind) -> bool {
        match self {
            Self::Broken => true,
            Self::NoSpace => matches!(
                kind,
                CallKind::Create | CallKind::CreateDirectory | CallKind::RenameNew | CallKind::Write
            ),
            Self::Interrupted => matches!(kind, CallKind::Read | CallKind::Write),
            Self::ReadOnly => {
                kind.changes_something() && !matches!(kind, CallKind::Sync | CallKind::SyncDirectory)
            }
        }
    }

    pub(crate) fn error(self) -> io::Error {
        io::Error::from_raw_os_error(match self {
            Self::Broken => 5,
            Self::NoSpace => 28,
            Self::Interrupted => 4,
            Self::ReadOnly => 30,
        })
    }
}

/// A disk that is full after so many bytes, until a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Space {
    pub(crate) bytes: usize,
    pub(crate) until: u64,
}

/// Chooses what survives.
pub(crate) struct Choices {
    survival: Survival,
    random: Random,
    everything: bool,
}

impl Choices {
    pub(crate) fn new(survival: Survival) -> Self {
        let seed = if let Survival::Some(seed) = survival { seed } else { 0 };
        Self { survival, random: Random::new(seed), everything: false }
    }

    /// Choices for a file or the names: a generator where each change is chosen alone; none where all or nothing
    /// survives, which [`Self::everything`] says.
    pub(crate) fn some_of_many(&mut self) -> Option<&mut Random> {
        match self.survival {
            Survival::Nothing => self.everything = false,
            Survival::Everything => self.everything = true,
            Survival::Some(_) => match self.random.below(4) {
                0 => self.everything = false,
                1 => self.everything = true,
                _ => return Some(&mut self.random),
            },
        }
        None
    }

    pub(crate) const fn everything(&self) -> bool {
        self.everything
    }
}
