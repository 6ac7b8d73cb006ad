//! Finds where records end in formats whose records may span lines: JSON values and CSV rows.

use crate::decoder::span;
use crate::event_batch::Span;

/// A JSON list that ends before its bracket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnclosedList;

/// Finds JSON values: the elements of one list, or values after one another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ValueSplitter {
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing read yet: a list may begin.
    #[default]
    Start,
    /// In a list, an element is due.
    Element,
    /// In a list, a comma or the end is due.
    Separator,
    /// Values that are no list, or what follows a list.
    Values,
}

impl ValueSplitter {
    /// Is a list open?
    pub(crate) const fn is_open(self) -> bool {
        matches!(self.state, State::Element | State::Separator)
    }

    /// Goes on behind a record that was skipped.
    pub(crate) const fn resume(&mut self) {
        if self.is_open() {
            self.state = State::Separator;
        }
    }

    /// The whole values at the beginning of the bytes, and the end of the last. At the end of the
    /// input, what remains is a value too.
    ///
    /// Something between values that does not belong there makes the rest of the bytes one value,
    /// which no decoder will take for an event.
    pub(crate) fn split(&mut self, bytes: &[u8], at_end: bool) -> Result<(usize, Vec<Span>), UnclosedList> {
        let mut spans = Vec::new();
        let mut lines = LineCount::default();
        let mut at = 0;
        loop {
            at += bytes
                .get(at..)
                .unwrap_or_default()
                .iter()
                .take_while(|byte| byte.is_ascii_whitespace())
                .count();
            let Some(byte) = bytes.get(at) else { break };
            match (self.state, byte) {
                (State::Start, b'[') | (State::Separator, b',') => {
                    self.state = State::Element;
                    at += 1;
                }
                (State::Start, _) => self.state = State::Values,
                (State::Element | State::Separator, b']') => {
                    self.state = State::Values;
                    at += 1;
                }
                (State::Separator, _) => {
                    // Neither comma nor bracket: nothing after this can be trusted.
                    spans.push(span(at, bytes.len(), lines.before(bytes, at)));
                    self.state = State::Values;
                    return Ok((bytes.len(), spans));
                }
                (State::Element | State::Values, _) => match value_end(bytes, at) {
                    Some(after) => {
                        spans.push(span(at, after, lines.before(bytes, at)));
                        at = after;
                        if self.state == State::Element {
                            self.state = State::Separator;
                        }
                    }
                    None if !at_end => break,
                    None if self.is_open() => return Err(UnclosedList),
                    None => {
                        spans.push(span(at, bytes.len(), lines.before(bytes, at)));
                        return Ok((bytes.len(), spans));
                    }
                },
            }
        }
        // What is before the next value is done with, white space too.
        if at_end { Ok((bytes.len(), spans)) } else { Ok((at, spans)) }
    }
}

/// Counts lines up to places that only move forward.
#[derive(Default)]
struct LineCount {
    counted: usize,
    lines: u32,
}

impl LineCount {
    fn before(&mut self, bytes: &[u8], at: usize) -> u32 {
        let new = bytes.get(self.counted..at).unwrap_or_default();
        let newlines = memchr::memchr_iter(b'\n', new).count();
        self.lines = self.lines.saturating_add(u32::try_from(newlines).unwrap_or(u32::MAX));
        self.counted = at;
        self.lines
    }
}

/// The end of the value that begins at `at`, if it is in the bytes. The value need not be valid.
fn value_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut depth = 0usize;
    let mut position = at;
    while let Some(byte) = bytes.get(position) {
        match byte {
            b'"' => position = string_end(bytes, position + 1)?,
            b'{' | b'[' => {
                depth += 1;
                position += 1;
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                position += 1;
            }
            _ if depth == 0 => {
                let scalar = bytes.get(position..).unwrap_or_default();
                let length = scalar.iter().position(|byte| is_scalar_end(*byte))?;
                // A separator where a value is due is a value of its own, and no event.
                return Some(position + length.max(1));
            }
            _ => position += 1,
        }
        if depth == 0 {
            return Some(position);
        }
    }
    None
}

/// Finds the end of a value that is too large to wait for, piece by piece.
#[derive(Debug, Default)]
pub(crate) struct ValueEnd {
    depth: usize,
    inside: Inside,
}

/// What the next byte of a value is part of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Inside {
    #[default]
    Structure,
    Text,
    Escape,
    Scalar,
    /// The value is over.
    Nothing,
}

impl ValueEnd {
    /// The position after the value, if a byte after it is in the next piece.
    pub(crate) fn find(&mut self, piece: &[u8]) -> Option<usize> {
        piece.iter().position(|byte| self.ends_before(*byte))
    }

    fn ends_before(&mut self, byte: u8) -> bool {
        self.inside = match (self.inside, byte) {
            (Inside::Nothing, _) => return true,
            (Inside::Scalar, _) => return is_scalar_end(byte),
            (Inside::Text, b'\\') => Inside::Escape,
            (Inside::Text, b'"') => self.after_part(),
            (Inside::Text | Inside::Escape, _) | (Inside::Structure, b'"') => Inside::Text,
            (Inside::Structure, b'{' | b'[') => {
                self.depth += 1;
                Inside::Structure
            }
            (Inside::Structure, b'}' | b']') => {
                self.depth = self.depth.saturating_sub(1);
                self.after_part()
            }
            (Inside::Structure, _) if self.depth == 0 => Inside::Scalar,
            (Inside::Structure, _) => Inside::Structure,
        };
        false
    }

    const fn after_part(&self) -> Inside {
        if self.depth == 0 { Inside::Nothing } else { Inside::Structure }
    }
}

const fn is_scalar_end(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b',' | b']' | b'}' | b'{' | b'[' | b'"')
}

/// The position after a string whose content begins at `at`.
fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut position = at;
    loop {
        position += memchr::memchr2(b'"', b'\\', bytes.get(position..)?)?;
        match bytes.get(position) {
            Some(b'"') => return Some(position + 1),
            _ => position += 2,
        }
    }
}

/// Number of lines of a CSV file that end in the bytes: by a line feed, a carriage return, or both.
pub(crate) fn line_ends(bytes: &[u8]) -> u64 {
    let ends = memchr::memchr2_iter(b'\n', b'\r', bytes);
    ends.filter(|at| bytes.get(*at) == Some(&b'\n') || bytes.get(at + 1) != Some(&b'\n')).count() as u64
}

/// Finds CSV rows: line ends outside quotes. A carriage return that may have a line feed after it is
/// none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowSplitter {
    delimiter: u8,
}

impl RowSplitter {
    pub(crate) const fn new(delimiter: u8) -> Self {
        Self { delimiter }
    }

    /// The position after the first row, if its end is in the bytes.
    pub(crate) fn first_end(self, bytes: &[u8]) -> Option<usize> {
        self.ends(bytes).next()
    }

    /// The position after the last row whose end is in the bytes.
    pub(crate) fn last_end(self, bytes: &[u8]) -> Option<usize> {
        self.ends(bytes).last()
    }

    fn ends(self, bytes: &[u8]) -> impl Iterator<Item = usize> {
        let mut in_quotes = false;
        let mut at_field_start = true;
        let mut after_quote = false;
        bytes.iter().enumerate().filter_map(move |(position, byte)| {
            if in_quotes {
                // Two quotes in a row are one in the text: the second opens the field again.
                if *byte == b'"' {
                    in_quotes = false;
                    after_quote = true;
                }
                return None;
            }
            let opens = *byte == b'"' && (at_field_start || after_quote);
            in_quotes = opens;
            at_field_start = *byte == self.delimiter || matches!(byte, b'\n' | b'\r');
            after_quote = false;
            let is_end = match byte {
                b'\n' => true,
                b'\r' => bytes.get(position + 1).is_some_and(|next| *next != b'\n'),
                _ => false,
            };
            is_end.then_some(position + 1)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(input: &str, at_end: bool) -> (usize, Vec<String>, ValueSplitter) {
        let mut splitter = ValueSplitter::default();
        let (end, spans) = splitter.split(input.as_bytes(), at_end).unwrap();
        let text = |span: &Span| input[span.start as usize..(span.start + span.length) as usize].to_owned();
        (end, spans.iter().map(text).collect(), splitter)
    }

    #[test]
    fn lists_and_sequences_of_values() {
        let cases: &[(&str, &[&str])] = &[
            (r#"[{"a":1}, {"b":[2,"]}"]}]"#, &[r#"{"a":1}"#, r#"{"b":[2,"]}"]}"#]),
            ("[]", &[]),
            ("", &[]),
            (" {\"a\":\n1}\n{\"b\":\"\\\"}\"} ", &["{\"a\":\n1}", "{\"b\":\"\\\"}\"}"]),
            (r#"[1,"x",null]"#, &["1", "\"x\"", "null"]),
            (r#"[{"a":1} {"b":2}]"#, &[r#"{"a":1}"#, r#"{"b":2}]"#]),
            (r"[,]", &[","]),
            (r#"[{"a":1}] x"#, &[r#"{"a":1}"#, "x"]),
            (r#"{"a":1"#, &[r#"{"a":1"#]),
        ];
        for (input, expected) in cases {
            let (end, got, _) = texts(input, true);
            assert_eq!(
                (end, got),
                (input.len(), expected.iter().map(|text| (*text).to_owned()).collect()),
                "{input}"
            );
        }
        for cut in [r#"[{"a":1},{"b""#, r#"[{"a":"#] {
            assert_eq!(ValueSplitter::default().split(cut.as_bytes(), true), Err(UnclosedList), "{cut}");
        }
        assert!(texts(r#"[{"a":1},"#, true).2.is_open());
    }

    #[test]
    fn rows_end_outside_quotes() {
        let splitter = RowSplitter::new(b',');
        let cases: &[(&str, Option<usize>, Option<usize>)] = &[
            ("a,b\nc,d\n", Some(4), Some(8)),
            ("\"a\nb\",c\nd", Some(8), Some(8)),
            ("\"a\"\"\nb\"\nc", Some(8), Some(8)),
            ("5\" pipe,x\ny\n", Some(10), Some(12)),
            ("\"open\n", None, None),
            ("a,b\r\nc,d\r\n", Some(5), Some(10)),
            ("a,b\rc,d\r", Some(4), Some(4)),
            ("a,\"b\rc\",d\re", Some(10), Some(10)),
            ("", None, None),
        ];
        for (input, first, last) in cases {
            let got = (splitter.first_end(input.as_bytes()), splitter.last_end(input.as_bytes()));
            assert_eq!(got, (*first, *last), "{input:?}");
        }
    }

    proptest! {
        #[test]
        fn splitting_in_pieces_finds_the_same_values(values in prop::collection::vec("[a-c\"\\\\{}\\[\\], \n]{0,6}", 0..12), piece in 1usize..30) {
            let list: Vec<String> = values.iter().map(|value| format!("{{\"v\":{}}}", serde_json::to_string(value).unwrap())).collect();
            let input = format!("[{}]", list.join(" ,\n"));
            let mut splitter = ValueSplitter::default();
            let mut carry: Vec<u8> = Vec::new();
            let mut got = Vec::new();
            for chunk in input.as_bytes().chunks(piece) {
                carry.extend_from_slice(chunk);
                let (end, spans) = splitter.split(&carry, false).unwrap();
                for span in spans {
                    got.push(String::from_utf8(carry[span.start as usize..(span.start + span.length) as usize].to_vec()).unwrap());
                }
                carry.drain(..end);
            }
            prop_assert_eq!(got, list);
            prop_assert!(!splitter.is_open());
        }

        #[test]
        fn the_end_of_a_value_is_found_in_pieces_as_in_one(value in "[a-c\"\\\\{}\\[\\], \n]{1,40}", piece in 1usize..10) {
            prop_assume!(!value.starts_with([' ', '\n', ',', ']', '}']));
            let mut end = ValueEnd::default();
            let pieces = value.as_bytes().chunks(piece).enumerate();
            let mut found = pieces.map(|(position, bytes)| Some(position * piece + end.find(bytes)?));
            let expected = value_end(value.as_bytes(), 0).filter(|end| *end < value.len());
            prop_assert_eq!(found.find_map(|end| end), expected);
        }
    }
}
