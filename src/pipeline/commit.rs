//! Committing epochs while the next are being made.

use aggregate::committer::{Committed, Committer, EpochDraft};
use aggregate::error::AggregateError;
use aggregate::identities::Identities;
use crossbeam_channel::{Receiver, Sender};

/// An epoch whose tables are written.
pub(super) struct Made {
    pub(super) draft: EpochDraft,
    /// The state of the decider after it, if there is to be a checkpoint.
    pub(super) state: Option<Vec<u8>>,
}

/// Commits epochs until there are no more, and says so.
pub(super) fn commit(
    committer: &mut Committer,
    made: &Receiver<Made>,
    committed: &Sender<CommitNote>,
) -> Result<(), AggregateError> {
    while let Ok(Made { draft, state }) = made.recv() {
        let epoch = committer.append(draft)?;
        committer.sync()?;
        // The decider asks for these only as long as it decides.
        let _ = committed.send(CommitNote::Epoch(Box::new(epoch)));
        if let Some(state) = state {
            if let Some(run) = committer.write_loose()? {
                let _ = committed.send(CommitNote::Run(run));
            }
            committer.write_checkpoint(&state)?;
            committer.end_checkpoint(committer.since_checkpoint())?;
        }
    }
    Ok(())
}

/// What the committer did.
pub(super) enum CommitNote {
    /// An epoch is committed.
    Epoch(Box<Committed>),
    /// All identities that were in no run are in this one.
    Run(String),
}

impl CommitNote {
    /// Notes where identities are now.
    pub(super) fn tell(self, identities: &mut Identities) {
        match self {
            Self::Epoch(committed) => identities.note_committed(&committed),
            Self::Run(run) => identities.note_run(Some(run)),
        }
    }
}
