//! A machine whose disk forgets, tears, fails and fills up, the same way for the same seed.
//!
//! Bytes are durable once their file was synced, names once their directory was; what is not may survive a loss of
//! power in full, in part or not at all, each change alone, with torn writes. A process that is killed leaves its
//! unsynced writes in the cache, where the next one sees them and a loss of power still takes them. Every call is
//! numbered, recorded, and a place for a crash or an error.
//!
//! What it does not do: give back wrong bytes that were durable, but for [`Machine::flip`].

mod calls;
pub(crate) mod checks;
mod content;
mod faults;
mod names;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aggregate::disk::{Disk, DiskBytes, DiskFile, DiskLock, directory_of};

pub(crate) use calls::{Call, CallKind};
pub(crate) use faults::{Crash, CrashKind, DiskError, Effect, Faults, Space, Survival};

use calls::Detail;
use content::Content;
use faults::Choices;
use names::{Names, Node, above};

use crate::random::Random;

/// A machine with its disk; processes run on it, one after the other or at once.
#[derive(Debug)]
pub(crate) struct Machine(Arc<Mutex<State>>);

/// The disk as a process sees it.
#[derive(Clone, Debug)]
pub(crate) struct SimDisk {
    state: Arc<Mutex<State>>,
    /// Number of the process.
    process: u64,
}

#[derive(Clone, Debug, Default)]
struct State {
    names: Names,
    files: BTreeMap<u64, Content>,
    /// Files that were ever created.
    file_count: u64,
    /// Who holds which lock.
    locks: BTreeMap<String, u64>,
    processes: Vec<Process>,
    calls: Vec<Call>,
    /// Seed of choices within faults.
    choices: u64,
}

#[derive(Clone, Debug)]
struct Process {
    faults: Faults,
    calls: u64,
    is_running: bool,
    /// Faults that it met.
    faults_met: u64,
    /// Kind of the next call that fails.
    fails_next: Option<CallKind>,
    /// Handles of files and locks it holds, and the most it held.
    held: usize,
    held_most: usize,
}

impl Machine {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State { choices: seed, ..State::default() })))
    }

    /// The files that would be left if the power were lost now.
    pub(crate) fn files_without_power(&self, survival: Survival) -> BTreeMap<String, Vec<u8>> {
        let state = lock(&self.0);
        let mut fork = State { names: state.names.clone(), files: state.files.clone(), ..State::default() };
        drop(state);
        fork.lose_power(survival);
        fork.seen()
    }

    /// A machine of its own with the same disk and cache; its processes have ended.
    pub(crate) fn fork(&self) -> Self {
        let mut state = lock(&self.0).clone();
        state.processes.iter_mut().for_each(|process| process.is_running = false);
        state.locks.clear();
        Self(Arc::new(Mutex::new(state)))
    }

    /// Starts a process.
    pub(crate) fn start(&self, faults: Faults) -> SimDisk {
        let mut state = lock(&self.0);
        let process = Process {
            faults,
            calls: 0,
            is_running: true,
            faults_met: 0,
            fails_next: None,
            held: 0,
            held_most: 0,
        };
        state.processes.push(process);
        SimDisk { state: Arc::clone(&self.0), process: state.processes.len() as u64 - 1 }
    }

    /// Ends processes now: all of them at a loss of power, else the one that is named.
    pub(crate) fn crash(&self, disk: &SimDisk, kind: CrashKind) {
        lock(&self.0).crash(disk.process, kind);
    }

    /// Files by name as processes see them, without a call.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        lock(&self.0).seen()
    }

    /// How many bytes of a file are durable.
    pub(crate) fn durable_length(&self, name: &str) -> usize {
        lock(&self.0).content(name).map_or(0, |content| content.durable_length())
    }

    /// Lets a file have these bytes, durably.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        let mut state = lock(&self.0);
        let file = state.file(name).unwrap();
        let content = state.bytes_of(file);
        content.cut(0);
        content.write(bytes);
        content.sync();
    }

    /// Takes a file away, durably.
    pub(crate) fn remove(&self, name: &str) {
        let mut state = lock(&self.0);
        let file = state.file(name).unwrap();
        state.names.remove(name, Node::File(file));
        state.names.sync(directory_of(name));
    }

    /// Lets the next call of a kind fail, and those that follow it not.
    pub(crate) fn fail_next(&self, disk: &SimDisk, kind: CallKind) {
        lock(&self.0).process(disk.process).fails_next = Some(kind);
    }

    /// Turns a bit of a durable byte around; the file, for [`Self::flip_back`].
    pub(crate) fn flip(&self, name: &str, offset: usize, bit: u32) -> u64 {
        let mut state = lock(&self.0);
        let file = state.file(name).unwrap();
        state.bytes_of(file).flip(offset, bit);
        file
    }

    /// Mends the bit of a file, where nothing was written in its place.
    pub(crate) fn flip_back(&self, file: u64) {
        lock(&self.0).bytes_of(file).flip_back();
    }

    /// The calls of all processes.
    pub(crate) fn calls(&self) -> Vec<Call> {
        lock(&self.0).calls.clone()
    }
}

impl SimDisk {
    /// The calls of the process.
    pub(crate) fn calls(&self) -> Vec<Call> {
        let state = lock(&self.state);
        state.calls.iter().filter(|call| call.process == self.process).cloned().collect()
    }

    pub(crate) fn is_running(&self) -> bool {
        self.process(|process| process.is_running)
    }

    /// Faults that the process met so far; a crash is one.
    pub(crate) fn faults_met(&self) -> u64 {
        self.process(|process| process.faults_met)
    }

    /// A number that nobody can know before, the same for the same seed.
    pub(crate) fn draw(&self) -> u64 {
        lock(&self.state).choose().next()
    }

    /// The most handles that it held at once.
    pub(crate) fn held_most(&self) -> usize {
        self.process(|process| process.held_most)
    }

    fn process<T>(&self, ask: impl FnOnce(&Process) -> T) -> T {
        ask(lock(&self.state).process(self.process))
    }

    /// Makes a call: `act` is told how much of it happens.
    fn call<T>(
        &self,
        kind: CallKind,
        name: &str,
        detail: Detail,
        act: impl FnOnce(&mut State, Effect) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = lock(&self.state);
        let process = state.process(self.process);
        if !process.is_running {
            return Err(ended());
        }
        let number = process.calls;
        process.calls += 1;
        let crash = process.faults.crash.filter(|crash| crash.call == number);
        let error = process.faults.errors.get(&number).copied().filter(|error| error.meets(kind));
        let error =
            error.or_else(|| process.fails_next.take_if(|next| *next == kind).map(|_| DiskError::Broken));
        process.faults_met += u64::from(crash.is_some() || error.is_some());
        let name = name.to_owned();
        state.calls.push(Call { process: self.process, number, kind, name, detail, outcome: String::new() });
        let recorded = state.calls.len() - 1;
        let result = if let Some(crash) = crash {
            let _ = act(&mut state, crash.effect);
            state.calls[recorded].outcome = format!("{:?} of it, then {:?}", crash.effect, crash.kind);
            state.crash(self.process, crash.kind);
            return Err(ended());
        } else if let Some(error) = error {
            let effect = if error == DiskError::Broken { Effect::Failed } else { Effect::None };
            act(&mut state, effect).and(Err(error.error()))
        } else {
            act(&mut state, Effect::Whole)
        };
        if let Err(error) = &result {
            state.calls[recorded].outcome = error.to_string();
        }
        result
    }
}

impl State {
    fn process(&mut self, number: u64) -> &mut Process {
        &mut self.processes[usize::try_from(number).unwrap()]
    }

    /// Choices for what a fault leaves, different each time.
    fn choose(&mut self) -> Random {
        self.choices = Random::new(self.choices).next();
        Random::new(self.choices)
    }

    fn crash(&mut self, process: u64, kind: CrashKind) {
        self.process(process).is_running = false;
        match kind {
            CrashKind::Kill => {
                self.locks.retain(|_, holder| *holder != process);
                self.files.values_mut().for_each(Content::outlive_process);
            }
            CrashKind::PowerLoss(survival) => {
                self.processes.iter_mut().for_each(|process| process.is_running = false);
                self.locks.clear();
                self.lose_power(survival);
            }
        }
    }

    fn lose_power(&mut self, survival: Survival) {
        let mut choices = Choices::new(survival);
        self.names.lose_power(&mut choices);
        self.files.values_mut().for_each(|content| content.lose_power(&mut choices));
    }

    fn seen(&self) -> BTreeMap<String, Vec<u8>> {
        let content = |file: u64| self.files.get(&file).map(|content| content.seen().to_vec());
        self.names.files().map(|(name, file)| (name.to_owned(), content(file).unwrap_or_default())).collect()
    }

    fn file(&self, name: &str) -> io::Result<u64> {
        match self.names.get(name) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Directory) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn content(&mut self, name: &str) -> io::Result<&mut Content> {
        let file = self.file(name)?;
        Ok(self.bytes_of(file))
    }

    fn bytes_of(&mut self, file: u64) -> &mut Content {
        self.files.entry(file).or_default()
    }

    /// The directory of a new name must be there.
    fn expect_directory_of(&self, name: &str) -> io::Result<()> {
        match self.names.get(directory_of(name)) {
            Some(Node::Directory) => Ok(()),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn add_file(&mut self, name: &str) -> u64 {
        self.file_count += 1;
        self.names.add(name, Node::File(self.file_count));
        self.file_count
    }

    /// How many bytes there is space for.
    fn space(&mut self, process: u64) -> usize {
        let process = self.process(process);
        match process.faults.space {
            Some(space) if process.calls <= space.until => {
                let length = |file: u64| self.files.get(&file).map_or(0, |content| content.seen().len());
                let used = self.names.files().map(|(_, file)| length(file)).sum();
                space.bytes.saturating_sub(used)
            }
            _ => usize::MAX,
        }
    }

    fn expect_space(&mut self, process: u64) -> io::Result<()> {
        if self.space(process) > 0 {
            return Ok(());
        }
        self.process(process).faults_met += 1;
        Err(DiskError::NoSpace.error())
    }

    fn hold(&mut self, process: u64) {
        let process = self.process(process);
        process.held += 1;
        process.held_most = process.held_most.max(process.held);
    }

    fn give_back(&mut self, process: u64) {
        self.process(process).held -= 1;
    }
}

impl Disk for SimDisk {
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = self.call(CallKind::Create, name, Detail::None, |state, effect| {
            state.expect_directory_of(name)?;
            state.expect_space(self.process)?;
            if effect != Effect::Whole {
                return Ok(0);
            }
            let file = match state.names.get(name) {
                Some(Node::File(file)) => {
                    state.bytes_of(file).cut(0);
                    file
                }
                Some(Node::Directory) => return Err(io::ErrorKind::IsADirectory.into()),
                None => state.add_file(name),
            };
            Ok(file)
        })?;
        Ok(self.handle(file, name))
    }

    fn append(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = self.call(CallKind::Append, name, Detail::None, |state, _| state.file(name))?;
        Ok(self.handle(file, name))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskBytes>> {
        let (file, length) = self.call(CallKind::Open, name, Detail::None, |state, _| {
            let file = state.file(name)?;
            Ok((file, state.bytes_of(file).seen().len() as u64))
        })?;
        Ok(Arc::new(SimBytes { file: self.held(file, name), length }))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        self.call(CallKind::List, directory, Detail::None, |state, _| match state.names.get(directory) {
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            _ => Ok(state.names.list(directory)),
        })
    }

    fn create_directory(&self, name: &str) -> io::Result<()> {
        self.call(CallKind::CreateDirectory, name, Detail::None, |state, effect| {
            let mut missing: Vec<&str> = std::iter::once(name).chain(above(name)).collect();
            missing.reverse();
            missing.retain(|directory| state.names.get(directory).is_none());
            let is_file = |above: &str| matches!(state.names.get(above), Some(Node::File(_)));
            if is_file(name) || above(name).any(is_file) {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            match effect {
                Effect::None => missing.clear(),
                Effect::Part | Effect::Failed => {
                    let some = state.choose().below(missing.len() + 1);
                    missing.truncate(some);
                }
                Effect::Whole => {}
            }
            for directory in missing {
                state.names.add(directory, Node::Directory);
            }
            if effect == Effect::Whole {
                // It may be there since a process that ended before it was durable.
                std::iter::once(name)
                    .chain(above(name))
                    .for_each(|made| state.names.sync(directory_of(made)));
            }
            Ok(())
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.call(CallKind::Rename, from, Detail::Name(to.to_owned()), |state, effect| {
            let file = state.file(from)?;
            state.expect_directory_of(to)?;
            if effect == Effect::Whole && from != to {
                state.names.rename(from, to, Node::File(file));
            }
            Ok(())
        })
    }

    fn rename_new(&self, from: &str, to: &str) -> io::Result<()> {
        self.call(CallKind::RenameNew, from, Detail::Name(to.to_owned()), |state, effect| {
            let file = Node::File(state.file(from)?);
            state.expect_directory_of(to)?;
            if state.names.get(to).is_some() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let is_linked = match effect {
                Effect::None => false,
                Effect::Part | Effect::Whole => true,
                Effect::Failed => state.choose().once_in(2),
            };
            if is_linked {
                state.names.add(to, file);
            }
            if effect == Effect::Whole {
                state.names.remove(from, file);
            }
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.call(CallKind::Remove, name, Detail::None, |state, effect| {
            let file = state.file(name)?;
            if effect == Effect::Whole {
                state.names.remove(name, Node::File(file));
            }
            Ok(())
        })
    }

    fn cut(&self, name: &str, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).unwrap();
        self.call(CallKind::Cut, name, Detail::Bytes(length), |state, effect| {
            let mut random = state.choose();
            let content = state.content(name)?;
            match effect {
                Effect::None => {}
                Effect::Part => content.cut(length),
                Effect::Failed => {
                    content.cut(length);
                    content.fail_sync(&mut Choices::new(Survival::Some(random.next())));
                }
                Effect::Whole => {
                    content.cut(length);
                    content.sync();
                }
            }
            Ok(())
        })
    }

    fn sync_directory(&self, name: &str) -> io::Result<()> {
        self.call(CallKind::SyncDirectory, name, Detail::None, |state, effect| {
            if state.names.get(name) != Some(Node::Directory) {
                return Err(io::ErrorKind::NotFound.into());
            }
            match effect {
                Effect::None | Effect::Part => {}
                Effect::Failed => state.names.fail_sync(name),
                Effect::Whole => state.names.sync(name),
            }
            Ok(())
        })
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn DiskLock>> {
        self.call(CallKind::Lock, name, Detail::None, |state, effect| {
            state.expect_directory_of(name)?;
            if effect != Effect::Whole {
                return Ok(());
            }
            if state.names.get(name).is_none() {
                state.add_file(name);
            }
            if state.locks.contains_key(name) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            state.locks.insert(name.to_owned(), self.process);
            Ok(())
        })?;
        Ok(Box::new(SimLock(self.held(0, name))))
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("/simulated").join(name)
    }
}

impl SimDisk {
    fn handle(&self, file: u64, name: &str) -> Box<dyn DiskFile> {
        Box::new(SimFile(self.held(file, name)))
    }

    fn held(&self, file: u64, name: &str) -> Held {
        lock(&self.state).hold(self.process);
        Held { disk: self.clone(), file, name: name.to_owned() }
    }
}

/// Something of the disk that a process holds. It is the file, whatever name that has now.
#[derive(Debug)]
struct Held {
    disk: SimDisk,
    file: u64,
    name: String,
}

impl Drop for Held {
    fn drop(&mut self) {
        lock(&self.disk.state).give_back(self.disk.process);
    }
}

#[derive(Debug)]
struct SimFile(Held);

impl Write for SimFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let Held { disk, file, name } = &self.0;
        disk.call(CallKind::Write, name, Detail::Bytes(buffer.len()), |state, effect| {
            let space = state.space(disk.process);
            if space == 0 && !buffer.is_empty() {
                state.expect_space(disk.process)?;
            }
            let length = buffer.len().min(space);
            let written = match effect {
                Effect::None => 0,
                Effect::Part | Effect::Failed => state.choose().below(length + 1),
                Effect::Whole => length,
            };
            state.bytes_of(*file).write(&buffer[..written]);
            Ok(written)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn sync(&mut self) -> io::Result<()> {
        let Held { disk, file, name } = &self.0;
        disk.call(CallKind::Sync, name, Detail::None, |state, effect| {
            let seed = state.choose().next();
            let content = state.bytes_of(*file);
            match effect {
                Effect::None | Effect::Part => {}
                Effect::Failed => content.fail_sync(&mut Choices::new(Survival::Some(seed))),
                Effect::Whole => content.sync(),
            }
            Ok(())
        })
    }
}

#[derive(Debug)]
struct SimBytes {
    file: Held,
    length: u64,
}

impl DiskBytes for SimBytes {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, to: &mut [u8]) -> io::Result<()> {
        let Held { disk, file, name } = &self.file;
        disk.call(CallKind::Read, name, Detail::Range(offset, to.len()), |state, _| {
            let start = usize::try_from(offset).unwrap();
            let bytes = state.bytes_of(*file).seen().get(start..start.saturating_add(to.len()));
            to.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }
}

#[derive(Debug)]
struct SimLock(Held);

impl DiskLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = lock(&self.0.disk.state);
        if state.locks.get(&self.0.name) == Some(&self.0.disk.process) {
            state.locks.remove(&self.0.name);
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ended() -> io::Error {
    io::Error::other("the process has ended")
}
