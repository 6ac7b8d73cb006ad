//! Changing the meters of the catalog while the service runs.

use std::collections::BTreeMap;
use std::fmt::Debug;

use schemars::JsonSchema;
use schemas::meter::Meter;
use serde::Deserialize;

/// A meter as a client describes it. Field names are wire names.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeterDraft {
    /// Its id in the catalog.
    pub slug: String,
    /// SUM, COUNT, `UNIQUE_COUNT`, AVG, MIN, MAX or LATEST.
    pub aggregation: String,
    /// Type of the events it counts.
    pub event_type: String,
    /// Property that is aggregated, as a path that begins with `$`.
    #[serde(default)]
    pub value_property: Option<String>,
    /// Dimensions by name, as paths.
    #[serde(default)]
    pub group_by: BTreeMap<String, String>,
    /// What it is, for people.
    #[serde(default)]
    pub description: Option<String>,
}

/// Why a meter was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// The catalog would not be sound with it.
    #[error("{0}")]
    Refused(String),
    /// There is no such meter.
    #[error("there is no such meter")]
    Unknown,
}

/// Changes the catalog.
///
/// What is changed is durable, and in force for all events that arrive later, when a method returns; it may block.
pub trait MeterRegistry: Debug + Send + Sync {
    /// Adds a meter.
    ///
    /// # Errors
    /// [`RegistryError`]; the catalog is as it was.
    fn create(&self, draft: MeterDraft) -> Result<Meter, RegistryError>;

    /// Takes the place of a meter's description and dimensions.
    ///
    /// # Errors
    /// [`RegistryError`]; the catalog is as it was.
    fn update(&self, slug: &str, draft: MeterDraft) -> Result<Meter, RegistryError>;

    /// Removes a meter.
    ///
    /// # Errors
    /// [`RegistryError`]; the catalog is as it was.
    fn delete(&self, slug: &str) -> Result<(), RegistryError>;
}
