//! Random events, and random ways to write one.

use crate::random::Random;

/// A value and, for a number, what it is apart from how it is written.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    Null,
    Bool(bool),
    /// `digits × 10^exponent`.
    Number(bool, String, i32),
    Text(String),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
    /// Written as it is.
    Verbatim(String),
}

const IDS: [&str; 14] = [
    "e1",
    "e2",
    "01890a5d-ac96-774b-bcce-b302099a8057",
    "01890a5d-ac96-774b-bcce-b302099a8058",
    "01890A5D-AC96-774B-BCCE-B302099A8057",
    "{01890a5d-ac96-774b-bcce-b302099a8057}",
    "ü",
    "an id of exactly",
    "an id longer than sixteen bytes",
    "quo\"ted \\ / id",
    "𝄞 clef",
    "",
    "a\u{0}b",
    "a\u{202e}b",
];
const SOURCES: [&str; 6] = ["svc-a", "svc-b", "https://example.com/a/rather/long/source", "ß", "", "s\u{7f}"];
const TYPES: [&str; 10] = ["t", "u", "p", "c", "t", "u", "p", "c", "unmetered", ""];
const SUBJECTS: [&str; 6] = ["acme", "globex", "初芝電産", "a subject that is not that short", "", "s\n"];
const TIMES: [&str; 22] = [
    "2026-10-31T23:59:59Z",
    "2026-10-31T23:59:59.5Z",
    "2026-10-31T23:59:59.500Z",
    "2026-10-31T23:59:59.123456Z",
    "2026-10-31T10:00:00Z",
    "2026-10-31T10:00:00.001Z",
    "2026-11-01T00:00:00Z",
    "2026-11-01T02:00:00+02:00",
    "2026-10-31 10:00:00Z",
    "2026-10-31t10:00:00z",
    "2016-12-31T23:59:60Z",
    "1970-01-01T00:00:00Z",
    "1969-12-31T23:59:59Z",
    "2099-12-31T23:59:59.999999Z",
    "2100-01-01T00:00:00Z",
    "2026-10-31T10:00:00",
    "2026-10-31T24:00:00Z",
    "2026-02-29T00:00:00Z",
    "yesterday",
    "",
    "\0\0\0\0\0\0\0\0\0\0\x0012:00:00Z",
    "2026-10-31T1:000:00Z",
];
const KEYS: [&str; 16] = [
    "v",
    "q",
    "u",
    "region",
    "nested",
    "deep",
    "er",
    "x",
    "kind",
    "amount",
    "price",
    "flag",
    "odd.name",
    "",
    "schlüssel",
    "a key longer than sixteen bytes, and longer than thirty-two",
];
const TEXTS: [&str; 16] = [
    "eu",
    "us",
    "a",
    "1",
    "100",
    "true",
    "yes",
    "2.50",
    "",
    "tab\tquote\"slash/back\\",
    "ünï",
    "𝄞",
    "exactly sixteen!",
    "a text longer than sixteen bytes",
    "a text longer than thirty-two bytes, to be sure",
    "\u{7f}\u{0}\u{1f}",
];
const NUMBERS: [(&str, i32); 24] = [
    ("0", 0),
    ("1", 0),
    ("1", 2),
    ("5", -1),
    ("25", -1),
    ("1", -9),
    ("1", -10),
    ("15", -10),
    ("123456789", -3),
    ("1234567890123456789", 0),
    ("99999999999999999999", 0),
    ("1", 20),
    ("1", 19),
    ("123456789012345678901234567890", 0),
    ("1", 400),
    ("1", -400),
    ("7", -12),
    ("99999999999999999999999999999999", -12),
    ("42", 0),
    ("3", 18),
    ("12345678901234567890123456789012345678901", -30),
    ("1", 64),
    ("1", -64),
    ("1", -65),
];
const NOT_NUMBERS: [&str; 14] =
    ["01", "-", "1.", ".5", "+1", "1e", "1e+", "NaN", "Infinity", "0x10", "-01", "1_000", "tru", "nul"];
const NUMBER_TEXTS: [&str; 14] = [
    "12",
    "+5",
    "007",
    "1e3",
    "-2.5",
    "0.000000000001",
    " 1",
    "1 ",
    "1.",
    ".5",
    "NaN",
    "Inf",
    "1e-40",
    "99999999999999999999.9",
];

/// An event, and what is wrong with it, from a seed.
pub(crate) fn event(seed: u64) -> Tree {
    let random = &mut Random::new(seed);
    let mut members = Vec::new();
    let mut attribute = |random: &mut Random, name: &str, good: usize, texts: &[&str]| {
        let value = match random.below(60) {
            0 => return,
            1 => Tree::Null,
            2 => value(random, 2),
            3 | 4 => Tree::Text(random.pick(texts).to_owned()),
            _ => Tree::Text(random.pick(&texts[..good]).to_owned()),
        };
        members.push((name.to_owned(), value));
    };
    attribute(random, "specversion", 1, &["1.0", "0.3", "1", ""]);
    attribute(random, "id", 11, &IDS);
    attribute(random, "source", 4, &SOURCES);
    attribute(random, "type", 9, &TYPES);
    attribute(random, "subject", 4, &SUBJECTS);
    attribute(random, "time", 14, &TIMES);
    if !random.once_in(20) {
        let data = if random.once_in(30) { value(random, 2) } else { data(random) };
        members.push(("data".to_owned(), data));
    }
    for (name, rare) in [
        ("datacontenttype", 4),
        ("traceparent", 8),
        ("recordedtime", 12),
        ("sequence", 6),
        ("data_base64", 30),
        ("Source", 20),
        ("data.v", 30),
        ("v", 20),
    ] {
        if random.once_in(rare) {
            members.push((name.to_owned(), value(random, 3)));
        }
    }
    if random.once_in(12) {
        let rates = [
            Tree::Number(false, "1".to_owned(), 0),
            Tree::Number(false, "2".to_owned(), 0),
            Tree::Null,
            Tree::Bool(true),
        ];
        members.push(("sampledrate".to_owned(), rates[random.below(4)].clone()));
    }
    if random.once_in(60) {
        duplicate(random, &mut members);
    }
    if random.once_in(150) {
        let count = 240 + random.below(20);
        members.extend((0..count).map(|key| (format!("k{key}"), Tree::Null)));
    }
    Tree::Object(members)
}

fn duplicate(random: &mut Random, members: &mut Vec<(String, Tree)>) {
    if !members.is_empty() {
        let twice = members[random.below(members.len())].clone();
        let at = random.below(members.len() + 1);
        members.insert(at, twice);
    }
}

/// The data object: mostly what the meters read.
fn data(random: &mut Random) -> Tree {
    let mut members: Vec<(String, Tree)> = Vec::new();
    let mut put = |random: &mut Random, name: &str, value: Tree| {
        if !random.once_in(8) {
            members.push((name.to_owned(), value));
        }
    };
    let v = quantity(random);
    put(random, "v", v);
    let u = scalar(random);
    put(random, "u", u);
    let region = Tree::Text(random.pick(&TEXTS).to_owned());
    put(random, "region", region);
    let flag = scalar(random);
    put(random, "flag", flag);
    let price = quantity(random);
    put(random, "price", price);
    let inside = vec![
        ("kind".to_owned(), scalar(random)),
        ("q".to_owned(), quantity(random)),
        ("amount".to_owned(), quantity(random)),
    ];
    let nested = if random.once_in(4) { value(random, 3) } else { Tree::Object(inside) };
    put(random, "nested", nested);
    let deepest = Tree::Object(vec![("x".to_owned(), quantity(random)), ("y".to_owned(), value(random, 2))]);
    put(random, "deep", Tree::Object(vec![("er".to_owned(), deepest)]));
    for _ in 0..random.below(3) {
        let key = random.pick(&KEYS);
        let is_known = members.iter().any(|(name, _)| name == key);
        if !is_known || random.once_in(20) {
            members.push((key.to_owned(), value(random, 3)));
        }
    }
    Tree::Object(members)
}

fn quantity(random: &mut Random) -> Tree {
    match random.below(12) {
        0 => value(random, 1),
        1 => Tree::Text(random.pick(&NUMBER_TEXTS).to_owned()),
        2 => a_number(random, NUMBERS.len()),
        _ => a_number(random, 6),
    }
}

fn a_number(random: &mut Random, among: usize) -> Tree {
    let (digits, exponent) = NUMBERS[random.below(among)];
    Tree::Number(random.once_in(12), digits.to_owned(), exponent)
}

fn scalar(random: &mut Random) -> Tree {
    match random.below(8) {
        0 => Tree::Null,
        1 => Tree::Bool(true),
        2 => Tree::Bool(false),
        3 => a_number(random, NUMBERS.len()),
        4 => a_number(random, 6),
        _ => Tree::Text(random.pick(&TEXTS).to_owned()),
    }
}

fn value(random: &mut Random, depth: usize) -> Tree {
    match random.below(10) {
        0 if depth > 0 => Tree::List((0..random.below(4)).map(|_| value(random, depth - 1)).collect()),
        1 | 2 if depth > 0 => {
            let mut members: Vec<(String, Tree)> = Vec::new();
            for _ in 0..random.below(4) {
                let key = random.pick(&KEYS);
                if members.iter().all(|(name, _)| name != key) {
                    members.push((key.to_owned(), value(random, depth - 1)));
                }
            }
            if random.once_in(30) {
                duplicate(random, &mut members);
            }
            Tree::Object(members)
        }
        3 if random.once_in(10) => bomb(random),
        4 if random.once_in(10) => Tree::Verbatim(random.pick(&NOT_NUMBERS).to_owned()),
        5 if random.once_in(10) => Tree::Verbatim("9".repeat(60 + random.below(8))),
        _ => scalar(random),
    }
}

/// A value that is nested about as deep as allowed.
fn bomb(random: &mut Random) -> Tree {
    let mut tree = Tree::Number(false, "1".to_owned(), 0);
    for _ in 0..26 + random.below(8) {
        tree = if random.once_in(3) {
            Tree::List(vec![tree])
        } else {
            Tree::Object(vec![(random.pick(&KEYS).to_owned(), tree)])
        };
    }
    tree
}

/// Where white space goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Style {
    Compact,
    AfterColons,
    Python,
    Everywhere,
    Mixed,
}

impl Style {
    pub(crate) fn any(random: &mut Random) -> Self {
        [Self::Compact, Self::Compact, Self::AfterColons, Self::Python, Self::Everywhere, Self::Mixed]
            [random.below(6)]
    }

    fn space(self, random: &mut Random, after: char, line_ends: bool) -> &'static str {
        let some = match self {
            Self::Compact => false,
            Self::AfterColons => after == ':',
            Self::Python => matches!(after, ':' | ','),
            Self::Everywhere => true,
            Self::Mixed => random.once_in(3),
        };
        match (some, self) {
            (false, _) => "",
            (true, Self::AfterColons | Self::Python) => " ",
            (true, _) if line_ends => random.pick(&[" ", "\n", "\r\n  "]),
            (true, _) => random.pick(&[" ", " ", "  ", "\t", "\r", "                    "]),
        }
    }
}

/// Writes a value in one of the ways it can be written.
pub(crate) struct Writer<'a> {
    pub(crate) random: &'a mut Random,
    pub(crate) style: Style,
    /// Are escapes used where none are needed, numbers written in odd ways, and keys in any order?
    pub(crate) odd: bool,
    /// May white space be line ends?
    pub(crate) line_ends: bool,
    pub(crate) text: String,
}

impl Writer<'_> {
    fn space(&mut self, after: char) {
        self.text += self.style.space(self.random, after, self.line_ends);
    }

    fn punctuation(&mut self, character: char) {
        if !matches!(character, '{' | '[') {
            self.space(' ');
        }
        self.text.push(character);
        self.space(character);
    }

    pub(crate) fn write(&mut self, tree: &Tree) {
        match tree {
            Tree::Null => self.text += "null",
            Tree::Bool(value) => self.text += &value.to_string(),
            Tree::Number(negative, digits, exponent) => self.number(*negative, digits, *exponent),
            Tree::Text(text) => self.quoted(text),
            Tree::Verbatim(text) => self.text += text,
            Tree::List(elements) => {
                self.punctuation('[');
                for (position, element) in elements.iter().enumerate() {
                    if position > 0 {
                        self.punctuation(',');
                    }
                    self.write(element);
                }
                self.punctuation(']');
            }
            Tree::Object(members) => {
                let mut order: Vec<usize> = (0..members.len()).collect();
                if self.odd && self.random.once_in(3) {
                    self.random.shuffle(&mut order);
                }
                self.punctuation('{');
                for (position, member) in order.into_iter().enumerate() {
                    if position > 0 {
                        self.punctuation(',');
                    }
                    let (key, value) = &members[member];
                    self.quoted(key);
                    self.punctuation(':');
                    self.write(value);
                }
                self.punctuation('}');
            }
        }
    }

    fn quoted(&mut self, text: &str) {
        self.text.push('"');
        let odd = self.odd && self.random.once_in(8);
        for character in text.chars() {
            let escaped = match character {
                '"' => "\\\"".to_owned(),
                '\\' => "\\\\".to_owned(),
                '\n' if !odd => "\\n".to_owned(),
                '\t' if !odd => "\\t".to_owned(),
                '/' if odd => "\\/".to_owned(),
                '\0'..='\u{1f}' => self.units(character),
                _ if odd && self.random.once_in(3) => self.units(character),
                _ => character.to_string(),
            };
            self.text += &escaped;
        }
        self.text.push('"');
    }

    fn units(&mut self, character: char) -> String {
        let upper = self.random.once_in(2);
        let write = |unit: &u16| if upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") };
        character.encode_utf16(&mut [0; 2]).iter().map(write).collect()
    }

    fn number(&mut self, negative: bool, digits: &str, exponent: i32) {
        let sign = if negative { "-" } else { "" };
        let plain = match usize::try_from(exponent) {
            Ok(zeros) if zeros <= 24 && digits != "0" => format!("{digits}{}", "0".repeat(zeros)),
            Ok(0) => digits.to_owned(),
            Ok(_) => format!("{digits}e{exponent}"),
            Err(_) => {
                let places = usize::try_from(-exponent).unwrap();
                if places > 60 {
                    format!("{digits}e{exponent}")
                } else {
                    let padded = format!("{digits:0>width$}", width = places + 1);
                    let (whole, fraction) = padded.split_at(padded.len() - places);
                    format!("{whole}.{fraction}")
                }
            }
        };
        let written = match self.random.below(8) {
            _ if !self.odd => plain,
            0 if !plain.contains('e') && plain.contains('.') => format!("{plain}00"),
            0 if !plain.contains('e') => format!("{plain}.0"),
            1 => format!("{digits}e{exponent}"),
            2 => format!("{digits}E{exponent:+}"),
            3 => format!("{digits}.0e{exponent}"),
            4 => format!("{digits}00E{}", exponent - 2),
            5 => format!("0.{digits}e{}", exponent + i32::try_from(digits.len()).unwrap()),
            _ => plain,
        };
        self.text += sign;
        self.text += &written;
    }
}

const JUNK: [&[u8]; 24] = [
    b"\0",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b" ",
    b"\t",
    b"\x1f",
    b"\x7f",
    b"0",
    b"e",
    b"-",
    b".",
    b"\\ud800",
    b"\\u12",
    b"null",
    b"\xef\xbb\xbf",
];

/// Damages a record.
pub(crate) fn damage(random: &mut Random, bytes: &mut Vec<u8>) {
    let at = random.below(bytes.len() + 1);
    match random.below(6) {
        0 => bytes.truncate(at),
        1 if at < bytes.len() => {
            bytes.remove(at);
        }
        2 if at < bytes.len() => bytes[at] = random.pick(&JUNK)[0],
        3 if at < bytes.len() => {
            let (from, to) = (at, (at + random.below(20)).min(bytes.len()));
            let piece = bytes[from..to].to_vec();
            bytes.splice(at..at, piece);
        }
        4 => bytes.extend_from_slice(random.pick(&JUNK)),
        _ => {
            let junk = random.pick(&JUNK);
            bytes.splice(at..at, junk.iter().copied());
        }
    }
}
