//! A row as an event (the `CloudEvents` format): the same row is the same event, with the same id, every time.

use schemars::JsonSchema;
use schemas::accrual::ACCRUAL_EVENT_TYPE;
use schemas::quarantine::QUARANTINE_EVENT_TYPE;
use schemas::rated_usage::RATED_USAGE_EVENT_TYPE;
use schemas::timestamp::Timestamp;
use serde::Serialize;

use super::{ExportedRow, Origin, Record};

/// An event. Field names are wire names.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CloudEvent<'a> {
    specversion: &'static str,
    #[serde(rename = "type")]
    event_type: &'static str,
    source: String,
    /// Unique within the source.
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Timestamp>,
    datacontenttype: &'static str,
    dataschema: &'static str,
    /// Number among all events of the source, without gaps.
    sequence: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    partitionkey: Option<String>,
    data: &'a Record,
}

impl Origin {
    /// A row as an event.
    pub(super) fn cloud_event<'a>(&self, exported: &'a ExportedRow) -> CloudEvent<'a> {
        let (epoch, row) = (exported.epoch, exported.row);
        let mut event = CloudEvent {
            specversion: "1.0",
            event_type: ACCRUAL_EVENT_TYPE,
            source: self.source_of(&exported.record),
            id: format!("{epoch}-{row}"),
            subject: None,
            time: None,
            datacontenttype: "application/json",
            dataschema: "urn:tallybook:schema:accrual:1",
            sequence: format!("{:020}", exported.sequence),
            partitionkey: None,
            data: &exported.record,
        };
        match &exported.record {
            Record::Accrual(accrual) => {
                let (entity, line) = (&accrual.legal_entity_id, &accrual.contract_line_id);
                event.id.clone_from(&accrual.accrual_id);
                event.subject = Some(line.as_str());
                event.time = Some(accrual.service_period_end);
                event.partitionkey = Some(format!("{entity}/{line}"));
            }
            Record::RatedUsage(usage) => {
                event.event_type = RATED_USAGE_EVENT_TYPE;
                event.dataschema = "urn:tallybook:schema:rated_usage:1";
                event.subject = Some(usage.account_id.as_str());
                event.time = Some(usage.event_time);
                event.partitionkey = Some(usage.account_id.to_string());
            }
            Record::Quarantine(record) => {
                event.event_type = QUARANTINE_EVENT_TYPE;
                event.dataschema = "urn:tallybook:schema:quarantine:1";
                event.id.clone_from(&record.quarantine_id);
                event.subject = record.account_id.as_deref();
                event.time = record.event_time;
                event.partitionkey.clone_from(&record.account_id);
            }
        }
        event
    }
}
