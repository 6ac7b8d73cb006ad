//! The document of the API, in `OpenAPI` 3.1.

use axum::http::Method;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::Describe;
use super::operation::{Operation, Schemas};
use crate::config::Scope;

/// Groups of operations, in the order a newcomer meets them.
const TAGS: [(&str, &str); 7] = [
    ("Events", "Usage events in. What is called accepted is on disk, counted once and rated."),
    ("Usage", "What an account has used, up to the last commit."),
    (
        "Billing",
        "Rated usage and accruals for billing systems, from a cursor on; what an account owes so far.",
    ),
    ("Quarantine", "What was refused or has no price, why, and deciding it again."),
    ("Catalog", "Meters, prices and contracts."),
    ("Operation", "How the service is, and this document."),
    ("OpenMeter", "OpenMeter's contract: its published clients work with this address as theirs."),
];

const DESCRIPTION: &str = "\
Tallybook takes usage events in, counts each of them once, prices it exactly and keeps what can be posted.

**Begin** with `POST /v1/events`. Its answer comes after the commit and says of each event what became of it. Sending \
anything again is always safe: `(source, id)` counts once. Then ask `GET /v1/usage` what an account has used, \
`GET /v1/accounts/{id}/charges` what it owes so far, and feed a billing system from `GET /v1/rated` and \
`GET /v1/accruals`.

**Numbers** of money and quantities are decimals as text, with all their digits. Times are RFC 3339, kept to the \
microsecond.

**Problems** are `application/problem+json` (RFC 9457): `code` is one of those that are listed for a status, and \
`detail` says how to mend it. 503 means that nothing is known of what was sent: send the same again after \
`Retry-After`.

**Who may ask** is decided by tokens of the configuration, each with scopes: `ingest`, `read` and `admin`. Without \
tokens everybody who reaches the service may do everything.";

/// Paths with their operations.
pub(super) struct Document {
    paths: Map<String, Value>,
    schemas: Schemas,
}

impl Document {
    pub(super) fn new() -> Self {
        Self { paths: Map::new(), schemas: Schemas::new() }
    }

    /// Adds an operation.
    pub(super) fn add(&mut self, method: &Method, path: &str, scope: Option<Scope>, about: Describe) {
        let operation = about(Operation::new(&mut self.schemas, method, path, scope)).described();
        let methods = self.paths.entry(path).or_insert_with(|| Map::new().into());
        if let Some(methods) = methods.as_object_mut() {
            methods.insert(method.as_str().to_ascii_lowercase(), operation);
        }
    }

    /// All of it.
    pub(super) fn into_json(self) -> Bytes {
        let tags = TAGS.map(|(name, description)| json!({ "name": name, "description": description }));
        let scopes = "A token of the configuration, with the scope that an operation names.";
        let mut document = json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Tallybook",
                "summary": "Usage metering and rating: every event counted once, priced exactly, ready to post",
                "description": DESCRIPTION,
                "version": env!("CARGO_PKG_VERSION"),
                "license": { "name": "Apache License 2.0", "identifier": "Apache-2.0" },
            },
            "servers": [{ "url": "/", "description": "The service that this document was read from" }],
            "tags": tags,
            "paths": self.paths,
            "components": {
                "schemas": self.schemas.into_named(),
                "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer", "description": scopes } },
            },
        });
        say_it_to_strangers(&mut document);
        document.to_string().into()
    }
}

/// Leaves out of descriptions what is for those who read the code.
fn say_it_to_strangers(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(say_it_to_strangers),
        Value::Object(members) => {
            if let Some(Value::String(text)) = members.get_mut("description") {
                let sentences =
                    text.split_inclusive(". ").filter(|sentence| !is_for_readers_of_code(sentence));
                let said = sentences.collect::<String>().replace("[`", "`").replace("`]", "`");
                said.trim_end().clone_into(text);
            }
            members.values_mut().for_each(say_it_to_strangers);
        }
        _ => {}
    }
}

fn is_for_readers_of_code(sentence: &str) -> bool {
    ["Field names are wire names", "Wire name"].iter().any(|start| sentence.starts_with(start))
}
