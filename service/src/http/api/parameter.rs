//! What may follow the question mark of a request.

use serde_json::{Value, json};

/// A name of a query string.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Parameter {
    /// As it is written; one that ends with `[` stands for all that begin so.
    pub(in crate::http) name: &'static str,
    says: &'static str,
    kind: Kind,
    is_required: bool,
}

/// What its values are.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Text,
    Time,
    /// Whole numbers from 1 up to this one.
    UpTo(usize),
    /// One of these.
    OneOf(&'static [&'static str]),
    /// Several texts, each with the name before it.
    Texts,
    /// Texts by a key in brackets.
    Members,
}

impl Parameter {
    const fn new(name: &'static str, kind: Kind, says: &'static str) -> Self {
        Self { name, says, kind, is_required: false }
    }

    /// A text.
    pub(in crate::http) const fn text(name: &'static str, says: &'static str) -> Self {
        Self::new(name, Kind::Text, says)
    }

    /// An instant of RFC 3339.
    pub(in crate::http) const fn time(name: &'static str, says: &'static str) -> Self {
        Self::new(name, Kind::Time, says)
    }

    /// A number from 1 to a largest one.
    pub(in crate::http) const fn up_to(max: usize, name: &'static str, says: &'static str) -> Self {
        Self::new(name, Kind::UpTo(max), says)
    }

    /// One of some words.
    pub(in crate::http) const fn one_of(
        words: &'static [&'static str],
        name: &'static str,
        says: &'static str,
    ) -> Self {
        Self::new(name, Kind::OneOf(words), says)
    }

    /// Texts: the name may be there several times.
    pub(in crate::http) const fn texts(name: &'static str, says: &'static str) -> Self {
        Self::new(name, Kind::Texts, says)
    }

    /// Texts by a key in brackets behind the name, which ends with `[`.
    pub(in crate::http) const fn members(name: &'static str, says: &'static str) -> Self {
        Self::new(name, Kind::Members, says)
    }

    /// The same, and it has to be there.
    pub(in crate::http) const fn required(self) -> Self {
        Self { is_required: true, ..self }
    }

    /// The name and what its values are, as a member of a body; null is none.
    pub(in crate::http) fn member(&self) -> (String, Value) {
        let (_, schema) = self.style_and_schema();
        // One of several may be written alone.
        let kinds = if matches!(self.kind, Kind::Texts) { json!(["string", "null"]) } else { json!("null") };
        let schema = json!({ "description": self.says, "anyOf": [schema, { "type": kinds }] });
        (self.name.trim_end_matches('[').to_owned(), schema)
    }

    /// Is it what a body calls so, with a value that is none of several where one is meant?
    pub(in crate::http) fn fits(&self, name: &str, value: &Value) -> bool {
        let may_be_several = match self.kind {
            Kind::Members => true,
            Kind::Texts => !value.is_object(),
            _ => !value.is_object() && !value.is_array(),
        };
        self.name.trim_end_matches('[') != name || may_be_several
    }

    /// A parameter object of the document.
    pub(super) fn described(&self) -> Value {
        let (style, schema) = self.style_and_schema();
        json!({
            "name": self.name.trim_end_matches('['), "in": "query", "required": self.is_required,
            "description": self.says, "style": style, "explode": true, "schema": schema,
        })
    }

    fn style_and_schema(&self) -> (&'static str, Value) {
        let text = json!({ "type": "string" });
        let (style, schema) = match self.kind {
            Kind::Text => ("form", text),
            Kind::Time => ("form", json!({ "type": "string", "format": "date-time" })),
            Kind::UpTo(max) => ("form", json!({ "type": "integer", "minimum": 1, "maximum": max })),
            Kind::OneOf(words) => ("form", json!({ "type": "string", "enum": words })),
            Kind::Texts => ("form", json!({ "type": "array", "items": text })),
            Kind::Members => ("deepObject", json!({ "type": "object", "additionalProperties": text })),
        };
        let is_one = matches!(self.kind, Kind::Time | Kind::UpTo(_) | Kind::OneOf(_));
        // An empty value is none.
        let schema =
            if is_one && !self.is_required { json!({ "anyOf": [schema, { "const": "" }] }) } else { schema };
        (style, schema)
    }
}
