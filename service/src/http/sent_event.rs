//! An event as requests have it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use schemas::usage_event::UsageEvent;
use serde_json::{Map, Value, json};

/// A usage event whose time may be left out: it has that of its arrival then. What nothing reads may be anything.
pub(super) enum SentEvent {}

impl JsonSchema for SentEvent {
    fn schema_name() -> Cow<'static, str> {
        "UsageEvent".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = UsageEvent::json_schema(generator);
        if let Some(Value::Array(required)) = schema.get_mut("required") {
            required.retain(|name| name != "time");
        }
        if let Some(Value::Object(time)) = schema.pointer_mut("/properties/time") {
            *time = Map::from_iter([
                ("description".to_owned(), "When it was used; that of its arrival without.".into()),
                ("type".to_owned(), json!(["string", "null"])),
                ("format".to_owned(), "date-time".into()),
            ]);
        }
        // What meters read is data as it comes; nothing reads the others.
        for name in ["data", "datacontenttype", "dataschema", "recordedtime", "traceparent", "tracestate"] {
            if let Some(Value::Object(member)) = schema.pointer_mut(&format!("/properties/{name}")) {
                member.retain(|name, _| name == "description");
            }
        }
        schema.insert("additionalProperties".to_owned(), true.into());
        schema.insert("title".to_owned(), "UsageEvent".into());
        let example = json!({
            "specversion": "1.0", "id": "1", "source": "gateway", "type": "tokens", "subject": "acme",
            "time": "2026-11-01T00:00:00Z", "data": { "tokens": 5 },
        });
        schema.insert("examples".to_owned(), json!([example]));
        schema
    }
}
