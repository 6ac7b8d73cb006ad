//! A blocked Bloom filter: a key sets and asks eight bits of one cache line.
//!
//! It says "absent" or "perhaps": only what it says is absent is certain. Of absent keys about one in 250
//! is "perhaps" at the twelve bits a key that a full group of a run has.

/// Bits of a key that choose one of the 64 bits of a word.
const WORD_BITS: u32 = 6;

/// Bits of a key that are used within a block; those above choose the block.
const BLOCK_KEY_BITS: u32 = 48;

/// A block: a cache line of bits.
#[repr(align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FilterBlock(pub(super) [u64; 8]);

/// Bytes of a block.
pub(super) const BLOCK_BYTES: usize = size_of::<FilterBlock>();

impl FilterBlock {
    /// Adds a key.
    #[inline]
    pub(super) fn insert(&mut self, key: u64) {
        for (number, word) in (0..).zip(&mut self.0) {
            *word |= bit(key, number);
        }
    }

    /// Is the key perhaps there?
    #[inline]
    pub(super) fn may_hold(&self, key: u64) -> bool {
        let missing = |missing, (number, word): (u32, &u64)| missing | (!word & bit(key, number));
        (0..).zip(&self.0).fold(0, missing) == 0
    }
}

#[inline]
const fn bit(key: u64, word: u32) -> u64 {
    1 << ((key >> (word * WORD_BITS)) & 63)
}

/// The block of a key among this many.
#[inline]
pub(super) const fn block_of(key: u64, blocks: usize) -> usize {
    (((key >> BLOCK_KEY_BITS) * blocks as u64) >> (64 - BLOCK_KEY_BITS)) as usize
}
