//! Frozen samples: what was published once still decodes, and means the same.
//!
//! A sample is never changed. A contract that grows gets another sample beside it, with a letter:
//! `accrual.v1b.json` would be the second of version 1.

use std::fs;

use serde_json::Value;

use crate::contracts::{Contract, contracts, kind_of};
use crate::golden::directory;
use crate::schema_check::violations;

/// Samples by file name, with the contract each is a sample of.
fn samples() -> Vec<(String, Contract, Value)> {
    let mut samples = Vec::new();
    for entry in fs::read_dir(directory("samples")).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        let stem = file.strip_suffix(".json").unwrap().trim_end_matches(|letter: char| letter.is_lowercase());
        let contract = contracts().into_iter().find(|contract| contract.name == stem);
        let contract = contract.unwrap_or_else(|| panic!("{file} is a sample of no contract"));
        let sample = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        samples.push((file, contract, sample));
    }
    samples
}

#[test]
fn every_contract_has_a_sample() {
    let samples = samples();
    for contract in contracts() {
        assert!(
            samples.iter().any(|(_, other, _)| other.name == contract.name),
            "samples/{}.json is missing",
            contract.name
        );
    }
}

#[test]
fn frozen_samples_decode_and_encode_to_the_same_value() {
    for (file, contract, mut sample) in samples() {
        if let Some(kind) = sample.as_object_mut().unwrap().remove("kind") {
            assert_eq!(kind, kind_of(contract.name), "{file}");
        }
        match (contract.round_trip)(sample.clone()) {
            Ok(encoded) => assert_eq!(encoded, sample, "{file} means something else today"),
            Err(error) => panic!("{file} no longer decodes: {error}"),
        }
    }
}

#[test]
fn frozen_samples_hold_to_the_schema() {
    for (file, contract, sample) in samples() {
        assert_eq!(violations(&contract.schema, &sample), Vec::<String>::new(), "{file}");
    }
}

#[test]
fn a_sample_without_a_required_field_breaks_the_schema() {
    for (file, contract, sample) in samples() {
        for field in contract.schema["required"].as_array().unwrap() {
            let field = field.as_str().unwrap();
            let mut broken = sample.clone();
            assert!(broken.as_object_mut().unwrap().remove(field).is_some(), "{file} lacks {field}");
            assert_ne!(violations(&contract.schema, &broken), Vec::<String>::new(), "{file} less {field}");
        }
    }
}

#[test]
fn a_catalog_document_with_a_field_too_many_breaks_the_schema() {
    for (file, contract, mut sample) in samples() {
        if sample.get("kind").is_some() {
            sample["colour"] = "blue".into();
            let found = violations(&contract.schema, &sample);
            assert_eq!(found, [": colour is not a field"], "{file}");
        }
    }
}
