//! The part of the index in memory: open addressing over the entries themselves, at about 22 bytes a slot.
//!
//! Places are even, so the position of an entry says most of what the upper half of its place does, and
//! the slot holds the rest. The upper six bits choose a shard, which grows on its own, so that growing
//! never holds two copies of everything. Within a shard a place belongs to a home bucket, a range of
//! places; when it is full the entry lies in one of the next three.
//!
//! ```text
//! shard    buckets by place          | tags  | slots                       |
//! bucket   tags, one cache line      | 31 × (14 bits of the place | distance from home) | count, reach |
//! slot     20, 21 or 22 bytes        | lower half of the place | content and month | the rest of the place |
//! ```
//!
//! A bucket fills from its first slot on; nothing is ever taken out. Where it is full, an entry near its
//! home makes room for one further from its own (Robin Hood hashing), so that three buckets are enough up
//! to the usual load. The `reach` of a bucket is how far
//! its entries lie, and a search goes no further. Most searches read one line of tags, and the slot only
//! where a tag agrees. [`Hot::touch`] loads both for a run of events, so that cache misses overlap.
//!
//! Entries of forgotten months stay in their slots and count as absent; the same identity may take the
//! slot again (DEDUP-1).

use wide::u16x8;

use super::TOUCH_AHEAD;
use super::entry::{Entry, EntryWord};
use super::month::Month;

/// Bits of a place that choose its shard.
const SHARD_BITS: u32 = 6;

/// Shards.
const SHARDS: usize = 1 << SHARD_BITS;

/// Bits of the upper half of a place within its shard.
const LOCAL_BITS: u32 = 64 - SHARD_BITS;

/// Slots of a bucket.
const BUCKET_SLOTS: usize = 31;

/// Buckets beyond its home that an entry may lie in.
const REACH_MAX: usize = 3;

/// Bits of a tag that say the distance from home.
const DISTANCE_BITS: u32 = 2;

/// Bits of a place that are in its tag.
const TAG_PLACE_BITS: u32 = 16 - DISTANCE_BITS;

/// Bytes of a slot that hold the lower half of the place, content and month.
const SLOT_FIXED_BYTES: usize = 16;

/// Most buckets of a shard; [`Shard::home`] divides exactly up to twice as many.
const BUCKETS_MAX: usize = 1 << 28;

/// Slots in use, in percent, at which a shard grows while there is memory within the bound.
const LOAD_MAX_PERCENT: usize = 80;

/// Slots in use, in percent, once what was reserved has come, if there is memory for so many slots.
const LOAD_RESERVED_PERCENT: usize = 75;

/// Slots in use, in percent, of a table that has grown to its bound and is full.
const LOAD_FULL_PERCENT: usize = 92;

/// The tags of a bucket and, in the last place, how many slots are in use and how far its entries lie.
#[repr(align(64))]
#[derive(Clone, Copy, Debug, Default)]
struct Tags([u16; BUCKET_SLOTS + 1]);

/// The entries in memory.
#[derive(Debug)]
pub(super) struct Hot {
    shards: Vec<Shard>,
    /// Buckets of a shard that fit the bound of memory.
    buckets_max: usize,
}

#[derive(Debug)]
struct Shard {
    /// Its position: the upper bits of its places.
    number: usize,
    tags: Vec<Tags>,
    slots: Vec<u8>,
    /// Home buckets; [`REACH_MAX`] more follow them.
    buckets: usize,
    /// Places of a home bucket, of the upper half.
    range: u64,
    slot_bytes: usize,
    len: usize,
}

/// What is loaded for an entry.
#[derive(Clone, Copy, Debug, Default)]
struct Touch {
    shard: usize,
    home: Home,
    slot: usize,
}

/// Where an entry belongs, and what its slot holds of the upper half of its place.
#[derive(Clone, Copy, Debug, Default)]
struct Home {
    bucket: usize,
    /// Without the distance.
    tag: u16,
    rest: u64,
}

/// What came of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HotAdmit {
    /// It is new.
    New,
    /// It was there, with this word.
    Known(EntryWord),
}

impl Hot {
    /// Nothing yet, with a bound on memory that [`Hot::is_full`] watches.
    pub(super) fn new(bytes_max: usize) -> Self {
        let buckets_max = buckets_within(bytes_max / SHARDS);
        Self { shards: (0..SHARDS).map(|number| Shard::new(number, 1)).collect(), buckets_max }
    }

    /// Makes room for this many entries, within the bound.
    pub(super) fn reserve(&mut self, entries: usize) {
        let slots = (entries / SHARDS + 1) * 100 / LOAD_RESERVED_PERCENT;
        let buckets = slots.div_ceil(BUCKET_SLOTS).min(self.buckets_max);
        for shard in &mut self.shards {
            if buckets > shard.buckets {
                shard.resize(buckets);
            }
        }
    }

    /// Entries, those of forgotten months included.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.len).sum()
    }

    /// Bytes of memory.
    pub(super) fn memory_bytes(&self) -> usize {
        let bytes = |shard: &Shard| shard.tags.capacity() * size_of::<Tags>() + shard.slots.capacity();
        self.shards.iter().map(bytes).sum()
    }

    /// Is as much in it as fits the bound?
    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.buckets_max * BUCKET_SLOTS * SHARDS * LOAD_FULL_PERCENT / 100
    }

    /// Empties it and keeps its memory.
    pub(super) fn clear(&mut self) {
        for shard in &mut self.shards {
            shard.tags.fill(Tags::default());
            shard.len = 0;
        }
    }

    /// Loads what [`Hot::admit`] will read of up to [`TOUCH_AHEAD`] entries, or write. Each of the loops
    /// does little but load, so that the loads do not wait for one another.
    #[inline]
    pub(super) fn touch(&self, entries: &[Entry]) {
        let mut touches = [Touch::default(); TOUCH_AHEAD];
        for (touch, entry) in touches.iter_mut().zip(entries) {
            touch.shard = shard_of(entry);
            if let Some(shard) = self.shards.get(touch.shard) {
                touch.home = shard.home(entry);
            }
        }
        let touches = touches.get_mut(..entries.len()).unwrap_or_default();
        let tags = |touch: &Touch| self.shards.get(touch.shard)?.tags.get(touch.home.bucket);
        let header = |touch: &Touch| tags(touch).map_or(0, Tags::header);
        std::hint::black_box(touches.iter().fold(0, |touched, touch| touched ^ header(touch)));
        for touch in touches.iter_mut() {
            if let Some(tags) = tags(touch) {
                touch.slot = tags.likely_slot(touch.home.tag);
            }
        }
        let slot = |touch: &Touch| {
            let shard = self.shards.get(touch.shard)?;
            let at = shard.slot_at(touch.home.bucket, touch.slot);
            Some(*shard.slots.get(at)? ^ *shard.slots.get(at + shard.slot_bytes - 1)?)
        };
        std::hint::black_box(touches.iter().fold(0, |touched, touch| touched ^ slot(touch).unwrap_or(0)));
    }

    /// The word of an entry's identity, unless its month is before `forgotten`.
    #[inline]
    pub(super) fn find(&self, entry: &Entry, forgotten: Month) -> Option<EntryWord> {
        let shard = self.shards.get(shard_of(entry))?;
        let at = shard.find(shard.home(entry), entry.low)?;
        shard.word(at).filter(|word| word.month() >= forgotten)
    }

    /// Puts an entry in unless its identity is there; months before `forgotten` do not count.
    #[inline]
    pub(super) fn admit(&mut self, entry: &Entry, forgotten: Month) -> HotAdmit {
        let Some(shard) = self.shards.get_mut(shard_of(entry)) else { return HotAdmit::New };
        let home = shard.home(entry);
        if let Some(at) = shard.find(home, entry.low) {
            match shard.word(at) {
                Some(word) if word.month() >= forgotten => return HotAdmit::Known(word),
                _ => shard.set_word(at, entry.word),
            }
            return HotAdmit::New;
        }
        if !shard.has_room(self.buckets_max) {
            shard.grow(self.buckets_max);
        }
        let mut left = shard.insert(entry);
        while let Some(entry) = left {
            shard.grow(self.buckets_max);
            left = shard.insert(&entry);
        }
        HotAdmit::New
    }

    /// All entries of a month from `forgotten` on, in order of their places.
    pub(super) fn sorted(&self, forgotten: Month) -> impl Iterator<Item = Entry> {
        let entries = self
            .shards
            .iter()
            .flat_map(|shard| (0..shard.buckets).flat_map(move |bucket| shard.sorted(bucket)));
        entries.filter(move |entry| entry.month() >= forgotten)
    }
}

impl Tags {
    #[inline]
    const fn header(&self) -> u16 {
        let [.., header] = self.0;
        header
    }

    /// Slots in use.
    #[inline]
    const fn count(&self) -> usize {
        (self.header() & 0xff) as usize
    }

    /// The furthest bucket from this one that holds an entry of it.
    #[inline]
    const fn reach(&self) -> usize {
        (self.header() >> 8) as usize
    }

    #[inline]
    fn add(&mut self, tag: u16) {
        let count = self.count();
        if let Some(slot) = self.0.get_mut(count) {
            *slot = tag;
        }
        let [.., header] = &mut self.0;
        *header += 1;
    }

    #[inline]
    fn reach_to(&mut self, distance: u16) {
        let [.., header] = &mut self.0;
        *header = (*header & 0xff) | ((*header >> 8).max(distance) << 8);
    }

    /// A slot of a full bucket whose entry is nearer to its home than this.
    #[inline]
    fn nearer_than(&self, distance: usize) -> Option<usize> {
        let distances = u16x8::splat(tag_of_distance(REACH_MAX));
        let found =
            (0..distance).map(|nearer| self.slots_where(tag_of_distance(nearer), |tags| tags & distances));
        found.filter(|found| *found != 0).map(|found| found.trailing_zeros() as usize).next()
    }

    /// The slot that an entry with this tag is in or, if it is new, will be.
    #[inline]
    fn likely_slot(&self, tag: u16) -> usize {
        match self.with_tag(tag) {
            0 => self.count(),
            found => found.trailing_zeros() as usize,
        }
    }

    /// A bit for every slot in use with this tag.
    #[inline]
    fn with_tag(&self, tag: u16) -> u32 {
        self.slots_where(tag, |tags| tags)
    }

    /// A bit for every slot in use whose tag, or a part of it, is this.
    #[inline]
    fn slots_where(&self, is: u16, part: impl Fn(u16x8) -> u16x8) -> u32 {
        let is = u16x8::splat(is);
        let mut found = 0;
        for (number, tags) in (0..).zip(self.0.as_chunks::<8>().0) {
            found |= part(u16x8::new(*tags)).simd_eq(is).to_bitmask() << (number * 8);
        }
        found & ((1 << self.count()) - 1)
    }
}

impl Shard {
    fn new(number: usize, buckets: usize) -> Self {
        let all = buckets + REACH_MAX;
        let slot_bytes = slot_bytes(buckets);
        Self {
            number,
            tags: vec![Tags::default(); all],
            slots: vec![0; all * BUCKET_SLOTS * slot_bytes],
            buckets,
            range: (1u64 << LOCAL_BITS).div_ceil(buckets as u64),
            slot_bytes,
            len: 0,
        }
    }

    /// Where an entry belongs.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a bucket is below their number; fourteen bits of a tag"
    )]
    #[inline]
    fn home(&self, entry: &Entry) -> Home {
        let local = entry.high & ((1 << LOCAL_BITS) - 1);
        // The division by the range, or one more.
        let near = ((u128::from(local) * self.buckets as u128) >> LOCAL_BITS) as u64;
        let (bucket, rest) = match local.checked_sub(near * self.range) {
            Some(rest) => (near, rest),
            None => (near - 1, local - (near - 1) * self.range),
        };
        Home { bucket: bucket as usize, tag: (rest << DISTANCE_BITS) as u16, rest: rest >> TAG_PLACE_BITS }
    }

    #[inline]
    const fn slot_at(&self, bucket: usize, slot: usize) -> usize {
        (bucket * BUCKET_SLOTS + slot) * self.slot_bytes
    }

    #[inline]
    fn u64_at(&self, at: usize) -> Option<u64> {
        Some(u64::from_le_bytes(*self.slots.get(at..)?.first_chunk()?))
    }

    #[inline]
    fn set_u64(&mut self, at: usize, number: u64) {
        if let Some(bytes) = self.slots.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
            *bytes = number.to_le_bytes();
        }
    }

    /// The rest of the place in a slot: the end of its last eight bytes, which begin with the end of the
    /// word.
    #[inline]
    fn rest(&self, at: usize) -> Option<u64> {
        Some(self.u64_at(at + self.slot_bytes - 8)? >> self.rest_shift())
    }

    #[inline]
    const fn rest_shift(&self) -> usize {
        (SLOT_FIXED_BYTES + 8 - self.slot_bytes) * 8
    }

    #[inline]
    fn word(&self, at: usize) -> Option<EntryWord> {
        self.u64_at(at + 8).map(EntryWord)
    }

    fn set_word(&mut self, at: usize, word: EntryWord) {
        self.set_u64(at + 8, word.0);
    }

    /// The slot of an identity.
    #[inline]
    fn find(&self, home: Home, low: u64) -> Option<usize> {
        let mut distance = 0;
        let mut bucket = home.bucket;
        let mut tags = self.tags.get(bucket)?;
        let reach = tags.reach();
        loop {
            let mut found = tags.with_tag(home.tag | distance);
            while found != 0 {
                let at = self.slot_at(bucket, found.trailing_zeros() as usize);
                if self.u64_at(at) == Some(low) && self.rest(at) == Some(home.rest) {
                    return Some(at);
                }
                found &= found - 1;
            }
            if usize::from(distance) == reach {
                return None;
            }
            distance += 1;
            bucket += 1;
            tags = self.tags.get(bucket)?;
        }
    }

    /// Puts a new entry in. What finds no room, this or another, is given back.
    #[inline]
    fn insert(&mut self, entry: &Entry) -> Option<Entry> {
        let home = self.home(entry);
        let Some(tags) = self.tags.get_mut(home.bucket) else { return Some(*entry) };
        let slot = tags.count();
        if slot == BUCKET_SLOTS {
            return self.insert_beyond(home, *entry);
        }
        tags.add(home.tag);
        self.set_slot(self.slot_at(home.bucket, slot), home.rest, entry);
        self.len += 1;
        None
    }

    /// Puts an entry in whose home is full. Where the next bucket is full too, the entry nearest to its home
    /// makes room for one that is further from its own, so that none lies far.
    #[inline(never)]
    fn insert_beyond(&mut self, mut home: Home, mut entry: Entry) -> Option<Entry> {
        let mut bucket = home.bucket + 1;
        loop {
            let distance = bucket - home.bucket;
            let tags = self.tags.get_mut(bucket).filter(|_| distance <= REACH_MAX);
            let Some(tags) = tags else { return Some(entry) };
            let tag = home.tag | tag_of_distance(distance);
            let slot = tags.count();
            if slot < BUCKET_SLOTS {
                tags.add(tag);
                self.place(home, bucket, slot, &entry);
                self.len += 1;
                return None;
            }
            if let Some(slot) = tags.nearer_than(distance)
                && let Some(found) = tags.0.get_mut(slot)
            {
                let tag = std::mem::replace(found, tag);
                if let Some(moved) = self.entry(bucket, slot, tag) {
                    self.place(home, bucket, slot, &entry);
                    home = self.home(&moved);
                    entry = moved;
                }
            }
            bucket += 1;
        }
    }

    /// Fills a slot whose tag is set.
    fn place(&mut self, home: Home, bucket: usize, slot: usize, entry: &Entry) {
        if let Some(tags) = self.tags.get_mut(home.bucket) {
            tags.reach_to(tag_of_distance(bucket - home.bucket));
        }
        self.set_slot(self.slot_at(bucket, slot), home.rest, entry);
    }

    #[inline]
    fn set_slot(&mut self, at: usize, rest: u64, entry: &Entry) {
        self.set_u64(at, entry.low);
        self.set_word(at, entry.word);
        let shift = self.rest_shift();
        self.set_u64(at + self.slot_bytes - 8, (rest << shift) | (entry.word.0 >> (64 - shift)));
    }

    /// Is there room for one more, or no memory to make it?
    #[inline]
    const fn has_room(&self, buckets_max: usize) -> bool {
        self.len * 100 < self.buckets * BUCKET_SLOTS * LOAD_MAX_PERCENT || self.buckets >= buckets_max
    }

    /// Grows by a half, but not over the bound before it has reached it.
    #[cold]
    fn grow(&mut self, buckets_max: usize) {
        let larger = self.buckets + self.buckets / 2 + 1;
        let buckets = if self.buckets < buckets_max {
            larger.min(buckets_max)
        } else {
            self.buckets + self.buckets / 64 + 1
        };
        self.resize(buckets);
    }

    /// Moves to this many buckets, or the next number that takes every entry.
    #[cold]
    fn resize(&mut self, mut buckets: usize) {
        loop {
            let mut larger = Self::new(self.number, buckets);
            let all = self.all().all(|entry| larger.insert(&entry).is_none());
            if all {
                *self = larger;
                return;
            }
            buckets += buckets / 64 + 1;
        }
    }

    fn all(&self) -> impl Iterator<Item = Entry> {
        (0..self.tags.len()).flat_map(move |bucket| self.entries(bucket))
    }

    /// The entries that lie in a bucket.
    fn entries(&self, bucket: usize) -> impl Iterator<Item = Entry> {
        let tags = self.tags.get(bucket).copied().unwrap_or_default();
        let tags = tags.0.into_iter().take(tags.count());
        tags.enumerate().filter_map(move |(slot, tag)| self.entry(bucket, slot, tag))
    }

    #[inline]
    fn entry(&self, bucket: usize, slot: usize, tag: u16) -> Option<Entry> {
        let at = self.slot_at(bucket, slot);
        let home = Home { bucket: bucket - distance_of(tag), tag, rest: self.rest(at)? };
        Some(Entry { high: self.high(home), low: self.u64_at(at)?, word: self.word(at)? })
    }

    /// The upper half of the place that belongs there.
    #[inline]
    fn high(&self, home: Home) -> u64 {
        let rest = (home.rest << TAG_PLACE_BITS) | u64::from(home.tag >> DISTANCE_BITS);
        ((self.number as u64) << LOCAL_BITS) | (home.bucket as u64 * self.range + rest)
    }

    /// The entries that belong to a bucket, in order.
    fn sorted(&self, home: usize) -> impl Iterator<Item = Entry> + use<> {
        let reach = self.tags.get(home).map_or(0, Tags::reach);
        let mut sorted = Vec::with_capacity(BUCKET_SLOTS * 2);
        for (bucket, distance) in (home..=home + reach).zip(0..) {
            let tags = self.tags.get(bucket).copied().unwrap_or_default();
            for (slot, tag) in tags.0.into_iter().take(tags.count()).enumerate() {
                if distance_of(tag) == distance {
                    sorted.extend(self.entry(bucket, slot, tag));
                }
            }
        }
        sorted.sort_unstable();
        sorted.into_iter()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "at most three")]
#[inline]
const fn tag_of_distance(distance: usize) -> u16 {
    distance as u16
}

#[inline]
const fn distance_of(tag: u16) -> usize {
    (tag & ((1 << DISTANCE_BITS) - 1)) as usize
}

#[inline]
const fn shard_of(entry: &Entry) -> usize {
    (entry.high >> LOCAL_BITS) as usize
}

/// Bytes of a slot in a shard of this many buckets: the more buckets, the less is left of a place.
const fn slot_bytes(buckets: usize) -> usize {
    let range_bits = LOCAL_BITS - buckets.ilog2();
    SLOT_FIXED_BYTES + (range_bits - TAG_PLACE_BITS).div_ceil(8) as usize
}

/// Buckets of a shard that fit this many bytes; at least one.
fn buckets_within(bytes: usize) -> usize {
    let fitting = |slot_bytes: usize| {
        (bytes / (size_of::<Tags>() + BUCKET_SLOTS * slot_bytes))
            .saturating_sub(REACH_MAX)
            .clamp(1, BUCKETS_MAX)
    };
    // Fewer buckets have wider slots: the number for wide ones is right unless their width says otherwise.
    let wide = fitting(SLOT_FIXED_BYTES + 6);
    fitting(slot_bytes(wide))
}

#[cfg(test)]
mod tests {
    use super::super::entry::Placement;
    use super::*;
    use crate::keyed_hash::HashKey;

    #[test]
    fn dedup_1_a_shard_of_any_size_holds_its_entries_exactly() {
        let placement = Placement::new(&HashKey::fixed(3));
        for (number, buckets, bytes) in [(0, 1, 22), (63, 20, 21), (5, 4_200, 20)] {
            let mut shard = Shard::new(number, buckets);
            assert_eq!(shard.slot_bytes, bytes);
            let in_shard = |identity| {
                let mut entry = placement.entry(identity, !0 / 3, Month::default());
                entry.high = (entry.high >> SHARD_BITS) | ((number as u64) << LOCAL_BITS);
                entry
            };
            let mut entries: Vec<Entry> =
                (0..(buckets * BUCKET_SLOTS * 9 / 10) as u128).map(in_shard).collect();
            for entry in &entries {
                assert_eq!(shard.insert(entry), None);
            }
            for resized in [buckets, buckets * 3 + 1] {
                shard.resize(resized);
                for entry in &entries {
                    let at = shard.find(shard.home(entry), entry.low).unwrap();
                    assert_eq!(shard.word(at), Some(entry.word));
                    let near = Entry { high: entry.high ^ 1, ..*entry };
                    assert_eq!(shard.find(shard.home(&near), near.low), None);
                }
                entries.sort_unstable();
                assert!((0..resized).flat_map(|bucket| shard.sorted(bucket)).eq(entries.iter().copied()));
            }
        }
    }
}
