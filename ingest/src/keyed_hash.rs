//! The keyed hashes that identify events and compare their content.
//!
//! Identity: an id becomes 128 bits under a key that is the SipHash-1-3 of its source. A UUID is
//! combined with the key, so that within a source no two meet at all; any other id is hashed with
//! it. As the key is secret nobody can make two identities meet, and two that nobody made meet with
//! probability 2^-128 a pair: the 128 bits stand for the identity (DEDUP-1).
//!
//! Content: a 64-bit sum over the event's members, so that the order of keys does not matter. A chance
//! miss would call a conflict a duplicate; it would count nothing wrong.

use std::io;

use siphasher::sip128::SipHasher13;

use crate::scan::block_at;

/// Bytes of a key.
const KEY_BYTES: usize = 32;

/// The secret that keys both hashes, and places identities in the dedup index.
#[derive(Clone, Copy, Debug)]
pub struct HashKey {
    identity: IdentityKey,
    content: u64,
    placement: u64,
}

/// A key of the identity hash: the secret itself, or one that stands for a source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdentityKey(u64, u64);

impl HashKey {
    /// A key drawn from the operating system's randomness.
    ///
    /// # Errors
    /// What the operating system says when it has none.
    pub fn random() -> io::Result<Self> {
        let mut bytes = [0; KEY_BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(Self::from_bytes(&bytes))
    }

    /// A key made from a number, for tests and reproducible measurements.
    #[must_use]
    pub const fn fixed(seed: u64) -> Self {
        let (content, placement) = (seed.rotate_left(32), seed.rotate_left(17));
        Self { identity: IdentityKey(seed, !seed), content, placement }
    }

    /// The whole secret, for a data directory to keep: who reads it can make identities meet.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; KEY_BYTES] {
        let mut bytes = [0; KEY_BYTES];
        let words = [self.identity.0, self.identity.1, self.content, self.placement];
        for (bytes, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *bytes = word.to_le_bytes();
        }
        bytes
    }

    /// The key of such bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; KEY_BYTES]) -> Self {
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        let [low, high, content, placement] = words;
        Self { identity: IdentityKey(low, high), content, placement }
    }

    /// A number that tells keys apart and says nothing else of them.
    #[must_use]
    pub(crate) fn fingerprint(&self) -> u64 {
        let hash = SipHasher13::new_with_keys(self.placement, self.content).hash(&self.to_bytes());
        hash.as_u64().0
    }

    /// The key that stands for a namespace: the ids of a source, or the values of a meter.
    #[must_use]
    pub(crate) fn within(&self, namespace: &[u8]) -> IdentityKey {
        let (low, high) =
            SipHasher13::new_with_keys(self.identity.0, self.identity.1).hash(namespace).as_u64();
        IdentityKey(low, high)
    }

    /// Secret of a round of placing identities in the dedup index.
    #[must_use]
    pub(crate) fn placement(&self, round: u8) -> [u64; 2] {
        let hash = SipHasher13::new_with_keys(self.placement, self.identity.0).hash(&[round]);
        hash.as_u64().into()
    }

    /// Secret that places texts in tables, such as that of an [`crate::interner::Interner`].
    #[must_use]
    pub const fn text_seed(&self) -> u64 {
        self.content.rotate_left(23)
    }

    /// Seed of an event's outermost object.
    #[must_use]
    pub(crate) const fn content_root(&self) -> u64 {
        self.content
    }
}

impl IdentityKey {
    /// Identity of a UUID: one to one within a source.
    #[inline]
    pub(crate) const fn uuid(self, uuid: [u8; 16]) -> u128 {
        u128::from_le_bytes(uuid) ^ (((self.1 as u128) << 64) | self.0 as u128)
    }

    /// Identity of any other id.
    #[inline]
    pub(crate) fn text(self, text: &[u8]) -> u128 {
        SipHasher13::new_with_keys(self.0, self.1).hash(text).as_u128()
    }
}

const MIX: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9];

#[expect(clippy::cast_possible_truncation, reason = "the two halves of a product are folded")]
#[inline]
pub(crate) const fn fold(left: u64, right: u64) -> u64 {
    let product = (left as u128).wrapping_mul(right as u128);
    (product as u64) ^ ((product >> 64) as u64)
}

/// A text cut into blocks of sixteen bytes, the last filled up with zeros: the first block and the
/// length are all of a text of up to sixteen bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    block: [u64; 2],
    pub(crate) length: usize,
}

/// The sixteen bytes at a place, as far as there are so many before `end`; zeros beyond.
#[expect(clippy::cast_possible_truncation, reason = "the two halves of a block")]
#[inline]
fn block(bytes: &[u8], at: usize, end: usize) -> [u64; 2] {
    let length = end.wrapping_sub(at);
    let whole = match block_at(bytes, at) {
        Some(chunk) => u128::from_le_bytes(*chunk),
        None => unpadded_block(bytes, at),
    };
    let block = whole & BYTES.get(length).copied().unwrap_or(u128::MAX);
    [block as u64, (block >> 64) as u64]
}

/// Masks of the first bytes of a block, by their number.
#[expect(clippy::indexing_slicing, reason = "checked when it is compiled")]
const BYTES: [u128; 16] = {
    let mut masks = [0; 16];
    let mut length = 1;
    while length < 16 {
        masks[length] = (masks[length - 1] << 8) | 0xff;
        length += 1;
    }
    masks
};

#[inline(never)]
fn unpadded_block(bytes: &[u8], at: usize) -> u128 {
    let rest = bytes.get(at..).unwrap_or_default();
    // Two words that overlap, where there are so many bytes.
    if let (Some(first), Some(last)) = (rest.first_chunk(), rest.last_chunk()) {
        let last = u128::from(u64::from_le_bytes(*last));
        return u128::from(u64::from_le_bytes(*first)) | (last << ((rest.len() - 8) * 8));
    }
    rest.iter().rev().fold(0, |block, byte| (block << 8) | u128::from(*byte))
}

/// Mixes a block into a state. The state is secret, so nobody can choose a block that erases it.
#[inline]
const fn absorb(state: u64, [low, high]: [u64; 2]) -> u64 {
    fold(low ^ state, high ^ state.rotate_left(32) ^ MIX[0])
}

/// Mixes the bytes between two places into a state.
#[inline(never)]
fn absorb_blocks(state: u64, bytes: &[u8], start: usize, end: usize) -> u64 {
    (start..end).step_by(16).fold(state, |state, at| absorb(state.rotate_left(29), block(bytes, at, end)))
}

impl Head {
    /// The head of no text: none is so long.
    pub(crate) const NONE: Self = Self { block: [0; 2], length: usize::MAX };

    /// The text between two places. Fastest where sixteen more bytes follow in the buffer.
    #[inline]
    pub(crate) fn of(bytes: &[u8], start: usize, end: usize) -> Self {
        Self { block: block(bytes, start, end), length: end.wrapping_sub(start) }
    }

    /// Tells texts apart that differ in zeros at their end.
    #[inline]
    const fn seal(self) -> u64 {
        (self.length as u64).wrapping_mul(MIX[1])
    }

    /// Is it all of the text?
    #[inline]
    pub(crate) const fn is_whole(self) -> bool {
        self.length <= 16
    }

    /// 64-bit hash of the text, which begins at `start`, under a seed.
    #[inline]
    pub(crate) fn hash(self, seed: u64, bytes: &[u8], start: usize) -> u64 {
        let head = absorb(seed, self.block);
        let end = start + self.length;
        let state = if self.is_whole() { head } else { absorb_blocks(head, bytes, start + 16, end) };
        state.wrapping_add(self.seal())
    }
}

/// 64-bit hash of a text under a seed.
#[inline]
pub(crate) fn seeded(seed: u64, text: &[u8]) -> u64 {
    Head::of(text, 0, text.len()).hash(seed, text, 0)
}

/// What kind of JSON value a member is; part of its content, so that `1` and `"1"` differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueKind {
    Text = 1,
    Number = 2,
    Literal = 3,
    EmptyObject = 4,
    EmptyArray = 5,
    Instant = 6,
}

/// Contribution of one member's value to an event's content hash.
#[inline]
pub(crate) fn leaf(seed: u64, kind: ValueKind, canonical: &[u8]) -> u64 {
    leaf_at(seed, kind, canonical, 0, canonical.len())
}

/// The same for eight bytes.
#[inline]
pub(crate) const fn leaf_of_word(seed: u64, kind: ValueKind, word: u64) -> u64 {
    let head = Head { block: [word, 0], length: 8 };
    absorb(kind_seed(seed, kind), head.block).wrapping_add(head.seal())
}

/// The same for a value that lies in a larger buffer.
#[inline]
pub(crate) fn leaf_at(seed: u64, kind: ValueKind, bytes: &[u8], start: usize, end: usize) -> u64 {
    Head::of(bytes, start, end).hash(kind_seed(seed, kind), bytes, start)
}

#[inline]
const fn kind_seed(seed: u64, kind: ValueKind) -> u64 {
    seed.wrapping_add((kind as u64) << 56)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn texts_seeds_and_lengths_all_count() {
        let mut seen = HashSet::new();
        for length in 0..100usize {
            let text: Vec<u8> = (0..length).map(|at| u8::try_from(at % 7).unwrap()).collect();
            for seed in 0..20 {
                assert!(seen.insert(seeded(seed, &text)), "{length} {seed}");
            }
            for at in 0..length {
                let mut changed = text.clone();
                changed[at] ^= 0x80;
                assert!(seen.insert(seeded(1, &changed)), "{length} {at}");
            }
        }
    }

    #[test]
    fn identities_depend_on_key_namespace_kind_and_text() {
        let key = HashKey::fixed(7);
        let hashes = [
            key.within(b"svc").text(b"a"),
            key.within(b"sv").text(b"ca"),
            key.within(b"svc").text(b"b"),
            key.within(b"svc").text(&[0; 16]),
            key.within(b"svc").uuid([0; 16]),
            key.within(b"sv").uuid([0; 16]),
            HashKey::fixed(8).within(b"svc").text(b"a"),
        ];
        assert_eq!(HashSet::from(hashes).len(), hashes.len());
        let random = || HashKey::random().unwrap().within(b"").text(b"");
        assert_ne!(random(), random());
    }

    #[test]
    fn a_key_that_is_kept_is_the_same_key() {
        let key = HashKey::random().unwrap();
        let kept = HashKey::from_bytes(&key.to_bytes());
        assert_eq!(kept.to_bytes(), key.to_bytes());
        assert_eq!((kept.fingerprint(), kept.content_root()), (key.fingerprint(), key.content_root()));
        assert_eq!(
            (kept.placement(2), kept.within(b"a").text(b"b")),
            (key.placement(2), key.within(b"a").text(b"b"))
        );
        for (position, byte) in key.to_bytes().iter().enumerate() {
            let mut other = key.to_bytes();
            other[position] = !byte;
            assert_ne!(HashKey::from_bytes(&other).fingerprint(), key.fingerprint());
        }
    }
}
