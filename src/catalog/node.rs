//! YAML documents as trees that know where they were written.
//!
//! JSON is read the same way, being YAML too. A scalar keeps its text until a type asks for it: a price
//! of `0.1` is one tenth, never the nearest binary fraction.

use std::fmt;

use hashbrown::HashSet;
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};

/// Deepest nesting of a document.
const DEPTH_MAX: usize = 64;

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) line: u64,
    pub(crate) value: Value,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// A scalar; `is_plain` where it is not quoted.
    Scalar {
        text: String,
        is_plain: bool,
    },
    Sequence(Vec<Node>),
    Mapping(Vec<(Node, Node)>),
}

/// What is wrong with a document, and where.
#[derive(Clone, Debug)]
pub(crate) struct NodeError {
    pub(crate) line: u64,
    /// Path from the document inwards, innermost first.
    path: Vec<String>,
    pub(crate) message: String,
}

impl NodeError {
    fn at(line: u64, message: String) -> Self {
        Self { line, path: Vec::new(), message }
    }

    /// The same error, on another line.
    pub(crate) fn on_line(self, line: u64) -> Self {
        Self { line, ..self }
    }

    /// Where in the document, as `versions[0].rates[2].unit_price`.
    pub(crate) fn path(&self) -> String {
        let mut path = String::new();
        for segment in self.path.iter().rev() {
            if !path.is_empty() && !segment.starts_with('[') {
                path.push('.');
            }
            path.push_str(segment);
        }
        path
    }

    fn inside(mut self, segment: impl FnOnce() -> String, line: u64) -> Self {
        self.path.push(segment());
        if self.line == 0 {
            self.line = line;
        }
        self
    }
}

impl fmt::Display for NodeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for NodeError {}

impl de::Error for NodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::at(0, message.to_string())
    }
}

/// Reads all documents of a YAML or JSON text.
pub(crate) fn parse(text: &str) -> Result<Vec<Node>, NodeError> {
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error: ScanError| {
            NodeError::at(error.marker().line() as u64, format!("this is no YAML or JSON: {}", error.info()))
        })?;
        if event == Event::StreamEnd {
            break;
        }
        builder.take(event, span)?;
    }
    Ok(builder.documents)
}

/// Builds trees from the parser's events.
#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    open: Vec<Open>,
}

/// A collection that is being filled.
struct Open {
    line: u64,
    key: Option<Node>,
    /// The keys of a mapping so far.
    keys: HashSet<String>,
    value: Value,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), NodeError> {
        let line = span.start.line() as u64;
        match event {
            Event::Scalar(text, style, ..) => {
                let is_plain = style == ScalarStyle::Plain;
                self.add(Node { line, value: Value::Scalar { text: text.into_owned(), is_plain } })
            }
            Event::SequenceStart(..) => self.open(line, Value::Sequence(Vec::new())),
            Event::MappingStart(..) => self.open(line, Value::Mapping(Vec::new())),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open { line, value, .. }) => self.add(Node { line, value }),
                None => Ok(()),
            },
            Event::Alias(_) => Err(NodeError::at(
                line,
                "an alias (*name) cannot be used here: write the value out".to_owned(),
            )),
            _ => Ok(()),
        }
    }

    fn open(&mut self, line: u64, value: Value) -> Result<(), NodeError> {
        if self.open.len() >= DEPTH_MAX {
            return Err(NodeError::at(line, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        self.open.push(Open { line, key: None, keys: HashSet::new(), value });
        Ok(())
    }

    fn add(&mut self, node: Node) -> Result<(), NodeError> {
        let Some(open) = self.open.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        match (&mut open.value, open.key.take()) {
            (Value::Sequence(items), _) => items.push(node),
            (Value::Mapping(_), None) => open.key = Some(node),
            (Value::Mapping(entries), Some(key)) => {
                if let Some(name) = key.text()
                    && !open.keys.insert(name.to_owned())
                {
                    return Err(NodeError::at(key.line, format!("the key {name} is there twice")));
                }
                entries.push((key, node));
            }
            (Value::Scalar { .. }, _) => {}
        }
        Ok(())
    }
}

impl Node {
    /// The text of a scalar.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, is_plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// Says that the whole tree is written on a line.
    pub(crate) fn set_line(&mut self, line: u64) {
        self.line = line;
        match &mut self.value {
            Value::Scalar { .. } => {}
            Value::Sequence(items) => items.iter_mut().for_each(|item| item.set_line(line)),
            Value::Mapping(entries) => {
                for (key, value) in entries {
                    key.set_line(line);
                    value.set_line(line);
                }
            }
        }
    }

    /// The value of a key of a mapping.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        match &self.value {
            Value::Mapping(entries) => {
                entries.iter().find(|(key, _)| key.text() == Some(name)).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// Takes the value of a key out of a mapping.
    pub(crate) fn take(&mut self, name: &str) -> Option<Self> {
        let Value::Mapping(entries) = &mut self.value else { return None };
        let position = entries.iter().position(|(key, _)| key.text() == Some(name))?;
        Some(entries.remove(position).1)
    }

    /// Takes the items of a sequence out of the tree; their places keep an empty sequence.
    pub(crate) fn take_items(&mut self, name: &str) -> Vec<Self> {
        let Value::Mapping(entries) = &mut self.value else { return Vec::new() };
        let found = entries.iter_mut().find(|(key, _)| key.text() == Some(name));
        match found.map(|(_, value)| &mut value.value) {
            Some(Value::Sequence(items)) => std::mem::take(items),
            _ => Vec::new(),
        }
    }

    /// The items of a sequence under a key.
    pub(crate) fn items_mut(&mut self, name: &str) -> &mut [Self] {
        let Value::Mapping(entries) = &mut self.value else { return &mut [] };
        let found = entries.iter_mut().find(|(key, _)| key.text() == Some(name));
        match found.map(|(_, value)| &mut value.value) {
            Some(Value::Sequence(items)) => items,
            _ => &mut [],
        }
    }

    /// Reads a typed document from the tree.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, NodeError> {
        T::deserialize(self).map_err(|mut error| {
            if error.line == 0 {
                error.line = self.line;
            }
            error
        })
    }

    fn kind(&self) -> &'static str {
        match &self.value {
            Value::Scalar { .. } if self.is_null() => "nothing",
            Value::Scalar { .. } => "a scalar",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }

    fn scalar(&self, wanted: &str) -> Result<&str, NodeError> {
        match &self.value {
            Value::Scalar { text, .. } if !self.is_null() => Ok(text),
            _ => Err(NodeError::at(self.line, format!("expected {wanted}, found {}", self.kind()))),
        }
    }

    fn number<T: std::str::FromStr>(&self, wanted: &str) -> Result<T, NodeError> {
        let text = self.scalar(wanted)?;
        text.parse().map_err(|_| NodeError::at(self.line, format!("expected {wanted}, found {text:?}")))
    }
}

/// Reads a number type from a scalar's text.
macro_rules! deserialize_number {
    ($($method:ident $visit:ident $wanted:literal,)+) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NodeError> {
            visitor.$visit(self.number($wanted)?)
        })+
    };
}

impl<'de> Deserializer<'de> for &Node {
    type Error = NodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NodeError> {
        match &self.value {
            Value::Scalar { .. } if self.is_null() => visitor.visit_unit(),
            Value::Scalar { text, is_plain: true } if text == "true" => visitor.visit_bool(true),
            Value::Scalar { text, is_plain: true } if text == "false" => visitor.visit_bool(false),
            Value::Scalar { text, .. } => visitor.visit_str(text),
            Value::Sequence(items) => visitor.visit_seq(Items { items: items.iter().enumerate() }),
            Value::Mapping(entries) => visitor.visit_map(Entries { entries: entries.iter(), value: None }),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NodeError> {
        visitor.visit_str(self.scalar("a text")?).map_err(|error: NodeError| NodeError {
            line: if error.line == 0 { self.line } else { error.line },
            ..error
        })
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NodeError> {
        visitor.visit_bool(self.number("true or false")?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NodeError> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NodeError> {
        let (name, content) = match &self.value {
            Value::Mapping(entries) => match entries.as_slice() {
                [(name, content)] => (name, Some(content)),
                _ => {
                    let message = format!("expected one of {}, and nothing beside it", variants.join(", "));
                    return Err(NodeError::at(self.line, message));
                }
            },
            _ => (self, None),
        };
        visitor.visit_enum(Variant { name, content })
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NodeError> {
        match &self.value {
            Value::Sequence(_) => self.deserialize_any(visitor),
            _ => Err(NodeError::at(self.line, format!("expected a list, found {}", self.kind()))),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NodeError> {
        match &self.value {
            Value::Mapping(_) => self.deserialize_any(visitor),
            _ => Err(NodeError::at(self.line, format!("expected a mapping, found {}", self.kind()))),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NodeError> {
        self.deserialize_map(visitor)
    }

    deserialize_number! {
        deserialize_i8 visit_i8 "a whole number",
        deserialize_i16 visit_i16 "a whole number",
        deserialize_i32 visit_i32 "a whole number",
        deserialize_i64 visit_i64 "a whole number",
        deserialize_u8 visit_u8 "a whole number from 0 to 255",
        deserialize_u16 visit_u16 "a whole number of zero or more",
        deserialize_u32 visit_u32 "a whole number from 0 to 4294967295",
        deserialize_u64 visit_u64 "a whole number of zero or more",
    }

    serde::forward_to_deserialize_any! {
        i128 u128 f32 f64 bytes byte_buf unit unit_struct newtype_struct tuple tuple_struct identifier ignored_any
    }
}

struct Items<'a> {
    items: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = NodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, NodeError> {
        let Some((position, item)) = self.items.next() else { return Ok(None) };
        let element = seed.deserialize(item);
        element.map(Some).map_err(|error| error.inside(|| format!("[{position}]"), item.line))
    }
}

struct Entries<'a> {
    entries: std::slice::Iter<'a, (Node, Node)>,
    value: Option<(&'a Node, &'a Node)>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = NodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, NodeError> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        self.value = Some((key, value));
        let found = seed.deserialize(key);
        let name = || key.text().unwrap_or("?").to_owned();
        found.map(Some).map_err(|error| error.inside(name, key.line))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, NodeError> {
        let Some((key, value)) = self.value.take() else {
            return Err(de::Error::custom("a value without a key"));
        };
        let name = || key.text().unwrap_or("?").to_owned();
        seed.deserialize(value).map_err(|error| error.inside(name, key.line))
    }
}

struct Variant<'a> {
    name: &'a Node,
    content: Option<&'a Node>,
}

impl<'de, 'a> EnumAccess<'de> for Variant<'a> {
    type Error = NodeError;
    type Variant = VariantContent<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self::Variant), NodeError> {
        let variant = seed.deserialize(self.name)?;
        Ok((variant, VariantContent { line: self.name.line, content: self.content }))
    }
}

struct VariantContent<'a> {
    line: u64,
    content: Option<&'a Node>,
}

impl<'de> VariantAccess<'de> for VariantContent<'_> {
    type Error = NodeError;

    fn unit_variant(self) -> Result<(), NodeError> {
        match self.content {
            None => Ok(()),
            Some(content) => Err(NodeError::at(content.line, "this takes no value".to_owned())),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, NodeError> {
        match self.content {
            Some(content) => seed.deserialize(content),
            None => Err(NodeError::at(self.line, "this needs a value".to_owned())),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, NodeError> {
        self.newtype_variant_seed(std::marker::PhantomData::<de::IgnoredAny>)?;
        visitor.visit_unit()
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NodeError> {
        self.tuple_variant(0, visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::price_book::{PriceBook, Rate};

    fn one(text: &str) -> Node {
        parse(text).unwrap().remove(0)
    }

    #[test]
    fn numbers_keep_their_digits() {
        let rate: Rate =
            one("{meter: m, model: per_unit, unit_price: 0.10000000000000000000000001}").read().unwrap();
        assert_eq!(rate.unit_price.unwrap().0.to_string(), "0.10000000000000000000000001");
        let json: Rate = one(r#"{"meter": "m", "model": "per_unit", "unit_price": "1e-7"}"#).read().unwrap();
        assert_eq!(json.unit_price.unwrap().0.to_string(), "0.0000001");
    }

    #[test]
    fn errors_say_where() {
        let text = "id: pb\ncurrencies: [USD]\nversions:\n  - version: 1\n    rates:\n      - meter: m\n        model: per_unit\n        unit_price: cheap\n";
        let error = one(text).read::<PriceBook>().unwrap_err();
        assert_eq!(error.path(), "versions[0].rates[0].unit_price");
        assert_eq!((error.line, error.message.as_str()), (8, "\"cheap\" is not a decimal number"));
        let error = one("id: pb\ncurrencies: [usd]\nversions: []").read::<PriceBook>().unwrap_err();
        assert_eq!((error.path().as_str(), error.line), ("currencies[0]", 2));
        let error = one("id: pb\ncurrency: USD").read::<PriceBook>().unwrap_err();
        assert_eq!((error.path().as_str(), error.line), ("currency", 2));
        assert!(error.message.contains("unknown field `currency`"), "{}", error.message);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for text in ["a: b: c", "[1, 2", "a: *b", "a: 1\na: 2", "\"\\x\""] {
            assert!(parse(text).is_err(), "{text}");
        }
        let deep = "[".repeat(100);
        assert!(parse(&deep).is_err());
    }
}
