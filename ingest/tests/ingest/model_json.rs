//! A JSON reader with nothing clever in it: every byte is looked at, one after another.
//!
//! It goes on after faults that leave the text readable, so that it knows all of an event's.

use std::collections::BTreeSet;

use schemas::quarantine::RejectReason;

/// A JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Value>),
    Object(Vec<(String, Value)>),
}

impl Value {
    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}

/// What a record is as JSON, and what is wrong with it.
pub(crate) struct Read {
    /// `None` where it is not JSON.
    pub(crate) value: Option<Value>,
    pub(crate) faults: BTreeSet<RejectReason>,
}

/// Reads a record that is UTF-8.
pub(crate) fn read(text: &str) -> Read {
    let mut reader = Reader { rest: text, faults: BTreeSet::new(), keys: 0 };
    let value = reader.value(0).filter(|_| reader.skip_space().is_empty());
    if value.is_none() {
        reader.faults.insert(RejectReason::MalformedJson);
    }
    Read { value, faults: reader.faults }
}

struct Reader<'a> {
    rest: &'a str,
    faults: BTreeSet<RejectReason>,
    keys: usize,
}

impl<'a> Reader<'a> {
    fn skip_space(&mut self) -> &'a str {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
        self.rest
    }

    fn take(&mut self, prefix: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(prefix)?;
        Some(())
    }

    fn next(&mut self) -> Option<char> {
        let character = self.rest.chars().next()?;
        self.rest = &self.rest[character.len_utf8()..];
        Some(character)
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        self.skip_space();
        match self.rest.chars().next()? {
            '{' => self.object(depth + 1),
            '[' => self.list(depth + 1),
            '"' => self.text().map(Value::Text),
            '-' | '0'..='9' => self.number(),
            't' => self.take("true").map(|()| Value::Bool(true)),
            'f' => self.take("false").map(|()| Value::Bool(false)),
            'n' => self.take("null").map(|()| Value::Null),
            _ => None,
        }
    }

    fn check_depth(&mut self, depth: usize) {
        if depth > 32 {
            self.faults.insert(RejectReason::NestingTooDeep);
        }
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        self.check_depth(depth);
        self.take("{")?;
        let mut members: Vec<(String, Value)> = Vec::new();
        if self.skip_space().starts_with('}') {
            self.take("}")?;
            return Some(Value::Object(members));
        }
        loop {
            self.skip_space();
            let key = self.text()?;
            self.keys += 1;
            if self.keys > 256 {
                self.faults.insert(RejectReason::TooManyKeys);
            }
            if members.iter().any(|(other, _)| *other == key) {
                self.faults.insert(RejectReason::DuplicateKey);
            }
            self.skip_space();
            self.take(":")?;
            let value = self.value(depth)?;
            members.push((key, value));
            self.skip_space();
            match self.next()? {
                ',' => {}
                '}' => return Some(Value::Object(members)),
                _ => return None,
            }
        }
    }

    fn list(&mut self, depth: usize) -> Option<Value> {
        self.check_depth(depth);
        self.take("[")?;
        let mut elements = Vec::new();
        if self.skip_space().starts_with(']') {
            self.take("]")?;
            return Some(Value::List(elements));
        }
        loop {
            elements.push(self.value(depth)?);
            self.skip_space();
            match self.next()? {
                ',' => {}
                ']' => return Some(Value::List(elements)),
                _ => return None,
            }
        }
    }

    fn text(&mut self) -> Option<String> {
        self.take("\"")?;
        let mut text = String::new();
        loop {
            match self.next()? {
                '"' => return Some(text),
                '\\' => text.push(self.escape()?),
                '\0'..='\u{1f}' => return None,
                character => text.push(character),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        Some(match self.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            plain @ ('"' | '\\' | '/') => plain,
            'u' => {
                let first = self.hex()?;
                let units = if (0xd800..0xdc00).contains(&first) {
                    self.take("\\u")?;
                    vec![first, self.hex()?]
                } else {
                    vec![first]
                };
                let mut characters = char::decode_utf16(units);
                let character = characters.next()?.ok()?;
                if characters.next().is_some() {
                    return None;
                }
                character
            }
            _ => return None,
        })
    }

    fn hex(&mut self) -> Option<u16> {
        let digits = self.rest.get(..4)?;
        if !digits.chars().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        self.rest = &self.rest[4..];
        u16::from_str_radix(digits, 16).ok()
    }

    fn digits(&mut self) -> usize {
        let rest = self.rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
        let count = self.rest.len() - rest.len();
        self.rest = rest;
        count
    }

    fn number(&mut self) -> Option<Value> {
        let whole = self.rest;
        let _ = self.take("-");
        let starts_with_zero = self.rest.starts_with('0');
        let mut digits = self.digits();
        if digits == 0 || (starts_with_zero && digits > 1) {
            return None;
        }
        if self.take(".").is_some() {
            let fraction = self.digits();
            if fraction == 0 {
                return None;
            }
            digits += fraction;
        }
        if self.take("e").or_else(|| self.take("E")).is_some() {
            let _ = self.take("+").or_else(|| self.take("-"));
            let exponent = self.digits();
            if exponent == 0 {
                return None;
            }
            digits += exponent;
        }
        if digits > 64 {
            self.faults.insert(RejectReason::NumberTooLong);
        }
        Some(Value::Number(whole[..whole.len() - self.rest.len()].to_owned()))
    }
}
