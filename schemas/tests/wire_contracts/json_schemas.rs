//! JSON Schemas equal their committed text.

use crate::contracts::contracts;
use crate::golden;

#[test]
fn json_schemas_are_the_committed_ones() {
    let files: Vec<(String, String)> = contracts()
        .iter()
        .map(|contract| {
            let text = serde_json::to_string_pretty(&contract.schema).unwrap();
            (format!("{}.schema.json", contract.name), text + "\n")
        })
        .collect();
    golden::check("json", &files);
}

#[test]
fn every_json_schema_says_what_it_is() {
    for contract in contracts() {
        for keyword in ["$schema", "$id", "title", "description"] {
            let text = contract.schema[keyword].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{} has no {keyword}", contract.name);
        }
        for (field, schema) in contract.schema["properties"].as_object().unwrap() {
            let described = schema.get("description").is_some() || schema.get("$ref").is_some();
            assert!(described, "{} does not describe {field}", contract.name);
        }
    }
}
