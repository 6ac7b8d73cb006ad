//! Checks a value against a JSON Schema, as far as our schemas go: a keyword that is not known here
//! fails the test, so that nothing is passed over unseen. Patterns and formats are left to the types,
//! which every sample is decoded with as well.

use serde_json::Value;

/// What is wrong with a value, by place.
pub(crate) fn violations(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(schema, schema, value, "", &mut found);
    found
}

fn check(root: &Value, schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) {
    let Value::Object(keywords) = schema else {
        if schema == &Value::Bool(false) {
            found.push(format!("{place}: nothing is allowed here"));
        }
        return;
    };
    for (keyword, rule) in keywords {
        let mut fault = |what: String| found.push(format!("{place}: {what}"));
        match keyword.as_str() {
            "$ref" => {
                let pointer = rule.as_str().unwrap().strip_prefix('#').unwrap();
                check(root, root.pointer(pointer).unwrap(), value, place, found);
            }
            "type" => {
                let types = rule.as_array().cloned().unwrap_or_else(|| vec![rule.clone()]);
                if !types.iter().any(|name| is_of_type(value, name.as_str().unwrap())) {
                    fault(format!("{value} is not of type {rule}"));
                }
            }
            "const" if value != rule => fault(format!("{value} is not {rule}")),
            "enum" if !rule.as_array().unwrap().contains(value) => fault(format!("{value} is not in {rule}")),
            "required" => {
                for name in rule.as_array().unwrap() {
                    if value.is_object() && value.get(name.as_str().unwrap()).is_none() {
                        fault(format!("{name} is missing"));
                    }
                }
            }
            "anyOf" | "oneOf" => {
                let fits = |option: &&Value| {
                    let mut faults = Vec::new();
                    check(root, option, value, place, &mut faults);
                    faults.is_empty()
                };
                let fitting = rule.as_array().unwrap().iter().filter(fits).count();
                if fitting == 0 || (keyword == "oneOf" && fitting > 1) {
                    fault(format!("{value} fits {fitting} of the options"));
                }
            }
            "minLength" | "maxLength" => {
                let length = value.as_str().map_or(0, |text| text.chars().count() as u64);
                let limit = rule.as_u64().unwrap();
                let fits = if keyword == "minLength" { length >= limit } else { length <= limit };
                if value.is_string() && !fits {
                    fault(format!("{value} breaks {keyword} {limit}"));
                }
            }
            "minimum" | "maximum" => {
                let limit = rule.as_i64().unwrap();
                let fits = |number: i64| if keyword == "minimum" { number >= limit } else { number <= limit };
                if !value.as_i64().is_none_or(fits) {
                    fault(format!("{value} breaks {keyword} {limit}"));
                }
            }
            // Members are checked below; the rest says nothing about a value, or is left to the types.
            "properties"
            | "patternProperties"
            | "additionalProperties"
            | "items"
            | "$schema"
            | "$id"
            | "$defs"
            | "title"
            | "description"
            | "default"
            | "const"
            | "enum"
            | "format"
            | "pattern"
            | "contentEncoding" => {}
            other => panic!("the keyword {other} is not checked; teach it here"),
        }
    }
    check_members(root, schema, value, place, found);
}

fn check_members(root: &Value, schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) {
    if let Value::Object(members) = value {
        for (name, member) in members {
            let place = format!("{place}/{name}");
            let named = schema.get("properties").and_then(|properties| properties.get(name));
            let patterns = schema.get("patternProperties").and_then(Value::as_object);
            // Our maps have one pattern, for their keys.
            if let Some(rule) = named.or_else(|| patterns.and_then(|patterns| patterns.values().next())) {
                check(root, rule, member, &place, found);
            } else {
                match schema.get("additionalProperties") {
                    Some(Value::Bool(false)) => {
                        found.push(format!("{}: {name} is not a field", parent(&place)));
                    }
                    Some(rule) => check(root, rule, member, &place, found),
                    None => {}
                }
            }
        }
    }
    if let (Value::Array(items), Some(rule)) = (value, schema.get("items")) {
        for (position, item) in items.iter().enumerate() {
            check(root, rule, item, &format!("{place}/{position}"), found);
        }
    }
}

fn parent(place: &str) -> &str {
    place.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("there is no type {other}"),
    }
}

#[test]
fn the_check_finds_what_is_wrong() {
    let schema = serde_json::json!({
        "type": "object",
        "required": ["a"],
        "additionalProperties": false,
        "properties": {
            "a": { "enum": ["x"] },
            "b": { "$ref": "#/$defs/Count" },
            "c": { "type": "array", "items": { "anyOf": [{ "type": "null" }, { "const": 1 }] } }
        },
        "$defs": { "Count": { "type": ["integer", "string"], "minimum": 0, "maxLength": 2 } }
    });
    let cases = [
        (serde_json::json!({ "a": "x", "b": 3, "c": [null, 1] }), vec![]),
        (serde_json::json!({ "b": "12" }), vec![": \"a\" is missing"]),
        (serde_json::json!({ "a": "y" }), vec!["/a: \"y\" is not in [\"x\"]"]),
        (serde_json::json!({ "a": "x", "b": -1 }), vec!["/b: -1 breaks minimum 0"]),
        (serde_json::json!({ "a": "x", "b": "123" }), vec!["/b: \"123\" breaks maxLength 2"]),
        (
            serde_json::json!({ "a": "x", "b": true }),
            vec!["/b: true is not of type [\"integer\",\"string\"]"],
        ),
        (serde_json::json!({ "a": "x", "c": [2] }), vec!["/c/0: 2 fits 0 of the options"]),
        (serde_json::json!({ "a": "x", "d": 1 }), vec![": d is not a field"]),
        (serde_json::json!([]), vec![": [] is not of type \"object\""]),
    ];
    for (value, expected) in cases {
        assert_eq!(violations(&schema, &value), expected, "{value}");
    }
}
