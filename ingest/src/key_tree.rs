//! The runs of keys a decoder has met, as a tree.
//!
//! Producers write the same keys in the same order again and again. A node is "after these keys", a
//! child the next key with the exact bytes around it, commas, colons and spaces included. Where the
//! next bytes of an event are those of a child, what the key means, where its value goes and that it
//! is no duplicate are known without looking at it. Where they are not, the key is read in full and
//! becomes a child. The tree is bounded: it is emptied and begun again when it has grown too large.

use schemas::quarantine::RejectReason;
use schemas::usage_event::SENDING_CONTEXT;
use wide::u8x16;

use crate::json::{self, Fault, JsonText, byte_at, skip_space};
use crate::keyed_hash::seeded;
use crate::metering::MeteringPlan;
use crate::scan::block_at;

/// Keys remembered.
const NODES_MAX: usize = 4096;

/// Bytes of keys remembered.
const BYTES_MAX: usize = 4 << 20;

/// Alternatives remembered for the key at one place.
const ALTERNATIVES_MAX: usize = 16;

/// Longest run of bytes around a key that is remembered.
const LITERAL_BYTES_MAX: usize = 256;

/// No node.
const NONE: u32 = u32::MAX;

/// The node "at the beginning of an event".
pub(crate) const ROOT: u32 = 0;

/// Position of a value among those of an event: first the attributes, then the properties that
/// meters read, by slot.
pub(crate) type Place = u16;

/// The attributes of a usage event that Tallybook reads, by their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attribute {
    Id,
    Source,
    Type,
    Subject,
    Time,
    Specversion,
    Sampledrate,
    /// Whatever nobody reads.
    Other,
}

/// Number of attributes that are read.
pub(crate) const ATTRIBUTES: usize = Attribute::Other as usize;

/// Place of the property of slot 0.
pub(crate) const FIRST_SLOT: Place = Attribute::Other as Place + 1;

/// Not on the way to any property.
const NO_PATH: u16 = u16::MAX;

/// A key after other keys.
#[derive(Debug)]
pub(crate) struct KeyNode {
    literal: Literal,
    /// Seed of the content hash of the value.
    pub(crate) seed: u64,
    /// Is the value part of the event's content hash?
    pub(crate) is_content: bool,
    /// Where the value goes.
    pub(crate) place: Place,
    /// Position in the tree of property paths, or [`NO_PATH`].
    path: u16,
    /// First of the keys met after this one.
    pub(crate) next: u32,
    /// Another key met after the same one.
    sibling: u32,
}

impl KeyNode {
    fn unread(path: u16) -> Self {
        Self {
            literal: Literal::default(),
            seed: 0,
            is_content: true,
            place: Attribute::Other as Place,
            path,
            next: NONE,
            sibling: NONE,
        }
    }

    /// Do meters read properties inside the value?
    #[inline]
    pub(crate) const fn leads_to_properties(&self) -> bool {
        self.path != NO_PATH
    }
}

/// What is needed of a node only when something new is met.
#[derive(Debug)]
struct KeyOrigin {
    name: Box<[u8]>,
    /// The key before it in the same object; itself at the beginning of an object.
    previous: u32,
    /// The beginning of the object that is this key's value.
    inside: u32,
}

/// Bytes to compare with the input: the first sixteen at once.
#[derive(Debug, Default)]
struct Literal {
    head: u8x16,
    /// Which bytes of the head count, a bit each.
    head_mask: u32,
    length: u32,
    /// What is beyond the head.
    tail: Box<[u8]>,
}

/// The tree of one decoder.
#[derive(Debug)]
pub(crate) struct KeyTree {
    nodes: Vec<KeyNode>,
    origins: Vec<KeyOrigin>,
    /// Bytes of names and literals.
    bytes: usize,
    /// Seed of the content hash of the outermost object.
    seed: u64,
}

/// What follows at a place in an object.
#[derive(Debug)]
pub(crate) enum Next {
    /// A key, and where its value begins.
    Key(u32, usize),
    /// The object's end; the position after the brace.
    End(usize),
}

impl Literal {
    fn new(bytes: &[u8]) -> Self {
        let (first, tail) = bytes.split_at(bytes.len().min(16));
        let mut head = [0; 16];
        for (place, byte) in head.iter_mut().zip(first) {
            *place = *byte;
        }
        let head_mask = (1 << first.len()) - 1;
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        Self { head: u8x16::new(head), head_mask, length, tail: tail.into() }
    }

    /// Does a block begin with the head?
    #[inline]
    fn begins(&self, block: u8x16) -> bool {
        !block.simd_eq(self.head).to_bitmask() & self.head_mask == 0
    }
}

impl KeyTree {
    /// A tree without keys; `seed` is that of the content hash of an event.
    pub(crate) fn new(seed: u64) -> Self {
        let mut tree = Self { nodes: Vec::new(), origins: Vec::new(), bytes: 0, seed };
        tree.forget();
        tree
    }

    /// Empties the tree if it has grown too large. Nodes mean nothing afterwards.
    #[inline]
    pub(crate) fn trim(&mut self) {
        if self.nodes.len() > NODES_MAX || self.bytes > BYTES_MAX {
            self.forget();
        }
    }

    #[cold]
    fn forget(&mut self) {
        self.nodes.clear();
        self.origins.clear();
        self.bytes = 0;
        let root = KeyNode { seed: self.seed, ..KeyNode::unread(NO_PATH) };
        self.add(root, Box::default(), ROOT);
    }

    /// The node of a key.
    #[inline]
    pub(crate) fn get(&self, node: u32) -> Option<&KeyNode> {
        self.nodes.get(node as usize)
    }

    /// First of the keys met after a node.
    #[inline]
    pub(crate) fn first_after(&self, node: u32) -> u32 {
        self.get(node).map_or(NONE, |node| node.next)
    }

    /// The key whose bytes are at `at`, of `first` and its siblings, and where its value begins.
    #[inline]
    pub(crate) fn find(&self, bytes: &[u8], at: usize, first: u32) -> Option<(u32, &KeyNode, usize)> {
        let block = u8x16::new(*block_at(bytes, at)?);
        let mut candidate = first;
        loop {
            let key = self.nodes.get(candidate as usize)?;
            if key.literal.begins(block) {
                return match key.literal.tail.len() {
                    0 => Some((candidate, key, at + key.literal.length as usize)),
                    _ => self.find_longer(bytes, at, block, candidate),
                };
            }
            candidate = key.sibling;
        }
    }

    /// Goes on where a key agrees as far as its first block.
    #[inline(never)]
    fn find_longer(
        &self,
        bytes: &[u8],
        at: usize,
        block: u8x16,
        first: u32,
    ) -> Option<(u32, &KeyNode, usize)> {
        let beyond = bytes.get(at + 16..)?;
        let mut candidate = first;
        loop {
            let key = self.nodes.get(candidate as usize)?;
            if key.literal.begins(block) && beyond.starts_with(&key.literal.tail) {
                return Some((candidate, key, at + key.literal.length as usize));
            }
            candidate = key.sibling;
        }
    }

    /// Is the node the beginning of an object?
    pub(crate) fn is_beginning(&self, node: u32) -> bool {
        self.origins.get(node as usize).is_none_or(|origin| origin.previous == node)
    }

    /// The beginning of the object that is a key's value.
    #[inline]
    pub(crate) fn inside(&mut self, key: u32) -> u32 {
        match self.origins.get(key as usize) {
            Some(origin) if origin.inside != NONE => origin.inside,
            _ => self.add_inside(key),
        }
    }

    #[cold]
    fn add_inside(&mut self, key: u32) -> u32 {
        let Some(outer) = self.nodes.get(key as usize) else { return ROOT };
        let inside = self.len();
        let beginning = KeyNode { seed: outer.seed, ..KeyNode::unread(outer.path) };
        self.add(beginning, Box::default(), inside);
        if let Some(origin) = self.origins.get_mut(key as usize) {
            origin.inside = inside;
        }
        inside
    }

    fn len(&self) -> u32 {
        u32::try_from(self.nodes.len()).unwrap_or(NONE)
    }

    fn add(&mut self, node: KeyNode, name: Box<[u8]>, previous: u32) {
        self.bytes += node.literal.length as usize + name.len();
        self.nodes.push(node);
        self.origins.push(KeyOrigin { name, previous, inside: NONE });
    }

    /// What follows `at` after the keys of `node`, where it is none of the keys met before.
    #[inline]
    pub(crate) fn next(
        &mut self,
        plan: &MeteringPlan,
        bytes: &[u8],
        at: usize,
        node: u32,
    ) -> Result<Next, Box<Fault>> {
        if byte_at(bytes, at) == b'}' { Ok(Next::End(at + 1)) } else { self.learn(plan, bytes, at, node) }
    }

    /// Reads what follows `from` byte by byte, and remembers a key.
    #[cold]
    fn learn(
        &mut self,
        plan: &MeteringPlan,
        bytes: &[u8],
        from: usize,
        node: u32,
    ) -> Result<Next, Box<Fault>> {
        let is_first = self.is_beginning(node);
        let mut at = skip_space(bytes, from);
        match byte_at(bytes, at) {
            b'}' => return Ok(Next::End(at + 1)),
            b',' if !is_first => at = skip_space(bytes, at + 1),
            _ if is_first => {}
            _ => return Err(Fault::malformed("expected a comma or a closing brace", at)),
        }
        let (name, value) = read_key(bytes, at)?;
        let beginning = self.unique_in_object(node, &name, at)?;
        let (outer_seed, outer_path) =
            self.nodes.get(beginning as usize).map_or((self.seed, NO_PATH), |outer| (outer.seed, outer.path));
        let literal = bytes.get(from..value).unwrap_or_default();
        let mut node_of_key = if beginning == ROOT {
            let unread = KeyNode::unread(if name == b"data" { 0 } else { NO_PATH });
            KeyNode { place: attribute_place(&name), is_content: !is_no_content(&name), ..unread }
        } else {
            let path = plan.member(usize::from(outer_path), &name);
            let slot = path.and_then(|path| plan.slot_at(path));
            let place = slot.map_or(Attribute::Other as Place, |slot| FIRST_SLOT + slot);
            let path = path.and_then(|path| u16::try_from(path).ok()).unwrap_or(NO_PATH);
            KeyNode { place, ..KeyNode::unread(path) }
        };
        node_of_key.literal = Literal::new(literal);
        node_of_key.seed = seeded(outer_seed, &name);
        let key = self.len();
        self.add(node_of_key, name.into(), node);
        if literal.len() <= LITERAL_BYTES_MAX {
            self.link(node, key);
        }
        Ok(Next::Key(key, value))
    }

    /// Makes a key the last to be tried after another: what is frequent is mostly met first. Where there
    /// are too many, it takes the place of the last.
    fn link(&mut self, node: u32, key: u32) {
        let mut last = node;
        let mut next = self.nodes.get(node as usize).map_or(NONE, |node| node.next);
        for _ in 1..ALTERNATIVES_MAX {
            let Some(sibling) = self.nodes.get(next as usize).map(|next| next.sibling) else { break };
            (last, next) = (next, sibling);
        }
        if let Some(before) = self.nodes.get_mut(last as usize) {
            let place = if last == node { &mut before.next } else { &mut before.sibling };
            *place = key;
        }
    }

    /// The beginning of the object `node` is in, if no key of it up to `node` has this name.
    fn unique_in_object(&self, node: u32, name: &[u8], at: usize) -> Result<u32, Box<Fault>> {
        let mut position = node;
        while let Some(origin) = self.origins.get(position as usize)
            && origin.previous != position
        {
            if *origin.name == *name {
                return Err(duplicate_key(name, at));
            }
            position = origin.previous;
        }
        Ok(position)
    }
}

/// Reads the key at `at` and its colon; the name, and where the value begins.
pub(crate) fn read_key(bytes: &[u8], at: usize) -> Result<(Vec<u8>, usize), Box<Fault>> {
    if byte_at(bytes, at) != b'"' {
        return Err(Fault::malformed("expected a key in quotes", at));
    }
    let (name, end) = match json::text(bytes, at + 1)? {
        JsonText::Verbatim(end) => (bytes.get(at + 1..end).unwrap_or_default().to_vec(), end),
        JsonText::Unescaped(name, end) => (name, end),
    };
    let colon = skip_space(bytes, end + 1);
    if byte_at(bytes, colon) != b':' {
        return Err(Fault::malformed("expected a colon after a key", colon));
    }
    Ok((name, skip_space(bytes, colon + 1)))
}

pub(crate) fn duplicate_key(name: &[u8], at: usize) -> Box<Fault> {
    let name = String::from_utf8_lossy(name);
    let detail = format!("the key {name:?} appears twice in one object").into();
    Box::new(Fault { reason: RejectReason::DuplicateKey, detail, at: Some(at) })
}

fn attribute_place(name: &[u8]) -> Place {
    let attribute = match name {
        b"id" => Attribute::Id,
        b"source" => Attribute::Source,
        b"type" => Attribute::Type,
        b"subject" => Attribute::Subject,
        b"time" => Attribute::Time,
        b"specversion" => Attribute::Specversion,
        b"sampledrate" => Attribute::Sampledrate,
        _ => Attribute::Other,
    };
    attribute as Place
}

/// Is an attribute part of the identity, of the sending alone, or (time) added as an instant?
fn is_no_content(name: &[u8]) -> bool {
    matches!(name, b"id" | b"source" | b"time")
        || SENDING_CONTEXT.iter().any(|context| context.as_bytes() == name)
}
