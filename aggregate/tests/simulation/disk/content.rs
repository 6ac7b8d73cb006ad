//! The bytes of a file: what is durable, what was written since, and what readers see.

use super::faults::Choices;

/// What a drive writes as a whole.
const SECTOR: usize = 512;

#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    durable: Vec<u8>,
    /// Changes that no sync has covered, in order.
    unsynced: Vec<Change>,
    /// What readers see: the cache of the operating system.
    seen: Vec<u8>,
    /// Did a sync fail? Then readers may see what will never be durable.
    has_failed: bool,
    /// Place and number of a bit that was turned around.
    flipped: Option<(usize, u32)>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Cut { length: usize },
}

impl Content {
    pub(crate) fn seen(&self) -> &[u8] {
        &self.seen
    }

    pub(crate) fn durable_length(&self) -> usize {
        self.durable.len()
    }

    /// Writes after the end.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.unsynced.push(Change::Write { offset: self.seen.len(), bytes: bytes.to_vec() });
        self.seen.extend_from_slice(bytes);
    }

    pub(crate) fn cut(&mut self, length: usize) {
        self.flipped = self.flipped.filter(|(offset, _)| *offset < length);
        if length != self.seen.len() {
            self.unsynced.push(Change::Cut { length });
            self.seen.resize(length, 0);
        }
    }

    pub(crate) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            apply(&change, &mut self.durable);
        }
    }

    /// A sync that fails: some of the changes are durable now, the others never will be.
    pub(crate) fn fail_sync(&mut self, choices: &mut Choices) {
        self.durable = self.survivors(choices);
        self.unsynced.clear();
        self.has_failed = true;
    }

    /// The process is gone, the operating system is not.
    pub(crate) fn outlive_process(&mut self) {
        if std::mem::take(&mut self.has_failed) {
            self.seen.clone_from(&self.durable);
            for change in &self.unsynced {
                apply(change, &mut self.seen);
            }
        }
    }

    /// The power is gone.
    pub(crate) fn lose_power(&mut self, choices: &mut Choices) {
        self.durable = self.survivors(choices);
        self.seen.clone_from(&self.durable);
        self.unsynced.clear();
        self.has_failed = false;
    }

    /// Turns a bit of a durable byte around.
    pub(crate) fn flip(&mut self, offset: usize, bit: u32) {
        self.flipped = Some((offset, bit));
        self.durable[offset] ^= 1 << bit;
        if let Some(byte) = self.seen.get_mut(offset) {
            *byte ^= 1 << bit;
        }
    }

    /// Turns it back, if it is there still.
    pub(crate) fn flip_back(&mut self) {
        if let Some((offset, bit)) = self.flipped
            && offset < self.durable.len()
        {
            self.flip(offset, bit);
            self.flipped = None;
        }
    }

    /// What is durable with some of the changes.
    fn survivors(&self, choices: &mut Choices) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        let full_length = self.unsynced.iter().fold(bytes.len(), |length, change| match change {
            Change::Write { offset, bytes } => length.max(offset + bytes.len()),
            Change::Cut { length } => *length,
        });
        let Some(random) = choices.some_of_many() else {
            if choices.everything() {
                self.unsynced.iter().for_each(|change| apply(change, &mut bytes));
            }
            return bytes;
        };
        for change in &self.unsynced {
            match change {
                Change::Cut { .. } => {
                    if random.once_in(2) {
                        apply(change, &mut bytes);
                    }
                }
                Change::Write { offset, bytes: written } => match random.below(4) {
                    0 => {}
                    1 => put(&mut bytes, *offset, written),
                    2 => put(&mut bytes, *offset, &written[..random.below(written.len() + 1)]),
                    _ => {
                        let mut from = 0;
                        while from < written.len() {
                            let to = written.len().min(from + SECTOR - (offset + from) % SECTOR);
                            if random.once_in(2) {
                                put(&mut bytes, offset + from, &written[from..to]);
                            }
                            from = to;
                        }
                    }
                },
            }
        }
        // The length can be durable where the bytes are not.
        if bytes.len() < full_length && random.once_in(4) {
            bytes.resize(full_length, 0);
        }
        bytes
    }
}

fn apply(change: &Change, bytes: &mut Vec<u8>) {
    match change {
        Change::Write { offset, bytes: written } => put(bytes, *offset, written),
        Change::Cut { length } => bytes.resize(*length, 0),
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, written: &[u8]) {
    let end = offset + written.len();
    if written.is_empty() {
        return;
    }
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(written);
}
