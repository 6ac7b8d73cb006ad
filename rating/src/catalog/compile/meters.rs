//! Checks meters and gives them positions.

use std::collections::BTreeMap;

use schemas::meter::{Aggregation, Meter};
use schemas::money::AMOUNT_SCALE;
use schemas::quantity::QUANTITY_SCALE;

use super::{Compiler, known};
use crate::catalog::{Located, Origin};

impl Compiler<'_> {
    pub(super) fn meters(&mut self) {
        for Located { document, origin } in &self.documents.meters {
            let position = self.catalog.meters.len();
            self.claim_id("meter", document.id.as_str(), origin);
            self.meter_by_id.insert(document.id.as_str(), position);
            self.check_meter(document, origin);
            self.catalog.meters.push(document.clone());
        }
        let dimensions = self.catalog.meters.iter().flat_map(|meter| meter.dimensions.keys().cloned());
        self.catalog.dimensions = dimensions.collect();
        self.catalog.dimensions.sort();
        self.catalog.dimensions.dedup();
    }

    fn check_meter(&mut self, meter: &Meter, origin: &Origin) {
        let path = |field: &str| format!("meter {} {field}", meter.id);
        if meter.event_type.is_empty() {
            self.problem(
                origin,
                path("event_type"),
                "it is empty".to_owned(),
                "name the type of the usage events",
            );
        }
        match (meter.aggregation, &meter.value) {
            (Aggregation::Count, Some(_)) => {
                let message = "a meter that counts events reads no value".to_owned();
                self.problem(origin, path("value"), message, "remove it, or use another aggregation");
            }
            (Aggregation::Count, None) | (_, Some(_)) => {}
            (aggregation, None) => {
                let message = format!("aggregation {} needs a value", aggregation.name());
                self.problem(origin, path("value"), message, "write the property to read, such as $.tokens");
            }
        }
        if meter.decimals > QUANTITY_SCALE {
            let message =
                format!("{} is more than the {QUANTITY_SCALE} decimal places that are kept", meter.decimals);
            self.problem(origin, path("decimals"), message, "use 0 to 12");
        }
        if let Some(price) = &meter.event_price
            && price.decimals > AMOUNT_SCALE
        {
            let message =
                format!("{} is more than the {AMOUNT_SCALE} decimal places that are kept", price.decimals);
            self.problem(origin, path("event_price.decimals"), message, "use 0 to 18");
        }
        let include = meter.filter.include.iter().map(|(property, values)| ("include", property, values));
        let exclude = meter.filter.exclude.iter().flatten();
        let exclude = exclude.map(|(property, values)| ("exclude", property, values));
        for (list, property, values) in include.chain(exclude) {
            if values.is_empty() {
                let message = "no value is listed, so it can never hold".to_owned();
                self.problem(
                    origin,
                    path(&format!("filter.{list} {property}")),
                    message,
                    "list at least one value",
                );
            }
        }
        if meter.filter.exclude.iter().any(BTreeMap::is_empty) {
            let message = "an entry without properties excludes every event".to_owned();
            self.problem(origin, path("filter.exclude"), message, "remove the entry, or name properties");
        }
    }

    pub(super) fn known_meters(&self) -> String {
        let ids: Vec<&str> = self.catalog.meters.iter().map(|meter| meter.id.as_str()).collect();
        known("meter", &ids)
    }
}
