//! Reads a usage event from JSON in one pass: its attributes, the properties meters read, and a hash
//! of its content.
//!
//! Keys are recognised by the run of keys they follow ([`KeyTree`]). The content hash is a sum over
//! members, so it depends neither on the order of keys nor on spaces, escapes or the way a number is
//! written.

use schemas::quarantine::RejectReason;
use schemas::usage_event::{EVENT_DEPTH_MAX, EVENT_KEYS_MAX};

use crate::json::{self, Fault, JsonText, byte_at, canonical_number, skip_space};
use crate::key_tree::{
    ATTRIBUTES, Attribute, FIRST_SLOT, KeyNode, KeyTree, Next, Place, ROOT, duplicate_key, read_key,
};
use crate::keyed_hash::{ValueKind, leaf, leaf_at, seeded};
use crate::metering::{MeteringPlan, Slot};
use crate::scan::string_stop;

/// A value of an event: what it is and where its text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// What a value is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum TokenKind {
    /// The member is not there.
    #[default]
    Absent,
    /// Text; the range is in the input.
    Text,
    /// Text that had escapes; the range is in [`ParsedEvent::unescaped`].
    UnescapedText,
    /// A number.
    Number,
    /// `true` or `false`.
    Bool,
    /// `null`.
    Null,
    /// An object or a list.
    Container,
}

impl Token {
    #[inline]
    pub(crate) const fn is_text(self) -> bool {
        matches!(self.kind, TokenKind::Text | TokenKind::UnescapedText)
    }
}

/// What was read from one event.
#[derive(Debug, Default)]
pub(crate) struct ParsedEvent {
    values: Vec<Token>,
    /// Hash of the content, `time` excepted: the instant is added once it is known.
    pub(crate) content: u64,
    /// Texts that had escapes, of this and earlier events of the batch.
    pub(crate) unescaped: Vec<u8>,
}

impl ParsedEvent {
    pub(crate) fn new(slots: usize) -> Self {
        Self { values: vec![Token::default(); usize::from(FIRST_SLOT) + slots], ..Self::default() }
    }

    /// Forgets the event; texts stay until the batch ends.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.values.fill(Token::default());
        self.content = 0;
    }

    /// The attributes that are read, in the order of their places.
    #[inline]
    pub(crate) fn attributes(&self) -> [Token; ATTRIBUTES] {
        self.values.first_chunk().copied().unwrap_or_default()
    }

    #[inline]
    pub(crate) fn attribute(&self, attribute: Attribute) -> Token {
        self.values.get(attribute as usize).copied().unwrap_or_default()
    }

    #[inline]
    pub(crate) fn set_attribute(&mut self, attribute: Attribute, token: Token) {
        self.put(attribute as Place, token);
    }

    #[inline]
    pub(crate) fn slot(&self, slot: Slot) -> Token {
        self.values.get(usize::from(FIRST_SLOT + slot)).copied().unwrap_or_default()
    }

    #[inline]
    pub(crate) fn set_slot(&mut self, slot: Slot, token: Token) {
        self.put(FIRST_SLOT + slot, token);
    }

    #[inline]
    fn put(&mut self, place: Place, token: Token) {
        if let Some(value) = self.values.get_mut(usize::from(place)) {
            *value = token;
        }
    }

    /// The buffer a token's place is in.
    #[inline]
    pub(crate) fn buffer<'a>(&'a self, input: &'a [u8], token: Token) -> &'a [u8] {
        if token.kind == TokenKind::UnescapedText { &self.unescaped } else { input }
    }

    /// The bytes of a token.
    #[inline]
    pub(crate) fn bytes<'a>(&'a self, input: &'a [u8], token: Token) -> &'a [u8] {
        self.buffer(input, token).get(token.start as usize..token.end as usize).unwrap_or_default()
    }

    /// Keeps a text that is not verbatim in the input.
    pub(crate) fn keep_text(&mut self, text: &[u8]) -> Token {
        let start = self.unescaped.len();
        self.unescaped.extend_from_slice(text);
        token(TokenKind::UnescapedText, start, self.unescaped.len())
    }

    /// Adds a text that is verbatim in the input.
    #[inline]
    fn add_text(&mut self, bytes: &[u8], start: usize, end: usize, key: &KeyNode) {
        if key.is_content {
            let content = leaf_at(key.seed, ValueKind::Text, bytes, start, end);
            self.content = self.content.wrapping_add(content);
        }
        self.put(key.place, token(TokenKind::Text, start, end));
    }

    /// Reads text that has escapes, or no end.
    #[cold]
    fn read_escaped_text(&mut self, bytes: &[u8], start: usize, key: &KeyNode) -> Result<usize, Box<Fault>> {
        let (token, end) = match json::text(bytes, start)? {
            JsonText::Verbatim(end) => (token(TokenKind::Text, start, end), end),
            JsonText::Unescaped(text, end) => (self.keep_text(&text), end),
        };
        if key.is_content {
            let content = leaf(key.seed, ValueKind::Text, self.bytes(bytes, token));
            self.content = self.content.wrapping_add(content);
        }
        self.put(key.place, token);
        Ok(end + 1)
    }

    /// Reads a number as most are: short, without sign or exponent; the position after it.
    #[inline(never)]
    fn read_short_number(&mut self, bytes: &[u8], at: usize, key: &KeyNode) -> Option<usize> {
        let number = json::short_number(bytes, at)?;
        if key.is_content {
            let content = leaf_at(key.seed, ValueKind::Number, bytes, at, number.canonical_end);
            self.content = self.content.wrapping_add(content);
        }
        self.put(key.place, token(TokenKind::Number, at, number.end));
        Some(number.end)
    }

    /// Reads a value that is no text; the position after it.
    #[inline(never)]
    fn read_other(
        &mut self,
        bytes: &[u8],
        at: usize,
        key: &KeyNode,
        depth: usize,
        keys: &mut usize,
    ) -> Result<usize, Box<Fault>> {
        let (token, content) = match byte_at(bytes, at) {
            b'-' | b'0'..=b'9' => {
                let number = json::number(bytes, at)?;
                let content = if number.is_canonical {
                    leaf_at(key.seed, ValueKind::Number, bytes, at, number.end)
                } else {
                    let text = canonical_number(bytes.get(at..number.end).unwrap_or_default());
                    leaf(key.seed, ValueKind::Number, &text)
                };
                (token(TokenKind::Number, at, number.end), content)
            }
            b'{' | b'[' => {
                let mut content = 0;
                let end =
                    GeneralValue { bytes, keys, content: &mut content }.container(at, key.seed, depth)?;
                (token(TokenKind::Container, at, end), content)
            }
            _ => {
                let (token, end) = literal(bytes, at)?;
                (token, leaf_at(key.seed, ValueKind::Literal, bytes, at, end))
            }
        };
        // An attribute that is null is one that is not there; a property that is null says so.
        let is_absent = depth == 1 && token.kind == TokenKind::Null;
        if key.is_content && !is_absent {
            self.content = self.content.wrapping_add(content);
        }
        self.put(key.place, token);
        Ok(token.end as usize)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "batches are far below 4 GiB")]
#[inline]
pub(crate) const fn token(kind: TokenKind, start: usize, end: usize) -> Token {
    Token { kind, start: start as u32, end: end as u32 }
}

/// The parser of one decoder.
#[derive(Debug)]
pub(crate) struct EventParser {
    tree: KeyTree,
    /// Seed of the content hash of an event.
    seed: u64,
    /// The objects that are open: the key whose value each is.
    open: Vec<u32>,
    pub(crate) event: ParsedEvent,
}

impl EventParser {
    pub(crate) fn new(plan: &MeteringPlan, seed: u64) -> Self {
        Self {
            tree: KeyTree::new(seed),
            seed,
            open: Vec::with_capacity(EVENT_DEPTH_MAX),
            event: ParsedEvent::new(plan.slots()),
        }
    }

    /// Seed of the content hash of an attribute.
    pub(crate) fn attribute_seed(&self, name: &str) -> u64 {
        seeded(self.seed, name.as_bytes())
    }

    /// Reads the event that begins at `start` into `self.event`; the position after it.
    pub(crate) fn parse(
        &mut self,
        plan: &MeteringPlan,
        bytes: &[u8],
        start: usize,
    ) -> Result<usize, Box<Fault>> {
        self.tree.trim();
        self.event.clear();
        self.open.clear();
        let mut at = skip_space(bytes, start);
        if byte_at(bytes, at) != b'{' {
            return Err(not_an_object(bytes, at));
        }
        at += 1;
        // Of the key that was read last: its node, and the first of the keys that may follow it.
        let (mut node, mut first_next) = (ROOT, self.tree.first_after(ROOT));
        let mut keys = 0;
        loop {
            let (found, key, mut value) = match self.tree.find(bytes, at, first_next) {
                Some(found) => found,
                None => match self.tree.next(plan, bytes, at, node)? {
                    Next::Key(found, value) => match self.tree.get(found) {
                        Some(key) => (found, key, value),
                        None => return Ok(at),
                    },
                    Next::End(after) => {
                        let Some(outer) = self.open.pop() else { return Ok(after) };
                        if self.tree.is_beginning(node) {
                            self.add_empty_object(node);
                        }
                        (node, at) = (outer, after);
                        first_next = self.tree.first_after(node);
                        continue;
                    }
                },
            };
            keys += 1;
            if keys > EVENT_KEYS_MAX {
                return Err(too_many_keys(skip_space(bytes, value)));
            }
            (node, first_next) = (found, key.next);
            let mut first = byte_at(bytes, value);
            if first <= b' ' {
                // The key was met before without a space after its colon.
                value = skip_space(bytes, value);
                first = byte_at(bytes, value);
            }
            if first == b'"' {
                let end = string_stop(bytes, value + 1);
                if byte_at(bytes, end) == b'"' {
                    self.event.add_text(bytes, value + 1, end, key);
                    at = end + 1;
                } else {
                    at = self.event.read_escaped_text(bytes, value + 1, key)?;
                }
            } else if first == b'{' && key.leads_to_properties() {
                self.event.put(key.place, token(TokenKind::Container, value, value));
                self.open.push(node);
                if self.open.len() >= EVENT_DEPTH_MAX {
                    return Err(too_deep(value));
                }
                (node, at) = (self.tree.inside(node), value + 1);
                first_next = self.tree.first_after(node);
            } else if let Some(end) = self.event.read_short_number(bytes, value, key) {
                at = end;
            } else {
                let mut counted = keys;
                at = self.event.read_other(bytes, value, key, self.open.len() + 1, &mut counted)?;
                keys = counted;
            }
        }
    }

    /// An object without members is content of its own.
    #[cold]
    fn add_empty_object(&mut self, beginning: u32) {
        if let Some(beginning) = self.tree.get(beginning) {
            let content = leaf(beginning.seed, ValueKind::EmptyObject, b"");
            self.event.content = self.event.content.wrapping_add(content);
        }
    }
}

fn literal(bytes: &[u8], at: usize) -> Result<(Token, usize), Box<Fault>> {
    for (text, kind) in
        [(&b"true"[..], TokenKind::Bool), (b"false", TokenKind::Bool), (b"null", TokenKind::Null)]
    {
        if bytes.get(at..).is_some_and(|rest| rest.starts_with(text)) {
            return Ok((token(kind, at, at + text.len()), at + text.len()));
        }
    }
    Err(Fault::malformed("expected a value", at))
}

#[cold]
fn not_an_object(bytes: &[u8], at: usize) -> Box<Fault> {
    let mut general = GeneralValue { bytes, keys: &mut 0, content: &mut 0 };
    match general.value(at, 0, 0) {
        Ok(_) => {
            let kind = match byte_at(bytes, at) {
                b'[' => "the record is a list",
                b'"' => "the record is a text",
                b'-' | b'0'..=b'9' => "the record is a number",
                _ => "the record is a literal",
            };
            Fault::at(RejectReason::NotAnObject, kind, at)
        }
        Err(fault) => fault,
    }
}

#[cold]
fn too_deep(at: usize) -> Box<Fault> {
    Fault::at(RejectReason::NestingTooDeep, "the event is nested too deep", at)
}

#[cold]
fn too_many_keys(at: usize) -> Box<Fault> {
    Fault::at(RejectReason::TooManyKeys, "the event has too many keys", at)
}

/// Reads values no meter looks into: checks them and adds them to the content hash.
struct GeneralValue<'a> {
    bytes: &'a [u8],
    keys: &'a mut usize,
    content: &'a mut u64,
}

impl GeneralValue<'_> {
    /// Reads any value; the position after it.
    fn value(&mut self, at: usize, seed: u64, depth: usize) -> Result<usize, Box<Fault>> {
        let (content, end) = match byte_at(self.bytes, at) {
            b'{' | b'[' => return self.container(at, seed, depth + 1),
            b'"' => match json::text(self.bytes, at + 1)? {
                JsonText::Verbatim(end) => (leaf_at(seed, ValueKind::Text, self.bytes, at + 1, end), end + 1),
                JsonText::Unescaped(text, end) => (leaf(seed, ValueKind::Text, &text), end + 1),
            },
            b'-' | b'0'..=b'9' => {
                let number = json::number(self.bytes, at)?;
                let text = self.bytes.get(at..number.end).unwrap_or_default();
                (leaf(seed, ValueKind::Number, &canonical_number(text)), number.end)
            }
            _ => {
                let (_, end) = literal(self.bytes, at)?;
                (leaf_at(seed, ValueKind::Literal, self.bytes, at, end), end)
            }
        };
        *self.content = self.content.wrapping_add(content);
        Ok(end)
    }

    /// Reads an object or a list that begins at `at`; the position after it.
    fn container(&mut self, at: usize, seed: u64, depth: usize) -> Result<usize, Box<Fault>> {
        if depth >= EVENT_DEPTH_MAX {
            return Err(too_deep(at));
        }
        let is_object = byte_at(self.bytes, at) == b'{';
        let (close, empty) =
            if is_object { (b'}', ValueKind::EmptyObject) } else { (b']', ValueKind::EmptyArray) };
        let mut names: Vec<Vec<u8>> = Vec::new();
        let mut position: u64 = 0;
        let mut at = skip_space(self.bytes, at + 1);
        if byte_at(self.bytes, at) == close {
            *self.content = self.content.wrapping_add(leaf(seed, empty, b""));
            return Ok(at + 1);
        }
        loop {
            let member_seed = if is_object {
                let (name, value) = self.key(at)?;
                if names.contains(&name) {
                    return Err(duplicate_key(&name, at));
                }
                at = value;
                let member_seed = seeded(seed, &name);
                names.push(name);
                member_seed
            } else {
                position += 1;
                seeded(seed, &position.to_le_bytes())
            };
            at = skip_space(self.bytes, self.value(at, member_seed, depth)?);
            match byte_at(self.bytes, at) {
                b',' => at = skip_space(self.bytes, at + 1),
                byte if byte == close => return Ok(at + 1),
                _ => return Err(Fault::malformed("expected a comma or the end of an object or list", at)),
            }
        }
    }

    /// Reads a key and its colon; the position of its value.
    fn key(&mut self, at: usize) -> Result<(Vec<u8>, usize), Box<Fault>> {
        *self.keys += 1;
        if *self.keys > EVENT_KEYS_MAX {
            return Err(too_many_keys(at));
        }
        read_key(self.bytes, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::PADDING;

    #[test]
    fn spaces_mean_nothing_whatever_was_read_before() {
        let writings = [
            r#"{"id":"1","n":[1,{"a":null}],"data":{"x":1,"y":{},"z":{"u":true}}}"#,
            r#"{"id": "1", "n": [1, {"a": null}], "data": {"x": 1, "y": {}, "z": {"u": true}}}"#,
            "{ \"id\" :\t\"1\" ,\r\n\"n\":[ 1,{ \"a\" :null } ],\"data\":  { \"x\" :  1 , \"y\":{ } ,\"z\" :{\"u\":true} } }",
        ];
        let meter: schemas::meter::Meter = serde_json::from_str(
            r#"{"id":"m","event_type":"t","aggregation":"sum","value":"$.x","dimensions":{"u":"$.z.u","v":"$.v"}}"#,
        )
        .unwrap();
        let plan = MeteringPlan::new(&[meter]);
        for first in writings {
            let mut parser = EventParser::new(&plan, 7);
            let mut read = |text: &str| {
                let bytes = [text.as_bytes(), &[0; PADDING]].concat();
                let end = parser.parse(&plan, &bytes, 0).unwrap_or_else(|fault| panic!("{text}: {fault:?}"));
                assert_eq!(end, text.len(), "{text}");
                let event = &parser.event;
                let text_of = |token| String::from_utf8(event.bytes(&bytes, token).to_vec()).unwrap();
                (
                    text_of(event.attribute(Attribute::Id)),
                    text_of(event.slot(0)),
                    text_of(event.slot(1)),
                    event.content,
                )
            };
            let expected = read(first);
            assert_eq!((&*expected.0, &*expected.1, &*expected.2), ("1", "1", "true"));
            for text in writings.iter().chain(&writings) {
                assert_eq!(read(text), expected, "{text} after {first}");
            }
        }
    }
}
