//! What the document says of a method of a path: what it takes, what it answers, and what it refuses with which code.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::parameter::Parameter;
use crate::config::Scope;
use crate::http::problem::ProblemDocument;

/// Media type of most bodies.
const JSON: &str = "application/json";

/// Media type of problems.
const PROBLEM: &str = "application/problem+json";

/// The types of bodies, as schemas that are named once.
pub(super) struct Schemas {
    taken: SchemaGenerator,
    answered: SchemaGenerator,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            })
        };
        // What is taken may be written in more ways than what is answered: it is not named, but where it is recursive.
        let taken = settings().with(|settings| settings.inline_subschemas = true).for_deserialize();
        Self { taken: taken.into_generator(), answered: settings().for_serialize().into_generator() }
    }

    /// All that are named.
    pub(super) fn into_named(mut self) -> Map<String, Value> {
        let mut named = self.taken.take_definitions(true);
        named.extend(self.answered.take_definitions(true));
        named
    }
}

/// An operation that is being described.
pub(in crate::http) struct Operation<'a> {
    schemas: &'a mut Schemas,
    parts: Map<String, Value>,
    parameters: Vec<Value>,
    /// Bodies that are taken, by media type.
    taken: Map<String, Value>,
    /// By status, what is said of an answer, and its bodies by media type.
    answers: BTreeMap<u16, (&'static str, Map<String, Value>)>,
    /// By status, the codes of problems.
    problems: BTreeMap<u16, Vec<&'static str>>,
}

impl<'a> Operation<'a> {
    pub(super) fn new(schemas: &'a mut Schemas, method: &Method, path: &str, scope: Option<Scope>) -> Self {
        let words =
            path.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let id = words.fold(method.as_str().to_ascii_lowercase(), |id, word| id + "_" + word);
        let mut parts = Map::from_iter([("operationId".to_owned(), Value::from(id))]);
        let scopes = scope.map(|scope| json!({ "bearer": [scope.name()] }));
        parts.insert("security".to_owned(), scopes.into_iter().collect());
        let operation = Self {
            schemas,
            parts,
            parameters: Vec::new(),
            taken: Map::new(),
            answers: BTreeMap::new(),
            problems: BTreeMap::new(),
        };
        if scope.is_none() {
            return operation;
        }
        operation
            .refuses(StatusCode::UNAUTHORIZED, &["unauthorized"])
            .refuses(StatusCode::FORBIDDEN, &["forbidden"])
    }

    /// The group it belongs to, and what it does: in a line, and in more words.
    pub(in crate::http) fn says(mut self, tag: &str, summary: &str, description: &str) -> Self {
        let said = [("tags", json!([tag])), ("summary", summary.into()), ("description", description.into())];
        self.parts.extend(said.map(|(name, value)| (name.to_owned(), value)));
        self
    }

    /// A part of its path.
    pub(in crate::http) fn path(mut self, name: &str, description: &str) -> Self {
        self.parameters.push(json!({
            "name": name, "in": "path", "required": true, "description": description,
            "schema": { "type": "string", "minLength": 1 },
        }));
        self.refuses(StatusCode::BAD_REQUEST, &["bad_path"])
    }

    /// A header that changes what it does.
    pub(in crate::http) fn header(mut self, name: &str, description: &str) -> Self {
        let schema = json!({ "type": "string" });
        self.parameters
            .push(json!({ "name": name, "in": "header", "description": description, "schema": schema }));
        self
    }

    /// What it may be asked with.
    pub(in crate::http) fn parameters(mut self, parameters: &[Parameter]) -> Self {
        self.parameters.extend(parameters.iter().map(Parameter::described));
        self.refuses(StatusCode::BAD_REQUEST, &["bad_query"])
    }

    /// What it may be asked with: the members of a type.
    pub(in crate::http) fn query<T: JsonSchema>(mut self) -> Self {
        let schema = self.schemas.taken.subschema_for::<T>();
        let members = schema.get("properties").and_then(Value::as_object);
        let required = schema.get("required").and_then(Value::as_array);
        for (name, member) in members.into_iter().flatten() {
            let mut member = member.clone();
            leave_null_out(&mut member);
            let description = member.as_object_mut().and_then(|member| member.remove("description"));
            let is_required = required.is_some_and(|required| required.iter().any(|known| known == name));
            self.parameters.push(json!({
                "name": name, "in": "query", "required": is_required, "description": description, "schema": member,
            }));
        }
        self.refuses(StatusCode::BAD_REQUEST, &["bad_query"])
    }

    /// A body it takes, in JSON.
    pub(in crate::http) fn takes<T: JsonSchema>(self) -> Self {
        self.takes_as::<T>(JSON)
    }

    /// A body it takes, as a media type.
    pub(in crate::http) fn takes_as<T: JsonSchema>(mut self, media: &str) -> Self {
        let schema = self.schemas.taken.subschema_for::<T>();
        self.taken.insert(media.to_owned(), json!({ "schema": schema }));
        self
    }

    /// It reads its body within limits of size, time and room.
    pub(in crate::http) fn reads_within_limits(self) -> Self {
        self.reads_small().waits()
    }

    /// It reads its body within limits of size and time.
    pub(in crate::http) fn reads_small(self) -> Self {
        self.refuses(StatusCode::BAD_REQUEST, &["broken_body", "broken_compression"])
            .refuses(StatusCode::REQUEST_TIMEOUT, &["too_slow"])
            .refuses(StatusCode::PAYLOAD_TOO_LARGE, &["body_too_large", "compressed_too_much"])
            .refuses(StatusCode::UNSUPPORTED_MEDIA_TYPE, &["unsupported_encoding"])
    }

    /// It is answered by SQL.
    pub(in crate::http) fn queries(self) -> Self {
        self.refuses(StatusCode::UNPROCESSABLE_ENTITY, &["query_too_large"])
            .refuses(StatusCode::INTERNAL_SERVER_ERROR, &["failed"])
            .refuses(StatusCode::NOT_IMPLEMENTED, &["no_queries"])
            .refuses(StatusCode::SERVICE_UNAVAILABLE, &["busy"])
    }

    /// It waits for the thread that commits.
    pub(in crate::http) fn waits(self) -> Self {
        let codes = ["overloaded", "disk_full", "ending", "stopped"];
        self.refuses(StatusCode::SERVICE_UNAVAILABLE, &codes)
    }

    /// An answer in JSON.
    pub(in crate::http) fn answers<T: JsonSchema>(self, status: StatusCode, says: &'static str) -> Self {
        self.answers_as::<T>(status, JSON, says)
    }

    /// An answer of a media type.
    pub(in crate::http) fn answers_as<T: JsonSchema>(
        mut self,
        status: StatusCode,
        media: &str,
        says: &'static str,
    ) -> Self {
        let schema = self.schemas.answered.subschema_for::<T>();
        let answer = self.answers.entry(status.as_u16()).or_insert((says, Map::new()));
        answer.1.insert(media.to_owned(), json!({ "schema": schema }));
        self
    }

    /// An answer without a body.
    pub(in crate::http) fn answers_nothing(mut self, status: StatusCode, says: &'static str) -> Self {
        self.answers.insert(status.as_u16(), (says, Map::new()));
        self
    }

    /// Codes of problems.
    pub(in crate::http) fn refuses(mut self, status: StatusCode, codes: &[&'static str]) -> Self {
        let known = self.problems.entry(status.as_u16()).or_default();
        for code in codes {
            if !known.contains(code) {
                known.push(code);
            }
        }
        self
    }

    /// An operation object of the document.
    pub(super) fn described(mut self) -> Value {
        let problem = self.schemas.answered.subschema_for::<ProblemDocument<'_>>();
        let mut responses = Map::new();
        for (status, codes) in self.problems {
            let (says, mut content) = self.answers.remove(&status).unwrap_or_default();
            let says = format!("{says} {}", codes.join(", "));
            let narrowed =
                json!({ "properties": { "code": { "enum": codes }, "status": { "const": status } } });
            content.insert(PROBLEM.to_owned(), json!({ "schema": { "allOf": [problem, narrowed] } }));
            let mut response = json!({ "description": says.trim_start(), "content": content });
            if let Some(response) = response.as_object_mut()
                && let Some((name, header)) = header_of(status)
            {
                response.insert("headers".to_owned(), json!({ name: header }));
            }
            responses.insert(status.to_string(), response);
        }
        for (status, (says, content)) in self.answers {
            let mut response = json!({ "description": says });
            if let Some(response) = response.as_object_mut()
                && !content.is_empty()
            {
                response.insert("content".to_owned(), content.into());
            }
            responses.insert(status.to_string(), response);
        }
        self.parts.insert("responses".to_owned(), responses.into());
        if !self.parameters.is_empty() {
            self.parts.insert("parameters".to_owned(), self.parameters.into());
        }
        if !self.taken.is_empty() {
            let body = json!({ "required": true, "content": self.taken });
            self.parts.insert("requestBody".to_owned(), body);
        }
        self.parts.into()
    }
}

/// A query string has no null: what may be left out is not there.
fn leave_null_out(schema: &mut Value) {
    let is_null = |value: &Value| value.is_null() || value == "null" || value["type"] == "null";
    let Some(members) = schema.as_object_mut() else { return };
    for name in ["type", "enum", "anyOf"] {
        if let Some(Value::Array(values)) = members.get_mut(name) {
            values.retain(|value| !is_null(value));
        }
    }
}

/// The header that comes with a status.
fn header_of(status: u16) -> Option<(&'static str, Value)> {
    let header = |says: &str, kind: &str| json!({ "description": says, "schema": { "type": kind } });
    match status {
        401 => Some(("WWW-Authenticate", header("How to say who asks.", "string"))),
        503 => Some(("Retry-After", header("Seconds after which it is worth another try.", "integer"))),
        _ => None,
    }
}
