//! The meters of the tests: every aggregation, filters, dimensions, and paths that share their beginning.

use std::sync::Arc;

use ingest::metering::MeteringPlan;
use schemas::meter::Meter;

/// Meters in JSON, one per line.
const METERS: &str = r#"
{"id":"sum","event_type":"t","aggregation":"sum","value":"$.v","dimensions":{"region":"$.region","kind":"$.nested.kind"}}
{"id":"filtered","event_type":"t","aggregation":"count","filter":{"include":{"$.flag":["true","1","yes","2.50"]},"exclude":[{"$.region":["eu","1"],"$.nested.kind":["a"]},{"$.q":["100"]}]}}
{"id":"unique","event_type":"t","aggregation":"unique","value":"$.u","if_missing":"ignore"}
{"id":"max","event_type":"t","aggregation":"max","value":"$.nested.q","decimals":2,"allow_negative":true,"if_missing":"ignore"}
{"id":"latest","event_type":"u","aggregation":"latest","value":"$.deep.er.x","decimals":0,"dimensions":{"odd":"$['odd.name']"}}
{"id":"distinct","event_type":"u","aggregation":"unique","value":"$.u","if_missing":"ignore"}
{"id":"unit_price","event_type":"p","aggregation":"sum","value":"$.v","decimals":12,"if_missing":"ignore","event_price":{"property":"$.price","is":"unit_price","currency":"USD","decimals":6}}
{"id":"amount","event_type":"p","aggregation":"count","dimensions":{"nested":"$.nested","region":"$.region"},"event_price":{"property":"$.nested.amount","is":"amount","currency":"USD","decimals":18}}
{"id":"min","event_type":"c","aggregation":"min","value":"$.v","decimals":3,"if_missing":"ignore"}
{"id":"count","event_type":"c","aggregation":"count"}
"#;

pub(crate) fn meters() -> Vec<Meter> {
    METERS.trim().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn plan() -> Arc<MeteringPlan> {
    Arc::new(MeteringPlan::new(&meters()))
}
