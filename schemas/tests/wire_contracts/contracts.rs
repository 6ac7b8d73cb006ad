//! The wire contracts that are JSON.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use schemas::accrual::Accrual;
use schemas::contract::Contract as ContractDocument;
use schemas::control_total::ControlTotal;
use schemas::csv_mapping::CsvMapping;
use schemas::epoch::Epoch;
use schemas::legal_entity::LegalEntity;
use schemas::meter::Meter;
use schemas::price_book::PriceBook;
use schemas::quarantine::QuarantineRecord;
use schemas::rated_usage::RatedUsage;
use schemas::usage_event::UsageEvent;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Where the schemas are published.
const BASE: &str = "https://tallybook.com/schemas/";

/// A version of a contract.
pub(crate) struct Contract {
    /// Name and version: `meter.v1`.
    pub(crate) name: &'static str,
    /// Its JSON Schema.
    pub(crate) schema: Value,
    /// Decodes a value with today's type and encodes it again.
    pub(crate) round_trip: fn(Value) -> Result<Value, serde_json::Error>,
}

/// Every version of every contract.
pub(crate) fn contracts() -> Vec<Contract> {
    vec![
        input::<UsageEvent>("usage_event.v1"),
        document::<LegalEntity>("legal_entity.v1"),
        document::<Meter>("meter.v1"),
        document::<PriceBook>("price_book.v1"),
        document::<ContractDocument>("contract.v1"),
        document::<CsvMapping>("csv_mapping.v1"),
        output::<RatedUsage>("rated_usage.v1"),
        output::<Accrual>("accrual.v1"),
        output::<QuarantineRecord>("quarantine.v1"),
        output::<ControlTotal>("control_total.v1"),
        output::<Epoch>("epoch.v1"),
    ]
}

/// A contract we read: what has a default may be left out.
fn input<T: JsonSchema + Serialize + DeserializeOwned>(name: &'static str) -> Contract {
    contract::<T>(name, SchemaSettings::draft2020_12().for_deserialize())
}

/// A contract we write: every field is there.
fn output<T: JsonSchema + Serialize + DeserializeOwned>(name: &'static str) -> Contract {
    contract::<T>(name, SchemaSettings::draft2020_12().for_serialize())
}

/// A catalog document: the type's fields, and `kind`, by which a catalog tells documents apart.
fn document<T: JsonSchema + Serialize + DeserializeOwned>(name: &'static str) -> Contract {
    let mut contract = input::<T>(name);
    contract.schema["properties"]["kind"] =
        json!({ "description": "What kind of document it is.", "const": kind_of(name) });
    // Files with a contract per line need not say so in every line.
    if name != "contract.v1" {
        contract.schema["required"].as_array_mut().unwrap().insert(0, "kind".into());
    }
    contract
}

/// The kind of document a contract is: `meter` for `meter.v1`.
pub(crate) fn kind_of(name: &str) -> &str {
    name.split('.').next().unwrap()
}

/// Doc comments are wrapped; descriptions are not.
fn unwrap_descriptions(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            for (name, member) in members {
                if let (Value::String(text), "description") = (&mut *member, name.as_str()) {
                    *text = text.replace('\n', " ");
                }
                unwrap_descriptions(member);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(unwrap_descriptions),
        _ => {}
    }
}

fn contract<T: JsonSchema + Serialize + DeserializeOwned>(
    name: &'static str,
    settings: SchemaSettings,
) -> Contract {
    let mut schema: Schema = settings.into_generator().into_root_schema_for::<T>();
    schema.insert("$id".to_owned(), format!("{BASE}{name}.schema.json").into());
    let mut schema = schema.to_value();
    unwrap_descriptions(&mut schema);
    Contract {
        name,
        schema,
        round_trip: |value| serde_json::from_value::<T>(value).and_then(serde_json::to_value),
    }
}
