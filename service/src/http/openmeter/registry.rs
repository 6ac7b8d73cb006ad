//! Meters that clients make: a file of the catalog, which is theirs.
//!
//! Each change makes a catalog with another such file, and takes it into force. Meters of other files are for those who
//! keep these files.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use schemars::JsonSchema;
use schemas::meter::Meter;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::http::Service;
use crate::http::off_loop::to_its_end;
use crate::http::problem::Problem;

/// The file, a document a line.
const FILE: &str = "openmeter-meters.ndjson";

/// A meter as a client describes it. Field names are wire names.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct MeterDraft {
    /// Its id in the catalog.
    #[serde(default)]
    pub(super) slug: String,
    /// SUM, COUNT, `UNIQUE_COUNT`, MIN, MAX or LATEST.
    aggregation: String,
    /// Type of the events it counts.
    event_type: String,
    /// Property that is aggregated, as a path that begins with `$`.
    #[serde(default)]
    value_property: Option<String>,
    /// Dimensions by name, as paths.
    #[serde(default)]
    group_by: BTreeMap<String, String>,
    /// What it is, for people.
    #[serde(default)]
    description: Option<String>,
}

impl MeterDraft {
    /// The meter of the catalog.
    pub(super) fn meter(self) -> Result<Meter, Problem> {
        let aggregation = match self.aggregation.to_ascii_uppercase().as_str() {
            "SUM" => "sum",
            "COUNT" => "count",
            "UNIQUE_COUNT" => "unique",
            "MIN" => "min",
            "MAX" => "max",
            "LATEST" => "latest",
            "AVG" => {
                let detail =
                    "an average is no quantity that can be charged: make a SUM and a COUNT, and divide";
                return Err(Problem::bad_request("refused_meter", detail));
            }
            other => {
                let known = "SUM, COUNT, UNIQUE_COUNT, MIN, MAX and LATEST";
                let detail = format!("{other:?} is no aggregation: there are {known}");
                return Err(Problem::bad_request("refused_meter", detail));
            }
        };
        let mut document = json!({
            "id": self.slug, "event_type": self.event_type, "aggregation": aggregation, "dimensions": self.group_by,
        });
        if let Some(members) = document.as_object_mut() {
            members.extend(self.value_property.map(|value| ("value".to_owned(), value.into())));
            members.extend(self.description.map(|text| ("description".to_owned(), text.into())));
        }
        serde_json::from_value(document)
            .map_err(|error| Problem::bad_request("refused_meter", format!("this makes no meter: {error}")))
    }
}

/// The documents of the file, by id.
#[derive(Debug, Default)]
pub(in crate::http) struct OwnMeters(BTreeMap<String, Map<String, Value>>);

impl OwnMeters {
    fn read(bytes: &[u8]) -> Result<Self, Problem> {
        let documents = serde_json::Deserializer::from_slice(bytes).into_iter::<Map<String, Value>>();
        let mut own = Self::default();
        for document in documents {
            let document = document.map_err(|error| {
                let detail = format!("{FILE} cannot be read: {error}; mend it by hand");
                Problem::new(StatusCode::CONFLICT, "catalog_damaged", detail)
            })?;
            let id = document.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
            own.0.insert(id, document);
        }
        Ok(own)
    }

    fn write(&self) -> Vec<u8> {
        let lines = self.0.values().map(|document| Value::from(document.clone()).to_string() + "\n");
        lines.collect::<String>().into_bytes()
    }

    /// Finds a meter that clients made.
    pub(super) fn find(&self, slug: &str) -> Result<(), Problem> {
        if self.0.contains_key(slug) {
            return Ok(());
        }
        let detail = "this meter is kept in another file of the catalog: change it there, or PUT /v1/catalog";
        Err(Problem::new(StatusCode::CONFLICT, "meter_of_the_catalog", detail))
    }

    /// Sets a meter.
    pub(super) fn set(&mut self, meter: Meter) {
        let id = meter.id.to_string();
        // A meter has only texts as keys, so it can be written.
        let document = serde_json::to_value(meter).unwrap_or_default();
        let mut kept = Map::from_iter([("kind".to_owned(), Value::from("meter"))]);
        kept.extend(document.as_object().cloned().unwrap_or_default());
        self.0.insert(id, kept);
    }

    /// Removes a meter.
    pub(super) fn remove(&mut self, slug: &str) -> Result<(), Problem> {
        self.find(slug)?;
        self.0.remove(slug);
        Ok(())
    }
}

impl Service {
    /// Changes the meters that clients made, and takes the catalog with them into force.
    pub(super) async fn change_meters(
        &self,
        change: impl FnOnce(&mut OwnMeters) -> Result<(), Problem> + Send + 'static,
    ) -> Result<(), Problem> {
        let service = self.clone();
        to_its_end(async move {
            let _turn = service.changing_catalog.lock().await;
            let mut files = service.with_catalogs(|source| source.read()).await?.files;
            let mut own = OwnMeters::read(files.get(FILE).map_or(&[][..], |bytes| bytes))?;
            change(&mut own)?;
            files.remove(FILE);
            let bytes = own.write();
            if !bytes.is_empty() {
                files.insert(FILE.to_owned(), bytes.into());
            }
            let candidate = service.with_catalogs(move |source| source.check(files)).await?;
            service.install(candidate).await.map(drop)
        })
        .await
    }
}
