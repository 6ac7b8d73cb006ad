//! Checkpoints: the state of a partition at an epoch, so that recovery need not begin with the first.
//!
//! ```text
//! tallybook-checks | format u32 | length u32 | description, JSON | state of the decider | BLAKE3 of all before
//! ```
//!
//! A checkpoint holds nothing that the ledger does not: it can be made again. It is written beside its place and
//! moved there when it is durable; one that does not have its hash is not used, an older one is, and
//! that is said. The two newest are kept, with everything that they name.

use std::io::{self, Write};
use std::path::PathBuf;

use schemas::epoch::ContentHash;
use serde::{Deserialize, Serialize};

use crate::books::Books;
use crate::disk::{self, Disk};
use crate::ledger::LedgerIdentity;
use crate::positions::Positions;

/// What a checkpoint begins with.
const MAGIC: &[u8; 16] = b"tallybook-checks";

/// Version of the format.
pub const CHECKPOINT_FORMAT: u32 = 1;

/// Where checkpoints are.
pub(crate) const DIRECTORY: &str = "checkpoints";

/// Ending of their names.
const ENDING: &str = ".checkpoint";

/// Checkpoints that are kept.
const KEPT: usize = 2;

/// Bytes of a hash.
const HASH_BYTES: usize = size_of::<ContentHash>();

/// What a partition is after an epoch, besides the state of its decider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Ledger.
    pub ledger_id: String,
    /// Partition.
    pub partition: u32,
    /// Last epoch; 0 before the first.
    pub epoch: u64,
    /// Its hash.
    pub hash: ContentHash,
    /// Catalog it was rated with; `None` before the first epoch.
    pub catalog: Option<ContentHash>,
    /// How far inputs were read.
    pub positions: Positions,
    /// What the epochs add up to.
    pub books: Books,
    /// First month whose usage is accepted, as months since 1970.
    pub first_month: u16,
    /// Month of the newest usage that was rated, as months since 1970.
    pub newest_month: u16,
    /// Runs that hold the identities that were counted, all but those that are loose.
    pub runs: Vec<String>,
}

impl Standing {
    /// Is it of this ledger?
    pub(crate) fn is_of(&self, ledger: &LedgerIdentity) -> bool {
        self.ledger_id == ledger.ledger_id && self.partition == ledger.partition
    }

    /// Why a checkpoint of this standing does not belong where it is.
    pub(crate) fn words_of_origin(&self) -> String {
        let (ledger, partition) = (&self.ledger_id, self.partition);
        format!("it is of ledger {ledger}, partition {partition}: it was copied here by mistake")
    }
}

/// A checkpoint that was read.
#[derive(Debug)]
pub struct Checkpoint {
    /// The partition.
    pub standing: Standing,
    /// State of the decider.
    pub state: Vec<u8>,
}

/// A checkpoint that is not used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedCheckpoint {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: String,
}

/// The file of a checkpoint.
pub(crate) fn name_of(partition: u32, epoch: u64) -> String {
    format!("{DIRECTORY}/{partition}-{epoch:020}{ENDING}")
}

/// Epochs of the checkpoints of a partition, the oldest first.
///
/// # Errors
/// What the disk says.
pub fn list(disk: &dyn Disk, partition: u32) -> io::Result<Vec<u64>> {
    let prefix = format!("{partition}-");
    let epoch = |name: &String| name.strip_prefix(&prefix)?.strip_suffix(ENDING)?.parse().ok();
    Ok(disk.list(DIRECTORY)?.iter().filter_map(epoch).collect())
}

/// Writes a checkpoint. `state` writes the state of the decider.
///
/// # Errors
/// What the disk says. A failed sync is an error like others: nothing depends on a checkpoint that is not there.
pub fn write(disk: &dyn Disk, standing: &Standing, state: &[u8]) -> io::Result<()> {
    let description = serde_json::to_vec(standing)?;
    let length = u32::try_from(description.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let name = name_of(standing.partition, standing.epoch);
    let new = format!("{name}.new");
    let mut hasher = blake3::Hasher::new();
    let mut file = disk.create(&new)?;
    let head =
        [MAGIC.as_slice(), &CHECKPOINT_FORMAT.to_le_bytes(), &length.to_le_bytes(), &description].concat();
    for part in [&head, state] {
        hasher.update(part);
        file.write_all(part)?;
    }
    file.write_all(hasher.finalize().as_bytes())?;
    file.sync()?;
    drop(file);
    disk.rename(&new, &name)?;
    disk.sync_directory(DIRECTORY)
}

/// Reads the checkpoint of an epoch.
///
/// # Errors
/// What is wrong with it.
pub fn read(disk: &dyn Disk, partition: u32, epoch: u64) -> Result<Checkpoint, SkippedCheckpoint> {
    let name = name_of(partition, epoch);
    let skipped = |what: String| SkippedCheckpoint { path: disk.path(&name), what };
    let bytes = disk::read(disk, &name).map_err(|error| skipped(error.to_string()))?;
    let ends = || skipped("it ends early".to_owned());
    if bytes.get(..MAGIC.len()) != Some(MAGIC.as_slice()) {
        return Err(skipped("it does not begin like a checkpoint".to_owned()));
    }
    let number = |at: usize| bytes.get(at..at + 4).and_then(|number| number.first_chunk::<4>());
    let format = u32::from_le_bytes(*number(MAGIC.len()).ok_or_else(ends)?);
    if format != CHECKPOINT_FORMAT {
        return Err(skipped(format!("its format is {format}, this program reads {CHECKPOINT_FORMAT}")));
    }
    let body = bytes.len().checked_sub(HASH_BYTES).and_then(|end| bytes.split_at_checked(end));
    let (body, stored) = body.ok_or_else(ends)?;
    let found = blake3::hash(body);
    if found.as_bytes() != stored {
        let stored = ContentHash(*stored.first_chunk().unwrap_or(&[0; HASH_BYTES]));
        let found = ContentHash(*found.as_bytes());
        return Err(skipped(format!("its hash is {found}, and should be {stored}")));
    }
    let length = u32::from_le_bytes(*number(MAGIC.len() + 4).ok_or_else(ends)?) as usize;
    let begin = MAGIC.len() + 8;
    let description = body.get(begin..begin.saturating_add(length)).ok_or_else(ends)?;
    let standing: Standing =
        serde_json::from_slice(description).map_err(|error| skipped(format!("its description: {error}")))?;
    let mut state = bytes;
    state.truncate(state.len() - HASH_BYTES);
    state.drain(..begin + length);
    Ok(Checkpoint { standing, state })
}

/// Removes all but the newest checkpoints; what those that stay name.
///
/// # Errors
/// What the disk says.
pub fn remove_old(disk: &dyn Disk, partition: u32) -> io::Result<Vec<Standing>> {
    let mut epochs = list(disk, partition)?;
    let kept = epochs.split_off(epochs.len().saturating_sub(KEPT));
    let has_old = !epochs.is_empty();
    for epoch in epochs {
        disk.remove(&name_of(partition, epoch))?;
    }
    if has_old {
        // What they name may be removed after this: they must not come back without it.
        disk.sync_directory(DIRECTORY)?;
    }
    let kept = kept.into_iter().filter_map(|epoch| read(disk, partition, epoch).ok());
    Ok(kept.map(|checkpoint| checkpoint.standing).collect())
}
