//! A data directory: one ledger with everything that follows from it, on one disk.
//!
//! ```text
//! tallybook.json   what this directory is; written last when it is made, so it is whole or it is none
//! identity.key     secret that identities are hashed with; without it duplicates cannot be told
//! lock             held by the process that writes
//! ledger/          epochs, by partition: the truth
//! identities/      identities that were counted, in sorted runs: part of the truth
//! usage_details/   details of epochs that are large: part of the truth
//! checkpoints/     state at an epoch; can be made again from the ledger
//! catalogs/        every catalog that was used, by hash
//! tables/          Delta Lake tables; the files of large epochs in them are part of the truth
//! readers/         how far readers of the ledger have come
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ingest::keyed_hash::HashKey;
use schemas::epoch::{ContentHash, ContentKind};
use serde::{Deserialize, Serialize};

use crate::disk::{self, Disk, DiskLock};
use crate::epoch_files::content_directory;
use crate::ledger::{LedgerIdentity, hash_of};

/// Version of the layout of a data directory.
pub const DIRECTORY_FORMAT: u32 = 1;

/// The file that says what a directory is.
pub const DIRECTORY_FILE: &str = "tallybook.json";

/// The file of the secret.
pub(crate) const KEY_FILE: &str = "identity.key";

/// The file that is locked.
pub(crate) const LOCK_FILE: &str = "lock";

/// What a program says of itself in the file that says what a directory is.
const PROGRAM: &str = "tallybook";

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The disk fails, or something may not be read or written.
    #[error("{path}: {error}")]
    Disk {
        /// The file or directory.
        path: PathBuf,
        /// What the disk says.
        error: io::Error,
    },
    /// There is no data directory.
    #[error("{0}: no data here: name the directory of an earlier run with --data")]
    Missing(PathBuf),
    /// A directory with other things in it.
    #[error(
        "{0}: the directory is not empty and holds no data of tallybook: name a new one, or an empty one"
    )]
    Foreign(PathBuf),
    /// A file that does not say what the directory is.
    #[error("{path}: {what}: restore it from a copy of this directory")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Data of another program.
    #[error("{path}: the directory belongs to the program {found:?}: name another one")]
    OtherProgram {
        /// The file.
        path: PathBuf,
        /// The program.
        found: String,
    },
    /// A key that is not the one the identities were hashed with.
    #[error("{path}: this is not the key that the directory was made with: restore it from a copy")]
    OtherKey {
        /// The file.
        path: PathBuf,
    },
    /// Data of another version.
    #[error(
        "{path}: format {found} of the directory is not known to this program, which reads {DIRECTORY_FORMAT}: use a newer one"
    )]
    OtherFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// Another process writes.
    #[error("{0}: another process is writing here; wait for it, or stop it")]
    Busy(PathBuf),
}

impl DirectoryError {
    /// Is the cause a disk that fails, or a place that may not be written?
    #[must_use]
    pub const fn is_storage(&self) -> bool {
        matches!(self, Self::Disk { .. } | Self::Busy(_) | Self::Foreign(_))
    }
}

/// What a directory says of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Description {
    program: String,
    format: u32,
    ledger_id: String,
    /// Hash of the secret.
    identity_key: ContentHash,
    made_by: String,
    /// BLAKE3 of all of the above.
    check: ContentHash,
}

impl Description {
    /// The check of what is said.
    fn checked(&self) -> ContentHash {
        let Self { program, format, ledger_id, identity_key, made_by, check: _ } = self;
        hash_of(format!("{program}\n{format}\n{ledger_id}\n{identity_key}\n{made_by}\n").as_bytes())
    }
}

/// A data directory.
#[derive(Debug)]
pub struct DataDirectory {
    disk: Arc<dyn Disk>,
    ledger_id: String,
    key: HashKey,
    /// Held as long as the directory is open to write.
    lock: Option<Box<dyn DiskLock>>,
}

impl DataDirectory {
    /// Opens a directory to write, or makes one where there is nothing.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub fn open(disk: &Arc<dyn Disk>) -> Result<Self, DirectoryError> {
        Self::open_drawing(disk, &mut HashKey::random)
    }

    /// The same, with secrets of a directory that is made drawn from elsewhere: the same bytes again, for a simulation.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub fn open_drawing(
        disk: &Arc<dyn Disk>,
        draw: &mut dyn FnMut() -> io::Result<HashKey>,
    ) -> Result<Self, DirectoryError> {
        let failed = |name: &'static str| move |error| DirectoryError::Disk { path: disk.path(name), error };
        disk.create_directory("").map_err(failed(""))?;
        let names = || disk.list("").map_err(failed(""));
        let is_ours = |names: &[String]| names.iter().any(|name| name == DIRECTORY_FILE);
        let before = names()?;
        if !is_ours(&before) && !before.iter().all(|name| is_leftover(name)) {
            return Err(DirectoryError::Foreign(disk.path("")));
        }
        let lock = disk.lock(LOCK_FILE).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => DirectoryError::Busy(disk.path("")),
            _ => DirectoryError::Disk { path: disk.path(LOCK_FILE), error },
        })?;
        // Another process may have made it meanwhile.
        if !is_ours(&names()?) {
            make(disk, draw)?;
        }
        let mut directory = Self::read(disk)?;
        if !has_epochs(&**disk).map_err(failed("ledger"))? {
            make_durable(&**disk).map_err(failed(""))?;
        }
        directory.lock = Some(lock);
        for kind in [
            ContentKind::RatedUsage,
            ContentKind::Quarantine,
            ContentKind::Accruals,
            ContentKind::Identities,
            ContentKind::UsageDetails,
        ] {
            disk.create_directory(&content_directory(kind)).map_err(failed("tables"))?;
        }
        for name in ["checkpoints", "catalogs", "readers"] {
            disk.create_directory(name).map_err(failed(name))?;
        }
        Ok(directory)
    }

    /// Opens a directory to read; another process may write meanwhile.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub fn read(disk: &Arc<dyn Disk>) -> Result<Self, DirectoryError> {
        let path = disk.path(DIRECTORY_FILE);
        let bytes = disk::read(&**disk, DIRECTORY_FILE).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => DirectoryError::Missing(disk.path("")),
            _ => DirectoryError::Disk { path: path.clone(), error },
        })?;
        let unreadable = |what: String| DirectoryError::Unreadable { path: path.clone(), what };
        let value: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
        if let Some(program) = value.get("program").and_then(serde_json::Value::as_str)
            && program != PROGRAM
        {
            return Err(DirectoryError::OtherProgram { path, found: program.to_owned() });
        }
        let format = value.get("format").and_then(serde_json::Value::as_u64).unwrap_or(0);
        let format = u32::try_from(format).unwrap_or(u32::MAX);
        if format != DIRECTORY_FORMAT {
            return Err(DirectoryError::OtherFormat { path, found: format });
        }
        let description: Description =
            serde_json::from_value(value).map_err(|error| unreadable(error.to_string()))?;
        if description.check != description.checked() {
            return Err(unreadable("it is not what was written: it was changed".to_owned()));
        }
        let key = read_key(disk)?;
        if hash_of(&key.to_bytes()) != description.identity_key {
            return Err(DirectoryError::OtherKey { path: disk.path(KEY_FILE) });
        }
        Ok(Self { disk: Arc::clone(disk), ledger_id: description.ledger_id, key, lock: None })
    }

    /// Keeps writers out as long as this is held; false if one writes already.
    ///
    /// # Errors
    /// [`DirectoryError::Disk`], as where nothing may be written.
    pub(crate) fn lock(&mut self) -> Result<bool, DirectoryError> {
        match self.disk.lock(LOCK_FILE) {
            Ok(lock) => self.lock = Some(lock),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(DirectoryError::Disk { path: self.disk.path(LOCK_FILE), error }),
        }
        Ok(true)
    }

    /// Is it open to write?
    #[must_use]
    pub const fn is_writable(&self) -> bool {
        self.lock.is_some()
    }

    /// The disk it is on.
    #[must_use]
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// The secret of its identities.
    #[must_use]
    pub const fn key(&self) -> &HashKey {
        &self.key
    }

    /// Which ledger a partition has.
    #[must_use]
    pub fn ledger(&self, partition: u32) -> LedgerIdentity {
        LedgerIdentity { ledger_id: self.ledger_id.clone(), partition }
    }

    /// Where it is, for messages.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.disk.path("")
    }
}

/// Is it something that is there before a directory is made, or left by a process that died making one?
fn is_leftover(name: &str) -> bool {
    let made = [LOCK_FILE, KEY_FILE, DIRECTORY_FILE, "lost+found"];
    made.contains(&name.strip_suffix(".new").unwrap_or(name))
}

fn make(disk: &Arc<dyn Disk>, draw: &mut dyn FnMut() -> io::Result<HashKey>) -> Result<(), DirectoryError> {
    let failed = |error| DirectoryError::Disk { path: disk.path(""), error };
    // A key that is there was put there to be used: two directories with one key name identities alike.
    let is_key = |names: Vec<String>| names.iter().any(|name| name == KEY_FILE);
    let key =
        if is_key(disk.list("").map_err(failed)?) { read_key(disk)? } else { draw().map_err(failed)? };
    let key = key.to_bytes();
    let digits: String = key.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    disk::replace(&**disk, KEY_FILE, format!("{digits}\n").as_bytes()).map_err(failed)?;
    let ledger_id = draw().map_err(failed)?.to_bytes();
    let mut description = Description {
        program: PROGRAM.to_owned(),
        format: DIRECTORY_FORMAT,
        ledger_id: uuid_of(*ledger_id.first_chunk().unwrap_or(&[0; 16])),
        identity_key: hash_of(&key),
        made_by: crate::CREATED_BY.to_owned(),
        check: ContentHash::default(),
    };
    description.check = description.checked();
    let mut text = serde_json::to_vec_pretty(&description).map_err(|error| failed(error.into()))?;
    text.push(b'\n');
    disk::replace(&**disk, DIRECTORY_FILE, &text).map_err(failed)
}

/// Is there something in the ledger?
fn has_epochs(disk: &dyn Disk) -> io::Result<bool> {
    for partition in disk.list("ledger")? {
        if !disk.list(&format!("ledger/{partition}"))?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Writes what a directory says of itself anew, as it is: who made it may have died before it was durable, and
/// epochs would be lost with it.
fn make_durable(disk: &dyn Disk) -> io::Result<()> {
    for name in [KEY_FILE, DIRECTORY_FILE] {
        disk::replace(disk, name, &disk::read(disk, name)?)?;
    }
    Ok(())
}

/// Random bytes as a UUID of version 4.
fn uuid_of(mut bytes: [u8; 16]) -> String {
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    ingest::uuid::uuid_text(&bytes)
}

/// The key, and the bytes of its file.
fn read_key(disk: &Arc<dyn Disk>) -> Result<HashKey, DirectoryError> {
    let path = disk.path(KEY_FILE);
    let bytes =
        disk::read(&**disk, KEY_FILE).map_err(|error| DirectoryError::Disk { path: path.clone(), error })?;
    let unreadable =
        || DirectoryError::Unreadable { path: path.clone(), what: "this is no key of 64 digits".to_owned() };
    let digits = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let mut key = [0; 32];
    if digits.len() != 64 || digits.iter().any(u8::is_ascii_uppercase) {
        return Err(unreadable());
    }
    for (byte, digits) in key.iter_mut().zip(digits.chunks(2)) {
        let text = std::str::from_utf8(digits).map_err(|_| unreadable())?;
        *byte = u8::from_str_radix(text, 16).map_err(|_| unreadable())?;
    }
    Ok(HashKey::from_bytes(&key))
}

/// A directory of the operating system, as a disk.
#[must_use]
pub fn directory_disk(path: &Path) -> Arc<dyn Disk> {
    Arc::new(disk::DirectoryDisk::new(path))
}
